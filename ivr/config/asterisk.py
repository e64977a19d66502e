"""The settings of an Asterisk, as one worker reaches it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from ivr.config.section import Name, Section


class AmiSettings(Section):
    """The node's manager interface (AMI): who is idle, ringing or busy. Left out, nothing but that is missing."""

    # It is not encrypted, and whoever answers at a port could be anybody.
    host: Literal["127.0.0.1", "::1", "localhost"] = Field(
        "127.0.0.1", description="Where manager.conf lets it be reached; this machine alone, for AMI is not encrypted"
    )
    port: int = Field(5038, ge=1, le=65535, description="Its port there")
    username: Name = Field("tillit", description="The user in manager.conf")
    password_file: Path | None = Field(None, description="A file that holds the user's secret and nothing else")
    password_env: str | None = Field(None, description="Or the environment variable that holds it")
    seconds: float = Field(5.0, gt=0, le=60, description="Seconds after which an action counts as failed")


class Asterisk(Section):
    """The node's REST interface (ARI)."""

    url: str = Field(
        "http://127.0.0.1:8088/ari", pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$",
        description="Where http.conf and ari.conf let it be reached, without user and password",
    )  # fmt: skip
    username: Name = Field("tillit", description="The user in ari.conf")
    password_file: Path | None = Field(None, description="A file that holds the user's password and nothing else")
    password_env: str | None = Field(None, description="Or the environment variable that holds it")
    app: Name = Field("tillit", description="The name that the dialplan gives to Stasis()")
    request_seconds: float = Field(5.0, gt=0, le=60, description="Seconds after which a request counts as failed")
    accept_version: str | None = Field(
        None, description='An exact version, such as "20.19.0", that you accept although it is too old or unsafe'
    )
    ami: AmiSettings | None = None

    @property
    def address(self) -> str:
        """The URL as it compares: two ways to write one address are the same."""
        try:
            url = urlsplit(self.url)
            port = url.port or (443 if url.scheme == "https" else 80)
        except ValueError:
            return self.url  # no address at all: who connects will say so
        return f"{url.hostname}:{port}{url.path.rstrip('/')}"
