"""Wrapping customers' data keys anew with the newest master key, while workers run.

A data key stays what it is, so nothing else of a customer changes, and whoever reads meanwhile reads the old wrapping or the
new one. What was done stands in the rows themselves: who is killed in the middle goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.database import Database
from ivr.errors import VaultError
from ivr.store import keycheck
from ivr.store.tables import CUSTOMERS
from ivr.vault import Envelopes

# Some milliseconds of the one writer that SQLite has: calls that wait to write their audit rows do not notice.
_AT_ONCE = 200

_UPDATE = (
    update(CUSTOMERS)
    .where(CUSTOMERS.c.ref == bindparam("of"), CUSTOMERS.c.wrapped == bindparam("before"))
    .values(key_id=bindparam("by"), wrapped=bindparam("after"))
)


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """How many were wrapped anew, and the references of those whose data key cannot be read."""

    count: int
    unreadable: tuple[str, ...]


async def used(connection: AsyncConnection) -> dict[str, int]:
    """How many customers' data keys each master key has wrapped, by its identifier."""
    rows = await connection.execute(
        select(CUSTOMERS.c.key_id, func.count().label("customers")).group_by(CUSTOMERS.c.key_id)
    )
    return {row.key_id: row.customers for row in rows.all()}


async def rewrap(database: Database, envelopes: Envelopes, told: Callable[[int], object]) -> Rewrapped:
    """Wrap every data key with the newest master key, in short transactions.

    Raises `ConfigError` where that key was retired meanwhile, and `StoreError`.

    `told` hears of how many more were wrapped.
    """
    count = 0
    bad: dict[str, None] = {}
    while True:
        done, unread = await _once(database, envelopes, told)
        count += done
        bad |= dict.fromkeys(unread)
        # customers who were added meanwhile, by a command that knew only the former key, come with the next round
        if not done:
            return Rewrapped(count, tuple(bad))


async def _once(database: Database, envelopes: Envelopes, told: Callable[[int], object]) -> tuple[int, list[str]]:
    """From the first customer to the last."""
    columns = CUSTOMERS.c
    left = select(columns.ref, columns.key_id, columns.wrapped).where(columns.key_id != envelopes.key_id)
    count, behind, bad = 0, "", list[str]()
    while True:
        async with database.read() as connection:
            query = left.where(columns.ref > behind).order_by(columns.ref).limit(_AT_ONCE)
            rows = (await connection.execute(query)).all()
        if not rows:
            return count, bad
        values = []
        for row in rows:
            behind = row.ref
            try:
                after = envelopes.rewrapped(row.ref, row.key_id, row.wrapped)
            except VaultError:
                bad.append(row.ref)
                continue
            values.append({"of": row.ref, "before": row.wrapped, "by": envelopes.key_id, "after": after})
        if values:
            async with database.write() as connection:
                await keycheck.need(connection, (envelopes.key_id,))
                await connection.execute(_UPDATE, values)
            count += len(values)
            told(len(values))
