"""The caller's line: one channel's voice, keys, variables and agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from urllib.parse import urlencode

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.inbox import Inbox
from ivr.asterisk.leg import GONE, Legs, clean
from ivr.asterisk.meeting import Meeting
from ivr.asterisk.sweep import is_verified
from ivr.asterisk.voice import Voice
from ivr.asterisk.websocket import Json
from ivr.call.ports import Badge, Caller, Key, Leg, Played
from ivr.errors import AriError, HungUp, Interrupted, Unavailable
from ivr.prompts import Prompt
from ivr.secret import Personal, Secret

DISPLAY = "CALLERID(name)"
"""The variable that a phone's display is set by."""

# A channel that has left is looked for so often, with such waits: one that hangs up is still there for a moment.
_LOOKS, _LOOK_SECONDS = 5, 0.1


class AriLine:
    """`call.ports.Line` on a channel. The methods that do not wait are for the reader of events."""

    def __init__(
        self, ari: Ari, caller: Caller, legs: Legs, *, seconds: float, taken: int = 0, log: FilteringBoundLogger
    ) -> None:
        """`seconds`: how long any request may take; `taken`: as in `Progress`."""
        self._ari = ari
        self._caller = caller
        self._inbox = Inbox()
        self._voice = Voice(ari, caller.channel, self._inbox, taken=taken, seconds=seconds, log=log)
        self._gone = asyncio.Event()
        self._meeting = Meeting(ari, caller, legs, gone=self._gone, begun=self._talk_on, log=log)
        self._tether: asyncio.Timeout | None = None
        self._why: Exception | None = None
        self._gaps = 0
        self._handed_back = False

    @property
    def caller(self) -> Caller:
        return self._caller

    @property
    def handed_back(self) -> bool:
        """Whether the call was sent on in the dialplan."""
        return self._handed_back

    @property
    def bridge(self) -> str | None:
        """The bridge that was made, or is being made, for this call."""
        return self._meeting.bridge

    @property
    def talking(self) -> bool:
        """Whether the caller and an agent are bridged."""
        return self._meeting.goes_on

    @property
    def talked(self) -> bool:
        """Whether the caller and an agent were bridged."""
        return self._meeting.began

    # ------------------------------------------------------------ for the reader of events

    def key(self, digit: Secret, at: float | None) -> None:
        """A key was pressed; `at` as in `Digit`."""
        # otherwise nobody asks: what is keyed to a menu or to an agent is not ours
        if not self._handed_back and not self._meeting.began:
            self._inbox.key(digit, at)

    def playback_ended(self, playback: str, media: str, *, failed: bool) -> None:
        """A playback is over."""
        self._voice.ended(playback, media, failed=failed)

    def left(self) -> None:
        """The channel is no longer in the application."""
        if not self._handed_back and not self._meeting.over:
            self.evict(HungUp(self._caller.channel))

    def destroyed(self) -> None:
        """The channel is gone."""
        self._gone.set()
        if not self._meeting.over:
            self.evict(HungUp(self._caller.channel))

    def evict(self, why: Exception) -> None:
        """End whatever the session does within `up`, with this error; the first one counts."""
        if self._tether is None and isinstance(why, HungUp):
            # behind `up` nothing is cancelled: who waits there for the end of a last sentence is told so
            self._inbox.interrupt(copy(why))
        if self._why is None:
            self._why = why
            if self._tether is not None:
                self._tether.reschedule(0)

    def leave(self) -> None:
        """The worker is going: a conversation stays as it is, for the next worker to take up."""
        self._meeting.leave()

    def offline(self) -> None:
        """Events may be lost from now on."""
        self._inbox.offline = True
        self._voice.offline()
        self._gaps += 1

    def online(self) -> None:
        """Events come again; what was lost is lost."""
        self._inbox.offline = False
        self._voice.online()
        self.interrupt(Interrupted(self._caller.channel))

    # ------------------------------------------------------------ the port

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        if self._why is not None:
            raise copy(self._why)
        try:
            async with asyncio.timeout(None) as self._tether:
                yield
        except TimeoutError:
            if self._why is None:
                raise
            # one of its own: its traceback leads to this line, and both would stay until memory is looked through
            raise copy(self._why) from None
        finally:
            self._tether = None

    async def answer(self) -> None:
        await self._voice.silence()
        await self._post("answer", quick=self._voice.silent)

    async def say(self, *prompts: Prompt, language: str) -> None:
        await self._voice.say(prompts, language)

    async def hush(self) -> None:
        await self._voice.hush()

    async def receive(self, until: float | None) -> Key | Played | None:
        return await self._inbox.receive(until)

    def interrupt(self, error: Exception) -> None:
        self._inbox.interrupt(error)

    def reconnect(self) -> None:
        self._ari.reconnect()

    def drop_keys(self) -> None:
        self._inbox.drop_keys()

    def push_back(self, keys: Sequence[Key]) -> None:
        self._inbox.push_back(keys)

    async def allow(self, seconds: int) -> None:
        await self._post("variable", {"variable": "TIMEOUT(absolute)", "value": str(seconds)}, quick=self._voice.silent)

    async def announce(self, variables: Mapping[str, str], display: Personal) -> None:
        quick = self._voice.silent
        await self._post("variables", {"variables": {**variables, DISPLAY: clean(display.reveal())}}, quick=quick)
        query = urlencode({"variables": ",".join(variables)})
        path = f"{self._path}/variables?{query}"
        stands = await self._ari.request("GET", path, quick=quick, channel=self._caller.channel)
        match stands:
            case {"variables": dict(standing)} if standing == dict(variables):
                return
            case _:
                raise Unavailable(f"channel {self._caller.channel} did not take its variables")

    async def verified(self) -> bool:
        return await is_verified(self._ari, self._caller.channel)

    async def music(self, *, on: bool) -> None:
        await self._voice.music(on=on)

    async def ring(self, endpoint: str, *, badge: Badge, seconds: int) -> Leg:
        return await self._meeting.ring(endpoint, badge=badge, seconds=seconds)

    async def join(self, leg: Leg) -> bool:
        return await self._meeting.join(leg)

    async def hand_back(self, *, watch: bool) -> None:
        channel = self._caller.channel
        if watch:
            # leaving the application would end its events, and the channel's end must be heard of
            subscribe = {"eventSource": f"channel:{channel}"}
            # 422: there is no such channel to subscribe to
            with self._there(404, 422):
                await self._ari.request("POST", f"applications/{self._ari.app}/subscription", subscribe, quick=True)
        self._handed_back = True
        gaps = self._gaps
        refused = await self._go_on(quick=True)
        unanswered = refused is not None and not refused.status
        if unanswered:
            if self._gone.is_set():
                return  # it was done: the channel has ended since, or has come again, and must not be sent on then
            # It may be done, or will be: a mark that was dropped now would be told of in the dialplan all the same.
            refused = await self._go_on(quick=False)
        if refused is None:
            return
        twice = unanswered or self._gaps != gaps
        if refused.status == 409 and twice and (not watch or await is_verified(self._ari, channel)):
            return  # the first time had done it; else Asterisk has taken the call back meanwhile
        raise HungUp(channel) if refused.status in GONE else refused

    async def ended(self) -> None:
        await self._gone.wait()

    async def went_on(self) -> bool:
        try:
            for _ in range(_LOOKS):
                match await self._ari.request("GET", self._path, channel=self._caller.channel):
                    case {"dialplan": {"exten": "h"}}:
                        # what the dialplan does behind a hang-up
                        return False
                    case _ if self._gone.is_set():
                        return False
                    case _:
                        pass
                await asyncio.sleep(_LOOK_SECONDS)
        except AriError as error:
            if error.status != 404:
                raise
            return False
        return not await self.verified()

    async def hang_up(self) -> None:
        try:
            await self._ari.request("DELETE", self._path, quick=True, channel=self._caller.channel)
        except AriError as error:
            if error.status != 404:
                # its end is news again
                self._meeting.forget()
                raise

    async def event(self, name: str, fields: Mapping[str, str]) -> None:
        source = {"application": self._ari.app, "source": f"channel:{self._caller.channel}"}
        body = {**source, "variables": dict(fields)}
        # 422: no such channel
        with self._there(422):
            await self._ari.request("POST", f"events/user/{name}", body, quick=True, channel=self._caller.channel)

    # ------------------------------------------------------------ inside

    async def _go_on(self, *, quick: bool) -> AriError | None:
        """Send the call on; what Asterisk says against it. `quick` may be done twice."""
        try:
            await self._ari.request("POST", f"{self._path}/continue", quick=quick, channel=self._caller.channel)
        except AriError as error:
            return error
        return None

    async def _talk_on(self) -> None:
        """From now on nobody takes the call back."""
        await self.allow(0)

    @property
    def _path(self) -> str:
        return f"channels/{self._caller.channel}"

    async def _post(self, what: str, body: Json | None = None, *, quick: bool = False) -> None:
        with self._there(*GONE):
            await self._ari.request("POST", f"{self._path}/{what}", body, quick=quick, channel=self._caller.channel)

    @contextmanager
    def _there(self, *gone: int) -> Iterator[None]:
        """These statuses say that the caller is gone."""
        try:
            yield
        except AriError as error:
            if error.status not in gone:
                raise
            raise HungUp(self._caller.channel) from None
