"""Queries that are put together once, on both databases."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, insert, select, text
from sqlalchemy.exc import OperationalError

from ivr.config import Settings
from ivr.database import Database, Prepared, PreparedRows
from ivr.errors import StoreError
from ivr.store.tables import KEYS, PEOPLE
from tests.unit.conftest import Either
from tests.unit.database_kit import database_of, settings_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


_PERSON = {"team": "", "role": "agent", "key_id": "x", "wrapped": b"\0w", "name": b"n\xff", "language": None}
_ONE = Prepared(select(PEOPLE.c.disabled, PEOPLE.c.name, PEOPLE.c.language).where(PEOPLE.c.id == bindparam("named")))
_FIRST = Prepared(select(KEYS.c.id).where(KEYS.c.kind == bindparam("of")).order_by(KEYS.c.id.desc()).limit(1))


async def test_it_finds_what_the_query_finds(either: Either) -> None:
    async with await database_of(either()) as database:
        async with database.write() as connection:
            for number, disabled in (("a", False), ("b", True)):
                values: dict[str, Any] = {**_PERSON, "tenant": "t", "id": number, "login": number, "disabled": disabled}
                await connection.execute(insert(PEOPLE), values)
            for number in "123":
                await connection.execute(insert(KEYS), {"kind": "k", "id": number, "checks": ""})
        found = {one: await database.glance(lambda c, one=one: _ONE.rows(c, named=one)) for one in "abc"}  # type: ignore[misc]
        assert [[tuple(row) for row in found[one]] for one in "abc"] == [
            [(False, b"n\xff", None)], [(True, b"n\xff", None)], []
        ]  # fmt: skip
        assert all(type(row[0]) is bool for rows in found.values() for row in rows)
        assert [tuple(row) for row in await database.glance(lambda c: _FIRST.rows(c, of="k"))] == [("3",)]


async def test_what_goes_wrong_is_told_without_what_was_asked_for(either: Either) -> None:
    gone = Prepared(select(KEYS.c.id).where(KEYS.c.kind == bindparam("of")))
    async with await database_of(either()) as database:
        async with database.write() as connection:
            await connection.exec_driver_sql("DROP TABLE keys")
        with pytest.raises(StoreError, match=r"^database: \w+$") as caught:
            await database.glance(lambda c: gone.rows(c, of="canary"))
    assert "canary" not in str(caught.value.__context__)


async def test_whole_rows_are_written_as_they_are_or_not_at_all(either: Either) -> None:
    rows = PreparedRows(KEYS)
    given = [{"kind": "k", "id": number, "checks": f"'{number}\"\n:id"} for number in "12"]
    async with await database_of(either()) as database:
        await database.put_down(lambda c: rows.put(c, given), lock="keys")

        def all_of(connection: Connection) -> list[dict[str, Any]]:
            return [dict(row) for row in connection.execute(select(KEYS).order_by(KEYS.c.id)).mappings()]

        assert await database.look_up(all_of) == given
        again = [{"kind": "k", "id": "3", "checks": ""}, {"kind": "k", "id": "1", "checks": "canary"}]
        with pytest.raises(StoreError, match=r"^database: (SQLITE_CONSTRAINT_\w+|23505)$") as caught:
            await database.put_down(lambda c: rows.put(c, again), lock="keys")
        assert "canary" not in str(caught.value.__context__)
        assert await database.look_up(all_of) == given


def _thread(connection: Connection) -> tuple[int, object]:
    return threading.get_ident(), connection.scalar(text("SELECT count(*) FROM keys"))


async def test_a_process_that_is_near_asks_on_its_own_thread(settings: Settings) -> None:
    async with await database_of(settings) as database:
        assert (await database.glance(_thread))[0] != threading.get_ident()
    async with await Database.open(settings, near=True) as database:
        assert await database.glance(_thread) == (threading.get_ident(), 0)
        assert (await database.look_up(_thread))[0] != threading.get_ident()
        async with database.write() as connection:
            await connection.execute(insert(KEYS), {"kind": "k", "id": "1", "checks": ""})
        # no look-up before keeps an older state
        assert await database.glance(_thread) == (threading.get_ident(), 1)


async def test_a_lock_is_waited_for_elsewhere_and_what_fails_leaves_nothing_behind(settings: Settings) -> None:
    async with await database_of(settings):
        pass
    async with await Database.open(settings, near=True) as database:
        await database.glance(_thread)

        def broken(connection: Connection) -> None:
            connection.execute(text("SELECT * FROM nothing"))

        with pytest.raises(StoreError, match=r"^database: SQLITE_ERROR$"):
            await database.glance(broken)
        with pytest.raises(KeyError):
            await database.glance(lambda _: {}["x"])
        assert await database.glance(_thread) == (threading.get_ident(), 0)
        tried: list[int] = []

        def busy(connection: Connection) -> int:
            tried.append(threading.get_ident())
            if threading.get_ident() == here:
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorname = "SQLITE_BUSY_RECOVERY"
                raise OperationalError("", None, error)
            return 1

        here = threading.get_ident()
        assert await database.glance(busy) == 1
        assert tried[0] == here != tried[1]
        # it waits for nobody on this thread, opened anew as well
        assert await database.glance(lambda connection: connection.scalar(text("PRAGMA busy_timeout"))) == 0
        assert await database.look_up(lambda connection: connection.scalar(text("PRAGMA busy_timeout"))) != 0
