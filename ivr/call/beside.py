"""Verifies the person in a conversation that goes on meanwhile: what they show is no part of the call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ivr.call.mark import Mark
from ivr.call.outcome import Locked, Outcome, Passed, Refused, Scope, Status, Verified
from ivr.call.policy import Policy, decide, stronger
from ivr.call.ports import Attempt, Clock, Customers, Entry, Granted, Subject, Trail
from ivr.call.progress import told
from ivr.call.undoing import EVERY, Owed, Undoing
from ivr.errors import Unavailable
from ivr.secret import Personal

ON_PAGE = "on_page"
"""The round of its rows: one that takes away no mark of an earlier one where it fails."""


class Counted(Protocol):
    """What the store does for it; each method as of `call.ports.Live`, without a call's record."""

    async def standing(self, attempt: Attempt) -> Locked | None: ...

    async def attempt(self, attempt: Attempt) -> Granted | Locked: ...

    async def give_back(self, attempt: Attempt) -> None: ...

    async def barred(self, subject: str) -> bool: ...

    async def mark(self, node: str, channel: str) -> Mark | None: ...

    async def place_beside(self, mark: Mark, attempt: Attempt) -> bool:
        """Place it, unless the caller is being verified, or a mark stands that is a higher one or another customer's; whether it is placed."""
        ...

    async def take_away(self, mark: Mark) -> bool:
        """Remove this very mark; False where it does not stand."""
        ...


@dataclass(frozen=True, slots=True)
class Placed:
    """A mark that stands now. `before`: of the same customer, which stood there until then."""

    mark: Mark
    before: Mark | None


@dataclass(frozen=True, slots=True)
class Conversation:
    """Whom the company has shown who it is: `subject`, on this channel. `number`: of the person on the line.

    `round`: another one each time that somebody begins to show who they are; `proof`: the one behind which it is begun.
    """

    node: str
    channel: str
    number: Personal | None
    subject: Subject
    policy: Policy
    round: str
    proof: str


class Beside:
    """Order and failures as of `call.session`: counted before it is compared, in the trail before there is a mark; what fails marks nobody."""

    def __init__(
        self, policies: Mapping[str, Policy], customers: Customers, live: Counted, trail: Trail, wall: Clock,
        log: FilteringBoundLogger, *, every: float = EVERY,
    ) -> None:  # fmt: skip
        """`wall`: seconds since the epoch; `every`: seconds between two tries of what could not be undone."""
        self._policies = policies
        self._customers = customers
        self._live = live
        self._trail = trail
        self._wall = wall
        self._log = log
        self._undoing = Undoing(live, trail, log, every)

    async def close(self) -> None:
        """Try once more what is owed."""
        await self._undoing.close()

    def policy(self, name: str, subject: Subject, tenant: str) -> Policy | None:
        """The one of this name with what this customer of that tenant needs on top, as of `call.verification`; None where that is another step."""
        policy = self._policies.get(name)
        if policy is None or policy.tenant != tenant:
            return None
        if not subject.policy:
            return policy
        own = self._policies.get(subject.policy)
        # what this customer needs is not known, or more than this: less must not do
        best = policy if own is None else stronger(policy, own)
        return best if own is not None and best.steps == policy.steps else None

    async def may(self, one: Conversation) -> Locked | None:
        """Whether a try would be refused now; counts nothing. Raises `StoreError`."""
        if await self._live.barred(one.subject.key):
            return Locked(Scope.CUSTOMER, None)
        return await self._live.standing(self._attempt(one))

    async def count(self, one: Conversation) -> Locked | None:
        """A try, before it is evaluated. Raises `StoreError`."""
        granted = await self._live.attempt(self._attempt(one))
        return granted if isinstance(granted, Locked) else None

    async def settle(
        self, one: Conversation, outcome: Outcome, still: Callable[[], Awaitable[bool]]
    ) -> Placed | Refused | Verified:
        """What comes of it: a mark; or `Verified`, where the one that stands says as much already.

        `still` says in the last moment whether the person is in the same conversation yet. Raises nothing.
        """
        try:
            return await self._settled(one, outcome, still)
        except Unavailable as error:
            self._log.error("back.failed", proof=one.proof, error=str(error))
            return Refused(one.policy.name, Status.UNAVAILABLE)

    # ------------------------------------------------------------ inside

    async def _settled(
        self, one: Conversation, outcome: Outcome, still: Callable[[], Awaitable[bool]]
    ) -> Placed | Refused | Verified:
        if isinstance(outcome, Passed):
            await self._live.give_back(self._attempt(one))
        verdict = decide(one.policy, one.subject, [outcome])
        if isinstance(verdict, Verified) and (gone := await self._gone(one, still)) is not None:
            verdict = gone
        if isinstance(verdict, Refused):
            await self._record(one, verdict, outcome)
            return verdict
        before = await self._live.mark(one.node, one.channel)
        if before is not None and before.subject != verdict.subject:
            refused = Refused(one.policy.name, Status.REFUSED)
            await self._record(one, refused, outcome)
            return refused
        await self._record(one, verdict, outcome)
        if before is not None and before.level > verdict.level:
            return verdict
        return await self._marked(one, verdict, before, still)

    async def _gone(self, one: Conversation, still: Callable[[], Awaitable[bool]]) -> Refused | None:
        """Why nobody is to be marked, whatever was shown."""
        if not await self._customers.in_force(one.subject):
            return Refused(one.policy.name, Status.LOCKED, Locked(Scope.CUSTOMER, None))
        return None if await still() else Refused(one.policy.name, Status.ABANDONED)

    async def _marked(
        self, one: Conversation, verified: Verified, before: Mark | None, still: Callable[[], Awaitable[bool]]
    ) -> Placed | Refused:
        """Behind the row; and as the row took its time, it is looked once more."""
        placing: Mark | None = None
        try:
            refused = await self._gone(one, still)
            if refused is None:
                placing = Mark.of(verified, node=one.node, channel=one.channel, now=self._wall())
                if await self._live.place_beside(placing, self._attempt(one)):
                    return Placed(placing, before)
                placing, refused = None, Refused(one.policy.name, Status.ABANDONED)
        except Unavailable as error:
            self._log.error("back.failed", proof=one.proof, error=str(error))
            refused = Refused(one.policy.name, Status.UNAVAILABLE)
        # where Redis has not answered, it may have placed it all the same
        await self._undone(one, refused, placing, before)
        return refused

    async def unanswered(self, one: Conversation, status: Status, outcome: Outcome | None = None) -> None:
        """What was counted came to no answer, or nobody is there for it any more: the try is given back, and nobody is marked. Raises `StoreError`."""
        await self._live.give_back(self._attempt(one))
        await self._record(one, Refused(one.policy.name, status), outcome)

    async def undo(self, one: Conversation, placed: Placed) -> Mark | None:
        """That mark is none, for it cannot be announced; the one of before that stands again. Raises nothing."""
        return await self._undone(one, Refused(one.policy.name, Status.UNAVAILABLE), placed.mark, placed.before)

    async def _undone(self, one: Conversation, refused: Refused, mark: Mark | None, before: Mark | None) -> Mark | None:
        """The row says that the person is verified, and there is no mark of it."""
        lock = "" if refused.lock is None else refused.lock.scope.value
        detail = {"node": one.node, "policy": refused.policy, "lock": lock, "tenant": one.policy.tenant}
        row = Entry(
            "desk", "mark.void", refused.status.value, call=one.channel, subject=one.subject.ref, detail=detail,
            once=f"{one.round}:void",
        )  # fmt: skip
        taken = await self._undoing.undo(Owed(mark, row, one.proof))
        if not taken or before is None:
            return None
        try:
            return before if await self._live.place_beside(before, self._attempt(one)) else None
        except Unavailable as error:
            self._log.error("back.failed", proof=one.proof, error=str(error))
            return None

    async def _record(self, one: Conversation, verdict: Verified | Refused, outcome: Outcome | None) -> None:
        """As the worker tells of a round (`call.account`)."""
        status = verdict.status if isinstance(verdict, Refused) else Status.VERIFIED
        lock = verdict.lock if isinstance(verdict, Refused) else None
        detail = {
            "node": one.node,
            "policy": verdict.policy,
            "level": str(verdict.level if isinstance(verdict, Verified) else 0),
            "number": one.number.masked if one.number else "",
            "phase": one.policy.steps[0].name,
            "wrong": "0" if outcome is None or isinstance(outcome, Passed) else "1",
            "round": ON_PAGE,
            "lock": "" if lock is None else lock.scope.value if lock.seconds is None else f"{lock.scope.value}:{lock.seconds}",
            "steps": "" if outcome is None else told(outcome),
            "proof": one.proof,
            "tenant": one.policy.tenant,
        }  # fmt: skip
        row = Entry(
            "caller", "verify", status.value, call=one.channel, subject=one.subject.ref, detail=detail, once=one.round
        )
        stands = await self._trail.append(row)
        if stands != status.value:
            raise Unavailable(f"audit: the trail says {stands} of this call already")

    def _attempt(self, one: Conversation) -> Attempt:
        number = None if one.number is None else self._customers.phone_key(one.number)
        return Attempt(one.subject.key, number, f"{one.node}:{one.channel}")
