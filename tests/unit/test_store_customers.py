"""Finding customers in a call: by number, by telephone, and not at all."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import pytest
from sqlalchemy import text, update

from ivr.config import Settings
from ivr.database import Database
from ivr.errors import ConfigError, StoreError, VaultError
from ivr.secret import Personal, Secret
from ivr.store import keycheck
from ivr.store.customers import Customers
from ivr.store.register import NewCustomer, Register
from ivr.store.sealing import customer_key
from ivr.store.tables import CUSTOMERS
from ivr.vault import Envelope, Vault
from tests.unit.conftest import Either
from tests.unit.database_kit import RECORD, database_of, directly, keys_of, on_postgresql, rows, settings_in

ANNA = NewCustomer(
    Secret("10001"),
    Personal("Anna Åkesson"),
    (Personal("+46701234567"), Personal("+46812345678")),
    RECORD,
    "en",
    "support",
)
BO = NewCustomer(Secret("10002"), Personal("Bo"), (Personal("+46812345678"),))
# His only number differs, and nobody knows his name: neither PIN, nor language, nor policy.
CLAES = NewCustomer(Secret("10003"), Personal("Claes"), ())


@dataclass
class House:
    settings: Settings
    database: Database
    vault: Vault
    customers: Customers

    async def change(self, statement: str, **values: str) -> None:
        """Past the program, as someone does who may write to the database."""
        if not on_postgresql(self.settings):
            with directly(self.settings) as connection:
                connection.execute(statement, values)
            return
        async with self.database.write() as connection:
            await connection.execute(text("ALTER TABLE phones DROP CONSTRAINT phones_customer_fkey"))
            await connection.execute(text(statement.replace("x'00'", r"'\x00'")), values)


@pytest.fixture
async def house(either: Either) -> AsyncIterator[House]:
    settings = either()
    vault = Vault(keys_of(settings), settings)
    database = await database_of(settings, vault)
    register = Register(vault)
    async with database.write() as connection:
        assert await register.add(connection, [register.seal(one) for one in (ANNA, BO, CLAES)])
    yield House(settings, database, vault, await Customers.open(database, vault))
    await database.close()
    vault.close()


async def test_a_customer_by_number(house: House) -> None:
    subject = await house.customers.by_number(Secret("10001"))
    assert subject.known
    assert subject.key == customer_key("main", house.vault.index.customer_number(Secret("10001")))
    assert subject.name is not None and subject.name.reveal() == "Anna Åkesson"
    assert subject.mobile is not None and subject.mobile.reveal() == "+46701234567"
    assert (subject.pin, subject.language, subject.policy, subject.locked) == (RECORD, "en", "support", False)
    assert len(subject.ref) == 12


async def test_a_customer_with_nothing_but_a_number_and_a_name(house: House) -> None:
    subject = await house.customers.by_number(Secret("10003"))
    assert subject.known
    assert (subject.mobile, subject.pin, subject.language, subject.policy) == (None, None, None, None)


async def test_a_customer_by_the_telephone_that_no_other_has(house: House) -> None:
    subject = await house.customers.by_phone(Personal("+46701234567"))
    assert subject == await house.customers.by_number(Secret("10001"))


async def test_two_customers_with_one_telephone_are_none(house: House) -> None:
    assert await house.customers.by_phone(Personal("+46812345678")) is None


async def test_customers_of_two_tenants_have_the_same_numbers(house: House) -> None:
    """Each is found by whoever names the tenant, and is nobody to the other."""
    register, customers = Register(house.vault), house.customers
    nora = NewCustomer(Secret("10001"), Personal("Nora"), (Personal("+46701234567"),), tenant="north")
    async with house.database.write() as connection:
        assert await register.add(connection, [register.seal(nora)])
    async with house.database.write() as connection:
        for same in (nora, ANNA):
            assert not await register.add(connection, [register.seal(same)])
        # of both in one file, one that is taken
        assert not await register.add(
            connection, [register.seal(one) for one in (replace(nora, number=Secret("10002")), ANNA)]
        )
    anna, there = await customers.by_number(Secret("10001")), await customers.by_number(Secret("10001"), "north")
    assert anna.known and there.known and anna.ref != there.ref and anna.key != there.key
    assert there == await customers.by_phone(Personal("+46701234567"), "north") == await customers.by_key(there.key)
    assert anna == await customers.by_phone(Personal("+46701234567"))
    assert not (await customers.by_number(Secret("10002"), "north")).known
    assert await customers.by_phone(Personal("+46701234567"), "south") is None
    assert await customers.by_ref(there.ref, "north") == there
    assert await customers.by_ref(there.ref, "main") is None, "a reference opens nothing at another tenant"
    assert await customers.ref_of(Secret("10001"), "north") == there.ref
    assert await customers.ref_of(Secret("10002"), "north") is None
    assert await customers.standing(Secret("10001"), "north") == (there.ref, True)
    assert await customers.standing(Secret("10002"), "north") is None
    async with house.database.read() as connection:
        assert await register.tenants_of(connection, Secret("10001")) == ("main", "north")
        assert await register.tenants_of(connection, Secret("10002")) == ("main",)
        assert await register.tenants_of(connection, Secret("99999")) == ()
    # a call that a worker without tenants has begun goes on: its customer is one of main
    assert await customers.by_key(house.vault.index.customer_number(Secret("10001"))) == anna


async def test_the_database_has_each_number_once_in_a_tenant(house: House) -> None:
    with pytest.raises(StoreError):
        await _moved(house, "10002", "10001")


async def _moved(house: House, number: str, onto: str) -> None:
    index = house.vault.index.customer_number
    where = CUSTOMERS.c.number_index == index(Secret(number))
    async with house.database.write() as connection:
        await connection.execute(update(CUSTOMERS).where(where).values(number_index=index(Secret(onto))))


async def test_a_telephone_that_nobody_has_is_none(house: House) -> None:
    assert await house.customers.by_phone(Personal("+46700000000")) is None


async def test_texts_go_to_the_first_telephone_even_when_the_other_called(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    vault = Vault(keys_of(settings), settings)
    async with await database_of(settings, vault) as database:
        async with database.write() as connection:
            await Register(vault).add(connection, [Register(vault).seal(ANNA)])
        subject = await Customers(database, vault).by_phone(Personal("+46812345678"))
    vault.close()
    assert subject is not None and subject.mobile is not None
    assert subject.mobile.reveal() == "+46701234567"


async def test_an_unknown_number_is_a_subject_that_is_not_known(house: House) -> None:
    subject = await house.customers.by_number(Secret("99999"))
    assert not subject.known
    assert subject.key == customer_key("main", house.vault.index.customer_number(Secret("99999")))
    assert (subject.ref, subject.name, subject.mobile, subject.pin, subject.policy) == ("", None, None, None, None)


async def test_an_unknown_number_takes_as_much_decrypting(house: House) -> None:
    def work() -> list[tuple[str, int]]:
        return [(call.args[1], len(call.args[2])) for call in opened.call_args_list]

    with patch.object(Envelope, "open_bytes", autospec=True, side_effect=Envelope.open_bytes) as opened:
        await house.customers.by_number(Secret("10001"))
        known = work()
        opened.reset_mock()
        await house.customers.by_number(Secret("99999"))
        unknown = work()
    assert [field for field, _ in known] == [field for field, _ in unknown] == ["phone.0", "name", "pin"]
    assert all(abs(one - other) < 16 for (_, one), (_, other) in zip(known, unknown, strict=True))


async def test_each_look_up_is_one_query_by_index(house: House) -> None:
    if on_postgresql(house.settings):
        # of three rows it reads the table, whatever indexes there are
        return
    with directly(house.settings) as connection:
        for query in (
            "SELECT * FROM customers WHERE number_index = 'x'",
            "SELECT * FROM customers WHERE ref IN (SELECT customer FROM phones WHERE phone_index = 'x')",
        ):
            plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}"))
            assert "SCAN" not in plan


async def test_a_locked_customer_is_told_as_locked(house: House) -> None:
    register = Register(house.vault)
    async with house.database.write() as connection:
        customer = await register.find(connection, Secret("10001"))
        assert customer is not None
        await register.set_locked(connection, customer, locked=True)
    assert (await house.customers.by_number(Secret("10001"))).locked
    assert not (await house.customers.by_number(Secret("10002"))).locked


async def test_nothing_of_a_customer_is_in_the_files(house: House) -> None:
    if on_postgresql(house.settings):
        # its files hold what all tests wrote
        return
    with directly(house.settings) as connection:
        connection.execute("PRAGMA wal_checkpoint")
    for file in house.settings.file.parent.glob("tillit.db*"):
        content = file.read_bytes()
        for secret in ("Anna", "Åkesson", "10001", "701234567", "2580"):
            # digits in the middle of a hexadecimal number are chance
            alone = rb"(?<![0-9a-f])" + secret.encode() + rb"(?![0-9a-f])"
            assert not re.search(alone if secret.isdecimal() else secret.encode(), content), secret


OF_BO = "(SELECT {} FROM customers WHERE number_index = :bo)"


@pytest.mark.parametrize(
    "statement",
    [
        # what belongs to another customer, or to another field, is not taken for this one's
        f"UPDATE customers SET name = {OF_BO.format('name')} WHERE number_index = :anna",
        f"UPDATE customers SET wrapped = {OF_BO.format('wrapped')} WHERE number_index = :anna",
        f"UPDATE phones SET phone = (SELECT phone FROM phones WHERE customer = {OF_BO.format('ref')}) "
        "WHERE position = 0",
        "UPDATE phones SET phone = (SELECT phone FROM phones WHERE position = 1) WHERE position = 0",
        "UPDATE customers SET name = number",
        "UPDATE customers SET ref = 'another' WHERE number_index = :anna",
        "UPDATE customers SET name = x'00'",
        "UPDATE customers SET pin = x'00'",
        "UPDATE customers SET key_id = 'ffffffff'",
    ],
)
async def test_a_changed_row_is_refused(house: House, statement: str) -> None:
    index = house.vault.index.customer_number
    await house.change(statement, anna=index(Secret("10001")), bo=index(Secret("10002")))
    with pytest.raises(VaultError) as caught:
        await house.customers.by_number(Secret("10001"))
    assert "Anna" not in str(caught.value)


async def test_one_customers_broken_row_is_not_anothers(house: House) -> None:
    anna = house.vault.index.customer_number(Secret("10001"))
    await house.change("UPDATE customers SET name = x'00' WHERE number_index = :anna", anna=anna)
    assert (await house.customers.by_number(Secret("10002"))).known
    assert not (await house.customers.by_number(Secret("99999"))).known


async def test_a_database_that_fails_is_told_without_values(house: House) -> None:
    await house.change("ALTER TABLE customers RENAME COLUMN wrapped TO gone")
    for looking in (house.customers.by_number(Secret("10001")), house.customers.by_phone(Personal("+46701234567"))):
        with pytest.raises(StoreError, match=r"^database: (SQLITE_ERROR|42703)$"):
            await looking


async def test_other_keys_than_the_databases_are_refused(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = settings_in(folder)
    vault = Vault(keys_of(other), other)
    with pytest.raises(
        ConfigError, match=f"was made with key {house.vault.keys.master.id}, this is {vault.keys.master.id}"
    ):
        await Customers.open(house.database, vault)
    vault.close()


async def test_a_key_of_the_same_id_but_other_bytes_is_refused(house: House) -> None:
    await house.change("UPDATE keys SET checks = 'x' WHERE kind = 'hash'")
    with pytest.raises(ConfigError) as caught:
        await Customers.open(house.database, house.vault)
    assert caught.value.place == "[keys] hash_file"


async def test_keys_are_noted_once_and_replaced_only_where_nothing_was_encrypted(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    vault = Vault(keys_of(settings), settings)
    folder = tmp_path / "other"
    folder.mkdir()
    other = keys_of(settings_in(folder))
    async with await database_of(settings) as database:
        with pytest.raises(ConfigError, match="knows no such key"):
            await Customers.open(database, vault)
        async with database.write() as connection:
            assert await keycheck.record(connection, other)
            assert not await keycheck.record(connection, other)
            assert await keycheck.record(connection, vault.keys)
            await Register(vault).add(connection, [Register(vault).seal(BO)])
            with pytest.raises(ConfigError, match="was made with key"):
                await keycheck.record(connection, other)
    vault.close()
    assert [row[0] for row in rows(settings, "SELECT id FROM keys ORDER BY kind")] == [
        vault.keys.hash.id,
        vault.keys.master.id,
    ]
