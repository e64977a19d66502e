"""What the API takes and gives of company to company."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema

from ivr.lock.peering import Proven, Sent
from ivr.secret import Secret
from ivr.web.model import Model

_FORM = "^[0-9]{6}$"
_text = core_schema.str_schema(pattern=_FORM, strict=True)
Digits = Annotated[
    Secret,
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_after_validator_function(Secret, _text)),
    WithJsonSchema({"type": "string", "pattern": _FORM}),
]


class PeerAsked(Model):
    """To whom it is proved who we are. Of department and subject the other organisation is shown what stands here."""

    domain: Annotated[str, Field(min_length=1, max_length=253, strict=True)] = Field(
        description="The other organisation's, such as hospital.example"
    )
    department: Annotated[str, Field(max_length=40, strict=True)] = Field(
        "", description="One of [peers] departments, or empty"
    )
    about: Annotated[str, Field(max_length=80, strict=True)] = Field("", description="On one line, or empty")


class PeerSent(Model):
    """The proof is at the other's desk: say the digits aloud on this call."""

    domain: str = Field(description="As it is shown: in punycode first where it has other letters")
    code: str = Field(description="Six digits, good once")
    until: int = Field(description="When they expire, in seconds since the epoch")


class PeerDigits(Model):
    """What the other has said aloud on this call."""

    code: Digits


class PeerProven(Model):
    """Who is on the call. The domain is proven; all that stands behind it is the other's own word."""

    domain: str = Field(description="As it is shown: in punycode first where it has other letters")
    like: str | None = Field(description="A domain that was known before, which this one looks like and is not")
    first_seen: int = Field(description="Since when the domain is known by its key, in seconds since the epoch")
    agreed: bool = Field(description="Whether somebody has compared its key")
    numbered: bool = Field(
        description="Whether the number that was called is known as the number of whoever was called. Where it is not, somebody who stands between the two is not seen"
    )
    organisation: str
    department: str
    person: str
    about: str


def sent(found: Sent) -> PeerSent:
    """As it is given out."""
    return PeerSent(domain=found.domain, code=found.code.reveal(), until=found.until)


def proven(found: Proven) -> PeerProven:
    """As it is given out."""
    return PeerProven(
        domain=found.domain, like=found.like, first_seen=found.first_seen, agreed=found.agreed, numbered=found.numbered,
        organisation=found.organisation, department=found.department, person=found.person, about=found.about,
    )  # fmt: skip
