"""The settings of the FastAGI server, for dialplans that speak AGI."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, IPvAnyAddress

from ivr.config.listening import Listening
from ivr.config.section import Name


class Agi(Listening):
    """FastAGI, an entry for dialplans that speak AGI. AGI has no password: this machine and the addresses in `allow` are served."""

    peers: ClassVar[str] = "Asterisks"

    listen: str | None = Field(
        None, description='Address and port, such as "127.0.0.1:4573"; left out, there is no FastAGI server'
    )
    allow: tuple[IPvAnyAddress, ...] = Field(
        (), description='Addresses of your Asterisks, such as ["10.0.0.5"], where they are on other machines'
    )
    policy: Name | None = Field(None, description="The policy where AGI() names none")
