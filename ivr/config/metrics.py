"""The settings of what monitoring reads."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, IPvAnyAddress

from ivr.config.listening import Listening


class Metrics(Listening):
    """What monitoring reads: /metrics for Prometheus, /healthz and /readyz. It has no password: this machine and the addresses in `allow` are answered."""

    peers: ClassVar[str] = "Prometheus"

    # None, not an address: of several workers on a machine all but one would fail to start
    listen: str | None = Field(
        None,
        description='Address and port, such as "127.0.0.1:9469", of its own for each process; left out, nothing is listened on',
    )
    allow: tuple[IPvAnyAddress, ...] = Field(
        (), description='Addresses of your Prometheus, such as ["10.0.0.9"], where it is on another machine'
    )
