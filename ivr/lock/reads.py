"""Whose records one person reads, counted: against that person's peers, and against a number that is too many for anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from statistics import median

from structlog.typing import FilteringBoundLogger

from ivr.config.lock import Reads as Limits
from ivr.errors import InputError, Unavailable
from ivr.lock.judge import Judge
from ivr.lock.ports import Counts, Teams
from ivr.lock.reasons import reason_of
from ivr.lock.rows import Rows
from ivr.lock.teamwords import Lifted, Standing
from ivr.lock.words import Denied, Reason
from ivr.staff import Permission, Person
from ivr.store.reads import Counted, Notice, Stopped

_STOPPED, _UNUSUAL = "reads.stopped", "reads.unusual"
_OUTCOMES = {_STOPPED: "stopped", _UNUSUAL: "warned"}
# A row that could not be written is tried again so often, in seconds; what is forgotten of them by the end of the process
# is told when the same person reads, or tries to.
_AGAIN_SECONDS = 1.0
_MOST_OWED = 1000


class Reads:
    """Counts different customers, in a sliding hour and a sliding day; the same one again is none more."""

    def __init__(
        self, limits: Limits, counts: Counts, staff: Teams, judge: Judge, rows: Rows, log: FilteringBoundLogger
    ) -> None:
        self._limits = limits
        self._counts = counts
        self._staff = staff
        self._judge = judge
        self._rows = rows
        self._log = log
        self._owed: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def count(self, person: Person, ref: str) -> Denied | None:
        """Count one, before it is read; None where it may be. Raises `Unavailable`; then it may not."""
        limits = self._limits
        match await self._counts.count(_key(person), ref, hour=limits.stop_hour, day=limits.stop_day):
            case Stopped(notice, hour, day):
                if notice.first:
                    self._log.error("reads.stopped", person=person.id, hour=hour, day=day)
                # it holds all the same
                with suppress(Unavailable):
                    await self._tell(person, _STOPPED, notice, {"hour": hour, "day": day})
                return Denied(Reason.TOO_MANY_READS)
            case Counted(hour, day):
                if hour > limits.warn_hour or day > limits.warn_day:
                    await self._compare(person, hour, day)
                return None

    async def stopped(self, person: Person) -> bool:
        """Whether this person reads nothing until another lifts it. Raises `Unavailable`."""
        ((_, _, stopped, _),) = await self._counts.of([_key(person)])
        return stopped

    async def lift(self, by: Person, whom: str, reason: str) -> Lifted | Denied:
        """Let somebody read again who was stopped (`Person.id`). Raises `InputError` for a reason that is none."""
        said = reason_of(reason)
        what = "reads.lifted"
        try:
            by = await self._judge.anew(by)
            whose = await self._judge.by_id(by.tenant, whom) if by.may(Permission.APPROVE) else None
            # whether there is such a one in another tenant is not told
            if whose is None or whose.id == by.id:
                return await self._rows.refuse(by, what, Denied(Reason.NOT_PERMITTED))
            if not await self.stopped(whose):
                raise InputError("reads: this person is not stopped. Nothing was done")
            await self._rows.tell(by, what, "done", detail={"whom": whose.id, "reason": said})
            await self._counts.lift(_key(whose))
        except Unavailable as error:
            return await self._rows.refuse(by, what, self._rows.failed(by, what, error))
        self._log.warning("reads.lifted", person=whose.id, by=by.id)
        return Lifted(whose.id)

    async def standing(self, by: Person) -> tuple[Standing, ...] | Denied:
        """How many each of the tenant has read, for whoever watches that; the team's alone for whoever watches one."""
        try:
            by = await self._judge.anew(by)
            if not (by.may(Permission.READS) or by.may(Permission.WATCH)):
                return await self._rows.refuse(by, "reads.standing", Denied(Reason.NOT_PERMITTED))
            teams = await self._staff.teams(by.tenant)
            persons = [one for one, team in teams.items() if by.may(Permission.READS) or team == by.team]
            found = await self._counts.of([_key_of(by.tenant, one) for one in persons])
        except Unavailable as error:
            return self._rows.failed(by, "reads.standing", error)
        return tuple(Standing(one, *counts) for one, counts in zip(persons, found, strict=True))

    async def _compare(self, person: Person, hour: int, day: int) -> None:
        """Warn, once in an hour, where it is far more than what others of the team read."""
        teams = await self._staff.teams(person.tenant)
        peers = [one for one, team in teams.items() if team == person.team and one != person.id]
        found = await self._counts.of([_key_of(person.tenant, one) for one in peers])
        usual_hour, usual_day = _usual(hour for hour, *_ in found), _usual(day for _, day, *_ in found)
        much = hour > self._limits.warn_hour and hour > usual_hour * self._limits.warn_factor
        much_today = day > self._limits.warn_day and day > usual_day * self._limits.warn_factor
        if not (much or much_today):
            return
        notice = await self._counts.warn(_key(person))
        detail = {"hour": hour, "day": day, "usual_hour": usual_hour, "usual_day": usual_day}
        if notice.first:
            self._log.warning(
                "reads.unusual", person=person.id, hour=hour, day=day, usual_hour=usual_hour, usual_day=usual_day
            )
        await self._tell(person, _UNUSUAL, notice, detail)

    async def _tell(self, person: Person, what: str, notice: Notice, detail: Mapping[str, float]) -> None:
        """The row of it, once; where that fails, as soon as it can be, whether or not this person goes on. Raises `Unavailable`."""
        if not notice.untold:
            return
        try:
            await self._told(person, what, notice.untold, detail)
        except Unavailable:
            owed = (person.id, notice.untold)
            if owed not in self._owed and len(self._owed) < _MOST_OWED:
                self._owed[owed] = task = asyncio.create_task(self._settle(person, what, notice.untold, detail))
                task.add_done_callback(lambda _: self._owed.pop(owed, None))
            raise

    async def _settle(self, person: Person, what: str, which: str, detail: Mapping[str, float]) -> None:
        while True:
            await asyncio.sleep(_AGAIN_SECONDS)
            with suppress(Unavailable):
                await self._told(person, what, which, detail)
                return

    async def _told(self, person: Person, what: str, which: str, detail: Mapping[str, float]) -> None:
        # whoever comes second, also in another process, changes nothing
        once = f"{what}:{_key(person)}:{which}"
        await self._rows.tell(
            person, what, _OUTCOMES[what], once=once, detail={name: f"{n:g}" for name, n in detail.items()}
        )
        await self._counts.told(_key(person), which)


def _usual(counts: Iterable[int]) -> float:
    """The median of those who have read anything: whoever is not at work would make any number unusual."""
    some = [count for count in counts if count]
    return median(some) if some else 0.0


def _key(person: Person) -> str:
    return _key_of(person.tenant, person.id)


def _key_of(tenant: str, person: str) -> str:
    """What is counted by: the tenant stands in every key."""
    return f"{tenant}:{person}"
