"""Which customers and calling numbers are locked now: for failures, in Redis, where they stand as blind indexes; or by somebody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from ivr.call.outcome import Scope
from ivr.database import Database
from ivr.errors import StoreError
from ivr.store.link import Link, Script
from ivr.store.sealing import of_customer_key
from ivr.store.tables import CUSTOMERS

_HOLDS = Script("clock", "holds")

# Keys looked at in one round trip, of Redis's whole keyspace.
_AT_ONCE = 1000
# SQLite before 3.32 takes 999 values in a statement.
_IN_ONE = 500


@dataclass(frozen=True, slots=True)
class Hold:
    """`of`: the customer's key (`Subject.key`), or the calling number's blind index. `until`: seconds since the epoch; None where somebody has to unlock it. `by`: the channel whose try set it."""

    scope: Scope
    of: str
    until: int | None
    by: str


class StoredHolds:
    """Implements `lock.ports.Holds`. It looks at all counts there are: ask it seldom. Each method raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, database: Database, customer_most: int) -> None:
        """`customer_most`: failures in a row of a customer after which only an unlock helps."""
        self._database = database
        self._link = link
        self._prefix = prefix
        self._most = customer_most

    async def in_force(self) -> tuple[Hold, ...]:
        """All of them."""
        found: list[Hold] = []
        for scope in (Scope.CUSTOMER, Scope.NUMBER):
            async for keys in self._keys(scope):
                # a number is never locked for good
                most = self._most if scope is Scope.CUSTOMER else 2**53
                match await self._link.run(_HOLDS, keys, most):
                    case [b"holds", [*rows]]:
                        found += [self._read(scope, most, row) for row in rows]
                    case _:
                        raise StoreError(f"Redis gave an unknown answer to {_HOLDS.name}")
        return tuple(found)

    async def customers(self, tenant: str, keys: Collection[str]) -> Mapping[str, str]:
        """The references of those customers of this tenant who have one of these keys."""
        whose = {key: of_customer_key(key) for key in keys}
        # what was counted when there was no tenant in the key holds for whoever has the number
        theirs = {key: index for key, (owner, index) in whose.items() if owner in (tenant, "")}
        wanted = sorted(set(theirs.values()))
        refs: dict[str, str] = {}
        for at in range(0, len(wanted), _IN_ONE):
            query = select(CUSTOMERS.c.number_index, CUSTOMERS.c.ref)
            query = query.where(CUSTOMERS.c.number_index.in_(wanted[at : at + _IN_ONE]), CUSTOMERS.c.tenant == tenant)
            async with self._database.read() as connection:
                refs.update((row.number_index, row.ref) for row in await connection.execute(query))
        return {key: refs[index] for key, index in theirs.items() if index in refs}

    async def locked(self, tenant: str, most: int) -> tuple[str, ...]:
        """References of this tenant's customers whom somebody has locked, so many at most."""
        query = select(CUSTOMERS.c.ref).where(CUSTOMERS.c.locked, CUSTOMERS.c.tenant == tenant)
        query = query.order_by(CUSTOMERS.c.ref).limit(most)
        async with self._database.read() as connection:
            return tuple(await connection.scalars(query))

    async def _keys(self, scope: Scope) -> AsyncIterator[list[str]]:
        cursor = "0"
        while True:
            match await self._link.ask("SCAN", cursor, "MATCH", f"{self._begin(scope)}*", "COUNT", _AT_ONCE):
                case [bytes(after), [*keys]]:
                    if some := [key.decode() for key in keys if isinstance(key, bytes)]:
                        yield some
                    cursor = after.decode()
                case _:
                    raise StoreError("Redis gave no list of keys")
            if cursor == "0":
                return

    def _read(self, scope: Scope, most: int, row: object) -> Hold:
        match row:
            case [bytes(key), int(count), bytes(until), bytes(by)]:
                ends = None if count >= most else int(until)
                return Hold(scope, key.decode().removeprefix(self._begin(scope)), ends, by.decode())
            case _:
                raise StoreError("Redis: what stands for a count of failures is none")

    def _begin(self, scope: Scope) -> str:
        return f"{self._prefix}:fail:{scope.value}:"
