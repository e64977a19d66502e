"""To whom it is proved who speaks: a customer, where something is on record and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import time

from ivr.asterisk.outpost import is_dialled
from ivr.call.dial import Called
from ivr.lock.decision import Caller
from ivr.lock.dialports import Calleds
from ivr.lock.ports import Records
from ivr.lock.proofports import Carrier
from ivr.numbers import Range
from ivr.secret import Personal, Secret


@dataclass(frozen=True, slots=True)
class Recipient:
    """A customer in force. `at`: where the message goes; `range`: what it is counted for, where it is a text.

    `on_line`: the number that is on the line, where it is known. Whom nobody knows has no `ref`: nothing is sent to them.
    """

    ref: str
    at: Personal
    range: Range | None
    language: str | None
    on_line: Personal | None = None


class Recipients:
    """Looks for them, anew each time."""

    def __init__(
        self,
        records: Records,
        wall: Callable[[], float] = time,
        *,
        cooling: float = 0.0,
        calleds: Calleds | None = None,
    ) -> None:
        """`cooling`: seconds in which nothing goes to a number that was changed at the desk; `calleds`: None where nobody calls from there."""
        self._records = records
        self._calleds = calleds
        self._wall = wall
        self._cooling = cooling

    async def of(self, tenant: str, found: Caller, customer: Secret | None, by: Carrier) -> Recipient | None:
        """The customer as whom the caller is verified; else the one who was called from the desk, of this customer number, of the number on the line.

        None where there is none, or nothing that is on record can be reached so: which of them is told to nobody. Raises `Unavailable`.
        """
        called = await self._called(tenant, found)
        ref = await self._ref(tenant, found, customer, called)
        held = None if ref is None else await self._records.read(tenant, ref)
        if ref is None or held is None:
            return None
        on_line = found.party.number
        if called is not None and called.ref == ref and called.phone <= len(held.phones):
            on_line = held.phones[called.phone - 1]
        reach = await by.reach_of(held, on_line, self._wall() - self._cooling)
        return None if reach is None else Recipient(ref, reach.at, reach.range, held.language, on_line)

    async def on_line(self, tenant: str, found: Caller) -> Recipient:
        """Whoever is on the line, for what is said to them alone; the customer where they are verified as one. Raises `Unavailable`."""
        ref = None if found.mark is None else await self._ref(tenant, found, None, None)
        held = None if ref is None else await self._records.read(tenant, ref)
        number = found.party.number
        if (called := await self._called(tenant, found)) is not None:
            reached = await self._records.read(tenant, called.ref)
            if reached is not None and called.phone <= len(reached.phones):
                number = reached.phones[called.phone - 1]
        language = None if held is None else held.language
        return Recipient(ref or "", number or Personal(""), None, language, number)

    async def _called(self, tenant: str, found: Caller) -> Called | None:
        if self._calleds is None or not is_dialled(found.call.id):
            return None
        called = await self._calleds.of(*found.call)
        return called if called is not None and called.tenant == tenant else None

    async def _ref(self, tenant: str, found: Caller, customer: Secret | None, called: Called | None) -> str | None:
        mark = found.mark
        if mark is not None and mark.expires > self._wall():
            return mark.subject if await self._records.in_force(tenant, mark.subject) else None
        # whoever types another customer's number has not that customer on the line
        if called is not None:
            return called.ref if await self._records.in_force(tenant, called.ref) else None
        if customer is not None:
            known = await self._records.by_number(tenant, customer)
        elif found.party.number is not None:
            known = await self._records.by_phone(tenant, found.party.number)
        else:
            known = None
        return known[0] if known is not None and known[1] else None
