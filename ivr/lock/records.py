"""Customers' records: read, and changed together with the audit row of the change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import time

from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.audit.chain import append_within, lock_of
from ivr.audit.signing import Seal
from ivr.call.ports import Entry, Subject
from ivr.database import Database
from ivr.errors import ConfigError, StoreError
from ivr.lock.actions import Change
from ivr.secret import Personal, Secret
from ivr.store import notices, sims
from ivr.store.customers import Customers
from ivr.store.notices import Contact
from ivr.store.register import Customer, Register


class StoredRecords:
    """Implements `lock.ports.Records`. `chain` is that of this process in the audit trail."""

    def __init__(
        self, database: Database, register: Register, customers: Customers, seal: Seal, chain: str,
        wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        self._database = database
        self._register = register
        self._customers = customers
        self._seal = seal
        self._chain = chain
        self._wall = wall
        # each needs a second connection while it has one: many at once would wait for each other's
        self._acting = asyncio.Lock()

    async def in_force(self, tenant: str, ref: str) -> bool:
        """Whether the customer is there, and not locked. Raises `StoreError`."""
        return await self._customers.in_force(Subject(key="", known=True, ref=ref), tenant)

    async def by_number(self, tenant: str, number: Secret) -> tuple[str, bool] | None:
        """The customer's reference, and `in_force`. Raises `StoreError`."""
        return await self._customers.standing(number, tenant)

    async def by_phone(self, tenant: str, number: Personal) -> tuple[str, bool] | None:
        """The same of the one with this telephone number. Raises `StoreError`."""
        found = await self._customers.by_phone(number, tenant)
        return None if found is None else (found.ref, not found.locked)

    async def read(self, tenant: str, ref: str) -> Customer | None:
        """Raises `StoreError`, or `VaultError` where what is stored was changed."""
        async with self._database.read() as connection:
            found = await self._register.by_ref(connection, ref)
        return found if found is not None and found.tenant == tenant else None

    async def act(
        self, tenant: str, ref: str, change: Change, entry: Entry, go_on: Callable[[], Awaitable[bool]]
    ) -> bool:
        """One transaction; what is asked in it is asked of Redis and of readers, who wait for no writer."""
        try:
            async with self._acting, self._database.write(lock=lock_of(self._chain)) as connection:
                customer = await self._register.by_ref(connection, ref, change=True)
                if customer is None or customer.tenant != tenant or not await go_on():
                    return False
                await append_within(connection, self._chain, entry, seal=self._seal)
                await self._do(connection, customer, change)
        except ConfigError as error:
            # the chain does not end as it was left: for an administrator, and no business of an agent's
            raise StoreError(f"audit: {error.problem}") from None
        return True

    async def _do(self, connection: AsyncConnection, customer: Customer, change: Change) -> None:
        match change:
            case Change(action="lock"):
                await self._register.set_locked(connection, customer, locked=True)
            case Change(action="set_language", language=str(language)):
                await self._register.set_language(connection, customer, language)
            case Change(action="clear_pin"):
                await self._register.clear_pin(connection, customer)
            case Change(action="add_phone" | "change_phone" | "remove_phone", phone=Personal() as phone):
                phones = change.phones(customer)
                # the one that goes; of one that comes, the first that was there
                told = customer.phones[:1] if change.action == "add_phone" else (phone,)
                for to in told:
                    await notices.owe(connection, self._customers.vault, customer.ref, Contact(to), self._wall())
                await self._register.set_phones(connection, customer, phones, self._wall())
            case Change(action="replace_sim", phone=Personal() as phone):
                change.phones(customer)
                await sims.replaced(connection, self._customers.vault, customer, phone, self._wall())
            case _:
                raise RuntimeError("an action that nobody does")
