"""A call to the company's published number: who has digits of an agent goes on to that agent, and nobody is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ivr.call.ports.published import BOUND_TO, Elsewhere, Taken, Unpublished
from ivr.call.published import OVER, TO, PublishedCall
from ivr.errors import StoreError, Unavailable, WorkerReplaced
from ivr.prompts import Prompt
from ivr.secret import Personal, Secret
from tests.unit.fakes import ANNA_PHONE, Answers, FakeLine, Keys, World, index

GOOD, WRONG = "481650", "123456"


class FakePublished:
    """`call.ports.published.Published`: these digits lead to Agda, once."""

    def __init__(self, world: World, found: Taken | Elsewhere) -> None:
        self.asked: list[tuple[str | None, str, str]] = []
        self._world = world
        self._mac = world.codes.mac(Secret(GOOD), bound_to=BOUND_TO)
        self._left: list[Taken | Elsewhere] = [found]

    async def take(self, mac: str, number: str | None, node: str, channel: str) -> Taken | Elsewhere | None:
        async with self._world.plot.operation("published.take"):
            self.asked.append((number, node, channel))
            return self._left.pop() if mac == self._mac and self._left else None


def call(
    *keys: str | Keys, world: World | None = None, found: Taken | Elsewhere | None = None, **how: Any
) -> tuple[FakeLine, FakePublished, World]:
    world = world or World()
    published = FakePublished(world, found or Taken("PJSIP/agda"))
    answers: Answers = {Prompt.ASK_PUBLISHED: keys}
    line = world.line("", answers=answers, **how)
    world.play(lambda: PublishedCall(world.house(), published, line, world.logger).run())
    return line, published, world


def test_the_digits_lead_to_the_agent_who_has_said_them() -> None:
    line, published, world = call(GOOD)
    assert line.variables == {TO: "PJSIP/agda", OVER: "over"}
    assert line.handed_back
    assert line.said == [Prompt.ASK_PUBLISHED]
    assert line.display == Personal("")
    assert published.asked == [(index(ANNA_PHONE), "node", "channel-1")]
    assert world.trail.rows == []
    assert line.events == []


def test_wrong_ones_are_asked_for_again_and_then_the_call_goes_on() -> None:
    line, published, world = call(WRONG, WRONG, WRONG, GOOD, number=None)
    assert line.said == [
        Prompt.ASK_PUBLISHED, Prompt.WRONG, Prompt.ASK_PUBLISHED, Prompt.WRONG, Prompt.ASK_PUBLISHED, Prompt.PUBLISHED_UNKNOWN,
    ]  # fmt: skip
    assert line.variables == {TO: "", OVER: "over"}
    assert line.handed_back
    assert published.asked == [(None, "node", "channel-1")] * 3
    assert world.logged("published.wrong", number=None)


def test_a_slip_is_mended() -> None:
    line, _, world = call(WRONG, GOOD)
    assert line.variables[TO] == "PJSIP/agda"
    assert not world.logged("published.wrong")


def test_who_keys_nothing_goes_on() -> None:
    line, published, _ = call()
    assert line.said[-1] is Prompt.TIMEOUT
    assert line.variables == {TO: "", OVER: "over"}
    assert published.asked == []
    assert line.handed_back


def test_an_agent_at_another_asterisk_is_said_not_to_be_there() -> None:
    line, _, _ = call(GOOD, found=Elsewhere())
    assert line.said[-1] is Prompt.PUBLISHED_AWAY
    assert line.variables == {TO: "", OVER: "over"}


def test_a_store_that_is_down_keeps_nobody() -> None:
    world = World()
    world.plot.fail("published.take", StoreError("Redis: LOADING"))
    line, _, _ = call(GOOD, world=world)
    assert line.said[-1] is Prompt.PUBLISHED_AWAY
    assert line.variables == {TO: "", OVER: "over"}
    assert line.handed_back
    assert world.logged("call.unavailable", phase="published")


def test_the_digits_stand_in_no_line_of_the_log() -> None:
    for keys in ((GOOD,), (WRONG, WRONG, WRONG)):
        _, _, world = call(*keys)
        told = repr(world.log)
        assert "published.called" in told
        assert GOOD not in told and WRONG not in told


def test_a_hang_up_ends_it() -> None:
    line, published, world = call("48!")
    assert world.logged("published.hung_up")
    assert not line.handed_back
    assert published.asked == []


def _ended_by(why: Exception, *fails: str) -> tuple[FakeLine, World]:
    world = World()
    line = world.line("")

    async def played() -> None:
        asyncio.get_running_loop().call_later(5.0, line.evict, why)
        session = PublishedCall(world.house(), Unpublished(), line, world.logger)
        assert session.phase == "published"
        await session.run()

    for operation in fails:
        world.plot.fail(operation, StoreError("gone"))
    world.play(played)
    return line, world


def test_a_worker_that_stops_leaves_it_to_the_next_one() -> None:
    line, world = _ended_by(Unavailable("the worker is stopping"))
    assert line.handed_back
    assert line.variables == {}, "the dialplan asks anew"
    assert world.logged("call.unavailable")


def test_a_worker_that_cannot_even_do_that_says_so() -> None:
    _, world = _ended_by(Unavailable("the worker is stopping"), "line.hand_back")
    assert world.logged("call.stuck")


def test_a_worker_that_was_replaced_touches_nothing() -> None:
    line, world = _ended_by(WorkerReplaced())
    assert not line.handed_back
    assert world.logged("call.left", phase="published")


@pytest.mark.parametrize("digits", [GOOD, WRONG])
def test_where_nobody_says_digits_none_are_good(digits: str) -> None:
    world = World()
    line = world.line("", answers={Prompt.ASK_PUBLISHED: [digits]})
    world.play(lambda: PublishedCall(world.house(), Unpublished(), line, world.logger).run())
    assert line.variables == {TO: "", OVER: "over"}
