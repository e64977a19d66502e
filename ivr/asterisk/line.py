"""The caller's line: one channel's voice, keys, variables and agents."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlencode

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.inbox import Inbox, resolve
from ivr.asterisk.leg import GONE, AriLeg, Legs, clean, finished
from ivr.asterisk.parted import is_parted
from ivr.asterisk.playback import Names, Playback
from ivr.asterisk.sweep import is_verified
from ivr.asterisk.websocket import Json
from ivr.call.ports import Badge, Caller, Key, Leg, Played
from ivr.errors import AriError, HungUp, Interrupted, Unavailable
from ivr.prompts import Prompt
from ivr.secret import Personal, Secret

# What our bridges are called by, so that one that nobody knows any more can be found.
BRIDGE_PREFIX = "tillit-bridge-"

DISPLAY = "CALLERID(name)"
"""The variable that a phone's display is set by."""

# Seconds within which Asterisk tells of a channel that has ended.
_TOLD = 1.0
# Seconds within which it tells of a playback that it was told to stop; it does so within milliseconds.
_AT_ONCE = 1.0
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
        self._legs = legs
        self._seconds = seconds
        self._log = log
        self._inbox = Inbox()
        self._playback: Playback | None = None
        self._failed: str | None = None
        self._tether: asyncio.Timeout | None = None
        self._why: Exception | None = None
        # what the worker before had begun to play, if this is not the first one, nobody has told us
        self._music = taken > 0
        self._taken = taken
        self._names = Names(caller.channel, taken)
        self._gaps = 0
        self._bridge: str | None = None
        self._handed_back = False
        self._leg: AriLeg | None = None
        self._left_behind = False
        self._gone = asyncio.Event()

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
        return self._bridge

    @property
    def talking(self) -> bool:
        """Whether the caller and an agent are bridged."""
        return self._leg is not None and not self._leg.ended.is_set()

    @property
    def talked(self) -> bool:
        """Whether the caller and an agent were bridged."""
        return self._leg is not None

    @property
    def _talked(self) -> bool:
        """Whether the agent has left again: then the call is over, and its end no news."""
        return self._leg is not None and self._leg.ended.is_set()

    # ------------------------------------------------------------ for the reader of events

    def key(self, digit: Secret) -> None:
        """A key was pressed."""
        # otherwise nobody asks: what is keyed to a menu or to an agent is not ours
        if not self._handed_back and self._leg is None:
            self._inbox.key(digit)

    def playback_ended(self, playback: str, media: str, *, failed: bool) -> None:
        """A playback is over; one that was hushed says nothing to the heart."""
        playing = self._playback
        if playing is None or playing.id != playback:
            return
        if failed and playing.wanted:
            self._failed = media
        self._over(playing)

    def left(self) -> None:
        """The channel is no longer in the application."""
        if not self._handed_back and not self._talked:
            self.evict(HungUp(self._caller.channel))

    def destroyed(self) -> None:
        """The channel is gone."""
        self._gone.set()
        if not self._talked:
            self.evict(HungUp(self._caller.channel))

    def evict(self, why: Exception) -> None:
        """End whatever the session does within `up`, with this error; the first one counts."""
        if self._tether is None and isinstance(why, HungUp):
            # behind `up` nothing is cancelled: who waits there for the end of a last sentence is told so
            self._inbox.interrupt(why)
        if self._why is None:
            self._why = why
            if self._tether is not None:
                self._tether.reschedule(0)

    def leave(self) -> None:
        """The worker is going: a conversation stays as it is, for the next worker to take up."""
        if self._leg is not None and self.talking:
            self._left_behind = self._leg.left_behind = True

    def offline(self) -> None:
        """Events may be lost from now on."""
        self._inbox.offline = True
        self._gaps += 1

    def online(self) -> None:
        """Events come again; what was lost is lost."""
        self._inbox.offline = False
        if self._playback is not None and not self._playback.wanted:
            self._over(self._playback)
        self.interrupt(Interrupted(self._caller.channel))

    # ------------------------------------------------------------ the port

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        if self._why is not None:
            raise self._why
        try:
            async with asyncio.timeout(None) as self._tether:
                yield
        except TimeoutError:
            if self._why is None:
                raise
            raise self._why from None
        finally:
            self._tether = None

    async def answer(self) -> None:
        if self._taken:
            await self._silence()
        await self._post("answer", quick=self._silent)

    async def say(self, *prompts: Prompt, language: str) -> None:
        self._inbox.drop_played()
        if self._failed is not None:
            # a hang-up makes playbacks fail too; a call that goes on has not been heard
            self._log.error(
                "prompt.failed", media=self._failed, cure="render scripts/prompts into Asterisk's sounds folder"
            )
            self._failed = None
            raise Unavailable(f"channel {self._caller.channel} was played nothing")
        self._playback = playback = Playback(self._names.next())
        media = [f"sound:tillit/{prompt.value}" for prompt in prompts]
        gaps = self._gaps
        await self._post(f"play/{playback.id}", {"media": media, "lang": language}, quick=True)
        playback.twice = self._gaps != gaps

    async def hush(self) -> None:
        playback = self._playback
        if playback is None:
            # it may have ended before anyone has asked
            self._inbox.drop_played()
            return
        playback.wanted = False
        operation = "DELETE /playbacks"
        try:
            await self._ari.request("DELETE", f"playbacks/{playback.id}", quick=True, channel=self._caller.channel)
            await self._stopped(playback)
            if playback.twice:
                # Asterisk plays it once more, under the same id
                await self._ari.request("DELETE", f"playbacks/{playback.id}", channel=self._caller.channel)
        except AriError as error:
            if error.status != 404:
                raise
            self._over(playback)  # it had ended by itself
        except TimeoutError:
            raise AriError(f"{operation} ({self._caller.channel})", 0) from None
        finally:
            self._inbox.drop_played()

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
        await self._post("variable", {"variable": "TIMEOUT(absolute)", "value": str(seconds)}, quick=self._silent)

    async def announce(self, variables: Mapping[str, str], display: Personal) -> None:
        quick = self._silent
        await self._post("variables", {"variables": {**variables, DISPLAY: clean(display.reveal())}}, quick=quick)
        query = urlencode({"variables": ",".join(variables)})
        path = f"{self._path}/variables?{query}"
        stands = await self._ari.request("GET", path, quick=quick, channel=self._caller.channel)
        match stands:
            case {"variables": dict(standing)} if standing == dict(variables):
                return
            case _:
                raise Unavailable(f"channel {self._caller.channel} did not take its variables")

    async def music(self, *, on: bool) -> None:
        if on == self._music:
            return
        self._music = on
        with self._there(*GONE):
            await self._ari.request("POST" if on else "DELETE", f"{self._path}/moh", channel=self._caller.channel)

    async def ring(self, endpoint: str, *, badge: Badge, seconds: int) -> Leg:
        number = self._caller.number
        leg = AriLeg(self._ari, endpoint, self._caller.channel)
        # the phone is listened for before it is called, and a call that was begun is always heard out
        self._legs.add(leg)
        try:
            await finished(leg.originate(badge, number=number, seconds=seconds))
        except BaseException:
            # nobody else knows of it: it would ring on, and whoever picks up would hear silence
            await finished(self._forget(leg))
            raise
        return leg

    async def join(self, leg: Leg) -> bool:
        assert isinstance(leg, AriLeg)
        self._bridge = bridge = BRIDGE_PREFIX + secrets.token_hex(8)
        try:
            await finished(self._ari.request("POST", f"bridges/{bridge}", {"type": "mixing", "name": self._ari.app}))
            members = [self._caller.channel, leg.channel]
            try:
                await self._ari.request("POST", f"bridges/{bridge}/addChannel", {"channel": members})
            except AriError:
                if await self._left(leg):
                    return False
                raise
            self._leg = leg
            await leg.tie(self._log)
            # not sooner: whose worker dies before this is taken back by the watchdog
            await self.allow(0)
            self._log.info("agent.joined", endpoint=leg.endpoint)
            await self._talk(leg)
            return True
        finally:
            if not self._left_behind:
                await finished(self._destroy(bridge))
                self._bridge = None

    async def hand_back(self, *, watch: bool) -> None:
        channel = self._caller.channel
        if watch:
            # leaving the application would end its events, and the channel's end must be heard of
            subscribe = {"eventSource": f"channel:{channel}"}
            # 422: there is no such channel to subscribe to
            with self._there(404, 422):
                await self._ari.request("POST", f"applications/{self._ari.app}/subscription", subscribe, quick=True)
        self._handed_back = True
        gaps, unanswered = self._gaps, False
        operation = f"{self._path}/continue"
        try:
            try:
                await self._ari.request("POST", operation, quick=True, channel=channel)
            except AriError as error:
                if error.status:
                    raise
                if self._gone.is_set():
                    return  # it was done: the channel has ended since, or has come again, and must not be sent on then
                # It may be done, or will be: a mark that was dropped now would be told of in the dialplan all the same.
                unanswered = True
                await self._ari.request("POST", operation, channel=channel)
        except AriError as error:
            twice = unanswered or self._gaps != gaps
            if error.status == 409 and twice and (not watch or await is_verified(self._ari, channel)):
                return  # the first time had done it; else Asterisk has taken the call back meanwhile
            if error.status not in GONE:
                raise
            raise HungUp(channel) from None

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
        return not await is_verified(self._ari, self._caller.channel)

    async def hang_up(self) -> None:
        try:
            await self._ari.request("DELETE", self._path, quick=True, channel=self._caller.channel)
        except AriError as error:
            if error.status != 404:
                # the call goes on although the agent has left, so its end is news again
                self._leg = None
                raise

    async def event(self, name: str, fields: Mapping[str, str]) -> None:
        source = {"application": self._ari.app, "source": f"channel:{self._caller.channel}"}
        body = {**source, "variables": dict(fields)}
        # 422: no such channel
        with self._there(422):
            await self._ari.request("POST", f"events/user/{name}", body, quick=True, channel=self._caller.channel)

    # ------------------------------------------------------------ inside

    async def _talk(self, leg: AriLeg) -> None:
        """Until the agent has left. Raises `HungUp` where the two were parted: they are Asterisk's now, and come back by themselves."""
        try:
            await leg.ended.wait()
        except asyncio.CancelledError:
            if not self._left_behind:
                # of two who are parted, either may be told of first: who then is the agent's leg must not be ended
                await finished(self._until_told(leg))
            raise
        with suppress(AriError):
            # where it cannot be asked, neither can the caller be hung up
            if await is_parted(self._ari, self._caller.channel):
                self._log.info("agent.parted", endpoint=leg.endpoint)
                raise HungUp(self._caller.channel)

    async def _until_told(self, leg: AriLeg) -> None:
        """Wait until it is told of the caller's end, or of the agent's, but not for long."""
        ends = [asyncio.ensure_future(one.wait()) for one in (leg.ended, self._gone)]
        await asyncio.wait(ends, timeout=_TOLD, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    async def _stopped(self, playback: Playback) -> None:
        """Wait until it is told that this is over. Raises `TimeoutError`."""
        over = asyncio.shield(playback.over)
        await asyncio.wait((over,), timeout=min(_AT_ONCE, self._seconds))
        if not over.done():
            # It may be that nothing is told any more: then there is a new websocket within this time, or never.
            self._ari.doubt()
            async with asyncio.timeout(2 * self._seconds):
                await over

    @property
    def _silent(self) -> bool:
        """Whether nothing is played: then what would wait for its end is answered at once."""
        return self._playback is None and not self._music

    @property
    def _path(self) -> str:
        return f"channels/{self._caller.channel}"

    async def _silence(self) -> None:
        """Stop what the worker before was playing: until it is over, Asterisk would do nothing else that is asked."""
        for name in self._names.before():
            try:
                await self._ari.request("DELETE", f"playbacks/{name}", quick=True, channel=self._caller.channel)
            except AriError as error:
                if error.status != 404:
                    raise
        await self.music(on=False)

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

    async def _left(self, leg: AriLeg) -> bool:
        """Whether the agent has left; raises `HungUp` where it was the caller.

        Asterisk refuses to bridge who is going sooner than it tells of the end, and the channel is still there.
        """
        for channel in (leg.channel, self._caller.channel):
            try:
                await self._ari.request("GET", f"channels/{channel}", channel=channel)
            except AriError as error:
                if error.status != 404:
                    continue
                if channel == self._caller.channel:
                    raise HungUp(channel) from None
                leg.destroyed(None)
                return True
        try:
            async with asyncio.timeout(_TOLD):
                await leg.ended.wait()
        except TimeoutError:
            return False
        return True

    async def _forget(self, leg: AriLeg) -> None:
        """End a leg that was given to nobody."""
        leg.destroyed(None)
        try:
            await self._ari.request("DELETE", f"channels/{leg.channel}", channel=leg.channel)
        except AriError as error:
            if error.status == 404:
                self._legs.pop(leg.channel)
            else:
                self._log.error("leg.left", channel=leg.channel, error=str(error))

    async def _destroy(self, bridge: str) -> None:
        try:
            await self._ari.request("DELETE", f"bridges/{bridge}")
        except AriError as error:
            if error.status != 404:
                self._log.error("bridge.left", bridge=bridge, error=str(error))

    def _over(self, playback: Playback) -> None:
        if self._playback is playback:
            self._playback = None
        resolve(playback.over)
        if playback.wanted:
            self._inbox.played()
