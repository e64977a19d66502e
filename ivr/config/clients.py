"""The settings of programs that speak to the desk by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ivr.config.section import Name, Section
from ivr.config.tokens import Audience

# as browsers say it: no path, no default port, lower case
Origin = Annotated[str, Field(pattern=r"^https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$")]
Scope = Literal["calls", "verify", "drop", "record"]


class Client(Section):
    """A program that speaks to the desk by itself, such as a CRM's server; it says who it is by its name here, and a secret."""

    secret_file: Path | None = Field(
        None,
        description="A file of mode 0600 that holds its secret, 32 characters at least; "
        "on a second line may stand another one, which is as good: the next, or the one before",
    )
    secret_env: str | None = Field(None, description="Or the environment variable that holds it")
    audiences: tuple[Audience, ...] = Field(
        (), description="Which of [tokens] audiences it is: of tokens for these it may ask whether they still hold"
    )
    tenants: tuple[Name, ...] = Field(
        ("main",), min_length=1,
        description="Whose program it is: it gets an element's token for their agents alone, and of tokens it is told what theirs say",
    )  # fmt: skip
    origins: tuple[Origin, ...] = Field(
        (), description='Whose pages may hold <caller-auth>, such as ["https://crm.example.com"]; left out, none'
    )
    may: tuple[Scope, ...] = Field(
        ("calls", "verify", "drop"),
        description="What such a page may do for its agent: see the own calls, have a caller verified, take the mark away; "
        '"record" besides: read what the mark covers',
    )
    element_minutes: int = Field(
        30, ge=1, le=600,
        description="Minutes after which such a page needs a new token; its agent's session may end before",
    )  # fmt: skip
    per_minute: int = Field(6000, ge=10, le=1_000_000, description="Requests of this program in a minute")
