"""Whom the agents' phones talk with where Tillit is in front of them: its own bridge, and verifying in mid-call."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
from rig.desk import manager_user
from rig.phone import Phone
from rig.stage import ANNA

from tests.e2e.floor import Floor, opened
from tests.e2e.scene import Scene
from tests.e2e.test_midcall import CODE, FEATURES

SECRET = secrets.token_urlsafe(16)
SETTINGS = {
    "policies.all": {
        "steps": ["pin"],
        "level": 1,
        "hand_over": "bridge",
        "agents": ["PJSIP/agent1", "PJSIP/agent2"],
        "ring": "all",
    },
    "policies.desk": {"steps": ["pin"], "level": 1, "hand_over": "bridge", "agents": ["Local/300@agents"]},
    "policies.lasting": {"steps": ["pin"], "level": 1, "hand_over": "bridge", "agents": ["Local/300@agents/n"]},
}
STAGE = {
    "dialplan": """
[callers]
exten => 200,1,Gosub(tillit-verify,s,1(all))
 same => n,Hangup()
exten => 201,1,Gosub(tillit-verify,s,1(desk))
 same => n,Hangup()
exten => 202,1,Gosub(tillit-verify,s,1(lasting))
 same => n,Hangup()
exten => 300,1,Gosub(tillit-offer,s,1(main,lost,s,1))
 same => n,Queue(support,b(tillit-badge^s^1))
 same => n,Hangup()
exten => 400,1,Gosub(tillit-offer,s,1(main,lost,s,1))
 same => n,Dial(PJSIP/agent1,30,b(tillit-badge^s^1))
 same => n,Hangup()
[lost]
exten => s,1,Dial(PJSIP/agent3,30)
[agents]
exten => 300,1,Dial(PJSIP/agent1,20,b(tillit-badge^s^1))
exten => 700,1,Dial(PJSIP/agent2,20)
""",
    "overrides": {"features.conf": FEATURES, "manager.conf": manager_user(SECRET)},
    "customers": (ANNA,),
}


@pytest.fixture
async def floor(scene: Scene) -> AsyncIterator[Floor]:
    async with opened(scene.stage.pbx, SECRET) as made:
        yield made


async def marked(scene: Scene, floor: Floor, agent: str) -> bool:
    """Whether the mark that there is stands for the channel that this agent talks with."""
    channel = (await floor.talk(agent)).others[0].channel
    return [key.rpartition(":")[2] for key in scene.marks()] == [channel]


async def verified(scene: Scene, extension: str) -> Phone:
    caller = await scene.caller(extension)
    await scene.key_pin(caller)
    return caller


@pytest.mark.parametrize("extension", ["200", "201", "202"])
async def test_an_agent_whom_the_worker_calls(scene: Scene, floor: Floor, extension: str) -> None:
    agent, colleague = await scene.phone("agent1"), await scene.phone("agent2")
    caller = await verified(scene, extension)
    await agent.incoming()
    assert await floor.whom() == {}
    await agent.answer()
    await floor.two("agent1", "caller")
    assert await marked(scene, floor, "agent1")
    await caller.hang_up()
    await floor.nobody()
    assert floor.had("caller") == {"agent1"}
    assert not [event for event in colleague.events if event.kind == "confirmed"]


@pytest.mark.parametrize("kind", ["blind", "attended"])
async def test_such_an_agent_transfers_the_caller(scene: Scene, floor: Floor, kind: str) -> None:
    agent = await scene.phone("agent1")
    caller = await verified(scene, "200")
    await agent.incoming()
    await agent.answer()
    await floor.two("agent1", "caller")
    colleague = await scene.phone("agent2")
    if kind == "blind":
        await agent.transfer("700")
        await colleague.incoming()
        await colleague.answer()
    else:
        talk = agent.current
        enquiry = await agent.call("700")
        await colleague.incoming()
        await colleague.answer()
        await floor.until({"agent1": [("agent2",), ("caller",)], "agent2": [("agent1",)], "caller": [("agent1",)]})
        await agent.transfer(to_call=enquiry, call=talk)
    await floor.two("agent2", "caller")
    assert await marked(scene, floor, "agent2")
    await caller.hang_up()
    await floor.nobody()
    assert floor.had("caller") == {"agent1", "agent2"}


@pytest.mark.parametrize("extension", ["300", "400"])
async def test_a_caller_is_verified_in_mid_call(scene: Scene, floor: Floor, extension: str) -> None:
    agent = await scene.phone("agent1")
    caller = await scene.phone("caller")
    await caller.call(extension, number=ANNA.phones)
    await agent.incoming()
    await agent.answer()
    await floor.two("agent1", "caller")
    before = (await floor.talk("agent1")).others[0].channel
    await agent.send_digits(CODE)
    await scene.asked("pin")
    await floor.nobody()
    await scene.key_pin(caller)
    await scene.key_code(caller)
    await floor.two("agent1", "caller")
    assert (await floor.talk("agent1")).others[0].channel == before
    assert await marked(scene, floor, "agent1")
    await agent.hang_up()
    await floor.nobody()
    assert floor.had("caller") == {"agent1"}


async def test_an_agent_hangs_up_meanwhile_and_another_has_the_caller(scene: Scene, floor: Floor) -> None:
    agent, other = await scene.phone("agent1"), await scene.phone("agent3")
    caller = await scene.phone("caller")
    await caller.call("400", number=ANNA.phones)
    await agent.incoming()
    await agent.answer()
    await floor.two("agent1", "caller")
    await agent.send_digits(CODE)
    await scene.asked("pin")
    await agent.hang_up()
    await floor.nobody()
    await scene.key_pin(caller)
    await scene.key_code(caller)
    await other.incoming()
    await other.answer()
    await floor.two("agent3", "caller")
    assert await marked(scene, floor, "agent3")
    await caller.hang_up()
    await floor.nobody()
    assert floor.had("caller") == {"agent1", "agent3"}
