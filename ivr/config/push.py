"""The settings of messages to browsers and apps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, IPvAnyAddress, model_validator

from ivr.config.clear import CaFile
from ivr.config.section import Section
from ivr.config.told import Told

Host = Annotated[str, Field(pattern=r"^(\*\.)?([a-z0-9-]+\.)+[a-z][a-z0-9-]*$")]


class Push(Section):
    """Web Push: messages to browsers that have agreed to them (RFC 8030)."""

    vapid_key_file: Path | None = Field(
        None,
        description="The file of the key that says to push services who we are (RFC 8292; PEM, P-256): mode 0600; left out, there is no Web Push",
    )
    subject: str | None = Field(
        None, pattern=r"^(mailto:[^@\s]+@[^@\s]+|https://\S+)$",
        description='Whom a push service writes to where something is wrong with what we send: "mailto:ops@example.com", or an https address',
    )  # fmt: skip
    hosts: tuple[Host, ...] = Field(
        (
            "fcm.googleapis.com", "updates.push.services.mozilla.com", "*.push.services.mozilla.com", "*.push.apple.com",
            "*.notify.windows.com",
        ),
        description="The browsers' push services, which alone are connected to; *. stands for one label or more",
    )  # fmt: skip
    seconds: float = Field(5.0, ge=0.5, le=30, description="Seconds in which a push service must answer")
    ca_file: CaFile = None
    allow_private: tuple[IPvAnyAddress, ...] = Field(
        (), description='Private addresses that it may be at, such as "10.0.0.5": no others are connected to'
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.vapid_key_file is not None and self.subject is None:
            raise ValueError("vapid_key_file is there, and subject is not. Name a mailbox that somebody reads")
        return self


class App(Told):
    """An app's server that is told of a proof for one of its users (Standard Webhooks): our own, or a partner's."""

    seconds: float = Field(5.0, ge=0.5, le=30, description="Seconds in which it must answer")
