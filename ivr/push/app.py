"""An app's server, our own or a partner's, that shows a proof to one of its users: a signed message (Standard Webhooks)."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from secrets import token_urlsafe
from typing import Self

import orjson
from aiohttp.abc import AbstractResolver
from standardwebhooks import Webhook as Signature
from structlog.typing import FilteringBoundLogger
from yarl import URL

from ivr.config import App, Settings, secrets_of, tls
from ivr.config.clear import loopback
from ivr.errors import ConfigError, NobodyThere, PushError
from ivr.outward.address import Addresses
from ivr.outward.client import Client, Request
from ivr.outward.webhook import is_secret
from ivr.secret import Personal, Secret

KIND = "proof.asked"
"""The `type` of the message."""

_GONE = (404, 410)


class AppServer:
    """One of `[apps.NAME]`. What it answers is not read but for its status."""

    def __init__(
        self, name: str, rules: App, secrets: Sequence[Secret], trusted: ssl.SSLContext, log: FilteringBoundLogger,
        resolver: AbstractResolver | None = None, *, wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._name = name
        self._seconds = rules.seconds
        self._secrets = tuple(secrets)
        self._wall = wall
        url = URL(rules.url)
        # its own host, where that is this machine
        own = (IPv4Address("127.0.0.1"), IPv6Address("::1")) if loopback(url.host or "") else ()
        self._client = Client(
            name, url, Addresses([*rules.allow_private, *own]), log, resolver, tls=trusted, error=PushError
        )  # fmt: skip

    @classmethod
    def of(
        cls, settings: Settings, name: str, log: FilteringBoundLogger, resolver: AbstractResolver | None = None
    ) -> Self:
        """Raises `ConfigError` where a file cannot be read, a secret is none, or it is at an address that it may not be at."""
        rules = settings.apps[name]
        place = f"[apps.{name}]"
        found = secrets_of(settings, f"{place} secret", rules.secret_file, rules.secret_env, least=32)
        if not all(is_secret(one) for one in found):
            raise ConfigError(
                f"{settings.file}: {place} secret_{'file' if rules.secret_env is None else 'env'}", "is not whsec_ and Base64",
                "Type: ari_app.py webhooks secret > FILE",
            )  # fmt: skip
        return cls(name, rules, found, tls.context(settings, place, rules.ca_file), log, resolver)

    def shares(self, other: AppServer) -> bool:
        """Whether both check what they are told by one secret: either could then speak to the other in our name."""
        return any(one == two for one in self._secrets for two in other._secrets)

    async def ask(self, user: Personal, link: Secret, company: str, until: int) -> None:
        """Have the app show this user that the company has something to prove, by opening the link, until then (seconds since the epoch).

        `user`: what the app calls the person. Returns when its server has taken it. Raises `NobodyThere` where it knows no such
        user, else `PushError`.
        """
        now = int(self._wall())
        at = datetime.fromtimestamp(now, UTC)
        named = f"msg_{token_urlsafe(16)}"
        said = {"company": company, "expires": until}
        body = Secret(
            orjson.dumps(
                {
                    "type": KIND, "timestamp": at.isoformat().replace("+00:00", "Z"),
                    "data": {**said, "user": user.reveal(), "link": link.reveal()},
                }
            ).decode()
        )  # fmt: skip
        signatures = Secret(" ".join(Signature(one.reveal()).sign(named, at, body.reveal()) for one in self._secrets))
        headers = {
            "Content-Type": Secret("application/json"), "webhook-id": Secret(named),
            "webhook-timestamp": Secret(str(now)), "webhook-signature": signatures,
        }  # fmt: skip
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._client.send(Request(headers, body))
        except TimeoutError:
            raise PushError(f"{self._name}: it did not answer in time") from None
        except PushError as error:
            raise PushError(f"{self._name}: {error}") from None
        if answer.status in _GONE:
            raise NobodyThere(f"{self._name}: it knows no such user (status {answer.status})")
        if not answer.good:
            raise PushError(f"{self._name}: it did not take the message (status {answer.status})")

    async def reach(self) -> None:
        """Connect to it, and tell nothing. Raises `PushError`."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._client.reach()
        except TimeoutError:
            raise PushError(f"{self._name}: it did not answer in time") from None
        except PushError as error:
            raise PushError(f"{self._name}: {error}") from None

    async def close(self) -> None:
        """End what is open."""
        await self._client.close()


def servers(settings: Settings, names: Iterable[str], log: FilteringBoundLogger) -> dict[str, AppServer]:
    """Those of these tables. Raises `ConfigError` as `AppServer.of`, and where two have one secret."""
    found: dict[str, AppServer] = {}
    for name in names:
        made = AppServer.of(settings, name, log)
        if (same := next((one for one, server in found.items() if server.shares(made)), None)) is not None:
            field = "secret_file" if settings.apps[name].secret_env is None else "secret_env"
            raise ConfigError(
                f"{settings.file}: [apps.{name}] {field}", f"is that of [apps.{same}]: each could speak to the other in our name",
                "Type: ari_app.py webhooks secret > FILE",
            )  # fmt: skip
        found[name] = made
    return found
