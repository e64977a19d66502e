"""The settings of a program that is told of what happens: where it is, and the secret that it knows us by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, IPvAnyAddress, model_validator

from ivr.config.clear import CaFile, loopback, parts_of
from ivr.config.section import Section


class Told(Section):
    """What all of them have (Standard Webhooks)."""

    url: Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+(/[^#\s]*)?$")] = Field(
        description='Where it is told, such as "https://crm.example.com/hooks/calls"; http:// on this machine alone'
    )
    secret_file: Path | None = Field(
        None,
        description="A file of mode 0600 that holds its secret, whsec_ and Base64, as `webhooks secret` makes one; "
        "on a second line may stand another one, with which is signed as well, while the one takes the other's place",
    )
    secret_env: str | None = Field(None, description="Or the environment variable that holds it")
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
