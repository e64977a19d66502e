"""What the desk of an agent who waits is told, and how a conversation ends that is only parted."""

from __future__ import annotations

import pytest

from ivr.call.ports import Unwatched, Waiting
from ivr.prompts import Prompt
from tests.unit.call_kit import WRONG_PIN, right
from tests.unit.fakes import ANNA, Agent, World

AGENT = "PJSIP/anna-00000001"


@pytest.fixture
def world() -> World:
    return World()


def told(world: World) -> list[tuple[str, int, int, int, str]]:
    """Step, how many keys of how many, and how it ended; each once."""
    seen = [(one.step, one.keyed, one.least, one.most, one.status) for one in world.desks.told]
    return [one for one, before in zip(seen, [None, *seen], strict=False) if one != before]


def test_step_by_step_and_key_by_key(world: World) -> None:
    world.call(again=True, agent=AGENT, answers=right(world))
    first = world.desks.told[0]
    assert (first.node, first.channel, first.agent, first.number, first.endpoint) == (
        "node", "channel-1", AGENT, "+46…01", "PJSIP/anna",
    )  # fmt: skip
    assert told(world) == [
        ("", 0, 0, 0, ""),
        ("pin", 0, 0, 0, ""),
        *(("pin", count, 4, 8, "") for count in range(5)),
        ("sms_code", 0, 0, 0, ""),
        *(("sms_code", count, 6, 6, "") for count in range(7)),
        ("", 0, 0, 0, "verified"),
    ]
    assert world.desks.marks == [("node", "channel-1")]


def test_one_who_is_asked_for_the_customer_number(world: World) -> None:
    world.call(again=True, agent=AGENT, number=None, answers=right(world))
    assert ("customer_number", 0, 0, 0, "") in told(world)
    assert ("customer_number", len(ANNA)) in [one[:2] for one in told(world)]


def test_one_who_is_refused(world: World) -> None:
    world.call(again=True, agent=AGENT, answers={Prompt.ASK_PIN: [WRONG_PIN] * 3})
    assert told(world)[-1] == ("", 0, 0, 0, "refused")


def test_one_who_hangs_up(world: World) -> None:
    line = world.line(again=True, agent=AGENT)
    world.plot.on("line.receive", line.caller_hangs_up)
    world.run(line)
    assert told(world)[-1] == ("", 0, 0, 0, "abandoned")


@pytest.mark.parametrize("how", [{}, {"again": True}, {"agent": AGENT}])
def test_where_no_agent_waits_nobody_is_told(world: World, how: dict[str, object]) -> None:
    world.call(answers=right(world), **how)
    assert world.desks.told == []


def test_without_a_desk_nobody_is_told() -> None:
    desks = Unwatched()
    desks.tell(Waiting("node", "1.1", AGENT, "", 0.0))
    desks.changed("node", "1.1")


def test_who_was_parted_from_the_agent_is_not_hung_up(world: World) -> None:
    """Another round begins; this one ends, and tells nothing more of itself."""
    line = world.line("bridge", answers=right(world), agents={"PJSIP/anna": Agent()})
    line.parted = True
    world.run(line)
    assert line.joined and not line.handed_back
    assert "line.hang_up" not in world.plot.names
    assert "live.drop_mark" in world.plot.names
    assert world.live.marks == {}
    assert world.outcomes == ["verified"]
