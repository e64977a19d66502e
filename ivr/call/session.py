"""One call, from Stasis to hand-over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from ivr.call.digits import Entered, Form
from ivr.call.handover import connect
from ivr.call.keypad import Keypad
from ivr.call.mark import Mark, display, unmarked
from ivr.call.outcome import Failed, Locked, Outcome, Passed, Refused, Scope, Status, Verdict, Verified
from ivr.call.policy import Policy, decide, stronger
from ivr.call.ports import Attempt, Badge, Clock, Customers, Entry, Line, Live, Subject, Trail
from ivr.call.steps import Round, Step, Tools
from ivr.config import Settings
from ivr.errors import HungUp, Unavailable, WorkerReplaced
from ivr.prompts import Prompt, wait


@dataclass(frozen=True, slots=True)
class House:
    """What all calls of a worker share. `spoken` are the languages that have prompts; `wall` is the time of day."""

    settings: Settings
    policies: Mapping[str, Policy]
    customers: Customers
    live: Live
    trail: Trail
    tools: Tools
    wall: Clock
    spoken: frozenset[str]


class Session:
    """Runs one call. Whatever happens, the caller is handed on or has hung up when `run` returns."""

    def __init__(self, house: House, line: Line, log: FilteringBoundLogger) -> None:
        self._house = house
        self._line = line
        self._log = log
        self._keypad = Keypad(
            line,
            language=self._language(None),
            slips=house.settings.keypad.slips,
            clock=house.tools.clock,
            log=log,
        )
        self._subject: Subject | None = None
        self._policy: Policy | None = None
        self._refused: Refused | None = None
        self._to_do: list[Callable[[Refused], Awaitable[None]]] = []
        self._outcomes: list[Outcome] = []
        self._phase = "answer"
        self._recorded = False

    async def run(self) -> None:
        """Verify, mark, hand over. Raises nothing that a call can cause."""
        caller = self._line.caller
        self._log.info("call.started", number=caller.number and caller.number.masked, policy=caller.policy)
        verdict: Verdict | None = None
        try:
            async with self._line.up():
                verdict = await self._verify()
                await self._settle(verdict)
        except HungUp:
            await self._hung_up(verdict)
        except WorkerReplaced:
            self._log.warning("call.left", phase=self._phase)
            if isinstance(verdict, Verified) and self._phase != "dialplan":
                # the other worker finds it not handed over, and sends it on without a mark
                await self._drop_mark()
        except Unavailable as error:
            # the worker is stopping
            self._log.warning("call.unavailable", phase=self._phase, error=str(error))
            await self._give_up(verdict)
        self._log.info("call.ended", phase=self._phase)

    # ------------------------------------------------------------ verifying

    async def _verify(self) -> Verdict:
        asked = self._line.caller.policy
        try:
            await self._line.answer()
            policy = self._house.policies.get(asked)
            if policy is None:
                self._log.error(
                    "policy.unknown", policy=asked, cure=f"write [policies.{asked}] into {self._house.settings.file}"
                )
                return Refused(asked, Status.UNAVAILABLE)
            return await self._identify(policy)
        except Unavailable as error:
            self._log.error("call.unavailable", phase=self._phase, error=str(error))
            return Refused(asked, Status.UNAVAILABLE)

    async def _identify(self, policy: Policy) -> Verdict:
        self._keypad.preface(Prompt.WELCOME)
        self._phase = "find"
        subject = await self._find()
        if subject is None:
            return Refused(policy.name, Status.TIMEOUT)
        self._subject = subject
        self._keypad.language = self._language(subject.language)
        self._policy = policy = stronger(policy, self._house.policies.get(subject.policy or ""))
        self._log.info("policy.chosen", policy=policy.name, steps=[step.name for step in policy.steps])
        if subject.locked:
            return Refused(policy.name, Status.LOCKED, Locked(Scope.CUSTOMER, None))
        attempt = self._attempt(subject)
        if (lock := await self._house.live.standing(attempt)) is not None:
            return decide(policy, subject, [lock])
        for step in policy.steps:
            self._phase = step.name
            outcome = await self._step(step, policy, subject, attempt)
            self._outcomes.append(outcome)
            if not isinstance(outcome, Passed):
                break
        verdict = decide(policy, subject, self._outcomes)
        if isinstance(verdict, Refused) and verdict.status is Status.REFUSED:
            # these tries may have begun a lock, and the caller should hear of it now, not at the next call
            return await self._locked_by(verdict, attempt)
        return verdict

    async def _find(self) -> Subject | None:
        """The customer: by the calling number where it is one customer's, else by what is keyed. None: nothing was."""
        number = self._line.caller.number
        if number is not None and (hinted := await self._house.customers.by_phone(number)) is not None:
            self._log.info("subject.found", by="calling_number")
            return hinted
        looks, keypad = self._house.settings.customer_number, self._house.settings.keypad
        form = Form(looks.least, looks.most, keypad.first_seconds, keypad.between_seconds)
        entry = await self._keypad.ask("customer_number", (Prompt.ASK_CUSTOMER_NUMBER,), form)
        if not isinstance(entry, Entered):
            return None
        subject = await self._house.customers.by_number(entry.digits)
        self._log.info("subject.found", by="customer_number")
        return subject

    async def _step(self, kind: type[Step], policy: Policy, subject: Subject, attempt: Attempt) -> Outcome:
        self._log.info("step.started", step=kind.name)
        before = Round(
            self._keypad, subject, attempt, policy.name, self._log, tries=policy.tries, code_seconds=policy.code_seconds
        )
        outcome = await kind(self._house.tools).run(before)
        self._log.info("step.ended", step=kind.name, outcome=type(outcome).__name__.lower())
        return outcome

    async def _locked_by(self, verdict: Refused, attempt: Attempt) -> Refused:
        lock = await self._house.live.standing(attempt)
        if lock is None or lock.scope is Scope.CALL:
            return verdict
        return Refused(verdict.policy, Status.LOCKED, lock)

    def _attempt(self, subject: Subject) -> Attempt:
        number = self._line.caller.number
        key = None if number is None else self._house.customers.phone_key(number)
        return Attempt(subject.key, key, self._line.caller.channel)

    def _language(self, customers: str | None) -> str:
        """The customer's, else the channel's, else the company's: the first that has prompts."""
        for language in (customers, self._line.caller.language, self._house.settings.company.language):
            if language in self._house.spoken:
                return language
        return self._house.settings.company.language

    # ------------------------------------------------------------ settling

    async def _settle(self, verdict: Verdict) -> None:
        if isinstance(verdict, Verified):
            try:
                mark = await self._mark(verdict)
            except Unavailable as error:
                self._log.error("call.unavailable", phase=self._phase, error=str(error))
                await self._drop_mark()
                verdict = Refused(verdict.policy, Status.UNAVAILABLE)
            else:
                await self._hand_over(mark)
                return
        await self._send_on_unverified(verdict)

    async def _mark(self, verified: Verified) -> Mark:
        """No audit row, no mark; no mark, no announcement."""
        self._phase = "mark"
        await self._record(verified)
        caller = self._line.caller
        mark = Mark.of(verified, node=caller.node, channel=caller.channel, now=self._house.wall())
        assert self._subject is not None
        await self._house.live.forgive(self._attempt(self._subject))
        await self._house.live.place_mark(mark)
        await self._line.announce(mark.variables(), display(self._subject.name))
        await self._line.event("CallerAuthenticated", mark.variables())
        self._log.info("call.verified", assurance=mark.level, methods=mark.methods, subject=mark.subject)
        return mark

    async def _hand_over(self, mark: Mark) -> None:
        self._phase = "hand_over"
        policy = self._policy
        assert policy is not None
        if policy.hand_over == "bridge":
            badge = Badge(mark.header(), display(self._subject.name if self._subject else None))
            if await connect(self._line, policy, badge, self._keypad, self._log):
                await self._drop_mark()
                await self._line.hang_up()
                return
            await self._keypad.tell(Prompt.NO_AGENT)
        else:
            await self._keypad.tell(Prompt.VERIFIED)
        await self._line.hand_back(watch=True)
        self._log.info("call.handed_back", status=Status.VERIFIED.value)
        self._phase = "dialplan"
        # the mark is this channel's: it goes when the channel goes, wherever the dialplan has taken it
        await self._line.ended()
        await self._drop_mark()

    async def _send_on_unverified(self, refused: Refused) -> None:
        """A sentence, and on to the dialplan; each part is tried even where the one before it failed."""
        self._phase = "send_on"
        self._refused = refused
        self._log.info("call.refused", status=refused.status.value, lock=refused.lock and refused.lock.scope.value)
        self._to_do = [self._quiet, self._announce_refused, self._explain]
        # not among them: an append that was begun is not undone, and must not be done again
        await self._tried("record", self._record(refused))
        await self._finish(refused)

    async def _finish(self, refused: Refused) -> None:
        """What is left of it: all, or where it was cut short the rest."""
        while self._to_do:
            part = self._to_do[0]
            await self._tried(part.__name__.strip("_"), part(refused))
            self._to_do.pop(0)
        await self._line.hand_back(watch=False)
        self._log.info("call.handed_back", status=refused.status.value)

    async def _tried(self, what: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Unavailable as error:
            self._log.error("call.unavailable", phase=what, error=str(error))

    async def _quiet(self, _: Refused) -> None:
        """Variables cannot be set while the question is still played that something failed behind."""
        await self._line.hush()

    async def _announce_refused(self, refused: Refused) -> None:
        await self._line.announce(unmarked(refused.status), None)
        if refused.lock is not None:
            seconds = refused.lock.seconds
            fields = {"Scope": refused.lock.scope.value, "Seconds": "" if seconds is None else str(seconds)}
            await self._line.event("CallerLockedOut", {**fields, "Subject": self._subject.ref if self._subject else ""})

    async def _explain(self, refused: Refused) -> None:
        match refused:
            case Refused(lock=Locked(seconds=None)):
                await self._keypad.tell(Prompt.LOCKED_UNTIL_CONTACT)
            case Refused(lock=Locked(seconds=int(seconds))):
                await self._keypad.tell(Prompt.LOCKED, Prompt.TRY_AGAIN, wait(seconds))
            case Refused(status=Status.TIMEOUT):
                await self._keypad.tell(Prompt.TIMEOUT)
            case Refused(status=Status.UNAVAILABLE):
                await self._keypad.tell(Prompt.UNAVAILABLE)
            case _:
                await self._keypad.tell(Prompt.REFUSED)

    # ------------------------------------------------------------ ending

    async def _hung_up(self, verdict: Verdict | None) -> None:
        self._log.info("call.hung_up", phase=self._phase)
        try:
            if not self._recorded:
                await self._record(Refused(self._line.caller.policy, Status.ABANDONED))
        except Unavailable as error:
            self._log.error("call.unavailable", phase="hung_up", error=str(error))
        if isinstance(verdict, Verified):
            await self._drop_mark()

    async def _give_up(self, verdict: Verdict | None) -> None:
        """The worker cannot go on with this call: what was won is void, the conversation goes on."""
        if self._phase == "dialplan":
            return
        try:
            if self._refused is not None:
                await self._finish(self._refused)
                return
            if isinstance(verdict, Verified):
                await self._drop_mark()
            await self._line.hush()
            await self._line.music(on=False)
            await self._send_on_unverified(Refused(self._line.caller.policy, Status.UNAVAILABLE))
        except asyncio.CancelledError:
            # the worker's time is over in the middle of the sentence
            await self._line.hand_back(watch=False)
            raise
        except HungUp:
            await self._hung_up(verdict)
        except Unavailable as error:
            self._log.error("call.stuck", error=str(error))

    async def _drop_mark(self) -> None:
        """Drop the mark; where Redis cannot be reached its own end will do it."""
        try:
            await self._house.live.drop_mark(self._line.caller.node, self._line.caller.channel)
        except Unavailable as error:
            self._log.error("mark.not_dropped", error=str(error))
            return
        self._log.info("mark.dropped")

    async def _record(self, verdict: Verdict) -> None:
        """The audit row of how this call ended."""
        status = verdict.status if isinstance(verdict, Refused) else Status.VERIFIED
        level = verdict.level if isinstance(verdict, Verified) else 0
        caller = self._line.caller
        # an append that was begun is not undone by a hang-up
        self._recorded = True
        await self._house.trail.append(
            Entry(
                actor="caller",
                action="verify",
                outcome=status.value,
                call=caller.channel,
                subject=self._subject.ref if self._subject else "",
                detail={
                    "node": caller.node,
                    "policy": verdict.policy,
                    "level": str(level),
                    "number": caller.number.masked if caller.number else "",
                    "phase": self._phase,
                    "steps": ",".join(_step_result(result) for result in self._outcomes),
                },
            )
        )


def _step_result(outcome: Outcome) -> str:
    match outcome:
        case Passed(step):
            return f"{step}:passed"
        case Failed(step, reason):
            return f"{step}:{reason.value}"
        case Locked(scope):
            return f"locked:{scope.value}"
