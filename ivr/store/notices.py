"""Who is still to be told that a telephone number was changed, or its SIM: written with the change, and there until it was told."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import orjson
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.database import Database
from ivr.errors import VaultError
from ivr.secret import Personal
from ivr.store import sealing
from ivr.store.tables import CUSTOMERS, NOTICES
from ivr.vault import Vault

# So many at a time; the others at the next look.
_AT_ONCE = 50


class What(StrEnum):
    """What is told; the name of the sentence."""

    PHONE = "phone_changed"
    SIM = "sim_replaced"


@dataclass(frozen=True, slots=True)
class Contact:
    """Who is told what: a telephone number by text, or an address by e-mail."""

    to: Personal
    what: What = What.PHONE
    by_mail: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """To this contact, in the customer's language, of a change at that time (seconds since the epoch). `tries`: how often it could not be told. `contact` is why it cannot be read, where it cannot."""

    id: str
    ref: str
    contact: Contact | VaultError
    language: str | None
    tenant: str
    at: int
    tries: int


class Notices:
    """Those that wait. Each method raises `StoreError`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def due(self, now: float) -> Sequence[Notice]:
        """Those whose time has come (seconds since the epoch), of the oldest change first."""
        query = (
            select(NOTICES, CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped, CUSTOMERS.c.language, CUSTOMERS.c.tenant)
            .join_from(NOTICES, CUSTOMERS)
            .where(NOTICES.c.due <= int(now))
            .order_by(NOTICES.c.at, NOTICES.c.id)
            .limit(_AT_ONCE)
        )
        found = []
        for row in await self._database.look_up(lambda connection: connection.execute(query).all()):
            contact: Contact | VaultError
            try:
                envelope = self._vault.envelopes.open(row.customer, row.key_id, row.wrapped)
                contact = _read(envelope.open(sealing.notice(row.id), row.sealed))
            except VaultError as error:
                # the others are told all the same
                contact = error
            found.append(Notice(row.id, row.customer, contact, row.language, row.tenant, row.at, row.tries))
        return found

    async def over(self, notice: Notice) -> None:
        """It was told, or is too old to be."""

        def work(connection: Connection) -> None:
            connection.execute(delete(NOTICES).where(NOTICES.c.id == notice.id))

        await self._database.put_down(work, lock=f"notice/{notice.id}")

    async def later(self, notice: Notice, due: float, tries: int) -> None:
        """It could not be told, so often by now: once more then (seconds since the epoch)."""

        def work(connection: Connection) -> None:
            values = {"due": int(due), "tries": tries}
            connection.execute(update(NOTICES).where(NOTICES.c.id == notice.id).values(**values))

        await self._database.put_down(work, lock=f"notice/{notice.id}")


async def owe(connection: AsyncConnection, vault: Vault, ref: str, contact: Contact, at: float) -> None:
    """Within the change that it is to be told of."""
    stored = select(CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped).where(CUSTOMERS.c.ref == ref)
    row = (await connection.execute(stored)).one()
    name = secrets.token_urlsafe(16)
    sealed = vault.envelopes.open(ref, row.key_id, row.wrapped).seal(sealing.notice(name), _written(contact))
    values = {"id": name, "customer": ref, "at": int(at), "due": int(at), "tries": 0, "sealed": sealed}
    await connection.execute(insert(NOTICES).values(**values))


def _written(contact: Contact) -> Personal:
    return Personal(
        str(orjson.dumps({"to": contact.to.reveal(), "what": contact.what, "by_mail": contact.by_mail}), "utf-8")
    )


def _read(said: Personal) -> Contact:
    try:
        told = orjson.loads(said.reveal())
    except ValueError:
        # of before there was anything else to tell: a number alone
        return Contact(said)
    return Contact(Personal(told["to"]), What(told["what"]), told["by_mail"])
