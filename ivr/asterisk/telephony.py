"""Brings events to the calls they belong to, and begins and ends those calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.dismissal import Dismissal
from ivr.asterisk.events import (
    Destroyed,
    Digit,
    Echo,
    Event,
    Left,
    Offered,
    PlaybackEnded,
    Replaced,
    Response,
    Started,
)
from ivr.asterisk.leg import Legs
from ivr.asterisk.line import AriLine
from ivr.asterisk.offers import OFFER, Offers
from ivr.asterisk.reconcile import INBOUND, PUBLISHED, Reconciliation, Records
from ivr.asterisk.sweep import Disown, Marked, Sweep
from ivr.call.ports import Caller
from ivr.call.progress import Progress
from ivr.errors import HungUp

Answerer = Callable[[AriLine, Progress | None], Coroutine[object, object, None]]


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
        records: Records,
        admits: Callable[[], bool] = lambda: True,
        claims: Callable[[], bool] = lambda: True,
        eager: Callable[[], bool] = lambda: True,
        log: FilteringBoundLogger,
    ) -> None:
        """`admits` says whether a call that comes now is taken; `claims` and `eager` are `ours` and `eager` of `Offers`. `answer` runs a call, one that another worker has begun with its progress; `country` (ISO 3166) is how numbers without + are read.

        `marked`, `disown` and `records` are the store's, of this node.
        """
        self._ari = ari
        self._seconds = seconds
        self._answer = answer
        self._admits = admits
        self._log = log
        self._lines: dict[str, AriLine] = {}
        self._legs = Legs()
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: dict[asyncio.Task[None], AriLine] = {}
        self._left: set[str] = set()
        self._dismissal = Dismissal(ari, disown=disown, log=log)
        self._reconciliation = Reconciliation(
            ari,
            node=node,
            country=country,
            lines=self._lines,
            legs=self._legs,
            left=self._left,
            records=records,
            resume=self._begin,
            dismissal=self._dismissal,
            log=log,
        )
        self._sweep = Sweep(
            ari,
            ours=self._lines.keys,
            marked=marked,
            disown=disown,
            settle=records.settle,
            left_over=self._end_left_over,
            log=log,
        )
        self._reconciling: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._offers = Offers(ari, ours=claims, eager=eager, spawn=self._spawn, log=log)
        self._stopping = False

    @property
    def calls(self) -> int:
        """How many calls are being run."""
        return len(self._calls)

    @property
    def verifying(self) -> int:
        """How many of them are neither handed over nor talking."""
        return sum(not line.handed_back and not line.talking for line in self._calls.values())

    def close(self) -> None:
        """Claim no calls that are offered to all workers; those that come are taken."""
        self._offers.close()

    def refuse(self) -> None:
        """Take no new calls: those that come hear a sentence, and go on unverified."""
        self._offers.close()
        self._stopping = True

    def evict(self, why: Exception) -> None:
        """End every call that has not been handed over, with this error; take no new ones."""
        self.refuse()
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
        self._reconciling = self._spawn(self._reconciliation.run())
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
            case Digit(channel, key, at):
                if (line := self._lines.get(channel)) is not None:
                    line.key(key, at)
            case PlaybackEnded(playback, channel, media, failed):
                if (line := self._lines.get(channel)) is not None:
                    line.playback_ended(playback, media, failed=failed)
            case Started():
                self._started(event)
            case Offered(channel):
                self._offers.offered(channel)
            case Left(channel):
                if self._reconciling is not None and not self._reconciling.done():
                    self._left.add(channel)
                if (line := self._lines.get(channel)) is not None:
                    line.left()
                elif (leg := self._legs.get(channel)) is not None:
                    leg.destroyed(None)
                if (conversation := self._reconciliation.gone(channel)) is not None:
                    self._spawn(conversation.end())
            case Destroyed(channel, cause):
                self._destroyed(channel, cause)
            case Replaced() | Echo() | Response():
                pass

    # ------------------------------------------------------------ inside

    def _started(self, started: Started) -> None:
        leg = self._legs.get(started.channel)
        if leg is not None:
            if leg.ended.is_set():
                self._spawn(self._dismissal.send_away(started.channel))
            else:
                leg.answer()
            return
        if started.replaces is not None:
            self._took_the_place(started.channel, started.replaces)
            return
        if started.args == OFFER:
            self._offers.won(started.channel)
            return
        if started.args[:1] not in ((INBOUND,), (PUBLISHED,)) or self._stopping:
            self._spawn(self._dismissal.send_away(started.channel))
            return
        if (former := self._lines.pop(started.channel, None)) is not None:
            former.destroyed()
        caller = self._reconciliation.caller(started.channel, started.args, started.number, started.language)
        # an agent waits for a caller who comes again
        if not caller.again and not self._admits():
            self._spawn(self._dismissal.turn_away(started.channel))
            return
        self._begin(caller)

    def _begin(self, caller: Caller, progress: Progress | None = None) -> AriLine:
        log = self._log.bind(call=caller.channel)
        taken = 0 if progress is None else progress.taken
        line = AriLine(self._ari, caller, self._legs, seconds=self._seconds, taken=taken, log=log)
        self._lines[caller.channel] = line
        task = self._spawn(self._answer(line, progress))
        self._calls[task] = line
        task.add_done_callback(self._call_ended)
        return line

    async def _end_left_over(self) -> None:
        """Not while it is being found out what there is."""
        if self._reconciling is not None and self._reconciling.done():
            await self._reconciliation.end_left_over()

    def _took_the_place(self, channel: str, of: str) -> None:
        """A transfer put this channel in another's place."""
        # Who transfers has left the conversation; a phone that is not told so in time would stay, in silence.
        self._spawn(self._dismissal.hang_up(of))
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
        for conversation in self._reconciliation.conversations:
            if of in conversation.channels:
                # one end has transferred the other: they talk on, with somebody else
                conversation.channels.remove(of)
                conversation.channels.add(channel)
                return
        # the end of a transfer that nobody talks at: in the dialplan it would go on for ever
        self._spawn(self._dismissal.hang_up(channel))

    def _destroyed(self, channel: str, cause: int) -> None:
        if (line := self._lines.get(channel)) is not None:
            line.destroyed()
        elif (leg := self._legs.pop(channel)) is not None:
            leg.destroyed(cause)

    def _call_ended(self, task: asyncio.Task[None]) -> None:
        line = self._calls.pop(task)
        if not task.cancelled() and task.exception() is not None and not line.handed_back:
            # a fault of ours, and the caller hears nothing any more
            self._spawn(self._dismissal.send_away(line.caller.channel))
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


def _where(error: BaseException) -> str:
    """File and line where an error arose."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
