"""Marks that nobody looks after: dropped where the call is over or was taken back, and nowhere else."""

from __future__ import annotations

import pytest

from ivr.asterisk import sweep
from ivr.call.mark import STATUS
from ivr.errors import StoreError
from ivr.secret import Personal
from tests.contract.ari_world import World


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round many times a second."""
    monkeypatch.setattr(sweep, "_EVERY_SECONDS", 0.02)


async def rounds(world: World, count: int = 3) -> None:
    """Wait until so many rounds have begun from now on: all but the last of them have ended."""
    before = world.rounds
    await world.until(lambda: world.rounds >= before + count, "rounds of the sweep")


async def test_the_mark_of_a_call_that_is_gone_is_dropped(world: World) -> None:
    world.marks.add("1700000000.77")
    await world.until(lambda: not world.marks, "the mark to go")
    assert [line["channel"] for line in world.log.of("mark.swept")] == ["1700000000.77"]


async def test_a_call_of_this_worker_drops_its_mark_itself(world: World) -> None:
    call = await world.call()
    await call.line.hand_back(watch=True)
    await world.in_dialplan(call.channel)
    world.marks.add(call.channel)
    await rounds(world)
    assert world.marks == {call.channel}


async def test_a_call_that_some_worker_is_about_keeps_its_mark(world: World) -> None:
    call = await world.call()
    await world.forgotten(call)
    world.marks.add(call.channel)
    await rounds(world)
    assert world.marks == {call.channel}


@pytest.mark.parametrize(("status", "kept"), [("verified", True), ("unavailable", False), ("", False), (None, False)])
async def test_a_call_in_the_dialplan_keeps_its_mark_where_it_is_verified(
    world: World, status: str | None, kept: bool
) -> None:
    call = await world.call()
    if status is not None:
        await call.line.announce({STATUS: status}, Personal(""))
    await call.line.hand_back(watch=False)
    await world.in_dialplan(call.channel)
    await world.forgotten(call)
    world.marks.add(call.channel)
    if kept:
        await rounds(world)
        assert world.marks == {call.channel}
    else:
        await world.until(lambda: not world.marks, "the mark to go")


async def test_a_store_that_is_away_is_asked_again(world: World) -> None:
    world.marks_fail = StoreError("Redis: ConnectionError")
    await world.until(lambda: bool(world.log.of("sweep.failed")), "a round that fails")
    world.marks.add("1700000000.77")
    world.marks_fail = None
    await world.until(lambda: not world.marks, "the mark to go")
