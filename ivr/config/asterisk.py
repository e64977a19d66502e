"""The settings of an Asterisk, as one worker reaches it."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from ivr.config.clear import CaFile, PlainText, parts_of, refuse_clear
from ivr.config.section import Name, Section


class AmiSettings(Section):
    """The node's manager interface (AMI): who is idle, ringing or busy. Left out, nothing but that is missing."""

    host: str = Field(
        "127.0.0.1",
        pattern=r"^[A-Za-z0-9.:_-]+$",
        description="Where manager.conf lets it be reached, without the port",
    )
    port: int = Field(5038, ge=1, le=65535, description="Its port there")
    username: Name = Field("tillit", description="The user in manager.conf")
    password_file: Path | None = Field(None, description="A file that holds the user's secret and nothing else")
    password_env: str | None = Field(None, description="Or the environment variable that holds it")
    tls: bool = Field(
        False, description="Whether it is spoken to by TLS; its port is then tlsbindaddr's, 5039 unless changed"
    )
    ca_file: CaFile = None
    plain_text: PlainText = False
    seconds: float = Field(5.0, gt=0, le=60, description="Seconds after which an action counts as failed")

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if not self.tls:
            refuse_clear(self.host, accepted=self.plain_text, cure="Write tls = true, and tlsenable in manager.conf")
        return self


class DeskAmi(AmiSettings):
    """The node's manager interface, as the desk reaches it (`ari_app.py desk`): who talks with whom. A user of its own."""

    username: Name = Field("tillit-desk", description="The user in manager.conf")


class Asterisk(Section):
    """The node's REST interface (ARI)."""

    url: str = Field(
        "http://127.0.0.1:8088/ari", pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$",
        description="Where http.conf and ari.conf let it be reached, without user and password",
    )  # fmt: skip
    username: Name = Field("tillit", description="The user in ari.conf")
    password_file: Path | None = Field(None, description="A file that holds the user's password and nothing else")
    password_env: str | None = Field(None, description="Or the environment variable that holds it")
    ca_file: CaFile = None
    plain_text: PlainText = False
    app: Name = Field("tillit", description="The name that the dialplan gives to Stasis()")
    request_seconds: float = Field(5.0, gt=0, le=60, description="Seconds after which a request counts as failed")
    accept_version: str | None = Field(
        None, description='An exact version, such as "20.19.0", that you accept although it is too old or unsafe'
    )
    ami: AmiSettings | None = None
    desk: DeskAmi | None = None

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if (url := parts_of(self.url)) and url.scheme == "http":
            refuse_clear(
                url.hostname, accepted=self.plain_text, cure="Write https:// in url, and tlsenable in http.conf"
            )
        return self

    def apps(self, at_once: int) -> tuple[str, ...]:
        """The applications that so many workers serve at once; the first is the one that the dialplan names."""
        return self.app, *(f"{self.app}-{number}" for number in range(2, at_once + 1))

    @property
    def address(self) -> str:
        """The URL as it compares: two ways to write one address are the same."""
        try:
            url = urlsplit(self.url)
            port = url.port or (443 if url.scheme == "https" else 80)
        except ValueError:
            return self.url  # no address at all: who connects will say so
        return f"{url.hostname}:{port}{url.path.rstrip('/')}"
