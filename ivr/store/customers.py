"""Finding customers during a call."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any, NamedTuple, Self

from sqlalchemy import Row, Select, and_, bindparam, select

from ivr.call.ports import Subject
from ivr.database import Database, Prepared
from ivr.secret import Personal, Secret
from ivr.staff import TENANT
from ivr.store import keycheck, sealing
from ivr.store.sealing import customer_key, of_customer_key
from ivr.store.tables import CUSTOMERS, PHONES
from ivr.vault import PinRecord, Vault

_FIRST = PHONES.alias("first")
_FOUND = PHONES.alias("found")


class _Stored(NamedTuple):
    """What a look-up reads: sealed, but for the last four."""

    key_id: str
    wrapped: bytes
    name: bytes
    pin: bytes | None
    mobile: bytes | None
    ref: str
    language: str | None
    policy: str | None
    locked: bool
    since: int | None


def _lookup() -> Select[Any]:
    """One query for the customer and the number that texts go to."""
    customer = CUSTOMERS.c
    return select(
        customer.key_id, customer.wrapped, customer.name, customer.pin, _FIRST.c.phone.label("mobile"),
        customer.ref, customer.language, customer.policy, customer.locked, _FIRST.c.since.label("since"), customer.number_index,
    ).join_from(
        CUSTOMERS, _FIRST, and_(_FIRST.c.customer == customer.ref, _FIRST.c.position == 0), isouter=True
    )  # fmt: skip


_NUMBER = CUSTOMERS.c.number_index == bindparam("index"), CUSTOMERS.c.tenant == bindparam("tenant")
_BY_NUMBER = _lookup().where(*_NUMBER)
_BY_REF_OF = _lookup().where(CUSTOMERS.c.ref == bindparam("ref"), CUSTOMERS.c.tenant == bindparam("tenant"))
# Two rows are enough to know that it is not one.
_BY_PHONE = (
    _lookup()
    .where(
        CUSTOMERS.c.ref.in_(select(_FOUND.c.customer).where(_FOUND.c.phone_index == bindparam("index"))),
        CUSTOMERS.c.tenant == bindparam("tenant"),
    )
    .limit(2)
)

_ANY = select(CUSTOMERS.c.ref).limit(1)
_REF = select(CUSTOMERS.c.ref).where(*_NUMBER)
_STANDING = select(CUSTOMERS.c.ref, CUSTOMERS.c.locked, CUSTOMERS.c.tenant)
_BY_INDEX = Prepared(_STANDING.where(*_NUMBER))
_BY_REF = Prepared(_STANDING.where(CUSTOMERS.c.ref == bindparam("ref")))


class Customers:
    """Implements `call.ports.Customers`. Each look-up is one query, of one tenant's customers; both raise `StoreError` or `VaultError`."""

    def __init__(
        self, database: Database, vault: Vault, *, cooling: float = 0.0, clock: Callable[[], float] = time
    ) -> None:
        """`cooling`: seconds in which no text goes to a number that was changed at the desk."""
        self.database = database
        self.vault = vault
        self._decoy = _decoy(vault)
        self._cooling = cooling
        self._clock = clock

    @classmethod
    async def open(cls, database: Database, vault: Vault, *, cooling: float = 0.0) -> Self:
        """Raises `ConfigError` where the database was made with other keys than these."""
        async with database.read() as connection:
            await keycheck.check(connection, vault.keys)
        return cls(database, vault, cooling=cooling)

    async def by_phone(self, number: Personal, tenant: str = TENANT) -> Subject | None:
        """The one customer with this E.164 number; None where there is none, or more than one."""
        values = {"index": self.phone_key(number), "tenant": tenant}
        rows = await self.database.look_up(lambda connection: connection.execute(_BY_PHONE, values).all())
        if len(rows) != 1:
            return None
        return self._subject(customer_key(tenant, rows[0].number_index), _stored(rows[0]))

    async def by_number(self, number: Secret, tenant: str = TENANT) -> Subject:
        """The customer with this customer number, or a subject that is not known.

        For a number that nobody has, as much is decrypted as for one that somebody has.
        """
        return await self.by_key(customer_key(tenant, self.vault.index.customer_number(number)))

    async def by_key(self, key: str) -> Subject:
        """The customer of `Subject.key`, or a subject that is not known; takes as long for either."""
        tenant, index = of_customer_key(key)
        # of a call that a worker without tenants has begun, there is an index alone
        key = customer_key(tenant or TENANT, index)
        values = {"index": index, "tenant": tenant or TENANT}
        row = await self.database.look_up(lambda connection: connection.execute(_BY_NUMBER, values).one_or_none())
        subject = self._subject(key, self._decoy if row is None else _stored(row))
        return subject if row is not None else Subject(key=key, known=False)

    async def by_ref(self, ref: str, tenant: str) -> Subject | None:
        """The customer of this tenant with this reference; None where there is none."""
        values = {"ref": ref, "tenant": tenant}
        row = await self.database.look_up(lambda connection: connection.execute(_BY_REF_OF, values).one_or_none())
        return None if row is None else self._subject(customer_key(tenant, row.number_index), _stored(row))

    async def ref_of(self, number: Secret, tenant: str) -> str | None:
        """The reference of this tenant's customer with this number; nothing is decrypted. Raises `StoreError`."""
        values = {"index": self.vault.index.customer_number(number), "tenant": tenant}
        return await self.database.glance(lambda connection: connection.execute(_REF, values).scalar_one_or_none())

    async def in_force(self, subject: Subject, tenant: str | None = None) -> bool:
        """Whether the customer is there, of this tenant or of any, and not locked. Raises `StoreError`."""
        found = await self.database.glance(lambda connection: _BY_REF.rows(connection, ref=subject.ref))
        return any(_in_force(locked, owner, tenant) for _, locked, owner in found)

    async def standing(self, number: Secret, tenant: str) -> tuple[str, bool] | None:
        """`ref_of`, and whether that customer is `in_force` there: in one look-up. Raises `StoreError`."""
        index = self.vault.index.customer_number(number)
        found = await self.database.glance(lambda connection: _BY_INDEX.rows(connection, index=index, tenant=tenant))
        return next(((ref, _in_force(locked, owner, tenant)) for ref, locked, owner in found), None)

    async def ping(self) -> None:
        """Returns when the database can be read. Raises `StoreError`."""
        await self.database.look_up(lambda connection: connection.execute(_ANY).first())

    def phone_key(self, number: Personal) -> str:
        """The blind index of a telephone number, for counting by it."""
        return self.vault.index.phone(number)

    def _subject(self, key: str, stored: _Stored) -> Subject:
        envelope = self.vault.envelopes.open(stored.ref, stored.key_id, stored.wrapped)
        mobile = None if stored.mobile is None else envelope.open(sealing.phone(0), stored.mobile)
        return Subject(
            key=key,
            known=True,
            ref=stored.ref,
            name=envelope.open(sealing.NAME, stored.name),
            mobile=mobile if (stored.since or 0) <= self._clock() - self._cooling else None,
            pin=None if stored.pin is None else PinRecord.from_bytes(envelope.open_bytes(sealing.PIN, stored.pin)),
            language=stored.language,
            policy=stored.policy,
            locked=stored.locked,
        )


def _in_force(locked: bool, owner: str, tenant: str | None) -> bool:
    return locked is False and tenant in (None, owner)


def _stored(row: Row[Any]) -> _Stored:
    return _Stored(*row[: len(_Stored._fields)])


def _decoy(vault: Vault) -> _Stored:
    """A customer who is not in the database, for unknown numbers to be looked up as long as known ones."""
    envelope = vault.envelopes.new("decoy")
    return _Stored(
        key_id=envelope.key_id,
        wrapped=envelope.wrapped,
        name=envelope.seal(sealing.NAME, Secret("Anna Andersson")),
        pin=envelope.seal_bytes(sealing.PIN, PinRecord(bytes(16), bytes(32), 14, 8, 5).to_bytes()),
        mobile=envelope.seal(sealing.phone(0), Secret("+46700000000")),
        ref="decoy",
        language=None,
        policy=None,
        locked=False,
        since=0,
    )
