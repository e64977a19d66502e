"""Whether a changed trail is found out, and the first bad row named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from ivr.audit import Fault, Report, Verifier, verify
from ivr.audit.chain import COLUMNS, End, Written, end_of, hash_of, put
from ivr.audit.heads import Head
from ivr.audit.signing import Seal
from ivr.audit.table import AUDIT
from ivr.audit.verify import Wanted, heads_in, recent
from ivr.call.ports import Entry
from ivr.config import Settings
from ivr.database import Database
from ivr.vault import Key
from tests.unit.conftest import Either
from tests.unit.database_kit import SEAL, database_of, settings_in, tamper, trail_of

OTHER = Seal(Key("ffffffff", bytes(32)))
"""A key that the attacker has made."""


@pytest.fixture
def settings(either: Either) -> Settings:
    return either()


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """Two chains of five rows each, `b` begun within `a`'s time: the head of `a` has seen all of `b`."""
    async with await database_of(settings) as database:
        async with trail_of(database, "a") as one, trail_of(database, "b") as two:
            for number in range(1, 6):
                for trail in (one, two):
                    await trail.append(Entry("w", f"act{number}", "done", call=str(number), subject="anna"))
        yield database


async def looked_at(database: Database, keys: Verifier = SEAL.verifier) -> Report:
    return await verify(database, keys)


async def after(database: Database, *statements: str) -> Fault | None:
    await tamper(database, *statements)
    faults = (await looked_at(database)).faults
    assert len(faults) <= 1
    return faults[0] if faults else None


async def row_of(database: Database, chain: str, seq: int) -> dict[str, Any]:
    query = select(AUDIT).where(AUDIT.c.chain == chain, AUDIT.c.seq == seq)
    async with database.read() as connection:
        return dict((await connection.execute(query)).mappings().one())


async def put_in(database: Database, row: dict[str, Any]) -> None:
    """A row with the hash that it should have."""
    async with database.write() as connection:
        await connection.execute(insert(AUDIT), row | {"hash": hash_of(row)})


async def test_an_untouched_trail_is_good(database: Database) -> None:
    report = await looked_at(database)
    assert report.faults == ()
    assert report.rows == {"a": 5, "b": 5}
    assert len(set(report.heads.values())) == 2
    assert report.signed.keys() == {"a", "b"}


async def test_an_empty_trail_is_good(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    async with await database_of(settings_in(folder)) as database:
        assert (await looked_at(database)).rows == {}


async def changed(database: Database, seq: int, column: str, value: object) -> Report:
    """What is found while this column of chain b has this value; it is put back."""
    place = (AUDIT.c.chain == "b") & (AUDIT.c.seq == seq)
    before = (await row_of(database, "b", seq))[column]
    async with database.write() as connection:
        await connection.execute(update(AUDIT).where(place).values({column: value}))
    report = await looked_at(database)
    async with database.write() as connection:
        await connection.execute(update(AUDIT).where(place).values({column: before}))
    return report


async def test_any_changed_column_is_found(database: Database) -> None:
    await tamper(database)
    for column in (*COLUMNS[2:], "hash", "once", "signature"):
        for seq in (1, 3, 5):
            for value in ("abc", *([None] if column == "signature" else [])):
                faults = (await changed(database, seq, column, value)).faults
                assert [(fault.chain, fault.seq) for fault in faults] == [("b", seq)], (column, seq, value)
    assert (await looked_at(database)).faults == ()


async def test_two_rows_that_changed_places_are_found(database: Database) -> None:
    fault = await after(
        database,
        "UPDATE audit SET seq = 99 WHERE chain = 'a' AND seq = 2",
        "UPDATE audit SET seq = 2 WHERE chain = 'a' AND seq = 4",
        "UPDATE audit SET seq = 4 WHERE chain = 'a' AND seq = 99",
    )
    assert fault == Fault("a", 2, "changed: its hash is not that of what stands in it")


async def test_a_value_of_another_type_is_found(tmp_path: Path) -> None:
    """SQLite alone has them, in a table that somebody has made anew."""
    async with await database_of(settings_in(tmp_path)) as database:
        async with trail_of(database, "b") as trail:
            for _ in range(3):
                await trail.append(Entry("w", "act", "done"))
        await tamper(
            database, "ALTER TABLE audit RENAME TO old", "CREATE TABLE audit AS SELECT * FROM old",
        )  # fmt: skip
        for column in ("actor", "hash", "signature"):
            before = (await row_of(database, "b", 2))[column]
            for value in ("7", "x'00'", "1.5", *(["NULL"] if column != "signature" else [])):
                await tamper(database, f"UPDATE audit SET {column} = {value} WHERE chain = 'b' AND seq = 2")
                faults = (await looked_at(database)).faults
                assert [(fault.chain, fault.seq) for fault in faults] == [("b", 2)], (column, value)
            await tamper(database, f"UPDATE audit SET {column} = '{before}' WHERE chain = 'b' AND seq = 2")
        assert (await looked_at(database)).faults == ()


@pytest.mark.parametrize(("gone", "named"), [("1", 1), ("3", 3), ("2, 3, 4", 2), ("1, 2, 3, 4", 1)])
async def test_a_missing_row_is_named(database: Database, gone: str, named: int) -> None:
    fault = await after(database, f"DELETE FROM audit WHERE chain = 'a' AND seq IN ({gone})")
    assert fault is not None
    assert (fault.chain, fault.seq) == ("a", named)
    assert fault.problem.startswith("missing")


@pytest.mark.parametrize("count", [1, 2, 4])
async def test_rows_cut_off_at_the_end_are_missed(database: Database, count: int) -> None:
    fault = await after(database, f"DELETE FROM audit WHERE chain = 'b' AND seq > {5 - count}")
    assert fault is not None and (fault.chain, fault.seq) == ("b", 6 - count)
    assert fault.problem.startswith("missing: cut at the end") and fault.problem.endswith("tells of row 5")


async def test_a_head_that_was_put_back_with_its_rows_is_found_by_the_other_chains(database: Database) -> None:
    """An attacker who has kept an old head: what it tells of was true once, but others have seen more since."""
    async with trail_of(database, "c") as trail:
        await trail.append(Entry("w", "one", "done"))
        [old] = [head for head in await heads_in(database) if head.chain == "c"]
        await trail.append(Entry("w", "two", "done"))
        await trail.append(Entry("w", "three", "done"))
    async with trail_of(database, "d"):
        pass
    fault = await after(
        database,
        "DELETE FROM audit WHERE chain = 'c' AND seq > 1",
        "DELETE FROM audit_heads WHERE chain = 'c'",
        "INSERT INTO audit_heads (chain, seq, hash, at, seen, signature) VALUES "
        f"('c', {old.seq}, '{old.hash}', '{old.at}', '{old.seen}', '{old.signature}')",
    )
    assert fault is not None and (fault.chain, fault.seq) == ("c", 2)
    assert "head of chain d" in fault.problem


@pytest.mark.parametrize("heads_too", [False, True])
async def test_a_chain_that_is_gone_as_a_whole_is_missed(database: Database, heads_too: bool) -> None:
    gone = ["DELETE FROM audit WHERE chain = 'b'"]
    if heads_too:
        gone.append("DELETE FROM audit_heads WHERE chain = 'b'")
    fault = await after(database, *gone)
    assert fault is not None and (fault.chain, fault.seq) == ("b", 1)
    assert fault.problem.startswith("missing: the whole chain is gone")


async def test_all_that_went_back_together_is_found_by_heads_kept_elsewhere(database: Database) -> None:
    """Also what this cannot show: without the kept heads, a database of yesterday is a good one."""
    kept = await heads_in(database)
    everything = ("DELETE FROM audit", "DELETE FROM audit_heads")
    await tamper(database, *everything)
    assert (await looked_at(database)).faults == ()
    report = await verify(database, SEAL.verifier, kept)
    assert [(fault.chain, fault.seq) for fault in report.faults] == [("a", 1), ("b", 1)]


async def test_a_missing_or_forged_head_is_told(database: Database) -> None:
    fault = await after(database, "UPDATE audit_heads SET at = '2030-01-01T00:00:00.000000Z' WHERE chain = 'b'")
    assert fault == Fault("b", 5, "its head is not signed by the audit key")
    fault = await after(database, "DELETE FROM audit_heads WHERE chain = 'b'")
    assert fault == Fault("b", 5, "the chain has no signed head: it was removed")


async def test_a_chain_written_anew_from_some_row_on_is_named_there(database: Database) -> None:
    """Every hash is right then; only the signatures are not, for the audit key is not the attacker's."""
    for seal, stolen in ((None, False), (None, True), (OTHER, False)):
        rows = [await row_of(database, "a", seq) for seq in range(1, 6)]
        old = [row["signature"] for row in rows]
        await tamper(database, "DELETE FROM audit WHERE chain = 'a' AND seq >= 3")
        end = End(2, rows[1]["hash"], rows[1]["signature"])
        for row, signature in zip(rows[2:], old[2:], strict=True):
            row |= {"outcome": "forged", "previous": end.link, "seq": end.seq + 1}
            row["hash"] = hash_of(row)
            row["signature"] = (
                signature if stolen else seal and seal.sign("tillit-audit-row-1", "a", row["seq"], row["hash"])
            )
            await put_in(database, row)
            end = End(row["seq"], row["hash"], row["signature"])
        # the head goes along, as far as that can be
        await tamper(database, "DELETE FROM audit_heads")
        faults = (await looked_at(database)).faults
        assert (faults[0].chain, faults[0].seq) == ("a", 3), (seal, stolen)


async def test_a_row_put_at_the_end_is_found(database: Database) -> None:
    last = await row_of(database, "a", 5)
    previous = End(5, last["hash"], last["signature"]).link
    await tamper(database)
    await put_in(database, last | {"seq": 6, "action": "forged", "previous": previous, "signature": None})
    [fault] = (await looked_at(database)).faults
    assert (fault.chain, fault.seq) == ("a", 6)
    assert fault.problem.startswith("not signed")


async def test_a_row_put_at_the_end_with_another_key_is_found(database: Database) -> None:
    last = await row_of(database, "a", 5)
    end = End(5, last["hash"], last["signature"])
    row = Written(last["at"], "w", "forged", "done", "", "", "{}", None)
    async with database.write() as connection:
        await connection.run_sync(lambda sync: put(sync, "a", [row], OTHER, end))
    [fault] = (await looked_at(database)).faults
    assert fault == Fault("a", 6, "signed by key ffffffff, which is not known here")


async def test_a_gap_closed_by_new_numbers_is_found(database: Database) -> None:
    fault = await after(
        database,
        "DELETE FROM audit WHERE chain = 'a' AND seq = 3",
        "UPDATE audit SET seq = 3 WHERE chain = 'a' AND seq = 4",
        "UPDATE audit SET seq = 4 WHERE chain = 'a' AND seq = 5",
    )
    assert fault is not None and (fault.chain, fault.seq) == ("a", 3)


async def test_an_inserted_row_is_found(database: Database) -> None:
    """Numbers moved up to make room, and the new row's own hash made right; it cannot be signed."""
    await tamper(
        database,
        "UPDATE audit SET seq = 6 WHERE chain = 'a' AND seq = 5",
        "UPDATE audit SET seq = 5 WHERE chain = 'a' AND seq = 4",
    )
    before = await row_of(database, "a", 3)
    previous = End(3, before["hash"], before["signature"]).link
    await put_in(database, before | {"seq": 4, "action": "forged", "previous": previous})
    [fault] = (await looked_at(database)).faults
    assert (fault.chain, fault.seq) == ("a", 4)


@pytest.mark.parametrize("signature", [True, False])
async def test_a_row_replaced_hash_and_all_is_found(database: Database, signature: bool) -> None:
    row = await row_of(database, "a", 3)
    await tamper(database, "DELETE FROM audit WHERE chain = 'a' AND seq = 3")
    await put_in(database, row | {"outcome": "forged", "signature": row["signature"] if signature else None})
    [fault] = (await looked_at(database)).faults
    assert (fault.chain, fault.seq) == ("a", 3)


async def test_a_row_before_the_first_is_found(database: Database) -> None:
    row = await row_of(database, "a", 1)
    await tamper(database)
    await put_in(database, row | {"seq": 0})
    [fault] = (await looked_at(database)).faults
    assert (fault.chain, fault.seq) == ("a", 1)
    assert "inserted" in fault.problem


async def test_rows_of_one_chain_cannot_be_passed_off_as_anothers(database: Database) -> None:
    await tamper(database, "UPDATE audit SET chain = 'c' WHERE chain = 'b'")
    faults = (await looked_at(database)).faults
    assert [(fault.chain, fault.seq) for fault in faults] == [("b", 1), ("c", 1)]


async def test_the_first_bad_row_of_each_chain_is_named_and_the_good_ones_counted(database: Database) -> None:
    await tamper(
        database,
        "UPDATE audit SET outcome = 'x' WHERE chain = 'b' AND seq > 3",
        "UPDATE audit SET outcome = 'x' WHERE chain = 'a' AND seq > 1",
    )
    report = await looked_at(database)
    assert [(fault.chain, fault.seq) for fault in report.faults] == [("a", 2), ("b", 4)]
    assert report.rows == {"a": 1, "b": 3}


async def test_a_trail_longer_than_one_reading(database: Database) -> None:
    async with trail_of(database, "aa") as trail:
        await asyncio.gather(*(trail.append(Entry("w", "act", "done")) for _ in range(2500)))
    assert (await looked_at(database)).rows == {"a": 5, "aa": 2500, "b": 5}
    fault = await after(database, "UPDATE audit SET outcome = 'x' WHERE chain = 'aa' AND seq = 2222")
    assert fault is not None and (fault.chain, fault.seq) == ("aa", 2222)


async def test_of_many_signatures_the_first_bad_one_is_named(database: Database) -> None:
    """Only every so many are looked at, and what is between them is covered by the next."""
    seal = SEAL

    def grow(connection: Any) -> None:
        end = End()
        for number in range(1, 601):
            # the attacker has written the last hundred
            seal_now = seal if number <= 500 else OTHER
            row = Written("2026-01-01T00:00:00.000000Z", "w", "act", "done", "", "", "{}", None)
            end = put(connection, "many", [row], seal_now, end)

    async with database.write() as connection:
        await connection.run_sync(grow)
    faults = [fault for fault in (await looked_at(database)).faults if fault.chain == "many"]
    assert [fault.seq for fault in faults] == [501]


async def test_what_a_former_key_signed_stays_good(database: Database) -> None:
    new = Seal(Key("11111111", bytes(range(1, 33))), [SEAL.public])
    async with trail_of(database, "a", seal=new) as trail:
        await trail.append(Entry("w", "act6", "done"))
    assert (await verify(database, new.verifier)).faults == ()
    faults = (await verify(database, Verifier([new.public]))).faults
    assert faults[0] == Fault("b", 1, f"signed by key {SEAL.id}, which is not known here")


async def test_what_the_last_rows_are(database: Database) -> None:
    assert [row["action"] for row in await recent(database, most=3)] == ["act4", "act5", "act5"]
    assert [row["chain"] for row in await recent(database, most=9, wanted=Wanted(call="2"))] == ["a", "b"]
    assert await recent(database, most=9, wanted=Wanted(subject="bo")) == []
    assert len(await recent(database, most=100, wanted=Wanted(subject="anna"))) == 10
    assert await recent(database, most=9, wanted=Wanted(actor="%")) == []
    third = (await row_of(database, "a", 3))["at"]
    assert [row["seq"] for row in await recent(database, most=9, wanted=Wanted(since=third))] == [3, 3, 4, 4, 5, 5]
    assert [row["seq"] for row in await recent(database, most=9, wanted=Wanted(until=third))] == [1, 1, 2, 2]


def test_a_head_of_other_types_is_none() -> None:
    with pytest.raises(ValueError, match="no head"):
        Head.read({"chain": "a", "seq": "1"})


async def test_the_end_as_the_database_has_it(database: Database) -> None:
    async with database.read() as connection:
        end = await connection.run_sync(end_of, "a")
        assert await connection.run_sync(end_of, "nobody") == End()
    row = await row_of(database, "a", 5)
    assert end == End(5, row["hash"], row["signature"])
