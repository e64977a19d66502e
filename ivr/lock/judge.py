"""Asks those who know, and has it decided."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from time import time
from typing import Any, TypeVar

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Talk, Talks
from ivr.errors import Unavailable
from ivr.lock.decision import Caller, Ground, caller, judge_caller
from ivr.lock.lately import Lately
from ivr.lock.ports import Marks, Records, Staff
from ivr.lock.words import Channel, Denied, Granted, Reason
from ivr.secret import Secret
from ivr.staff import Permission, Person
from ivr.store.sealing import is_ref

# Somebody may be transferred while it is asked who has a mark: then it is asked again.
_TRIES = 4

A = TypeVar("A")
B = TypeVar("B")

NOBODYS = "?"
"""No customer has this reference."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict; `call` is the caller whom it is about, as far as there is one, and `ref` the customer who was asked for."""

    verdict: Granted | Denied
    call: Channel | None = None
    ref: str = ""


class Judge:
    """Nothing is remembered from one judgement to the next."""

    def __init__(
        self, talks: Talks, staff: Staff, marks: Marks, records: Records, log: FilteringBoundLogger,
        wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        self._talks = talks
        self._staff = staff
        self._marks = marks
        self._records = records
        self._log = log
        self._wall = wall

    def of_one_request(self, person: Person, at: float) -> Judge:
        """One that reads who works here once in a moment, as `person` was `at`; who talks with whom, and the marks, each time."""
        return Judge(self._talks, Lately(self._staff, person, at), self._marks, self._records, self._log, self._wall)

    async def by_id(self, tenant: str, id: str) -> Person | None:
        """Somebody as of now. Raises `Unavailable`."""
        found = await self._staff.by_id(tenant, id)
        return found if found is not None and (found.tenant, found.id) == (tenant, id) else None

    async def anew(self, person: Person) -> Person:
        """The same person as of now; may do nothing who is not there any more. Raises `Unavailable`."""
        return await self.by_id(person.tenant, person.id) or replace(person, disabled=True)

    async def judge(self, person: Person, ref: str, level: int) -> Judged:
        """Whether this customer is the caller of this person now, at this level, and in force. Raises nothing."""
        return await self._judged(person, self._by_ref(person.tenant, ref), level)

    async def judge_number(self, person: Person, number: Secret, level: int) -> Judged:
        """The same by a customer number; one that nobody has is `NOBODYS`. Raises nothing."""
        return await self._judged(person, self._by_number(person.tenant, number), level)

    async def _judged(self, person: Person, whom: Coroutine[Any, Any, tuple[str, bool]], level: int) -> Judged:
        ref, asking = "", asyncio.create_task(whom)
        try:
            try:
                ground = await self.ground(person)
            finally:
                # whom it was about is told where the rest is not known, too
                ref, in_force = await asking
            found = caller(ground)
            verdict = judge_caller(ground, found, ref, level)
            if isinstance(verdict, Granted) and not in_force:
                verdict = Denied(Reason.NOT_IN_FORCE)
        except Unknown as error:
            self._log.warning("lock.unknown", person=person.id, error=str(error))
            return Judged(Denied(Reason.UNKNOWN_BRIDGES), ref=ref)
        except Unavailable as error:
            self._log.error("lock.failed", action="judge", person=person.id, error=str(error))
            return Judged(Denied(Reason.UNAVAILABLE), ref=ref)
        return Judged(verdict, found.call if isinstance(found, Caller) else None, ref)

    async def again(self, person: Person, ref: str, level: int, call: Channel) -> Judged:
        """The same, where it was granted for this call before: another call of the same customer is another matter."""
        judged = await self.judge(person, ref, level)
        if isinstance(judged.verdict, Granted) and judged.verdict.call != call:
            return Judged(Denied(Reason.NO_CALL), judged.call)
        return judged

    async def whom(self, person: Person) -> str | None:
        """The customer as whom the person's one caller is marked, whatever the level; None where there is none. Raises `Unavailable`."""
        found = caller(await self.ground(person))
        return found.mark.subject if isinstance(found, Caller) and found.mark is not None else None

    async def ground(self, person: Person) -> Ground:
        """What is known now. Raises `Unavailable`."""
        fresh = await self.anew(person)
        if not fresh.may(Permission.CALL):
            return Ground(fresh, (), {}, {}, self._wall())
        for _ in range(_TRIES):
            talks = await self._talks_of(fresh)
            parties = [(talk.node, party) for talk in talks for party in (talk.own, *talk.others)]
            channels = list({Channel(node, party.channel) for node, party in parties})
            found, owners = await beside(
                self._marks.marks(channels), self._staff.owners_of({party.endpoint for _, party in parties})
            )
            marks = {channel: mark for channel, mark in zip(channels, found, strict=True) if mark is not None}
            if await self._talks_of(fresh) == talks:
                return Ground(fresh, talks, owners, marks, self._wall())
        raise Unknown("who talks with whom changes all the time")

    async def _by_ref(self, tenant: str, ref: str) -> tuple[str, bool]:
        # what has not the form is nobody's, and perhaps no text that can be asked for
        return ref, is_ref(ref) and await self._records.in_force(tenant, ref)

    async def _by_number(self, tenant: str, number: Secret) -> tuple[str, bool]:
        return await self._records.by_number(tenant, number) or (NOBODYS, False)

    async def _talks_of(self, person: Person) -> list[Talk]:
        try:
            return [talk for endpoint in sorted(person.endpoints) for talk in await self._talks.of(endpoint)]
        except Unavailable as error:
            raise Unknown(str(error)) from None


async def beside(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Both: the second while the first waits."""
    other = asyncio.create_task(second)
    try:
        found = await first
    finally:
        beside = await other
    return found, beside


class Unknown(Unavailable):
    """It is not known who talks with whom."""
