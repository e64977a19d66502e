"""Web Push (RFC 8030): encrypted for one browser (RFC 8291), and signed as ours (RFC 8292).

The push service sees to whom a message goes and how long it is, never what is in it.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Self
from urllib.parse import urlsplit

import http_ece  # type: ignore[import-untyped]
import orjson
from aiohttp.abc import AbstractResolver
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from structlog.typing import FilteringBoundLogger
from yarl import URL

from ivr.config import Push, Settings, secret_of, tls
from ivr.errors import ConfigError, NobodyThere, PushError
from ivr.outward.address import Addresses
from ivr.outward.client import Client, Request
from ivr.secret import Secret

MOST = 3993
"""Bytes of a message: what every push service takes (RFC 8030 7.2), less what encrypting adds (RFC 8291 4)."""

# Seconds that a signature is good (RFC 8292 2: 24 hours at most).
_SIGNED = 3600
_GONE = (404, 410)
_HOST = re.compile(r"[a-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where a browser has agreed to messages. Whoever has `endpoint` and nothing else cannot send any."""

    endpoint: Secret
    host: str
    key: bytes = field(repr=False)
    auth: bytes = field(repr=False)

    @classmethod
    def read(cls, text: Secret, hosts: Iterable[str]) -> Self | None:
        """As a browser tells it (Push API 8: `PushSubscription.toJSON`); None for what is none, or is at another host.

        What a browser tells is whatever somebody has sent: that a server of ours is asked at an address of theirs is what `hosts` is for.
        """
        try:
            match orjson.loads(text.reveal()):
                case {"endpoint": str(endpoint), "keys": {"p256dh": str(key), "auth": str(auth)}}:
                    parts = urlsplit(endpoint)
                    good = parts.scheme == "https" and parts.netloc == parts.hostname
                    host = parts.hostname or ""
                    if (
                        not good
                        or not _HOST.fullmatch(host)
                        or len(endpoint) > 1000
                        or not any(fnmatchcase(host, one) for one in hosts)
                    ):
                        return None
                    point = _bytes(key)
                    ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
                    made = cls(Secret(endpoint), host, point, _bytes(auth))
                    return made if len(made.auth) == 16 else None
                case _:
                    return None
        except ValueError:
            return None


class WebPush:
    """Sends to browsers. One exchange a message; nothing is kept."""

    def __init__(
        self, rules: Push, key: ECKey, trusted: ssl.SSLContext, log: FilteringBoundLogger,
        resolver: AbstractResolver | None = None, *, wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._rules = rules
        self._key = key
        self._trusted = trusted
        self._log = log
        self._resolver = resolver
        self._wall = wall
        point = key.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public = base64.urlsafe_b64encode(point).rstrip(b"=").decode()
        """What a page subscribes with (`applicationServerKey`)."""

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger, resolver: AbstractResolver | None = None) -> Self | None:
        """By the settings; None where there is none. Raises `ConfigError` for a file that cannot be used."""
        rules = settings.push
        text = secret_of(settings, "[push] vapid_key", rules.vapid_key_file, None)
        if text is None:
            return None
        try:
            key = ECKey.import_key(text.reveal())
            if not key.is_private or key.curve_name != "P-256":
                raise ValueError("another key")
        except (JoseError, ValueError, TypeError):
            raise ConfigError(
                f"{settings.file}: [push] vapid_key_file", "holds no private key of P-256 in PEM",
                "Make one with: openssl ecparam -name prime256v1 -genkey -noout",
            ) from None  # fmt: skip
        return cls(rules, key, tls.context(settings, "[push]", rules.ca_file), log, resolver)

    def is_subscription(self, said: Secret) -> bool:
        """Whether this is what a browser tells, at a push service of the settings."""
        return Subscription.read(said, self._rules.hosts) is not None

    async def tell(self, said: Secret, message: Secret, *, seconds: int) -> None:
        """As `send`, to a browser as it has told of itself; the settings may name its push service no longer."""
        to = Subscription.read(said, self._rules.hosts)
        if to is None:
            raise PushError("push: [push] hosts does not name the browser's push service")
        await self.send(to, message, seconds=seconds)

    async def send(self, to: Subscription, message: Secret, *, seconds: int) -> None:
        """Hand a message over, to be shown within so many seconds; returns when the push service has taken it.

        Raises `NobodyThere` where the browser has ended its subscription, else `PushError`.
        """
        if len(message.reveal().encode()) > MOST:
            raise PushError("push: the message is too long")
        headers = {
            "Content-Encoding": Secret("aes128gcm"), "Content-Type": Secret("application/octet-stream"),
            "TTL": Secret(str(seconds)), "Urgency": Secret("high"), "Authorization": self._signed(to.host),
        }  # fmt: skip
        body = http_ece.encrypt(
            message.reveal().encode(), private_key=ec.generate_private_key(ec.SECP256R1()), dh=to.key,
            auth_secret=to.auth, version="aes128gcm",
        )  # fmt: skip
        client = Client(
            "push", URL(to.endpoint.reveal(), encoded=True), Addresses(self._rules.allow_private), self._log,
            self._resolver, tls=self._trusted, error=PushError,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._rules.seconds):
                answer = await client.send(Request(headers, body))
        except TimeoutError:
            raise PushError(f"push: {to.host} did not answer in time") from None
        except PushError as error:
            raise PushError(f"push: {to.host}: {error}") from None
        finally:
            await client.close()
        if answer.status in _GONE:
            raise NobodyThere(f"push: {to.host}: the browser has ended it (status {answer.status})")
        if not answer.good:
            raise PushError(f"push: {to.host} did not take the message (status {answer.status})")

    def _signed(self, host: str) -> Secret:
        claims = {"aud": f"https://{host}", "exp": int(self._wall()) + _SIGNED, "sub": self._rules.subject}
        token = jwt.encode({"alg": "ES256", "typ": "JWT"}, claims, self._key)
        return Secret(f"vapid t={token}, k={self.public}")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
