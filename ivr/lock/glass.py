"""Breaking the glass: a reason, and a second person, open one record for one person for a short time. Loudly."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import replace
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.config.lock import Glass as Rules
from ivr.errors import InputError, Unavailable
from ivr.lock.judge import Judge
from ivr.lock.lock import values, wanted
from ivr.lock.ports import Openings, Records
from ivr.lock.reads import Reads
from ivr.lock.reasons import reason_of
from ivr.lock.rows import Rows
from ivr.lock.words import Denied, Reason, Record
from ivr.staff import Permission, Person
from ivr.store.openings import Opening
from ivr.store.sealing import is_ref

_ASK, _APPROVE, _DECLINE, _READ = "glass.ask", "glass.approve", "glass.decline", "glass.read"


class Glass:
    """None of the methods raises `Unavailable`: a part that is down refuses."""

    def __init__(
        self, rules: Rules, wishes: Openings, judge: Judge, records: Records, reads: Reads, rows: Rows,
        log: FilteringBoundLogger, wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        self._rules = rules
        self._wishes = wishes
        self._judge = judge
        self._records = records
        self._reads = reads
        self._rows = rows
        self._log = log
        self._wall = wall

    async def ask(self, person: Person, ref: str, reason: str, fields: Collection[str]) -> Opening | Denied:
        """Wish for these fields of one record. Whether there is such a customer is not told, nor looked at.

        Raises `InputError` for what is no reference, reason, or field.
        """
        if not is_ref(ref):
            raise InputError("ref: is no customer's reference. Nothing was done")
        said, names = reason_of(reason), wanted(fields)
        try:
            person = await self._judge.anew(person)
            if not person.may(Permission.CALL):
                return await self._rows.refuse(person, _ASK, Denied(Reason.NOT_PERMITTED), ref)
            until = int(self._wall()) + self._rules.wait_minutes * 60
            # 128 bits: whoever has not been told it does not find it
            wish = Opening(secrets.token_urlsafe(16), person.tenant, person.id, person.login, ref, names, said, until)
            detail = {"fields": ",".join(names), "reason": said, "wish": _short(wish)}
            await self._rows.tell(person, _ASK, "asked", ref, detail=detail)
            if not await self._wishes.keep(wish, most=self._rules.waiting):
                return await self._rows.refuse(person, _ASK, Denied(Reason.TOO_MANY_WISHES), ref)
        except Unavailable as error:
            return await self._rows.refuse(person, _ASK, self._rows.failed(person, _ASK, error), ref)
        self._log.warning("glass.asked", person=person.id, subject=ref, wish=_short(wish))
        return wish

    async def waiting(self, by: Person) -> tuple[Opening, ...] | Denied:
        """What waits for a second person, for one who may be that."""
        try:
            by = await self._judge.anew(by)
            if not by.may(Permission.APPROVE):
                return await self._rows.refuse(by, "glass.waiting", Denied(Reason.NOT_PERMITTED))
            return tuple(wish for wish in await self._wishes.waiting(by.tenant) if wish.by != by.id)
        except Unavailable as error:
            return self._rows.failed(by, _APPROVE, error)

    async def own(self, person: Person) -> tuple[Opening, ...] | Denied:
        """What this person has asked for: those that wait, and those that are open. The one that ends first comes first."""
        try:
            person = await self._judge.anew(person)
            if not person.may(Permission.CALL):
                return await self._rows.refuse(person, "glass.own", Denied(Reason.NOT_PERMITTED))
            return tuple(
                wish for wish in await self._wishes.of_person(person.tenant, person.id) if wish.by == person.id
            )
        except Unavailable as error:
            return self._rows.failed(person, _ASK, error)

    async def approve(self, by: Person, id: str) -> Opening | Denied:
        """Open the record for the person who has asked, as the second one."""
        try:
            by = await self._judge.anew(by)
            wish = await self._wishes.of(by.tenant, id) if by.may(Permission.APPROVE) else None
            if not by.may(Permission.APPROVE) or (wish is not None and wish.by == by.id):
                return await self._rows.refuse(by, _APPROVE, Denied(Reason.NOT_PERMITTED), wish.ref if wish else "")
            if wish is None or wish.approved or not await self._may(wish.tenant, wish.by, Permission.CALL):
                return await self._rows.refuse(by, _APPROVE, Denied(Reason.NOT_OPEN), wish.ref if wish else "")
            opened = replace(wish, approved_by=by.id, until=int(self._wall()) + self._rules.open_minutes * 60)
            detail = {"asked_by": wish.by, "fields": ",".join(wish.fields), "reason": wish.reason, "wish": _short(wish)}
            await self._rows.tell(by, _APPROVE, "approved", wish.ref, detail=detail)
            if not await self._wishes.approve(wish, opened):
                lapsed = Denied(Reason.NOT_OPEN)
                return await self._rows.refuse(
                    by, _APPROVE, lapsed, wish.ref, outcome="lapsed", detail={"wish": _short(wish)}
                )
        except Unavailable as error:
            return await self._rows.refuse(by, _APPROVE, self._rows.failed(by, _APPROVE, error))
        self._log.warning("glass.opened", person=wish.by, by=by.id, subject=wish.ref, wish=_short(wish))
        return opened

    async def decline(self, by: Person, id: str) -> bool | Denied:
        """Say no to it, or take back one's own, open ones too; whether it was there."""
        try:
            by = await self._judge.anew(by)
            wish = None if by.disabled else await self._wishes.of(by.tenant, id)
            if wish is None or not (by.may(Permission.APPROVE) or wish.by == by.id):
                return await self._rows.refuse(by, _DECLINE, Denied(Reason.NOT_OPEN))
            await self._rows.tell(
                by, _DECLINE, "declined", wish.ref, detail={"asked_by": wish.by, "wish": _short(wish)}
            )
            return await self._wishes.drop(wish)
        except Unavailable as error:
            return await self._rows.refuse(by, _DECLINE, self._rows.failed(by, _DECLINE, error))

    async def record(self, person: Person, id: str) -> Record | Denied:
        """The fields that were asked for and granted, as long as it is open. Each time is in the trail."""
        try:
            wish = await self._open(person, id)
            if wish is None:
                return await self._rows.refuse(person, _READ, Denied(Reason.NOT_OPEN))
            if (denied := await self._reads.count(person, wish.ref)) is not None:
                return await self._rows.refuse(person, _READ, denied, wish.ref, detail={"wish": _short(wish)})
            detail = {"fields": ",".join(wish.fields), "approved_by": wish.approved_by, "wish": _short(wish)}
            await self._rows.tell(person, _READ, "granted", wish.ref, detail=detail)
            held = await self._records.read(wish.tenant, wish.ref)
            if held is None or await self._open(person, id) is None:
                denied = Denied(Reason.NOT_OPEN)
                return await self._rows.refuse(
                    person, _READ, denied, wish.ref, outcome="withheld", detail={"wish": _short(wish)}
                )
        except Unavailable as error:
            return await self._rows.refuse(person, _READ, self._rows.failed(person, _READ, error))
        self._log.warning("glass.read", person=person.id, subject=wish.ref, wish=_short(wish))
        return Record(wish.ref, None, 0, wish.until, values(held, wish.fields))

    async def _open(self, person: Person, id: str) -> Opening | None:
        """What is open to this person now: both are still who they were."""
        person = await self._judge.anew(person)
        wish = await self._wishes.of(person.tenant, id) if person.may(Permission.CALL) else None
        if wish is None or not wish.approved or wish.by != person.id or wish.until <= self._wall():
            return None
        return wish if await self._may(wish.tenant, wish.approved_by, Permission.APPROVE) else None

    async def _may(self, tenant: str, id: str, permission: Permission) -> bool:
        found = await self._judge.by_id(tenant, id)
        return found is not None and found.may(permission)


def _short(wish: Opening) -> str:
    """Enough to find it by in trail and log, which more people read than may use it."""
    return wish.id[:6]
