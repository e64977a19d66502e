"""What an agent's request for a customer's data goes through."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from structlog.typing import FilteringBoundLogger

from ivr.config import Lock as Rules
from ivr.errors import InputError, Unavailable
from ivr.lock.actions import ACTIONS, checked
from ivr.lock.current import Currents
from ivr.lock.judge import Judge, Judged
from ivr.lock.ledger import Ledger
from ivr.lock.matter import Matter
from ivr.lock.ports import Records, Visitor
from ivr.lock.reads import Reads
from ivr.lock.rows import NOTHING, Rows, entry
from ivr.lock.words import Current, Denied, Done, Granted, Reason, Record, Value
from ivr.secret import Secret
from ivr.staff import Permission, Person
from ivr.store.register import Customer

FIELDS = ("number", "name", "phones", "language", "policy", "has_pin", "locked")
"""Those of a record, in the order in which a page shows them."""

_READ, _ASKED = "record.read", "desk.request"


class Lock:
    """Each method asks anew who talks with whom. But for `current` none raises `Unavailable`: a part that is down refuses."""

    def __init__(
        self, rules: Rules, judge: Judge, records: Records, reads: Reads, rows: Rows, currents: Currents, country: str,
        log: FilteringBoundLogger,
    ) -> None:  # fmt: skip
        """`country` (ISO 3166) is how numbers without + are read."""
        self._levels = {name: int(getattr(rules.fields, name)) for name in FIELDS}
        self._needed = {name: int(getattr(rules.actions, name)) for name in ACTIONS}
        self._judge = judge
        self._records = records
        self._ledger = Ledger(reads, rows, log)
        self._rows = rows
        self._country = country
        self.currents = currents
        self._log = log

    async def current(self, person: Person) -> tuple[Current, ...]:
        """This person's callers. Raises `Unavailable` where it is not known whom the person talks with, or who is marked."""
        return await self.currents.of(person)

    async def not_permitted(self, person: Person, permission: Permission, route: str) -> None:
        """Tell the trail of a refusal before anything was looked at: this person's role has not what the route needs."""
        detail = {"permission": permission.value, "route": route}
        await self._rows.refuse(person, _ASKED, Denied(Reason.NOT_PERMITTED), detail=detail)

    async def not_in_scope(self, person: Person, scope: str, route: str) -> None:
        """The same where a token, lent in this person's name, is not for what the route gives."""
        detail = {"scope": scope, "route": route}
        await self._rows.refuse(person, _ASKED, Denied(Reason.INSUFFICIENT_SCOPE), detail=detail)

    async def demand(self, person: Person, ref: str, level: int, what: str) -> Granted | Denied:
        """Whether this may be given out, for whoever has the data elsewhere. The read is counted, and the trail told of it.

        `what` is a word or two for the trail: no value. Ask `still` when the data is there, before it is given.
        """
        return await self._opened(person, ref, level, what, {})

    def matter(self, visitor: Visitor, what: str, detail: Mapping[str, str] = NOTHING) -> Matter:
        """`demand` and `still` in parts, for whoever fetches while it is written down."""
        judge = self._judge.of_one_request(visitor.person, visitor.at)
        return Matter(visitor, what, detail, judge, self._ledger, self._rows)

    async def still(self, person: Person, ref: str, level: int, what: str, granted: Granted) -> Granted | Denied:
        """Whether what was granted is so yet: the caller may have hung up while the data was fetched."""
        judged = await self._judge.again(person, ref, level, granted.call)
        if isinstance(judged.verdict, Denied):
            return await self._rows.refuse(person, what, judged.verdict, ref, granted.call, outcome="withheld")
        return judged.verdict

    async def record(self, person: Person, ref: str, fields: Collection[str] | None = None) -> Record | Denied:
        """These fields of the customer's record, or all that the mark covers; all that are named, or none.

        Raises `InputError` for a name that is none.
        """
        named = None if fields is None else wanted(fields)
        least = min(self._levels.values()) if named is None else max(self._levels[name] for name in named)
        judged = await self._judge.judge(person, ref, least)
        if isinstance(judged.verdict, Denied):
            detail = {} if named is None else {"fields": ",".join(named)}
            return await self._rows.refuse(person, _READ, judged.verdict, ref, judged.call, detail=detail)
        level = judged.verdict.level
        given = named or tuple(name for name, needs in self._levels.items() if needs <= level)
        needed = max(self._levels[name] for name in given)
        granted = await self._opened(person, ref, needed, _READ, {"fields": ",".join(given)}, judged)
        if isinstance(granted, Denied):
            return granted
        try:
            held = await self._records.read(person.tenant, ref)
        except Unavailable as error:
            failed = self._rows.failed(person, _READ, error)
            return await self._rows.refuse(person, _READ, failed, ref, granted.call, outcome="withheld")
        still = await self.still(person, ref, needed, _READ, granted)
        if isinstance(still, Denied):
            return still
        if held is None:
            gone = Denied(Reason.NOT_IN_FORCE)
            return await self._rows.refuse(person, _READ, gone, ref, granted.call, outcome="withheld")
        return Record(ref, still.call, still.level, still.until, values(held, given))

    async def act(self, person: Person, ref: str, action: str, arguments: Mapping[str, Secret]) -> Done | Denied:
        """Change the customer's record. Raises `InputError` for what is no action, or has not the right arguments.

        Nothing tells of the record before the caller is known to be the customer, not even which change would fit it.
        """
        change = checked(action, arguments, self._country)
        what, needed = f"customer.{action}", self._needed[action]
        judged = await self._judge.judge(person, ref, needed)
        if isinstance(judged.verdict, Denied):
            return await self._rows.refuse(person, what, judged.verdict, ref, judged.call)
        granted = judged.verdict
        if (denied := await self._ledger.count(person, ref, what, granted.call)) is not None:
            return denied
        late: list[Denied] = []

        async def go_on() -> bool:
            again = await self._judge.again(person, ref, needed, granted.call)
            if isinstance(again.verdict, Denied):
                late.append(again.verdict)
            return not late

        row = entry(person, what, "done", ref, granted.call, detail={**change.detail, "level": str(granted.level)})
        try:
            done = await self._records.act(person.tenant, ref, change, row, go_on)
        except InputError:
            await self._rows.refuse(person, what, Denied(Reason.NO_SUCH_VALUE), ref, granted.call)
            raise
        except Unavailable as error:
            return await self._rows.refuse(person, what, self._rows.failed(person, what, error), ref, granted.call)
        if not done:
            denied = late[0] if late else Denied(Reason.NOT_IN_FORCE)
            return await self._rows.refuse(person, what, denied, ref, granted.call)
        self._log.info("lock.acted", action=action, person=person.id, subject=ref)
        return Done(granted.call, action)

    # ------------------------------------------------------------ inside

    async def _opened(
        self, person: Person, ref: str, level: int, what: str, detail: Mapping[str, str], judged: Judged | None = None
    ) -> Granted | Denied:
        """Judged, counted, and the trail told of it."""
        judged = judged or await self._judge.judge(person, ref, level)
        if isinstance(judged.verdict, Denied):
            return await self._rows.refuse(person, what, judged.verdict, ref, judged.call, detail=detail)
        granted = judged.verdict
        denied = await self._ledger.count(person, ref, what, granted.call, detail)
        return denied or await self._ledger.tell(person, ref, level, what, granted, detail) or granted


def wanted(fields: Collection[str]) -> tuple[str, ...]:
    """These names, each once, in the record's order. Raises `InputError` for one that is none, and for none at all."""
    if unknown := set(fields) - set(FIELDS):
        # not what was asked for: it may be anything
        raise InputError(f"fields: {len(unknown)} of them are none. Here belong: {', '.join(FIELDS)}")
    if not fields:
        raise InputError(f"fields: names none. Here belong: {', '.join(FIELDS)}")
    return tuple(name for name in FIELDS if name in fields)


def values(held: Customer, fields: Collection[str]) -> dict[str, Value]:
    """These fields, and no other."""
    return {name: getattr(held, name) for name in fields}
