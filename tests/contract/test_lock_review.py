"""The audit trail as auditors and data owners read it: the own tenant's rows, in pieces, each look told of, and what was changed is shown."""

from __future__ import annotations

import ast
import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.util import await_only

import ivr
from ivr.call.ports import Entry
from ivr.lock import OF_KIND, Found, Granted, Kind, Noted, Place, Question, Reason
from ivr.lock.actions import ACTIONS
from ivr.lock.trailrows import Sought, TrailRows
from ivr.staff import TENANT, Permission, Person, Role
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, ELSE, HANGS, RITA, Desk, Somebody, denied, desk_of
from tests.unit.conftest import Either
from tests.unit.database_kit import SEAL, asked, held, on_postgresql, tamper

pytestmark = pytest.mark.servers

MARA = Person("p-mara", TENANT, "mara", "Mara", Role.AUDITOR)
DORA = Person("p-dora", "acme", "dora", "Dora", Role.DATA_OWNER)
ALL = Question()


@pytest.fixture
async def desk(request: pytest.FixtureRequest, either: Either, server: Server) -> AsyncIterator[Desk]:
    async with desk_of(either(seconds=getattr(request, "param", 10.0)), server) as made:
        made.staff.persons |= {person.id: person for person in (MARA, DORA)}
        yield made


async def seen(desk: Desk, by: Person, question: Question = ALL, before: Place | None = None, most: int = 100) -> Found:
    found = await desk.review.rows(by, question, before, most)
    assert isinstance(found, Found), found
    return found


def told(rows: Iterable[Noted]) -> list[tuple[str, str, str]]:
    return [(row.actor, row.action, row.outcome) for row in rows]


# ---------------------------------------------------------------- who sees what


async def test_an_auditor_sees_the_newest_rows_first_and_each_look_is_one_of_them(desk: Desk) -> None:
    ref = await desk.call()
    await desk.lock.record(ANNA, ref, ["name"])
    await seen(desk, RITA, Question(ref=ref, actor="anna", call="c.1"))
    rows = (await seen(desk, RITA)).rows
    assert told(rows) == [
        ("desk:rita", "audit.read", "granted"), ("desk:rita", "audit.read", "granted"), ("desk:anna", "record.read", "granted"),
    ]  # fmt: skip
    assert all(row.sound for row in rows)
    # what was typed may be a name or a number: that it was searched by is told, and what has not the form is not
    assert (rows[1].subject, rows[1].detail) == (ref, {"person": "p-rita", "tenant": "acme", "by": "actor,call,ref"})
    assert rows[2].call == "c.1" and rows[2].detail["fields"] == "name"


async def test_what_was_searched_for_is_told_where_it_can_be_nothing_else(desk: Desk) -> None:
    since = "2026-01-01T00:00:00.000000Z"
    await seen(desk, RITA, Question(Kind.CALLS, call="pbx-1795318424.31", since=since))
    *_, detail = await desk.last()
    assert detail == {
        "person": "p-rita", "tenant": "acme", "kind": "calls", "of_call": "pbx-1795318424.31", "since": since, "by": "call",
    }  # fmt: skip
    await seen(desk, RITA, Question(call="+46701234567", actor="+46701234567"))
    assert "46701234567" not in str(await desk.last())


async def test_a_data_owner_sees_who_read_whom_and_nothing_else(desk: Desk) -> None:
    ref = await desk.call()
    await desk.lock.record(ANNA, ref, ["name"])
    await desk.trail.append(Entry("desk:anna", "desk.sign_in", "done", detail={"tenant": "acme"}))
    for question in (ALL, Question(Kind.READS), Question(ref=ref)):
        assert told((await seen(desk, DORA, question)).rows) == [("desk:anna", "record.read", "granted")]
    assert await desk.review.rows(DORA, Question(Kind.SYSTEM), None, 10) == denied(Reason.NOT_PERMITTED)
    assert (await desk.last())[:3] == ("desk:dora", "audit.read", "refused")


async def test_what_a_search_by_post_has_given_out_is_a_read_and_may_be_a_change(desk: Desk) -> None:
    ref = await desk.call()
    matter = desk.lock.matter(Somebody(ANNA, monotonic()), "proxy.change", {"pattern": "search", "method": "POST"})
    assert isinstance(await matter.weigh(ref, 1), Granted)
    assert isinstance(await matter.note(), Granted)
    for who, kind in ((DORA, Kind.READS), (RITA, Kind.READS), (RITA, Kind.CUSTOMERS)):
        assert told((await seen(desk, who, Question(kind))).rows) == [("desk:anna", "proxy.change", "granted")]


@pytest.mark.parametrize("role", [Role.AGENT, Role.SUPERVISOR, Role.ADMINISTRATOR])
async def test_all_others_see_nothing_of_it(desk: Desk, role: Role) -> None:
    who = desk.staff.change(ANNA, role=role)
    assert await desk.review.rows(who, ALL, None, 10) == denied(Reason.NOT_PERMITTED)
    assert (await desk.last())[:3] == ("desk:anna", "audit.read", "refused")


async def test_who_may_no_longer_is_refused_whatever_the_session_says(desk: Desk) -> None:
    desk.staff.change(RITA, denied=frozenset({Permission.TRAIL, Permission.READS}))
    assert await desk.review.rows(RITA, ALL, None, 10) == denied(Reason.NOT_PERMITTED)


@HANGS
async def test_where_the_look_cannot_be_told_of_nothing_is_shown(desk: Desk) -> None:
    async with held(desk.settings):
        assert await desk.review.rows(RITA, ALL, None, 10) == denied(Reason.UNAVAILABLE)
    assert (await desk.rows()).count(("desk:rita", "audit.read", "granted")) <= 1


# ---------------------------------------------------------------- whose rows


async def test_each_tenant_has_its_own_rows_and_no_others(desk: Desk) -> None:
    theirs = await desk.customer("10001", tenant="acme")
    others = await desk.customer("10002", tenant="other")
    tells = {
        "own": Entry("desk:x", "own", "done", detail={"tenant": "acme"}),
        "of a customer": Entry("caller", "verify", "verified", subject=theirs),
        "spelled otherwise": Entry("desk:x", "spelled", "done", detail={"tenant": "Acme"}),
        "wild": Entry("desk:x", "wild", "done", detail={"tenant": "acm_"}),
        "said": Entry("desk:x", "said", "done", detail={"reason": '"tenant":"acme"', "tenant": "other"}),
        "another's": Entry("caller", "verify", "refused", subject=others),
        # by an agent of theirs, who asked for a customer of others
        "asked": Entry("desk:x", "asked", "refused", subject=others, detail={"tenant": "acme"}),
        "nobody's": Entry("worker", "texts.close", "closed"),
        "unknown": Entry("caller", "verify", "refused", subject="a" * 12),
    }
    for entry in tells.values():
        await desk.trail.append(entry)

    async def of(by: Person) -> list[tuple[str, str]]:
        return [(row.action, row.outcome) for row in (await seen(desk, by)).rows if row.action != "audit.read"]

    assert await of(RITA) == [("asked", "refused"), ("verify", "verified"), ("own", "done")]
    assert await of(replace(MARA)) == [("verify", "refused"), ("texts.close", "closed")]
    # which customers others have is not told, either
    assert (await seen(desk, MARA, Question(ref=theirs))).rows[1:] == []
    assert [row.action for row in (await seen(desk, RITA, Question(ref=others))).rows][1:] == ["asked"]
    desk.staff.change(ELSE, role=Role.AUDITOR)
    assert await of(ELSE) == [("verify", "refused"), ("said", "done")]


async def test_what_is_erased_stays_its_tenants_in_the_trail(desk: Desk) -> None:
    ref = await desk.customer("10001", tenant="acme")
    line = {"node": "n", "policy": "acme-line", "tenant": "acme"}
    await desk.trail.append(Entry("caller", "verify", "verified", subject=ref, detail=line))
    await desk.trail.append(Entry("caller", "verify", "locked", detail=line))
    await desk.trail.append(Entry("cli:root", "customer.show", "done", subject=ref, detail={"tenant": "acme"}))
    async with desk.database.write() as connection:
        customer = await desk.register.by_ref(connection, ref, change=True)
        assert customer is not None
        await desk.register.remove(connection, customer)
    assert told((await seen(desk, MARA)).rows)[1:] == []
    assert told((await seen(desk, RITA)).rows)[1:] == [
        ("cli:root", "customer.show", "done"), ("caller", "verify", "locked"), ("caller", "verify", "verified"),
    ]  # fmt: skip


# ---------------------------------------------------------------- in pieces


async def rows_of(desk: Desk, count: int, **more: str) -> None:
    for number in range(count):
        await desk.trail.append(Entry("desk:anna", f"act{number}", "done", detail={"tenant": "acme"}, **more))


async def test_pieces_end_where_the_next_one_begins_whatever_is_written_meanwhile(desk: Desk) -> None:
    await rows_of(desk, 5)
    first = await seen(desk, RITA, most=2)
    assert first.behind is not None
    assert [row.action for row in first.rows] == ["audit.read", "act4"]
    second = await seen(desk, RITA, before=first.behind, most=3)
    third = await seen(desk, RITA, before=second.behind, most=3)
    assert [row.action for row in second.rows] == ["act3", "act2", "act1"]
    assert ([row.action for row in third.rows], third.behind) == (["act0"], None)


async def test_rows_of_one_moment_are_each_given_once(desk: Desk) -> None:
    await rows_of(desk, 6)
    await tamper(desk.database, "UPDATE audit SET at = '2026-11-23T10:00:00.000000Z'")
    search = TrailRows(desk.database, SEAL.verifier)
    given, behind = [], None
    for _ in range(3):
        piece = await search.found(Sought("acme"), behind, 2)
        given += [row.action for row in piece.rows]
        behind = piece.behind
    assert (given, behind) == ([f"act{number}" for number in range(5, -1, -1)], None)


def ticking(seconds: float) -> Callable[[], float]:
    """A clock on which so much has passed whenever it is looked at."""
    return count(0.0, seconds).__next__


@pytest.mark.parametrize(
    ("seconds", "pieces"),
    [(1.0, [[], [], ["act0", "act0"]]), (0.15, [[], ["act0", "act0"]]), (0.0, [["act0", "act0"]])],
)
async def test_windows_are_looked_through_for_so_long_and_the_search_goes_on_behind_them(
    desk: Desk, seconds: float, pieces: list[list[str]]
) -> None:
    await rows_of(desk, 1, subject="a" * 12)
    await rows_of(desk, 9)
    search = TrailRows(desk.database, SEAL.verifier, window=4, clock=ticking(seconds))
    wanted = Sought("acme", actions={"act0"})
    found = [await search.found(wanted, None, 10)]
    while (behind := found[-1].behind) is not None:
        found.append(await search.found(wanted, behind, 10))
    assert [[row.action for row in piece.rows] for piece in found] == pieces
    # all but the last one say that they were not looked for to the end
    assert [piece.short for piece in found] == [True] * (len(pieces) - 1) + [False]
    # by a customer there is an index
    (row,) = (await search.found(Sought("acme", subject="a" * 12), None, 10)).rows
    assert row.action == "act0"


async def test_a_piece_that_is_full_ends_there_in_whatever_window(desk: Desk) -> None:
    await rows_of(desk, 10)
    search = TrailRows(desk.database, SEAL.verifier, window=4, clock=ticking(0.0))
    first = await search.found(Sought("acme"), None, 6)
    assert [row.action for row in first.rows] == [f"act{number}" for number in range(9, 3, -1)]
    assert (first.behind, first.short) == (first.rows[-1].place, False)
    second = await search.found(Sought("acme"), first.behind, 6)
    assert [row.action for row in second.rows] == [f"act{number}" for number in range(3, -1, -1)]
    assert (second.behind, second.short) == (None, False)


async def test_others_have_their_turn_after_each_window(desk: Desk) -> None:
    await rows_of(desk, 10)
    turns, looks = 0, list[int]()

    async def another() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def clock() -> float:
        looks.append(turns)
        return 0.0

    task = asyncio.create_task(another())
    await TrailRows(desk.database, SEAL.verifier, window=4, clock=clock).found(
        Sought("acme", actions={"none"}), None, 10
    )
    task.cancel()
    assert len(looks) == 3 and looks == sorted(set(looks))


async def test_by_time_person_call_and_kind(desk: Desk) -> None:
    await desk.trail.append(Entry("desk:anna", "record.read", "granted", call="17.1", detail={"tenant": "acme"}))
    await desk.trail.append(Entry("desk:bo_1", "desk.sign_in", "done", call="17.2", detail={"tenant": "acme"}))
    ((at,),) = await asked(desk.database, "SELECT at FROM audit WHERE action = 'desk.sign_in'")
    for question, actions in (
        (Question(Kind.READS), ["record.read"]),
        (Question(Kind.SIGN_INS), ["desk.sign_in"]),
        (Question(actor="bo_"), ["desk.sign_in"]),
        (Question(actor="b%"), []),
        (Question(call="17.1"), ["record.read"]),
        (Question(until=at), ["record.read"]),
        (Question(Kind.SIGN_INS, since=at), ["desk.sign_in"]),
    ):
        assert [row.action for row in (await seen(desk, RITA, question)).rows if row.action != "audit.read"] == actions


_MANY = {
    True: "SELECT 'many', n, to_char(timestamp '2026-01-01' + n * interval '1 second', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), 'caller', "
    "'verify', 'verified', n::text, 'ref' || n % 50000, '{}', '', '' FROM generate_series(1, 100000) n",
    False: "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000) "
    "SELECT 'many', n, strftime('%Y-%m-%dT%H:%M:%S', 1767225600 + n, 'unixepoch') || '.000000Z', 'caller', 'verify', 'verified', "
    "CAST(n AS TEXT), 'ref' || (n % 50000), '{}', '', '' FROM numbers",
}


async def test_no_question_has_the_database_go_through_all_of_the_trail(desk: Desk) -> None:
    """It may have millions of rows: by time from the newest on, by a customer or a call by theirs."""
    on_server = on_postgresql(desk.settings)
    async with desk.database.write() as connection:
        columns = "(chain, seq, at, actor, action, outcome, call, subject, detail, previous, hash)"
        await connection.exec_driver_sql(f"INSERT INTO audit {columns} {_MANY[on_server]}")
        await connection.exec_driver_sql("ANALYZE audit")
    search, place = TrailRows(desk.database, SEAL.verifier), Place("2026-01-01T20:00:00.000000Z", "many", 7)
    for sought, before, index in (
        (Sought(TENANT), None, "ix_audit_at"),
        (Sought(TENANT, actor="nobody", since="2026-01-01T00:00:00.000000Z"), place, "ix_audit_at"),
        (Sought(TENANT, subject="ref77"), None, "ix_audit_subject"),
        (Sought(TENANT, call="77"), place, "ix_audit_call"),
    ):
        async with desk.database.read() as connection:
            plans = await connection.run_sync(_plans, search, sought, before, "" if on_server else "QUERY PLAN")
        assert index in plans[0], plans[0]
        for line in "\n".join(plans).splitlines():
            assert "Seq Scan on audit" not in line, line
            # what goes through an index ends with the window
            assert "SCAN audit" not in line or "USING INDEX ix_audit_at" in line, line


def _plans(connection: Connection, search: TrailRows, sought: Sought, before: Place | None, how: str) -> list[str]:
    """What the database says of each statement that it is asked."""
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    search._found(connection, sought, before, 100)
    event.remove(connection, "before_cursor_execute", note)
    return [
        "\n".join(str(tuple(row)) for row in connection.exec_driver_sql(f"EXPLAIN {how} {statement}", parameters))
        for statement, parameters in asked
    ]


# ---------------------------------------------------------------- whether it is as it was written


@pytest.mark.parametrize(
    ("change", "bad"),
    [
        ("UPDATE audit SET outcome = 'refused' WHERE seq = 3", {3}),
        ("UPDATE audit SET detail = 'rubbish' WHERE seq = 3", {3}),
        ("UPDATE audit SET hash = previous WHERE seq = 3", {3}),
        ("UPDATE audit SET signature = NULL WHERE seq = 3", {3}),
        ("UPDATE audit SET signature = (SELECT signature FROM audit WHERE seq = 2) WHERE seq = 3", {3}),
        ("DELETE FROM audit WHERE seq = 3", {2}),
    ],
)
async def test_a_row_that_was_changed_or_taken_away_is_shown_to_be(desk: Desk, change: str, bad: set[int]) -> None:
    await rows_of(desk, 5)
    await tamper(desk.database, change)
    search = TrailRows(desk.database, SEAL.verifier)
    rows = (*(await search.found(Sought("acme"), None, 10)).rows, *(await search.found(Sought(TENANT), None, 10)).rows)
    assert {row.place.seq for row in rows if not row.sound} == bad


class Busy(TrailRows):
    """A look between whose every two statements a row is written."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.database, SEAL.verifier)
        self._desk = desk
        self._loop = asyncio.get_running_loop()
        self.written = 0

    def _unsound(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> set[Place]:
        event.listen(connection, "after_cursor_execute", self._write)
        try:
            return super()._unsound(connection, rows)
        finally:
            event.remove(connection, "after_cursor_execute", self._write)

    def _write(self, *_: object) -> None:
        one = self._desk.trail.append(Entry("desk:anna", "act", "done", detail={"tenant": "acme"}))
        if on_postgresql(self._desk.settings):
            await_only(one)
        else:
            asyncio.run_coroutine_threadsafe(one, self._loop).result()
        self.written += 1


async def test_a_trail_that_is_written_to_while_it_is_looked_at_is_not_shown_as_changed(desk: Desk) -> None:
    await rows_of(desk, 3)
    search = Busy(desk)
    rows = (await search.found(Sought("acme"), None, 10)).rows
    assert [row.action for row in rows if row.sound] == ["act2", "act1", "act0"]
    assert search.written > 1


# ---------------------------------------------------------------- nothing is left out


def test_every_action_of_the_trail_is_of_a_kind() -> None:
    listed = Counter(action for actions in OF_KIND.values() for action in actions)
    assert {action for action, kinds in listed.items() if kinds != 1} == {"proxy.change"}
    assert set(listed) == _written() | {f"customer.{action}" for action in ACTIONS}


_TELLS = frozenset({
    "Entry", "entry", "tell", "refuse", "failed", "Refused", "refusing", "matter", "known", "_refused", "_refuse", "_opened", "_tell", "_set",
})  # fmt: skip


def _written() -> set[str]:
    """The actions that stand in the source as such: the argument of what writes rows, or a constant that it is given."""
    found: set[str] = set()
    for file in Path(ivr.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        constants = dict(_constants(tree))
        for call in ast.walk(tree):
            if isinstance(call, ast.Assign) and getattr(call.targets[0], "id", "") == "action":
                found |= {text for text in _texts(call.value, constants) if _is_action(text)}
            if not isinstance(call, ast.Call):
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            values = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "action")]
            if name in _TELLS:
                found |= {text for value in values for text in _texts(value, constants) if _is_action(text)}
    return found


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            pairs = (
                zip(target.elts, getattr(node.value, "elts", ()), strict=False)
                if isinstance(target, ast.Tuple)
                else [(target, node.value)]
            )
            for one, value in pairs:
                if isinstance(one, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield one.id, value.value


def _texts(value: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Name) and node.id in constants:
            yield constants[node.id]


def _is_action(text: str) -> bool:
    words = text.split(".")
    single = text in ("verify", "init", "restore", "backup", "proof", "eid", "dial", "history")
    return single or (len(words) == 2 and all(word.replace("_", "").isalpha() and word.islower() for word in words))
