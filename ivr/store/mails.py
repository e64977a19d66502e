"""Customers' mail addresses: one a customer, sealed in the customer's envelope."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.database import Database
from ivr.secret import Personal
from ivr.store import sealing
from ivr.store.tables import CUSTOMERS, MAILS
from ivr.vault import Vault

_STORED = (
    select(CUSTOMERS.c.ref, CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped, MAILS.c.sealed, MAILS.c.since)
    .join_from(CUSTOMERS, MAILS)
    .where(CUSTOMERS.c.ref == bindparam("ref"))
)


class Held(NamedTuple):
    """What is on record. `since`: seconds since the epoch."""

    address: Personal
    since: int


class Mails:
    """Raises `StoreError`, and `VaultError` where what is stored was changed."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def of(self, ref: str) -> Personal | None:
        """Where messages to the customer go; None where nothing is on record."""
        row = await self._database.look_up(lambda connection: connection.execute(_STORED, {"ref": ref}).first())
        return None if row is None else _address(self._vault, row)


async def keep(connection: AsyncConnection, vault: Vault, ref: str, address: Personal, at: float) -> None:
    """Make it the customer's, in place of any other."""
    stored = select(CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped).where(CUSTOMERS.c.ref == ref)
    row = (await connection.execute(stored)).one()
    sealed = vault.envelopes.open(ref, row.key_id, row.wrapped).seal(sealing.MAIL, address)
    await remove(connection, ref)
    await connection.execute(insert(MAILS).values(customer=ref, sealed=sealed, since=int(at)))


async def remove(connection: AsyncConnection, ref: str) -> bool:
    """Take it from the record. Whether there was one."""
    return (await connection.execute(delete(MAILS).where(MAILS.c.customer == ref))).rowcount > 0


async def held(connection: AsyncConnection, vault: Vault, ref: str) -> Held | None:
    """What is on record; None where nothing is."""
    row = (await connection.execute(_STORED, {"ref": ref})).first()
    return None if row is None else Held(_address(vault, row), row.since)


def _address(vault: Vault, row: Any) -> Personal:
    return vault.envelopes.open(row.ref, row.key_id, row.wrapped).open(sealing.MAIL, row.sealed)
