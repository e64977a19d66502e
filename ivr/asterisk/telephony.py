"""Brings events to the calls they belong to, and begins and ends those calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.conversation import Conversation
from ivr.asterisk.events import Destroyed, Digit, Event, Left, PlaybackEnded, Replaced, Response, Started
from ivr.asterisk.leg import LEG_PREFIX, Legs
from ivr.asterisk.line import BRIDGE_PREFIX, AriLine
from ivr.call.mark import unmarked
from ivr.call.outcome import Status
from ivr.call.ports import Caller
from ivr.errors import AriError, HungUp, Unavailable
from ivr.numbers import e164

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
        log: FilteringBoundLogger,
    ) -> None:
        """`answer` runs a call; `country` (ISO 3166) is how numbers without + are read."""
        self._ari = ari
        self._node = node
        self._seconds = seconds
        self._answer = answer
        self._country = country
        self._log = log
        self._lines: dict[str, AriLine] = {}
        self._legs = Legs()
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: dict[asyncio.Task[None], AriLine] = {}
        self._conversations: list[Conversation] = []
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
        self._spawn(self._reconcile())

    def disconnected(self) -> None:
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
        if started.args[:1] != ("inbound",) or started.replaces is not None or self._stopping:
            # nobody whom we know: another leg in the caller's place is another caller
            if started.replaces is not None and (line := self._lines.get(started.replaces)) is not None:
                line.evict(HungUp(started.replaces))
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
        )
        log = self._log.bind(call=caller.channel)
        line = AriLine(self._ari, caller, self._legs, seconds=self._seconds, log=log)
        self._lines[caller.channel] = line
        task = self._spawn(self._answer(line))
        self._calls[task] = line
        task.add_done_callback(self._call_ended)

    def _destroyed(self, channel: str, cause: int) -> None:
        if (line := self._lines.get(channel)) is not None:
            line.destroyed()
        elif (leg := self._legs.pop(channel)) is not None:
            leg.destroyed(cause)

    def _call_ended(self, task: asyncio.Task[None]) -> None:
        line = self._calls.pop(task)
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
            # the text of an error that nobody expected may hold anything
            self._log.error("task.failed", error=type(error).__name__, at=_where(error))

    async def _reconcile(self) -> None:
        """Compare what Asterisk holds with what we know, after events may have been lost."""
        try:
            held = await self._ari.request("GET", f"applications/{self._ari.app}")
            alive = await self._ari.request("GET", "channels")
            bridges = await self._ari.request("GET", "bridges")
        except AriError as error:
            self._log.error("reconcile.failed", error=str(error))
            return
        assert isinstance(held, dict) and isinstance(alive, list) and isinstance(bridges, list)
        inside = set(held.get("channel_ids", ()))
        states = {channel["id"]: channel.get("state") for channel in alive}
        for channel, line in list(self._lines.items()):
            if channel not in states:
                line.destroyed()
            elif channel not in inside and not line.handed_back:
                line.left()
            else:
                line.online()
        for channel in self._legs.channels():
            leg = self._legs.get(channel)
            if leg is None:
                continue
            if channel not in states:
                leg.destroyed(None)
            elif states[channel] == "Up" and channel in inside:
                leg.answer()
        unknown = inside & set(states) - set(self._lines) - self._legs.channels()
        unknown -= await self._adopt(bridges, unknown)
        for channel in sorted(unknown):
            self._log.warning("channel.unknown", channel=channel)
            await self._send_away(channel)
        self._log.info("reconciled", calls=len(self._lines), unknown=len(unknown))

    async def _adopt(self, bridges: list[dict[str, object]], unknown: set[str]) -> set[str]:
        """Keep the conversations whose worker is gone; the channels in them."""
        kept: set[str] = set()
        for bridge in bridges:
            name, members = str(bridge["id"]), bridge["channels"]
            if not name.startswith(BRIDGE_PREFIX) or not isinstance(members, list):
                continue
            strangers = frozenset(members) & unknown
            if len(strangers) != len(members):
                continue  # a bridge of a call that is ours
            conversation = Conversation(self._ari, name, strangers, self._log)
            if len(strangers) < 2:
                await conversation.end()
            else:
                self._conversations.append(conversation)
                self._log.info("conversation.adopted", bridge=name)
            kept |= strangers
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
                await self._ari.request("DELETE", f"channels/{channel}", quick=True, channel=channel)
                return
            variables = {"variables": unmarked(Status.UNAVAILABLE)}
            await self._ari.request("POST", f"channels/{channel}/variables", variables, channel=channel)
            await self._ari.request("POST", f"channels/{channel}/continue", quick=True, channel=channel)
        except Unavailable as error:
            self._log.error("channel.stuck", channel=channel, error=str(error))


def _where(error: BaseException) -> str:
    """File and line where an error arose."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
