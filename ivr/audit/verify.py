"""Whether the trail is as it was written, and reading it.

What is found: a row that was changed, a row that is missing from the middle or from the beginning of a chain, a row that
was put in. What is not: a chain cut at its end, a whole chain removed, or one written anew from some row to its end; for
these the heads of the chains have to be known from elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import orjson
from sqlalchemy import RowMapping, select

from ivr.audit.chain import COLUMNS, START, hash_of
from ivr.audit.table import AUDIT
from ivr.database import Database

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Fault:
    """The first bad row of a chain, and what is wrong with it."""

    chain: str
    seq: int
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """How many good rows each chain has, and its hash at the end; `fault` is the first bad row, if any."""

    rows: Mapping[str, int]
    heads: Mapping[str, str]
    fault: Fault | None


async def verify(database: Database) -> Report:
    """Read the whole trail, chain by chain. Raises `StoreError`."""
    rows: dict[str, int] = {}
    heads: dict[str, str] = {}
    async for row in _in_order(database):
        chain = row["chain"]
        fault = _fault(row, seq=rows.get(chain, 0) + 1, previous=heads.get(chain, START))
        if fault is not None:
            return Report(rows, heads, fault)
        rows[chain] = row["seq"]
        heads[chain] = row["hash"]
    return Report(rows, heads, None)


async def recent(
    database: Database, *, most: int, call: str | None = None, subject: str | None = None
) -> list[RowMapping]:
    """The youngest rows, oldest of them first; of one call or one subject where that is given. Raises `StoreError`."""
    query = select(AUDIT).order_by(AUDIT.c.at.desc(), AUDIT.c.chain.desc(), AUDIT.c.seq.desc()).limit(most)
    if call is not None:
        query = query.where(AUDIT.c.call == call)
    if subject is not None:
        query = query.where(AUDIT.c.subject == subject)
    async with database.read() as connection:
        return list((await connection.execute(query)).mappings())[::-1]


async def _in_order(database: Database) -> AsyncIterator[RowMapping]:
    """Every row by chain and number, in short transactions: a long one would keep SQLite's log from being emptied."""
    order = select(AUDIT).order_by(AUDIT.c.chain, AUDIT.c.seq).limit(_AT_ONCE)
    query = order
    while True:
        async with database.read() as connection:
            found = (await connection.execute(query)).mappings().all()
        for row in found:
            yield row
        if len(found) < _AT_ONCE:
            return
        last = found[-1]
        behind = (AUDIT.c.chain > last["chain"]) | ((AUDIT.c.chain == last["chain"]) & (AUDIT.c.seq > last["seq"]))
        query = order.where(behind)


def _fault(row: RowMapping, *, seq: int, previous: str) -> Fault | None:
    chain = str(row["chain"])
    if row["seq"] != seq:
        if not isinstance(row["seq"], int) or row["seq"] < seq:
            return Fault(chain, seq, "a row was inserted before it that has no place in the chain")
        return Fault(chain, seq, f"missing: the next row there is has number {row['seq']}")
    try:
        unchanged = hash_of({column: row[column] for column in COLUMNS}) == row["hash"]
    except orjson.JSONEncodeError:
        unchanged = False
    if not unchanged:
        return Fault(chain, seq, "changed: its hash is not that of what stands in it")
    if row["previous"] != previous:
        return Fault(
            chain, seq, "does not follow the row before it: one of the two was inserted, or replaced hash and all"
        )
    return None
