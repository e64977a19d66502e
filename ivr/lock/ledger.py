"""What is about to be given out: counted, and the audit trail told of it, before it is."""

from __future__ import annotations

from collections.abc import Mapping

from structlog.typing import FilteringBoundLogger

from ivr.errors import Unavailable
from ivr.lock.reads import Reads
from ivr.lock.rows import NOTHING, Rows
from ivr.lock.words import Channel, Denied, Granted
from ivr.staff import Person


class Ledger:
    """None of its methods raises `Unavailable`: what cannot be counted or told of is refused."""

    def __init__(self, reads: Reads, rows: Rows, log: FilteringBoundLogger) -> None:
        self._reads = reads
        self._rows = rows
        self._log = log

    async def count(
        self, person: Person, ref: str, what: str, call: Channel, detail: Mapping[str, str] = NOTHING
    ) -> Denied | None:
        """Count one customer who is about to be read or changed; None where this person may."""
        try:
            denied = await self._reads.count(person, ref)
        except Unavailable as error:
            denied = self._rows.failed(person, what, error)
        return denied and await self._rows.refuse(person, what, denied, ref, call, detail=detail)

    async def tell(
        self, person: Person, ref: str, level: int, what: str, granted: Granted, detail: Mapping[str, str] = NOTHING
    ) -> Denied | None:
        """Tell the trail that it was granted; None where that row is durable. `level` is what it needs."""
        told = {**detail, "level": str(granted.level), "needs": str(level)}
        try:
            await self._rows.tell(person, what, "granted", ref, granted.call, detail=told)
        except Unavailable as error:
            return self._rows.failed(person, what, error)
        self._log.info("lock.granted", action=what, person=person.id, subject=ref)
        return None
