"""The trail takes no rows for a while: those of the calls that end meanwhile are written when it does, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from ivr.call.arrears import Arrears, Told
from ivr.call.mark import STATUS
from ivr.call.ports import Entry
from ivr.call.progress import Progress
from ivr.call.session import Session
from ivr.errors import StoreError, TakenUp, Unavailable
from ivr.prompts import Prompt
from tests.unit.fakes import ANNA_PIN, FakeLine, World
from tests.unit.fakes.time import clock

Made = tuple[World, FakeLine]
AWAY = StoreError("database: SQLITE_BUSY")
HAPPENED = "2023-11-14T22:"


def verified() -> Made:
    world = World()
    return world, world.line("pin", answers={Prompt.ASK_PIN: [f"{ANNA_PIN}#"]})


def refused() -> Made:
    world = World()
    return world, world.line("pin", answers={Prompt.ASK_PIN: ["9999#"] * 3})


def abandoned() -> Made:
    world, line = verified()
    world.plot.on("line.receive", line.caller_hangs_up)
    return world, line


def left_behind_the_pin() -> Made:
    world, line = verified()
    world.plot.on("trail.append", line.caller_hangs_up)
    return world, line


def owing(world: World, line: FakeLine) -> Callable[[], object]:
    """The call, without a trail; then the trail is back."""

    async def whole() -> None:
        world.plot.fail("trail.append", AWAY)
        async with world.arrears:
            await Session(world.house(), line, world.logger).run()
            assert world.outcomes == [] and world.live.records, "nobody could tell of it"
            await asyncio.sleep(30)
            assert world.outcomes == [] and len(world.logged("audit.owed", kept=True)) == 1
            world.plot.mend("trail.append")
            await asyncio.sleep(2)

    return whole


@pytest.mark.parametrize(
    ("make", "outcome", "steps"),
    [
        (verified, "unavailable", "pin:passed"),
        (refused, "refused", "pin:wrong"),
        (abandoned, "abandoned", ""),
        (left_behind_the_pin, "abandoned", "pin:passed"),
    ],
)
def test_a_row_that_could_not_be_written_is_written_when_that_can_be_done(
    make: Callable[[], Made], outcome: str, steps: str
) -> None:
    world, line = make()
    world.play(owing(world, line))
    [row] = world.trail.rows
    assert (row.action, row.outcome, row.subject) == ("verify", outcome, "ref-anna")
    assert row.detail is not None and row.detail["steps"] == steps
    assert row.detail["happened"].startswith(HAPPENED) and row.detail["happened"].endswith("Z")
    assert world.live.records == {} and world.live.marks == {}
    [late] = world.logged("audit.late", call="channel-1", outcome=outcome)
    assert late["seconds"] > 25 and line.variables.get(STATUS) != "verified"


def test_a_row_verified_that_was_written_although_nobody_was_told_so_is_void() -> None:
    world, line = verified()

    def written() -> None:
        once = world.live.records[line.caller.node, line.caller.channel].round
        world.trail.rows.append(Entry("caller", "verify", "verified", call="channel-1", once=once))

    async def whole() -> None:
        world.plot.on("trail.append", written)
        world.plot.fail("trail.append", AWAY)
        async with world.arrears:
            await Session(world.house(), line, world.logger).run()
            world.plot.mend("trail.append")
            await asyncio.sleep(2)

    world.play(whole)
    assert [(row.action, row.outcome) for row in world.trail.rows] == [
        ("verify", "verified"),
        ("mark.void", "unavailable"),
    ]
    assert line.variables[STATUS] == "unavailable" and world.logged("audit.late", outcome="verified")


@pytest.mark.parametrize("make", [verified, refused, left_behind_the_pin])
def test_where_the_worker_dies_the_next_one_writes_it(make: Callable[[], Made]) -> None:
    world, line = make()

    async def whole() -> None:
        world.plot.fail("trail.append", AWAY)
        await Session(world.house(), line, world.logger).run()
        world.plot.mend("trail.append")
        # the worker has died here; the call is over, or in the dialplan
        line.caller_hangs_up()
        await Session(world.house(), line, world.logger, world.live.take_up(line)).run()

    world.play(whole)
    [row] = world.trail.rows
    said = line.variables.get(STATUS) or "abandoned"
    assert (row.outcome, row.subject) == (said, "ref-anna") and world.live.records == {}
    assert row.detail is not None and row.detail["happened"].startswith(HAPPENED)
    assert row.detail["steps"] == ("pin:wrong" if make is refused else "pin:passed")


def test_a_round_that_another_worker_goes_on_with_is_that_ones_to_tell_of() -> None:
    world, line = verified()

    async def whole() -> None:
        world.plot.fail("trail.append", AWAY)
        async with world.arrears:
            await Session(world.house(), line, world.logger).run()
            world.live.take_up(line)
            world.plot.mend("trail.append")
            await asyncio.sleep(2)

    world.play(whole)
    assert world.outcomes == [] and world.live.records and not world.logged("audit.late")


def test_a_call_that_is_taken_up_as_it_ends_is_owed_by_nobody_here() -> None:
    world, line = refused()
    world.plot.fail("trail.append", AWAY)
    world.plot.fail("live.note", TakenUp(), nth=2)
    world.run(line)
    assert world.logged("call.handed_back") and not world.logged("audit.owed")


def test_a_caller_who_has_come_again_since_is_told_of_all_the_same() -> None:
    world, line = refused()

    async def whole() -> None:
        world.plot.fail("trail.append", AWAY)
        async with world.arrears:
            await Session(world.house(), line, world.logger).run()
            again = Progress.begin(app="tillit", node="node", channel="channel-1", policy="pin", again=True)
            await world.live.begin(again)
            assert world.arrears.channels("node", line.caller.app) == {"channel-1"}
            world.plot.mend("trail.append")
            await asyncio.sleep(2)
            assert list(world.live.records.values()) == [again]

    world.play(whole)
    assert world.outcomes == ["refused"]


def test_what_there_is_no_room_for_stays_in_the_record() -> None:
    world, line = refused()
    world.arrears = Arrears(world.trail, world.live, clock=clock, log=world.logger, most=0)
    world.plot.fail("trail.append", AWAY)
    world.run(line)
    assert world.logged("audit.owed", kept=False)
    [record] = world.live.records.values()
    assert (record.status, record.steps) == ("refused", ("pin:wrong",)) and record.happened


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("away", ["trail.append", "live.elsewhere"])
def test_what_is_left_at_the_end_is_counted(away: str, noted: bool) -> None:
    """Without Redis nobody knows whose row it is. One that is noted in the record is left to whoever finds that, and no other one."""
    world, line = refused()

    async def whole() -> None:
        world.plot.fail("trail.append", AWAY)
        async with world.arrears:
            if not noted:
                world.plot.fail("live.note", AWAY)
            await Session(world.house(), line, world.logger).run()
            world.plot.mend("trail.append")
            world.plot.fail(away, AWAY)

    world.play(whole)
    written = away == "live.elsewhere" and not noted
    assert world.outcomes == (["refused"] if written else []) and bool(world.live.records) is not written
    assert [line["rows"] for line in world.logged("audit.left")] == ([] if written else [1])


def test_many_are_written_some_at_once_and_one_that_cannot_be_keeps_nobody_waiting() -> None:
    world = World()
    blank = Progress.begin(app="tillit", node="node", channel="", policy="pin", again=False)

    class Picky:
        async def append(self, entry: Entry) -> str:
            if entry.call == "bad":
                raise StoreError("audit: an entry for 'verify' cannot be stored")
            return await world.trail.append(entry)

    async def whole() -> None:
        arrears = Arrears(Picky(), world.live, clock=clock, log=world.logger)
        # the store is away again when the records are to be ended: it ends them later
        world.plot.fail("live.end", AWAY)
        async with arrears:
            for call in ["bad", *map(str, range(500))]:
                row = Entry("caller", "verify", "refused", call=call, once=call)
                progress = replace(blank, channel=call, holder=call, round=call)
                assert arrears.owe(Told(row), progress, noted=True)
            await asyncio.sleep(5)
            assert arrears.channels("node", "tillit") == {"bad"} and not arrears.channels("node", "another")

    world.play(whole)
    assert len(world.trail.rows) == 500


def test_at_the_end_what_is_only_in_memory_comes_before_what_the_records_have() -> None:
    """Redis is away by then: what is noted in a record cannot be written. Nor can one of the others at first: it keeps none of them."""
    world = World()
    blank = Progress.begin(app="tillit", node="node", channel="", policy="pin", again=False)

    async def whole() -> None:
        world.plot.fail("live.elsewhere", AWAY)
        world.plot.fail("trail.append", AWAY, nth=1)
        async with world.arrears:
            for number in range(550):
                call = str(number)
                row = Entry("caller", "verify", "refused", call=call, once=call)
                progress = replace(blank, channel=call, holder=call, round=call)
                assert world.arrears.owe(Told(row), progress, noted=number < 300)

    world.play(whole)
    assert {row.call for row in world.trail.rows} == {str(number) for number in range(300, 550)}
    assert [line["rows"] for line in world.logged("audit.left")] == [300]


def test_a_worker_that_is_stopped_as_it_notes_a_refusal_writes_the_row() -> None:
    world, line = refused()
    world.plot.on("live.note", lambda: line.evict(Unavailable("the worker is stopping")))
    world.run(line)
    assert world.outcomes == ["refused"] and line.variables[STATUS] == "refused" and world.live.records == {}
