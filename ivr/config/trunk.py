"""What settings say of a trunk that calls go out by."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field


def _no_dialplan(dial: str) -> str:
    if dial.lower().startswith("local/"):
        raise ValueError("is a Local channel: the number would stand in the CDR and in the log. Name the trunk")
    return dial


DIAL = r"^[A-Za-z0-9]+/[^\s,&|{}]*\{number\}[^\s,&|{}]*$"
"""The pattern of a `DialString`; it stands at the field, for the documentation to have it."""
DialString = Annotated[str, AfterValidator(_no_dialplan)]
"""How Asterisk calls somebody, with {number} in the number's place."""

E164 = r"^\+[1-9][0-9]{4,14}$"
"""The pattern of a `Number`."""
Number = Annotated[str, Field(pattern=E164)]
