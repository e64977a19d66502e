"""An agent who is talking with a caller keys a code to have the caller verified, and both come back together."""

from __future__ import annotations

import asyncio

import pytest
from rig.phone import Method, Phone
from rig.stage import ANNA
from rig.state import CHECKOUT

from tests.e2e.scene import Scene

DIALPLAN = """
[callers]
exten => 300,1,Gosub(tillit-offer,s,1(main,lost,s,1))
 same => n,Queue(support,b(tillit-badge^s^1))
 same => n,Hangup()
exten => 400,1,Gosub(tillit-offer,s,1(main,lost,s,1))
 same => n,Dial(PJSIP/agent1,30,b(tillit-badge^s^1))
 same => n,Hangup()
; behind a Local channel, as many queue members are
exten => 500,1,Gosub(tillit-offer,s,1(main,lost,s,1))
 same => n,Dial(Local/anna@desk,30)
 same => n,Hangup()
; a policy whose agents the worker calls itself
exten => 600,1,Gosub(tillit-offer,s,1(bridge,lost,s,1))
 same => n,Dial(PJSIP/agent1,30,b(tillit-badge^s^1))
 same => n,Hangup()
; verified before
exten => 700,1,Gosub(tillit-verify,s,1(main))
 same => n,Gosub(tillit-offer,s,1(main,lost,s,1))
 same => n,Dial(PJSIP/agent1,30,b(tillit-badge^s^1))
 same => n,Hangup()
; verified in front, as most are
exten => 900,1,Gosub(tillit-verify,s,1(main))
 same => n,Dial(PJSIP/agent1,30,b(tillit-badge^s^1))
 same => n,Hangup()
; not offered
exten => 800,1,Dial(PJSIP/agent1,30,b(tillit-badge^s^1))
 same => n,Hangup()

[desk]
exten => anna,1,Dial(PJSIP/agent1,20,b(tillit-badge^s^1))

[lost]
exten => s,1,UserEvent(Lost,Status: ${CALLER_AUTH_STATUS})
 same => n,Dial(PJSIP/agent3,30,b(tillit-badge^s^1))
 same => n,Hangup()

[agents]
exten => _X.,1,Congestion()
"""
FEATURES = (CHECKOUT / "config" / "asterisk" / "features.conf").read_text()
# Two trunks whose names are trusted; one may change them in mid-call.
TRUNKS = """
[caller](+)
trust_id_inbound = yes
trust_connected_line = no
[caller-info](+)
trust_id_inbound = yes
"""
STAGE = {"dialplan": DIALPLAN, "overrides": {"features.conf": FEATURES, "pjsip.conf": TRUNKS}}
CODE = "*87"
CALLER, AGENT = 700, 1100


async def talking(scene: Scene, extension: str = "400", **how: object) -> tuple[Phone, Phone]:
    """A caller and an agent who hear each other."""
    agent = await scene.phone("agent1")
    caller = await scene.phone("caller")
    await caller.call(extension, **{"number": ANNA.phones, **how})
    invite = await agent.incoming()
    assert "✔" not in invite["name"]
    await agent.answer()
    await caller.until("confirmed")
    await together(caller, agent)
    return caller, agent


async def together(caller: Phone, agent: Phone) -> None:
    """Wait until they hear each other."""
    for one, other, tone in ((caller, agent, CALLER), (agent, caller, AGENT)):
        since = other.mark()
        await one.play_tone(tone)
        await other.hears(tone, since=since)
        await one.silence()


def shown(agent: Phone) -> list[str]:
    """What the agent's display has been told since it rang, in its order."""
    return [event["name"] for event in agent.events if event.kind == "connected_line"]


@pytest.mark.parametrize("extension", ["300", "400", "500"])
async def test_a_caller_is_verified_and_the_agents_display_changes(scene: Scene, extension: str) -> None:
    caller, agent = await talking(scene, extension)
    await agent.send_digits(CODE)
    await scene.asked("pin")
    parted = agent.mark()
    await agent.hears(since=parted)
    await caller.play_tone(CALLER)
    await scene.key_pin(caller)
    await scene.key_code(caller)
    # the caller's tone sounds all the time: what the agent hears of it begins when they are together again
    event = await agent.until("connected_line", name="✔ Anna A.")
    assert event["number"] == ANNA.phones
    assert not agent.heard(CALLER, since=parted)
    await agent.hears(CALLER, since=parted)
    await caller.silence()
    await together(caller, agent)
    assert not [event for event in agent.events if event.kind == "heard_digit"]
    assert len(scene.marks()) == 1
    told = await scene.ami.user_event("CallerAuthenticated")
    assert told["CALLER_AUTH_LEVEL"] == "2"
    await agent.hang_up()
    await caller.until("disconnected")
    await scene.idle()
    await scene.until(lambda: not scene.marks(), "the mark to be dropped")


async def test_a_caller_who_is_refused_comes_back_as_before(scene: Scene) -> None:
    caller, agent = await talking(scene)
    await agent.send_digits(CODE)
    for time in range(3):
        await scene.asked("pin", time + 1)
        await caller.send_digits("9999#")
    await scene.logged("call.handed_back", status="refused")
    await together(caller, agent)
    assert not any(shown(agent))
    assert scene.marks() == []
    await caller.hang_up()
    await agent.until("disconnected")


async def test_once_more_in_the_same_call(scene: Scene) -> None:
    """Also after it came to nothing; and a mark that was won goes where it is not won again."""
    caller, agent = await talking(scene)
    await agent.send_digits(CODE)
    await scene.key_pin(caller)
    await scene.key_code(caller)
    await agent.until("connected_line", name="✔ Anna A.")
    await together(caller, agent)
    await agent.send_digits(CODE)
    for time in range(3):
        await scene.asked("pin", time + 2)
        await caller.send_digits("9999#")
    await scene.logged("call.handed_back", status="refused")
    await together(caller, agent)
    assert shown(agent)[-1] == ""
    assert scene.marks() == []
    await agent.hang_up()
    await caller.until("disconnected")


async def test_the_agent_hangs_up_meanwhile(scene: Scene) -> None:
    caller, agent = await talking(scene)
    second = await scene.phone("agent3")
    await agent.send_digits(CODE)
    await scene.asked("pin")
    await agent.hang_up()
    await scene.key_pin(caller)
    await scene.key_code(caller)
    lost = await scene.ami.user_event("Lost", timeout=15)
    assert lost["Status"] == "verified"
    invite = await second.incoming()
    assert (invite.header("X-Caller-Auth") or "").startswith("verified; level=2")
    await second.answer()
    await together(caller, second)
    await caller.hang_up()


async def test_the_agent_hangs_up_and_the_caller_is_refused(scene: Scene) -> None:
    caller, agent = await talking(scene)
    second = await scene.phone("agent3")
    await agent.send_digits(CODE)
    for time in range(3):
        await scene.asked("pin", time + 1)
        if time == 1:
            await agent.hang_up()
        await caller.send_digits("9999#")
    assert (await scene.ami.user_event("Lost", timeout=15))["Status"] == "refused"
    invite = await second.incoming()
    assert invite.header("X-Caller-Auth") is None
    assert "✔" not in invite["name"]
    await caller.hang_up()


async def test_the_caller_hangs_up_meanwhile(scene: Scene) -> None:
    caller, agent = await talking(scene, "300")
    await agent.send_digits(CODE)
    await scene.asked("pin")
    await caller.hang_up()
    await agent.until("disconnected")
    await scene.idle()
    assert scene.marks() == []


async def test_both_hang_up_meanwhile(scene: Scene) -> None:
    caller, agent = await talking(scene)
    await agent.send_digits(CODE)
    await scene.asked("pin")
    await asyncio.gather(caller.hang_up(), agent.hang_up())
    await scene.idle()


@pytest.mark.parametrize("moment", ["keyed", "tillit-split", "tillit-again", "tillit-wait"])
@pytest.mark.parametrize("who", ["caller", "agent"])
async def test_one_hangs_up_in_the_moment_of_parting(scene: Scene, who: str, moment: str) -> None:
    """Whatever comes first, nobody stays behind."""
    caller, agent = await talking(scene)
    await agent.send_digits(CODE[:-1])
    keying = asyncio.create_task(agent.send_digits(CODE[-1]))
    if moment == "keyed":
        await agent.until("digit", digit=CODE[-1])
    else:
        await scene.ami.until("Event", "Newexten", Context=moment)
    if who == "caller":
        await caller.hang_up()
        await agent.until("disconnected")
    else:
        await agent.hang_up()

        def over() -> bool:
            return any(event.kind == "disconnected" for event in caller.events)

        # parted, and asked already; or not parted any more, and the call is over
        await scene.until(lambda: over() or bool(scene.log("entry.asked")), "the caller to know")
        if not over():
            await caller.hang_up()
    await scene.idle()
    keying.cancel()
    await asyncio.gather(keying, return_exceptions=True)


async def test_without_a_worker_they_are_together_again(scene: Scene) -> None:
    caller, agent = await talking(scene)
    scene.worker.kill()
    await agent.send_digits(CODE)
    await scene.ami.until("Event", "MusicOnHoldStart")
    await together(caller, agent)
    assert not any(shown(agent))
    await caller.hang_up()
    await agent.until("disconnected")


async def test_a_worker_that_dies_meanwhile(scene: Scene) -> None:
    """Asterisk itself takes the caller back when the time that the worker has asked for is over."""
    caller, agent = await talking(scene)
    await agent.send_digits(CODE)
    await scene.asked("pin")
    parted = caller.mark()
    # what the worker has set is longer than a test may wait
    path = f"channels/{scene.log('call.started')[-1]['call']}/variable"
    await asyncio.to_thread(scene.stage.pbx.ari, "POST", path, {"variable": "TIMEOUT(absolute)", "value": "2"})
    scene.worker.kill()
    await agent.play_tone(AGENT)
    await caller.hears(AGENT, since=parted)
    await agent.silence()
    await together(caller, agent)
    assert not any(shown(agent))
    await caller.hang_up()
    await agent.until("disconnected")


async def test_a_policy_with_agents_of_its_own_calls_none(scene: Scene) -> None:
    other = await scene.phone("agent2")
    caller, agent = await talking(scene, "600")
    await agent.send_digits(CODE)
    await scene.key_pin(caller)
    await scene.key_code(caller)
    await agent.until("connected_line", name="✔ Anna A.")
    await together(caller, agent)
    assert not [event for event in other.events if event.kind == "incoming"]
    await caller.hang_up()
    await agent.until("disconnected")


async def test_who_was_verified_before_keeps_that_until_then(scene: Scene) -> None:
    agent = await scene.phone("agent1")
    caller = await scene.caller("700")
    await scene.key_pin(caller)
    await scene.key_code(caller)
    invite = await agent.incoming()
    assert invite["name"] == "✔ Anna A."
    assert (invite.header("X-Caller-Auth") or "").startswith("verified; level=2")
    await agent.answer()
    await together(caller, agent)
    await agent.send_digits(CODE)
    await scene.asked("pin", 2)
    await scene.until(lambda: not scene.marks(), "the mark to be dropped")
    await caller.hang_up()
    await agent.until("disconnected")


# ---------------------------------------------------------------- who may not


async def test_the_caller_cannot_key_it(scene: Scene) -> None:
    """The keys go to the agent, as any others."""
    caller, agent = await talking(scene)
    await caller.send_digits(CODE)
    for key in CODE:
        await agent.until("heard_digit", digit=key)
    await together(caller, agent)
    assert not scene.log("call.started")
    await caller.hang_up()


async def test_where_it_was_not_offered_the_keys_mean_nothing(scene: Scene) -> None:
    caller, agent = await talking(scene, "800")
    await agent.send_digits(CODE)
    for key in CODE:
        await caller.until("heard_digit", digit=key)
    await together(caller, agent)
    assert not scene.log("call.started")
    await caller.hang_up()


async def test_a_look_alike_from_elsewhere_parts_nobody(scene: Scene) -> None:
    """Another channel that comes into the dialplan where the agent's does, with all that it may bring along."""
    caller, agent = await talking(scene)
    pbx = scene.stage.pbx
    names = [str(channel["name"]) for channel in pbx.ari("GET", "channels")]
    mine, theirs = (next(name for name in names if who in name) for who in ("agent1", "caller"))
    for number, variables in enumerate(
        (
            {},
            {"__TILLIT_AGENT": theirs, "__TILLIT_CALLER": theirs, "__TILLIT_POLICY": "main"},
            {"__TILLIT_AGENT": theirs, "__TILLIT_CALLER": mine, "__TILLIT_POLICY": ""},
            {"__TILLIT_AGENT": mine, "__TILLIT_CALLER": "PJSIP/nobody-1", "__TILLIT_POLICY": "main"},
        )
    ):
        body = {"endpoint": "Local/s@tillit-split/n", "app": "tillit", "appArgs": "agent", "variables": variables}
        pbx.ari("POST", f"channels?channelId=stranger{number}", body)
    await scene.until(lambda: pbx.channels() == 2, "the look-alikes to be gone")
    await together(caller, agent)
    assert not scene.log("call.started")
    await caller.hang_up()
    await agent.until("disconnected")


async def test_a_name_that_came_along_is_not_shown(scene: Scene) -> None:
    """Also of a caller who never was in tillit-verify."""
    caller, agent = await talking(scene, "400", name="✔ Anna A.")
    assert not any(shown(agent))
    await caller.hang_up()
    await agent.until("disconnected")


# ---------------------------------------------------------------- names that a trunk brings along


@pytest.mark.parametrize("header", ["P-Asserted-Identity", "Remote-Party-ID"])
@pytest.mark.parametrize(("trunk", "how", "changed"), [("caller", "rfc4733", False), ("caller-info", "info", True)])
async def test_a_trunk_names_somebody_else_in_mid_call(
    scene: Scene, trunk: str, how: Method, changed: bool, header: str
) -> None:
    """The page says what closes it; the doctor looks. Header and mark are untouched either way."""
    agent = await scene.phone("agent1")
    caller = await scene.caller("900", endpoint=trunk)
    for time in range(3):
        await scene.asked("pin", time + 1)
        await caller.send_digits("9999#", how)
    invite = await agent.incoming()
    assert invite.header("X-Caller-Auth") is None
    await agent.answer()
    await together(caller, agent)
    await caller.resume(headers={header: f'"✔ Anna A." <sip:{ANNA.phones}@127.0.0.1>'})
    if changed:
        await agent.until("connected_line", name="✔ Anna A.")
    await caller.hang_up()
    # the BYE comes to the agent's phone behind whatever the re-INVITE has set going
    await agent.until("disconnected")
    assert ("✔ Anna A." in shown(agent)) is changed
    assert scene.marks() == []
