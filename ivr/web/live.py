"""The open pages: each is told of its person's own calls as they change, and ends with its session."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any

import orjson
from aiohttp import WSCloseCode, WSMsgType, web
from structlog.typing import FilteringBoundLogger

from ivr.errors import Unavailable
from ivr.lock import State
from ivr.staff import Permission, Person
from ivr.web.view import UNKNOWN

# Seconds between looks at what nobody tells of, such as a session that ended elsewhere: while a call is shown, and while none is.
# What Asterisk and the workers tell stirs a page at once.
_LOOK_SECONDS = 5.0
_IDLE_LOOK_SECONDS = 10.0
# Seconds in which a page must take what it is told, and answer a ping.
TAKING_SECONDS = 5.0
_PING_SECONDS = 20.0
# Seconds after which a page is told the same once more, for it sees no pings; and after which it takes the way to it as cut: in between,
# a look may take its time.
_SILENT_SECONDS = 15.0
_LOST_SECONDS = 25.0
# Seconds after which a session is told once more that its person talks; `idle_minutes` is 60 seconds at least.
KEEP_SECONDS = 15.0
# Bytes: a page says nothing.
_MOST = 64
# Pages of one session, of each kind.
_WINDOWS = 10

OVER = 4401
"""The websocket's closing code where the session has ended."""
FULL = 4429
"""The same where there are too many pages."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a page needs. `pause`: seconds between two looks, however much happens. `all`: whether any phone's talks stir it.

    `own`: whether its calls are those of the person's own phone.
    """

    name: str
    needs: Permission
    pause: float = 0.0
    all: bool = False
    own: bool = False


OWN = Kind("own", Permission.CALL, own=True)
"""The agent's own calls."""
ELEMENT = Kind("element", Permission.CALL, own=True)
"""The same, on a page of another site."""


@dataclass(slots=True, eq=False)
class Page:
    """One websocket."""

    session: str
    whose: tuple[str, str]
    """Tenant and id of the person."""
    kind: Kind
    endpoints: frozenset[str]
    stir: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False
    going: bool = False
    gone: Callable[[], bool] = lambda: False
    """Whether nobody is there any more who would be told."""
    kept: float = float("-inf")
    """When the session was last told that its person talks."""

    def keeps(self, view: Mapping[str, Any]) -> bool:
        """Whether the session is to go on now: who talks on the own phone is there. Whoever is on hold may be waiting for nobody."""
        talks = self.kind.own and any(not call["held"] and call["sign"] != State.GONE for call in view["calls"])
        return talks and monotonic() - self.kept >= KEEP_SECONDS

    def was_kept(self) -> None:
        """The session has been told so."""
        self.kept = monotonic()


Shown = Callable[[Person], Awaitable[Mapping[str, Any]]]
"""What a page of this person shows now. Raises `Unavailable`."""
Look = Callable[[bool], Awaitable[Person | None]]
"""Whose the session is; None where it is over. It goes on from now where it is told so, and not by being looked at. Raises `Unavailable`."""


class Hub:
    """All open pages of this process."""

    def __init__(
        self, log: FilteringBoundLogger, *, look: float = _LOOK_SECONDS, idle: float = _IDLE_LOOK_SECONDS,
        silent: float = _SILENT_SECONDS, lost: float = _LOST_SECONDS,
    ) -> None:  # fmt: skip
        """`look`, `idle`: seconds after which a page looks again by itself.

        `silent`: after how many without news it is told the same again; `lost`: after how many of silence it shows nothing any more.
        """
        self._log = log
        self._look, self._idle, self._silent = look, idle, silent
        self.lost = lost
        self._pages: set[Page] = set()

    def __len__(self) -> int:
        return len(self._pages)

    def counts(self) -> Mapping[str, int]:
        """How many pages of each kind."""
        return Counter(page.kind.name for page in self._pages)

    def changed(self, endpoints: frozenset[str]) -> None:
        """These phones' talks are others than before."""
        theirs = folded(endpoints)
        for page in self._pages:
            if page.kind.all or page.endpoints & theirs:
                page.stir.set()

    def stir(self) -> None:
        """Any of them may be others."""
        for page in self._pages:
            page.stir.set()

    def end(self, session: str) -> None:
        """Close the pages of this session."""
        self._end(page for page in self._pages if page.session == session)

    def end_all(self, tenant: str, person: str, *, but: str = "") -> None:
        """Close the pages of all sessions of this person, `but` those of one."""
        self._end(page for page in self._pages if page.whose == (tenant, person) and page.session != but)

    def _end(self, pages: Iterable[Page]) -> None:
        for page in pages:
            page.over = True
            page.stir.set()

    def go(self) -> None:
        """Close all of them: the desk stops, and they may come back to another one."""
        for page in self._pages:
            page.going = True
            page.stir.set()

    async def serve(
        self, request: web.Request, session: str, person: Person, look: Look, shown: Shown,
        kind: Kind = OWN, unknown: Mapping[str, Any] = UNKNOWN,
    ) -> web.WebSocketResponse:  # fmt: skip
        """Until the page is closed, the session ends, or the desk stops. `unknown` is shown where nothing is known."""
        socket = web.WebSocketResponse(
            heartbeat=_PING_SECONDS, max_msg_size=_MOST, compress=False, timeout=TAKING_SECONDS, autoping=True
        )
        await socket.prepare(request)
        if self._full(session, kind):
            await socket.close(code=FULL)
            return socket
        with self._open(session, person, kind, request) as page:
            telling = asyncio.create_task(self._tell(socket, page, look, shown, unknown))
            try:
                async for message in socket:
                    # it has nothing to say; a ping is answered by the library
                    if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                        await socket.close(code=WSCloseCode.POLICY_VIOLATION)
            finally:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
        return socket

    @contextmanager
    def follow(self, request: web.BaseRequest, session: str, person: Person, kind: Kind) -> Iterator[Page | None]:
        """For whoever tells a page by other means; None where that session has too many."""
        if self._full(session, kind):
            yield None
            return
        with self._open(session, person, kind, request) as page:
            yield page

    def _full(self, session: str, kind: Kind) -> bool:
        # a page that was left is told of nothing for a while, and so does not know of it
        theirs = (page for page in self._pages if page.session == session and page.kind is kind)
        return sum(not page.gone() for page in theirs) >= _WINDOWS

    @contextmanager
    def _open(self, session: str, person: Person, kind: Kind, request: web.BaseRequest) -> Iterator[Page]:
        whose = person.tenant, person.id
        page = Page(session, whose, kind, folded(person.endpoints), gone=lambda: request.transport is None)
        self._pages.add(page)
        try:
            yield page
        finally:
            self._pages.discard(page)

    async def _tell(
        self, socket: web.WebSocketResponse, page: Page, look: Look, shown: Shown, unknown: Mapping[str, Any]
    ) -> None:
        try:
            await self._follow(socket, page, look, shown, unknown)
        except (TimeoutError, ConnectionError):
            # it takes nothing any more
            pass
        except Exception as error:
            self._log.error("web.failed", error=type(error).__name__, code="live", cure="please report this line")
            raise
        finally:
            await socket.close()

    async def _follow(
        self, socket: web.WebSocketResponse, page: Page, look: Look, shown: Shown, unknown: Mapping[str, Any]
    ) -> None:
        told, when = b"", monotonic()
        while True:
            page.stir.clear()
            if page.going:
                await socket.close(code=WSCloseCode.GOING_AWAY)
                return
            try:
                person = None if page.over else await look(False)
                if person is None or not person.may(page.kind.needs):
                    await socket.close(code=OVER)
                    return
                page.endpoints = folded(person.endpoints)
                view = await shown(person)
                keeps = page.keeps(view)
            except Unavailable:
                view, keeps = unknown, False
            said = orjson.dumps(view)
            if said != told or self.due(when, view):
                async with asyncio.timeout(TAKING_SECONDS):
                    await socket.send_str(said.decode())
                told, when = said, monotonic()
            if keeps:
                try:
                    await look(True)
                    page.was_kept()
                except Unavailable:
                    # a later look tells
                    pass
            try:
                if page.kind.pause and not page.over and not page.going:
                    await asyncio.sleep(page.kind.pause)
                async with asyncio.timeout(self.until(view)):
                    await page.stir.wait()
            except TimeoutError:
                pass

    def due(self, when: float, view: Mapping[str, Any]) -> bool:
        """Whether a page that was last told something at `when` (monotonic) must be told now, as the next look would be too late."""
        return monotonic() - when + self.until(view) > self._silent

    def until(self, view: Mapping[str, Any]) -> float:
        """Seconds after which to look again: also when a mark ends."""
        if not view["calls"]:
            return self._idle
        ends = [float(until) - time() for call in view["calls"] if (until := call["until"]) is not None]
        return min([self._look, *(left for left in ends if left > 0)])


def folded(endpoints: frozenset[str]) -> frozenset[str]:
    """Upper and lower case are the same phone."""
    return frozenset(endpoint.casefold() for endpoint in endpoints)
