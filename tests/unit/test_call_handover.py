"""The agents of a verified caller: who is called, who is bridged, and that no phone rings on."""

from __future__ import annotations

import pytest

from ivr.call.mark import STATUS
from ivr.errors import AriError, HungUp, StoreError, Unavailable
from ivr.prompts import Prompt
from ivr.secret import Personal
from tests.unit.fakes import ANNA_PIN, BUSY, NOBODY, Agent, FakeLine, World

RIGHT: dict[Prompt, list[str]] = {Prompt.ASK_PIN: [f"{ANNA_PIN}#"]}
ALL = {"bridge": {
    "steps": ["pin"], "level": 1, "hand_over": "bridge", "ring": "all", "agents": ["PJSIP/anna", "PJSIP/bo", "PJSIP/cleo"],
}}  # fmt: skip
FREE = Agent(answers=3.0, talks=60.0)


def bridged(world: World, *agents: Agent, stays: float = 30.0) -> FakeLine:
    return world.line(
        "bridge", answers=RIGHT, agents=dict(zip(("PJSIP/anna", "PJSIP/bo", "PJSIP/cleo"), agents, strict=False)), stays=stays
    )  # fmt: skip


def assert_nothing_is_left(world: World, line: FakeLine) -> None:
    assert [leg.endpoint for leg in line.legs if leg.alive] == []
    assert line.bridged is None
    assert not line.playing_music
    assert world.live.marks == {}


def called(line: FakeLine) -> list[str]:
    return [leg.endpoint for leg in line.legs]


# ---------------------------------------------------------------- who is called


def test_the_first_agent_answers_and_is_bridged() -> None:
    world = World()
    line = bridged(world, FREE, FREE, FREE)
    world.run(line)
    assert called(line) == line.joined == ["PJSIP/anna"]
    assert line.heard[-1] == (Prompt.VERIFIED,)
    assert line.gone.is_set() and not line.handed_back
    assert world.outcomes == ["verified"]
    assert_nothing_is_left(world, line)


def test_who_has_an_agent_already_is_given_back_to_that_one() -> None:
    world = World()
    line = world.call("bridge", answers=RIGHT, agents={"PJSIP/anna": FREE}, again=True)
    assert called(line) == []
    assert line.handed_back
    assert world.outcomes == ["verified"]


def test_the_mark_stands_while_they_talk_and_goes_with_the_agent() -> None:
    world = World()
    line = bridged(world, FREE)
    seen: list[bool] = []
    world.plot.on("line.join", lambda: seen.append(bool(world.live.marks)), delay=50.0)
    world.run(line)
    assert seen == [True]
    assert_nothing_is_left(world, line)


def test_the_agents_phone_shows_the_mark() -> None:
    world = World()
    line = bridged(world, FREE)
    world.run(line)
    [leg] = line.legs
    assert leg.badge.header == "verified; level=1; methods=pin; ref=ref-anna"
    assert leg.badge.display == Personal("✔ Anna A.")


@pytest.mark.parametrize("first", [BUSY, NOBODY, Agent(answers=None, ending="declined", gives_up=2.0)])
def test_in_turn_the_next_is_called_when_one_does_not_answer(first: Agent) -> None:
    world = World()
    line = bridged(world, first, BUSY, FREE)
    world.run(line)
    assert called(line) == ["PJSIP/anna", "PJSIP/bo", "PJSIP/cleo"]
    assert line.joined == ["PJSIP/cleo"]
    assert [miss["why"] for miss in world.logged("agent.missed")] == [first.ending, "busy"]
    assert_nothing_is_left(world, line)


def test_all_at_once_the_first_to_answer_is_bridged_and_the_others_stop_ringing() -> None:
    world = World(policies=ALL)
    line = bridged(world, Agent(answers=5.0), Agent(answers=3.0), BUSY)
    ringing: list[list[str]] = []
    world.plot.on("line.join", lambda: ringing.append([leg.endpoint for leg in line.legs if leg.alive]))
    world.run(line)
    assert line.joined == ["PJSIP/bo"]
    assert ringing == [["PJSIP/bo"]]
    assert_nothing_is_left(world, line)


def test_two_who_answer_at_the_same_moment_are_not_both_bridged() -> None:
    world = World(policies=ALL)
    line = bridged(world, FREE, FREE, FREE)
    world.run(line)
    assert len(line.joined) == 1
    assert_nothing_is_left(world, line)


@pytest.mark.parametrize("policies", [{}, ALL], ids=["in turn", "all"])
def test_nobody_answers_and_the_caller_goes_on_verified(policies: dict[str, dict[str, object]]) -> None:
    world = World(policies=policies)
    line = bridged(world, BUSY, NOBODY, BUSY)
    marked: list[int] = []
    world.plot.on("line.hand_back", lambda: marked.append(len(world.live.marks)))
    world.run(line)
    assert line.joined == []
    assert line.said[-1] is Prompt.NO_AGENT
    assert line.handed_back and line.variables[STATUS] == "verified"
    assert marked == [1]
    assert_nothing_is_left(world, line)


def test_a_phone_that_cannot_be_called_is_passed_over() -> None:
    world = World()
    world.plot.fail("line.ring", AriError("POST /channels", 500), nth=1)
    line = bridged(world, FREE, FREE)
    world.run(line)
    assert line.joined == ["PJSIP/bo"]
    assert world.logged("agent.failed", endpoint="PJSIP/anna")
    assert_nothing_is_left(world, line)


def test_no_phone_can_be_called() -> None:
    world = World(policies=ALL)
    world.plot.fail("line.ring", AriError("POST /channels", 500))
    line = bridged(world, FREE, FREE)
    world.run(line)
    assert line.said[-1] is Prompt.NO_AGENT
    assert line.variables[STATUS] == "verified"
    assert_nothing_is_left(world, line)


def test_an_agent_who_is_gone_at_the_moment_of_joining_is_followed_by_the_next() -> None:
    world = World()
    line = bridged(world, Agent(leaves=True), FREE)
    music: list[bool] = []
    world.plot.on("line.ring", lambda: music.append(line.playing_music), nth=2, delay=1.0)
    world.run(line)
    assert called(line) == ["PJSIP/anna", "PJSIP/bo"]
    assert line.joined == ["PJSIP/bo"]
    assert music == [True], "the caller hears music again while the next phone rings"
    assert_nothing_is_left(world, line)


def test_every_agent_is_gone_at_the_moment_of_joining() -> None:
    world = World()
    line = bridged(world, *[Agent(leaves=True)] * 3)
    world.run(line)
    assert line.joined == [] and line.said[-1] is Prompt.NO_AGENT
    assert_nothing_is_left(world, line)


def test_the_caller_hears_music_while_phones_ring_and_nothing_when_joined() -> None:
    world = World()
    line = bridged(world, Agent(answers=10.0))
    music: list[bool] = []
    world.plot.on("line.ring", lambda: music.append(line.playing_music), delay=8.0)
    world.run(line)
    assert music == [True]


def test_an_agent_who_answers_within_the_sentence_is_joined_at_once() -> None:
    world = World()
    line = bridged(world, Agent(answers=0.5))
    world.run(line)
    assert line.joined == ["PJSIP/anna"]
    assert_nothing_is_left(world, line)


# ---------------------------------------------------------------- the caller goes


@pytest.mark.parametrize("policies", [{}, ALL], ids=["in turn", "all"])
@pytest.mark.parametrize("delay", [0.0, 1.0, 2.9, 3.5, 30.0])
def test_the_caller_hangs_up_while_phones_ring_or_in_the_conversation(
    policies: dict[str, dict[str, object]], delay: float
) -> None:
    world = World(policies=policies)
    line = bridged(world, Agent(answers=3.2), BUSY, NOBODY)
    world.plot.on("line.ring", line.caller_hangs_up, delay=delay)
    world.run(line)
    assert world.outcomes == ["verified"]
    assert world.logged("call.hung_up", phase="hand_over")
    assert_nothing_is_left(world, line)


def test_the_caller_hangs_up_in_the_dialplan_after_nobody_answered() -> None:
    world = World()
    line = bridged(world, BUSY, BUSY, BUSY, stays=5.0)
    world.run(line)
    assert world.logged("call.hung_up", phase="dialplan")
    assert_nothing_is_left(world, line)


# ---------------------------------------------------------------- the watchdog


def test_the_watchdog_waits_as_long_as_the_phones_may_ring() -> None:
    world = World()
    line = bridged(world, NOBODY, NOBODY, Agent(answers=19.0))
    world.run(line)
    assert line.joined == ["PJSIP/cleo"] and not line.taken_back


def test_the_watchdog_is_set_anew_while_the_phones_ring_and_never_to_more_than_it_is_to_wait() -> None:
    world = World(worker={"watchdog_seconds": 30})
    # the prompts are not heard to their end, and no music either
    world.plot.fail("line.music", AriError("POST moh", 500), nth=1)
    line = bridged(world, NOBODY, Agent(leaves=True, answers=19.0), Agent(answers=19.0))
    world.run(line)
    assert line.joined == ["PJSIP/cleo"] and not line.taken_back
    assert max(line.watchdogs) == 30 and line.watchdogs[-1] == 0
    assert_nothing_is_left(world, line)


def test_the_watchdog_lets_a_conversation_be() -> None:
    world = World()
    line = bridged(world, Agent(talks=5 * 3600.0))
    world.run(line)
    assert not line.taken_back and line.watchdogs[-1] == 0
    assert world.now > 5 * 3600


def test_the_watchdog_is_set_again_when_the_agent_was_gone_and_the_next_phone_rings() -> None:
    world = World()
    line = bridged(world, Agent(leaves=True), Agent(answers=15.0))
    guarded: list[int] = []
    world.plot.on("line.ring", lambda: guarded.append(line.watchdogs[-1]), nth=2, delay=10.0)
    world.run(line)
    assert line.joined == ["PJSIP/bo"]
    assert guarded[0] > 0, "should the worker die now, the caller hears music for ever"


# ---------------------------------------------------------------- Asterisk fails


def test_a_phone_that_cannot_be_hung_up_keeps_no_other_ringing_and_costs_the_caller_nothing() -> None:
    world = World(policies=ALL)
    line = bridged(world, Agent(answers=None, deaf=True), FREE, NOBODY)
    world.run(line)
    assert line.joined == ["PJSIP/bo"]
    assert world.outcomes == ["verified"]
    assert [leg.ending for leg in line.legs] == ["no_answer", "hung_up", "hung_up"]


def test_prompts_that_cannot_be_played_while_phones_ring_are_no_reason_to_stop() -> None:
    world = World()
    world.plot.fail("line.say", AriError("POST play", 500), nth=2)
    world.plot.fail("line.music", AriError("POST moh", 500))
    line = bridged(world, FREE)
    world.run(line)
    assert line.joined == ["PJSIP/anna"]
    assert_nothing_is_left(world, line)


def test_a_fault_of_ours_while_phones_ring_is_none_either_and_its_words_stay_out_of_the_log() -> None:
    world = World(policies=ALL)
    world.plot.fail("line.say", ValueError("canary"), nth=2)
    world.plot.fail("leg.hang_up", ValueError("canary"))
    line = bridged(world, FREE, NOBODY, NOBODY)
    world.run(line)
    assert line.joined == ["PJSIP/anna"]
    assert world.logged("task.failed", error="ValueError", code="handover")
    assert world.logged("agent.stuck", error="ValueError")
    assert "canary" not in str(world.log)


def test_a_prompt_that_cannot_be_stopped_is_no_reason_either() -> None:
    world = World()
    world.plot.fail("line.hush", AriError("DELETE /playbacks", 0))
    line = bridged(world, Agent(answers=0.5))
    world.plot.on("line.ring", lambda: world.plot.fail("line.hush", HungUp("channel-1")))
    world.run(line)
    assert line.handed_back or line.joined


@pytest.mark.parametrize("operation", ["line.join", "leg.answered"])
def test_a_bridge_that_cannot_be_made_sends_the_caller_on_unverified(operation: str) -> None:
    world = World(policies=ALL)
    line = bridged(world, FREE, NOBODY, FREE)
    error = AriError("POST /bridges", 500)
    world.plot.on("line.ring", lambda: world.plot.fail(operation, error), nth=3)
    world.plot.on("line.hush", lambda: world.plot.mend(operation), nth=3)
    world.run(line)
    assert line.handed_back and line.variables[STATUS] == "unavailable"
    assert_nothing_is_left(world, line)


def test_a_mark_that_cannot_be_dropped_keeps_nobody() -> None:
    world = World()
    world.plot.fail("live.drop_mark", StoreError("Redis: ConnectionError"))
    line = bridged(world, FREE)
    world.run(line)
    assert line.gone.is_set()
    assert world.logged("mark.not_dropped", error="Redis: ConnectionError")


def test_a_worker_that_stops_while_phones_ring_stops_them_and_sends_the_caller_on() -> None:
    world = World()
    line = bridged(world, NOBODY, FREE)
    world.plot.on("line.ring", lambda: line.evict(Unavailable("the worker is stopping")), delay=5.0)
    world.run(line)
    assert line.handed_back and line.variables[STATUS] == "unavailable"
    assert line.said[-1] is Prompt.UNAVAILABLE
    assert world.outcomes == ["verified", "unavailable"]
    assert_nothing_is_left(world, line)
