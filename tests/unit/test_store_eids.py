"""What customers are called at providers, and what those have said, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from sqlalchemy import update

from ivr.call.ports import Subject
from ivr.database import Database
from ivr.errors import StoreError, VaultError
from ivr.secret import Personal, Secret
from ivr.store import eids
from ivr.store.customers import Customers
from ivr.store.eids import Identities
from ivr.store.register import NewCustomer, Register
from ivr.store.tables import EVIDENCE, IDENTITIES
from ivr.vault import Vault
from tests.unit.conftest import Either
from tests.unit.database_kit import asked, database_of, keys_of

NOW = 1_700_000_010.0
NUMBERS = ANNA, BO = "10001", "10002"
UNKNOWN = "99999"
WHO, SAID = Secret("198001012392"), Secret('{"signature": "canary"}')


@dataclass
class House:
    database: Database
    vault: Vault
    identities: Identities
    subjects: dict[str, Subject]

    async def name(self, number: str = ANNA, kind: str = "SE", who: Secret = WHO) -> None:
        async with self.database.write() as connection:
            await eids.enter(connection, self.vault, self.subjects[number].ref, kind, who, NOW)

    async def of(self, number: str = ANNA, kind: str = "SE") -> Secret | None:
        return await self.identities.of(self.subjects[number], kind)

    async def gone(self, number: str = ANNA) -> None:
        register = Register(self.vault)
        async with self.database.write() as connection:
            customer = await register.by_ref(connection, self.subjects[number].ref)
            assert customer is not None
            await register.remove(connection, customer)


@pytest.fixture
async def house(either: Either) -> AsyncIterator[House]:
    settings = either()
    vault = Vault(keys_of(settings), settings)
    database = await database_of(settings, vault)
    register = Register(vault)
    new = [register.seal(NewCustomer(Secret(number), Personal("Anna"), ())) for number in NUMBERS]
    async with database.write() as connection:
        assert await register.add(connection, new)
    customers = await Customers.open(database, vault)
    subjects = {number: await customers.by_number(Secret(number)) for number in (*NUMBERS, UNKNOWN)}
    yield House(database, vault, Identities(database, vault, clock=lambda: NOW), subjects)
    await database.close()
    vault.close()


async def test_a_customer_is_called_so_there_and_nowhere_else(house: House) -> None:
    await house.name()
    assert await house.of() == WHO
    assert await house.of(kind="NO") is None
    assert await house.of(BO) is None
    assert await house.of(UNKNOWN) is None


async def test_another_name_takes_the_place_of_the_one_before(house: House) -> None:
    await house.name()
    await house.name(who=Secret("199001012385"))
    await house.name(kind="example", who=Secret("subject-7"))
    assert await house.of() == Secret("199001012385")
    assert await house.of(kind="example") == Secret("subject-7")


async def test_what_was_taken_away_in_the_middle_of_a_call_is_nobodys_name(house: House) -> None:
    await house.name()
    async with house.database.write() as connection:
        assert await eids.remove(connection, house.subjects[ANNA].ref, "SE")
        assert not await eids.remove(connection, house.subjects[ANNA].ref, "SE")
    assert await house.of() is None


async def test_two_customers_may_be_one_person(house: House) -> None:
    await house.name()
    await house.name(BO)
    assert await house.of() == await house.of(BO) == WHO


async def test_a_name_is_sealed_and_bound_to_its_customer_and_kind(house: House) -> None:
    await house.name()
    await house.name(BO, who=Secret("199001012385"))
    found = dict(await asked(house.database, "SELECT customer, sealed FROM customer_identities"))
    assert not [sealed for sealed in found.values() if WHO.reveal().encode() in sealed]
    async with house.database.write() as connection:
        # somebody who writes in the database has Bo identify as Anna
        await connection.execute(
            update(IDENTITIES)
            .where(IDENTITIES.c.customer == house.subjects[ANNA].ref)
            .values(sealed=found[house.subjects[BO].ref])
        )
    with pytest.raises(VaultError, match="the encrypted identity.SE was changed"):
        await house.of()
    async with house.database.write() as connection:
        await connection.execute(
            update(IDENTITIES).where(IDENTITIES.c.customer == house.subjects[BO].ref).values(kind="NO")
        )
    with pytest.raises(VaultError, match="the encrypted identity.NO was changed"):
        await house.of(BO, "NO")


async def test_evidence_is_kept_sealed_and_told_again(house: House) -> None:
    await house.name()
    first = await house.identities.keep(house.subjects[ANNA], "bankid", SAID)
    second = await house.identities.keep(house.subjects[ANNA], "freja", Secret("other"))
    [*sealed] = await asked(house.database, "SELECT sealed FROM customer_evidence")
    assert not [one for (one,) in sealed if b"canary" in one]
    async with house.database.read() as connection:
        found = await eids.evidence(connection, house.vault, house.subjects[ANNA].ref)
        assert await eids.evidence(connection, house.vault, house.subjects[BO].ref) == ()
    assert {one.id: (one.provider, one.at, one.said.reveal()) for one in found} == {
        first: ("bankid", int(NOW), SAID.reveal()),
        second: ("freja", int(NOW), "other"),
    }


async def test_evidence_of_another_identification_is_none(house: House) -> None:
    for _ in range(2):
        await house.identities.keep(house.subjects[ANNA], "bankid", SAID)
    [(first,), _] = await asked(house.database, "SELECT sealed FROM customer_evidence ORDER BY id")
    async with house.database.write() as connection:
        await connection.execute(update(EVIDENCE).values(sealed=first))
    async with house.database.read() as connection:
        with pytest.raises(VaultError, match="the encrypted evidence"):
            await eids.evidence(connection, house.vault, house.subjects[ANNA].ref)


async def test_nothing_is_kept_of_who_is_gone(house: House) -> None:
    await house.name()
    await house.identities.keep(house.subjects[ANNA], "bankid", SAID)
    await house.gone()
    assert await asked(house.database, "SELECT * FROM customer_identities") == []
    assert await asked(house.database, "SELECT * FROM customer_evidence") == []
    assert await house.of() is None
    with pytest.raises(StoreError, match="the customer is gone"):
        await house.identities.keep(house.subjects[ANNA], "bankid", SAID)


async def test_what_was_kept_long_enough_is_deleted(house: House) -> None:
    kept = await house.identities.keep(house.subjects[ANNA], "bankid", SAID)
    assert await eids.forget(house.database, int(NOW)) == 0
    later = Identities(house.database, house.vault, clock=lambda: NOW - 1)
    await later.keep(house.subjects[ANNA], "bankid", SAID)
    assert await eids.forget(house.database, int(NOW)) == 1
    assert await asked(house.database, "SELECT id FROM customer_evidence") == [(kept,)]
