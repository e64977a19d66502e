"""Browsers in which customers are shown who calls: a few a customer, each sealed in the customer's envelope."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from time import time
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Select, bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.database import Database
from ivr.secret import Secret
from ivr.store import sealing
from ivr.store.tables import CUSTOMERS, PHONES, PUSHES
from ivr.vault import Vault

MOST = 5
"""Browsers of one customer: another one takes the place of the oldest."""

# Rows of one query.
_AT_ONCE = 500
# Beside what the browser tells, which knows no such field (Push API 8).
_UNDER = "under"

_ALL = select(
    CUSTOMERS.c.ref,
    CUSTOMERS.c.tenant,
    CUSTOMERS.c.key_id,
    CUSTOMERS.c.wrapped,
    PUSHES.c.id,
    PUSHES.c.sealed,
    PUSHES.c.since,
).join_from(CUSTOMERS, PUSHES)
_STORED = _ALL.where(CUSTOMERS.c.ref == bindparam("ref")).order_by(PUSHES.c.since, PUSHES.c.id)


class Browser(NamedTuple):
    """One of them. `said`: its subscription, as the browser has told it; `since`: seconds since the epoch.

    `under`: the key of ours whose messages it has agreed to; empty where it is not known.
    """

    id: str
    said: Secret
    since: int
    under: str = ""


class Former(NamedTuple):
    """A browser of former times, and whose."""

    id: str
    customer: str
    tenant: str


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

    async def latest(self, most: int) -> Sequence[str]:
        """Under which key of ours each of the latest so many, of all customers, has agreed: as of `Browser`."""
        query = _ALL.order_by(PUSHES.c.since.desc(), PUSHES.c.id).limit(most)
        rows = await self._database.look_up(lambda connection: connection.execute(query).all())
        return [_browser(self._vault, row).under for row in rows]

    async def has_phone(self, ref: str, phone: str, before: int) -> bool:
        """Whether a telephone number of this index (`vault.Index.phone`) is on the customer's record as it was `before` (seconds since the epoch)."""
        query = _phone(ref, phone, before)
        return await self._database.look_up(lambda connection: connection.execute(query).first()) is not None

    async def keep(self, ref: str, said: Secret, phone: str, under: str, before: int) -> bool:
        """Make this browser one of the customer's, in place of what it has told before.

        False where the telephone number of this index, which makes it the customer's, is on the record no more, or has changed, or its
        SIM has, since `before` (seconds since the epoch). `under`: as of `Browser`.
        """
        async with self._database.write(lock=f"pushes:{ref}") as connection:
            # whoever changes the number waits, or has changed it: it takes the browsers along
            stored = select(CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped).where(CUSTOMERS.c.ref == ref).with_for_update()
            customer = (await connection.execute(stored)).one_or_none()
            if customer is None or (await connection.execute(_phone(ref, phone, before))).first() is None:
                return False
            envelope = self._vault.envelopes.open(ref, customer.key_id, customer.wrapped)
            old = [_browser(self._vault, row) for row in (await connection.execute(_STORED, {"ref": ref})).all()]
            here = _endpoint(said)
            kept = [one for one in old if _endpoint(one.said) != here][1 - MOST :]
            gone = {one.id for one in old} - {one.id for one in kept}
            await connection.execute(delete(PUSHES).where(PUSHES.c.id.in_(gone)))
            name = secrets.token_urlsafe(16)
            sealed = envelope.seal_bytes(sealing.push(name), _written(said, under))
            row = {"id": name, "customer": ref, "sealed": sealed, "since": int(self._wall())}
            await connection.execute(insert(PUSHES).values(row))
        return True

    async def forget(self, id: str) -> None:
        """It has ended its subscription."""
        async with self._database.write() as connection:
            await connection.execute(delete(PUSHES).where(PUSHES.c.id == id))

    async def undo(self, ref: str, since: int) -> int:
        """Forget those that have become the customer's since then (seconds since the epoch): how many there were."""
        async with self._database.write(lock=f"pushes:{ref}") as connection:
            newer = delete(PUSHES).where(PUSHES.c.customer == ref, PUSHES.c.since >= since)
            return (await connection.execute(newer)).rowcount


async def remove(connection: AsyncConnection, ref: str) -> int:
    """Take all of the customer's from the record: how many there were."""
    return (await connection.execute(delete(PUSHES).where(PUSHES.c.customer == ref))).rowcount


async def former(connection: AsyncConnection, vault: Vault, public: str) -> Sequence[Former]:
    """Those of all customers that have agreed to messages of another key of ours than this one."""
    found: list[Former] = []
    behind = ""
    query = _ALL.where(PUSHES.c.id > bindparam("behind")).order_by(PUSHES.c.id).limit(_AT_ONCE)
    while rows := (await connection.execute(query, {"behind": behind})).all():
        found += [Former(row.id, row.ref, row.tenant) for row in rows if _browser(vault, row).under not in ("", public)]
        behind = rows[-1].id
    return found


async def forget(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """These are shown nothing any more."""
    for start in range(0, len(ids), _AT_ONCE):
        await connection.execute(delete(PUSHES).where(PUSHES.c.id.in_(ids[start : start + _AT_ONCE])))


async def since(connection: AsyncConnection, ref: str) -> list[int]:
    """Since when each is the customer's, in seconds since the epoch."""
    found = await connection.execute(select(PUSHES.c.since).where(PUSHES.c.customer == ref).order_by(PUSHES.c.since))
    return list(found.scalars())


def _browser(vault: Vault, row: Any) -> Browser:
    envelope = vault.envelopes.open(row.ref, row.key_id, row.wrapped)
    told = orjson.loads(envelope.open_bytes(sealing.push(row.id), row.sealed))
    under = told.pop(_UNDER, "")
    return Browser(row.id, Secret(orjson.dumps(told).decode()), row.since, under)


def _written(said: Secret, under: str) -> bytes:
    return orjson.dumps({**orjson.loads(said.reveal()), _UNDER: under})


def _phone(ref: str, phone: str, before: int) -> Select[tuple[str]]:
    return select(PHONES.c.customer).where(
        PHONES.c.customer == ref, PHONES.c.phone_index == phone, PHONES.c.since <= before
    )


def _endpoint(said: Secret) -> object:
    return orjson.loads(said.reveal())["endpoint"]
