"""What is asked of another organisation's machines: its document, and that it takes a letter."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Self

from aiohttp.abc import AbstractResolver
from structlog.typing import FilteringBoundLogger
from yarl import URL

from ivr.config import Settings, tls
from ivr.errors import PeerError
from ivr.outward.address import Address, Addresses
from ivr.outward.client import Answer, Client, Request
from ivr.peers.wellknown import PATH
from ivr.secret import Secret

_LETTER = {"Content-Type": Secret("application/jwt")}


class Fetcher:
    """By https alone, at public addresses or such as the settings name, by the certificate of the very domain, under limits.

    Every method raises `PeerError` where there is no answer that says yes.
    """

    def __init__(
        self, allow_private: Iterable[Address], trusted: ssl.SSLContext, seconds: float, log: FilteringBoundLogger,
        resolver: AbstractResolver | None = None,
    ) -> None:  # fmt: skip
        self._addresses = Addresses(allow_private)
        self._trusted = trusted
        self._seconds = seconds
        self._log = log
        self._resolver = resolver

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger, resolver: AbstractResolver | None = None) -> Self:
        """By the settings. Raises `ConfigError` for a CA's file that cannot be used."""
        rules = settings.peers
        trusted = tls.context(settings, "[peers]", rules.ca_file)
        return cls(rules.allow_private, trusted, rules.seconds, log, resolver)

    async def document(self, domain: str) -> bytes:
        """What the domain publishes of itself, as it came."""
        url = URL.build(scheme="https", host=domain, path=PATH)
        answer = await self._asked(domain, url, Request({}, Secret(""), method="GET"))
        if answer.status != 200:
            raise PeerError(f"peers: {domain} publishes nothing (status {answer.status})")
        return answer.body

    async def deliver(self, domain: str, place: str, letter: Secret) -> None:
        """Hand a letter over at the place that the domain has named."""
        answer = await self._asked(domain, URL(place), Request(_LETTER, letter))
        if not answer.good:
            raise PeerError(f"peers: {domain} did not take the letter (status {answer.status})")

    async def _asked(self, domain: str, url: URL, request: Request) -> Answer:
        client = Client(
            "peer", url, self._addresses, self._log, self._resolver, tls=self._trusted, error=PeerError
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._seconds):
                return await client.send(request)
        except TimeoutError:
            raise PeerError(f"peers: {domain} did not answer in time") from None
        except PeerError as error:
            raise PeerError(f"peers: {domain}: {error}") from None
        finally:
            await client.close()
