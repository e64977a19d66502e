"""`call.ports.Line.ring` and `join`, and `Leg`: agents' phones, and that none is left ringing or in silence."""

from __future__ import annotations

import asyncio

import pytest

from ivr.asterisk.leg import clean
from ivr.call.ports import Badge
from ivr.errors import AriError, HungUp
from ivr.secret import Personal
from tests.contract.ari_log import wait_for
from tests.contract.ari_server import Late, Status
from tests.contract.ari_world import NUMBER, Call, World

AGENT = "PJSIP/agent1"
HEADER = "verified; level=2; methods=pin,sms_code; ref=abcdefgh"
BADGE = Badge(HEADER, Personal("✔ Anna A."), 2_000_000_000)


async def test_ring_answer_join_and_the_agent_leaves(world: World) -> None:
    agent, call = await world.agent(), await world.call()
    async with call.line.up():
        leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
        assert leg.endpoint == AGENT
        invite = await agent.incoming()
        assert (invite.header, invite.name, invite.number) == (HEADER, "✔ Anna A.", NUMBER)
        await agent.answer()
        assert await leg.answered()
        joined = asyncio.create_task(call.line.join(leg))
        await _together(world, 2)
        await wait_for(lambda: call.line.talking, "the bridge")
        await agent.hang_up()
        assert await joined is True
        assert leg.ending == "hung_up"
        assert not call.line.talking
        await world.no_bridge()
    await leg.hang_up()
    await call.caller.hang_up()
    await world.empty()


async def test_the_caller_hangs_up_in_the_conversation(world: World) -> None:
    agent, call = await world.agent(), await world.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    await agent.answer()
    assert await leg.answered()
    hanging_up = asyncio.create_task(_when_together(world, call))

    async def run() -> None:
        async with call.line.up():
            await call.line.join(leg)

    with pytest.raises(HungUp):
        await run()
    await hanging_up
    await leg.hang_up()
    await agent.ended()
    await world.empty()


async def test_busy(world: World) -> None:
    agent, call = await world.agent(), await world.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    await agent.busy()
    assert await leg.answered() is False
    assert leg.ending == "busy"
    await leg.hang_up()


async def test_nobody_picks_up(world: World) -> None:
    agent, call = await world.agent(), await world.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=1)
    await agent.incoming()
    assert await leg.answered() is False
    assert leg.ending == "no_answer"
    await agent.ended()


@pytest.mark.parametrize("endpoint", ["PJSIP/agent2", "PJSIP/nobody"])
async def test_a_phone_that_cannot_be_called_leaves_nothing_to_listen_for(world: World, endpoint: str) -> None:
    call = await world.call()
    for _ in range(3):
        with pytest.raises(AriError) as caught:
            await call.line.ring(endpoint, badge=BADGE, seconds=20)
        assert caught.value.status == 500
        assert "Anna" not in str(caught.value)
    assert world.telephony._legs.all() == {}


async def test_legs_that_ended_are_listened_for_no_more(world: World) -> None:
    agent, call = await world.agent(), await world.call()
    for _ in range(3):
        leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
        await agent.incoming()
        await leg.hang_up()
        await agent.ended()
        assert await leg.answered() is False
        await leg.hang_up()
    await wait_for(lambda: world.telephony._legs.all() == {}, "the legs to be forgotten")


async def test_an_agent_who_hangs_up_before_the_bridge(world: World) -> None:
    """Asterisk refuses the bridge sooner than it tells of the agent's end; or it bridges whom it is about to end."""
    agent, call = await world.agent(), await world.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    await agent.answer()
    assert await leg.answered()
    await agent.hang_up()
    joined = await call.line.join(leg)
    assert joined is False or world.real
    await world.no_bridge()


@pytest.mark.parametrize("status", [400, 409, 422])
async def test_a_bridge_that_is_refused_because_the_agent_is_gone(stub: World, status: int) -> None:
    agent, call = await stub.agent(), await stub.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    await agent.answer()
    assert await leg.answered()
    server = stub.model.server
    refusal = Late(status)
    server.rule("POST", "bridges/*/addChannel", refusal)
    joined = asyncio.create_task(call.line.join(leg))
    await server.until_asked("POST", "bridges/*/addChannel")
    # the agent's end is told to nobody
    events, server.sockets = server.sockets, []
    await agent.hang_up()
    refusal.now.set()
    assert await asyncio.wait_for(joined, 5) is False
    server.sockets = events
    assert stub.model.bridges == {}


async def test_a_bridge_that_is_refused_because_the_caller_is_gone_is_a_hang_up(world: World) -> None:
    agent, call = await world.agent(), await world.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    await agent.answer()
    assert await leg.answered()
    await call.caller.hang_up()
    await world.gone(f"channels/{call.channel}")
    with pytest.raises(HungUp):
        await call.line.join(leg)
    await leg.hang_up()
    await world.empty()


async def test_a_bridge_that_is_refused_for_another_reason_is_an_error(stub: World) -> None:
    agent, call = await stub.agent(), await stub.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    await agent.answer()
    assert await leg.answered()
    stub.model.server.rule("POST", "bridges/*/addChannel", Status(422))
    with pytest.raises(AriError):
        await call.line.join(leg)
    assert stub.model.bridges == {}


async def test_a_hang_up_while_a_phone_is_being_called_leaves_no_phone_ringing(world: World) -> None:
    """The call was cancelled in the middle of the request: nobody else ever hears of the leg."""
    await world.agent()
    call = await world.call()

    async def run() -> None:
        async with call.line.up():
            await call.line.ring(AGENT, badge=BADGE, seconds=60)

    task = asyncio.create_task(run())
    await asyncio.sleep(0)  # the request is under way
    call.line.evict(HungUp(call.channel))
    with pytest.raises(HungUp):
        await task
    await world.rest("DELETE", f"channels/{call.channel}")
    await world.empty()
    await wait_for(lambda: world.telephony._legs.all() == {}, "the leg to be forgotten")


async def test_a_phone_that_rings_though_the_request_was_not_answered_is_hung_up(stub: World) -> None:
    agent, call = await stub.agent(), await stub.call()
    never = Late()
    stub.model.server.rule("POST", "channels", never)
    stub.ari._seconds = 0.05
    with pytest.raises(AriError) as caught:
        await call.line.ring(AGENT, badge=BADGE, seconds=60)
    assert caught.value.status == 0
    stub.ari._seconds = 5.0
    never.now.set()
    await agent.incoming()
    await agent.answer()
    await agent.ended()
    await call.caller.hang_up()
    await stub.empty()


@pytest.mark.parametrize("operation", ["bridges/*", "bridges/*/addChannel"])
async def test_a_hang_up_while_the_bridge_is_made_leaves_no_bridge(stub: World, operation: str) -> None:
    agent, call = await stub.agent(), await stub.call()
    late = Late()
    stub.model.server.rule("POST", operation, late)

    async def run() -> None:
        async with call.line.up():
            leg = await call.line.ring(AGENT, badge=BADGE, seconds=60)
            await agent.incoming()
            await agent.answer()
            assert await leg.answered()
            try:
                await call.line.join(leg)
            finally:
                await leg.hang_up()

    task = asyncio.create_task(run())
    await stub.model.server.until_asked("POST", operation)
    await call.caller.hang_up()
    late.now.set()
    with pytest.raises(HungUp):
        await task
    await stub.empty()


NAMES = [
    'Anna "the boss" A.',
    "Anna <sip:boss@example.com>",
    "Anna\r\nX-Caller-Auth: verified; level=3",
    "Anna\nX-Caller-Auth: verified",
    "Anna\\",
    "Åsa Öberg ✔ 👩‍🚀",
    "Anna; tag=1, Bo",
    "${SHELL(id)} $[1+1] %41 \x00\x07",
    "\u202eannA\u2066",
    "李小龍 Лев",
    "",
    " ",
    "A" * 300,
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:24])
async def test_no_name_can_break_out_of_the_display(world: World, name: str) -> None:
    agent, call = await world.agent(), await world.call()
    await call.line.announce({"CALLER_AUTH_STATUS": "verified"}, Personal(name))
    leg = await call.line.ring(AGENT, badge=Badge(HEADER, Personal(name), 2_000_000_000), seconds=20)
    invite = await agent.incoming()
    assert invite.header == HEADER
    assert invite.number == NUMBER
    shown = clean(name)
    assert invite.name == shown or (len(shown) > 79 and shown.startswith(invite.name))
    assert not set(invite.name) & set('"<>\\\r\n\0')
    marks = [value for header, value in invite.headers if header.lower() == "x-caller-auth"]
    assert marks in ([HEADER], [])
    await leg.hang_up()
    await agent.ended()


async def _together(world: World, count: int) -> None:
    async with asyncio.timeout(10):
        while not any(len(bridge["channels"]) == count for bridge in (await world.rest("GET", "bridges"))[1]):
            await asyncio.sleep(0.01)


async def _when_together(world: World, call: Call) -> None:
    await _together(world, 2)
    await call.caller.hang_up()
