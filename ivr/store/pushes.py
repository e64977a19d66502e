"""Browsers in which customers are shown who calls: a few a customer, each sealed in the customer's envelope."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from time import time
from typing import Any, NamedTuple

import orjson
from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.database import Database
from ivr.secret import Secret
from ivr.store import sealing
from ivr.store.tables import CUSTOMERS, PUSHES
from ivr.vault import Vault

MOST = 5
"""Browsers of one customer: another one takes the place of the oldest."""

_STORED = (
    select(CUSTOMERS.c.ref, CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped, PUSHES.c.id, PUSHES.c.sealed, PUSHES.c.since)
    .join_from(CUSTOMERS, PUSHES)
    .where(CUSTOMERS.c.ref == bindparam("ref"))
    .order_by(PUSHES.c.since, PUSHES.c.id)
)


class Browser(NamedTuple):
    """One of them. `said`: its subscription, as the browser has told it; `since`: seconds since the epoch."""

    id: str
    said: Secret
    since: int


class Pushes:
    """Raises `StoreError`, and `VaultError` where what is stored was changed."""

    def __init__(self, database: Database, vault: Vault, wall: Callable[[], float] = time) -> None:
        self._database = database
        self._vault = vault
        self._wall = wall

    async def of(self, ref: str) -> Sequence[Browser]:
        """The customer's, the oldest first."""
        rows = await self._database.look_up(lambda connection: connection.execute(_STORED, {"ref": ref}).all())
        return [_browser(self._vault, row) for row in rows]

    async def is_customer(self, ref: str) -> bool:
        """Whether there is one of this reference."""
        known = select(CUSTOMERS.c.ref).where(CUSTOMERS.c.ref == ref)
        return await self._database.look_up(lambda connection: connection.execute(known).first()) is not None

    async def keep(self, ref: str, said: Secret) -> bool:
        """Make this browser one of the customer's, in place of what it has told before. False where there is no such customer."""
        async with self._database.write(lock=f"pushes:{ref}") as connection:
            stored = select(CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped).where(CUSTOMERS.c.ref == ref)
            customer = (await connection.execute(stored)).one_or_none()
            if customer is None:
                return False
            envelope = self._vault.envelopes.open(ref, customer.key_id, customer.wrapped)
            old = [_browser(self._vault, row) for row in (await connection.execute(_STORED, {"ref": ref})).all()]
            here = _endpoint(said)
            kept = [one for one in old if _endpoint(one.said) != here][1 - MOST :]
            gone = {one.id for one in old} - {one.id for one in kept}
            await connection.execute(delete(PUSHES).where(PUSHES.c.id.in_(gone)))
            name = secrets.token_urlsafe(16)
            sealed = envelope.seal(sealing.push(name), said)
            row = {"id": name, "customer": ref, "sealed": sealed, "since": int(self._wall())}
            await connection.execute(insert(PUSHES).values(row))
        return True

    async def forget(self, id: str) -> None:
        """It has ended its subscription."""
        async with self._database.write() as connection:
            await connection.execute(delete(PUSHES).where(PUSHES.c.id == id))


async def remove(connection: AsyncConnection, ref: str) -> int:
    """Take all of the customer's from the record: how many there were."""
    return (await connection.execute(delete(PUSHES).where(PUSHES.c.customer == ref))).rowcount


async def since(connection: AsyncConnection, ref: str) -> list[int]:
    """Since when each is the customer's, in seconds since the epoch."""
    found = await connection.execute(select(PUSHES.c.since).where(PUSHES.c.customer == ref).order_by(PUSHES.c.since))
    return list(found.scalars())


def _browser(vault: Vault, row: Any) -> Browser:
    envelope = vault.envelopes.open(row.ref, row.key_id, row.wrapped)
    return Browser(row.id, Secret(envelope.open_bytes(sealing.push(row.id), row.sealed).decode()), row.since)


def _endpoint(said: Secret) -> object:
    return orjson.loads(said.reveal())["endpoint"]
