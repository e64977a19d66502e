"""One call, from Stasis to hand-over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from structlog.typing import FilteringBoundLogger

from ivr.call.account import Account
from ivr.call.handover import connect
from ivr.call.mark import Mark, display, place_in_queue, unmarked
from ivr.call.outcome import Refused, Status, Verdict, Verified
from ivr.call.ports import Badge, Line
from ivr.call.progress import Held, Progress
from ivr.call.refusal import words_of
from ivr.call.verification import Course, House, Verification, attempt_of, tell_of_lock
from ivr.errors import HungUp, TakenUp, Unavailable, WorkerReplaced
from ivr.prompts import Prompt
from ivr.secret import Personal


class Session:
    """Runs one call. Whatever happens, the caller is handed on or has hung up when `run` returns."""

    def __init__(self, house: House, line: Line, log: FilteringBoundLogger, taken: Progress | None = None) -> None:
        """`taken`: how far the call is that another worker has begun."""
        self._house = house
        self._line = line
        self._log = log
        caller = line.caller
        self._held = Held(
            taken
            or Progress.begin(
                app=caller.app, node=caller.node, channel=caller.channel, policy=caller.policy, again=caller.again
            )
        )
        self._course = Course(self._held, taken=taken is not None)
        self._verification = Verification(house, line, self._course, log)
        self._keypad = self._verification.keypad
        self._watched = self._verification.watched
        self._account = Account(house, caller, self._course, self._held, log)
        self._refused: Refused | None = None
        self._to_do: list[Callable[[Refused], Awaitable[None]]] = []
        self._ending: asyncio.Task[None] | None = None
        # what another worker's session has announced, the dialplan may say still
        self._announced = taken is not None
        self._status = Status.ABANDONED
        self._began = house.tools.clock()

    @property
    def phase(self) -> str:
        """What the call is in: a step, or where it goes."""
        return self._course.phase

    async def run(self) -> None:
        """Verify, mark, hand over. Raises nothing that a call can cause."""
        caller = self._line.caller
        number = caller.number and caller.number.masked
        if self._course.taken:
            self._log.info("call.taken_up", number=number, policy=caller.policy, passed=self._held.now.passed)
        else:
            attestation = caller.attestation or None
            self._log.info("call.started", number=number, policy=caller.policy, attestation=attestation)
        verdict: Verdict | None = None
        try:
            async with self._line.up():
                verdict = await self._verification.run()
                await self._settle(verdict)
        except HungUp:
            await self._hung_up(verdict)
        except TakenUp:
            self._leave()
        except WorkerReplaced:
            self._log.warning("call.left", phase=self._course.phase)
            if isinstance(verdict, Verified) and self._course.phase != "dialplan":
                # the other worker finds it not handed over, and places its own, or sends it on without one
                await self._drop_mark(over=False)
        except Unavailable as error:
            # the worker is stopping
            self._log.warning("call.unavailable", phase=self._course.phase, error=str(error))
            await self._give_up(verdict)
        self._log.info("call.ended", phase=self._course.phase)

    # ------------------------------------------------------------ settling

    async def _settle(self, verdict: Verdict) -> None:
        if isinstance(verdict, Verified):
            try:
                mark = await self._mark(verdict)
            except Unavailable as error:
                self._log.error("call.unavailable", phase=self._course.phase, error=str(error))
                await self._drop_mark(over=False)
                verdict = Refused(verdict.policy, Status.UNAVAILABLE)
            else:
                await self._hand_over(mark)
                return
        await self._send_on_unverified(verdict)

    async def _mark(self, verified: Verified) -> Mark:
        """No audit row, no mark; no mark, no announcement."""
        self._course.phase = "mark"
        if (stands := await self._account.record(verified)) != Status.VERIFIED.value:
            # another worker had the call meanwhile, and may have it: what it has told of holds
            await self._house.live.note(self._held.now)
            raise Unavailable(f"audit: the trail says {stands} of this call already")
        caller = self._line.caller
        mark = Mark.of(verified, node=caller.node, channel=caller.channel, now=self._house.wall())
        assert self._course.subject is not None
        attempt = attempt_of(self._house, self._line, self._course.subject)
        await self._house.live.place_mark(mark, attempt, self._held.now)
        assert self._course.policy is not None
        place = place_in_queue(self._course.policy.queue_priority)
        self._announced = True
        await self._line.announce(mark.variables() | place, display(self._course.subject.name))
        await self._line.event("CallerAuthenticated", mark.variables())
        self._status = Status.VERIFIED
        self._watched.over(Status.VERIFIED)
        self._log.info(
            "call.verified", assurance=mark.level, methods=mark.methods, subject=mark.subject, policy=verified.policy,
            seconds=self._seconds(),
        )  # fmt: skip
        return mark

    async def _hand_over(self, mark: Mark) -> None:
        self._course.phase = "hand_over"
        policy = self._course.policy
        assert policy is not None
        if policy.hand_over == "bridge" and not self._line.caller.again:
            subject = self._course.subject
            badge = Badge(mark.header(), display(subject.name if subject else None), mark.expires)
            if await connect(self._line, policy, badge, self._keypad, self._log):
                await self._drop_mark(over=True)
                await self._line.hang_up()
                return
            await self._keypad.tell(Prompt.NO_AGENT)
        else:
            await self._keypad.tell(Prompt.VERIFIED)
        await self._line.hand_back(watch=True)
        self._log.info("call.handed_back", status=Status.VERIFIED.value)
        self._course.phase = "dialplan"
        # not cut short by a caller who hangs up at once: the connection that waits for the answer would be thrown away
        self._ending = asyncio.create_task(self._tried("end", self._house.live.end(self._held.now)))
        await asyncio.shield(self._ending)
        # the mark is this channel's: it goes when the channel goes, wherever the dialplan has taken it
        await self._line.ended()
        await self._drop_mark(over=True)

    async def _send_on_unverified(self, refused: Refused) -> None:
        """A sentence, and on to the dialplan; each part is tried even where the one before it failed."""
        self._course.phase = "send_on"
        self._refused = refused
        self._status = refused.status
        self._watched.over(refused.status)
        self._log.info(
            "call.refused", status=refused.status.value, lock=refused.lock and refused.lock.scope.value,
            policy=refused.policy, seconds=self._seconds(),
        )  # fmt: skip
        self._to_do = [self._quiet, self._announce_refused, self._explain]
        self._held.now = self._held.now.refused(refused, self._course.outcomes)
        if refused.status is not Status.UNAVAILABLE:
            # else it may be the store that is down, and the caller would wait for it once more
            await self._tried("note", self._house.live.note(self._held.now))
        else:
            # a row that its mark is void would stand behind the other one's
            await self._tried("look", self._look_whether_taken())
        # not among them: an append that was begun is not undone, and must not be done again
        await self._tried("record", self._account.record(refused))
        await self._finish(refused)

    async def _finish(self, refused: Refused) -> None:
        """What is left of it: all, or where it was cut short the rest."""
        while self._to_do:
            part = self._to_do[0]
            await self._tried(part.__name__.strip("_"), part(refused))
            self._to_do.pop(0)
        await self._line.hand_back(watch=False)
        self._log.info("call.handed_back", status=refused.status.value)
        if await self._account.written(refused):
            await self._tried("end", self._house.live.end(self._held.now))

    async def _tried(self, what: str, work: Awaitable[object]) -> None:
        try:
            await work
        except Unavailable as error:
            self._log.error("call.unavailable", phase=what, error=str(error))

    async def _quiet(self, _: Refused) -> None:
        """Variables cannot be set while the question is still played that something failed behind."""
        await self._line.hush()

    async def _announce_refused(self, refused: Refused) -> None:
        if refused.status is Status.UNAVAILABLE:
            await self._look_whether_taken()
        # the name too: it may say ✔ of a verification that came to nothing
        await self._line.announce(unmarked(refused.status), Personal(""))
        if refused.lock is not None:
            await tell_of_lock(self._house, self._line, self._course, refused.lock)

    async def _look_whether_taken(self) -> None:
        """Raises `TakenUp` where another worker has the call, and was quicker: the store was not asked, which would have told."""
        if not self._announced and await self._line.verified():
            raise TakenUp

    async def _explain(self, refused: Refused) -> None:
        await self._keypad.tell(*words_of(refused))

    # ------------------------------------------------------------ ending

    async def _hung_up(self, verdict: Verdict | None) -> None:
        policy = self._course.policy.name if self._course.policy else self._line.caller.policy
        self._log.info(
            "call.hung_up", phase=self._course.phase, status=self._status.value, policy=policy, seconds=self._seconds()
        )
        refused = self._held.now.verdict or Refused(self._line.caller.policy, Status.ABANDONED)
        if self._held.now.challenge:
            # whoever opens a link of this call from now on answers nobody
            await self._tried("withdraw", self._house.tools.proofs.withdraw(self._held.now.challenge))
        if not self._account.begun:
            if self._held.now.subject and self._course.subject is None:
                await self._tried("find", self._verification.known())
            await self._tried("record", self._account.record(refused))
        handed_over = self._course.phase == "dialplan" or self._line.talked
        if not handed_over:
            self._watched.over(Status.ABANDONED)
        went_on: bool | None = False
        if isinstance(verdict, Verified) and not handed_over:
            await self._drop_mark(over=False)
            went_on = await self._went_on()
            if went_on is not False:
                # the dialplan goes on without a mark: the trail is told so where it says `verified`, or comes to say it
                refused = self._held.now.verdict or Refused(verdict.policy, Status.UNAVAILABLE)
        # an append that was begun is not undone by a hang-up, and may fail later
        written = await self._account.written(refused)
        if handed_over:
            await self._drop_mark(over=written)
            return
        if written and went_on:
            await self._tried("record", self._account.record(refused))
            written = await self._account.written(refused)
        if written and went_on is not None:
            await self._tried("end", self._house.live.end(self._held.now))

    async def _went_on(self) -> bool | None:
        """Whether Asterisk has taken the call back; None where it does not say: then who finds the record looks again."""
        try:
            return await self._line.went_on()
        except Unavailable as error:
            self._log.error("call.unavailable", phase="went_on", error=str(error))
            return None

    def _leave(self) -> None:
        """Without a word to Asterisk: the caller is talking to another worker."""
        self._log.warning("call.left", phase=self._course.phase)
        self._line.reconnect()

    async def _give_up(self, verdict: Verdict | None) -> None:
        """The worker cannot go on with this call: what was won is void, the conversation goes on."""
        if self._course.phase == "dialplan":
            return
        try:
            if self._refused is not None:
                if not self._account.tells(self._refused):
                    await self._tried("record", self._account.record(self._refused))
                await self._finish(self._refused)
                return
            if isinstance(verdict, Verified):
                await self._drop_mark(over=False)
            await self._line.hush()
            await self._line.music(on=False)
            await self._send_on_unverified(Refused(self._line.caller.policy, Status.UNAVAILABLE))
        except asyncio.CancelledError:
            # the worker's time is over in the middle of the sentence
            with suppress(HungUp):
                await self._tried("hand_back", self._line.hand_back(watch=False))
            raise
        except HungUp:
            await self._hung_up(verdict)
        except TakenUp:
            self._leave()
        except Unavailable as error:
            self._log.error("call.stuck", error=str(error))

    def _seconds(self) -> float:
        return round(self._house.tools.clock() - self._began, 2)

    async def _drop_mark(self, *, over: bool) -> None:
        """Drop the mark; where Redis cannot be reached it is swept later."""
        try:
            await self._house.live.drop_mark(self._held.now, over=over)
        except Unavailable as error:
            self._log.error("mark.not_dropped", error=str(error))
            return
        self._house.desks.changed(self._line.caller.node, self._line.caller.channel)
        self._log.info("mark.dropped")
