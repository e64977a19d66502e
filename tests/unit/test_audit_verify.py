"""Whether a changed trail is found out, and the first bad row named."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ivr.audit import Fault, Trail, verify
from ivr.audit.chain import COLUMNS, hash_of
from ivr.audit.verify import recent
from ivr.call.ports import Entry
from ivr.config import Settings
from ivr.database import Database
from tests.unit.database_kit import database_of, directly, settings_in, without_protection

REST = ", ".join([*COLUMNS[2:], "hash"])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with await database_of(settings) as database:
        async with Trail(database, "a") as one, Trail(database, "b") as two:
            for number in range(1, 6):
                for trail in (one, two):
                    await trail.append(Entry("w", f"act{number}", "done", call=str(number), subject="anna"))
        yield database


async def after(settings: Settings, database: Database, *statements: str) -> Fault | None:
    with directly(settings) as connection:
        without_protection(connection)
        for statement in statements:
            connection.execute(statement)
    return (await verify(database)).fault


async def test_an_untouched_trail_is_good(database: Database) -> None:
    report = await verify(database)
    assert report.fault is None
    assert report.rows == {"a": 5, "b": 5}
    assert len(set(report.heads.values())) == 2


async def test_an_empty_trail_is_good(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    async with await database_of(settings_in(folder)) as database:
        assert (await verify(database)).rows == {}


@pytest.mark.parametrize("column", [*COLUMNS[2:], "hash"])
async def test_any_changed_column_is_found(settings: Settings, database: Database, column: str) -> None:
    fault = await after(
        settings, database, f"UPDATE audit SET {column} = {column} || 'x' WHERE chain = 'b' AND seq = 3"
    )
    assert fault is not None
    assert (fault.chain, fault.seq) == ("b", 3)
    assert fault.problem.startswith("changed")


@pytest.mark.parametrize("value", ["7", "x'00'", "NULL", "1.5"])
async def test_a_value_of_another_type_is_found(settings: Settings, database: Database, value: str) -> None:
    table = ("ALTER TABLE audit RENAME TO old", "CREATE TABLE audit AS SELECT * FROM old")
    fault = await after(settings, database, *table, f"UPDATE audit SET actor = {value} WHERE chain = 'a' AND seq = 2")
    assert fault == Fault("a", 2, "changed: its hash is not that of what stands in it")


@pytest.mark.parametrize(("gone", "named"), [("1", 1), ("3", 3), ("2, 3, 4", 2), ("1, 2, 3, 4", 1)])
async def test_a_missing_row_is_named(settings: Settings, database: Database, gone: str, named: int) -> None:
    fault = await after(settings, database, f"DELETE FROM audit WHERE chain = 'a' AND seq IN ({gone})")
    assert fault is not None
    assert (fault.chain, fault.seq) == ("a", named)
    assert fault.problem.startswith("missing")


async def test_a_gap_closed_by_new_numbers_is_found(settings: Settings, database: Database) -> None:
    fault = await after(
        settings, database,
        "DELETE FROM audit WHERE chain = 'a' AND seq = 3",
        "UPDATE audit SET seq = 3 WHERE chain = 'a' AND seq = 4",
        "UPDATE audit SET seq = 4 WHERE chain = 'a' AND seq = 5",
    )  # fmt: skip
    assert fault is not None and (fault.chain, fault.seq) == ("a", 3)


async def test_an_inserted_row_is_found(settings: Settings, database: Database) -> None:
    """Numbers moved up to make room, and the new row's own hash made right."""
    with directly(settings) as connection:
        without_protection(connection)
        for seq in (5, 4):
            connection.execute("UPDATE audit SET seq = ? WHERE chain = 'a' AND seq = ?", (seq + 1, seq))
        columns = ", ".join(COLUMNS)
        row = dict(
            zip(
                COLUMNS,
                connection.execute(f"SELECT {columns} FROM audit WHERE chain = 'a' AND seq = 3").fetchone(),
                strict=True,
            )
        )
        previous = connection.execute("SELECT hash FROM audit WHERE chain = 'a' AND seq = 3").fetchone()[0]
        row |= {"seq": 4, "action": "forged", "previous": previous}
        insert(connection, row)
    fault = (await verify(database)).fault
    assert fault is not None and (fault.chain, fault.seq) == ("a", 5)


async def test_a_row_replaced_hash_and_all_is_found_by_the_next(settings: Settings, database: Database) -> None:
    with directly(settings) as connection:
        without_protection(connection)
        columns = ", ".join(COLUMNS)
        row = dict(
            zip(
                COLUMNS,
                connection.execute(f"SELECT {columns} FROM audit WHERE chain = 'a' AND seq = 3").fetchone(),
                strict=True,
            )
        )
        connection.execute("DELETE FROM audit WHERE chain = 'a' AND seq = 3")
        insert(connection, row | {"outcome": "forged"})
    fault = (await verify(database)).fault
    assert fault is not None and (fault.chain, fault.seq) == ("a", 4)
    assert "does not follow" in fault.problem


async def test_a_row_before_the_first_is_found(settings: Settings, database: Database) -> None:
    fault = await after(
        settings, database, f"INSERT INTO audit SELECT chain, 0, {REST} FROM audit WHERE chain = 'a' AND seq = 1"
    )  # fmt: skip
    assert fault is not None and (fault.chain, fault.seq) == ("a", 1)
    assert "inserted" in fault.problem


async def test_rows_of_one_chain_cannot_be_passed_off_as_anothers(settings: Settings, database: Database) -> None:
    fault = await after(settings, database, "UPDATE audit SET chain = 'c' WHERE chain = 'b'")
    assert fault is not None and (fault.chain, fault.seq) == ("c", 1)


async def test_the_first_of_many_bad_rows_is_named_and_the_good_ones_counted(
    settings: Settings, database: Database
) -> None:
    with directly(settings) as connection:
        without_protection(connection)
        connection.execute("UPDATE audit SET outcome = 'x' WHERE chain = 'b' AND seq > 3")
    report = await verify(database)
    assert report.fault is not None and (report.fault.chain, report.fault.seq) == ("b", 4)
    assert report.rows == {"a": 5, "b": 3}


async def test_a_trail_longer_than_one_reading(settings: Settings, database: Database) -> None:
    async with Trail(database, "aa") as trail:
        await asyncio.gather(*(trail.append(Entry("w", "act", "done")) for _ in range(2500)))
    assert (await verify(database)).rows == {"a": 5, "aa": 2500, "b": 5}
    fault = await after(settings, database, "UPDATE audit SET outcome = 'x' WHERE chain = 'aa' AND seq = 2222")
    assert fault is not None and (fault.chain, fault.seq) == ("aa", 2222)


async def test_what_the_last_rows_are(database: Database) -> None:
    assert [row["action"] for row in await recent(database, most=3)] == ["act4", "act5", "act5"]
    assert [row["chain"] for row in await recent(database, most=9, call="2")] == ["a", "b"]
    assert await recent(database, most=9, subject="bo") == []
    assert len(await recent(database, most=100, subject="anna")) == 10


def insert(connection: sqlite3.Connection, row: dict[str, object]) -> None:
    """A row with the hash that it should have."""
    places = ", ".join(f":{column}" for column in (*COLUMNS, "hash"))
    connection.execute(f"INSERT INTO audit VALUES ({places})", row | {"hash": hash_of(row)})
