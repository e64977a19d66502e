"""The settings of what keeps things: Redis and the database."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from ivr.config.clear import CaFile, PlainText, loopback, parts_of, refuse_clear
from ivr.config.section import Name, Place, Section

BY_TLS = "Write rediss:// in url, and tls-port in redis.conf"
"""The cure of a Redis in clear."""


class Redis(Section):
    """Counters, codes and marks."""

    url: str = Field(
        "redis://127.0.0.1:6379/0", pattern=r"^(rediss?|unix)://[^@?\s]+$",
        description="redis://HOST:PORT/DB, rediss:// with TLS, or unix:///SOCKET; without a password",
    )  # fmt: skip
    username: str | None = Field(None, description="The user, where Redis has users")
    password_file: Path | None = Field(None, description="A file that holds the password and nothing else")
    password_env: str | None = Field(None, description="Or the environment variable that holds it")
    ca_file: CaFile = None
    plain_text: PlainText = False
    request_seconds: float = Field(2.0, gt=0, le=30, description="Seconds after which a request counts as failed")
    sentinels: tuple[Place, ...] = Field(
        (),
        description='Sentinels that know where Redis is, such as ["10.0.0.1:26379"]: url gives TLS and the database alone',
    )
    sentinel_name: Name = Field("tillit", description="What the sentinels call this Redis (sentinel monitor NAME)")
    sentinel_username: str | None = Field(None, description="The user at the sentinels, where they have users")
    sentinel_password_file: Path | None = Field(None, description="A file that holds the sentinels' password")
    sentinel_password_env: str | None = Field(None, description="Or the environment variable that holds it")
    replicas: int = Field(
        0, ge=0, le=10,
        description="Replicas that must have a count, a code or a mark before it holds, see Sentinels in docs/operations.md for how many",
    )  # fmt: skip
    prefix: Name = Field("tillit", description="What every key begins with")

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if (url := parts_of(self.url)) and url.scheme != "rediss":
            # with sentinels the url says nothing of where; where these lead is looked at when they have said it
            for host in (url.hostname, *(place.rpartition(":")[0] for place in self.sentinels)):
                refuse_clear(host, accepted=self.plain_text, cure=BY_TLS)
        return self


class Database(Section):
    """Customers and the audit trail."""

    url: str = Field(
        "sqlite:///tillit.db", pattern=r"^(sqlite:///[^?\s]+|postgresql://[^@?#\s]+)$",
        description="sqlite:///FILE (beside the TOML file unless it begins with a slash) or postgresql://HOST/NAME",
    )  # fmt: skip
    username: str | None = Field(None, description="The user, for PostgreSQL")
    password_file: Path | None = Field(None, description="A file that holds the password and nothing else")
    password_env: str | None = Field(None, description="Or the environment variable that holds it")
    ca_file: CaFile = None
    plain_text: PlainText = False
    request_seconds: float = Field(5.0, gt=0, le=60, description="Seconds after which a request counts as failed")

    @model_validator(mode="after")
    def _readable(self) -> Self:
        # the driver reads addresses that this program cannot, and would go in clear to whoever is meant
        if self.url.startswith("postgresql:") and parts_of(self.url) is None:
            raise ValueError(
                "url has no host that can be read. Write postgresql://HOST:PORT/NAME, [ ] around IPv6 alone"
            )
        return self

    @property
    def encrypted(self) -> bool:
        """Whether it is spoken to by TLS: wherever it is on another machine, and where a CA is named."""
        url = parts_of(self.url)
        if url is None or url.scheme != "postgresql" or not url.hostname:
            return False
        return self.ca_file is not None or not (self.plain_text or loopback(url.hostname))
