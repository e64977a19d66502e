"""Whom a person talks with, for what is done to that call: asked anew each time."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from ivr.errors import Unavailable
from ivr.lock.decision import Caller, Ground, caller, outsiders, own_talks
from ivr.lock.judge import Judge, Unknown
from ivr.lock.rows import Rows
from ivr.lock.words import Denied, Reason
from ivr.staff import Permission, Person
from ivr.vault import Index


class Whom:
    """For those who have one permission. Calls are named as the API names them (`vault.Index.call`). Raises nothing."""

    def __init__(
        self, judge: Judge, rows: Rows, index: Index, log: FilteringBoundLogger, needs: Permission, what: str
    ) -> None:
        """`what` is done, for the log."""
        self._judge = judge
        self._rows = rows
        self._index = index
        self._log = log
        self._needs = needs
        self._what = what

    async def sole(self, person: Person, call: str) -> Caller | Denied:
        """The one with whom this person talks, and nobody else with them."""
        ground = await self.ground(person)
        if isinstance(ground, Denied):
            return ground
        found = caller(ground)
        if isinstance(found, Denied):
            return found
        if self._index.call(*found.call) != call:
            return Denied(Reason.NO_CALL)
        return found if len(found.talk.others) == 1 else Denied(Reason.THIRD_PARTY)

    async def any(self, person: Person, call: str) -> Caller | Denied:
        """A caller of this person, whoever else is there."""
        ground = await self.ground(person)
        if isinstance(ground, Denied):
            return ground
        found = (one for talk in own_talks(ground) for one in outsiders(ground, talk))
        return next((one for one in found if self._index.call(*one.call) == call), Denied(Reason.NO_CALL))

    async def ground(self, person: Person) -> Ground | Denied:
        """What is known now, where this person may do it."""
        try:
            ground = await self._judge.ground(person)
        except Unknown as error:
            self._log.warning("lock.unknown", person=person.id, error=str(error))
            return Denied(Reason.UNKNOWN_BRIDGES)
        except Unavailable as error:
            return self._rows.failed(person, self._what, error)
        return ground if ground.person.may(self._needs) else Denied(Reason.NOT_PERMITTED)
