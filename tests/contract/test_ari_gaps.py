"""What happens to calls when the websocket is lost, the worker dies, or Asterisk answers late."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

import ivr.asterisk.voice as voice_module
from ivr.asterisk.events import Started
from ivr.asterisk.leg import AriLeg
from ivr.call.mark import METHODS, STATUS, unmarked
from ivr.call.outcome import Status as Ended
from ivr.call.ports import Badge, Key, Played
from ivr.errors import HungUp, Interrupted, WorkerReplaced
from ivr.secret import Personal
from tests.contract.ari_log import wait_for
from tests.contract.ari_pbx import FakeAgent
from tests.contract.ari_server import Drop, Late, Never, Status, Text
from tests.contract.ari_world import LONG, SHORT, Agent, Call, World

AGENT = "PJSIP/agent1"
# What stands on a channel that is sent on because nobody can verify: the dialplan that comes with Tillit takes an
# empty status for "unavailable", and says so to the caller.
NOBODY = ""

BADGE = Badge("verified; level=2; methods=pin; ref=abcdefgh", Personal("✔ Anna A."), 2_000_000_000)


async def interrupted(call: Call) -> None:
    """The next thing is the interruption, and there is one of it."""
    with pytest.raises(Interrupted):
        await call.line.receive(monotonic() + 10)
    assert await call.line.receive(monotonic()) is None


async def conversation(world: World) -> tuple[Call, Agent]:
    """A caller and an agent, bridged by the worker."""
    agent, call = await world.agent(), await world.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    await agent.answer()
    assert await leg.answered()
    world.telephony._tasks.add(asyncio.ensure_future(_quietly(call, leg)))
    await wait_for(lambda: call.line.talking, "the bridge")
    return call, agent


async def _quietly(call: Call, leg: object) -> None:
    await call.line.join(leg)  # type: ignore[arg-type]  # what `ring` gave


def abandoned(world: World) -> None:
    """From now on the worker is a dead one: it tidies nothing up."""
    world.telephony.evict(WorkerReplaced("x"))
    for line in world.telephony._lines.values():
        line.leave()


# ---------------------------------------------------------------- entries


async def test_an_entry_is_interrupted_once_and_its_prompt_can_be_hushed(world: World) -> None:
    call = await world.call()
    await call.line.say(LONG, language="en")
    await call.caller.press("12")
    await wait_for(lambda: len(call.items) == 2, "two keys")
    await world.dropped()
    await call.caller.press("3")  # nobody hears this one
    await world.mended()
    with pytest.raises(Interrupted):
        await call.line.receive(monotonic() + 10)
    playback = call.playback
    await call.line.hush()
    await world.gone(f"playbacks/{playback}")
    call.line.drop_keys()
    assert await call.line.receive(monotonic()) is None
    await call.line.say(SHORT, language="en")
    await call.caller.press("4")
    heard = [await call.line.receive(monotonic() + 10) for _ in range(2)]
    assert Played() in heard
    assert [item.digit.reveal() for item in heard if isinstance(item, Key)] == ["4"]


async def test_no_deadline_passes_while_keys_cannot_be_heard(world: World) -> None:
    call = await world.call()
    waiting = asyncio.create_task(call.line.receive(monotonic() + 0.3))
    await world.dropped()
    late = asyncio.create_task(call.line.receive(monotonic() - 1)) if waiting.done() else waiting
    await wait_for(lambda: call.waiting)
    await world.mended()
    with pytest.raises(Interrupted):
        await late


async def test_a_prompt_that_ended_unheard_does_not_hold_the_entry_up(world: World) -> None:
    call = await world.call()
    await call.line.say(LONG, language="en")
    playback = call.playback
    await world.dropped()
    await world.rest("DELETE", f"playbacks/{playback}")
    await world.gone(f"playbacks/{playback}")
    await world.mended()
    await interrupted(call)
    await call.line.hush()
    await call.line.say(SHORT, language="en")
    assert await call.line.receive(monotonic() + 10) == Played()


async def test_a_hush_whose_end_is_not_told_finds_out_that_nothing_is(
    stub: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application counts as one that nobody is connected to, and its next look would have come too late."""
    monkeypatch.setattr(voice_module, "_AT_ONCE", 0.05)
    monkeypatch.setattr(stub.ari._vigil, "_seconds", 0.1)
    call = await stub.call()
    server = stub.model.server
    await server.until_asked("POST", "events/user/TillitAlive", 2)
    await call.line.say(LONG, language="en")
    server.rule("DELETE", "playbacks/*", Status(204))
    server.deaf = True
    hushing = asyncio.create_task(call.line.hush())
    await server.until_connected(server.connections + 1)
    server.deaf = False
    await hushing
    assert stub.log.of("ari.forgotten")
    await interrupted(call)


async def test_a_hush_whose_end_was_lost_ends_with_the_gap(stub: World) -> None:
    call = await stub.call()
    await call.line.say(LONG, language="en")
    late = Late()
    stub.model.server.rule("DELETE", "playbacks/*", late)
    hushing = asyncio.create_task(call.line.hush())
    await stub.model.server.until_asked("DELETE", "playbacks/*", how="websocket")
    await stub.dropped()
    await stub.model.server.until_asked("DELETE", "playbacks/*", how="http")
    await stub.mended()
    await hushing
    late.now.set()
    await interrupted(call)


async def test_a_prompt_that_was_asked_for_twice_is_stopped_twice(stub: World) -> None:
    call = await stub.call()
    stub.model.server.rule("POST", "*/play/*", Drop(done=True), how="websocket")
    await call.line.say(LONG, language="en")
    assert len(stub.model.playbacks) == 2
    await stub.reconciled(2)
    await interrupted(call)
    await call.line.hush()
    await wait_for(lambda: not stub.model.playbacks, "silence")
    assert await call.line.receive(monotonic()) is None


async def test_a_call_that_was_sent_on_twice_was_sent_on(stub: World) -> None:
    call = await stub.call()
    await call.line.announce({STATUS: "verified"}, Personal(""))
    server = stub.model.server
    server.rule("POST", "*/continue", Drop(done=True), how="websocket")
    async with call.line.up():
        await call.line.hand_back(watch=True)
    assert len(server.requests("POST", "*/continue")) == 2
    await stub.in_dialplan(call.channel)


@pytest.mark.parametrize("done", [True, False])
async def test_a_call_that_was_sent_on_without_an_answer_is_sent_on_once_more(stub: World, done: bool) -> None:
    """Everything else comes through. Whether it was done or not, it is then: what the dialplan was told stands."""
    call = await stub.call()
    await call.line.announce({STATUS: "verified"}, Personal(""))
    stub.telephony._ari._seconds = 0.3
    server = stub.model.server
    server.rule("POST", "*/continue", Never(done=done), how="websocket")
    async with call.line.up():
        sending = asyncio.create_task(call.line.hand_back(watch=True))
        await server.until_asked("POST", "*/continue")
        await server.emit({"type": "ChannelUserevent", "eventname": "Alive", "application": "tillit", "timestamp": ""})
        await sending
    assert [asked.how for asked in server.requests("POST", "*/continue")] == ["websocket", "http"]
    await stub.in_dialplan(call.channel)


async def test_a_verified_call_that_asterisk_takes_back_meanwhile_was_not_sent_on(stub: World) -> None:
    """It is not in the application either, and in the dialplan as one that is not verified: its mark must not stand."""
    call = await stub.call()
    await call.line.announce({STATUS: "verified"}, Personal(""))
    stub.telephony._ari._seconds = 0.3
    server = stub.model.server
    server.rule("POST", "*/continue", Never(done=False), how="websocket")
    async with call.line.up():
        sending = asyncio.create_task(call.line.hand_back(watch=True))
        await server.until_asked("POST", "*/continue")
        await stub.rest("POST", f"channels/{call.channel}/variable", {"variable": STATUS, "value": "unavailable"})
        await stub.rest("POST", f"channels/{call.channel}/continue")
        await server.emit({"type": "ChannelUserevent", "eventname": "Alive", "application": "tillit", "timestamp": ""})
        with pytest.raises(HungUp):
            await sending
    assert await call.line.went_on()


async def test_a_call_that_has_come_again_by_then_is_not_sent_on_once_more(stub: World) -> None:
    call = await stub.call()
    stub.telephony._ari._seconds = 0.3
    server = stub.model.server
    server.rule("POST", "*/continue", Never(done=True), how="websocket")
    sending = asyncio.create_task(call.line.hand_back(watch=True))
    await server.until_asked("POST", "*/continue")
    stub.telephony.event(Started(call.channel, ("inbound", "main"), Personal(""), "en", None))
    await server.emit({"type": "ChannelUserevent", "eventname": "Alive", "application": "tillit", "timestamp": ""})
    await sending
    assert len(server.requests("POST", "*/continue")) == 1


async def test_two_drops_in_a_row_are_one_interruption(stub: World) -> None:
    """What the first comparison finds out too late counts no more."""
    call = await stub.call()
    server = stub.model.server
    count = len(server.requests("GET", "channels"))
    late = Late()
    server.rule("GET", "channels", late)
    server.socket.cut()
    await server.until_asked("GET", "channels", count + 1)
    await stub.dropped()
    late.now.set()
    await stub.ari.request("GET", "bridges")
    assert not call.errors
    await stub.mended()
    await interrupted(call)


# ---------------------------------------------------------------- ends that nobody heard of


async def test_a_call_that_ended_unheard_is_closed(world: World) -> None:
    call = await world.call()
    await world.dropped()
    await call.caller.hang_up()
    await world.gone(f"channels/{call.channel}")
    with pytest.raises(HungUp):
        async with call.line.up():
            await asyncio.gather(world.mended(), call.line.receive(None))
    await asyncio.wait_for(call.line.ended(), 10)


async def test_a_call_that_went_on_unheard_is_closed(world: World) -> None:
    call = await world.call()
    await world.dropped()
    await world.rest("POST", f"channels/{call.channel}/continue")
    await world.in_dialplan(call.channel)
    with pytest.raises(HungUp):
        async with call.line.up():
            await asyncio.gather(world.mended(), call.line.receive(None))


async def test_a_call_that_was_sent_on_before_is_left_alone(world: World) -> None:
    call = await world.call()
    await call.line.announce({STATUS: "verified"}, Personal(""))
    await call.line.hand_back(watch=True)
    await world.in_dialplan(call.channel)
    await world.dropped()
    await world.mended()
    assert await world.variable(call.channel, STATUS) == "verified"
    async with call.line.up():
        ended = asyncio.create_task(call.line.ended())
    await call.caller.hang_up()
    await asyncio.wait_for(ended, 10)


async def test_a_call_that_another_worker_sent_on_is_left_alone(world: World) -> None:
    call = await world.call()
    await call.line.announce({STATUS: "verified"}, Personal(""))
    await call.line.hand_back(watch=True)
    await world.in_dialplan(call.channel)
    await world.replaced()
    assert await world.variable(call.channel, STATUS) == "verified"
    assert world.log.of("channel.stuck") == []
    assert world.disowned == []


# ---------------------------------------------------------------- agents


async def test_an_agent_who_answered_unheard_has_answered(world: World) -> None:
    agent, call = await world.agent(), await world.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    answered = asyncio.create_task(leg.answered())
    world.cable.deaf = True
    await agent.answer()
    assert isinstance(leg, AriLeg)
    await world.inside(leg.channel)
    assert not answered.done()
    world.cable.deaf = False
    await world.dropped()
    await world.mended()
    assert await asyncio.wait_for(answered, 10) is True
    joined = asyncio.create_task(call.line.join(leg))
    await wait_for(lambda: call.line.talking, "the bridge")
    await agent.hang_up()
    assert await joined


async def test_an_agent_who_answers_while_no_worker_is_there_is_hung_up(world: World) -> None:
    """That is Asterisk's doing: it lets nobody into an application that nobody serves."""
    agent, call = await world.agent(), await world.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    answered = asyncio.create_task(leg.answered())
    await world.dropped()
    await agent.answer()
    await agent.ended()
    await world.mended()
    assert await asyncio.wait_for(answered, 10) is False
    assert world.telephony._legs.all() == {}


async def test_an_agent_who_declined_unheard_has_not_answered(world: World) -> None:
    agent, call = await world.agent(), await world.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    answered = asyncio.create_task(leg.answered())
    await world.dropped()
    await agent.busy()
    await world.mended()
    assert await asyncio.wait_for(answered, 10) is False
    assert world.telephony._legs.all() == {}


async def test_a_conversation_goes_on_over_a_gap(world: World) -> None:
    call, agent = await conversation(world)
    await world.dropped()
    await world.mended()
    assert call.line.talking
    await agent.hang_up()
    await wait_for(lambda: not call.line.talking, "the end")


async def test_a_phone_that_is_being_called_while_things_are_compared_is_left_alone(stub: World) -> None:
    agent, call = await stub.agent(), await stub.call()
    server = stub.model.server
    calling, comparing = Late(), Late()
    server.rule("GET", "bridges", comparing)
    server.rule("POST", "channels", calling)
    ringing = asyncio.create_task(call.line.ring(AGENT, badge=BADGE, seconds=20))
    await server.until_asked("POST", "channels")
    server.socket.cut()
    await server.until_asked("GET", "bridges", 2)
    calling.now.set()
    leg = await ringing
    comparing.now.set()
    await stub.reconciled(2)
    await agent.incoming()
    await agent.answer()
    assert await asyncio.wait_for(leg.answered(), 5) is True


# ---------------------------------------------------------------- while things are compared


@pytest.mark.parametrize("operation", ["channels", "bridges"])
async def test_a_call_that_comes_in_while_things_are_compared_is_not_harmed(stub: World, operation: str) -> None:
    server = stub.model.server
    late = Late()
    before = len(server.requests("GET", operation))
    server.rule("GET", operation, late)
    server.socket.cut()
    await server.until_asked("GET", operation, before + 1)
    call = await stub.call()
    late.now.set()
    await stub.reconciled(2)
    async with call.line.up():
        await call.caller.press("5")
        heard = await call.line.receive(monotonic() + 5)
        assert isinstance(heard, Key) and heard.digit.reveal() == "5"


async def test_a_bridge_that_is_being_made_while_things_are_compared_is_not_destroyed(stub: World) -> None:
    agent, call = await stub.agent(), await stub.call()
    server = stub.model.server
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    await agent.answer()
    assert await leg.answered()
    late = Late()
    server.rule("POST", "bridges/*/addChannel", late)
    joined = asyncio.create_task(call.line.join(leg))
    await server.until_asked("POST", "bridges/*/addChannel")
    server.socket.cut()
    await stub.reconciled(2)
    late.now.set()
    await wait_for(lambda: call.line.talking, "the bridge")
    await agent.hang_up()
    assert await joined


async def test_another_workers_bridges_are_not_touched(world: World) -> None:
    await world.rest("POST", "bridges/tillit-bridge-others", {"type": "mixing", "name": "tillit-2"})
    await world.dropped()
    await world.mended()
    assert (await world.rest("GET", "bridges/tillit-bridge-others"))[0] == 200
    await world.rest("DELETE", "bridges/tillit-bridge-others")


async def test_a_comparison_that_fails_is_made_again(stub: World) -> None:
    call = await stub.call()
    server = stub.model.server
    server.rule("GET", "channels", Status(503), Text("{}"), Text('[{"state": "Up"}]'), Text("[3]"))
    server.rule("GET", "bridges", Text('[{"id": 3}]'))
    server.socket.cut()
    await stub.reconciled(2)
    await interrupted(call)
    assert stub.log.of("reconcile.failed")


# ---------------------------------------------------------------- calls of a dead worker


async def test_a_channel_that_nobody_knows_is_sent_on_as_unavailable(world: World) -> None:
    call = await world.call()
    await call.line.announce({**unmarked(Ended.REFUSED), STATUS: "verified", METHODS: "pin"}, Personal(""))
    assert await world.variable(call.channel, STATUS) == "verified"
    await world.replaced()
    await world.in_dialplan(call.channel)
    assert await world.variable(call.channel, STATUS) == NOBODY
    assert await world.variable(call.channel, METHODS) == ""
    assert world.disowned == [call.channel]
    assert world.log.of("channel.stuck") == []


async def test_a_channel_that_nobody_knows_is_sent_on_though_it_is_listening_to_a_prompt(world: World) -> None:
    """Setting a variable waits for the prompt's end, and longer than a request may take; sending on waits behind it."""
    call = await world.call()
    await call.line.announce({STATUS: "verified"}, Personal(""))
    await call.line.say(LONG, language="en")
    playback = call.playback
    await world.die()
    world.ari, world.telephony, _ = world._worker()
    world.ari._seconds = 0.5
    world.log.lines.clear()
    await world.start()
    await world.rest("DELETE", f"playbacks/{playback}")
    await world.in_dialplan(call.channel)
    assert await world.variable(call.channel, STATUS) == NOBODY


async def test_one_channel_that_blocks_does_not_hold_up_the_others(stub: World) -> None:
    calls = [await stub.call() for _ in range(5)]
    first = min(calls, key=lambda call: call.channel)
    await first.line.say(LONG, language="en")
    await stub.die()
    stub.ari, stub.telephony, _ = stub._worker()
    stub.log.lines.clear()
    starting = asyncio.create_task(stub.start())
    for call in calls:
        if call is not first:
            await stub.in_dialplan(call.channel, 2)
    await stub.model.channels[first.channel].hang_up()
    await starting


async def test_an_agents_leg_that_nobody_knows_is_hung_up(world: World) -> None:
    agent, call = await world.agent(), await world.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    await agent.answer()
    assert await leg.answered()
    await world.replaced()
    await agent.ended()
    await world.in_dialplan(call.channel)


@pytest.mark.parametrize("leaves", ["caller", "agent"])
async def test_a_dead_workers_conversation_goes_on_until_one_side_hangs_up(world: World, leaves: str) -> None:
    call, agent = await conversation(world)
    abandoned(world)
    await world.replaced()
    assert len(world.log.of("conversation.adopted")) == 1
    (bridge,) = (await world.rest("GET", "bridges"))[1]
    assert len(bridge["channels"]) == 2
    await world.dropped()
    await world.mended()
    assert (await world.rest("GET", f"bridges/{bridge['id']}"))[0] == 200
    if leaves == "caller":
        await call.caller.hang_up()
        await agent.ended()
    else:
        await agent.hang_up()
    await world.empty()
    assert len(world.log.of("conversation.ended")) == 1
    assert world.telephony._reconciliation.conversations == []


async def test_a_dead_workers_conversation_that_one_side_has_left_is_ended(world: World) -> None:
    call, agent = await conversation(world)
    abandoned(world)
    await world.die()
    await call.caller.hang_up()
    world.ari, world.telephony, _ = world._worker()
    world.log.lines.clear()
    await world.start()
    await agent.ended()
    await world.empty()


async def test_an_adopted_conversation_that_one_side_leaves_unheard_is_ended(world: World) -> None:
    call, agent = await conversation(world)
    abandoned(world)
    await world.replaced()
    await world.dropped()
    await call.caller.hang_up()
    await world.mended()
    await agent.ended()
    await world.empty()


async def test_a_side_that_leaves_while_things_are_compared_ends_the_conversation(stub: World) -> None:
    call, agent = await conversation(stub)
    abandoned(stub)
    await stub.die()
    stub.ari, stub.telephony, _ = stub._worker()
    stub.log.lines.clear()
    server = stub.model.server
    count = len(server.requests("GET", "bridges"))
    # what is answered then was so before the caller left
    members = list(next(iter(stub.model.bridges.values())))
    (name,) = stub.model.bridges
    late = Late()
    server.rule("GET", "bridges", late)
    starting = asyncio.create_task(stub.start())
    await server.until_asked("GET", "bridges", count + 1)
    server.handle = _once(server, "bridges", [{"id": name, "name": "tillit", "channels": members}])
    await call.caller.hang_up()
    await stub.ari.request("POST", "events/user/X", {"source": f"channel:{members[1]}", "variables": {}}, quick=True)
    late.now.set()
    await starting
    await agent.ended()
    await stub.empty()


def _once(server: object, path: str, body: object):  # type: ignore[no-untyped-def]  # a stand-in for `handle`
    handle = server.handle  # type: ignore[attr-defined]

    async def answer(asked):  # type: ignore[no-untyped-def]
        if asked.method == "GET" and asked.path == path:
            server.handle = handle  # type: ignore[attr-defined]
            return 200, body
        return await handle(asked)

    return answer


async def test_who_has_left_is_remembered_only_while_things_are_compared(stub: World) -> None:
    for _ in range(3):
        call = await stub.call()
        await call.caller.hang_up()
    await wait_for(lambda: call.line._why is not None, "the end")
    assert stub.telephony._left == set()


async def test_an_empty_bridge_of_a_dead_worker_goes(world: World) -> None:
    await world.rest("POST", "bridges/tillit-bridge-mine", {"type": "mixing", "name": "tillit"})
    await world.replaced()
    await world.gone("bridges/tillit-bridge-mine")


# ---------------------------------------------------------------- calls and workers that go wrong


async def test_a_call_that_fails_is_sent_on(world: World) -> None:
    world.failure = RuntimeError("canary")
    await world._calling()
    await wait_for(lambda: world.log.of("task.failed"), "the failure")
    ((channel,),) = [[entry["id"] for entry in (await world.rest("GET", "channels"))[1]]]
    await world.in_dialplan(channel)
    assert await world.variable(channel, STATUS) == NOBODY
    assert "canary" not in str(world.log.lines)


async def test_a_channel_in_a_callers_place_is_another_caller(stub: World) -> None:
    call = await stub.call()
    channel = await stub.model.incoming("+46701740602", ["nothing-of-ours"])
    await stub.in_dialplan(channel.id)
    other = await stub.model.incoming("+46701740603", ["inbound", "main"])
    await wait_for(lambda: other.id in stub.telephony._lines)
    stub.telephony.event(Started(other.id, ("inbound", "main"), Personal(""), "en", call.channel))
    with pytest.raises(HungUp):
        async with call.line.up():
            pass
    # in the dialplan the end of a transfer would go on for ever
    await stub.gone(f"channels/{other.id}")


async def test_another_worker_of_the_same_name_takes_the_calls(world: World) -> None:
    call = await world.call()
    first, listening = world.ari, world.listening
    assert listening is not None
    world.ari, world.telephony, _ = world._worker()
    world.log.lines.clear()
    await world.start()
    with pytest.raises(WorkerReplaced):
        await listening
    await world.in_dialplan(call.channel)
    assert await world.variable(call.channel, STATUS) == NOBODY
    await first.close()


async def test_an_offer_that_asterisk_fails_is_told_of_and_one_that_is_lost_is_not(stub: World) -> None:
    server = stub.model.server
    offer = {"type": "CallBroadcast", "channel": {"id": "offered"}}
    for status in (404, 409, 500):
        server.rule("POST", "events/claim", Status(status))
        await server.socket.send(offer)
    await wait_for(lambda: stub.log.of("offer.failed"), "the failure to be told of")
    assert [line["channel"] for line in stub.log.of("offer.failed")] == ["offered"]
    # one that was won, and whose caller has hung up meanwhile
    server.rule("POST", "channels/offered/continue", Status(404), Status(500))
    for _ in range(2):
        stub.telephony.event(Started("offered", ("offer",), Personal(""), "en", None))
    await wait_for(lambda: len(stub.log.of("offer.failed")) == 2, "the other failure to be told of")
    assert stub.telephony.calls == 0


async def test_a_call_that_was_won_is_sent_into_the_application_once(stub: World) -> None:
    # twice would take it out of there again, where another worker may have begun with it
    stub.model.server.rule("POST", "channels/offered/continue", Drop())
    stub.telephony.event(Started("offered", ("offer",), Personal(""), "en", None))
    await wait_for(lambda: stub.log.of("offer.failed"), "the failure to be told of")
    assert len(stub.model.server.requests("POST", "channels/offered/continue")) == 1


async def test_a_worker_that_goes_offers_anew_what_it_has_won(stub: World) -> None:
    server = stub.model.server
    stub.telephony.close()
    await server.socket.send({"type": "CallBroadcast", "channel": {"id": "offered"}})
    stub.telephony.event(Started("offered", ("offer",), Personal(""), "en", None))
    asked = await server.until_asked("POST", "channels/offered/continue")
    assert asked.fields == {"extension": "s", "label": "offer"}
    assert not [one for one in server.asked if one.path == "events/claim"]


async def test_a_flood_of_rubbish_events_harms_no_call(stub: World) -> None:
    call = await stub.call()
    socket = stub.model.server.socket
    channel = {"id": call.channel}
    for n in range(300):
        await socket.send({"type": "PlaybackFinished", "playback": {"id": str(n), "target_uri": f"channel:{call.channel}", "state": "failed"}})  # fmt: skip
        await socket.send({"type": "ChannelDtmfReceived", "channel": {"id": "nobody"}, "digit": "1"})
        await socket.send({"type": "StasisEnd", "channel": {"id": "nobody"}})
        await socket.send({"type": "ChannelDestroyed", "channel": {"id": "nobody"}, "cause": n})
    await socket.send({"type": "ChannelDtmfReceived", "channel": channel, "digit": "9"})
    heard = await call.line.receive(monotonic() + 10)
    assert isinstance(heard, Key) and heard.digit.reveal() == "9"
    assert FakeAgent is not None


@pytest.mark.parametrize(
    ("dialplan", "inside"),
    [
        ({"app_name": "Stasis", "app_data": "APP,inbound,main"}, True),
        ({"app_name": "Stasis", "app_data": "APP"}, True),
        ({"app_name": "Stasis", "app_data": "APP-of-others,inbound"}, False),
        ({"app_name": "Stasis", "app_data": "other"}, False),
        ({"app_name": "Queue", "app_data": "APP"}, False),
        ({}, False),
        (None, False),
    ],
)
async def test_only_what_waits_in_the_application_is_ours(stub: World, dialplan: object, inside: bool) -> None:
    """Not what it is subscribed to: verified callers in the dialplan, or in another application by now."""
    if isinstance(dialplan, dict) and "app_data" in dialplan:
        dialplan = {**dialplan, "app_data": dialplan["app_data"].replace("APP", stub.ari.app)}
    assert stub.telephony._reconciliation._inside([{"id": "1", "dialplan": dialplan}]) == ({"1"} if inside else set())


@pytest.mark.parametrize(
    ("more", "called", "attestation"),
    [
        ((), False, ""),
        (("", "", ""), False, ""),
        (("", "", "", "A"), False, "A"),
        (("again", "PJSIP/agent1-1", "", "failed"), False, "failed"),
        (("again", "PJSIP/agent1-1", "called", ""), True, ""),
        (("", "", "", "called"), False, ""),
        (("", "", "", "AB"), False, ""),
        (("", "", "A", "", "A"), False, ""),
    ],
)
async def test_what_the_dialplan_tells_stands_in_its_place(
    stub: World, more: tuple[str, ...], called: bool, attestation: str
) -> None:
    caller = stub.telephony._reconciliation.caller("1.1", ("inbound", "main", *more), Personal(""), "en")
    assert (caller.called, caller.attestation) == (called, attestation)


async def test_a_call_that_comes_anew_ends_what_was_left_of_it(stub: World) -> None:
    """Its first end was not told: the session that still waits for keys would get the new one's."""
    call = await stub.call()

    async def session() -> None:
        async with call.line.up():
            await call.line.receive(monotonic() + 10)

    waiting = asyncio.create_task(session())
    await wait_for(lambda: call.waiting, "the first session to wait")
    await stub.model.channels[call.channel].enter(["inbound", "main"])
    with pytest.raises(HungUp):
        await waiting
    await stub.until(lambda: stub.telephony._lines.get(call.channel) not in (None, call.line), "the new session")
