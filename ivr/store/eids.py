"""What customers are called at providers of electronic identities, what those have said of them, and whose turn it is to ask."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from time import time
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.call.ports import Clock, Subject
from ivr.call.ports.eid import Let
from ivr.database import Database
from ivr.errors import StoreError
from ivr.secret import Personal, Secret
from ivr.store import sealing
from ivr.store.link import Link
from ivr.store.tables import CUSTOMERS, EVIDENCE, IDENTITIES
from ivr.store.turn import Turn
from ivr.vault import Index, Vault


class _Stored(NamedTuple):
    """What a look-up reads."""

    ref: str
    key_id: str
    wrapped: bytes
    sealed: bytes


_STORED = (
    select(CUSTOMERS.c.ref, CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped, IDENTITIES.c.sealed)
    .join_from(CUSTOMERS, IDENTITIES)
    .where(CUSTOMERS.c.ref == bindparam("ref"), IDENTITIES.c.kind == bindparam("kind"))
)
_ENVELOPE = select(CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped).where(CUSTOMERS.c.ref == bindparam("ref"))


@dataclass(frozen=True, slots=True)
class Identity:
    """What a customer is called at providers of this kind, since when (seconds since the epoch)."""

    kind: str
    who: Personal
    since: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a provider has said of a customer, and when (seconds since the epoch). `id` is what the audit trail calls it."""

    id: str
    provider: str
    at: int
    said: Secret


class Identities:
    """Implements `call.ports.eid.Identities`. Raises `StoreError`, and `VaultError` where what is stored was changed."""

    def __init__(self, database: Database, vault: Vault, *, clock: Clock = time) -> None:
        """`clock`: seconds since the epoch."""
        self._database = database
        self._vault = vault
        self._clock = clock
        self._decoy = _decoy(vault)

    async def of(self, subject: Subject, kind: str) -> Secret | None:
        """As `call.ports.eid.Identities` has it. Looked up in each call: what was taken away meanwhile is nobody's name."""
        values = {"ref": subject.ref, "kind": kind}
        row = await self._database.look_up(lambda connection: connection.execute(_STORED, values).first())
        stored = self._decoy if row is None else _Stored(*row)
        envelope = self._vault.envelopes.open(stored.ref, stored.key_id, stored.wrapped)
        who = envelope.open(sealing.identity("decoy" if row is None else kind), stored.sealed)
        return None if row is None else who

    async def keep(self, subject: Subject, provider: str, evidence: Secret) -> str:
        """As `call.ports.eid.Identities` has it. Raises `StoreError` too where the customer is gone meanwhile."""
        name = secrets.token_urlsafe(16)

        def work(connection: Connection) -> None:
            row = connection.execute(_ENVELOPE, {"ref": subject.ref}).one_or_none()
            if row is None:
                raise StoreError("database: the customer is gone")
            envelope = self._vault.envelopes.open(subject.ref, row.key_id, row.wrapped)
            sealed = envelope.seal(sealing.evidence(name), evidence)
            connection.execute(
                insert(EVIDENCE).values(
                    id=name, customer=subject.ref, provider=provider, at=int(self._clock()), sealed=sealed
                )
            )

        await self._database.put_down(work, lock=f"eid/{subject.ref}")
        return name


class Turns:
    """Implements `call.ports.eid.Turns`, in Redis, which has a keyed hash of the person alone. Raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, index: Index) -> None:
        self._link = link
        self._prefix = prefix
        self._index = index

    async def take(self, kind: str, who: Secret, seconds: float) -> Let | None:
        """As `call.ports.eid.Turns` has it."""
        turn = Turn(self._link, self._prefix, f"eid:{self._index.identity(kind, who)}", seconds=seconds)
        return turn.give_back if await turn.mine() else None


async def enter(connection: AsyncConnection, vault: Vault, ref: str, kind: str, who: Secret, at: float) -> None:
    """Make this what the customer is called at providers of this kind, in place of anything else."""
    row = (await connection.execute(_ENVELOPE, {"ref": ref})).one()
    sealed = vault.envelopes.open(ref, row.key_id, row.wrapped).seal(sealing.identity(kind), who)
    await remove(connection, ref, kind)
    await connection.execute(insert(IDENTITIES).values(customer=ref, kind=kind, sealed=sealed, since=int(at)))


async def remove(connection: AsyncConnection, ref: str, kind: str) -> bool:
    """The customer is called nothing there any more: whether there was something. Evidence stays."""
    query = delete(IDENTITIES).where(IDENTITIES.c.customer == ref, IDENTITIES.c.kind == kind)
    return (await connection.execute(query)).rowcount > 0


async def names(connection: AsyncConnection, vault: Vault, ref: str) -> Sequence[Identity]:
    """What the customer is called, by kind. Raises `VaultError`."""
    key = (await connection.execute(_ENVELOPE, {"ref": ref})).one()
    envelope = vault.envelopes.open(ref, key.key_id, key.wrapped)
    query = select(IDENTITIES).where(IDENTITIES.c.customer == ref).order_by(IDENTITIES.c.kind)
    return tuple(
        Identity(row.kind, envelope.open(sealing.identity(row.kind), row.sealed), row.since)
        for row in (await connection.execute(query)).all()
    )


async def evidence(connection: AsyncConnection, vault: Vault, ref: str) -> Sequence[Evidence]:
    """What providers have said of the customer, the earliest first. Raises `VaultError`."""
    key = (await connection.execute(_ENVELOPE, {"ref": ref})).one()
    envelope = vault.envelopes.open(ref, key.key_id, key.wrapped)
    query = select(EVIDENCE).where(EVIDENCE.c.customer == ref).order_by(EVIDENCE.c.at, EVIDENCE.c.id)
    return tuple(
        Evidence(row.id, row.provider, row.at, envelope.open(sealing.evidence(row.id), row.sealed))
        for row in (await connection.execute(query)).all()
    )


async def forget(database: Database, before: int) -> int:
    """Delete what providers have said before that time (seconds since the epoch); how many there were. Raises `StoreError`."""

    def work(connection: Connection) -> int:
        return connection.execute(delete(EVIDENCE).where(EVIDENCE.c.at < before)).rowcount

    return await database.put_down(work, lock="eid/forget")


def _decoy(vault: Vault) -> _Stored:
    """A name that is nobody's, for who has none to take as long as who has."""
    envelope = vault.envelopes.new("decoy")
    sealed = envelope.seal(sealing.identity("decoy"), Secret("0" * 12))
    return _Stored("decoy", envelope.key_id, envelope.wrapped, sealed)
