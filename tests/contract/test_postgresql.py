"""The audit trail on a PostgreSQL that crashes, and workers that do not wait for each other."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from math import inf
from pathlib import Path

import pytest
from rig.ports import HOST
from rig.postgresql import USER, PostgreSQL
from sqlalchemy import text

from ivr.audit import verify
from ivr.audit.chain import lock_of
from ivr.call.ports import Entry
from ivr.config import Settings, load
from ivr.database import Database, Left
from ivr.errors import ConfigError, StoreError, Unreachable
from ivr.secret import Personal, Secret
from ivr.store.register import NewCustomer, Register
from ivr.vault import Vault
from tests.unit.database_kit import SEAL, as_administrator, asked, database_of, keys_of, settings_in, trail_of

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


CUSTOMERS = 300
"""So many that a few deleted rows are not enough for VACUUM to look at the indexes by itself."""


class Registered:
    """Customers, to be erased one by one."""

    def __init__(self, settings: Settings, database: Database, vault: Vault) -> None:
        self.settings = settings
        self.database = database
        self._register = Register(vault)
        self._sealed = [
            self._register.seal(NewCustomer(Secret(str(n)), Personal(f"Person {n}"), (Personal(f"+46701{n}"),)))
            for n in range(10_000, 10_000 + CUSTOMERS)
        ]

    async def add(self, server: PostgreSQL) -> None:
        mark = server.folder / "before-the-first"
        mark.touch()
        self._since = mark.stat().st_mtime_ns
        async with self.database.write() as connection:
            assert await self._register.add(connection, self._sealed)

    async def remove(self, *which: int) -> None:
        async with self.database.write() as connection:
            for n in which:
                customer = await self._register.find(connection, Secret(str(10_000 + n)))
                assert customer is not None
                await self._register.remove(connection, customer)

    async def erase(self, *which: int) -> Left | None:
        await self.remove(*which)
        return await self.database.scrub("customers", "phones")

    async def left(self, server: PostgreSQL, *which: int) -> set[str]:
        """What the files still have of any of these, but for the write-ahead log."""
        # what was dropped goes with the next one but one
        for _ in range(2):
            await as_administrator(self.settings, "CHECKPOINT")
        files = [
            file.read_bytes()
            for file in (server.folder / "data").glob("base/*/*")
            # the server's own lie there in hundreds, and have nothing of ours
            if file.is_file() and file.stat().st_mtime_ns >= self._since
        ]
        return {name for n in which for name, value in self._values(n).items() if any(value in file for file in files)}

    def _values(self, n: int) -> dict[str, bytes]:
        customer, (phone,) = self._sealed[n].customer, self._sealed[n].phones
        return {
            "data key": customer["wrapped"], "name": customer["name"], "number's index": customer["number_index"].encode(),
            "phone's index": phone["phone_index"].encode(), "reference": customer["ref"].encode(),
        }  # fmt: skip


@pytest.fixture
async def registered(settings: Settings, server: PostgreSQL) -> AsyncIterator[Registered]:
    keys_of(settings)
    vault = Vault.open(settings)
    async with await database_of(settings, vault) as database:
        made = Registered(settings, database, vault)
        await made.add(server)
        yield made
    vault.close()


async def test_what_is_erased_is_in_no_file_of_the_tables(registered: Registered, server: PostgreSQL) -> None:
    assert len(await registered.left(server, 17)) == 5
    assert await registered.erase(17) is None
    assert await registered.left(server, 17) == set()
    assert len(await registered.left(server, 18)) == 5


async def test_what_many_leave_in_the_room_that_they_had_goes_too(registered: Registered, server: PostgreSQL) -> None:
    """Where all of a page are erased, nothing is written over them; and an index keeps some as the bounds of its pages."""
    many = range(20, 220)
    assert await registered.erase(*many) is None
    assert await registered.left(server, *many) == set()
    assert len(await registered.left(server, 17)) == 5


async def test_large_tables_are_written_anew_when_somebody_says_so(registered: Registered, server: PostgreSQL) -> None:
    await registered.remove(*range(20, 220))
    assert await registered.database.scrub("customers", "phones", small=8192) is Left.LARGE
    assert await registered.left(server, 100)
    assert await registered.database.scrub("customers", "phones", small=inf) is None
    assert await registered.left(server, 100) == set()


async def test_who_writes_while_they_are_to_be_written_anew_is_told_as_a_lock(
    registered: Registered, server: PostgreSQL
) -> None:
    await registered.remove(17)
    async with registered.database.write() as other:
        await other.execute(text("UPDATE customers SET locked = locked WHERE false"))
        assert await registered.database.scrub("customers", "phones") is Left.LOCKED
    assert await registered.database.scrub("customers", "phones") is None
    assert await registered.left(server, 17) == set()


async def test_the_planner_keeps_no_sample_of_what_is_erased(registered: Registered, server: PostgreSQL) -> None:
    """It takes one of every table now and then, by itself."""
    async with registered.database.write() as connection:
        # so many that every customer is in it
        await connection.execute(text("SET LOCAL default_statistics_target = 1000"))
        await connection.execute(text("ANALYZE customers, phones"))
    assert await registered.erase(17) is None
    assert await registered.left(server, 17) == set()


async def test_somebody_who_reads_keeps_rows_and_that_is_told(registered: Registered, server: PostgreSQL) -> None:
    async with registered.database.snapshot() as reader:
        await reader.execute(text("SELECT count(*) FROM customers"))
        assert await registered.erase(17) is Left.READ
        assert "data key" in await registered.left(server, 17)
    assert await registered.database.scrub("customers", "phones") is None
    assert await registered.left(server, 17) == set()


async def test_a_lock_on_a_table_is_told_and_no_error(registered: Registered, server: PostgreSQL) -> None:
    async with registered.database.write() as other:
        await other.execute(text("LOCK TABLE phones IN SHARE UPDATE EXCLUSIVE MODE"))
        assert await registered.erase(17) is Left.LOCKED
    assert await registered.database.scrub("customers", "phones") is None
    assert await registered.left(server, 17) == set()


async def test_a_user_who_does_not_own_the_tables_is_told(registered: Registered, server: PostgreSQL) -> None:
    """PostgreSQL itself only warns, and ends well."""
    own = await registered.database.scrub("customers", "phones")
    async with registered.database.write() as connection:
        await connection.execute(text(f"CREATE ROLE app LOGIN PASSWORD '{server.password}'"))
        await connection.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA public TO app"))
    file = registered.settings.file
    file.write_text(file.read_text().replace(f'username = "{USER}"', 'username = "app"'))
    async with await Database.open(load(file)) as database:
        assert await database.scrub("customers", "phones") is Left.NOT_OURS
    assert own is None


async def test_the_environment_does_not_say_where_it_is(
    settings: Settings, server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address without a host is this machine, whatever PGHOST says; one without a port is the usual one."""
    connected = asyncio.Event()
    async with await asyncio.start_server(lambda *_: connected.set(), "127.0.0.2", 0) as elsewhere:
        monkeypatch.setenv("PGHOST", "127.0.0.2")
        monkeypatch.setenv("PGPORT", str(elsewhere.sockets[0].getsockname()[1]))
        file = settings.file
        for url in ("postgresql:///calls", "postgresql://127.0.0.2/calls"):
            file.write_text(file.read_text().replace(load(file).database.url, url))
            with pytest.raises(ConfigError):
                await Database.open_any(load(file))
        assert not connected.is_set()
