"""The settings of e-mail."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from ivr.config.clear import CaFile, PlainText, refuse_clear
from ivr.config.section import Section


class Mail(Section):
    """E-mail, by a mail server that takes it from us (RFC 6409)."""

    host: str | None = Field(
        None,
        pattern=r"^[^\s/@]+$",
        description='The mail server, such as "smtp.example.com"; left out, there is no e-mail',
    )
    port: int = Field(587, ge=1, le=65535, description="Its port: 587 with starttls, 465 with implicit")
    tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls", description='How it goes encrypted (RFC 8314); "none" on this machine alone, unless plain_text'
    )
    plain_text: PlainText = False
    ca_file: CaFile = None
    username: str | None = Field(None, min_length=1, description="Our username there; left out, we do not sign in")
    password_file: Path | None = Field(None, description="A file of mode 0600 that holds the password and nothing else")
    password_env: str | None = Field(None, description="Or the environment variable that holds it")
    sender: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._+-]+@([A-Za-z0-9-]+\.)+[A-Za-z0-9-]+$",
        description='Who it is from, such as "calls@example.com"; the company\'s name stands before it',
    )  # fmt: skip
    seconds: float = Field(10.0, ge=0.5, le=60, description="Seconds in which it must have taken a message")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.host is None:
            return self
        if self.sender is None:
            raise ValueError("host is there, and sender is not. Write an address of yours")
        if self.tls == "none":
            refuse_clear(self.host, accepted=self.plain_text, cure='Write tls = "starttls"')
        if (self.username is None) is not (self.password_file is None and self.password_env is None):
            raise ValueError("one of username and the password is left out. Name both, or neither")
        return self
