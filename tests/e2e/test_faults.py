"""Parts fail: nobody is verified by it, and nobody waits in silence."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from rig.proxy import Wire
from rig.stage import ANNA, BO, CECILIA, Stage
from rig.worker import Worker

from tests.e2e.scene import Scene

SETTINGS = {"asterisk": {"request_seconds": 2.0}, "redis": {"request_seconds": 1.0}}
STAGE = {
    "dialplan": """
[callers]
exten => 100,1,Set(CALLER_AUTH_STATUS=verified)
 same => n,Set(__CALLER_AUTH_LEVEL=3)
 same => n,Set(__TILLIT_BADGE=verified\\; level=3\\; methods=eid\\; ref=aaaaaaaa)
 same => n,Gosub(tillit-verify,s,1(main))
 same => n,Goto(after,s,1)
exten => 200,1,Gosub(tillit-verify,s,1(bridge))
 same => n,Goto(after,s,1)
exten => 400,1,Gosub(tillit-verify,s,1(nobody-wrote-this))
 same => n,Goto(after,s,1)
; a badge whose mark has ended while the caller waited
exten => 500,1,Answer()
 same => n,Set(__TILLIT_BADGE=verified\\; level=2)
 same => n,Set(__TILLIT_BADGE_EXPIRES=1)
 same => n,Set(__TILLIT_BADGE_OF=${UNIQUEID})
 same => n,Set(CALLERID(name)=✔ Anna A.)
 same => n,Goto(badge,s,1)
exten => 600,1,Answer()
 same => n,Set(__TILLIT_BADGE=verified\\; level=2)
 same => n,Set(__TILLIT_BADGE_EXPIRES=9999999999)
 same => n,Set(__TILLIT_BADGE_OF=${UNIQUEID})
 same => n,Set(CALLERID(name)=✔ Anna A.)
 same => n,Goto(badge,s,1)
exten => 700,1,Gosub(tillit-verify,s,1(main))
 same => n,Dial(PJSIP/agent1,30,b(tillit-badge^s^1))
; one agent after the other, as a queue calls them
exten => 750,1,Gosub(tillit-verify,s,1(main))
 same => n,Dial(PJSIP/agent1,30,b(tillit-badge^s^1))
 same => n,Dial(PJSIP/agent2,30,b(tillit-badge^s^1))
exten => 800,1,Dial(PJSIP/agent3,30,b(tillit-badge^s^1))
exten => 900,1,Answer()
 same => n,Echo()

[agents]
exten => 700,1,Dial(PJSIP/agent2,20)

[badge]
exten => s,1,Dial(PJSIP/agent3,30,b(tillit-badge^s^1))

[after]
exten => s,1,UserEvent(Reached,Path: ${IF($["${CALLER_AUTH_STATUS}" = "verified"]?verified:unverified)},Status: ${CALLER_AUTH_STATUS},Level: ${CALLER_AUTH_LEVEL},Badge: ${TILLIT_BADGE})
 same => n,Dial(PJSIP/agent3,30,b(tillit-badge^s^1))
 same => n,MusicOnHold(default,60)

[agents]
exten => _X.,1,Congestion()
"""
}


@pytest.fixture
def wire(stage: Stage) -> Iterator[Wire]:
    """Between the worker and Asterisk."""
    with Wire(stage.pbx.http_port) as wire:
        stage.write_config({"asterisk": {"url": f"http://127.0.0.1:{wire.port}/ari"}})
        yield wire
    stage.write_config()


@pytest.fixture
def worker(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Worker]:
    """Here it may be killed in mid-test. A parameter is what it has as `[worker] shutdown_seconds`."""
    port = request.getfixturevalue("wire").port if "wire" in request.fixturenames else None
    running = stage.worker(request.node.name, port=port)
    if hasattr(request, "param"):
        stage.write_config({"worker": {"shutdown_seconds": request.param}})
    running.start()
    if hasattr(request, "param"):
        stage.write_config()
    try:
        yield running
    finally:
        if running.child.alive:
            running.stop()


async def test_no_worker_at_all(scene: Scene) -> None:
    """And what the call brought along does not count: variables that say verified, inherited ones too."""
    scene.worker.stop()
    desk = await scene.phone("agent3")
    caller = await scene.caller("100")
    reached = await scene.reached("unverified")
    assert (reached["Status"], reached["Level"], reached["Badge"]) == ("unavailable", "0", "")
    await caller.hears()
    invite = await desk.incoming()
    assert invite.header("X-Caller-Auth") is None


async def test_look_alike_variables_are_void_when_the_caller_is_refused(scene: Scene) -> None:
    desk = await scene.phone("agent3")
    caller = await scene.caller("100", headers={"X-Caller-Auth": "verified; level=3"})
    for count in (1, 2, 3):
        await scene.asked("pin", count)
        await caller.send_digits("9999#")
    reached = await scene.reached("unverified")
    assert (reached["Status"], reached["Level"], reached["Badge"]) == ("refused", "0", "")
    assert (await desk.incoming()).header("X-Caller-Auth") is None


async def test_a_worker_that_dies_in_mid_call_is_noticed_by_the_watchdog(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    await scene.asked("sms_code")
    channel = scene.log("call.started")[-1]["call"]
    assert 50 < await _left(scene, channel) <= 60, "the watchdog waits for `[worker] watchdog_seconds`, and no longer"
    # which is longer than a test may wait
    await asyncio.to_thread(
        scene.stage.pbx.ari, "POST", f"channels/{channel}/variable", {"variable": "TIMEOUT(absolute)", "value": "2"}
    )
    scene.worker.kill()
    reached = await scene.reached("unverified")
    assert (reached["Status"], reached["Level"]) == ("unavailable", "0")
    await caller.hears()
    await caller.hang_up()
    await asyncio.to_thread(scene.stage.pbx.wait_idle)


async def _left(scene: Scene, channel: str) -> float:
    """Seconds until Asterisk takes this call back; 0: never."""
    answer = await asyncio.to_thread(
        scene.stage.pbx.ari, "GET", f"channels/{channel}/variable?variable=TIMEOUT(absolute)"
    )
    return float(answer["value"])


def _in_stasis(scene: Scene) -> list[str]:
    """The channels that a worker has."""
    return [one["id"] for one in scene.stage.pbx.ari("GET", "channels") if one["dialplan"]["app_name"] == "Stasis"]


async def test_a_worker_that_hangs_as_a_call_comes_in_is_noticed_by_the_watchdog_of_the_dialplan(scene: Scene) -> None:
    scene.worker.child.pause()
    try:
        await asyncio.to_thread(scene.stage.pbx.cli, "dialplan set global TILLIT_WATCHDOG 2")
        phone = await scene.phone("caller")
        await phone.call("100", number=ANNA.phones)
        await scene.reached("unverified", Status="unavailable")
        # what is no number of seconds counts for nothing
        await asyncio.to_thread(scene.stage.pbx.cli, "dialplan set global TILLIT_WATCHDOG soon")
        other = await scene.phone("caller")
        await other.call("100", number=BO.phones)
        await scene.until(lambda: bool(_in_stasis(scene)), "the other call to wait")
        assert 50 < await _left(scene, _in_stasis(scene)[0]) <= 60
    finally:
        await asyncio.to_thread(scene.stage.pbx.cli, "dialplan set global TILLIT_WATCHDOG 60")
        scene.worker.child.resume()
    for caller in (phone, other):
        await caller.hang_up()


async def test_the_next_worker_sends_on_calls_that_nothing_is_known_of(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.asked("pin")
    scene.worker.kill()
    with scene.redis as client:
        client.flushdb()
    with scene.another():
        await scene.reached("unverified", Status="unavailable")
    await caller.hang_up()
    await asyncio.to_thread(scene.stage.pbx.wait_idle)


async def test_a_conversation_survives_its_worker_and_the_next_one_clears_up(scene: Scene) -> None:
    agent = await scene.phone("agent1")
    caller = await scene.talking(agent)
    await scene.logged("agent.answered")
    await agent.play_tone(700)
    await caller.hears(700)
    scene.worker.kill()
    with scene.another() as heir:
        await scene.logged("conversation.adopted", of=heir)
        await caller.hears(700, since=caller.mark())
        await caller.hang_up()
        await agent.until("disconnected")
        await asyncio.to_thread(scene.stage.pbx.wait_idle)


async def test_an_agent_transfers_the_caller_after_the_worker_was_replaced(scene: Scene) -> None:
    agent, second = await scene.phone("agent1"), await scene.phone("agent2")
    caller = await scene.talking(agent)
    await scene.logged("agent.joined")
    scene.worker.kill()
    with scene.another() as heir:
        await scene.logged("conversation.adopted", of=heir)
        await agent.transfer("700")
        await second.incoming()
        await second.answer()
        await second.play_tone(1100)
        await caller.hears(1100)
        await second.hang_up()
        await caller.until("disconnected")
        await asyncio.to_thread(scene.stage.pbx.wait_idle)
        await scene.until(lambda: scene.marks() == [], "the mark to be swept", 25)


@pytest.mark.parametrize("leaves", ["agent", "caller"])
async def test_a_conversation_whose_worker_is_dead_ends_for_both(scene: Scene, leaves: str) -> None:
    agent = await scene.phone("agent1")
    caller = await scene.talking(agent)
    await agent.play_tone(700)
    await caller.hears(700)
    await scene.logged("agent.joined")
    scene.worker.kill()
    goes, stays = (agent, caller) if leaves == "agent" else (caller, agent)
    await goes.hang_up()
    await stays.until("disconnected")
    await scene.until(lambda: not scene.stage.pbx.channels(), "all channels to end")
    with scene.another():
        await asyncio.to_thread(scene.stage.pbx.wait_idle)


@pytest.mark.parametrize("worker", [60], indirect=True)
async def test_a_worker_that_is_stopped_lets_calls_come_to_their_end(scene: Scene) -> None:
    """Who keys goes on and is verified, who comes goes on unverified, and nobody waits once it is told again."""
    anna = await scene.caller("100")
    await scene.asked("pin")
    bo = await scene.caller("100", who=BO)
    await scene.asked("pin", 2)
    scene.worker.child.ask_to_end()
    assert (await scene.logged("worker.draining"))["calls"] == 2
    new = await scene.caller("100", who=CECILIA)
    await scene.reached("unverified", Status="unavailable")
    await new.hang_up()
    await anna.send_digits(f"{ANNA.pin}#")
    await scene.key_code(anna)
    await scene.reached("verified")
    assert scene.worker.child.alive and not scene.log("call.refused")
    scene.worker.child.ask_to_end()
    await scene.until(lambda: _unavailable(scene) == 2, "the other caller to go on")
    await scene.logged("worker.stopped")
    assert await asyncio.to_thread(scene.worker.child.exit_code) == 0
    assert [row["outcome"] for row in scene.audit()[-2:]] == ["verified", "unavailable"]
    assert len(scene.log("call.started")) == 2
    for caller in (anna, bo):
        await caller.hang_up()


def _unavailable(scene: Scene) -> int:
    """How often somebody has reached the unverified branch because verifying was not possible."""
    return sum(m.get("UserEvent") == "Reached" and m.get("Status") == "unavailable" for m in scene.ami.messages)


async def test_a_worker_that_is_stopped_hands_back_who_is_not_through_when_the_time_is_over(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.asked("pin")
    assert await asyncio.to_thread(scene.worker.stop) == 0
    await scene.reached("unverified", Status="unavailable")
    await caller.hang_up()
    assert scene.log("worker.draining")[0]["seconds"] == 1 and scene.log("worker.evicting")
    assert scene.audit()[-1]["outcome"] == "unavailable"


async def test_a_worker_that_is_replaced_ends_in_peace(scene: Scene) -> None:
    # on the same Redis it would stand by
    scene.stage.write_config({"redis": {"prefix": "elsewhere"}})
    elsewhere = scene.another()
    try:
        elsewhere.launch()
        await scene.logged("ari.connected", of=elsewhere)
    finally:
        scene.stage.write_config()
    try:
        await scene.logged("worker.stopped")
        assert await asyncio.to_thread(scene.worker.child.exit_code) == 0
        assert scene.log("worker.replaced")
        caller = await scene.caller("100")
        await caller.hears()
        await caller.hang_up()
    finally:
        elsewhere.stop()


@pytest.mark.parametrize(
    "at",
    ["/ari/bridges/", "/addChannel", "tillit-left,s,1(", "tillit-left,s,1(tillit-agent-"],
    ids=["bridge", "add", "tie", "tie-caller"],
)
async def test_a_worker_that_dies_while_it_bridges_leaves_nobody_in_silence(scene: Scene, wire: Wire, at: str) -> None:
    agent = await scene.phone("agent1")
    caller = await scene.verified("200")
    await agent.incoming()
    await scene.logged("agent.ringing")
    channel = scene.log("call.started")[-1]["call"]
    wire.trap(at.encode(), scene.worker.kill)
    await agent.answer()
    await scene.until(lambda: not scene.worker.child.alive, "the worker to die")
    assert 0 < await _left(scene, channel) <= 60, "the watchdog is off"
    await caller.hang_up()
    with scene.another():
        await asyncio.to_thread(scene.stage.pbx.wait_idle)


async def test_a_mark_whose_worker_died_goes_with_the_next_one(scene: Scene) -> None:
    agent = await scene.phone("agent1")
    caller = await scene.verified("200")
    await agent.incoming()
    channel = scene.log("call.started")[-1]["call"]
    # what the worker has set is longer than a test may wait
    watchdog = {"variable": "TIMEOUT(absolute)", "value": "1"}
    await scene.logged("agent.ringing")
    scene.worker.kill()
    await asyncio.to_thread(scene.stage.pbx.ari, "POST", f"channels/{channel}/variable", watchdog)
    await scene.reached("unverified", Status="unavailable")
    assert len(scene.marks()) == 1
    with scene.another() as heir:
        await scene.until(lambda: scene.marks() == [], "the mark to be swept")
        await scene.logged("mark.swept", of=heir, channel=channel)
        # the trail says that the caller was verified, and the dialplan went on without: that is told of too
        await scene.logged("call.ended", of=heir)
    assert [row["outcome"] for row in scene.audit() if row["call"] == channel] == ["verified"]
    assert [row["outcome"] for row in scene.audit("mark.void") if row["call"] == channel] == ["unavailable"]
    await caller.hang_up()


async def test_a_verified_call_that_asterisk_takes_back_as_phones_ring_has_no_mark_and_the_trail_says_so(
    scene: Scene,
) -> None:
    """The worker lives: the watchdog's time was over all the same, or somebody has sent the channel on."""
    agent = await scene.phone("agent1")
    caller = await scene.verified("200")
    await agent.incoming()
    channel = (await scene.logged("agent.ringing"))["call"]
    watchdog = {"variable": "TIMEOUT(absolute)", "value": "1"}
    await asyncio.to_thread(scene.stage.pbx.ari, "POST", f"channels/{channel}/variable", watchdog)
    await scene.reached("unverified", Status="unavailable")
    await scene.logged("call.ended", call=channel)
    assert [row["outcome"] for row in scene.audit() if row["call"] == channel] == ["verified"]
    assert [row["outcome"] for row in scene.audit("mark.void") if row["call"] == channel] == ["unavailable"]
    assert scene.marks() == [] and scene.records() == []
    await caller.hang_up()


async def test_a_mark_that_could_not_be_dropped_goes_when_redis_is_back(scene: Scene) -> None:
    caller = await scene.verified("100")
    await scene.reached("verified")
    scene.stage.redis.kill()
    try:
        await caller.hang_up()
        await scene.logged("mark.not_dropped")
    finally:
        scene.stage.redis.start()
    assert len(scene.marks()) == 1
    await scene.until(lambda: scene.marks() == [], "the mark to be swept", 25)


async def test_a_verified_call_in_the_dialplan_keeps_its_mark_when_its_worker_is_replaced(scene: Scene) -> None:
    caller = await scene.verified("100")
    await scene.reached("verified")
    scene.worker.kill()
    with scene.another() as heir:
        await scene.logged("reconciled", of=heir)
        assert len(scene.marks()) == 1
        await caller.hang_up()
        await scene.until(lambda: scene.marks() == [], "the mark to be swept", 25)


async def test_redis_gone_before_the_call(scene: Scene) -> None:
    scene.stage.redis.kill()
    try:
        await scene.caller("100")
        await scene.reached("unverified", Status="unavailable")
    finally:
        scene.stage.redis.start()


async def test_redis_gone_in_mid_call(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    code = await scene.code()
    await scene.asked("sms_code")
    scene.stage.redis.kill()
    try:
        await caller.send_digits(code)
        await scene.reached("unverified", Status="unavailable")
    finally:
        scene.stage.redis.start()
    await caller.hang_up()
    assert scene.marks() == []
    # and the next call is served as if nothing had been
    caller = await scene.caller("100", number="+46701740602")
    await scene.asked("pin", 2)
    await caller.hang_up()


async def test_a_websocket_dropped_in_mid_entry_begins_the_entry_anew(scene: Scene, wire: Wire) -> None:
    caller = await scene.caller("100")
    await scene.asked("pin")
    await caller.send_digits("99")
    await scene.logged("entry.key", keys=2)
    wire.drop()
    await scene.asked("pin", 2)
    assert scene.log("entry.interrupted")
    await caller.send_digits(f"{ANNA.pin}#")
    await scene.key_code(caller)
    await scene.reached("verified")


async def test_a_caller_who_leaves_while_the_websocket_is_gone(scene: Scene, wire: Wire) -> None:
    caller = await scene.caller("100")
    await scene.asked("pin")
    wire.cut()
    await scene.logged("ari.disconnected")
    await caller.hang_up()
    wire.mend()
    await scene.logged("call.ended")
    assert scene.log("call.hung_up")


async def test_a_call_that_comes_while_the_websocket_is_gone_is_not_kept_waiting(scene: Scene, wire: Wire) -> None:
    wire.cut()
    await scene.logged("ari.disconnected")
    caller = await scene.caller("100")
    await scene.reached("unverified", Status="unavailable")
    wire.mend()
    await caller.hang_up()
    await scene.logged("ari.connected", 2)


async def test_a_policy_that_nobody_wrote(scene: Scene) -> None:
    await scene.caller("400")
    await scene.reached("unverified", Status="unavailable")
    assert "nobody-wrote-this" in scene.log("policy.unknown")[0]["cure"]


async def test_an_audit_trail_that_cannot_be_written_marks_nobody(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    await scene.asked("sms_code")
    code = await scene.code()
    # hold the database's write lock, as a stuck process would
    with closing(sqlite3.connect(scene.stage.database, isolation_level=None)) as held:
        held.execute("begin immediate")
        await caller.send_digits(code)
        await scene.reached("unverified", Status="unavailable")
        assert scene.marks() == []
        assert scene.ami.events("CallerAuthenticated") == []


async def test_a_worker_that_stops_while_the_agent_rings_leaves_no_sign_of_a_mark(scene: Scene) -> None:
    agent, desk = await scene.phone("agent1"), await scene.phone("agent3")
    await scene.verified("200")
    await agent.incoming()
    await agent.ring()
    await asyncio.to_thread(scene.worker.stop)
    await scene.reached("unverified", Status="unavailable", Badge="")
    invite = await desk.incoming(timeout=20)
    assert invite.header("X-Caller-Auth") is None
    assert "✔" not in invite["name"]
    assert scene.marks() == []


@pytest.mark.parametrize(("extension", "shown"), [("500", False), ("600", True)])
async def test_a_badge_is_shown_until_its_marks_end(scene: Scene, extension: str, shown: bool) -> None:
    desk = await scene.phone("agent3")
    await scene.caller(extension)
    invite = await desk.incoming()
    assert (invite.header("X-Caller-Auth") is not None) is shown
    assert ("✔" in invite["name"]) is shown


async def test_whom_a_caller_transfers_the_agent_to_sees_no_mark(scene: Scene) -> None:
    agent, other = await scene.phone("agent1"), await scene.phone("agent3")
    caller = await scene.verified("700")
    assert (await agent.incoming()).header("X-Caller-Auth")
    await agent.answer()
    # not sooner: who is not bridged yet cannot be transferred
    await agent.play_tone(700)
    await caller.hears(700)
    await caller.transfer("800")
    invite = await other.incoming()
    assert invite.header("X-Caller-Auth") is None
    await scene.logged("mark.dropped")


async def test_a_caller_who_transfers_the_agent_leaves_nothing_behind(scene: Scene) -> None:
    agent = await scene.phone("agent1")
    caller = await scene.talking(agent)
    await agent.play_tone(700)
    await caller.hears(700)
    await caller.transfer("900")
    await agent.until("disconnected")
    await scene.idle()
    assert scene.marks() == []


async def test_who_takes_the_callers_place_is_shown_to_no_agent_as_verified(scene: Scene) -> None:
    """An INVITE with Replaces (RFC 3891): another phone has the caller's channel, and all the variables that stand on it."""
    pbx = scene.stage.pbx
    first, second, other = [await scene.phone(name) for name in ("agent1", "agent2", "agent3")]
    caller = await scene.verified("750")
    assert (await first.incoming()).header("X-Caller-Auth")
    (channel,) = {line["call"] for line in scene.log("call.verified")}
    dialog = [
        (await asyncio.to_thread(pbx.ari, "GET", f"channels/{channel}/variable?variable=CHANNEL(pjsip,{part})"))[
            "value"
        ]
        for part in ("call-id", "local_tag", "remote_tag")
    ]
    replaces = "{};to-tag={};from-tag={}".format(*dialog)
    await other.call("900", headers={"Replaces": replaces, "Require": "replaces"})
    await caller.until("disconnected")
    await scene.logged("mark.dropped")
    await first.decline()
    invite = await second.incoming()
    assert invite.header("X-Caller-Auth") is None
    assert "✔" not in invite["name"]


@pytest.mark.parametrize(
    "diversion",
    [
        '"✔ Anna A. verified" <sip:+46701740601@127.0.0.1>;reason=unconditional',
        "<sip:%E2%9C%94%20Anna%20A.%20verified@127.0.0.1>;reason=unconditional",
        '<sip:+46701@127.0.0.1>;reason="X-Caller-Auth verified level=3 ✔"',
    ],
    ids=["name", "number", "reason"],
)
async def test_a_check_mark_in_the_number_or_in_a_diversion_reaches_nobody(scene: Scene, diversion: str) -> None:
    scene.worker.stop()
    desk = await scene.phone("agent3")
    await scene.caller("100", number="%E2%9C%94%20Anna%20A.%207", headers={"Diversion": diversion})
    await scene.reached("unverified")
    invite = await desk.incoming()
    shown = [
        f"{name}: {value}" for name, value in invite["headers"] if name in ("From", "P-Asserted-Identity", "Diversion")
    ]
    assert shown
    assert not [line for line in shown if "✔" in line or "%e2" in line.lower() or "verified" in line], shown
