"""The desk's own application on one Asterisk: it hears of what it makes there, and takes away what was left of it."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlencode

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.events import Destroyed, Digit, Event, Left, PlaybackEnded, Started
from ivr.asterisk.presses import Presses
from ivr.asterisk.websocket import Json, Method
from ivr.config import Settings
from ivr.errors import AriError, Unavailable, WorkerReplaced
from ivr.secret import Secret

# A channel is made for a sentence or a call; few at a time.
_CONNECTIONS = 8
# 128 random bits: nobody can name a channel so that it is taken for one of these.
_OURS = re.compile(r"tillit-(?:speech|dial|call)-[0-9a-f]{32}")
# Waits before a channel that could not be ended is tried again, in seconds.
_AGAIN = (0.1, 0.5, 2.0)


def name_of(settings: Settings, place: str) -> str:
    """What the desk's application is called there: never as one that the dialplan offers calls to."""
    return f"desk-{settings.asterisks[place].app}-{settings.worker.name}"


def worker_name_of(settings: Settings, place: str) -> str:
    """The same of a worker: no two runs of it share one, for a new one comes while the old one's calls go on."""
    return f"voice-{settings.asterisks[place].app}-{settings.worker.name}-{secrets.token_hex(4)}"


def mint(what: Literal["speech", "dial", "call"]) -> str:
    """The unique id of a channel that is about to be made."""
    return f"tillit-{what}-{secrets.token_hex(16)}"


def is_dialled(channel: str) -> bool:
    """Whether this unique id is of a call that a desk began."""
    return channel.startswith("tillit-dial-")


class Ear:
    """What is told of one channel. All that waits raises `Unavailable` where events were lost."""

    def __init__(self) -> None:
        self.started = False
        """Whether it is in the application, or was."""
        self.ended = False
        """Whether it has left it: hung up, or gone on in the dialplan."""
        self.cause: int | None = None
        """Why it is gone (Q.850), where Asterisk has said so."""
        self._lost = False
        self._played: dict[str, bool] = {}
        self._keys: deque[Secret] = deque()
        self._presses = Presses()
        self._news = asyncio.Event()

    async def start(self) -> bool:
        """Wait until it has come into the application; False where it has ended instead."""
        await self._until(lambda: self.started or self.ended)
        return self.started and not self.ended

    async def end(self) -> None:
        """Wait for its end."""
        await self._until(lambda: self.ended)

    async def played(self, playback: str) -> bool:
        """Wait until this is over; False where it was not played to its end."""
        await self._until(lambda: playback in self._played or self.ended)
        return self._played.get(playback, False)

    async def key(self) -> Secret | None:
        """Wait until a key is pressed at its end (`Outpost.subscribe`); None where it has ended."""
        await self._until(lambda: bool(self._keys) or self.ended)
        return self._keys.popleft() if self._keys else None

    # ------------------------------------------------------------ for the reader of events

    def tell(self, event: Event) -> None:
        """Something has happened to the channel."""
        match event:
            case Started():
                self.started = True
            case PlaybackEnded(playback=playback, failed=failed):
                self._played[playback] = not failed
            case Digit(key=key, at=at):
                if not self._presses.count(key, at):
                    return
                self._keys.append(key)
            case Left():
                self.ended = True
            case Destroyed(cause=cause):
                self.cause, self.ended = cause, True
            case _:
                return
        self._news.set()

    def lose(self) -> None:
        """Nobody knows what happens to it from now on."""
        self._lost = True
        self._news.set()

    async def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            if self._lost:
                raise Unavailable("the connection to Asterisk was lost, and what it told meanwhile")
            self._news.clear()
            await self._news.wait()


class Outpost:
    """Implements `ivr.asterisk.ari.Listener`. `serve` until cancelled; without it nothing can be asked for."""

    def __init__(self, node: str, ari: Ari, log: FilteringBoundLogger) -> None:
        """`node`: as marks name it; `ari`: an application of this process alone (`name_of`), not opened yet."""
        self.node = node
        self._ari = ari
        self._log = log
        self._open = self._up = False
        self._ears: dict[str, Ear] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @classmethod
    def of(
        cls, settings: Settings, place: str, node: str, log: FilteringBoundLogger,
        name: Callable[[Settings, str], str] = name_of,
    ) -> Outpost:  # fmt: skip
        """That of the settings' table, such as `[asterisk]`; of a worker by `worker_name_of`. Raises `ConfigError` as `Ari.of`."""
        ari = Ari.of(settings, place, app=name(settings, place), connections=_CONNECTIONS, log=log)
        return cls(node, ari, log)

    @property
    def app(self) -> str:
        """The application's name."""
        return self._ari.app

    @property
    def is_connected(self) -> bool:
        """Whether events come in."""
        return self._up

    def demand_connected(self) -> None:
        """Raises `Unavailable` where no events come in."""
        if not self._up:
            raise Unavailable("Asterisk's REST interface (ARI) does not answer the desk")

    async def serve(self) -> None:
        """Connect, again and again; returns where another process takes the application over."""
        await self._ari.open()
        self._open = True
        try:
            await self._ari.listen(self)
        except WorkerReplaced:
            self._log.error("outpost.replaced", app=self.app, cure="give each desk a [worker] name of its own")
        finally:
            self._open = False
            for task in self._ending:
                task.cancel()
            await asyncio.gather(*self._ending, return_exceptions=True)
            await self._ari.close()

    @contextmanager
    def ear(self, channel: str) -> Iterator[Ear]:
        """Listen for this one, from before the request that makes it. Raises `Unavailable` where nothing would be heard."""
        self.demand_connected()
        ear = self._ears[channel] = Ear()
        try:
            yield ear
        finally:
            del self._ears[channel]

    async def request(self, method: Method, path: str, body: Json | None = None, *, channel: str = "") -> object:
        """As of `Ari`; raises `Unavailable` as well where there is no connection."""
        self.demand_connected()
        return await self._ari.request(method, path, body, channel=channel)

    async def subscribe(self, channel: str) -> None:
        """Be told of keys that are pressed on a channel that is not in the application. Raises `Unavailable`."""
        source = f"channel:{channel}"
        await self.request("POST", f"applications/{self.app}/subscription", {"eventSource": source}, channel=channel)

    async def unsubscribe(self, channel: str) -> None:
        """Be told of them no longer; where Asterisk does not answer, the next connection sees to it. Raises nothing."""
        if not self._open:
            return
        query = urlencode({"eventSource": f"channel:{channel}"})
        with suppress(Unavailable):
            await self.request("DELETE", f"applications/{self.app}/subscription?{query}", channel=channel)

    async def hang_up(self, channel: str) -> None:
        """Have this channel, one that was made here, be gone; tried again where Asterisk does not answer. Raises nothing."""
        for seconds in (0.0, *_AGAIN):
            await asyncio.sleep(seconds)
            if not self._open:
                return
            try:
                # also where no events come in: it may be that connection alone
                await self._ari.request("DELETE", f"channels/{channel}", channel=channel)
            except AriError as error:
                if error.status != 404:
                    continue
            return
        self._log.error(
            "outpost.left_over", channel=channel, cure="it is looked for at the next connection to Asterisk"
        )

    # ------------------------------------------------------------ for the reader of events

    def connected(self) -> None:
        self._up = True
        self._begin(self._sweep())

    def disconnected(self) -> None:
        self._up = False
        for ear in self._ears.values():
            ear.lose()

    def event(self, event: Event) -> None:
        match event:
            case (
                Started(channel=channel)
                | Left(channel=channel)
                | Destroyed(channel=channel)
                | PlaybackEnded(channel=channel)
                | Digit(channel=channel)
            ):
                pass
            case _:
                return
        if (ear := self._ears.get(channel)) is not None:
            ear.tell(event)
        elif isinstance(event, Started) and _OURS.fullmatch(channel):
            # it has come when nobody waited for it any more
            self._begin(self.hang_up(channel))

    # ------------------------------------------------------------ inside

    async def _sweep(self) -> None:
        """End what is left of a connection before this one: it would stay for as long as the call that it was made for."""
        for seconds in (0.0, *_AGAIN):
            await asyncio.sleep(seconds)
            try:
                left = [channel for channel in await self._inhabitants() if channel not in self._ears]
            except Unavailable:
                continue
            for channel in left:
                if not _OURS.fullmatch(channel) or await self._talks(channel):
                    await self.unsubscribe(channel)
                else:
                    self._log.warning("outpost.swept", channel=channel)
                    await self.hang_up(channel)
            return

    async def _talks(self, channel: str) -> bool:
        """Whether it is of a call that a desk began and that needs none any more: both have answered, and are in the dialplan."""
        if not is_dialled(channel):
            return False
        for seconds in (0.0, *_AGAIN):
            await asyncio.sleep(seconds)
            try:
                told = await self.request("GET", f"channels/{channel}", channel=channel)
            except AriError as error:
                if error.status == 404:
                    return False
            except Unavailable:
                continue
            else:
                match told:
                    case {"state": "Up", "dialplan": {"app_name": str(application)}}:
                        return application != "Stasis"
                    case _:
                        return False
        # nobody knows: two who talk are not cut off for that, and who still waits has a time of its own
        return True

    async def _inhabitants(self) -> list[str]:
        match await self.request("GET", f"applications/{self.app}"):
            case {"channel_ids": list(channels)}:
                return [channel for channel in channels if isinstance(channel, str)]
            case _:
                raise AriError(f"GET /applications/{self.app}", 200)

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.ensure_future(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
