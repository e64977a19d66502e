"""The way in by AGI: the same cleaning, the same watchdog and the same mark as by the dialplan's own Gosub."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest
from rig.phone import Phone
from rig.ports import HOST, Ports
from rig.stage import ANNA, CHEAP_PINS, Stage
from rig.state import CHECKOUT

from tests.e2e.scene import Scene

PAGE = (CHECKOUT / "docs" / "dialplan.md").read_text()
# 100, with extension T: word for word as an administrator reads it
(AS_WRITTEN,) = re.findall(r"(?s)```\n(\[from-trunk\][^`]*/verify,main\).*?)```", PAGE)

# {agi} is where the worker listens
DIALPLAN = """
[callers]
; nothing but AGI, and all that a caller's side may bring along
exten => 200,1,Set(__CALLER_AUTH_STATUS=verified)
 same => n,Set(__CALLER_AUTH_LEVEL=3)
 same => n,Set(CALLER_AUTH_METHODS=eid)
 same => n,Set(CALLER_AUTH_SUBJECT=aaaaaaaa)
 same => n,Set(CALLER_AUTH_EXPIRES=9999999999)
 same => n,Set(__TILLIT_BADGE=verified\\; level=3\\; methods=eid\\; ref=aaaaaaaa)
 same => n,Set(__TILLIT_BADGE_EXPIRES=9999999999)
 same => n,AGI(agi://{agi}/verify?policy=main)
 same => n,Goto(after,s,1)
; the policy of the settings
exten => 300,1,AGI(agi://{agi}/verify)
 same => n,Goto(after,s,1)
; a worker that hangs: the time-out of 100, but as short as a test needs it
exten => 400,1,Answer()
 same => n,Set(CALLER_AUTH_STATUS=)
 same => n,Set(AGIEXITONHANGUP=yes)
 same => n,Set(TIMEOUT(absolute)=2)
 same => n,AGI(agi://{agi}/verify,main)
 same => n,Goto(after,s,1)
exten => 700,1,Answer()
 same => n,Set(AGIEXITONHANGUP=yes)
 same => n,AGI(agi://{agi}/verify,main)
 same => n,Goto(after,s,1)
; as 100, where a connection ends before anything was said
exten => 800,1,Set(CALLER_AUTH_STATUS=)
 same => n,AGI(agi://{ends}/verify,main)
 same => n,Gosub(told,s,1(refused))
 same => n,ExecIf($["${CALLER_AUTH_STATUS}" = ""]?Gosub(tillit-verify,s,1(main)))
 same => n,Goto(after,s,1)
; the mark, told of before and after
exten => 500,1,Answer()
 same => n,Set(__CALLER_AUTH_STATUS=verified)
 same => n,Set(CALLER_AUTH_LEVEL=3)
 same => n,Set(__TILLIT_BADGE=verified\\; level=3)
 same => n,AGI(agi://{agi}/mark)
 same => n,Gosub(told,s,1(before))
 same => n,AGI(agi://{agi}/verify,one)
 same => n,Set(CALLER_AUTH_STATUS=)
 same => n,Set(CALLER_AUTH_LEVEL=3)
 same => n,Set(CALLER_AUTH_SUBJECT=aaaaaaaa)
 same => n,Set(__TILLIT_BADGE=)
 same => n,AGI(agi://{agi}/mark)
 same => n,Gosub(told,s,1(after))
 same => n,Goto(500-on,1,1)
exten => 600,1,Answer()
 same => n,AGI(agi://{agi}/verfy,main)
 same => n,Gosub(told,s,1(unknown))
 same => n,AGI(agi://{agi}/verify,no such policy)
 same => n,Gosub(told,s,1(nameless))
 same => n,Hangup()
; twice in one call
exten => 900,1,Gosub(tillit-verify,s,1(one))
 same => n,Gosub(told,s,1(first))
 same => n,Read(GO,,1,,,30)
 same => n,Gosub(tillit-verify,s,1(one))
 same => n,Gosub(told,s,1(second))
 same => n,AGI(agi://{agi}/mark)
 same => n,Gosub(told,s,1(third))
 same => n,Queue(support,b(tillit-badge^s^1),,,60)

[500-on]
; waits until the test has done what it wants
exten => 1,1,Read(GO,,1,,,30)
 same => n,Set(CALLER_AUTH_STATUS=verified)
 same => n,AGI(agi://{agi}/mark)
 same => n,Gosub(told,s,1(later))
 same => n,Hangup()

[told]
exten => s,1,UserEvent(Told,When: ${ARG1},Status: ${CALLER_AUTH_STATUS},Level: ${CALLER_AUTH_LEVEL},"Methods: ${CALLER_AUTH_METHODS}",Subject: ${CALLER_AUTH_SUBJECT},Expires: ${CALLER_AUTH_EXPIRES},"Badge: ${TILLIT_BADGE}",Agi: ${AGISTATUS})
 same => n,Return()

[after]
exten => s,1,Goto(${IF($["${CALLER_AUTH_STATUS}" = "verified"]?verified:unverified)},s,1)
exten => T,1,Goto(unverified,s,1)

[verified]
exten => s,1,Gosub(told,s,1(verified))
 same => n,Queue(support,b(tillit-badge^s^1),,,60)
 same => n,Hangup()

[unverified]
exten => s,1,Gosub(told,s,1(unverified))
 same => n,Dial(PJSIP/agent3,30,b(tillit-badge^s^1))
 same => n,MusicOnHold(default,60)
 same => n,Hangup()
"""

# What AGI has that takes digits, or that says something which a digit may end.
DIGITS = re.compile(
    r"GET DATA|WAIT FOR DIGIT|GET OPTION|STREAM FILE|CONTROL STREAM|RECORD FILE|SAY |SEND|RECEIVE|TDD|SPEECH"
)


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    held = Ports()
    yield held
    held.close()


@pytest.fixture(scope="module")
def port(ports: Ports) -> int:
    """Where the worker speaks AGI."""
    return ports.take()


@pytest.fixture(scope="module")
def ends(ports: Ports) -> int:
    """Where a worker dies as it is connected to."""
    return ports.take()


@pytest.fixture(scope="module")
def stage(port: int, ends: int) -> Iterator[Stage]:
    agi = f"{HOST}:{port}"
    settings = {
        **CHEAP_PINS,
        "agi": {"listen": agi, "policy": "one"},
        "policies.one": {"steps": ["pin"], "level": 1},
        "asterisk": {"request_seconds": 2.0},
        "redis": {"request_seconds": 1.0},
    }
    page = AS_WRITTEN.replace("[from-trunk]", "[callers]").replace("127.0.0.1:4573", agi)
    dialplan = page + DIALPLAN.replace("{agi}", agi).replace("{ends}", f"{HOST}:{ends}")
    with Stage(settings=settings, dialplan=dialplan, name="agi", brisk=True) as made:
        yield made


async def told(scene: Scene, when: str) -> dict[str, str]:
    """What stood on the caller's channel then."""
    return await scene.ami.user_event("Told", When=when, timeout=15.0)


def said(scene: Scene, since: int) -> list[str]:
    """The commands that Asterisk was given since this place of its log."""
    return [found.strip() for found in re.findall(r"AGI Rx << (.*)", scene.stage.pbx.said(since))]


async def variable(scene: Scene, name: str) -> str:
    """What stands on the channel of the first caller now."""
    path = f"channels/{scene.log('call.started')[0]['call']}/variable?variable={name}"
    return str((await asyncio.to_thread(scene.stage.pbx.ari, "GET", path))["value"])


async def refused(scene: Scene, caller: Phone) -> None:
    for count in (1, 2, 3):
        await scene.asked("pin", count)
        await caller.send_digits("9999#")


# ---------------------------------------------------------------- verify


async def test_a_caller_is_verified_and_an_agent_of_the_queue_sees_it(scene: Scene) -> None:
    pbx = scene.stage.pbx
    since = len(pbx.said())
    await asyncio.to_thread(pbx.cli, "agi set debug on")
    agent = await scene.phone("agent1")
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    await scene.key_code(caller)
    invite = await agent.incoming()
    found = {name: await variable(scene, f"CALLER_AUTH_{name}") for name in ("STATUS", "LEVEL", "METHODS", "SUBJECT")}
    assert (found["STATUS"], found["LEVEL"], found["METHODS"]) == ("verified", "2", "pin,sms_code")
    assert invite.header("X-Caller-Auth") == f"verified; level=2; methods=pin,sms_code; ref={found['SUBJECT']}"
    assert invite["name"] == "✔ Anna A."
    assert len(scene.marks()) == 1
    commands = said(scene, since)
    await asyncio.to_thread(pbx.cli, "agi set debug off")
    assert re.fullmatch(r'GET FULL VARIABLE "[0-9a-f]{16}\$\{UNIQUEID\}"', commands[0])
    assert commands[1:] == ['EXEC "Gosub" "tillit-verify,s,1(main)"']
    assert not any(map(DIGITS.search, commands))
    assert scene.log("agi.handed_over", policy="main")[0]["call"] == scene.log("call.started")[0]["call"]
    await agent.answer()
    await agent.play_tone(700)
    await caller.hears(700)
    await caller.hang_up()
    await scene.logged("mark.dropped")


async def test_the_absolute_time_out_is_off_behind_it(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    await scene.key_code(caller)
    await (await scene.phone("agent1")).incoming()
    assert float(await variable(scene, "TIMEOUT(absolute)")) <= 0
    await caller.hang_up()
    await scene.logged("mark.dropped")


async def test_a_refused_caller_comes_back_with_nothing_that_he_brought_along(scene: Scene) -> None:
    desk = await scene.phone("agent3")
    caller = await scene.caller("200", name="✔ Anna A.", headers={"X-Caller-Auth": "verified; level=3; ref=aaaaaaaa"})
    await refused(scene, caller)
    found = await told(scene, "unverified")
    assert (found["Status"], found["Level"]) == ("refused", "0")
    assert found["Methods"] + found["Subject"] + found["Expires"] + found["Badge"] == ""
    invite = await desk.incoming()
    assert invite.header("X-Caller-Auth") is None
    assert "✔" not in invite["name"]
    assert scene.marks() == []


async def test_a_look_alike_is_void_while_the_caller_is_verified(scene: Scene) -> None:
    caller = await scene.caller("200", name="✔ Anna A.", headers={"X-Caller-Auth": "verified; level=3; ref=aaaaaaaa"})
    await scene.asked("pin")
    for name in ("CALLER_AUTH_STATUS", "CALLER_AUTH_SUBJECT", "TILLIT_BADGE", "CALLERID(name)"):
        assert await variable(scene, name) == "", name
    await caller.hang_up()


async def test_the_policy_of_the_settings_holds_where_the_dialplan_names_none(scene: Scene) -> None:
    caller = await scene.caller("300")
    await scene.key_pin(caller)
    found = await told(scene, "verified")
    assert (found["Level"], found["Methods"]) == ("1", "pin")
    await caller.hang_up()
    await scene.logged("mark.dropped")


@pytest.mark.parametrize("end", ["", "%0A"])
async def test_a_caller_who_writes_into_the_header_chooses_no_policy(scene: Scene, end: str) -> None:
    """A line break in the number that is presented is one in AGI as well."""
    caller = await scene.phone("caller")
    await caller.call("300", number=f"1%0Aagi_arg_1%3A%20main{end}")
    assert (await told(scene, "unverified"))["Status"] == ""
    assert (await scene.logged("agi.refused"))["why"] == "rubbish"
    assert not scene.log("call.started")
    await caller.hang_up()


@pytest.mark.parametrize("keys", ["", "25", f"{ANNA.pin}#"])
async def test_the_caller_hangs_up_in_the_middle(scene: Scene, keys: str) -> None:
    before = len(scene.audit())
    caller = await scene.caller("100")
    await scene.asked("pin")
    if keys:
        await caller.send_digits(keys)
    await caller.hang_up()
    await scene.logged("call.ended")
    await scene.until(lambda: len(scene.audit()) > before, "the audit row")
    assert [row["outcome"] for row in scene.audit()[before:]] == ["abandoned"]
    await scene.idle()
    assert scene.marks() == []
    assert not scene.ami.events("Told"), "a call that is over went on in the dialplan"


# ---------------------------------------------------------------- the worker is not there


async def test_a_worker_that_dies_in_the_middle_is_noticed_by_the_watchdog(scene: Scene) -> None:
    caller = await scene.caller("200")
    await scene.asked("pin")
    assert float(await variable(scene, "TIMEOUT(absolute)")) > 0
    # what the worker has set is longer than a test may wait
    channel = scene.log("call.started")[0]["call"]
    await asyncio.to_thread(
        scene.stage.pbx.ari, "POST", f"channels/{channel}/variable", {"variable": "TIMEOUT(absolute)", "value": "2"}
    )
    scene.worker.kill()
    found = await told(scene, "unverified")
    assert (found["Status"], found["Level"], found["Badge"]) == ("unavailable", "0", "")
    await caller.hears()
    await caller.hang_up()
    await asyncio.to_thread(scene.stage.pbx.wait_idle)


async def test_the_next_worker_goes_on_with_the_call(scene: Scene) -> None:
    caller = await scene.caller("300")
    await scene.asked("pin")
    scene.worker.kill()
    with scene.another() as second:
        await scene.logged("entry.asked", of=second, entry="pin")
        await caller.send_digits(f"{ANNA.pin}#")
        found = await told(scene, "verified")
        assert (found["Status"], found["Level"]) == ("verified", "1")
        await caller.hang_up()
        await scene.logged("call.ended", of=second)


async def test_without_a_worker_the_call_goes_on_at_once(scene: Scene) -> None:
    scene.worker.stop()
    desk = await scene.phone("agent3")
    caller = await scene.caller("100", headers={"X-Caller-Auth": "verified; level=3"})
    found = await told(scene, "unverified")
    assert (found["Status"], found["Level"], found["Agi"]) == ("unavailable", "0", "FAILURE")
    await caller.hears()
    assert (await desk.incoming()).header("X-Caller-Auth") is None


async def test_a_connection_that_ends_before_the_call_was_handed_over(scene: Scene, ends: int) -> None:
    """AGISTATUS says that all went well; the status that stayed empty does not."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, ends)
    caller = await scene.caller("800")
    found = await told(scene, "refused")
    assert (found["Status"], found["Agi"]) == ("", "SUCCESS")
    await scene.key_pin(caller)
    await caller.hang_up()
    server.close()
    await scene.logged("call.ended")


async def test_a_worker_that_hangs_keeps_nobody(scene: Scene) -> None:
    scene.worker.child.pause()
    try:
        caller = await scene.caller("400")
        found = await told(scene, "unverified")
        assert (found["Status"], found["Level"], found["Agi"]) == ("unavailable", "0", "HANGUP")
        await caller.hears()
        await caller.hang_up()
    finally:
        scene.worker.child.resume()
    # what comes to a connection that is over is not taken for a call
    await scene.idle()
    assert scene.log("call.started") == []


async def test_a_caller_who_gives_up_on_a_worker_that_hangs_leaves_no_channel(scene: Scene) -> None:
    scene.worker.child.pause()
    try:
        caller = await scene.caller("700")
        await caller.hang_up()
        await asyncio.to_thread(scene.stage.pbx.wait_idle)
    finally:
        scene.worker.child.resume()


# ---------------------------------------------------------------- mark


async def test_the_mark_is_told_of_before_and_after(scene: Scene) -> None:
    caller = await scene.caller("500")
    before = await told(scene, "before")
    assert (before["Status"], before["Level"], before["Subject"], before["Badge"]) == ("", "0", "", "")
    await scene.key_pin(caller)
    after = await told(scene, "after")
    (key,) = scene.marks()
    with scene.redis as client:
        stored = client.get(key)
    assert f'"subject":"{after["Subject"]}"' in str(stored)
    assert f'"expires":{after["Expires"]},' in str(stored)
    assert (after["Status"], after["Level"], after["Methods"]) == ("verified", "1", "pin")
    assert after["Badge"] == f"verified; level=1; methods=pin; ref={after['Subject']}"
    assert [line["assurance"] for line in scene.log("agi.marked")] == [0, 1]
    with scene.redis as client:
        client.flushdb()
    await caller.send_digits("1")
    later = await told(scene, "later")
    assert (later["Status"], later["Level"], later["Subject"], later["Badge"]) == ("", "0", "", "")


async def test_a_mark_that_cannot_be_looked_up_is_none(scene: Scene) -> None:
    caller = await scene.caller("500")
    await scene.key_pin(caller)
    await told(scene, "after")
    scene.stage.redis.child.pause()
    try:
        await caller.send_digits("1")
        later = await told(scene, "later")
    finally:
        scene.stage.redis.child.resume()
    assert (later["Status"], later["Level"], later["Subject"], later["Badge"]) == ("unavailable", "0", "", "")
    assert scene.log("agi.failed")
    await scene.logged("call.ended")


async def test_a_mark_of_an_earlier_round_does_not_come_back(scene: Scene) -> None:
    """The worker that set it is killed; the next one refuses the caller, whom the store must not know as verified."""
    agent = await scene.phone("agent1")
    caller = await scene.caller("900")
    await scene.key_pin(caller)
    assert (await told(scene, "first"))["Status"] == "verified"
    assert len(scene.marks()) == 1
    scene.worker.child.kill()
    with scene.another() as second:
        await scene.logged("reconciled", of=second)
        await caller.send_digits("1")
        for count in (1, 2, 3):
            await scene.logged("entry.asked", count, of=second, entry="pin")
            await caller.send_digits("9999#")
        assert (await told(scene, "second"))["Status"] == "refused"
        assert scene.marks() == []
        third = await told(scene, "third")
        assert (third["Status"], third["Level"], third["Badge"]) == ("", "0", "")
        assert (await agent.incoming()).header("X-Caller-Auth") is None
        await caller.hang_up()
        await scene.logged("call.ended", of=second)


# ---------------------------------------------------------------- what an administrator can get wrong


async def test_what_is_not_known_is_said_in_asterisks_console(scene: Scene) -> None:
    since = len(scene.stage.pbx.said())
    await scene.caller("600")
    unknown = await told(scene, "unknown")
    assert unknown["Status"] == ""
    await scene.logged("agi.unknown", script="verfy")
    nameless = await told(scene, "nameless")
    assert (nameless["Status"], nameless["Level"]) == ("unavailable", "0")
    await scene.logged("policy.unknown", policy="")
    text = scene.stage.pbx.said(since)
    assert "Tillit: there is no AGI script 'verfy'" in text
    assert "write AGI(agi://HOST/verify,POLICY)" in text


async def test_rubbish_does_calls_no_harm(scene: Scene, port: int) -> None:
    """A call is verified while others hammer at the port, and half-open connections hold all that there are."""
    stop = asyncio.Event()

    async def hammer(what: bytes) -> None:
        while not stop.is_set():
            try:
                reader, writer = await asyncio.open_connection(HOST, port)
                writer.write(what)
                await reader.read()
                writer.close()
            except OSError:
                pass

    noise = [asyncio.create_task(hammer(what)) for what in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03" * 9000, b"a" * 9000)]
    half_open = [await asyncio.open_connection(HOST, port) for _ in range(80)]
    try:
        agent = await scene.phone("agent1")
        caller = await scene.caller("100")
        await scene.key_pin(caller)
        await scene.key_code(caller)
        await agent.incoming()
    finally:
        stop.set()
        for _, writer in half_open:
            writer.close()
        await asyncio.gather(*noise)
    assert {"full", "rubbish"} <= {line["why"] for line in scene.log("agi.refused")}
    assert len(scene.log("agi.refused")) < 20, "a flood fills the log"
    await caller.hang_up()
    await scene.logged("mark.dropped")
