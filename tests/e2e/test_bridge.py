"""Calling agents for a verified caller: whatever anybody does, nothing is left behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from rig.phone import Phone
from rig.stage import ANNA
from rig.state import RigError

from tests.e2e.scene import Scene

SETTINGS = {
    "policies.all": {
        "steps": ["pin"],
        "level": 1,
        "hand_over": "bridge",
        "agents": ["PJSIP/agent1", "PJSIP/agent2"],
        "ring": "all",
        "ring_seconds": 20,
    },
    "policies.turn": {
        "steps": ["pin"],
        "level": 1,
        "hand_over": "bridge",
        "agents": ["PJSIP/agent1", "PJSIP/agent2"],
        "ring_seconds": 2,
    },
    "policies.desk": {"steps": ["pin"], "level": 1, "hand_over": "bridge", "agents": ["Local/300@agents"]},
}
STAGE = {
    "dialplan": """
[callers]
exten => 100,1,Gosub(tillit-verify,s,1(turn))
 same => n,Goto(after,s,1)
exten => 200,1,Gosub(tillit-verify,s,1(all))
 same => n,Goto(after,s,1)
exten => 300,1,Gosub(tillit-verify,s,1(desk))
 same => n,Goto(after,s,1)

[after]
exten => s,1,UserEvent(Reached,Path: ${CALLER_AUTH_STATUS},Badge: ${TILLIT_BADGE})
 same => n,MusicOnHold(default,60)

[agents]
exten => 300,1,Dial(PJSIP/agent1,20,b(tillit-badge^s^1))
exten => 700,1,Dial(PJSIP/agent2,20)
"""
}


async def verified(scene: Scene, extension: str) -> Phone:
    """A caller who has just been verified, and for whom phones are being called."""
    caller = await scene.caller(extension)
    await scene.key_pin(caller)
    return caller


async def both_hear(caller: Phone, agent: Phone) -> None:
    await agent.play_tone(700)
    await caller.hears(700)
    await caller.play_tone(1100)
    await agent.hears(1100)


async def test_the_agent_hangs_up_and_the_caller_is_let_go(scene: Scene) -> None:
    agent = await scene.phone("agent1")
    caller = await verified(scene, "100")
    await agent.incoming()
    await agent.answer()
    await both_hear(caller, agent)
    await agent.hang_up()
    await caller.until("disconnected")
    await scene.idle()
    assert scene.marks() == []


async def test_a_busy_agent_is_passed_over(scene: Scene) -> None:
    first, second = await scene.phone("agent1"), await scene.phone("agent2")
    caller = await verified(scene, "100")
    await first.incoming()
    await first.busy()
    invite = await second.incoming()
    assert invite.header("X-Caller-Auth")
    await second.answer()
    await both_hear(caller, second)
    assert scene.log("agent.missed")[0]["why"] == "busy"
    await caller.hang_up()


async def test_an_agent_who_does_not_answer_is_passed_over(scene: Scene) -> None:
    first, second = await scene.phone("agent1"), await scene.phone("agent2")
    caller = await verified(scene, "100")
    await first.incoming()
    await first.ring()
    await second.incoming()
    await first.until("disconnected")
    await second.answer()
    await both_hear(caller, second)
    assert scene.log("agent.missed")[0]["why"] == "no_answer"
    await caller.hang_up()


async def test_nobody_answers_and_the_caller_goes_on_verified(scene: Scene) -> None:
    first, second = await scene.phone("agent1"), await scene.phone("agent2")
    caller = await verified(scene, "100")
    await first.incoming()
    await first.decline()
    await second.incoming()
    await second.busy()
    reached = await scene.reached("verified")
    assert reached["Badge"].startswith("verified; level=1; methods=pin; ref=")
    assert len(scene.marks()) == 1
    await caller.hang_up()
    await scene.logged("mark.dropped")


async def test_a_phone_behind_a_local_channel_is_shown_the_mark(scene: Scene) -> None:
    agent = await scene.phone("agent1")
    caller = await verified(scene, "300")
    invite = await agent.incoming()
    assert (invite.header("X-Caller-Auth") or "").startswith("verified; level=1; methods=pin; ref=")
    await agent.answer()
    await both_hear(caller, agent)
    await agent.hang_up()
    await caller.until("disconnected")


async def test_agents_without_a_phone_are_nobody(scene: Scene) -> None:
    caller = await verified(scene, "200")
    await scene.reached("verified")
    await caller.hang_up()
    await scene.logged("mark.dropped")


async def test_all_ring_at_once_and_the_first_who_answers_has_the_call(scene: Scene) -> None:
    first, second = await scene.phone("agent1"), await scene.phone("agent2")
    caller = await verified(scene, "200")
    await first.incoming()
    await second.incoming()
    await first.ring()
    await second.answer()
    await first.until("disconnected")
    await both_hear(caller, second)
    await caller.hang_up()


async def test_two_agents_answer_at_the_same_moment(scene: Scene) -> None:
    first, second = await scene.phone("agent1"), await scene.phone("agent2")
    caller = await verified(scene, "200")
    await first.incoming()
    await second.incoming()
    # the one who is too late may find the call gone
    await asyncio.gather(first.answer(), second.answer(), return_exceptions=True)
    winner = await scene.logged("agent.answered")
    lucky, other = (first, second) if winner["endpoint"] == "PJSIP/agent1" else (second, first)
    await other.until("disconnected")
    await both_hear(caller, lucky)
    await caller.hang_up()


async def test_the_caller_hangs_up_while_the_phones_ring(scene: Scene) -> None:
    first, second = await scene.phone("agent1"), await scene.phone("agent2")
    caller = await verified(scene, "200")
    await first.incoming()
    await second.incoming()
    await first.ring()
    await caller.hang_up()
    await first.until("disconnected")
    await second.until("disconnected")
    await scene.logged("mark.dropped")


@pytest.mark.parametrize("who", ["caller", "agent"])
async def test_somebody_hangs_up_at_the_moment_of_answering(scene: Scene, who: str) -> None:
    agent = await scene.phone("agent1")
    caller = await verified(scene, "100")
    await agent.incoming()
    if who == "caller":
        await asyncio.gather(agent.answer(), caller.hang_up(), return_exceptions=True)
    else:
        await agent.answer()
        await agent.hang_up()
        # bridged by then or not: the caller was let go, or goes on waiting for the next phone
        with suppress(RigError):
            await caller.hang_up()
    await scene.idle()
    assert scene.marks() == []


async def test_the_caller_hears_music_until_somebody_answers(scene: Scene) -> None:
    agent = await scene.phone("agent1")
    caller = await verified(scene, "200")
    await agent.incoming()
    await scene.logged("agent.ringing")
    await caller.hears(seconds=3.0)
    await agent.answer()
    await both_hear(caller, agent)
    await caller.hang_up()


async def test_a_second_call_of_the_same_customer_is_verified_on_its_own(scene: Scene) -> None:
    agent = await scene.phone("agent1")
    one = await verified(scene, "100")
    await agent.incoming()
    await agent.answer()
    await both_hear(one, agent)
    other = await scene.caller("100", endpoint="caller-info", number=ANNA.phones)
    await scene.asked("pin", 2)
    assert len(scene.marks()) == 1, "the second call has a mark that nobody won"
    await other.hang_up()
    await one.hang_up()


@pytest.mark.parametrize("kind", ["blind", "attended"])
async def test_an_agent_transfers_the_caller(scene: Scene, kind: str) -> None:
    first, second = await scene.phone("agent1"), await scene.phone("agent2")
    caller = await verified(scene, "100")
    await first.incoming()
    await first.answer()
    await both_hear(caller, first)
    if kind == "blind":
        await first.transfer("700")
        await second.incoming()
        await second.answer()
    else:
        talk = first.current
        enquiry = await first.call("700")
        await second.incoming()
        await second.answer()
        await first.until("confirmed", call=enquiry)
        await first.play_tone(500, call=enquiry)
        await second.hears(500)
        await first.transfer(to_call=enquiry, call=talk)
    await scene.logged("agent.transferred")
    await both_hear(caller, second)
    assert len(scene.marks()) == 1, "the same caller, and no mark"
    await second.hang_up()
    await caller.until("disconnected")
    await scene.idle()
    assert scene.marks() == []
