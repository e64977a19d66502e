"""One receiver, and what telling it something comes to. What aiohttp raises holds addresses: none of it leaves this file."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from standardwebhooks import Webhook as Signature
from yarl import URL

from ivr import __version__
from ivr.config import Settings, Webhook, tls
from ivr.config.clear import loopback
from ivr.errors import ConfigError
from ivr.outward.address import AddressError, Addresses, Resolver
from ivr.outward.webhook import is_secret
from ivr.secret import Secret

# What it says of when to come again is believed up to this.
_LONGEST_WAIT = 3600.0
_GONE = 410


@dataclass(frozen=True, slots=True)
class Refusal:
    """It was not taken. `wait`: seconds that it asks for; `final`: it will never be."""

    words: str
    wait: float = 0.0
    final: bool = False


class Receiver:
    """One of `[webhooks.NAME]`. No redirects, no proxy, no cookies; certificates checked; what it answers is not read."""

    def __init__(
        self, rules: Webhook, secrets: Sequence[Secret], trusted: ssl.SSLContext, resolver: AbstractResolver | None = None
    ) -> None:  # fmt: skip
        self.rules = rules
        self._url = URL(rules.url)
        self._secrets = tuple(secrets)
        self._trusted = trusted
        self._resolver = resolver
        # its own host, where that is this machine
        own = (IPv4Address("127.0.0.1"), IPv6Address("::1")) if loopback(self._url.host or "") else ()
        self._addresses = Addresses([*rules.allow_private, *own])
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def of(cls, settings: Settings, name: str, rules: Webhook, secrets: Sequence[Secret]) -> Self:
        """Raises `ConfigError` where a file cannot be read, or a secret is none."""
        if not all(is_secret(secret) for secret in secrets):
            raise ConfigError(
                f"{settings.file}: [webhooks.{name}] secret_{'file' if rules.secret_env is None else 'env'}", "is not whsec_ and Base64",
                "Type: ari_app.py webhooks secret > FILE",
            )  # fmt: skip
        return cls(rules, secrets, tls.context(settings, f"[webhooks.{name}]", rules.ca_file))

    async def tell(self, id: str, body: str, now: float) -> Refusal | None:
        """Send it once; None where it was taken. `now`: seconds since the epoch."""
        address = _literal(self._url.host)
        if address is not None and not self._addresses.allows(address):
            return Refusal(_PRIVATE)
        at = datetime.fromtimestamp(int(now), UTC)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": " ".join(Signature(secret.reveal()).sign(id, at, body) for secret in self._secrets),
        }
        try:
            async with self._opened().post(
                self._url, data=body.encode(), headers=headers, allow_redirects=False
            ) as answer:
                return _judged(answer.status, answer.headers.get("Retry-After", ""))
        except TimeoutError:
            return Refusal("it did not answer in time")
        except (aiohttp.ClientError, OSError) as error:
            return Refusal(_words(error))

    async def reach(self) -> str | None:
        """Connect as for a message, and ask for nothing (HEAD /), without a secret; what is wrong where nobody answers."""
        address = _literal(self._url.host)
        if address is not None and not self._addresses.allows(address):
            return _PRIVATE
        try:
            async with self._opened().head(self._url.origin(), allow_redirects=False):
                return None
        except aiohttp.ClientResponseError:
            # it is there, and answers; there are servers that do not know how to answer HEAD
            return None
        except TimeoutError:
            return "it did not answer in time"
        except (aiohttp.ClientError, OSError) as error:
            return _words(error)

    async def close(self) -> None:
        """End what is open."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        """Made at the first message: it belongs to the event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=Resolver(self._resolver or aiohttp.ThreadedResolver(), self._addresses),
                    use_dns_cache=False, force_close=True, ssl=self._trusted,
                ),
                timeout=aiohttp.ClientTimeout(total=self.rules.seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"tillit/{__version__}", "Accept-Encoding": "identity"},
                auto_decompress=False, trust_env=False,
            )  # fmt: skip
        return self._session


_PRIVATE = "its address is a private one, which allow_private does not name"


def _literal(host: str | None) -> IPv4Address | IPv6Address | None:
    for kind in (IPv4Address, IPv6Address):
        try:
            return kind(host or "")
        except ValueError:
            continue
    return None


def _judged(status: int, retry_after: str) -> Refusal | None:
    if 200 <= status <= 299:
        return None
    if 300 <= status <= 399:
        return Refusal(f"it wants to be told elsewhere ({status}); redirects are not followed")
    if status == _GONE:
        return Refusal("it is not there any more (410)", final=True)
    wait = min(float(retry_after), _LONGEST_WAIT) if retry_after.isdecimal() and len(retry_after) < 10 else 0.0
    return Refusal(f"it answered {status}", wait)


def _words(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError(os_error=AddressError()):
            return _PRIVATE
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not good"
        case aiohttp.ClientConnectorSSLError():
            return "it does not speak TLS as it should"
        case aiohttp.ClientConnectorError():
            return "it cannot be connected to"
        case aiohttp.ClientResponseError():
            return "its answer is not HTTP"
        case _:
            return "the connection broke before it answered"
