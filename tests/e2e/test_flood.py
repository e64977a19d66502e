"""A calling flood: those who are being verified are served as before, the others hear a sentence at once."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from contextlib import suppress
from datetime import datetime
from statistics import median

from rig.bench.load import Callers, sipp
from rig.ports import Ports
from rig.stage import ANNA, BO, CECILIA, Customer
from rig.state import RigError

from tests.e2e.scene import Scene

EVA = Customer("10005", "Eva Falk", "+46701740605", "6041")
# So many times as long as without a flood is no service any more; what a flood costs is for the bench to say.
SLOWER = 10
# As many as may be verified at once. Ten times the bench's highest rate, as many calls as an Asterisk here takes in some seconds.
ADMITTED = (ANNA, BO, CECILIA)
RATE, CALLS = 600, 300

SETTINGS = {"worker": {"calls_at_once": len(ADMITTED)}}
STAGE = {
    "customers": (*ADMITTED, EVA),
    "ports": 4000,
    "dialplan": """
[callers]
exten => 100,1,Gosub(tillit-verify,s,1(main))
 same => n,UserEvent(Reached,Path: ${CALLER_AUTH_STATUS})
 same => n,ExecIf($["${CALLER_AUTH_STATUS}" = "verified"]?MusicOnHold(default,120))
 same => n,Hangup()
""",
    "overrides": {
        "pjsip.conf": """
[flood]
type = endpoint
context = callers
identify_by = username
disallow = all
allow = ulaw
direct_media = no
media_address = 127.0.0.1
bind_rtp_to_media_address = yes
"""
    },
}


def told(scene: Scene) -> int:
    """How many calls have heard the sentence, and reached the unverified branch; in a flood AMI loses events."""
    return scene.stage.pbx.log_file.read_bytes().count(b"Reached,Path: unavailable")


def taken(scene: Scene) -> list[str]:
    """The channels of the flood that found room."""
    return [line["call"] for line in scene.log("call.started") if line["number"] is None]


def steps(scene: Scene) -> list[Counter[str]]:
    """What happened in each verified call, until it went back to the dialplan; in the order in which they were verified."""
    told = (
        "event",
        "level",
        "entry",
        "step",
        "prompts",
        "keys",
        "ending",
        "outcome",
        "why",
        "result",
        "methods",
        "status",
    )
    found = []
    for verified in scene.log("call.verified"):
        lines = scene.log(call=verified["call"])
        until = next(at for at, line in enumerate(lines) if line["event"] == "call.handed_back")
        found.append(Counter(str({name: line.get(name) for name in told}) for line in lines[: until + 1]))
    return found


def waited(scene: Scene) -> list[float]:
    """How long the worker took in each verified call from the end of an entry to what comes next, in seconds, both together."""
    found = []
    for verified in scene.log("call.verified"):
        ended, asked = (
            [datetime.fromisoformat(line["at"]).timestamp() for line in scene.log(event, call=verified["call"])]
            for event in ("entry.ended", "entry.asked")
        )
        over = datetime.fromisoformat(verified["at"]).timestamp()
        found.append((asked[1] - ended[0]) + (over - ended[1]))
    return found


async def test_a_flood_is_shed_and_those_who_are_being_verified_are_served(scene: Scene) -> None:
    pbx = scene.stage.pbx
    callers = []
    for count, who in enumerate(ADMITTED, 1):
        callers.append(await scene.caller("100", who=who))
        await scene.asked("pin", count)
    ports = Ports(10)
    try:
        flood = Callers("100", "flood.xml", CALLS, media_port=50_000)
        with sipp(pbx, flood, rate=RATE, ports=ports) as (process, _):
            # it would end at once where it cannot have its ports
            await scene.until(lambda: bool(scene.log("calls.shed")) or process.poll() is not None, "the flood", 60)
            assert scene.log("calls.shed"), f"SIPp has ended with {process.poll()}: {pbx.folder}/log/sipp.log"
            for count, (phone, who) in enumerate(zip(callers, ADMITTED, strict=True), 1):
                await phone.send_digits(f"{who.pin}#")
                await scene.asked("sms_code", count)
                await phone.send_digits(await scene.code(who))
            await scene.logged("call.verified", len(ADMITTED))
            # where one was verified there is room again, and the flood fills it: who is taken is asked, and keys nothing
            try:
                await scene.until(lambda: told(scene) + len(taken(scene)) >= CALLS, "all calls to be told or taken", 60)
            except TimeoutError:
                sipps = (pbx.folder / "log" / "sipp.log").read_text(errors="replace")[-2500:]
                raise TimeoutError(
                    f"{told(scene)} told, {len(taken(scene))} taken, SIPp {process.poll()}:\n{sipps}"
                ) from None
            for channel in taken(scene):
                with suppress(RigError):
                    pbx.ari("DELETE", f"channels/{channel}")
            assert await asyncio.to_thread(process.wait, 60) == 0, "a call was not answered, or not ended"
    finally:
        ports.close()
    assert len(taken(scene)) <= 2 * len(ADMITTED)
    # each of the others has heard it
    assert len(re.findall(r"<PJSIP/flood-[^>]*> Playing 'tillit/unavailable", pbx.said())) >= CALLS - len(taken(scene))
    assert len(scene.log("call.verified")) == len(ADMITTED)
    assert len(scene.log("calls.shed")) < 10, "a flood fills the log"
    assert scene.log("calls.shed")[0]["why"] in ("calls", "rate")
    # who comes behind it is verified again, as there is room
    await callers[0].hang_up()
    phone = await scene.caller("100", who=EVA)
    await scene.asked("pin", len(ADMITTED) + 1)
    await phone.send_digits(f"{EVA.pin}#")
    await scene.asked("sms_code", len(ADMITTED) + 1)
    await phone.send_digits(await scene.code(EVA))
    await scene.logged("call.verified", len(ADMITTED) + 1)
    # Her call had no flood beside it. Theirs went as hers did: nothing was asked twice, given up, repeated, refused or told of.
    await scene.logged("call.handed_back", len(ADMITTED) + 1, status="verified")
    *flooded, alone = steps(scene)
    for beside in flooded:
        assert beside == alone, (beside - alone, alone - beside)
    *slow, usual = waited(scene)
    times = (
        f"from an entry to what comes next: {[round(one, 3) for one in slow]} s in the flood, {usual:.3f} s without it"
    )
    print(times)  # noqa: T201 (for the reader: pytest -s)
    # one of them may be held up by anything
    assert median(slow) < SLOWER * usual, times
