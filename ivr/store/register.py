"""The register of customers, as administrators work on it.

Each method takes a connection, so that the caller writes the act's audit row in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.secret import Personal, Secret
from ivr.staff import TENANT
from ivr.store import keycheck, sealing
from ivr.store.tables import CUSTOMERS, PHONES, PUSHES
from ivr.vault import Envelope, PinRecord, Vault

T = TypeVar("T")

# SQLite before 3.32 takes 999 values in a statement.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class NewCustomer:
    """A customer to be added; texts go to the first of `phones` (E.164)."""

    number: Secret
    name: Personal
    phones: tuple[Personal, ...]
    pin: PinRecord | None = None
    language: str | None = None
    policy: str | None = None
    tenant: str = TENANT


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as an administrator sees it. `key` is what failures are counted by; `since`: when each of `phones` was changed at the desk, 0 where never (seconds since the epoch)."""

    ref: str
    key: str
    number: Personal
    name: Personal
    phones: tuple[Personal, ...]
    has_pin: bool
    language: str | None
    policy: str | None
    locked: bool
    tenant: str = TENANT
    since: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Sealed:
    """A new customer, encrypted: the rows to be inserted."""

    ref: str
    customer: dict[str, Any]
    phones: list[dict[str, Any]]


class Register:
    """Reads and writes customers. Reading raises `VaultError` where what is stored was changed.

    What the database raises becomes a `StoreError` where the transaction ends (`Database.read`, `Database.write`).
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, new: NewCustomer) -> Sealed:
        """Encrypt a new customer, before the transaction begins: it takes time, and others wait for a transaction."""
        ref = sealing.new_ref()
        envelope = self._vault.envelopes.new(ref)
        customer = {
            "ref": ref,
            "number_index": self._vault.index.customer_number(new.number),
            "key_id": envelope.key_id,
            "wrapped": envelope.wrapped,
            "number": envelope.seal(sealing.NUMBER, new.number),
            "name": envelope.seal(sealing.NAME, new.name),
            "pin": None if new.pin is None else envelope.seal_bytes(sealing.PIN, new.pin.to_bytes()),
            "language": new.language,
            "policy": new.policy,
            "locked": False,
            "tenant": new.tenant,
        }
        return Sealed(ref, customer, self._phones(envelope, new.phones))

    async def taken(self, connection: AsyncConnection, indexes: Sequence[str], tenant: str = TENANT) -> frozenset[str]:
        """Those of these indexes of customer numbers (`vault.Index`) that customers of this tenant have."""
        taken: set[str] = set()
        for some in _chunks(indexes):
            query = select(CUSTOMERS.c.number_index).where(CUSTOMERS.c.number_index.in_(some))
            rows = await connection.execute(query.where(CUSTOMERS.c.tenant == tenant))
            taken.update(rows.scalars())
        return frozenset(taken)

    async def add(self, connection: AsyncConnection, customers: Sequence[Sealed]) -> bool:
        """Insert them all; False, and none is inserted, where one of the customer numbers is taken in its tenant.

        Raises `ConfigError` where the master key that they were sealed with is none that the database knows (any more).
        """
        await keycheck.need(connection, {one.customer["key_id"] for one in customers})
        for tenant in {one.customer["tenant"] for one in customers}:
            theirs = [one.customer["number_index"] for one in customers if one.customer["tenant"] == tenant]
            if await self.taken(connection, theirs, tenant):
                return False
        for some in _chunks(customers):
            await connection.execute(insert(CUSTOMERS), [one.customer for one in some])
            phones = [phone for one in some for phone in one.phones]
            if phones:
                await connection.execute(insert(PHONES), phones)
        return True

    async def find(self, connection: AsyncConnection, number: Secret, tenant: str = TENANT) -> Customer | None:
        """This tenant's customer with this number, decrypted."""
        index = self._vault.index.customer_number(number)
        return await self._found(connection, and_(CUSTOMERS.c.number_index == index, CUSTOMERS.c.tenant == tenant))

    async def tenants_of(self, connection: AsyncConnection, number: Secret) -> tuple[str, ...]:
        """Those that have a customer with this number."""
        index = self._vault.index.customer_number(number)
        query = select(CUSTOMERS.c.tenant).where(CUSTOMERS.c.number_index == index).order_by(CUSTOMERS.c.tenant)
        return tuple(await connection.scalars(query))

    async def by_ref(self, connection: AsyncConnection, ref: str, *, change: bool = False) -> Customer | None:
        """The customer with this reference, decrypted. To `change` it: whoever else means to waits for this transaction's end."""
        return await self._found(connection, CUSTOMERS.c.ref == ref, change=change)

    async def _found(
        self, connection: AsyncConnection, where: ColumnElement[bool], *, change: bool = False
    ) -> Customer | None:
        query = select(CUSTOMERS).where(where)
        row = (await connection.execute(query.with_for_update() if change else query)).one_or_none()
        if row is None:
            return None
        phones = (
            await connection.execute(select(PHONES).where(PHONES.c.customer == row.ref).order_by(PHONES.c.position))
        ).all()
        envelope = self._vault.envelopes.open(row.ref, row.key_id, row.wrapped)
        return Customer(
            ref=row.ref,
            key=sealing.customer_key(row.tenant, row.number_index),
            number=envelope.open(sealing.NUMBER, row.number),
            name=envelope.open(sealing.NAME, row.name),
            phones=tuple(envelope.open(sealing.phone(phone.position), phone.phone) for phone in phones),
            has_pin=row.pin is not None,
            language=row.language,
            policy=row.policy,
            locked=row.locked,
            tenant=row.tenant,
            since=tuple(phone.since for phone in phones),
        )

    async def set_pin(self, connection: AsyncConnection, customer: Customer, pin: PinRecord) -> None:
        """Store a new PIN in place of the old one."""
        envelope = await self._envelope(connection, customer)
        sealed = envelope.seal_bytes(sealing.PIN, pin.to_bytes())
        await connection.execute(update(CUSTOMERS).where(CUSTOMERS.c.ref == customer.ref).values(pin=sealed))

    async def clear_pin(self, connection: AsyncConnection, customer: Customer) -> None:
        """Take the PIN away: every PIN is wrong then."""
        await connection.execute(update(CUSTOMERS).where(CUSTOMERS.c.ref == customer.ref).values(pin=None))

    async def set_language(self, connection: AsyncConnection, customer: Customer, language: str) -> None:
        """What the customer hears and reads."""
        await connection.execute(update(CUSTOMERS).where(CUSTOMERS.c.ref == customer.ref).values(language=language))

    async def set_phones(
        self, connection: AsyncConnection, customer: Customer, phones: Sequence[Personal], at: float
    ) -> None:
        """Put these telephone numbers (E.164) in the place of all there were; texts go to the first. Those that are new are so since `at` (seconds since the epoch).

        Where one of them goes, the customer's browsers go: it may be the one that made them the customer's.
        """
        envelope = await self._envelope(connection, customer)
        query = select(PHONES.c.phone_index, PHONES.c.since).where(PHONES.c.customer == customer.ref)
        held = {phone.phone_index: phone.since for phone in (await connection.execute(query)).all()}
        rows = [{**phone, "since": held.get(phone["phone_index"], int(at))} for phone in self._phones(envelope, phones)]
        if held.keys() - {row["phone_index"] for row in rows}:
            await connection.execute(delete(PUSHES).where(PUSHES.c.customer == customer.ref))
        await connection.execute(delete(PHONES).where(PHONES.c.customer == customer.ref))
        if rows:
            await connection.execute(insert(PHONES), rows)

    async def set_locked(self, connection: AsyncConnection, customer: Customer, *, locked: bool) -> None:
        """Lock or unlock; a locked customer is never verified."""
        await connection.execute(update(CUSTOMERS).where(CUSTOMERS.c.ref == customer.ref).values(locked=locked))

    async def remove(self, connection: AsyncConnection, customer: Customer) -> None:
        """Delete the customer, the telephone numbers, and with the data key whatever was encrypted with it."""
        await connection.execute(delete(CUSTOMERS).where(CUSTOMERS.c.ref == customer.ref))

    async def _envelope(self, connection: AsyncConnection, customer: Customer) -> Envelope:
        query = select(CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped).where(CUSTOMERS.c.ref == customer.ref)
        row = (await connection.execute(query)).one()
        return self._vault.envelopes.open(customer.ref, row.key_id, row.wrapped)

    def _phones(self, envelope: Envelope, phones: Sequence[Personal]) -> list[dict[str, Any]]:
        return [
            {
                "customer": envelope.customer,
                "position": position,
                "phone_index": self._vault.index.phone(phone),
                "phone": envelope.seal(sealing.phone(position), phone),
            }
            for position, phone in enumerate(phones)
        ]


def _chunks(items: Sequence[T]) -> Iterable[list[T]]:
    remaining = iter(items)
    while some := list(islice(remaining, _AT_ONCE)):
        yield some
