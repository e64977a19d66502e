"""Calls that people here begin: to a customer, at a number on record, which they are not shown."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.dialling import Dialled, Outgoing
from ivr.call.dial import Called, Dialling, DialStage
from ivr.config import Calls, Company
from ivr.errors import Unavailable
from ivr.lock.dialports import Dialler, Dials, Pace
from ivr.lock.dialwords import DialAsked
from ivr.lock.ports import Records
from ivr.lock.reads import Reads
from ivr.lock.rows import Rows
from ivr.lock.whom import Whom
from ivr.lock.words import Denied, Reason
from ivr.numbers import barred
from ivr.prompts import languages
from ivr.secret import Personal, Secret
from ivr.staff import Person
from ivr.store.history import Contact, History
from ivr.store.sealing import endpoint_key, is_ref

DIAL = "dial"
"""The action of its rows."""

# Seconds beyond the two phones' ringing, after which it counts as over whatever became of the desk that carried it.
_GRACE = 60
# Of ends whose names say something else in other rows.
_OUTCOMES = {DialStage.FAILED: "undone", DialStage.CANCELLED: "called_off"}


class Dial:
    """None of the methods raises `Unavailable`, but for `shown`: a part that is down refuses."""

    def __init__(
        self, rules: Calls, company: Company, countries: frozenset[str], whom: Whom, records: Records, dialler: Dialler,
        dials: Dials, pace: Pace, rows: Rows, history: History, reads: Reads, departments: Mapping[str, str], log: FilteringBoundLogger,
        wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """`countries`: those whose numbers are called; `departments`: what those who are called are told of a team."""
        self._rules = rules
        self._company = company
        self._countries = countries
        self._whom = whom
        self._records = records
        self._dialler = dialler
        self._dials = dials
        self._pace = pace
        self._rows = rows
        self._history = history
        self._reads = reads
        self._wall = wall
        self._departments = departments
        self._log = log
        self._carried: dict[str, tuple[Dialling, asyncio.Task[None]]] = {}
        self._looking: set[asyncio.Task[None]] = set()

    async def begin(self, person: Person, asked: DialAsked) -> Dialling | Denied:
        """Ring a phone of this person's, and then the customer's."""
        try:
            return await self._begun(person, asked)
        except Unavailable as error:
            return await self._refuse(person, self._rows.failed(person, DIAL, error))

    async def cancel(self, person: Person, id: str) -> bool | Denied:
        """Hang up, wherever it is carried; False where it has come to its end meanwhile."""
        try:
            found = await self._dials.shown(person.tenant, person.id)
            if found is None or found.id != id:
                return Denied(Reason.NOT_FOUND)
            if found.stage.is_end:
                return False
            await self._dials.call_off(found)
        except Unavailable as error:
            return self._rows.failed(person, DIAL, error)
        return True

    async def shown(self, person: Person) -> Dialling | None:
        """This person's latest, as long as there is something to be shown. Raises `Unavailable`."""
        return await self._dials.shown(person.tenant, person.id)

    def heard(self, endpoint: str) -> None:
        """Something is told of this phone: perhaps that its call shall end. Does not wait."""
        key = endpoint_key(endpoint)
        for dialling, carrying in list(self._carried.values()):
            if endpoint_key(dialling.endpoint) == key:
                self._look(dialling, carrying)

    def came(self) -> None:
        """What was told may have been lost. Does not wait."""
        for dialling, carrying in list(self._carried.values()):
            self._look(dialling, carrying)

    async def close(self) -> None:
        """End what is being begun here; who talks goes on."""
        tasks = [carrying for _, carrying in self._carried.values()]
        for task in (*tasks, *self._looking):
            task.cancel()
        await asyncio.gather(*tasks, *self._looking, return_exceptions=True)

    # ------------------------------------------------------------ inside

    async def _begun(self, person: Person, asked: DialAsked) -> Dialling | Denied:
        ground = await self._whom.ground(person)
        if isinstance(ground, Denied):
            return await self._refuse(person, ground)
        person = ground.person
        if ground.talks:
            return await self._refuse(person, Denied(Reason.IN_CALL))
        if await self._reads.stopped(person):
            return await self._refuse(person, Denied(Reason.TOO_MANY_READS))
        # counted before it is looked who that is: whoever tries numbers out is slowed down as well
        if await self._too_many("dial", f"{person.tenant}:{person.id}", self._rules.per_person_hour):
            return await self._refuse(person, Denied(Reason.TOO_MANY_CALLS))
        ref = await self._ref(person.tenant, asked)
        held = None if ref is None else await self._records.read(person.tenant, ref)
        number = None if held is None else self._number(held.phones, asked.phone)
        if ref is None or held is None or number is None:
            return await self._refuse(person, Denied(Reason.NO_TELEPHONE), ref or "")
        place = await self._dialler.place(person.endpoints)
        if place is None:
            return await self._refuse(person, Denied(Reason.PHONE_AWAY), ref)
        if await self._too_many("dialled", f"{person.tenant}:{ref}", self._rules.per_customer_hour):
            return await self._refuse(person, Denied(Reason.TOO_MANY_CALLS), ref)
        node, endpoint = place
        dialling = Dialling(secrets.token_urlsafe(16), ref, endpoint)
        seconds = self._rules.ring_agent_seconds + self._rules.ring_seconds + _GRACE
        if not await self._dials.begin(person.tenant, person.id, dialling, seconds):
            return await self._refuse(person, Denied(Reason.DIALLING), ref)
        detail = {"dial": dialling.id, "node": node, "phone": str(asked.phone)}
        try:
            await self._rows.tell(person, DIAL, "asked", ref, detail=detail)
        except Unavailable as error:
            with suppress(Unavailable):
                await self._dials.show(person.tenant, person.id, replace(dialling, stage=DialStage.FAILED))
            return await self._refuse(person, self._rows.failed(person, DIAL, error), ref)
        self._log.info("dial.asked", dial=dialling.id, person=person.id)
        outgoing = self._outgoing(person, dialling, number, held.language)
        called = Called(person.tenant, ref, asked.phone)
        carrying = asyncio.create_task(self._carry(person, dialling, node, outgoing, called))
        self._carried[dialling.id] = dialling, carrying
        return dialling

    def _outgoing(self, person: Person, dialling: Dialling, number: Personal, language: str | None) -> Outgoing:
        known = next(
            (one for one in (language, self._company.language) if one is not None and one in languages()), "en"
        )
        rules = self._rules
        return Outgoing(
            agent=dialling.endpoint,
            number=number,
            shown=rules.shown(person.team), shown_name=rules.name or self._company.name, display=dialling.ref,
            dial=rules.dial or "", ring_agent=rules.ring_agent_seconds, ring=rules.ring_seconds, language=known,
            plus=rules.format == "e164",
        )  # fmt: skip

    async def _carry(self, person: Person, dialling: Dialling, node: str, outgoing: Outgoing, called: Called) -> None:
        async def told(stage: str) -> None:
            if stage == DialStage.CUSTOMER:
                # noted before their telephone rings: from then on they may ask, however it ends
                await self._noted(person, dialling, outgoing)
            await self._show(person, replace(dialling, stage=DialStage(stage)))

        how, channel, why = DialStage.FAILED, "", ""
        try:
            ended, channel = await self._dialler.dial(node, outgoing, told)
            how = DialStage.ANSWERED if ended is Dialled.JOINED else DialStage(ended.value)
        except asyncio.CancelledError:
            # the dialler has hung both up
            how = DialStage.CANCELLED
        except Unavailable as error:
            why = str(error)
        finally:
            self._carried.pop(dialling.id, None)
        await self._ended(person, replace(dialling, stage=how), node, channel, called, why)

    async def _noted(self, person: Person, dialling: Dialling, outgoing: Outgoing) -> None:
        department = self._departments.get(person.team, "")
        contact = Contact(int(self._wall()), outgoing.shown, department, dialling.ref)
        with suppress(Unavailable):
            # whoever asks is answered nothing then, which is what the page says may be
            await self._history.note(outgoing.number, contact)

    async def _ended(
        self, person: Person, dialling: Dialling, node: str, channel: str, called: Called, why: str
    ) -> None:  # fmt: skip
        if why:
            self._log.error("dial.failed", dial=dialling.id, error=why)
        else:
            self._log.info("dial.ended", dial=dialling.id, result=dialling.stage.value)
        if channel:
            with suppress(Unavailable):
                # the page has no reference then, and it is asked for whom a proof goes to
                await self._dials.answered(node, channel, called)
        try:
            call = {} if not channel else {"channel": channel}
            detail = {"dial": dialling.id, "node": node, "phone": str(called.phone), **call}
            await self._rows.tell(
                person, DIAL, _OUTCOMES.get(dialling.stage, dialling.stage.value), called.ref, detail=detail
            )
        except Unavailable as error:
            # that it was begun stands there
            self._log.error("dial.untold", dial=dialling.id, error=str(error))
        await self._show(person, dialling)

    async def _show(self, person: Person, dialling: Dialling) -> None:
        try:
            await self._dials.show(person.tenant, person.id, dialling)
        except Unavailable as error:
            # the phones ring whatever a page shows
            self._log.warning("dial.not_shown", dial=dialling.id, error=str(error))

    def _look(self, dialling: Dialling, carrying: asyncio.Task[None]) -> None:
        async def look() -> None:
            with suppress(Unavailable):
                if await self._dials.called_off(dialling.id) and dialling.id in self._carried:
                    carrying.cancel()

        task = asyncio.create_task(look())
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def _ref(self, tenant: str, asked: DialAsked) -> str | None:
        """The customer, where there is such one in force."""
        if isinstance(asked.customer, Secret):
            known = await self._records.by_number(tenant, asked.customer)
            return known[0] if known is not None and known[1] else None
        ref = asked.customer
        return ref if is_ref(ref) and await self._records.in_force(tenant, ref) else None

    def _number(self, phones: tuple[Personal, ...], which: int) -> Personal | None:
        """The one that is meant, where such numbers are called."""
        if not 1 <= which <= len(phones):
            return None
        number = phones[which - 1]
        return number if barred(number, self._countries) is None else None

    async def _too_many(self, kind: str, whom: str, an_hour: int) -> bool:
        return await self._pace.take(kind, whom, per_minute=an_hour, minutes=60) is not None

    async def _refuse(self, person: Person, denied: Denied, ref: str = "") -> Denied:
        return await self._rows.refuse(person, DIAL, denied, ref)
