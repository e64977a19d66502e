"""Whether the trail in the database is as it was written, and reading it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.audit import anchors, heads
from ivr.audit.anchors import Anchor
from ivr.audit.check import Check, Report
from ivr.audit.heads import Head
from ivr.audit.signing import Verifier
from ivr.audit.table import AUDIT
from ivr.database import Database
from ivr.errors import TillitError

_AT_ONCE = 1000


async def verify(
    database: Database, keys: Verifier, kept: Iterable[Head] = (), *, told: Callable[[int], None] | None = None
) -> Report:
    """Read the whole trail, chain by chain. Raises `StoreError`.

    `kept`: heads that were kept elsewhere, which a cut database cannot take back. `told` hears how many rows were read.
    """
    kept = tuple(kept)
    while True:
        begins = await anchors_in(database)
        report = await _verify(database, keys, kept, begins, told)
        # where old rows were deleted meanwhile, some of those that were to be read were not there any more
        if not report.faults or begins == await anchors_in(database):
            return report


async def _verify(
    database: Database,
    keys: Verifier,
    kept: Iterable[Head],
    begins: Iterable[Anchor],
    told: Callable[[int], None] | None,
) -> Report:
    check = Check(keys)
    check.anchors(begins)
    check.heads(await heads_in(database))
    check.heads(kept, kept=True)
    count = 0
    async for row in in_order(database):
        check.row(row)
        count += 1
        if told is not None and not count % _AT_ONCE:
            told(count)
    check.late_heads(await heads_in(database))
    return check.report()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: of this customer (reference), by this actor (or part of it), of this call, from and until (as stored)."""

    subject: str | None = None
    actor: str | None = None
    call: str | None = None
    since: str | None = None
    until: str | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        """What WHERE takes."""
        columns = AUDIT.c
        found: list[ColumnElement[bool]] = []
        if self.subject is not None:
            found.append(columns.subject == self.subject)
        if self.actor is not None:
            found.append(columns.actor.contains(self.actor, autoescape=True))
        if self.call is not None:
            found.append(columns.call == self.call)
        if self.since is not None:
            found.append(columns.at >= self.since)
        if self.until is not None:
            found.append(columns.at < self.until)
        return found


async def recent(database: Database, *, most: int, wanted: Wanted | None = None) -> list[RowMapping]:
    """The youngest rows, oldest of them first. Raises `StoreError`."""
    query = select(AUDIT).order_by(AUDIT.c.at.desc(), AUDIT.c.chain.desc(), AUDIT.c.seq.desc()).limit(most)
    if wanted is not None:
        query = query.where(*wanted.clauses())
    async with database.read() as connection:
        return list((await connection.execute(query)).mappings())[::-1]


async def rows_of(connection: AsyncConnection, wanted: Wanted) -> list[RowMapping]:
    """Every such row, oldest first, within a transaction."""
    query = select(AUDIT).where(*wanted.clauses()).order_by(AUDIT.c.at, AUDIT.c.chain, AUDIT.c.seq)
    return list((await connection.execute(query)).mappings())


async def heads_in(database: Database) -> list[Head]:
    """The signed head of every chain."""
    async with database.read() as connection:
        return await connection.run_sync(heads.all_of)


async def anchors_in(database: Database) -> list[Anchor]:
    """The anchor of every chain that has one. Raises `TillitError` where one is none."""
    async with database.read() as connection:
        try:
            return await connection.run_sync(anchors.all_of)
        except ValueError:
            raise TillitError("audit: what says where a chain begins was changed past the program") from None


async def in_order(database: Database) -> AsyncIterator[dict[str, Any]]:
    """Every row by chain and number, in short transactions: a long one would keep SQLite's log from being emptied."""
    order = select(AUDIT).order_by(AUDIT.c.chain, AUDIT.c.seq).limit(_AT_ONCE)
    query = order
    while True:
        async with database.read() as connection:
            found = (await connection.execute(query)).mappings().all()
        for row in found:
            yield dict(row)
        if len(found) < _AT_ONCE:
            return
        last = found[-1]
        behind = (AUDIT.c.chain > last["chain"]) | ((AUDIT.c.chain == last["chain"]) & (AUDIT.c.seq > last["seq"]))
        query = order.where(behind)
