"""A worker goes on with the calls that another one has recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ivr.asterisk import sweep
from ivr.asterisk.leg import AriLeg
from ivr.call.mark import STATUS
from ivr.call.ports import Played
from ivr.call.progress import Progress
from ivr.errors import HungUp, StoreError
from ivr.secret import Personal
from ivr.store.live import RedisLive
from tests.contract.ari_world import LONG, NUMBER, SHORT, Call, World
from tests.contract.live_server import Server
from tests.contract.test_ari_gaps import AGENT, BADGE, NOBODY, abandoned, conversation


def recorded(world: World, call: Call, *, policy: str = "main", taken: int = 1) -> Progress:
    """As the store knows this call, now that another worker has taken it up."""
    progress = Progress.begin(app="tillit", node="node", channel=call.channel, policy=policy, again=False)
    world.records[call.channel] = progress = replace(progress, taken=taken)
    return progress


async def test_a_recorded_call_goes_on_as_the_call_that_it_was(world: World) -> None:
    call = await world.call()
    progress = recorded(world, call)
    await world.replaced()
    line, taken = world.taken[call.channel]
    assert taken == progress and world.gone_at == {call.channel: False}
    assert line.caller == call.line.caller
    assert line.caller.number is not None and line.caller.number.reveal() == NUMBER
    assert world.log.of("reconciled")[-1]["taken"] == 1 and world.log.of("channel.unknown") == []
    await line.answer()
    await line.say(SHORT, language="en")
    assert isinstance(await line.receive(None), Played)
    await call.caller.press("7")
    key = await line.receive(None)
    assert not isinstance(key, Played) and key is not None and key.digit.reveal() == "7"
    await call.caller.hang_up()
    with pytest.raises(HungUp):
        async with line.up():
            await asyncio.Event().wait()


async def test_what_the_worker_before_was_playing_is_stopped(world: World) -> None:
    """Until it is over Asterisk would set no variable, and the new worker's first request would fail."""
    call = await world.call()
    for _ in range(5):
        await call.line.say(SHORT, language="en")
        await call.line.receive(None)
    await call.line.say(LONG, language="en")
    recorded(world, call)
    await world.replaced()
    line, _ = world.taken[call.channel]
    async with asyncio.timeout(3):
        await line.answer()
        await line.allow(60)
        await line.announce({STATUS: "verified"}, Personal(""))
        await line.say(SHORT, language="en")
        assert isinstance(await line.receive(None), Played)


async def test_music_of_the_worker_before_is_stopped(world: World) -> None:
    call = await world.call()
    await call.line.music(on=True)
    recorded(world, call, taken=2)
    await world.replaced()
    line, _ = world.taken[call.channel]
    async with asyncio.timeout(3):
        await line.answer()
        await line.say(SHORT, language="en")
        assert isinstance(await line.receive(None), Played)


async def test_a_recorded_call_that_has_left_is_told_of_as_over(world: World) -> None:
    call, marked, gone = await world.call(), await world.call(), await world.call()
    rounds = [recorded(world, one) for one in (call, marked, gone)]
    await marked.line.announce({STATUS: "verified"}, Personal(""))
    for one in (call, marked):
        await one.line.hand_back(watch=False)
        await world.in_dialplan(one.channel)
    await gone.caller.hang_up()
    await world.gone(f"channels/{gone.channel}")
    await world.replaced()
    assert world.gone_at == {one.channel: True for one in (call, marked, gone)}
    for channel in world.gone_at:
        line, _ = world.taken[channel]
        with pytest.raises(HungUp):
            async with line.up():
                pass
    # whom the watchdog took goes on without a mark, whatever the trail says so far
    went_on = replace(rounds[0], status="unavailable")
    assert [world.taken[one.channel][1] for one in (call, marked, gone)] == [went_on, *rounds[1:]]
    # a caller who goes on in the dialplan is left alone
    assert (await world.rest("GET", f"channels/{call.channel}"))[0] == 200


async def test_a_record_of_something_else_that_was_asked_for_is_not_gone_on_with(stub: World) -> None:
    call = await stub.call()
    recorded(stub, call, policy="another")
    await stub.replaced()
    await stub.in_dialplan(call.channel)
    assert await stub.variable(call.channel, STATUS) == NOBODY and stub.taken == {}


async def test_a_conversation_is_left_alone_although_it_is_recorded(world: World) -> None:
    call, agent = await conversation(world)
    abandoned(world)
    recorded(world, call)
    await world.replaced()
    assert world.taken == {} and len(world.log.of("conversation.adopted")) == 1
    await call.caller.hang_up()
    await agent.ended()


@pytest.mark.parametrize("what", ["records_fail", "take_up_fails", "nothing"])
async def test_without_the_store_calls_are_sent_on(stub: World, what: str) -> None:
    call = await stub.call()
    recorded(stub, call)
    if what == "nothing":
        # another worker was faster, or it has expired
        stub.records[call.channel] = None
    else:
        setattr(stub, what, StoreError("Redis: ConnectionError"))
    await stub.replaced()
    await stub.in_dialplan(call.channel)
    assert bool(stub.log.of("records.failed")) is (what != "nothing")


@pytest.fixture
def redis() -> Iterator[Server]:
    """One that writes down what it is told, so that it outlives its end."""
    with Server("--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.mark.servers
@pytest.mark.parametrize("lost", ["before", "between", "hung", "hung_between"])
async def test_redis_lost_as_calls_are_taken_up_keeps_nobody_and_they_are_told_of_when_it_is_back(
    world: World, redis: Server, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`between`: the worker has learned of the calls, and not taken them up; what a Redis that hung was asked for it does later."""
    live = await RedisLive.open(redis.settings(redis_lines="request_seconds = 0.5"))
    calls = [await world.call() for _ in range(2)]
    rounds = [
        Progress.begin(app="tillit", node="node", channel=one.channel, policy="main", again=False) for one in calls
    ]
    for progress in rounds:
        await live.begin(progress)

    async def recorded() -> frozenset[str]:
        found = await live.recorded("node", "tillit")
        if not world.log.of("records.failed"):
            if lost == "between":
                redis.kill()
            elif lost == "hung_between":
                redis.pause(on=True)
        return found

    monkeypatch.setattr(world, "_recorded", recorded)
    monkeypatch.setattr(world, "_take_up", lambda channel, gone: live.take_up("node", "tillit", channel, gone=gone))
    monkeypatch.setattr(sweep, "_EVERY_SECONDS", 0.05)
    if lost == "hung":
        redis.pause(on=True)
    elif lost == "before":
        redis.kill()
    await world.replaced()
    for call in calls:
        await world.in_dialplan(call.channel)
        assert await world.variable(call.channel, STATUS) == NOBODY
    assert world.log.of("records.failed") and world.taken == {}
    await calls[1].caller.hang_up()
    await world.gone(f"channels/{calls[1].channel}")
    if lost.startswith("hung"):
        redis.pause(on=False)
    else:
        redis.start()
    await world.until(lambda: len(world.taken) == 2, "both to be taken up")
    for call, progress, status in zip(calls, rounds, ("unavailable", ""), strict=True):
        line, taken = world.taken[call.channel]
        with pytest.raises(HungUp):
            async with line.up():
                pass
        assert taken == replace(progress, holder=taken.holder, taken=taken.taken, status=status)
        assert taken.holder != progress.holder
        # what the session does when it has told of it
        await live.end(taken)
    assert await live.recorded("node", "tillit") == frozenset()
    # a caller who goes on in the dialplan is left alone
    assert (await world.rest("GET", f"channels/{calls[0].channel}"))[0] == 200
    await live.close()


async def test_the_workers_own_calls_are_not_taken_up(stub: World) -> None:
    call = await stub.call()
    recorded(stub, call)
    await stub.dropped()
    await stub.mended()
    assert stub.taken == {} and stub.gone_at == {}


async def test_a_caller_who_leaves_while_the_call_is_taken_up_is_missed_by_nobody(stub: World) -> None:
    call = await stub.call()
    recorded(stub, call)
    take_up = stub._take_up

    async def slowly(channel: str, gone: bool) -> Progress | None:
        await stub.model.channels[call.channel].hang_up()
        await stub.until(lambda: call.channel in stub.telephony._left, "the end to be told")
        return await take_up(channel, gone)

    stub._take_up = slowly  # type: ignore[method-assign]
    await stub.replaced()
    line, _ = stub.taken[call.channel]
    with pytest.raises(HungUp):
        async with line.up():
            pass


async def test_a_phone_that_the_worker_before_was_ringing_rings_no_more(world: World) -> None:
    agent, call = await world.agent(), await world.call()
    leg = await call.line.ring(AGENT, badge=BADGE, seconds=20)
    await agent.incoming()
    recorded(world, call)
    await world.replaced()
    await agent.ended()
    assert isinstance(leg, AriLeg)
    await world.gone(f"channels/{leg.channel}")
    assert call.channel in world.taken
