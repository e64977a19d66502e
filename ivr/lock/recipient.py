"""To whom it is proved who speaks: a customer, at a number on record and at no other one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import time

from ivr.lock.decision import Caller
from ivr.lock.ports import Records
from ivr.lock.proofports import Carrier
from ivr.numbers import Range
from ivr.secret import Personal, Secret


@dataclass(frozen=True, slots=True)
class Recipient:
    """A customer in force. `number`: where the message goes; `range`: what it is counted for."""

    ref: str
    number: Personal
    range: Range
    language: str | None


class Recipients:
    """Looks for them, anew each time."""

    def __init__(self, records: Records, wall: Callable[[], float] = time, *, cooling: float = 0.0) -> None:
        """`cooling`: seconds in which nothing goes to a number that was changed at the desk."""
        self._records = records
        self._wall = wall
        self._cooling = cooling

    async def of(self, tenant: str, found: Caller, customer: Secret | None, by: Carrier) -> Recipient | None:
        """The customer as whom the caller is verified; else the one of this customer number, else of the number on the line.

        None where there is none, or nothing goes to any number on record: which of them is told to nobody. Raises `Unavailable`.
        """
        ref = await self._ref(tenant, found, customer)
        held = None if ref is None else await self._records.read(tenant, ref)
        if ref is None or held is None:
            return None
        on_line = found.party.number
        # who calls from a number of theirs has that telephone at hand
        settled = self._wall() - self._cooling
        phones = [number for number, since in zip(held.phones, held.since, strict=True) if since <= settled]
        for number in sorted(phones, key=lambda one: on_line is None or one != on_line):
            if (area := by.range_of(number)) is not None:
                return Recipient(ref, number, area, held.language)
        return None

    async def _ref(self, tenant: str, found: Caller, customer: Secret | None) -> str | None:
        mark = found.mark
        if mark is not None and mark.expires > self._wall():
            return mark.subject if await self._records.in_force(tenant, mark.subject) else None
        if customer is not None:
            known = await self._records.by_number(tenant, customer)
        elif found.party.number is not None:
            known = await self._records.by_phone(tenant, found.party.number)
        else:
            known = None
        return known[0] if known is not None and known[1] else None
