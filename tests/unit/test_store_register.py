"""The register: what administrators do with customers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from ivr.config import Settings
from ivr.database import Database
from ivr.secret import Personal, Secret
from ivr.store import sealing
from ivr.store.customers import Customers
from ivr.store.register import Customer, NewCustomer, Register
from ivr.store.sealing import customer_key
from ivr.vault import Vault
from tests.unit.conftest import Either
from tests.unit.database_kit import RECORD, asked, database_of, keys_of

ANNA = NewCustomer(
    Secret("10001"), Personal("Anna Åkesson"), (Personal("+46701234567"), Personal("+46812345678")), RECORD
)
BO = NewCustomer(Secret("10002"), Personal("Bo"), (Personal("+46812345678"),))


@dataclass
class House:
    settings: Settings
    database: Database
    vault: Vault
    register: Register

    async def add(self, *customers: NewCustomer) -> bool:
        async with self.database.write() as connection:
            return await self.register.add(connection, [self.register.seal(one) for one in customers])

    async def find(self, number: str) -> Customer | None:
        async with self.database.read() as connection:
            return await self.register.find(connection, Secret(number))


@pytest.fixture
async def house(either: Either) -> AsyncIterator[House]:
    settings = either()
    vault = Vault(keys_of(settings), settings)
    async with await database_of(settings, vault) as database:
        yield House(settings, database, vault, Register(vault))
    vault.close()


async def test_a_customer_is_found_as_added(house: House) -> None:
    assert await house.add(ANNA, BO)
    anna, bo = await house.find("10001"), await house.find("10002")
    assert anna is not None and bo is not None
    assert [value.reveal() for value in (anna.number, anna.name, *anna.phones)] == [
        "10001", "Anna Åkesson", "+46701234567", "+46812345678",
    ]  # fmt: skip
    assert (anna.has_pin, anna.locked, anna.language, anna.policy) == (True, False, None, None)
    assert (bo.has_pin, len(bo.phones)) == (False, 1)
    assert anna.key == customer_key("main", house.vault.index.customer_number(Secret("10001")))
    assert anna.ref != bo.ref
    assert await house.find("10003") is None


async def test_a_taken_number_adds_none_of_them(house: House) -> None:
    assert await house.add(BO)
    assert not await house.add(ANNA, BO)
    assert await house.find("10001") is None
    assert await asked(house.database, "SELECT count(*) FROM phones") == [(1,)]


async def test_which_of_many_numbers_are_taken(house: House) -> None:
    """More than fit into one statement."""
    index = house.vault.index.customer_number
    many = [replace(BO, number=Secret(str(20000 + number)), phones=()) for number in range(1203)]
    assert await house.add(*many)
    async with house.database.read() as connection:
        asked = [index(one.number) for one in many] + [index(Secret("10001"))]
        assert await house.register.taken(connection, asked) == frozenset(asked[:-1])
        assert await house.register.taken(connection, []) == frozenset()


async def test_a_new_pin_takes_the_old_ones_place(house: House) -> None:
    await house.add(ANNA)
    newer = replace(RECORD, salt=b"n" * 16)
    async with house.database.write() as connection:
        customer = await house.register.find(connection, Secret("10001"))
        assert customer is not None
        await house.register.set_pin(connection, customer, newer)
    assert (await Customers(house.database, house.vault).by_number(Secret("10001"))).pin == newer


async def test_lock_and_unlock_change_this_customer_only(house: House) -> None:
    await house.add(ANNA, BO)
    for locked in (True, False):
        async with house.database.write() as connection:
            customer = await house.register.find(connection, Secret("10001"))
            assert customer is not None
            await house.register.set_locked(connection, customer, locked=locked)
        anna, bo = await house.find("10001"), await house.find("10002")
        assert anna is not None and bo is not None
        assert (anna.locked, bo.locked) == (locked, False)


async def test_by_the_reference_it_is_the_same_customer(house: House) -> None:
    await house.add(ANNA, BO)
    anna = await house.find("10001")
    assert anna is not None
    async with house.database.read() as connection:
        assert await house.register.by_ref(connection, anna.ref) == anna
        for none in ("10001", anna.ref.upper(), "", "aaaaaaaaaaaa"):
            assert await house.register.by_ref(connection, none) is None


async def test_other_telephones_take_the_place_of_all_there_were(house: House) -> None:
    await house.add(ANNA, BO)
    customers = Customers(house.database, house.vault)
    for phones in (["+46700000001", "+46701234567"], [], ["+46700000002"]):
        async with house.database.write() as connection:
            customer = await house.register.find(connection, Secret("10001"))
            assert customer is not None
            await house.register.set_phones(connection, customer, [Personal(phone) for phone in phones], 0)
        found = await house.find("10001")
        assert found is not None
        assert [phone.reveal() for phone in found.phones] == phones
        # texts go to the first, and it is found by each
        subject = await customers.by_number(Secret("10001"))
        assert subject.mobile == (Personal(phones[0]) if phones else None)
        for phone in phones:
            hint = await customers.by_phone(Personal(phone))
            assert hint is not None and hint.ref == found.ref
    assert await customers.by_phone(Personal("+46701234567")) is None
    # nobody else's
    bo = await house.find("10002")
    assert bo is not None and [phone.reveal() for phone in bo.phones] == ["+46812345678"]


async def test_without_a_pin_and_in_another_language(house: House) -> None:
    await house.add(ANNA, replace(BO, pin=RECORD))
    async with house.database.write() as connection:
        customer = await house.register.find(connection, Secret("10001"))
        assert customer is not None
        await house.register.clear_pin(connection, customer)
        await house.register.set_language(connection, customer, "de")
    anna, bo = await house.find("10001"), await house.find("10002")
    assert anna is not None and bo is not None
    assert (anna.has_pin, anna.language) == (False, "de")
    assert (bo.has_pin, bo.language) == (True, None)


async def test_no_code_goes_to_a_number_that_was_changed_until_it_has_cooled_off(house: House) -> None:
    """What was there before stays as old as it was, in whatever place; what was taken away and comes back is new."""
    await house.add(ANNA)
    first, second = (phone.reveal() for phone in ANNA.phones)
    now = 1_700_000_000.0
    customers = Customers(house.database, house.vault, cooling=3600, clock=lambda: now)

    async def changed(*phones: str) -> tuple[int, ...]:
        async with house.database.write() as connection:
            customer = await house.register.find(connection, Secret("10001"))
            assert customer is not None
            await house.register.set_phones(connection, customer, [Personal(phone) for phone in phones], now)
        found = await house.find("10001")
        assert found is not None
        return found.since

    async def texted() -> str | None:
        mobile = (await customers.by_number(Secret("10001"))).mobile
        return None if mobile is None else mobile.reveal()

    assert await texted() == first
    assert await changed(first, "+46700000009") == (0, int(now))
    assert await texted() == first
    assert await changed("+46700000009", second) == (int(now), int(now)), "the second one was taken away meanwhile"
    assert await texted() is None
    now += 3599
    assert await texted() is None
    assert await changed(second, "+46700000009") == (1_700_000_000, 1_700_000_000)
    now += 1
    assert await texted() == second


async def test_removing_takes_the_telephones_along(house: House) -> None:
    await house.add(ANNA, BO)
    async with house.database.write() as connection:
        customer = await house.register.find(connection, Secret("10001"))
        assert customer is not None
        await house.register.remove(connection, customer)
    assert await house.find("10001") is None
    assert await house.find("10002") is not None
    assert await asked(house.database, "SELECT count(*) FROM phones") == [(1,)]


async def test_references_tell_nothing(house: House) -> None:
    refs = {house.register.seal(ANNA).ref for _ in range(200)}
    assert len(refs) == 200
    assert all(len(ref) == 12 and set(ref) <= set("abcdefghijklmnopqrstuvwxyz234567") for ref in refs)
    assert all(sealing.is_ref(ref) for ref in refs)
    for none in (
        "",
        "10001",
        "a" * 11,
        "a" * 13,
        "A" * 12,
        "a" * 11 + "1",
        "a" * 12 + "\n",
        "å" * 12,
        "a" * 11 + "\u0662",
    ):
        assert not sealing.is_ref(none)
