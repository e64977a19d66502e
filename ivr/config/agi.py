"""The settings of the FastAGI server, for dialplans that speak AGI."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Self

from pydantic import Field, IPvAnyAddress, field_validator, model_validator

from ivr.config.section import Name, Section

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<four>[0-9.]+)):(?P<port>[0-9]{1,5})")


def split(listen: str) -> tuple[str, int]:
    """Address and port of `10.0.0.5:4573` or `[::1]:4573`; raises `ValueError`, whose text an administrator reads."""
    found = _LISTEN.fullmatch(listen)
    if found is None:
        raise ValueError("is not ADDRESS:PORT, with the digits of the address")
    address, port = found["six"] or found["four"], int(found["port"])
    try:
        ip_address(address)
    except ValueError:
        raise ValueError("does not begin with an IP address") from None
    if not 1 <= port <= 65535:
        raise ValueError("ends with a port that is not between 1 and 65535")
    return address, port


class Agi(Section):
    """FastAGI, an entry for dialplans that speak AGI. AGI has no password: this machine and the addresses in `allow` are served."""

    listen: str | None = Field(
        None, description='Address and port, such as "127.0.0.1:4573"; left out, there is no FastAGI server'
    )
    allow: tuple[IPvAnyAddress, ...] = Field(
        (), description='Addresses of your Asterisks, such as ["10.0.0.5"], where they are on other machines'
    )
    policy: Name | None = Field(None, description="The policy where AGI() names none")

    @field_validator("listen")
    @classmethod
    def _address_and_port(cls, listen: str | None) -> str | None:
        if listen is not None:
            split(listen)
        return listen

    @model_validator(mode="after")
    def _who_may_come(self) -> Self:
        if self.listen is not None and not ip_address(split(self.listen)[0]).is_loopback and not self.allow:
            raise ValueError(
                "listen is not a loopback address, and AGI has no password."
                " List the addresses of your Asterisks in allow, or listen on 127.0.0.1"
            )
        return self
