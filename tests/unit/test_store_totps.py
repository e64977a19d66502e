"""Customers' authenticator apps, on both databases: what is accepted, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pyotp
import pytest
from sqlalchemy import update

from ivr.call.ports import Subject
from ivr.database import Database
from ivr.errors import VaultError
from ivr.secret import Personal, Secret
from ivr.store import totps
from ivr.store.customers import Customers
from ivr.store.register import NewCustomer, Register
from ivr.store.tables import TOTPS
from ivr.store.totps import Totps
from ivr.vault import Vault
from tests.unit.conftest import Either
from tests.unit.database_kit import asked, database_of, keys_of

NOW = 1_700_000_010.0
NUMBERS = "10001", "10002"
KEY = Secret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")


def shown(at: float, key: Secret = KEY) -> Secret:
    """What an app shows then."""
    return Secret(pyotp.TOTP(key.reveal()).at(int(at)))


@dataclass
class House:
    database: Database
    vault: Vault
    totps: Totps
    subjects: dict[str, Subject]
    now: list[float] = field(default_factory=lambda: [NOW])

    async def enrol(self, number: str = NUMBERS[0], *, key: Secret = KEY, step: int = 0) -> None:
        async with self.database.write() as connection:
            await totps.enrol(connection, self.vault, self.subjects[number].ref, key, step, NOW)

    async def accepts(self, at: float, number: str = NUMBERS[0], *, key: Secret = KEY) -> bool:
        return await self.totps.accepts(self.subjects[number], shown(at, key))


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
    subjects = {number: await customers.by_number(Secret(number)) for number in (*NUMBERS, "99999")}
    now = [NOW]
    yield House(database, vault, Totps(database, vault, clock=lambda: now[0]), subjects, now)
    await database.close()
    vault.close()


async def test_what_the_app_shows_is_accepted_once(house: House) -> None:
    await house.enrol()
    assert await house.accepts(NOW)
    assert not await house.accepts(NOW)


@pytest.mark.parametrize(("off", "right"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
async def test_a_clock_may_be_wrong_by_one_step(house: House, off: int, right: bool) -> None:
    await house.enrol()
    assert await house.accepts(NOW + off) is right


async def test_a_code_of_before_one_that_was_accepted_is_used_too(house: House) -> None:
    await house.enrol()
    assert await house.accepts(NOW)
    assert not await house.accepts(NOW - 30)
    assert await house.accepts(NOW + 30)


async def test_the_code_that_enrolled_the_app_is_used_by_that(house: House) -> None:
    await house.enrol(step=int(NOW) // 30)
    assert not await house.accepts(NOW)
    assert await house.accepts(NOW + 30)


async def test_of_many_at_once_that_key_the_same_code_one_is_accepted(house: House) -> None:
    await house.enrol()
    answers = await asyncio.gather(*(house.accepts(NOW) for _ in range(24)))
    assert sorted(answers) == [False] * 23 + [True]


async def test_of_two_workers_one_is_told_yes(house: House) -> None:
    """Each with an instance, and connections, of its own."""
    await house.enrol()
    other = Totps(house.database, house.vault, clock=lambda: NOW)
    for at in (NOW - 30, NOW, NOW + 30):
        both = await asyncio.gather(house.accepts(at), other.accepts(house.subjects[NUMBERS[0]], shown(at)))
        assert sorted(both) == [False, True]


async def test_nobody_elses_code_and_no_form_but_six_digits(house: House) -> None:
    await house.enrol()
    await house.enrol(NUMBERS[1], key=Secret("KRSXG5DSNFXGOIDJKRSXG5DSNFXGOIDJ"))
    assert not await house.accepts(NOW, NUMBERS[1])
    for code in ("", "12345", "1234567", "abcdef", f"{shown(NOW).reveal()}0"):
        assert not await house.totps.accepts(house.subjects[NUMBERS[0]], Secret(code))


async def test_who_has_no_app_and_who_is_not_known_are_refused(house: House) -> None:
    for number in (NUMBERS[0], "99999"):
        assert not await house.accepts(NOW, number)
    assert await asked(house.database, "SELECT * FROM customer_totps") == []


async def test_an_app_that_was_taken_away_in_the_middle_of_a_call_is_none(house: House) -> None:
    await house.enrol()
    async with house.database.write() as connection:
        assert await totps.remove(connection, house.subjects[NUMBERS[0]].ref)
        assert not await totps.remove(connection, house.subjects[NUMBERS[0]].ref)
    assert not await house.accepts(NOW)


async def test_another_app_takes_the_place_of_the_one_before(house: House) -> None:
    await house.enrol()
    other = Secret("KRSXG5DSNFXGOIDJKRSXG5DSNFXGOIDJ")
    await house.enrol(key=other)
    assert not await house.accepts(NOW)
    assert await house.accepts(NOW, key=other)


async def test_the_key_is_sealed_and_bound_to_its_customer(house: House) -> None:
    await house.enrol()
    await house.enrol(NUMBERS[1])
    [(first,), (second,)] = await asked(house.database, "SELECT sealed FROM customer_totps ORDER BY customer")
    assert KEY.reveal().encode() not in first + second
    assert first != second
    async with house.database.write() as connection:
        await connection.execute(update(TOTPS).values(sealed=first))
    mine, other = sorted(NUMBERS, key=lambda number: house.subjects[number].ref)
    assert await house.accepts(NOW, mine)
    with pytest.raises(VaultError, match="the encrypted totp was changed"):
        await house.accepts(NOW, other)


async def test_it_goes_with_the_customer(house: House) -> None:
    await house.enrol()
    register = Register(house.vault)
    async with house.database.write() as connection:
        customer = await register.by_ref(connection, house.subjects[NUMBERS[0]].ref)
        assert customer is not None
        await register.remove(connection, customer)
    assert await asked(house.database, "SELECT * FROM customer_totps") == []
    assert not await house.accepts(NOW)
