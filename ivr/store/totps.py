"""Customers' authenticator apps: one a customer, each of its codes accepted once."""

from __future__ import annotations

from time import time
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.call.ports import Clock, Subject
from ivr.database import Database
from ivr.secret import Secret
from ivr.store import sealing
from ivr.store.tables import CUSTOMERS, TOTPS
from ivr.vault import Vault, totp


class _Stored(NamedTuple):
    """What a look-up reads."""

    ref: str
    key_id: str
    wrapped: bytes
    sealed: bytes


_STORED = (
    select(CUSTOMERS.c.ref, CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped, TOTPS.c.sealed)
    .join_from(CUSTOMERS, TOTPS)
    .where(CUSTOMERS.c.ref == bindparam("ref"))
)
_CONSUMED = (
    update(TOTPS)
    .where(TOTPS.c.customer == bindparam("ref"), TOTPS.c.counter < bindparam("step"))
    .values(counter=bindparam("step"))
)


class Totps:
    """Implements `call.ports.Totps`. Raises `StoreError`, and `VaultError` where what is stored was changed."""

    def __init__(self, database: Database, vault: Vault, *, clock: Clock = time) -> None:
        """`clock`: seconds since the epoch."""
        self._database = database
        self._vault = vault
        self._clock = clock
        self._decoy = _decoy(vault)

    async def accepts(self, subject: Subject, code: Secret) -> bool:
        """As `call.ports.Totps` has it. Looked up at each try: an app that was taken away meanwhile is no longer one."""
        row = await self._database.look_up(lambda connection: connection.execute(_STORED, {"ref": subject.ref}).first())
        stored = self._decoy if row is None else _Stored(*row)
        envelope = self._vault.envelopes.open(stored.ref, stored.key_id, stored.wrapped)
        step = totp.step_of(envelope.open(sealing.TOTP, stored.sealed), code, self._clock())
        if row is None or step is None:
            return False
        return await self._consumed(subject.ref, step)

    async def _consumed(self, ref: str, step: int) -> bool:
        """Accept the code of this time step, and no other of it or before it; False where that was done already."""

        def work(connection: Connection) -> bool:
            return connection.execute(_CONSUMED, {"ref": ref, "step": step}).rowcount == 1

        return await self._database.put_down(work, lock=f"totp/{ref}")


async def enrol(connection: AsyncConnection, vault: Vault, ref: str, key: Secret, step: int, at: float) -> None:
    """Make the app with this key the customer's, in place of any other. `step`: that of the code it has shown, which is used by that."""
    stored = select(CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped).where(CUSTOMERS.c.ref == ref)
    row = (await connection.execute(stored)).one()
    sealed = vault.envelopes.open(ref, row.key_id, row.wrapped).seal(sealing.TOTP, key)
    await remove(connection, ref)
    await connection.execute(insert(TOTPS).values(customer=ref, sealed=sealed, counter=step, since=int(at)))


async def remove(connection: AsyncConnection, ref: str) -> bool:
    """Take the customer's app away: every code is wrong then. Whether there was one."""
    return (await connection.execute(delete(TOTPS).where(TOTPS.c.customer == ref))).rowcount > 0


async def since(connection: AsyncConnection, ref: str) -> int | None:
    """Since when the customer has an app (seconds since the epoch); None where there is none."""
    query = select(TOTPS.c.since).where(TOTPS.c.customer == ref)
    found: int | None = (await connection.execute(query)).scalar_one_or_none()
    return found


def _decoy(vault: Vault) -> _Stored:
    """An app that is nobody's, for who has none to take as long as who has."""
    envelope = vault.envelopes.new("decoy")
    return _Stored("decoy", envelope.key_id, envelope.wrapped, envelope.seal(sealing.TOTP, totp.new()))
