"""The audit trail on a PostgreSQL that crashes, and workers that do not wait for each other."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.ports import HOST
from rig.postgresql import USER, PostgreSQL
from sqlalchemy import text

from ivr.audit import verify
from ivr.audit.chain import lock_of
from ivr.call.ports import Entry
from ivr.config import Settings
from ivr.database import Database
from ivr.errors import StoreError, Unreachable
from tests.unit.database_kit import SEAL, asked, database_of, settings_in, trail_of

pytestmark = pytest.mark.servers
ENTRY = Entry("caller", "verify", "verified", call="17")


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, server: PostgreSQL) -> Settings:
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(server.password)
    url = f"postgresql://{HOST}:{server.port}/calls"
    return settings_in(
        tmp_path,
        f'[database]\nurl = "{url}"\nusername = "{USER}"\npassword_file = "password"\nrequest_seconds = 2\n',
    )


async def opened_again(settings: Settings) -> Database:
    async with asyncio.timeout(30):
        while True:
            try:
                return await Database.open(settings)
            except Unreachable:
                await asyncio.sleep(0.05)


async def test_what_was_told_as_written_outlives_a_crash(settings: Settings, server: PostgreSQL) -> None:
    """Killed while many write: each append that returned is there, and the chain goes on."""
    told: set[str] = set()

    async with await database_of(settings) as database:
        trail = trail_of(database, "w")

        async def write(worker: int) -> None:
            for number in range(10_000):
                call = f"{worker}.{number}"
                await trail.append(Entry("caller", "verify", "verified", call=call, once=call))
                told.add(call)

        writing = [asyncio.create_task(write(worker)) for worker in range(20)]
        async with asyncio.timeout(30):
            while len(told) < 500:
                await asyncio.sleep(0)
        server.kill()
        ended = await asyncio.gather(*writing, return_exceptions=True)
        assert {type(error) for error in ended} == {StoreError}
        await trail.close()
    server.start()
    async with await opened_again(settings) as database:
        found = {row[0] for row in await asked(database, "SELECT call FROM audit")}
        assert told <= found
        async with trail_of(database, "w") as trail:
            # what was not told as written may be told again
            for call in [f"{worker}.{number}" for worker in range(20) for number in range(3)]:
                await trail.append(Entry("caller", "verify", "verified", call=call, once=call))
            await trail.append(ENTRY)
        report = await verify(database, SEAL.verifier)
        assert (report.faults, report.rows) == ((), {"w": len(found) + 1})


async def test_a_worker_waits_for_no_other_and_its_rows_are_flushed(settings: Settings) -> None:
    async with await database_of(settings) as database, await Database.open(settings) as other:
        async with database.read() as connection:
            await connection.execute(text("ALTER DATABASE calls SET synchronous_commit = off"))
            await connection.commit()
        async with await Database.open(settings) as third:
            assert await asked(third, "SHOW synchronous_commit") == [("on",)]
        async with other.write() as holding:
            key = {"key": zlib.crc32(lock_of("v").encode())}
            await holding.execute(text("SELECT pg_advisory_xact_lock(:key)"), key)
            await trail_of(database, "w").append(ENTRY)
            with pytest.raises(StoreError, match="TimeoutError"):
                await trail_of(database, "v").append(ENTRY)
        await trail_of(database, "v").append(ENTRY)
        assert (await verify(database, SEAL.verifier)).rows == {"v": 1, "w": 1}
