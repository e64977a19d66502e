"""A caller who keys a PIN and a code, and what the agent then sees."""

from __future__ import annotations

import re

from rig.stage import ANNA, BO

from tests.e2e.scene import Scene


async def test_pin_and_text_bring_the_caller_to_an_agent_with_the_mark(scene: Scene) -> None:
    agent = await scene.phone("agent1")
    caller = await scene.caller("200")
    await caller.hears()
    await scene.key_pin(caller)
    await scene.key_code(caller)
    invite = await agent.incoming()

    header = invite.header("X-Caller-Auth")
    assert header is not None
    assert re.fullmatch(r"verified; level=2; methods=pin,sms_code; ref=[a-z0-9]{8,}", header)
    assert invite["name"] == "✔ Anna A."
    (mark,) = scene.marks()
    told = await scene.ami.user_event("CallerAuthenticated")
    assert told["CALLER_AUTH_STATUS"] == "verified"
    assert told["CALLER_AUTH_SUBJECT"] in header
    (row,) = scene.audit()[-1:]
    assert (row["outcome"], row["call"]) == ("verified", mark.rpartition(":")[2])

    await agent.answer()
    await agent.play_tone(700)
    await caller.hears(700)
    await caller.play_tone(1100)
    await agent.hears(1100)
    await caller.hang_up()
    await agent.until("disconnected")
    await scene.idle()
    assert scene.marks() == []


async def test_a_verified_caller_goes_on_into_the_queue(scene: Scene) -> None:
    agent = await scene.phone("agent2")
    caller = await scene.caller("100", who=BO)
    await scene.key_pin(caller, BO)
    await scene.key_code(caller, BO)
    await scene.reached("verified", Status="verified", Level="2")
    invite = await agent.incoming()
    assert (invite.header("X-Caller-Auth") or "").startswith("verified; level=2; methods=pin,sms_code; ref=")
    assert invite["name"] == "✔ Bo B."
    assert len(scene.marks()) == 1
    await agent.answer()
    await caller.hang_up()
    await scene.logged("mark.dropped")
    assert scene.marks() == []


async def test_a_caller_without_a_number_keys_the_customer_number(scene: Scene) -> None:
    caller = await scene.caller("100", who=None, anonymous=True)
    await scene.asked("customer_number")
    await caller.send_digits(f"{ANNA.number}#")
    await scene.key_pin(caller)
    await scene.key_code(caller)
    await scene.reached("verified")


async def test_a_number_that_two_customers_share_finds_nobody(scene: Scene) -> None:
    caller = await scene.caller("100", number="+46701740699")
    await scene.asked("customer_number")
    await caller.hang_up()


async def test_somebody_else_calls_from_a_customers_phone(scene: Scene) -> None:
    caller = await scene.caller("100", who=ANNA)
    await scene.asked("pin")
    await caller.send_digits("**")
    await scene.asked("customer_number")
    await caller.send_digits(f"{BO.number}#")
    await scene.asked("pin", 2)
    await caller.send_digits(f"{BO.pin}#")
    await scene.key_code(caller, BO)
    await scene.reached("verified")
    subject = scene.audit()[-1]["subject"]
    assert subject and subject in scene.stage.command("customer", "show", BO.number)
