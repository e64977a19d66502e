"""Wrapping data keys anew with the newest master key, while workers run: those of customers, of those who sign in, of keys that sign tokens.

A data key stays what it is, so nothing else of a customer changes, and whoever reads meanwhile reads the old wrapping or the
new one. What was done stands in the rows themselves: who is killed in the middle goes on from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Column, Table, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.database import Database
from ivr.errors import VaultError
from ivr.store import keycheck, sealing
from ivr.store.tables import CUSTOMERS, PEOPLE, TOKEN_KEYS
from ivr.vault import Envelopes

# Some milliseconds of the one writer that SQLite has: calls that wait to write their audit rows do not notice.
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class _Wrapped:
    """A table whose rows have a data key each, and whose it is by the row's name."""

    table: Table
    name: Column[str]
    owner: Callable[[str], str]


_ALL = (
    _Wrapped(CUSTOMERS, CUSTOMERS.c.ref, str),
    _Wrapped(PEOPLE, PEOPLE.c.id, sealing.person),
    _Wrapped(TOKEN_KEYS, TOKEN_KEYS.c.id, sealing.token_key),
)


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """How many were wrapped anew, and whose data key cannot be read: references of customers, `person/ID` and `token/ID` of others."""

    count: int
    unreadable: tuple[str, ...]


async def used(connection: AsyncConnection) -> dict[str, int]:
    """How many data keys each master key has wrapped, by its identifier."""
    counts = Counter[str]()
    for one in _ALL:
        key_id = one.table.c.key_id
        for row in (await connection.execute(select(key_id, func.count().label("rows")).group_by(key_id))).all():
            counts[row.key_id] += row.rows
    return dict(counts)


async def rewrap(database: Database, envelopes: Envelopes, told: Callable[[int], object]) -> Rewrapped:
    """Wrap every data key with the newest master key, in short transactions.

    Raises `ConfigError` where that key was retired meanwhile, and `StoreError`.

    `told` hears of how many more were wrapped.
    """
    count = 0
    bad: dict[str, None] = {}
    while True:
        done = 0
        for one in _ALL:
            wrapped, unread = await _once(database, envelopes, one, told)
            done += wrapped
            bad |= dict.fromkeys(unread)
        count += done
        # who was added meanwhile, by a command that knew only the former key, come with the next round
        if not done:
            return Rewrapped(count, tuple(bad))


async def _once(
    database: Database, envelopes: Envelopes, of: _Wrapped, told: Callable[[int], object]
) -> tuple[int, list[str]]:
    """From the first row to the last."""
    columns = of.table.c
    left = select(of.name, columns.key_id, columns.wrapped).where(columns.key_id != envelopes.key_id)
    renew = (
        update(of.table)
        .where(of.name == bindparam("of"), columns.wrapped == bindparam("before"))
        .values(key_id=bindparam("by"), wrapped=bindparam("after"))
    )
    count, behind, bad = 0, "", list[str]()
    while True:
        async with database.read() as connection:
            query = left.where(of.name > behind).order_by(of.name).limit(_AT_ONCE)
            rows = (await connection.execute(query)).all()
        if not rows:
            return count, bad
        values = []
        for behind, key_id, wrapped in rows:
            try:
                after = envelopes.rewrapped(of.owner(behind), key_id, wrapped)
            except VaultError:
                bad.append(of.owner(behind))
                continue
            values.append({"of": behind, "before": wrapped, "by": envelopes.key_id, "after": after})
        if values:
            async with database.write() as connection:
                await keycheck.need(connection, (envelopes.key_id,))
                await connection.execute(renew, values)
            count += len(values)
            told(len(values))
