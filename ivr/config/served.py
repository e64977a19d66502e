"""What a table needs that has browsers come: where it listens, what they call it, and how they come in safety."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, IPvAnyAddress, model_validator

from ivr.config.clear import PlainText, loopback, parts_of, refuse_clear
from ivr.config.listening import Listened, split

_BY_TLS = "Name tls_certificate_file and tls_key_file, or listen on 127.0.0.1 behind a proxy that speaks TLS"


class Served(Listened):
    """A table with an address that browsers open."""

    url: str | None = Field(
        None, pattern=r"^https?://[^/?#@\s]+$",
        description='What browsers call it, such as "https://desk.example.com", with nothing behind; '
        "http:// on this machine alone, unless plain_text",
    )  # fmt: skip
    tls_certificate_file: Path | None = Field(
        None,
        description="The file of its certificate and of those up to the CA (PEM), where no proxy before it speaks TLS",
    )
    tls_key_file: Path | None = Field(None, description="The file of that certificate's key (PEM): mode 0600")
    plain_text: PlainText = False
    allow_proxies: tuple[IPvAnyAddress, ...] = Field(
        (), description='Addresses of proxies before it, such as ["127.0.0.1"]: from them alone X-Forwarded-For counts'
    )

    @model_validator(mode="after")
    def _reached_safely(self) -> Self:
        if (self.tls_certificate_file is None) is not (self.tls_key_file is None):
            raise ValueError("one of tls_certificate_file and tls_key_file is left out. Name both, or neither")
        url = parts_of(self.url) if self.url else None
        if self.url and (url is None or not url.hostname):
            raise ValueError("url has no host that can be read. Write https://HOST or https://HOST:PORT")
        if url is not None and url.scheme == "http":
            if self.tls_key_file is not None:
                raise ValueError("url begins with http://, but there is a certificate. Write https://")
            refuse_clear(url.hostname, accepted=self.plain_text, cure="Write https:// in url")
        if self.listen is None:
            return self
        if self.url is None:
            raise ValueError("listen is there, and url is not. Write what browsers call it, https://HOST")
        if self.tls_key_file is None and not self.plain_text and not loopback(split(self.listen)[0]):
            raise ValueError(f"listen is not a loopback address, and would be spoken to in clear. {_BY_TLS}")
        return self
