"""The settings of what monitoring reads."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Self

from pydantic import Field, IPvAnyAddress, field_validator, model_validator

from ivr.config.agi import split
from ivr.config.section import Section


class Metrics(Section):
    """What monitoring reads: /metrics for Prometheus, /healthz and /readyz. It has no password: this machine and the addresses in `allow` are answered."""

    # None, not an address: of several workers on a machine all but one would fail to start
    listen: str | None = Field(
        None, description='Address and port, such as "127.0.0.1:9469"; left out, nothing is listened on'
    )
    allow: tuple[IPvAnyAddress, ...] = Field(
        (), description='Addresses of your Prometheus, such as ["10.0.0.9"], where it is on another machine'
    )

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
                "listen is not a loopback address, and there is no password."
                " List the addresses of your Prometheus in allow, or listen on 127.0.0.1"
            )
        return self
