"""Old rows of the trail are deleted, and what is left is verified as ever."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import insert

from ivr.audit import Report, Trail, verify
from ivr.audit.chain import Broken, stamp
from ivr.audit.export import export, verify_export
from ivr.audit.heads import Head
from ivr.audit.retention import due, prune
from ivr.audit.steady import Steady
from ivr.audit.verify import heads_in
from ivr.call.ports import Entry
from ivr.config import Settings
from ivr.database import Database
from ivr.doctor.retention import check
from ivr.errors import ConfigError, StoreError, TillitError
from ivr.retention import clean_audit, clean_outbox, keep_audit, keep_evidence
from ivr.store.tables import CUSTOMERS, EVIDENCE
from tests.unit.conftest import Either
from tests.unit.database_kit import SEAL, asked, database_of, settings_in, tamper, trail_of

NOW = datetime.now(UTC)


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def before(days: float) -> str:
    return stamp(days_ago(days))


@pytest.fixture
def settings(either: Either) -> Settings:
    made = either()
    kept = made.retention.model_copy(update={"audit_days": 30})
    return made.model_copy(update={"retention": kept}).read_from(made.file)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """Two chains: ten rows 40 days old, five 20 days old; the head of `b` is of that time and has seen `a` at 10."""
    async with await database_of(settings) as database:
        for days, count in ((40.0, 10), (20.0, 5)):
            for chain in ("a", "b") if days > 30 else ("a",):
                async with trail_of(database, chain, clock=lambda days=days: days_ago(days)) as trail:
                    for number in range(count):
                        await trail.append(
                            Entry("w", "act", "done", call=f"{days:.0f}.{number}", once=f"{chain}{days}{number}")
                        )
        yield database


async def looked_at(database: Database, kept: list[Head] | None = None) -> Report:
    return await verify(database, SEAL.verifier, kept or [])


async def rows_of(database: Database, chain: str) -> list[int]:
    return [row[0] for row in await asked(database, f"SELECT seq FROM audit WHERE chain = '{chain}' ORDER BY seq")]


async def pruned(database: Database, days: float = 30) -> int:
    found = await due(database, before(days))
    return sum([await prune(database, chain, upto, SEAL, at=before(0)) for chain, upto in found.items()])


async def test_old_rows_go_and_the_rest_is_good(database: Database) -> None:
    kept = await heads_in(database)
    assert await due(database, before(30)) == {"a": 10, "b": 9}
    assert await pruned(database) == 19
    # the last row of a chain stays, however old
    assert (await rows_of(database, "a"), await rows_of(database, "b")) == ([11, 12, 13, 14, 15], [10])
    report = await looked_at(database, kept)
    assert (report.faults, report.rows, report.begins) == ((), {"a": 15, "b": 10}, {"a": 10, "b": 9})
    assert await pruned(database) == 0
    # chains go on, with heads of before that tell of rows that are gone
    for chain in ("a", "b"):
        async with trail_of(database, chain) as trail:
            await trail.append(Entry("w", "act", "done"))
    assert (await looked_at(database)).faults == ()


async def test_many_rows_go_in_several_transactions(settings: Settings, database: Database) -> None:
    async with trail_of(database, "many", clock=lambda: days_ago(35)) as trail:
        await asyncio.gather(*(trail.append(Entry("w", "act", "done")) for _ in range(2600)))
    assert await prune(database, "many", 2599, SEAL, at=before(0)) > 1000
    assert (await looked_at(database)).faults == ()


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM audit WHERE chain = 'a' AND seq = 11", "missing: the next row there is has number 12"),
        ("UPDATE audit SET actor = 'x' WHERE chain = 'a' AND seq = 11", "changed: its hash is not that"),
        ("DELETE FROM audit WHERE chain = 'a' AND seq > 12", "cut at the end"),
        ("DELETE FROM audit WHERE chain = 'a'", "cut at the end"),
        ("DELETE FROM audit_anchors WHERE chain = 'a'", "missing: the next row there is has number 11"),
        ("UPDATE audit_anchors SET seq = 12 WHERE chain = 'a'", "its anchor, which says that older rows were deleted"),
        ("UPDATE audit_anchors SET seq = 9 WHERE chain = 'a'", "its anchor, which says that older rows were deleted"),
        ("UPDATE audit_anchors SET hash = previous FROM audit WHERE audit_anchors.chain = 'a'", "its anchor"),
    ],
)
async def test_what_is_changed_behind_an_anchor_is_found(database: Database, statement: str, problem: str) -> None:
    await pruned(database)
    assert (await looked_at(database)).faults == ()
    await tamper(database, statement)
    (fault,) = (await looked_at(database)).faults
    assert fault.chain == "a" and problem in fault.problem


async def test_an_anchor_of_another_key_or_chain_hides_nothing(database: Database) -> None:
    """Who cuts a chain's beginning without the key is found, and no worker goes on with it."""
    await pruned(database)
    signed = dict(await asked(database, "SELECT chain, signature FROM audit_anchors"))
    await tamper(
        database,
        "DELETE FROM audit WHERE chain = 'a' AND seq < 13",
        f"UPDATE audit_anchors SET seq = 12, signature = '{signed['b']}' WHERE chain = 'a'",
    )
    faults = (await looked_at(database)).faults
    assert [fault.chain for fault in faults] == ["a"]
    with pytest.raises(ConfigError, match="the anchor of chain a was not signed by this installation's audit key"):
        async with trail_of(database, "a"):
            pass


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET outcome = 'x' WHERE chain = 'a' AND seq = 3",
        "DELETE FROM audit WHERE chain = 'a' AND seq = 3",
        "UPDATE audit SET signature = 'x' WHERE chain = 'a' AND seq = 10",
    ],
)
async def test_what_was_changed_is_evidence_and_stays(database: Database, statement: str) -> None:
    await tamper(database, statement)
    count = len(await rows_of(database, "a"))
    with pytest.raises(Broken, match="nothing is deleted"):
        await prune(database, "a", 10, SEAL, at=before(0))
    assert len(await rows_of(database, "a")) == count
    assert (await looked_at(database)).faults


async def test_a_chain_written_anew_by_another_key_is_not_deleted(database: Database) -> None:
    ((signature,),) = await asked(database, "SELECT signature FROM audit WHERE chain = 'b' AND seq = 10")
    await tamper(database, f"UPDATE audit SET signature = '{signature}' WHERE chain = 'a' AND seq = 10")
    with pytest.raises(Broken, match="nothing is deleted"):
        await prune(database, "a", 10, SEAL, at=before(0))


async def test_the_database_itself_lets_only_old_rows_go(database: Database) -> None:
    await pruned(database)
    for statement in (
        "DELETE FROM audit WHERE chain = 'a' AND seq = 11",
        "DELETE FROM audit_anchors",
        "UPDATE audit_anchors SET seq = 3 WHERE chain = 'a'",
        "UPDATE audit SET actor = 'x' WHERE chain = 'a'",
    ):
        with pytest.raises(StoreError, match="SQLITE_CONSTRAINT_TRIGGER|P0001"):
            async with database.write() as connection:
                await connection.exec_driver_sql(statement)


async def test_an_export_tells_where_chains_begin(database: Database) -> None:
    await pruned(database)
    lines = [line async for line in export(database, SEAL)]
    report, _ = verify_export(lines, SEAL.verifier)
    assert (report.faults, report.begins) == ((), {"a": 10, "b": 9})
    cut = [line for line in lines if b'"seq":11' not in line]
    assert verify_export(cut, SEAL.verifier)[0].faults


async def test_rows_deleted_while_the_trail_is_read(database: Database) -> None:
    """The reader begins anew, and says that all is good."""
    begun = False
    verifying = sys.modules["ivr.audit.verify"]
    in_order = verifying.in_order

    async def deleting(of: Database) -> AsyncIterator[dict[str, Any]]:
        nonlocal begun
        if not begun:
            begun = True
            await pruned(of)
        async for row in in_order(of):
            yield row

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verifying, "in_order", deleting)
        assert (await looked_at(database)).faults == ()
    assert begun


# ---------------------------------------------------------------- the worker's task, and what the doctor says of it


async def test_a_worker_tells_of_it_in_the_trail_before(settings: Settings, database: Database) -> None:
    assert (await check(settings))[0].name == "retention"
    async with trail_of(database, "w") as trail:
        assert await clean_audit(settings, database, trail, SEAL) == 19
        told = await asked(database, "SELECT actor, detail FROM audit WHERE action = 'audit.retention' ORDER BY seq")
        assert [row[0] for row in told] == ["worker", "worker"]
        assert '"chain":"a"' in told[0][1] and '"row":"10"' in told[0][1]
        # nothing is old any more, and nothing is told
        assert await clean_audit(settings, database, trail, SEAL) == 0
    assert (await looked_at(database)).faults == ()
    (finding,) = await check(settings)
    assert finding.name == "ok" and "kept for 30 days; its oldest row is of" in finding.what


async def test_a_clock_that_jumps_ahead_does_not_delete_the_trail(settings: Settings, database: Database) -> None:
    async with trail_of(database, "w") as trail:
        count = await asked(database, "SELECT count(*) FROM audit")
        with pytest.raises(TillitError, match="more than a day ahead of the newest head: nothing is deleted"):
            await clean_audit(settings, database, trail, SEAL, clock=lambda: NOW + timedelta(days=400))
        assert await asked(database, "SELECT count(*) FROM audit") == count


class Machine:
    """Its clock, and how long it runs."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.up = timedelta(days=3)

    def goes_on(self, hours: float) -> None:
        self.now += timedelta(hours=hours)
        self.up += timedelta(hours=hours)

    def steady(self, database: Database, trail: Trail) -> Steady:
        return Steady(database, trail, clock=lambda: self.now, uptime=lambda: self.up)


async def test_behind_a_jump_a_worker_waits_for_a_day(settings: Settings, database: Database) -> None:
    """Told of in trail and log; a worker that starts anew meanwhile waits for what is left, and another jump begins anew."""
    log = structlog.get_logger()
    async with trail_of(database, "w"):
        pass
    machine = Machine()
    async with trail_of(database, "w", clock=lambda: machine.now) as trail:
        steady = machine.steady(database, trail)
        for _ in range(3):
            assert await steady.held() is None
            machine.goes_on(1)
        machine.now += timedelta(days=400)
        with structlog.testing.capture_logs() as logged:
            assert await keep_audit(settings, database, trail, SEAL, steady, log) == 0
        assert logged == [{"event": "retention.held", "kind": "audit", "log_level": "warning", "seconds": 86400}]
        assert len(await rows_of(database, "a")) == 15
        ((detail,),) = await asked(database, "SELECT detail FROM audit WHERE action = 'audit.clock'")
        assert detail == f'{{"clock":"{stamp(machine.now)}","due":"{stamp(machine.now - timedelta(days=400))}"}}'
        machine.goes_on(23)
        assert await steady.held() == timedelta(hours=1)
    # its last head is of the clock that has jumped
    async with trail_of(database, "w", clock=lambda: machine.now) as trail:
        again = machine.steady(database, trail)
        assert await again.held() == timedelta(hours=1)
        machine.goes_on(0.5)
        machine.now -= timedelta(days=400)
        assert await again.held() == timedelta(days=1)
        machine.goes_on(24)
        assert await again.held() is None
    async with trail_of(database, "w") as trail:
        assert await keep_audit(settings, database, trail, SEAL, again, log) == 19


async def test_a_worker_that_begins_far_behind_the_last_head_waits(settings: Settings, database: Database) -> None:
    """Whether nobody worked for so long, or the clock is wrong, it cannot know. A head of a time to come says nothing."""
    machine = Machine()
    async with trail_of(database, "b", clock=lambda: machine.now + timedelta(days=900)):
        pass
    async with trail_of(database, "w") as trail:
        steady = machine.steady(database, trail)
        assert await steady.held() == timedelta(days=1)
        machine.goes_on(24)
        assert await steady.held() is None
    async with trail_of(database, "w") as trail:
        assert await Machine().steady(database, trail).held() is not None  # of the row before
    assert len(await asked(database, "SELECT seq FROM audit WHERE action = 'audit.clock'")) == 1


async def test_left_out_rows_are_kept_for_ever(settings: Settings, database: Database) -> None:
    ever = settings.model_copy(update={"retention": settings.retention.model_copy(update={"audit_days": None})})
    async with trail_of(database, "w") as trail:
        assert await clean_audit(ever, database, trail, SEAL) == 0
    (finding,) = await check(ever.read_from(settings.file))
    assert finding.name == "ok" and "kept for ever" in finding.what


async def test_evidence_goes_by_its_age_and_waits_for_a_clock_that_has_jumped(settings: Settings) -> None:
    log, days = structlog.get_logger(), {"evidence_days": 30}
    own = settings.model_copy(update={"retention": settings.retention.model_copy(update=days)})
    machine = Machine()
    async with await database_of(settings) as database, trail_of(database, "w", clock=lambda: machine.now) as trail:
        async with database.write() as connection:
            await connection.execute(insert(CUSTOMERS).values(
                ref="anna", number_index="x", key_id="k", wrapped=b"", number=b"", name=b"", locked=False
            ))  # fmt: skip
            for name, old in (("old", 31), ("new", 29)):
                at = int(days_ago(old).timestamp())
                await connection.execute(
                    insert(EVIDENCE).values(id=name, customer="anna", provider="bankid", at=at, sealed=b"")
                )
        assert await keep_evidence(settings, database, machine.steady(database, trail), log) == 0, "for ever"
        steady = machine.steady(database, trail)
        assert await steady.held() is None
        machine.now += timedelta(days=400)
        with structlog.testing.capture_logs() as logged:
            assert await keep_evidence(own, database, steady, log) == 0
        assert [line["kind"] for line in logged] == ["evidence"]
        machine.goes_on(24)
        assert await keep_evidence(own, database, steady, log) == 1
        assert await asked(database, "SELECT id FROM customer_evidence") == [("new",)]


def test_old_texts_of_the_trial_gateway_go(tmp_path: Any) -> None:
    settings = settings_in(tmp_path)
    folder = settings.path(settings.texts.outbox_folder)
    assert clean_outbox(settings) == 0
    folder.mkdir()
    for name, days in (("old.json", 8), ("new.json", 6), ("old.txt", 8)):
        file = folder / name
        file.write_text("{}")
        os.utime(file, (days_ago(days).timestamp(),) * 2)
    assert clean_outbox(settings) == 1
    assert sorted(file.name for file in folder.iterdir()) == ["new.json", "old.txt"]
