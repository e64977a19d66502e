"""Finds out who calls: the subject, the steps of the policy, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from structlog.typing import FilteringBoundLogger

from ivr.call.arrears import Arrears
from ivr.call.digits import Entered, Form
from ivr.call.keypad import Keypad
from ivr.call.languages import Languages
from ivr.call.outcome import Failed, Locked, Outcome, Passed, Refused, Scope, Status, Verdict, Verified
from ivr.call.policy import Policy, decide, stronger
from ivr.call.ports import Attempt, Clock, Customers, Desks, Line, Live, Nobody, Reached, Subject, Trail, Unwatched
from ivr.call.progress import Held
from ivr.call.steps import Round, Step, Tools
from ivr.call.watched import Watched
from ivr.config import Settings
from ivr.errors import OtherCustomer, Unavailable
from ivr.prompts import Prompt


@dataclass(frozen=True, slots=True)
class House:
    """What all calls share; the languages are those of the call's node. `wall` is the time of day."""

    settings: Settings
    policies: Mapping[str, Policy]
    customers: Customers
    live: Live
    trail: Trail
    arrears: Arrears
    tools: Tools
    wall: Clock
    languages: Languages
    desks: Desks = field(default_factory=Unwatched)
    reached: Reached = field(default_factory=Nobody)


@dataclass(slots=True)
class Course:
    """What has become of a call so far. `phase` names what it is in: a step, or where it goes.

    `held` is what another worker would need; `taken`: another one began the call.
    """

    held: Held
    taken: bool = False
    phase: str = "answer"
    subject: Subject | None = None
    policy: Policy | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    attempt: Attempt | None = None


class Verification:
    """The part of a call that ends with a verdict; it marks nobody and sends nobody anywhere."""

    def __init__(self, house: House, line: Line, course: Course, log: FilteringBoundLogger) -> None:
        self._house = house
        self._line = line
        self._course = course
        self._log = log
        self.watched = Watched(house.desks, line.caller, house.wall)
        self.keypad = Keypad(
            line,
            language=self._language(None),
            slips=house.settings.keypad.slips,
            watchdog=house.settings.worker.watchdog_seconds,
            clock=house.tools.clock,
            log=log,
            keyed=self.watched.keyed,
        )

    async def run(self) -> Verdict:
        """The verdict; `Refused` as unavailable where a part that is needed is down. Raises `HungUp`."""
        caller = self._line.caller
        asked = caller.policy
        self.watched.begin()
        try:
            await self._line.answer()
            if not self._course.taken:
                # a mark of an earlier round, which a worker that is gone had placed: whatever comes of this one, it is void
                await self._house.live.begin(self._course.held.now)
            policy = self._known_policy(asked)
            if policy is None:
                return Refused(asked, Status.UNAVAILABLE)
            return await self._identify(policy)
        except Unavailable as error:
            self._log.error("call.unavailable", phase=self._course.phase, error=str(error))
            return Refused(asked, Status.UNAVAILABLE)

    async def _identify(self, policy: Policy) -> Verdict:
        begun = self._course.held.now
        self.keypad.preface(Prompt.LOST_KEYS if self._course.taken else Prompt.WELCOME)
        self._course.phase = "find"
        found = await self.known() if begun.subject else await self._hinted(policy.tenant)
        if (verdict := begun.verdict) is not None:
            # the worker before has decided it, and may have told the caller
            return verdict
        if found is not None:
            try:
                return await self._verify(found, policy, hinted=begun.hinted if begun.subject else True)
            except OtherCustomer:
                self._log.info("subject.other")
                self.keypad.language = self._language(None)
        self._course.phase = "find"
        subject = await self._keyed(policy.tenant)
        if subject is None:
            self._course.subject = None
            return Refused(policy.name, Status.TIMEOUT)
        return await self._verify(subject, policy, hinted=False)

    async def known(self) -> Subject:
        """The customer that the worker before had found."""
        begun = self._course.held.now
        self._course.subject = subject = await self._house.customers.by_key(begun.subject)
        if begun.hinted or begun.passed:
            self.keypad.language = self._language(subject.language)
        return subject

    async def _verify(self, subject: Subject, policy: Policy, *, hinted: bool) -> Verdict:
        """Take this customer through the steps. Raises `OtherCustomer` where the caller says to be another one."""
        course = self._course
        course.subject = subject
        own = self._known_policy(subject.policy) if subject.policy else None
        course.policy = policy = stronger(policy, own)
        self._log.info("policy.chosen", policy=policy.name, steps=[step.name for step in policy.steps])
        course.attempt = attempt = attempt_of(self._house, self._line, subject)
        course.held.now = replace(course.held.now, subject=subject.key, hinted=hinted)
        left = self._left_of(policy)
        if left and (lock := await self._house.live.standing(attempt, course.held.now)) is not None:
            return decide(policy, subject, [lock])
        for step in left:
            if course.outcomes and subject.policy and own is None:
                break
            course.phase = step.name
            # who has tried has said who it is
            may_change = hinted and not course.outcomes and not course.held.now.tried
            outcome = await self._step(step, policy, subject, attempt, hinted=may_change)
            course.outcomes.append(outcome)
            if not isinstance(outcome, Passed):
                break
            # not before: who keyed a customer number would hear that it is one
            self.keypad.language = self._language(subject.language)
        if subject.policy and own is None and isinstance(course.outcomes[-1], Passed):
            # what this customer needs is not known; less must not do
            return Refused(policy.name, Status.UNAVAILABLE)
        verdict = decide(policy, subject, course.outcomes)
        if isinstance(verdict, Verified) and not await self._house.customers.in_force(subject):
            # told to nobody but who has shown to be the customer: others learn nothing of a lock
            return Refused(policy.name, Status.LOCKED, Locked(Scope.CUSTOMER, None))
        if isinstance(verdict, Refused) and verdict.status is Status.REFUSED:
            # these tries may have begun a lock, and the caller should hear of it now, not at the next call
            return await self._locked_by(verdict, attempt)
        return verdict

    def _left_of(self, policy: Policy) -> Sequence[type[Step]]:
        """The steps that are still to be passed; all of them where those passed elsewhere are not this policy's first."""
        course = self._course
        passed = course.held.now.passed
        done = policy.steps[: len(passed)]
        if tuple(step.name for step in done) != passed:
            # two workers whose settings differ
            course.held.now = replace(course.held.now, steps=(), tried=0, challenge="")
            done = ()
        course.outcomes = [Passed(step.name, step.factor) for step in done]
        return policy.steps[len(done) :]

    async def _hinted(self, tenant: str) -> Subject | None:
        """The customer of this tenant whom we have called, or whose number is calling, where it is one customer's."""
        caller, by = self._line.caller, "called"
        hinted = await self._house.reached.by_call(caller.node, caller.channel, tenant) if caller.called else None
        if hinted is None and caller.number is not None:
            hinted, by = await self._house.customers.by_phone(caller.number, tenant), "calling_number"
        if hinted is not None:
            self._log.info("subject.found", by=by)
            # no customer number is asked for, and that tells as much
            self.keypad.language = self._language(hinted.language)
        return hinted

    async def _keyed(self, tenant: str) -> Subject | None:
        """The customer of this tenant whose number is keyed. None: nothing was."""
        looks, keypad = self._house.settings.customer_number, self._house.settings.keypad
        self.watched.step("customer_number")
        form = Form(looks.least, looks.most, keypad.first_seconds, keypad.between_seconds)
        entry = await self.keypad.ask("customer_number", (Prompt.ASK_CUSTOMER_NUMBER,), form)
        if not isinstance(entry, Entered):
            return None
        subject = await self._house.customers.by_number(entry.digits, tenant)
        self._log.info("subject.found", by="customer_number")
        return subject

    async def _step(
        self, kind: type[Step], policy: Policy, subject: Subject, attempt: Attempt, *, hinted: bool
    ) -> Outcome:
        self._log.info("step.started", step=kind.name)
        self.watched.step(kind.name)
        began = self._house.tools.clock()
        before = Round(
            self.keypad,
            subject,
            attempt,
            self._course.held,
            policy.name,
            self._log,
            went_wrong=self._went_wrong,
            denied=self._denied,
            caller_began=not self._line.caller.called,
            tries=policy.tries,
            code_seconds=policy.code_seconds,
            other_customer=hinted,
            number=self._line.caller.number.masked if self._line.caller.number else "",
        )
        outcome = await kind(self._house.tools).run(before)
        self._log.info(
            "step.ended",
            step=kind.name,
            outcome=type(outcome).__name__.lower(),
            why=_why(outcome),
            seconds=round(self._house.tools.clock() - began, 2),
        )
        return outcome

    async def _went_wrong(self) -> None:
        """One more wrong try; a lock that it began is told of now, for the caller may hang up."""
        course = self._course
        course.held.now = course.held.now.trying()
        assert course.attempt is not None
        lock = await self._house.live.standing(course.attempt, course.held.now)
        if lock is not None and lock.scope is not Scope.CALL:
            await tell_of_lock(self._house, self._line, course, lock)

    async def _denied(self) -> None:
        """Whoever the caller says to be says not to be in this call: administrators are told now, whatever the caller does next."""
        subject = self._course.subject.ref if self._course.subject else ""
        await self._line.event("CallerDeclinesCall", {"Subject": subject})

    def _known_policy(self, name: str) -> Policy | None:
        policy = self._house.policies.get(name)
        if policy is None:
            cure = f"write [policies.{name}] into {self._house.settings.file}"
            self._log.error("policy.unknown", policy=name, cure=cure)
        return policy

    async def _locked_by(self, verdict: Refused, attempt: Attempt) -> Refused:
        lock = await self._house.live.standing(attempt)
        if lock is None or lock.scope is Scope.CALL:
            return verdict
        return Refused(verdict.policy, Status.LOCKED, lock)

    def _language(self, customers: str | None) -> str:
        return self._house.languages.of(customers, self._line.caller.language)


async def tell_of_lock(house: House, line: Line, course: Course, lock: Locked) -> None:
    """Tell the administrators of a lock, once in a call."""
    if course.held.now.lock_told:
        return
    course.held.now = replace(course.held.now, lock_told=True)
    fields = {"Scope": lock.scope.value, "Seconds": "" if lock.seconds is None else str(lock.seconds)}
    await line.event("CallerLockedOut", {**fields, "Subject": course.subject.ref if course.subject else ""})
    await house.live.note(course.held.now)


def attempt_of(house: House, line: Line, subject: Subject) -> Attempt:
    """Whom this caller's tries are counted for."""
    caller = line.caller
    number = None if caller.number is None else house.customers.phone_key(caller.number)
    return Attempt(subject.key, number, f"{caller.node}:{caller.channel}")


def _why(outcome: Outcome) -> str:
    match outcome:
        case Passed():
            return ""
        case Failed(reason=reason):
            return reason.value
        case Locked(scope=scope):
            return scope.value
