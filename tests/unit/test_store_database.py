"""The database: made private, brought up to date, durable; errors carry no values."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, delete, insert, select, text

from ivr.audit.table import METADATA as AUDIT
from ivr.config import Settings
from ivr.database import Database, migrate
from ivr.database.url import url_of
from ivr.errors import ConfigError, StoreError, Unreachable
from ivr.hooks.outbox import Outbox
from ivr.store.tables import CUSTOMERS, KEYS, MESSAGES, PHONES
from ivr.store.tables import METADATA as STORE
from tests.unit.conftest import Either
from tests.unit.database_kit import asked, database_of, directly, rows, settings_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


async def refused(settings: Settings) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        await Database.open(settings)
    assert caught.value.place == f"{settings.file}: [database] url"
    assert caught.value.__cause__ is None
    return caught.value


async def test_file_log_and_index_are_private(settings: Settings) -> None:
    async with await database_of(settings) as database, database.write() as connection:
        await connection.execute(insert(KEYS), {"kind": "x", "id": "y", "checks": "z"})
        modes = {file.name: file.stat().st_mode & 0o777 for file in settings.file.parent.glob("tillit.db*")}
    assert modes == {"tillit.db": 0o600, "tillit.db-wal": 0o600, "tillit.db-shm": 0o600}


async def test_a_path_of_odd_characters(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20?#&å"
    folder.mkdir()
    settings = settings_in(folder)
    async with await database_of(settings):
        assert rows(settings, "SELECT version_num FROM alembic_version") == [(migrate.NEWEST,)]


async def test_sqlite_is_set_to_lose_nothing(settings: Settings) -> None:
    async with await database_of(settings) as database, database.read() as connection:
        found = {
            name: (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in (
                "journal_mode",
                "synchronous",
                "foreign_keys",
                "secure_delete",
                "trusted_schema",
                "busy_timeout",
            )
        }
    assert found == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "trusted_schema": 0,
        "busy_timeout": 5000,
    }  # fmt: skip


async def test_tables_are_what_the_migrations_make(settings: Settings) -> None:
    expected = MetaData()
    for metadata in (AUDIT, STORE):
        for table in metadata.tables.values():
            table.to_metadata(expected)
    async with await database_of(settings) as database, database.read() as connection:
        assert await connection.run_sync(lambda c: compare_metadata(MigrationContext.configure(c), expected)) == []


def test_the_newest_version_is_the_last_migration() -> None:
    assert ScriptDirectory(str(Path(migrate.__file__).with_name("migrations"))).get_current_head() == migrate.NEWEST


async def test_messages_of_one_call_wait_for_each_other_after_migrating_too(settings: Settings) -> None:
    migrate.create_file(settings)
    async with await Database.open_any(settings) as database:
        async with database.write() as connection:
            await migrate.migrate(connection, "0008")
            for place, call, dead in (1, "n/a", True), (2, "n/a", False), (3, "n/b", False), (4, "n/a", False):
                await connection.execute(
                    insert(MESSAGES).values(
                        place=place, receiver="crm", id=f"m{place}", call=call, body="{}", since=1, due=0, tries=0, dead=dead
                    )
                )  # fmt: skip
            assert await migrate.migrate(connection) == ("0008", migrate.NEWEST)
        assert [one.id for one in await Outbox(database, {}).due("crm", 1.0, 10)] == ["m2", "m3"]


async def test_customers_and_their_telephones_are_there_after_migrating(settings: Settings) -> None:
    migrate.create_file(settings)
    customer = {"key_id": "k", "wrapped": b"w", "number": b"n", "name": b"a", "locked": True}
    then = select(CUSTOMERS), select(*(column for column in PHONES.c if column.name != "since"))
    async with await Database.open_any(settings) as database:
        async with database.write() as connection:
            await migrate.migrate(connection, "0010")
            for ref, tenant in ("ref-1", "main"), ("ref-2", "north"):
                await connection.execute(
                    insert(CUSTOMERS).values(ref=ref, number_index=f"i-{ref}", tenant=tenant, **customer)
                )
                for position in (0, 1):
                    values = {"customer": ref, "position": position, "phone_index": f"p-{ref}", "phone": b"p"}
                    await connection.execute(insert(PHONES).values(**values))
            kept = [[tuple(row) for row in await connection.execute(query)] for query in then]
            assert [len(rows) for rows in kept] == [2, 4]
            assert await migrate.migrate(connection) == ("0010", migrate.NEWEST)
            assert kept == [[tuple(row) for row in await connection.execute(query)] for query in then]
            # the same number in another tenant, and not twice in one
            await connection.execute(
                insert(CUSTOMERS).values(ref="ref-3", number_index="i-ref-1", tenant="north", **customer)
            )
        with pytest.raises(StoreError):
            async with database.write() as connection:
                await connection.execute(
                    insert(CUSTOMERS).values(ref="ref-4", number_index="i-ref-1", tenant="main", **customer)
                )
        async with database.write() as connection:
            await connection.execute(delete(CUSTOMERS).where(CUSTOMERS.c.ref == "ref-1"))
            assert len((await connection.execute(select(PHONES))).all()) == 2, "a customer's go with the customer"


async def test_migrating_twice_changes_nothing(settings: Settings) -> None:
    migrate.create_file(settings)
    async with await Database.open_any(settings) as database:
        async with database.write() as connection:
            assert await migrate.migrate(connection) == (None, migrate.NEWEST)
        async with database.write() as connection:
            assert await migrate.migrate(connection) == (migrate.NEWEST, migrate.NEWEST)
    assert migrate.create_file(settings) is None


async def test_a_migration_that_fails_leaves_nothing(settings: Settings) -> None:
    migrate.create_file(settings)
    async with await Database.open_any(settings) as database:

        async def stopped() -> None:
            async with database.write() as connection:
                await migrate.migrate(connection)
                raise KeyError

        with pytest.raises(KeyError):
            await stopped()
    assert rows(settings, "SELECT name FROM sqlite_master") == []


async def test_a_missing_file_is_not_made(settings: Settings) -> None:
    error = await refused(settings)
    assert error.problem.endswith("tillit.db is missing")
    assert error.cure == "Type: ari_app.py init"
    assert not list(settings.file.parent.glob("tillit.db*"))


async def test_a_file_that_another_program_keeps_to_itself_may_be_had_later(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, "[database]\nrequest_seconds = 0.1\n")
    async with await database_of(settings):
        pass
    with directly(settings) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        error = await refused(settings)
    assert isinstance(error, Unreachable)
    assert "SQLITE_BUSY" in error.problem


async def test_a_file_that_goes_away_is_not_made_anew(settings: Settings) -> None:
    async with await database_of(settings):
        pass
    database = await Database.open(settings)
    await database.close()
    settings.path(Path("tillit.db")).unlink()
    with pytest.raises(StoreError, match=r"^database: SQLITE_CANTOPEN$"):
        async with database.read():
            pass
    assert not settings.path(Path("tillit.db")).exists()
    # aiosqlite does not wait for the thread of a connection that was never made, and that thread speaks to this loop
    while any("_connection_worker_thread" in thread.name for thread in threading.enumerate()):
        await asyncio.sleep(0.001)


async def test_an_empty_database_says_init(settings: Settings) -> None:
    migrate.create_file(settings)
    error = await refused(settings)
    assert (error.problem, error.cure) == ("the database is empty", "Type: ari_app.py init")


async def test_a_database_of_another_version_says_which(settings: Settings) -> None:
    async with await database_of(settings):
        pass
    with directly(settings) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    assert (await refused(settings)).problem == f"the database is of version 0000, this program of {migrate.NEWEST}"


async def test_what_is_no_database_is_told_as_that(settings: Settings) -> None:
    settings.path(Path("tillit.db")).write_bytes(b"no database" * 1000)
    assert (await refused(settings)).problem == "cannot be used (database: SQLITE_NOTADB)"


async def test_a_folder_that_does_not_let_a_file_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = settings_in(tmp_path, '[database]\nurl = "sqlite:///file/tillit.db"\n')
    with pytest.raises(ConfigError, match="cannot be made"):
        migrate.create_file(settings)


async def test_a_writer_that_holds_on_makes_others_fail_in_time_and_readers_go_on(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, "[database]\nrequest_seconds = 0.05\n")
    async with await database_of(settings) as database:
        with directly(settings) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match=r"^database: SQLITE_BUSY$"):
                async with database.write():
                    pass
            async with database.read() as connection:
                assert (await connection.execute(text("SELECT count(*) FROM audit"))).scalar() == 0


async def test_writers_wait_for_each_other(settings: Settings) -> None:
    """Reading and then writing in one transaction, many at once: none fails, none overwrites another's."""
    async with await database_of(settings) as database:

        async def count_up() -> None:
            async with database.write() as connection:
                at = (await connection.execute(text("SELECT count(*) FROM keys"))).scalar()
                await connection.execute(insert(KEYS), {"kind": str(at), "id": "", "checks": ""})

        await asyncio.gather(*(count_up() for _ in range(40)))
    assert rows(settings, "SELECT count(*) FROM keys") == [(40,)]


async def test_a_block_that_raises_writes_nothing(settings: Settings) -> None:
    async with await database_of(settings) as database:

        async def stopped() -> None:
            async with database.write() as connection:
                await connection.execute(insert(KEYS), {"kind": "x", "id": "y", "checks": "z"})
                raise KeyError

        with pytest.raises(KeyError):
            await stopped()
    assert rows(settings, "SELECT * FROM keys") == []


async def test_errors_carry_no_values(settings: Settings) -> None:
    async with await database_of(settings) as database:

        async def twice() -> None:
            async with database.write() as connection:
                for _ in range(2):
                    await connection.execute(insert(KEYS), {"kind": "canary", "id": "canary", "checks": "canary"})

        with pytest.raises(StoreError) as caught:
            await twice()
    assert str(caught.value) == "database: SQLITE_CONSTRAINT_PRIMARYKEY"
    # nor does the one that it stands for, which a debugger or a log of another program might show
    assert "canary" not in str(caught.value.__context__)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_cancelled_readers_give_their_connections_back(settings: Settings) -> None:
    async with await database_of(settings) as database:

        async def read() -> None:
            async with database.read() as connection:
                await connection.execute(text("SELECT count(*) FROM audit"))

        for turns in range(30):
            tasks = [asyncio.create_task(read()) for _ in range(12)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(read() for _ in range(20)))


async def test_deleted_rows_are_overwritten(settings: Settings) -> None:
    async with await database_of(settings) as database:
        async with database.write() as connection:
            await connection.execute(insert(KEYS), {"kind": "canary", "id": "", "checks": ""})
        async with database.write() as connection:
            await connection.execute(text("DELETE FROM keys"))
    with directly(settings) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"canary" not in settings.path(Path("tillit.db")).read_bytes()


def test_a_password_goes_into_the_url_and_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = '[database]\nurl = "postgresql://db.example/tillit"\nusername = "anna"\npassword_env = "TILLIT_PW"\n'
    settings = settings_in(tmp_path, more)
    monkeypatch.setenv("TILLIT_PW", "p@ss/w:rd")
    url = url_of(settings)
    assert (url.drivername, url.host, url.username, url.password) == (
        "postgresql+asyncpg",
        "db.example",
        "anna",
        "p@ss/w:rd",
    )
    assert "p@ss" not in repr(url) + str(url)
    assert migrate.create_file(settings) is None


@pytest.mark.parametrize(
    "url", ["postgresql://anna:canary@db/tillit", "postgresql://canary@db/tillit", "postgresql://db:canary/x"]
)
def test_a_url_with_a_password_is_refused_without_showing_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        url_of(settings_in(tmp_path, f'[database]\nurl = "{url}"\n'))
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_postgresql_that_is_not_there_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILLIT_PW", "canary")
    # nothing listens on port 1
    more = '[database]\nurl = "postgresql://127.0.0.1:1/tillit"\nusername = "anna"\npassword_env = "TILLIT_PW"\n'
    error = await refused(settings_in(tmp_path, more))
    assert re.fullmatch(r"cannot be used \(database: \w+\)", error.problem)
    assert "PostgreSQL" in error.cure
    assert isinstance(error, Unreachable)
    assert "canary" not in str(error)


def test_sqlite_is_new_enough() -> None:
    """For tables WITHOUT ROWID, IS NOT in triggers, and trusted_schema."""
    assert sqlite3.sqlite_version_info >= (3, 31)


async def test_a_disk_that_hangs_is_waited_for_no_longer_than_the_settings_say(settings: Settings) -> None:
    hurried = settings.model_copy(update={"database": settings.database.model_copy(update={"request_seconds": 0.3})})
    hurried.read_from(settings.file)
    disk = threading.Event()
    try:
        async with await database_of(hurried) as database:
            stuck = [asyncio.create_task(database.look_up(lambda _: disk.wait(30))) for _ in range(20)]
            ended = await asyncio.gather(*stuck, return_exceptions=True)
            assert [str(error) for error in ended] == ["database: TimeoutError"] * 20
            # the audit trail has a thread of its own
            assert await database.put_down(lambda connection: connection.scalar(text("SELECT 1")), lock="audit") == 1
            disk.set()
            assert await database.look_up(lambda connection: connection.scalar(text("SELECT 2"))) == 2
    finally:
        disk.set()


async def test_each_statement_of_a_snapshot_sees_the_state_of_the_first(either: Either) -> None:
    """What a back-up reads is of one moment, whatever is written meanwhile."""
    query = "SELECT count(*) FROM keys"
    async with await database_of(either()) as database, database.snapshot() as snapshot:
        before = (await snapshot.exec_driver_sql(query)).scalar_one()
        async with database.write() as connection:
            await connection.execute(insert(KEYS), {"kind": "x", "id": "y", "checks": "z"})
        assert await asked(database, query) == [(before + 1,)]
        assert (await snapshot.exec_driver_sql(query)).scalar_one() == before
