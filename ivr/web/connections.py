"""Who may hold a connection, and for how long: a client that is slow on purpose must not keep others out."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from logging import Logger
from types import TracebackType
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from ivr.store.address import network

# Seconds for the whole head of a request, and for the next one on the same connection.
IDLE_SECONDS = 15.0
# Seconds for a whole request: its body, and what is done for it.
REQUEST_SECONDS = 15.0
# Seconds in which a client must begin to take what it has asked for.
_TAKING_SECONDS = 10.0
# Seconds after which it is looked whether a client that waits is still there.
_GONE_SECONDS = 0.5
# Seconds in which what is left of a refused body may come.
_LINGER_SECONDS = 1.0
# Bytes of a request's first line, of one header, and how many headers.
_LONGEST_LINE = 4096
_MOST_HEADERS = 64
# Connections that wait to be taken.
_BACKLOG = 512

_CONTINUE = "100-continue"

Refused = Callable[[web.BaseRequest], web.StreamResponse]
"""The answer to what is no HTTP."""


@dataclass(slots=True)
class Room:
    """How many connections there may be: `most` in all, `each` from one address (IPv6: from its /64) unless it is one of `free`."""

    most: int
    each: int
    free: Collection[str] = ()
    held: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> bool:
        """Whether there is room; then it is taken."""
        place = self._place(address)
        if self.held.total() >= self.most or (address not in self.free and self.held[place] >= self.each):
            return False
        self.held[place] += 1
        return True

    def leave(self, address: str) -> None:
        """Give it back."""
        place = self._place(address)
        self.held[place] -= 1
        if not self.held[place]:
            del self.held[place]

    def _place(self, address: str) -> str:
        return address if address in self.free else network(address)


class attended:  # noqa: N801 (as the standard library's own)
    """An async context manager: what is done within ends with `ConnectionResetError` when the client has gone.

    aiohttp goes on for it, for whatever is done may have to come to its end.
    """

    def __init__(self, request: web.BaseRequest, ends: bool) -> None:
        """`ends`: whether this one need not."""
        self._request = request
        self._ends = ends
        self._limit = asyncio.timeout(None)
        self._looking: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        if self._ends:
            self._later()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._looking is not None:
            self._looking.cancel()
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError:
            raise ConnectionResetError from None

    def _later(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(_GONE_SECONDS, self._look)

    def _look(self) -> None:
        if self._request.transport is None:
            self._limit.reschedule(asyncio.get_running_loop().time())
        else:
            self._later()


class _Connection(RequestHandler):
    """aiohttp ends one whose head does not come in `keepalive_timeout`; this ends those that do not take their answer."""

    def __init__(self, *arguments: Any, room: Room, refused: Refused, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._room = room
        self._refused = refused
        self._address: str | None = None
        self._stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Unless there are too many."""
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else ""
        super().connection_made(transport)
        if self._room.enter(address):
            self._address = address
        else:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Its place is free."""
        if self._address is not None:
            self._room.leave(self._address)
            self._address = None
        self._taken()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client takes nothing: for a while."""
        super().pause_writing()
        transport = self.transport
        if transport is not None:
            self._stuck = asyncio.get_running_loop().call_later(_TAKING_SECONDS, transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        self._taken()
        super().resume_writing()

    def handle_error(self, request: web.BaseRequest, *_: Any, **__: Any) -> web.StreamResponse:
        """What is no HTTP is answered like all else, and its words are not repeated."""
        answer = self._refused(request)
        answer.force_close()
        return answer

    def _taken(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


class _Server(web.Server):
    """Makes such connections."""

    def __init__(self, made: web.Server, options: dict[str, Any]) -> None:
        super().__init__(self._expected, request_factory=made.request_factory)
        self._next = made.request_handler
        self._options = options

    async def _expected(self, request: web.BaseRequest) -> web.StreamResponse:
        """aiohttp answers an expectation that it does not know before anything of ours sees it, and repeats its words."""
        if request.headers.get("Expect", _CONTINUE).lower() != _CONTINUE:
            refused: Refused = self._options["refused"]
            return refused(request)
        return await self._next(request)

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), **self._options)


def _options(room: Room, refused: Refused, logger: Logger, longest: int) -> dict[str, Any]:
    return {
        "room": room, "refused": refused, "access_log": None, "logger": logger, "keepalive_timeout": IDLE_SECONDS,
        "lingering_time": _LINGER_SECONDS, "max_line_size": longest, "max_field_size": longest, "max_headers": _MOST_HEADERS,
    }  # fmt: skip


class Runner(web.AppRunner):
    """Runs the application on such connections."""

    def __init__(
        self, app: web.Application, room: Room, refused: Refused, *, ending_seconds: float, logger: Logger
    ) -> None:
        super().__init__(app, handle_signals=False, access_log=None, shutdown_timeout=ending_seconds)
        self._options = _options(room, refused, logger, _LONGEST_LINE)

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self._options)


class BareRunner(web.ServerRunner):
    """Runs one handler on such connections: requests come to it as they were sent, whatever their path is."""

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], room: Room, refused: Refused, *,
        ending_seconds: float, logger: Logger, longest: int,
    ) -> None:  # fmt: skip
        """`longest`: bytes of a request's first line, and of one header."""
        super().__init__(web.Server(handler), handle_signals=False, shutdown_timeout=ending_seconds)
        # a body goes on as it came, with the headers that say how that is
        self._options = {**_options(room, refused, logger, longest), "auto_decompress": False}

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self._options)


class Listening:
    """A server on such a runner: `open`, then it serves until `close`."""

    _runner: web.BaseRunner

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._runner.addresses[0][1])

    async def open(self, host: str, port: int, trusted: ssl.SSLContext | None) -> None:
        """Begin to listen; raises `OSError` where that cannot be."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, ssl_context=trusted, backlog=_BACKLOG).start()
        except BaseException:
            await self._runner.cleanup()
            raise

    async def close(self) -> None:
        """Listen no longer; requests come to their end."""
        await self._runner.cleanup()
