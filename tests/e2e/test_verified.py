"""A caller who keys a PIN and a code, and what the agent then sees."""

from __future__ import annotations

import asyncio
import re

from rig.phone import Phone
from rig.stage import ANNA, BO, CECILIA, DIALPLAN, Customer

from tests.e2e.scene import Scene

SETTINGS = {"policies.app": {"steps": ["totp"], "level": 1, "tries": 1}}
FRIDA = Customer("10055", "Frida Gran", "+46701740655;+46701740656", "3971")
STAGE = {
    "dialplan": DIALPLAN.replace(
        "[verified]\n",
        """exten => 300,1,Gosub(tillit-verify,s,1(app))
 same => n,GotoIf($["${CALLER_AUTH_STATUS}" = "verified"]?verified,s,1:unverified,s,1)

[verified]
""",
        1,
    )
}


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


async def test_to_a_number_with_another_sim_goes_no_code_and_the_other_number_is_told(scene: Scene) -> None:
    stage, (first, other) = scene.stage, FRIDA.phones.split(";")
    added = ("add", FRIDA.number, "--name", FRIDA.name, "--phone", first, "--phone", other, "--pin-stdin")
    await asyncio.to_thread(stage.command, "customer", *added, given=f"{FRIDA.pin}\n")
    for _ in range(2):
        # said again by a system that was not sure
        await asyncio.to_thread(stage.command, "customer", "replace-sim", FRIDA.number, first)
    caller = await scene.caller(who=FRIDA)
    await scene.key_pin(caller, FRIDA)
    await scene.asked("sms_code")
    await caller.hang_up()
    # it is looked for every few seconds
    told = await asyncio.to_thread(stage.wait_text, other, limit=30.0)
    assert "SIM" in told
    assert stage.texts(first) == [] and stage.texts(other) == [told]
    assert [row["outcome"] for row in scene.audit("customer.notice")] == ["asked"]
    # the others of this stage are counted
    await asyncio.to_thread(stage.command, "customer", "remove", FRIDA.number, "--yes")


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


async def test_keys_are_rotated_and_the_old_one_destroyed_and_no_caller_notices(scene: Scene) -> None:
    """Under one worker: callers who were found before, while it goes on and behind it key what is right, and all are verified."""
    stage = scene.stage
    eva = Customer("10009", "Eva Falk", "+46701740609", "6183")
    old = await asyncio.to_thread(stage.command, "keys", "list")
    (old_id,) = re.findall(r"(?m)^(\w+)  master", old)

    async def found(who: Customer, count: int) -> Phone:
        phone = await scene.caller("100", who=who)
        await scene.logged("entry.asked", count, entry="pin")
        return phone

    async def verified(phone: Phone, who: Customer, count: int) -> None:
        await phone.send_digits(f"{who.pin}#")
        await scene.logged("entry.asked", count, entry="sms_code")
        await phone.send_digits(await scene.code(who))
        await scene.logged("call.verified", count)

    callers = {BO: await found(BO, 1)}
    # she is of a key that the worker has not seen
    await asyncio.to_thread(stage.command, "keys", "add")
    await asyncio.to_thread(stage.add, [eva])
    callers[eva] = await found(eva, 2)
    said, callers[ANNA] = await asyncio.gather(asyncio.to_thread(stage.command, "keys", "rotate"), found(ANNA, 3))
    wrapped, new_id = re.findall(r"Wrapped (\d+) data keys with the master key (\w+)", said)[0]
    assert (wrapped, new_id != old_id) == ("4", True)
    await asyncio.to_thread(stage.command, "keys", "retire", old_id)
    assert re.findall(r"(?m)^(\w+)  master", await asyncio.to_thread(stage.command, "keys", "list")) == [new_id]
    assert old_id not in (stage.folder / "keys" / "master.key").read_text()
    callers[CECILIA] = await found(CECILIA, 4)
    for count, (who, phone) in enumerate(callers.items(), 1):
        await verified(phone, who, count)
    assert [row["outcome"] for row in scene.audit()[-4:]] == ["verified"] * 4 and len(scene.marks()) == 4
    assert [line for line in scene.log() if line["level"] == "error"] == []
    for phone in callers.values():
        await phone.hang_up()
    await scene.logged("mark.dropped", 4)
    await asyncio.to_thread(stage.command, "customer", "remove", eva.number, "--yes")


async def test_a_code_of_an_authenticator_app_verifies_one_of_two_callers_who_key_it_at_once(scene: Scene) -> None:
    """Somebody has looked over the customer's shoulder, and calls from a number that is withheld. No text goes to anybody."""
    app = await asyncio.to_thread(scene.stage.enrol, ANNA.number)
    customer = await scene.caller("300")
    await scene.asked("totp")
    stranger = await scene.caller("300", who=None, anonymous=True)
    await scene.asked("customer_number")
    await stranger.send_digits(f"{ANNA.number}#")
    await scene.asked("totp", 2)
    code = await app.code()
    await asyncio.gather(customer.send_digits(code), stranger.send_digits(code))
    one = await scene.reached("verified", Status="verified", Level="1")
    other = await scene.reached("unverified", Status="refused")
    assert one["Uniqueid"] != other["Uniqueid"]
    assert len(scene.marks()) == 1
    assert sorted(row["outcome"] for row in scene.audit()[-2:]) == ["refused", "verified"]
    assert list(scene.stage.outbox.glob("*.json")) == []

    # behind it neither that code nor the one before it is good, and the next one is
    for caller in (customer, stranger):
        await caller.hang_up()
    await scene.idle()
    again = await scene.caller("300")
    await scene.asked("totp", 3)
    await again.send_digits(code)
    await scene.logged("call.refused", 2, status="refused")
    await again.hang_up()
    await scene.idle()
    last = await scene.caller("300")
    await scene.asked("totp", 4)
    await last.send_digits(await app.code())
    await scene.logged("call.verified", 2, methods=["totp"])
