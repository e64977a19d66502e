"""What a customer number that nobody has takes, compared with one that somebody has: by statistics, on the real parts.

Pairs are measured one behind the other, in an order drawn by lot. Where the two do the same, which of a pair took
longer is chance, whatever else the machine does meanwhile: Wilcoxon's signed ranks (Biometrics Bulletin 1, 1945) say how
likely what was seen is then. A test fails only where it is less likely than one in ten thousand, and the difference is
one that matters. The controls make a difference on purpose, and find it.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ivr.call.ports import Attempt, Subject
from ivr.secret import Personal, Secret
from ivr.store.customers import Customers
from ivr.store.live import RedisLive
from ivr.store.register import NewCustomer, Register
from ivr.store.totps import Totps, enrol
from ivr.vault import PinRecord, Vault, totp
from tests.contract.live_server import LIMITS, Server
from tests.unit.database_kit import database_of, keys_of, settings_in

pytestmark = pytest.mark.servers

ALPHA = 1e-4
"""How often a test may find a difference that is none."""
MATTERS = 0.04
"""Of what the known number takes. An attacker hears it through a telephone, whose packets come every 20 ms."""

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Compared:
    """`p` is two-sided; `shift`: the median difference of the pairs, as a share of the median of the first."""

    p: float
    shift: float

    @property
    def differ(self) -> bool:
        return self.p < ALPHA and abs(self.shift) > MATTERS


def compared(first: Sequence[float], second: Sequence[float]) -> Compared:
    """Wilcoxon's signed-rank test of pairs, by the normal approximation: for many pairs."""
    differences = [b - a for a, b in zip(first, second, strict=True)]
    ranked = sorted((abs(difference), difference > 0) for difference in differences if difference)
    n = len(ranked)
    above = sum(rank for rank, (_, positive) in enumerate(ranked, 1) if positive)
    mean, deviation = n * (n + 1) / 4, math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    z = (above - mean) / deviation if n else 0.0
    return Compared(math.erfc(abs(z) / math.sqrt(2)), statistics.median(differences) / statistics.median(first))


async def measured(first: Work, second: Work, pairs: int) -> tuple[Compared, Compared]:
    """By the clock on the wall, and by the processor time of the whole process."""
    walls: tuple[list[float], list[float]] = ([], [])
    works: tuple[list[float], list[float]] = ([], [])
    lot = random.Random()
    for number in range(pairs + 20):
        order = [0, 1]
        lot.shuffle(order)
        for which in order:
            work, wall = time.process_time(), time.perf_counter()
            await (first, second)[which]()
            wall, work = time.perf_counter() - wall, time.process_time() - work
            # the first ones fill caches
            if number >= 20:
                walls[which].append(wall)
                works[which].append(work)
    return compared(*walls), compared(*works)


# ---------------------------------------------------------------- the statistics themselves


def test_two_alike_are_seldom_told_apart_and_two_that_differ_always() -> None:
    lot = random.Random(1)

    def sample(n: int, more: float = 0.0) -> list[float]:
        return [1.0 + more + lot.lognormvariate(-2.0, 1.0) for _ in range(n)]

    alike = [compared(sample(400), sample(400)).p for _ in range(500)]
    assert sum(p < 0.05 for p in alike) == pytest.approx(25, abs=18)
    assert min(alike) > ALPHA
    assert all(compared(sample(400), sample(400, 0.1)).differ for _ in range(100))


# ---------------------------------------------------------------- the real parts


@dataclass
class House:
    vault: Vault
    customers: Customers
    live: RedisLive
    numbers: list[Secret]
    totps: Totps

    async def look_up(self, number: Secret) -> Subject:
        return await self.customers.by_number(number)

    async def try_(self, number: Secret, n: int) -> bool:
        """From the keyed customer number to the answer to a wrong PIN, as a call has it done."""
        subject = await self.customers.by_number(number)
        attempt = Attempt(subject.key, None, f"node:{n}")
        await self.live.standing(attempt)
        await self.live.attempt(attempt)
        right = await self.vault.pins.matches(Secret("000000"), subject.pin)
        await self.live.standing(attempt)
        return right


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    settings = settings_in(tmp_path)
    vault = Vault(keys_of(settings), settings)
    database = await database_of(settings, vault)
    register = Register(vault)
    pin = await vault.pins.make(Secret("258025"))
    numbers = [Secret(f"{10000 + n}") for n in range(200)]
    new = [
        NewCustomer(number, Personal("Anna Andersson"), (Personal(f"+4670174{n:04}"),), pin)
        for n, number in enumerate(numbers)
    ]
    async with database.write() as connection:
        assert await register.add(connection, [register.seal(one) for one in new])
    with Server() as server:
        live = await RedisLive.open(server.settings(LIMITS.replace("in_a_row = 3", "in_a_row = 10").replace("most = 10", "most = 100").replace("all = 1000", "all = 100000")))  # fmt: skip
        yield House(vault, await Customers.open(database, vault), live, numbers, Totps(database, vault))
        await live.close()
    await database.close()
    vault.close()


def nobodys() -> Secret:
    return Secret(str(random.randrange(50000, 99999)))


async def test_looking_a_number_up(house: House) -> None:
    wall, work = await measured(
        lambda: house.look_up(random.choice(house.numbers)), lambda: house.look_up(nobodys()), 1500
    )
    assert not wall.differ, wall
    assert not work.differ, work


async def test_a_look_up_that_does_less_for_nobody_is_found(house: House) -> None:
    """The control: nothing is decrypted for a number that nobody has."""

    async def hasty() -> None:
        key = house.vault.index.customer_number(nobodys())
        await house.customers.database.look_up(
            lambda connection: connection.exec_driver_sql(
                "SELECT * FROM customers WHERE number_index = ?", (key,)
            ).one_or_none()
        )

    _, work = await measured(lambda: house.look_up(random.choice(house.numbers)), hasty, 1500)
    assert work.differ, work


async def test_a_try_from_the_number_to_the_answer(house: House) -> None:
    calls = iter(range(10**6))
    wall, work = await measured(
        lambda: house.try_(random.choice(house.numbers), next(calls)), lambda: house.try_(nobodys(), next(calls)), 60
    )
    assert not wall.differ, wall
    assert not work.differ, work


@pytest.fixture
async def apps(house: House) -> list[Subject]:
    """Half of the customers have an app."""
    subjects = [await house.look_up(number) for number in house.numbers]
    async with house.customers.database.write() as connection:
        for subject in subjects[::2]:
            await enrol(connection, house.vault, subject.ref, totp.new(), 0, time.time())
    return subjects


async def test_a_code_of_an_app_for_who_has_one_and_who_has_none(house: House, apps: list[Subject]) -> None:
    wrong, nobody = Secret("abcdef"), Subject(key="main:", known=False)
    with_one, without = apps[::2], apps[1::2]
    for others in (without, [nobody]):
        wall, work = await measured(
            lambda: house.totps.accepts(random.choice(with_one), wrong),
            lambda others=others: house.totps.accepts(random.choice(others), wrong),  # type: ignore[misc]  # bound now
            600,
        )
        assert not wall.differ, wall
        assert not work.differ, work


async def test_a_code_that_is_compared_with_nothing_for_who_has_no_app_is_found(
    house: House, apps: list[Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: no decoy's key is opened."""
    wrong = Secret("abcdef")

    async def hasty() -> None:
        ref = random.choice(apps[1::2]).ref
        await house.customers.database.look_up(
            lambda connection: connection.exec_driver_sql(
                "SELECT * FROM customer_totps WHERE customer = ?", (ref,)
            ).first()
        )

    _, work = await measured(lambda: house.totps.accepts(random.choice(apps[::2]), wrong), hasty, 600)
    assert work.differ, work


async def test_a_try_that_compares_nothing_for_nobody_is_found(house: House) -> None:
    """The control: scrypt is left out where there is no PIN."""
    matches = house.vault.pins.matches

    async def hasty(pin: Secret, record: PinRecord | None) -> bool:
        return record is not None and await matches(pin, record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.vault.pins, "matches", hasty)
        calls = iter(range(10**6))
        wall, work = await measured(
            lambda: house.try_(random.choice(house.numbers), next(calls)),
            lambda: house.try_(nobodys(), next(calls)),
            30,
        )
    assert wall.differ and work.differ, (wall, work)
