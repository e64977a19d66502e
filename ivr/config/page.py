"""The settings of the public page, on which the company shows a person who it is."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, IPvAnyNetwork, field_validator, model_validator

from ivr.config.metrics import Metrics
from ivr.config.section import Section
from ivr.config.served import Served

_COLOUR = r"^#[0-9A-Fa-f]{6}$"


class Brand(Section):
    """What the page looks like, so that people know it again."""

    colour: str = Field("#1d3d63", pattern=_COLOUR, description='The company\'s own colour, such as "#1d3d63"')
    on_colour: str = Field("#ffffff", pattern=_COLOUR, description="The colour of letters on it")
    logo_file: Path | None = Field(None, description="The company's mark: a PNG of 8 kB at most")
    phone: str | None = Field(
        None,
        min_length=3,
        max_length=30,
        description="The number that people may call the company by, as it is to be shown",
    )
    site: str | None = Field(
        None,
        min_length=3,
        max_length=60,
        description='The company\'s own site, as it is to be shown, such as "example.com"',
    )


class Page(Served):
    """The public page, a process of its own that faces the internet. It has no password of the database, and no key of customers' data."""

    listen: str | None = Field(
        None, description='Address and port, such as "127.0.0.1:8445"; left out, there is no page'
    )
    url: str | None = Field(
        None, pattern=r"^https?://[^/?#@\s]+$",
        description='What people open, such as "https://id.example.com", with nothing behind; left out, the company cannot prove who it is. '
        "http:// on this machine alone, unless plain_text",
    )  # fmt: skip
    key_file: Path = Field(
        Path("keys/page.key"),
        description="The file of the page's own key: mode 0600, made by `init`. Desk, worker and page have the same one",
    )
    redis_username: str = Field("tillit-page", description="The page's own user at Redis, who may do little")
    redis_password_file: Path | None = Field(
        None, description="A file that holds that user's password and nothing else"
    )
    redis_password_env: str | None = Field(None, description="Or the environment variable that holds it")
    per_address_minute: int = Field(
        60, ge=10, le=100_000,
        description="Requests of one address in a minute, a fifth of them such that send something; an IPv6 address counts by its /64, and its /56 and /48 may have three and eight times as many",
    )  # fmt: skip
    per_minute: int = Field(6000, ge=100, le=1_000_000, description="Requests of all addresses in a minute")
    # of a hundred million codes few are good at a time: at a thousand tries one of a thousand such hours hits upon one
    codes_per_hour: int = Field(
        1000, ge=10, le=100_000, description="Short codes that may be keyed in an hour, right or wrong"
    )
    codes_of_one_per_hour: int = Field(30, ge=5, le=10_000, description="Of those, from one address")
    checks_of_one_per_hour: int = Field(
        10,
        ge=5,
        le=1000,
        description="How often one address may ask in an hour whether it was the company that has called",
    )
    checks_per_hour: int = Field(300, ge=10, le=100_000, description="The same of all addresses")
    reports_per_minute: int = Field(
        6000,
        ge=20,
        le=1_000_000,
        description="Reports of gateways and call-backs that are taken of all addresses in a minute",
    )
    # a gateway reports a text three times, some from one address alone, and a busy second of calls at once
    reports_of_one_per_minute: int = Field(
        2000,
        ge=10,
        le=1_000_000,
        description="Of those, from one address; never more than half of them, of an IPv6 /56 or /48 neither",
    )
    reports_from: tuple[IPvAnyNetwork, ...] = Field(
        (), description='Addresses and networks that your gateways report from, such as "192.0.2.0/24": reports_per_minute is counted for them together, apart from all others',
    )  # fmt: skip
    timezone: str | None = Field(
        None,
        description='Where the clock is that times are shown by, such as "Europe/Stockholm"; left out, this machine\'s',
    )
    connections: int = Field(2000, ge=10, le=50_000, description="Connections at once")
    connections_of_one: int = Field(
        100, ge=1, le=50_000, description="Of those, from one address that is not one of allow_proxies"
    )
    shutdown_seconds: int = Field(
        5, ge=1, le=60, description="Seconds in which requests that are being answered may come to their end"
    )
    brand: Brand = Field(default_factory=Brand, description="The company's own look")
    metrics: Metrics = Field(default_factory=Metrics, description="What monitoring reads of the page")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, timezone: str | None) -> str | None:
        if timezone is not None:
            try:
                ZoneInfo(timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(
                    'is no time zone that this machine knows. Write one such as "Europe/Stockholm"'
                ) from None
        return timezone

    @model_validator(mode="after")
    def _user_of_its_own(self) -> Self:
        if self.listen is not None and self.redis_password_file is None and self.redis_password_env is None:
            raise ValueError(
                "listen is there, and the password of the page's own user at Redis is not. Name redis_password_file"
            )
        return self
