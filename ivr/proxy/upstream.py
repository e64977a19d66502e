"""Asks the CRM: one request for one request, nothing repeated, nothing followed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict
from structlog.typing import FilteringBoundLogger
from yarl import URL

from ivr.config import Settings, tls
from ivr.errors import Unavailable
from ivr.proxy.rules import READING
from ivr.web.problems import Problem

# Seconds that a connection may lie idle: servers close those that did for longer, and a request may be on its way then.
_KEPT_SECONDS = 4.0
# Bytes of a header of the CRM, and how many of them.
_LONGEST = 16 * 1024
_MOST_HEADERS = 200
_BUFFER = 64 * 1024
# The part of the connections that one person may have: a browser has six to one host.
_PART_OF_ONE = 6

Body = bytes | AsyncIterator[bytes] | None
GoOn = Callable[[], Awaitable[None]]


class Upstream:
    """The connections to it. `ask` raises `Problem` where it does not answer."""

    def __init__(self, settings: Settings, trusted: ssl.SSLContext | None, log: FilteringBoundLogger) -> None:
        proxy = settings.proxy
        assert proxy.upstream is not None
        self.origin = proxy.upstream
        self._host = urlsplit(proxy.url or "").netloc if proxy.upstream_host == "public" else None
        self._log = log
        self._seconds = aiohttp.ClientTimeout(
            total=None,
            # for a place among the connections too
            connect=proxy.answer_seconds,
            sock_connect=proxy.connect_seconds,
            sock_read=proxy.answer_seconds,
        )
        self._options = {"limit": proxy.upstream_connections, "ssl": trusted if trusted is not None else True}
        self._of_one = max(1, proxy.upstream_connections // _PART_OF_ONE)
        self._wait = proxy.answer_seconds
        self._places: dict[str, asyncio.Semaphore] = {}
        self._session: aiohttp.ClientSession | None = None
        self._asked: aiohttp.ClientSession | None = None

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger) -> Self:
        """Raises `ConfigError` for a CA's file that cannot be used."""
        secure = (settings.proxy.upstream or "").startswith("https:")
        ca_file = settings.proxy.upstream_ca_file
        return cls(settings, tls.context(settings, "[proxy] upstream", ca_file) if secure else None, log)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(keepalive_timeout=_KEPT_SECONDS, **self._options)  # type: ignore[arg-type]
        last = aiohttp.TraceConfig()
        # awaited when there is a connection, and nothing was sent on it yet
        last.on_request_headers_sent.append(_go_on)
        self._session = self._opened(connector)
        self._asked = self._opened(connector, connector_owner=False, trace_configs=[last])
        return self

    def _opened(self, connector: aiohttp.TCPConnector, **options: Any) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False, timeout=self._seconds,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"), raise_for_status=False,
            read_bufsize=_BUFFER, max_line_size=_LONGEST, max_field_size=_LONGEST, max_headers=_MOST_HEADERS, **options,
        )  # fmt: skip

    async def __aexit__(self, *_: object) -> None:
        for session in (self._asked, self._session):
            if session is not None:
                await session.close()

    @asynccontextmanager
    async def place(self, person: str) -> AsyncIterator[None]:
        """For one request of this person, from its beginning to the end of its answer: nobody takes all connections from all others.

        Raises `Problem` where none of theirs ends in time.
        """
        places = self._places.get(person) or self._places.setdefault(person, asyncio.Semaphore(self._of_one))
        if places.locked():
            try:
                async with asyncio.timeout(self._wait):
                    await places.acquire()
            except TimeoutError:
                raise Problem("too_many_requests", wait=1.0) from None
        else:
            # at once
            await places.acquire()
        try:
            yield
        finally:
            places.release()

    async def ask(
        self, method: str, raw: str, headers: CIMultiDict[str], body: Body, go_on: GoOn | None = None
    ) -> aiohttp.ClientResponse:
        """What it begins to answer. The path goes on as it was read, to the letter.

        `go_on` is asked in the last moment, behind what may be a long wait for a connection; what it raises is raised, and
        nothing was sent. What changes something is sent once.
        """
        session = self._session if go_on is None else self._asked
        assert session is not None
        if self._host is not None:
            headers["Host"] = self._host
        asking = go_on if go_on is None or method in READING else _once(go_on)
        try:
            answer = await session.request(
                method, URL(self.origin + raw, encoded=True), headers=headers, data=body, allow_redirects=False,
                trace_request_ctx=asking,
            )  # fmt: skip
        except TimeoutError:
            self._log.warning("proxy.upstream_slow", upstream=self.origin)
            raise Problem("upstream_slow") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error.__cause__, Problem):
                # of the client's body, and not the CRM's fault
                raise error.__cause__ from None
            self._log.warning("proxy.upstream_away", upstream=self.origin, error=said(error))
            raise Problem("upstream_away") from None
        if answer.status < 200:
            # it speaks another protocol from now on
            answer.close()
            raise Problem("upgrade")
        return answer

    async def read(self, answer: aiohttp.ClientResponse, most: int) -> bytes:
        """The whole of it. Raises `Problem` where that is more than `most` bytes, or does not come to its end."""
        parts, size = [], 0
        async for part in self.parts(answer):
            size += len(part)
            if size > most:
                answer.close()
                raise Problem("upstream_unreadable")
            parts.append(part)
        return b"".join(parts)

    async def parts(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """As they come. Raises `Problem` where it does not come to its end."""
        try:
            async for part in answer.content.iter_any():
                yield part
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._log.warning("proxy.upstream_away", upstream=self.origin, error=said(error))
            raise Problem("upstream_away") from None

    async def ping(self) -> None:
        """Returns where it takes a connection. Raises `Unavailable`."""
        parts = urlsplit(self.origin)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            _, writer = await asyncio.open_connection(parts.hostname, port)
        except OSError as error:
            raise Unavailable(f"upstream: {said(error)}") from None
        writer.close()


def _once(go_on: GoOn) -> GoOn:
    """The library sends a PUT or a DELETE again where the connection ends without an answer; it may have been carried out."""
    asked = False

    async def ask() -> None:
        nonlocal asked
        if asked:
            raise aiohttp.ServerDisconnectedError
        asked = True
        await go_on()

    return ask


async def _go_on(_: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceRequestHeadersSentParams) -> None:
    await context.trace_request_ctx()


def said(error: Exception) -> str:
    """The kind of failure; without what was asked for."""
    return tls.fault(error) or type(error).__name__
