"""Which connections may go in clear."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import Field

PlainText = Annotated[
    bool,
    Field(
        description="Lets it go in clear to another machine, where whoever is on the way reads along and can change it; "
        "for networks that are encrypted themselves"
    ),
]
CaFile = Annotated[
    Path | None,
    Field(
        description="With TLS: the file of the CA's certificate (PEM), where it is not one that this machine trusts anyway"
    ),
]

ACCEPTED = "plain_text = true where the way there is encrypted itself"
"""The other cure of what would go in clear."""


def loopback(host: str) -> bool:
    """Whether it is this machine itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def parts_of(url: str) -> SplitResult | None:
    """None for what is no address at all: who connects will say so."""
    try:
        return urlsplit(url)
    except ValueError:
        return None


def refuse_clear(host: str | None, *, accepted: bool, cure: str) -> None:
    """Raises `ValueError` where this connection would leave the machine in clear, and nobody has accepted that."""
    if host and not accepted and not loopback(host):
        raise ValueError(f"would go in clear to another machine. {cure}; or {ACCEPTED}")
