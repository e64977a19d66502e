"""Ports that are listened on. Of those without a password this machine is served, and the addresses that the settings name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, IPvAnyAddress, field_validator, model_validator

from ivr.config.clear import loopback
from ivr.config.section import Section
from ivr.errors import ConfigError

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


def is_served(host: str, allow: Collection[IPv4Address | IPv6Address]) -> bool:
    """Whether a peer at this address is one of those who are."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address in allow


class Listened(Section):
    """A table with an address to listen on."""

    listen: str | None = Field(None, description="Address and port; left out, nothing is listened on")

    @field_validator("listen")
    @classmethod
    def _address_and_port(cls, listen: str | None) -> str | None:
        if listen is not None:
            split(listen)
        return listen

    @contextmanager
    def bound(self, file: Path, table: str) -> Iterator[None]:
        """What listens on it does so in here; raises `ConfigError` where that cannot be."""
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"{file}: {table} listen", f"{self.listen} cannot be listened on ({error.strerror})",
                "Another program, or another worker, has that port; or the address is not this machine's",
            ) from None  # fmt: skip


class Listening(Listened):
    """One without a password: who may come from other machines."""

    peers: ClassVar[str] = "peers"

    allow: tuple[IPvAnyAddress, ...] = Field((), description="Addresses of peers on other machines")

    @model_validator(mode="after")
    def _who_may_come(self) -> Self:
        if self.listen is not None and not loopback(split(self.listen)[0]) and not self.allow:
            raise ValueError(
                "listen is not a loopback address, and there is no password."
                f" List the addresses of your {self.peers} in allow, or listen on 127.0.0.1"
            )
        return self
