"""The trail as it is written: durable before it returns, whole chains, nothing lost when someone goes away."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest
from sqlalchemy import Engine, event

from ivr import audit
from ivr.audit import Seal, append_within, verify
from ivr.audit.chain import COLUMNS, START, lock_of
from ivr.call.ports import Entry
from ivr.config import Settings
from ivr.database import Database
from ivr.errors import StoreError
from tests.unit.conftest import Either
from tests.unit.database_kit import SEAL, asked, database_of, held, on_postgresql, trail_of

ENTRY = Entry("worker", "verify", "verified", call="17", subject="anna", detail={"policy": "support", "level": "2"})
REST = ", ".join([*COLUMNS[2:], "hash", "once", "signature"])


@pytest.fixture
def settings(either: Either) -> Settings:
    return either(0.5)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with await database_of(settings) as database:
        yield database


async def actions(database: Database, chain: str = "w") -> list[str]:
    return [row[0] for row in await asked(database, f"SELECT action FROM audit WHERE chain = '{chain}' ORDER BY seq")]


async def settle(turns: int = 20) -> None:
    """Let the tasks that can go on go on."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def test_a_row_is_stored_as_it_was_told(settings: Settings, database: Database) -> None:
    at = datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=1)))
    async with trail_of(database, "w", clock=lambda: at) as trail:
        await trail.append(ENTRY)
        # durable, and to be seen by others, before the trail is closed
        row, (digest, once, signature) = (found := (await asked(database, "SELECT * FROM audit"))[0])[:-3], found[-3:]
    assert row == (
        "w", 1, "2026-02-03T03:05:06.000007Z", "worker", "verify", "verified", "17", "anna",
        '{"level":"2","policy":"support"}', START,
    )  # fmt: skip
    # as anyone can work it out from the row, without this program
    encoded = json.dumps(["tillit-audit-1", *row], separators=(",", ":"), ensure_ascii=False)
    assert digest == hashlib.sha256(encoded.encode()).hexdigest()
    assert once is None
    assert SEAL.verifier.good(signature, "tillit-audit-row-1", "w", 1, digest)


async def test_the_default_clock_is_utc(settings: Settings, database: Database) -> None:
    before = datetime.now(UTC)
    async with trail_of(database, "w") as trail:
        await trail.append(Entry("a", "b", "c"))
    ((at, detail),) = await asked(database, "SELECT at, detail FROM audit")
    assert before <= datetime.fromisoformat(at) <= datetime.now(UTC)
    assert (len(at), detail) == (27, "{}")


async def test_a_clock_that_is_put_back_breaks_no_chain(settings: Settings, database: Database) -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    moments = iter([now, now + timedelta(days=1), now - timedelta(days=1), now, now, now, now])
    async with trail_of(database, "w", clock=lambda: next(moments)) as trail:
        for action in ("a", "b", "c"):
            await trail.append(Entry("worker", action, "done"))
    assert await actions(database) == ["a", "b", "c"]
    report = await verify(database, SEAL.verifier)
    assert report.faults == ()


async def test_two_hundred_at_once_are_all_durable_in_one_chain(settings: Settings, database: Database) -> None:
    async with trail_of(database, "w") as trail:
        await asyncio.gather(*(trail.append(replace(ENTRY, call=str(call))) for call in range(200)))
        assert {row[0] for row in await asked(database, "SELECT call FROM audit")} == {str(call) for call in range(200)}
        report = await verify(database, SEAL.verifier)
    assert (report.fault, report.rows) == (None, {"w": 200})


async def test_those_that_wait_share_a_transaction(database: Database) -> None:
    began: list[object] = []
    note = began.append
    event.listen(Engine, "begin", note)
    try:
        async with trail_of(database, "w") as trail:
            await asyncio.gather(*(trail.append(ENTRY) for _ in range(200)))
    finally:
        event.remove(Engine, "begin", note)
    # four more for its head, and for what others see of it, at the start and at the end
    assert 1 <= len(began) - 4 <= 2


async def test_a_thousand_are_written_in_more_than_one_transaction(settings: Settings, database: Database) -> None:
    async with trail_of(database, "w") as trail:
        await asyncio.gather(*(trail.append(ENTRY) for _ in range(1200)))
    assert len(await actions(database)) == 1200
    assert (await verify(database, SEAL.verifier)).fault is None


async def test_a_chain_goes_on_where_an_earlier_worker_left_it(settings: Settings, database: Database) -> None:
    for action in ("one", "two"):
        async with trail_of(database, "w") as trail:
            await trail.append(replace(ENTRY, action=action))
    assert await actions(database) == ["one", "two"]
    assert (await verify(database, SEAL.verifier)).fault is None


async def test_two_programs_on_one_chain_do_not_clash(settings: Settings, database: Database) -> None:
    async with await Database.open(settings) as other, trail_of(database, "w") as one, trail_of(other, "w") as two:
        await asyncio.gather(*(trail.append(ENTRY) for _ in range(50) for trail in (one, two)))
    assert len(await actions(database)) == 100
    assert (await verify(database, SEAL.verifier)).fault is None


async def test_an_act_and_its_row_are_one(settings: Settings, database: Database) -> None:
    async def act() -> None:
        async with database.write(lock=lock_of("cli")) as connection:
            await append_within(connection, "cli", ENTRY, seal=SEAL)
            raise KeyError

    with pytest.raises(KeyError):
        await act()
    assert await actions(database, "cli") == []
    async with database.write(lock=lock_of("cli")) as connection:
        await append_within(connection, "cli", ENTRY, ENTRY, seal=SEAL)
        await append_within(connection, "cli", seal=SEAL)
    assert len(await actions(database, "cli")) == 2
    assert (await verify(database, SEAL.verifier)).fault is None


async def test_a_failed_transaction_fails_each_waiter_and_the_chain_goes_on(
    settings: Settings, database: Database
) -> None:
    async with trail_of(database, "w") as trail:
        await trail.append(replace(ENTRY, action="first"))
        async with held(settings):
            failed = await asyncio.gather(*(trail.append(ENTRY) for _ in range(5)), return_exceptions=True)
        code = "TimeoutError" if on_postgresql(settings) else "SQLITE_BUSY"
        assert [str(error) for error in failed] == [f"database: {code}"] * 5
        assert all(isinstance(error, StoreError) for error in failed)
        assert len({id(error) for error in failed}) == 5
        await trail.append(replace(ENTRY, action="last"))
    assert await actions(database) == ["first", "last"]
    assert (await verify(database, SEAL.verifier)).fault is None


async def test_whether_rows_can_be_written_is_known_before_a_call_needs_it(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit.trail, "_FRESH", 0.0)
    async with trail_of(database, "w") as trail:
        await trail.ping()
        async with held(settings):
            with pytest.raises(StoreError, match="TimeoutError" if on_postgresql(settings) else "SQLITE_BUSY"):
                await trail.ping()
            asking = asyncio.create_task(trail.ping())
            await settle()
            asking.cancel()
            await settle()
            # whoever has a time limit is not held up by the transaction that goes on
            assert asking.cancelled()
        await trail.ping()
    with pytest.raises(StoreError, match="closed"):
        await trail.ping()
    assert await actions(database) == []
    assert (await verify(database, SEAL.verifier)).fault is None


async def test_a_waiter_that_goes_away_takes_nobody_along(settings: Settings, database: Database) -> None:
    """Cancelled before the writer takes it, and while its transaction runs: its row and the others' are written."""
    async with trail_of(database, "w") as trail:
        async with held(settings):
            tasks = [asyncio.create_task(trail.append(replace(ENTRY, action=str(place)))) for place in range(6)]
            await settle()
            late = asyncio.create_task(trail.append(replace(ENTRY, action="late")))
            await settle()
            tasks[2].cancel()
            late.cancel()
            await settle()
            assert tasks[2].cancelled() and late.cancelled()
        await asyncio.gather(*tasks[:2], *tasks[3:])
    assert await actions(database) == ["0", "1", "2", "3", "4", "5", "late"]


async def test_closing_writes_what_waits_and_takes_nothing_more(settings: Settings, database: Database) -> None:
    trail = trail_of(database, "w")
    tasks = [asyncio.create_task(trail.append(ENTRY)) for _ in range(3)]
    await settle(1)
    await trail.close()
    await asyncio.gather(*tasks)
    assert len(await actions(database)) == 3
    with pytest.raises(StoreError, match="closed"):
        await trail.append(ENTRY)
    await trail.close()


async def test_a_writer_that_is_stopped_leaves_nobody_waiting(database: Database, settings: Settings) -> None:
    trail = trail_of(database, "w")
    async with held(settings):
        tasks = [asyncio.create_task(trail.append(ENTRY))]
        await settle()
        tasks.append(asyncio.create_task(trail.append(ENTRY)))
        await settle()
        assert trail._writer is not None
        trail._writer.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in ended] == [StoreError, StoreError]
    assert await actions(database) == []
    await trail.append(ENTRY)
    await trail.close()
    assert len(await actions(database)) == 1


async def test_a_fault_of_ours_leaves_nobody_waiting(settings: Settings, database: Database) -> None:
    """Here: something that cannot sign."""
    trail = trail_of(database, "w", seal=cast(Seal, object()))
    tasks = [asyncio.create_task(trail.append(ENTRY)) for _ in range(2)]
    await settle(1)
    assert trail._writer is not None
    writer = trail._writer
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(error) for error in ended] == ["audit: the writer was stopped"] * 2
    assert all(isinstance(error, StoreError) for error in ended)
    with pytest.raises(AttributeError):
        await writer


@pytest.mark.parametrize(
    "entry",
    [
        replace(ENTRY, call="\ud800"),
        replace(ENTRY, actor="a\0b"),
        replace(ENTRY, detail={"a": "\ud800"}),
        replace(ENTRY, detail={"a": "b\0"}),
        replace(ENTRY, detail={"a": object()}),  # type: ignore[dict-item]
    ],
)
async def test_what_cannot_be_stored_fails_alone(settings: Settings, database: Database, entry: Entry) -> None:
    async with trail_of(database, "w") as trail:
        good, bad = await asyncio.gather(trail.append(ENTRY), trail.append(entry), return_exceptions=True)
    assert good == ENTRY.outcome
    assert isinstance(bad, StoreError)
    assert len(await actions(database)) == 1


WHOLE = f"SELECT {', '.join([*COLUMNS, 'hash', 'once', 'signature'])} FROM audit"


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("UPDATE audit SET outcome = 'refused'", "both"),
        ("UPDATE audit SET seq = seq + 1", "both"),
        ("UPDATE audit SET outcome = outcome", "both"),
        ("DELETE FROM audit", "both"),
        ("DELETE FROM audit WHERE seq = 2", "both"),
        ("DELETE FROM audit_heads", "both"),
        (f"INSERT INTO audit {WHOLE} WHERE seq = 1 ON CONFLICT (chain, seq) DO UPDATE SET outcome = 'x'", "both"),
        ("TRUNCATE audit", "postgresql"),
        ("TRUNCATE audit_heads", "postgresql"),
        (
            "INSERT OR REPLACE INTO audit SELECT chain, seq, at, actor, action, 'refused', call, subject, detail, "
            "previous, hash, once, signature FROM audit WHERE seq = 1",
            "sqlite",
        ),
        ("REPLACE INTO audit SELECT * FROM audit WHERE seq = 2", "sqlite"),
        (f"REPLACE INTO audit SELECT chain, 4, {REST} FROM audit WHERE seq = 3", "sqlite"),
        (f"INSERT INTO audit SELECT chain, 9, {REST} FROM audit WHERE seq = 1", "sqlite"),
        (f"INSERT INTO audit SELECT chain, 0, {REST} FROM audit WHERE seq = 1", "sqlite"),
        ("UPDATE OR REPLACE audit SET seq = 1 WHERE seq = 2", "sqlite"),
    ],
)
async def test_the_database_itself_refuses_changes(
    settings: Settings, database: Database, statement: str, where: str
) -> None:
    if where not in ("both", "postgresql" if on_postgresql(settings) else "sqlite"):
        return
    async with trail_of(database, "w") as trail:
        await asyncio.gather(*(trail.append(replace(ENTRY, once=str(number))) for number in range(3)))
    before = await asked(database, WHOLE)

    async def try_it() -> None:
        async with database.write() as connection:
            await connection.exec_driver_sql(statement)

    with pytest.raises(StoreError, match="database: (SQLITE_CONSTRAINT_TRIGGER|P0001)"):
        await try_it()
    assert await asked(database, WHOLE) == before


async def test_of_what_is_told_once_the_first_row_stands_and_each_writer_hears_what_it_says(
    settings: Settings, database: Database
) -> None:
    """In one transaction or in two, by whichever worker."""
    done, lost = (replace(ENTRY, outcome=outcome, once="a") for outcome in ("done", "lost"))
    async with trail_of(database, "w") as first, trail_of(database, "v") as second:
        heard = await asyncio.gather(first.append(done), first.append(lost), first.append(replace(lost, once=None)))
        assert heard == ["done", "done", "lost"]
        assert [await one.append(lost) for one in (second, first)] == ["done", "done"]
        assert await second.append(replace(lost, once="b")) == "lost"
        assert await first.append(replace(done, once="b")) == "lost"
    told = await asked(database, "SELECT once, outcome FROM audit WHERE once IS NOT NULL ORDER BY at, seq")
    assert [tuple(row) for row in told] == [("a", "done"), ("b", "lost")]


async def test_what_the_database_does_not_take_in_time_is_no_row_and_told_again_it_is_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk hangs: nobody waits for it for ever, and nothing gathers meanwhile."""
    goes_on, put_down = asyncio.Event(), database.put_down

    async def hangs(*given: Any, **named: Any) -> Any:
        await goes_on.wait()
        return await put_down(*given, **named)

    monkeypatch.setattr(database, "put_down", hangs)
    trail = trail_of(database, "w", seconds=0.05)
    entries = [replace(ENTRY, call=call, once=call) for call in "12"]
    for entry in entries * 2:
        with pytest.raises(StoreError, match="in time"):
            await trail.append(entry)
    assert trail._waiting == []
    goes_on.set()
    trail._seconds = 10
    assert [await trail.append(entry) for entry in entries] == ["verified"] * 2
    await trail.close()
    assert await asked(database, "SELECT call FROM audit ORDER BY seq") == [("1",), ("2",)]
