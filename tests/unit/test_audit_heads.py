"""Heads and ends: a worker signs how far it has come, and goes on only from where a chain was left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import text

from ivr.audit import verify
from ivr.audit.accept import accept, sign_all
from ivr.audit.chain import COLUMNS, START, hash_of, lock_of
from ivr.audit.verify import heads_in
from ivr.call.ports import Entry
from ivr.config import Settings
from ivr.database import Database, migrate
from ivr.errors import ConfigError, InputError, StoreError
from tests.unit.conftest import Either
from tests.unit.database_kit import SEAL, database_of, empty_database, tamper, trail_of

ENTRY = Entry("caller", "verify", "verified", call="17")
LAST = "DELETE FROM audit WHERE chain = 'w' AND seq > 2"
FORGED = (
    "INSERT INTO audit (chain, seq, at, actor, action, outcome, call, subject, detail, previous, hash) "
    "SELECT chain, 4, at, actor, action, outcome, call, subject, detail, previous, hash FROM audit "
    "WHERE chain = 'w' AND seq = 3"
)


@pytest.fixture
def settings(either: Either) -> Settings:
    return either()


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with await database_of(settings) as database:
        yield database


async def ends(database: Database) -> dict[str, int]:
    return {head.chain: head.seq for head in await heads_in(database)}


async def count(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM audit"))).scalar_one())


async def write(database: Database, chain: str = "w", rows: int = 3) -> None:
    async with trail_of(database, chain) as trail:
        for _ in range(rows):
            await trail.append(ENTRY)


async def test_a_worker_signs_when_it_starts_while_it_runs_and_when_it_stops(database: Database) -> None:
    async with trail_of(database, "w", head_seconds=0.01) as trail:
        assert await ends(database) == {"w": 0}
        await trail.append(ENTRY)
        async with asyncio.timeout(10):
            while await ends(database) != {"w": 1}:
                await asyncio.sleep(0)
            [before] = await heads_in(database)
            while (await heads_in(database))[0].at == before.at:
                await asyncio.sleep(0)
    async with trail_of(database, "w", head_seconds=3600) as trail:
        await trail.append(ENTRY)
        assert await ends(database) == {"w": 1}
    assert await ends(database) == {"w": 2}
    assert (await verify(database, SEAL.verifier)).faults == ()


@pytest.mark.parametrize("harm", [LAST, FORGED, "UPDATE audit SET hash = 'x' WHERE seq = 3"])
async def test_a_worker_does_not_start_on_a_chain_that_was_changed_at_its_end(database: Database, harm: str) -> None:
    await write(database)
    await tamper(database, harm)
    with pytest.raises(ConfigError) as caught:
        await write(database)
    assert caught.value.place == "audit trail"
    assert "audit accept w" in caught.value.cure
    # another chain goes on
    await write(database, "v")


async def test_a_chain_that_was_cut_with_its_head_is_known_from_the_other_heads(database: Database) -> None:
    await write(database)
    await write(database, "v")
    await tamper(database, "DELETE FROM audit WHERE chain = 'w'", "DELETE FROM audit_heads WHERE chain = 'w'")
    with pytest.raises(ConfigError, match="row 3 is not there as it was left"):
        await write(database)


async def test_a_chain_that_is_gone_with_its_head_is_missed_by_the_heads_of_before_it(database: Database) -> None:
    """Those of writers that sign no more, such as the commands: a worker lets them see how far it is."""
    await write(database, "old")
    before = {head.chain: head for head in await heads_in(database)}["old"]
    async with trail_of(database, "w", head_seconds=0) as trail:
        await trail.append(ENTRY)
    # and how far it has come when it stops; the old head's own time and end are as they were
    after = {head.chain: head for head in await heads_in(database)}["old"]
    assert (after.seq, after.hash, after.at) == (before.seq, before.hash, before.at) and after.others["w"][0] == 1
    assert (await verify(database, SEAL.verifier)).faults == ()
    await tamper(database, "DELETE FROM audit WHERE chain = 'w'", "DELETE FROM audit_heads WHERE chain = 'w'")
    [fault] = (await verify(database, SEAL.verifier)).faults
    assert (fault.chain, fault.seq) == ("w", 1) and "the whole chain is gone; the head of chain old" in fault.problem
    with pytest.raises(ConfigError, match="was cut"):
        async with trail_of(database, "w"):
            pass


@pytest.mark.parametrize("harm", [LAST, "DELETE FROM audit", FORGED])
async def test_a_running_worker_writes_nothing_behind_a_chain_that_was_changed(database: Database, harm: str) -> None:
    """It would hide it. Whoever was to be marked is not."""
    trail = trail_of(database, "w")
    for _ in range(3):
        await trail.append(ENTRY)
    await tamper(database, harm)
    before = await count(database)
    with pytest.raises(StoreError, match="chain w"):
        await trail.append(ENTRY)
    await trail.close()
    assert await count(database) == before


async def test_a_head_that_somebody_else_signed_is_not_gone_on_from(database: Database) -> None:
    await write(database)
    await tamper(database, "UPDATE audit_heads SET seq = 2")
    with pytest.raises(ConfigError, match="was not signed by this installation's audit key"):
        await write(database)


@pytest.mark.parametrize("harm", [LAST, FORGED, "DELETE FROM audit"])
async def test_a_chain_that_is_accepted_goes_on_and_tells_of_it(database: Database, harm: str) -> None:
    await write(database)
    await write(database, "v")
    await tamper(database, harm)

    async def accepted(chain: str) -> None:
        async with database.write(lock=lock_of("cli")) as connection:
            await accept(connection, chain, "cli:anna", SEAL, told_in="cli")

    await accepted("w")
    if harm == "DELETE FROM audit":
        await accepted("v")
    await write(database)
    async with database.read() as connection:
        query = "SELECT chain, actor, detail FROM audit WHERE action = 'audit.accept' ORDER BY chain, seq"
        told = (await connection.execute(text(query))).all()
    assert ("w", "cli:anna") in {(row.chain, row.actor) for row in told}
    assert "cli" in {row.chain for row in told}
    faults = (await verify(database, SEAL.verifier)).faults
    # what was put in stays bad; what was cut off is told of by the row
    assert len(faults) == (1 if harm == FORGED else 0)
    for chain, problem in (("w", "ends as it was left"), ("nobody", "there is no chain nobody")):
        with pytest.raises(InputError, match=problem):
            await accepted(chain)


async def test_a_second_row_of_the_same_is_written_once(database: Database) -> None:
    one, other = replace(ENTRY, once="nonce-1"), replace(ENTRY, once="nonce-2")
    async with trail_of(database, "w") as trail:
        await asyncio.gather(*(trail.append(one) for _ in range(5)), trail.append(ENTRY))
        await trail.append(one)
        assert await count(database) == 2
        async with trail_of(database, "v") as another:
            # by another worker, alone and among others
            await another.append(one)
            await asyncio.gather(another.append(one), another.append(ENTRY), another.append(other))
        await trail.append(other)
    assert await count(database) == 4
    async with trail_of(database, "w") as again:
        await again.append(one)
    assert await count(database) == 4
    report = await verify(database, SEAL.verifier)
    assert (report.faults, report.rows) == ((), {"v": 2, "w": 2})


async def test_two_workers_that_tell_of_the_same_at_once_write_it_once(settings: Settings, database: Database) -> None:
    async with await Database.open(settings) as second, trail_of(database, "w") as one, trail_of(second, "v") as two:
        await asyncio.gather(
            *(trail.append(replace(ENTRY, once=str(number))) for number in range(40) for trail in (one, two))
        )
    assert await count(database) == 40
    assert (await verify(database, SEAL.verifier)).faults == ()


async def test_many_workers_write_at_once(settings: Settings, database: Database) -> None:
    async def worker(name: str) -> None:
        async with await Database.open(settings) as own, trail_of(own, name, head_seconds=0.02) as trail:
            for _ in range(5):
                await asyncio.gather(*(trail.append(ENTRY) for _ in range(10)))

    await asyncio.gather(*(worker(f"w{number}") for number in range(6)))
    report = await verify(database, SEAL.verifier)
    assert (report.faults, report.rows) == ((), {f"w{number}": 50 for number in range(6)})


async def test_rows_of_before_stay_good_and_are_signed_over(settings: Settings) -> None:
    """A database as the former version left it."""
    await empty_database(settings)
    async with await Database.open_any(settings) as old, old.write() as connection:
        await migrate.migrate(connection, "0001")
        previous = START
        for seq in range(1, 4):
            values = (
                "w",
                seq,
                "2026-01-01T00:00:00.000000Z",
                "caller",
                "verify",
                "verified",
                "1",
                "anna",
                "{}",
                previous,
            )
            row = dict(zip(COLUMNS, values, strict=True))
            row["hash"] = previous = hash_of(row)
            columns, places = ", ".join(row), ", ".join(f":{name}" for name in row)
            await connection.execute(text(f"INSERT INTO audit ({columns}) VALUES ({places})"), row)
    async with await Database.open_any(settings) as database, database.write(lock=lock_of("cli")) as connection:
        await migrate.migrate(connection)
        await sign_all(connection, "cli:anna", SEAL)
    async with await Database.open(settings) as database:
        await write(database)
        report = await verify(database, SEAL.verifier)
        assert (report.faults, report.rows) == ((), {"w": 7})
        await tamper(database, "UPDATE audit SET outcome = 'refused' WHERE seq = 2")
        assert [fault.seq for fault in (await verify(database, SEAL.verifier)).faults] == [2]
