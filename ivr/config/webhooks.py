"""The settings of webhooks: who is told, at which address, of what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, IPvAnyAddress, model_validator

from ivr.config.clear import CaFile, loopback, parts_of
from ivr.config.section import Name, Section

Kind = Literal["call.verified", "call.refused", "mark.ended", "proof.confirmed", "proof.denied"]


class Webhook(Section):
    """A program that is told what becomes of calls, as it happens (Standard Webhooks). The desk tells it."""

    url: Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+(/[^#\s]*)?$")] = Field(
        description='Where it is told, such as "https://crm.example.com/hooks/calls"; http:// on this machine alone'
    )
    secret_file: Path | None = Field(
        None,
        description="A file of mode 0600 that holds its secret, whsec_ and Base64, as `webhooks secret` makes one; "
        "on a second line may stand another one, with which is signed as well, while the one takes the other's place",
    )
    secret_env: str | None = Field(None, description="Or the environment variable that holds it")
    events: tuple[Kind, ...] = Field(
        ("call.verified", "call.refused", "mark.ended"), min_length=1, description="Of what it is told"
    )
    tenants: tuple[Name, ...] = Field(
        ("main",), min_length=1,
        description="Of whose calls: those that a policy of theirs verifies",
    )  # fmt: skip
    seconds: int = Field(10, ge=1, le=30, description="Seconds after which it counts as not told")
    # as long as over a weekend
    give_up_hours: int = Field(
        72, ge=1, le=720,
        description="Hours after which no more is tried, and the message is kept aside for `webhooks retry`",
    )  # fmt: skip
    ca_file: CaFile = None
    allow_private: tuple[IPvAnyAddress, ...] = Field(
        (), description='Private addresses that it may be at, such as "10.0.0.5": no others are connected to'
    )

    @model_validator(mode="after")
    def _reached_safely(self) -> Self:
        url = parts_of(self.url)
        if url is None or not url.hostname:
            raise ValueError("url has no host that can be read. Write https://HOST/PATH")
        if url.scheme == "http" and not loopback(url.hostname):
            raise ValueError("url would go in clear to another machine. Write https://")
        return self
