"""What a supervisor sees of a team: who talks, how far each caller is, how verifications end, and what is locked. No customer's data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import TypeVar

from ivr.audit.rates import Tally
from ivr.call.mark import Mark
from ivr.call.outcome import Scope, Status
from ivr.call.ports import Talk
from ivr.call.progress import Progress
from ivr.lock.current import direction, state_of
from ivr.lock.decision import Ground, outsiders, own_talks
from ivr.lock.judge import Judge
from ivr.lock.ports import Floor, Glances, Holds, Rounds, Staff, Switch, Waits
from ivr.lock.rows import Rows
from ivr.lock.teamwords import Barred, Ended, Held, Statistics, Watched
from ivr.lock.words import Channel, Denied, Direction, Reason, State
from ivr.staff import TENANT, Permission, Person
from ivr.store.sealing import endpoint_key

T = TypeVar("T")

# Seconds: to find locks, all counts of failures are looked at.
_KEEP = 5.0
# Locks that are told of.
_MOST = 500

_OUTCOMES = {
    Status.VERIFIED: "verified", Status.REFUSED: "refused", Status.LOCKED: "refused", Status.TIMEOUT: "refused",
    Status.ABANDONED: "abandoned", Status.UNAVAILABLE: "failed",
}  # fmt: skip


class Watch:
    """Who may not watch is refused. Each method raises `Unavailable` where a part is down."""

    def __init__(
        self, judge: Judge, floor: Floor, staff: Staff, glances: Glances, waits: Waits, switch: Switch, holds: Holds,
        rounds: Rounds, rows: Rows, wall: Callable[[], float], clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        self._judge = judge
        self._floor = floor
        self._staff = staff
        self._glances = glances
        self._waits = waits
        self._switch = switch
        self._holds = holds
        self._rounds = rounds
        self._rows = rows
        self._wall = wall
        self._clock = clock
        self._barred: tuple[float, tuple[Barred, ...]] | None = None

    async def calls(self, by: Person) -> tuple[Watched, ...] | Denied:
        """Those of the own team's phones, by the agents' names."""
        by = await self._judge.anew(by)
        if not by.may(Permission.WATCH):
            return await self._refused(by, "watch.calls")
        team = [
            one for one in await self._staff.colleagues(by.tenant) if one.team == by.team and not one.disabled
        ]  # fmt: skip
        talks = {one.id: [talk for endpoint in one.endpoints for talk in self._floor.told(endpoint)] for one in team}
        marks, states = await self._glance(talk for some in talks.values() for talk in some)
        parties = {party.endpoint for some in talks.values() for talk in some for party in (talk.own, *talk.others)}
        owners = await self._staff.owners_of(parties)
        seen = [
            watched
            for one in team
            for watched in _calls(Ground(one, talks[one.id], owners, marks, self._wall()), states)
        ]
        seen += await self._waited_for(team)
        return tuple(sorted(seen, key=lambda one: (one.agent, one.person, one.call)))

    async def statistics(self, by: Person) -> Statistics | Denied:
        """How verifications ended. They come before a call has an agent, and so are the whole company's."""
        if not await self._may(by):
            return await self._refused(by, "watch.statistics")
        rates = await self._rounds.rates()
        return Statistics(_ended(rates.hour), _ended(rates.day))

    async def barred(self, by: Person) -> tuple[Barred, ...] | Denied:
        """What is locked now, the one that ends first coming first."""
        if not await self._may(by):
            return await self._refused(by, "watch.locks")
        if self._barred is None or self._clock() - self._barred[0] >= _KEEP:
            self._barred = self._clock(), await self._look()
        return self._barred[1]

    # ------------------------------------------------------------ inside

    async def _may(self, by: Person) -> bool:
        by = await self._judge.anew(by)
        # customers and their verifications are those of the company that has the workers
        return by.may(Permission.WATCH) and by.tenant == TENANT

    async def _refused(self, by: Person, what: str) -> Denied:
        return await self._rows.refuse(by, what, Denied(Reason.NOT_PERMITTED))

    async def _waited_for(self, team: Sequence[Person]) -> list[Watched]:
        """Callers who are in no talk, for they are keying."""
        whose = {endpoint_key(endpoint): one for one in team for endpoint in one.endpoints}
        return [
            Watched(
                person.id, person.name, Channel(one.node, one.channel), one.number or None, Direction.INBOUND, False, one.since,
                State.VERIFYING,
            )
            for one in await self._waits.among(whose)
            # a worker that has died tells of no end: it is asked who waits
            if (person := whose.get(endpoint_key(one.endpoint))) is not None and await self._switch.waits(one.node, one.agent)
        ]  # fmt: skip

    async def _glance(self, talks: Iterable[Talk]) -> tuple[dict[Channel, Mark], dict[Channel, State]]:
        channels = sorted(
            {Channel(talk.node, party.channel) for talk in talks for party in (talk.own, *talk.others)}
        )  # fmt: skip
        found = dict(zip(channels, await self._glances.glance(channels), strict=True)) if channels else {}
        marks = {channel: mark for channel, (mark, _, _) in found.items() if mark is not None}
        return marks, {channel: _state(progress, ended) for channel, (_, progress, ended) in found.items()}

    async def _look(self) -> tuple[Barred, ...]:
        holds = await self._holds.in_force()
        refs = await self._holds.customers(TENANT, [hold.of for hold in holds if hold.scope is Scope.CUSTOMER])
        rounds = await self._rounds.of([hold.by for hold in holds if hold.scope is Scope.NUMBER and hold.by])
        found = [
            Barred(Held.CUSTOMER, refs[hold.of], hold.until)
            for hold in holds
            # whoever keys a number that nobody has is locked like a customer
            if hold.scope is Scope.CUSTOMER and hold.of in refs
        ]
        for hold in holds:
            if hold.scope is Scope.NUMBER:
                told = rounds.get(hold.by)
                found.append(Barred(Held.NUMBER, "" if told is None else told.number, hold.until))
        found += [Barred(Held.BY_HAND, ref, None) for ref in await self._holds.locked(TENANT, _MOST)]
        ordered = sorted(found, key=lambda one: (one.until is None, one.until or 0, one.kind, one.what))
        return tuple(ordered[:_MOST])


def _state(progress: Progress | None, ended: Status | None) -> State:
    """That of a caller without a mark."""
    if progress is None and ended not in (None, Status.VERIFIED):
        return State.REFUSED
    return state_of(progress)


def _calls(ground: Ground, states: dict[Channel, State]) -> Iterable[Watched]:
    seen: set[Channel] = set()
    for talk in own_talks(ground):
        for found in outsiders(ground, talk):
            if found.call in seen or found.party.endpoint in ground.owners:
                continue
            seen.add(found.call)
            mark = found.mark if found.mark is not None and found.mark.expires > ground.now else None
            yield Watched(
                ground.person.id, ground.person.name, found.call,
                None if found.party.number is None else found.party.number.masked,
                direction(found), talk.own.held, found.party.since,
                State.VERIFIED if mark is not None else states[found.call],
                0 if mark is None else mark.level, None if mark is None else mark.expires,
            )  # fmt: skip


def _ended(tally: Tally) -> tuple[Ended, ...]:
    counts: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (policy, outcome), count in tally.items():
        known = next((name for status, name in _OUTCOMES.items() if status.value == outcome), None)
        if known is not None:
            counts[policy][known] += count
    return tuple(Ended(policy, **counts[policy]) for policy in sorted(counts))
