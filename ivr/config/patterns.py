"""The settings of what the proxy protects: which addresses hold data of a customer, and where the customer's number stands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ivr.config.lock import Level
from ivr.config.section import Section

NUMBER = "{number}"
"""The segment of a path in which the customer's number stands."""

# What no server reads in two ways; * is any one segment, and ** at the end any number of them.
_SEGMENT = re.compile(r"(?!\.+$)[A-Za-z0-9_.@:+=$-]+|\*|\{number\}")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_HEADER = re.compile(r"[A-Za-z0-9-]+")

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Pattern(Section):
    """Requests that are about one customer. They go on only while that customer is on the line with who asks, verified."""

    path: str = Field(
        description='The path, such as "/api/customers/{number}/orders": {number} is the customer\'s number, * any one '
        "segment, and ** at the end whatever follows"
    )
    methods: tuple[Method, ...] = Field(
        ("GET",), min_length=1, description="The methods that may be used there; HEAD goes with GET, others are refused"
    )
    level: Level = Field(2, description="The level at which the caller must be verified")
    holds: Literal["number", "reference"] = Field(
        "number", description='What names the customer: the customer number, or "reference", which is Tillit\'s own'
    )
    query: tuple[str, ...] = Field((), description="Names of query parameters in which the customer's number stands")
    parameters: tuple[str, ...] = Field(
        (),
        description='Names of other query parameters that may come, or ["*"]; with any that is not named it is refused',
    )
    body: tuple[str, ...] = Field(
        (), description='Where in the request\'s JSON the customer\'s number stands: pointers (RFC 6901), such as "/customer/id"; '
        "* is any member or item"
    )  # fmt: skip
    forms: bool = Field(
        False,
        description="Whether bodies may be HTML forms, which are not looked into; where the number is in the path alone",
    )
    answer: tuple[str, ...] = Field(
        (), description='Where in the answer\'s JSON customers\' numbers stand, such as "/items/*/customer": all of them must be the '
        "caller's, else nothing is given"
    )  # fmt: skip
    fields: dict[str, Level] = Field(
        {}, description='Parts of the answer\'s JSON that need another level, by pointer: {"/phones" = 3, "/cards/*/number" = 3}; '
        "what the caller's level does not cover is taken out. The nearest pointer counts; \"\" is all that no other one names"
    )  # fmt: skip
    headers: tuple[str, ...] = Field(
        (), description='Headers of the answer, such as "X-Total-Count", that go back beside the usual ones although fields or answer is '
        "there: they have nothing of a customer in them"
    )  # fmt: skip

    @property
    def segments(self) -> tuple[str, ...]:
        """Those of the path."""
        return segments(self.path)

    @property
    def reads_answer(self) -> bool:
        """Whether an answer must be JSON, and is read whole."""
        return bool(self.answer or self.fields)

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        check_path(self.path, number=True)
        for name in ("body", "answer", "fields"):
            _check_pointers(name, getattr(self, name))
        if not all(map(_HEADER.fullmatch, self.headers)):
            raise ValueError(
                'headers has something that is no name of a header. Write names alone, such as "X-Total-Count"'
            )
        if self.headers and not self.reads_answer:
            raise ValueError("headers is there, and neither fields nor answer: all of them go back. Leave it out")
        if not (NUMBER in self.segments or self.query or self.body or self.answer):
            raise ValueError(
                "nothing says where the customer's number stands. Write {number} into path, or name it in query, body or answer"
            )
        if self.body and "GET" in self.methods:
            raise ValueError("body is there, and GET has none. Write a pattern of its own for GET")
        if self.answer and self.methods != ("GET",):
            raise ValueError('answer is there, and what is changed cannot be taken back. Write methods = ["GET"]')
        if self.forms and (self.query or self.body):
            raise ValueError("forms are not looked into, and query or body has the number. Leave out one of them")
        return self


def segments(path: str) -> tuple[str, ...]:
    """Of a path that `check_path` has seen; of `/`, none."""
    return tuple(path.split("/")[1:]) if path != "/" else ()


def check_path(path: str, *, number: bool) -> None:
    """Raises `ValueError` for what is no path as patterns have it. `number`: it may have `{number}`."""
    *first, last = segments(path) or ("x",)
    well = path.startswith("/") and all(map(_SEGMENT.fullmatch, first)) and (last == "**" or _SEGMENT.fullmatch(last))
    if not well or (not number and NUMBER in path):
        raise ValueError(
            "a path has something in it that servers may read in two ways. Write plain segments, * and, at the end, **"
        )


def _check_pointers(name: str, pointers: Iterable[str]) -> None:
    for pointer in pointers:
        if _POINTER.fullmatch(pointer) is None or "-" in pointer.split("/"):
            raise ValueError(
                f"{name} has something that is no pointer of RFC 6901 to something that is there. Write /a/b, or /a/*/b"
            )


Free = Annotated[str, Field(pattern=r"^(?:(?:GET|POST|PUT|PATCH|DELETE)\x20)?/\S*$")]
"""A path that needs no customer: for GET and HEAD, or for the method before it."""
