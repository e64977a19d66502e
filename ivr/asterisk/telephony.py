"""Brings events to the calls they belong to, and begins and ends those calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.conversation import Conversation
from ivr.asterisk.events import Destroyed, Digit, Event, Left, PlaybackEnded, Replaced, Response, Started
from ivr.asterisk.leg import LEG_PREFIX, Legs
from ivr.asterisk.line import BRIDGE_PREFIX, DISPLAY, AriLine
from ivr.asterisk.sweep import Disown, Marked, Sweep
from ivr.call.mark import STATUS, unmarked
from ivr.call.outcome import Status
from ivr.call.ports import Caller
from ivr.errors import AriError, HungUp, Unavailable
from ivr.numbers import e164

# How long after it is listed a new channel may take to be told of; on one machine it is about a millisecond.
_TELLING_SECONDS = 0.5
# How many channels are sent away at once: one that plays blocks its request, and calls need connections too.
_AT_ONCE = 16

Answerer = Callable[[AriLine], Coroutine[object, object, None]]


class Telephony:
    """`ari.Listener`: one line, and one task, for each caller."""

    def __init__(
        self,
        ari: Ari,
        *,
        node: str,
        seconds: float,
        country: str,
        answer: Answerer,
        marked: Marked,
        disown: Disown,
        log: FilteringBoundLogger,
    ) -> None:
        """`answer` runs a call; `marked` and `disown` are the store's marks of this node; `country` (ISO 3166) is how numbers without + are read."""
        self._ari = ari
        self._node = node
        self._seconds = seconds
        self._answer = answer
        self._country = country
        self._disown = disown
        self._log = log
        self._lines: dict[str, AriLine] = {}
        self._legs = Legs()
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: dict[asyncio.Task[None], AriLine] = {}
        self._conversations: list[Conversation] = []
        self._sweep = Sweep(ari, ours=self._lines.keys, marked=marked, disown=disown, log=log)
        self._reconciling: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._left: set[str] = set()
        self._stopping = False

    @property
    def calls(self) -> int:
        """How many calls are being run."""
        return len(self._calls)

    def evict(self, why: Exception) -> None:
        """End every call that has not been handed over, with this error; take no new ones."""
        self._stopping = True
        for line in self._lines.values():
            if not line.talking:
                line.evict(why)

    async def drained(self, seconds: float) -> None:
        """Wait until every evicted call has been handed back, for so long at most; then end what is left.

        Conversations are left as they are: the next worker takes them up.
        """
        for line in self._lines.values():
            line.leave()
        evicted = {task for task, line in self._calls.items() if not line.talking}
        if evicted:
            await asyncio.wait(evicted, timeout=seconds)
        left = {*self._calls, *self._tasks}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # ------------------------------------------------------------ ari.Listener

    def connected(self) -> None:
        self._left.clear()
        self._reconciling = self._spawn(self._reconcile())
        self._sweeping = self._spawn(self._sweep.run())

    def disconnected(self) -> None:
        # what they would find out may be past
        for looking in (self._reconciling, self._sweeping):
            if looking is not None:
                looking.cancel()
        for line in self._lines.values():
            line.offline()

    def event(self, event: Event) -> None:
        match event:
            case Digit(channel, key):
                if (line := self._lines.get(channel)) is not None:
                    line.key(key)
            case PlaybackEnded(playback, channel, media, failed):
                if (line := self._lines.get(channel)) is not None:
                    line.playback_ended(playback, media, failed=failed)
            case Started():
                self._started(event)
            case Left(channel):
                if self._reconciling is not None and not self._reconciling.done():
                    self._left.add(channel)
                if (line := self._lines.get(channel)) is not None:
                    line.left()
                elif (leg := self._legs.get(channel)) is not None:
                    leg.destroyed(None)
                self._conversation_left(channel)
            case Destroyed(channel, cause):
                self._destroyed(channel, cause)
            case Replaced() | Response():
                pass

    # ------------------------------------------------------------ inside

    def _started(self, started: Started) -> None:
        leg = self._legs.get(started.channel)
        if leg is not None:
            if leg.ended.is_set():
                self._spawn(self._send_away(started.channel))
            else:
                leg.answer()
            return
        if started.replaces is not None:
            self._took_the_place(started.channel, started.replaces)
            return
        if started.args[:1] != ("inbound",) or self._stopping:
            self._spawn(self._send_away(started.channel))
            return
        if (former := self._lines.pop(started.channel, None)) is not None:
            former.destroyed()
        caller = Caller(
            channel=started.channel,
            node=self._node,
            number=e164(started.number.reveal(), self._country),
            language=started.language,
            policy=started.args[1] if len(started.args) > 1 else "",
            again=started.args[2:] == ("again",),
        )
        log = self._log.bind(call=caller.channel)
        line = AriLine(self._ari, caller, self._legs, seconds=self._seconds, log=log)
        self._lines[caller.channel] = line
        task = self._spawn(self._answer(line))
        self._calls[task] = line
        task.add_done_callback(self._call_ended)

    def _took_the_place(self, channel: str, of: str) -> None:
        """A transfer put this channel in another's place."""
        # Who transfers has left the conversation; a phone that is not told so in time would stay, in silence.
        self._spawn(self._hang_up(of))
        if (leg := self._legs.pop(of)) is not None and not leg.ended.is_set():
            # the agent has transferred the caller: the same caller, in the same bridge, with somebody else
            leg.channel = channel
            self._legs.add(leg)
            log = self._log.bind(call=leg.caller)
            self._spawn(leg.tie(log))
            log.info("agent.transferred", endpoint=leg.endpoint, channel=channel)
            return
        if (line := self._lines.get(of)) is not None:
            # another leg in the caller's place is another caller, who has won nothing
            line.evict(HungUp(of))
        for conversation in self._conversations:
            if of in conversation.channels:
                # one end has transferred the other: they talk on, with somebody else
                conversation.channels.remove(of)
                conversation.channels.add(channel)
                return
        # the end of a transfer that nobody talks at: in the dialplan it would go on for ever
        self._spawn(self._hang_up(channel))

    def _destroyed(self, channel: str, cause: int) -> None:
        if (line := self._lines.get(channel)) is not None:
            line.destroyed()
        elif (leg := self._legs.pop(channel)) is not None:
            leg.destroyed(cause)

    def _call_ended(self, task: asyncio.Task[None]) -> None:
        line = self._calls.pop(task)
        if not task.cancelled() and task.exception() is not None and not line.handed_back:
            # a fault of ours, and the caller hears nothing any more
            self._spawn(self._send_away(line.caller.channel))
        if self._lines.get(line.caller.channel) is line:
            del self._lines[line.caller.channel]

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            line = self._calls.get(task)
            log = self._log if line is None else self._log.bind(call=line.caller.channel)
            # the text of an error that nobody expected may hold anything
            log.error("task.failed", error=type(error).__name__, code=_where(error))

    async def _reconcile(self) -> None:
        """Compare what Asterisk holds with what we know, after events may have been lost."""
        # What begins while Asterisk is being asked is no matter of what was lost before.
        lines = dict(self._lines)
        legs = {channel: leg for channel, leg in self._legs.all().items() if leg.called}
        try:
            inside, states = await self._held()
            for channel, line in lines.items():
                if channel not in states:
                    line.destroyed()
                elif channel not in inside and not line.handed_back:
                    line.left()
                else:
                    line.online()
            for channel, leg in legs.items():
                if channel not in states:
                    leg.destroyed(None)
                    self._legs.pop(channel)
                elif states[channel] == "Up" and channel in inside:
                    leg.answer()
            unknown = await self._strangers(inside)
        except AriError as error:
            self._log.error("reconcile.failed", error=str(error))
            self._ari.reconnect()
            return
        turns = asyncio.Semaphore(_AT_ONCE)

        async def send_away(channel: str) -> None:
            self._log.warning("channel.unknown", channel=channel)
            async with turns:
                await self._send_away(channel)

        await asyncio.gather(*(send_away(channel) for channel in sorted(unknown)))
        self._log.info("reconciled", calls=len(lines), unknown=len(unknown))

    async def _held(self) -> tuple[set[str], dict[str, str]]:
        """The channels in the application, and the states of all channels.

        What the application is subscribed to is more: calls in the dialplan, or in another application by now.
        """
        channels = await self._list("channels")
        inside = {str(channel["id"]) for channel in channels if self._is_inside(channel)}
        return inside, {str(channel["id"]): str(channel.get("state")) for channel in channels}

    def _is_inside(self, channel: dict[str, object]) -> bool:
        match channel.get("dialplan"):
            case {"app_name": "Stasis", "app_data": str(data)}:
                return data.split(",")[0] == self._ari.app
            case _:
                return False

    async def _list(self, what: str) -> list[dict[str, object]]:
        """All channels, or all bridges."""
        answer = await self._ari.request("GET", what)
        if not isinstance(answer, list) or not all(isinstance(one, dict) and "id" in one for one in answer):
            raise AriError(f"GET /{what}", 200)
        return answer

    async def _strangers(self, inside: set[str]) -> set[str]:
        """Channels in the application whose worker is gone; conversations among them are kept."""
        unknown = inside - set(self._lines) - set(self._legs.all())
        if unknown:
            # One that has just come is told of a moment later than it is listed: only who stays unknown is a stranger.
            await asyncio.sleep(_TELLING_SECONDS)
            again, _ = await self._held()
            unknown = (inside & again) - set(self._lines) - set(self._legs.all())
        return unknown - await self._adopt(await self._list("bridges"), unknown)

    async def _adopt(self, bridges: list[dict[str, object]], unknown: set[str]) -> set[str]:
        """Keep the conversations whose worker is gone; the channels in them."""
        kept: set[str] = set()
        known = {line.bridge for line in self._lines.values()}
        self._conversations.clear()
        for bridge in bridges:
            name, members = str(bridge["id"]), bridge.get("channels")
            # other workers' bridges bear other applications' names
            ours = name.startswith(BRIDGE_PREFIX) and bridge.get("name") == self._ari.app and name not in known
            if not ours or not isinstance(members, list):
                continue
            present = set(members) - self._left
            if not present <= unknown:
                continue  # a bridge of a call that is ours
            conversation = Conversation(self._ari, name, present, self._log)
            if len(present) < 2:
                await conversation.end()
            else:
                self._conversations.append(conversation)
                self._log.info("conversation.adopted", bridge=name)
            kept |= present
        return kept

    def _conversation_left(self, channel: str) -> None:
        for conversation in self._conversations:
            if channel in conversation.channels:
                self._conversations.remove(conversation)
                self._spawn(conversation.end())
                return

    async def _send_away(self, channel: str) -> None:
        """An agent's leg that nobody waits for is hung up; any other channel goes to the unverified path."""
        try:
            if channel.startswith(LEG_PREFIX):
                await self._hang_up(channel)
                return
            # the status stays empty: so the dialplan says the sentence that nobody has said
            void = {**unmarked(Status.UNAVAILABLE), STATUS: "", DISPLAY: "", "__TILLIT_BADGE": ""}
            variables = {"variables": void}
            try:
                await self._ari.request("POST", f"channels/{channel}/variables", variables, channel=channel)
            except AriError as error:
                # A prompt is being played: Asterisk sets them behind it, and what is asked for next comes behind that.
                if error.status not in (0, 404):
                    raise
            # Behind that: a verified caller who is in the dialplan (409), listed because the end is watched, keeps the mark.
            try:
                await self._disown(channel)
            except Unavailable as error:
                self._log.error("mark.not_dropped", channel=channel, error=str(error))
            await self._ari.request("POST", f"channels/{channel}/continue", quick=True, channel=channel)
        except AriError as error:
            if error.status in (404, 409):
                return  # gone, or in the dialplan already
            if error.status == 412:
                # not answered: one end of a transfer, with no dialplan to go on in
                await self._hang_up(channel)
                return
            self._log.error("channel.stuck", channel=channel, error=str(error))

    async def _hang_up(self, channel: str) -> None:
        try:
            await self._ari.request("DELETE", f"channels/{channel}", quick=True, channel=channel)
        except AriError as error:
            if error.status != 404:
                self._log.error("channel.stuck", channel=channel, error=str(error))


def _where(error: BaseException) -> str:
    """File and line where an error arose."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
