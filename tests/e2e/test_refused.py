"""Callers who are not verified: what they hear, where they go, and that no text and no mark comes of it."""

from __future__ import annotations

import json

from rig.stage import ANNA, BO

from tests.e2e.scene import Scene

# the keypad's waits are the product's own: who keys here must never be late, however busy the machine is
SETTINGS = {"limits": {"customer_in_a_row": 4}, "keypad": {"slips": 2}}


def prompts(scene: Scene) -> list[list[str]]:
    """What was played with each question."""
    return [line["prompts"] for line in scene.log("entry.asked")]


async def test_a_wrong_pin_three_times_reaches_the_unverified_path(scene: Scene) -> None:
    desk = await scene.phone("agent3")
    caller = await scene.caller("100")
    for count in (1, 2, 3):
        await scene.asked("pin", count)
        await caller.send_digits("9999#")
    reached = await scene.reached("unverified")
    assert (reached["Status"], reached["Level"]) == ("refused", "0")
    invite = await desk.incoming()
    assert invite.header("X-Caller-Auth") is None
    assert "✔" not in invite["name"]
    assert scene.marks() == []
    assert scene.stage.texts("+46701740601") == []
    assert scene.audit()[-1]["outcome"] == "refused"


async def test_an_unknown_customer_hears_the_same_as_a_known_one(scene: Scene) -> None:
    heard = []
    for number in (ANNA.number, "99999"):
        await _refused_by_pin(scene, number)
        heard.append(prompts(scene)[-4:])
    assert heard[0] == heard[1]
    assert [row["outcome"] for row in scene.audit()[-2:]] == ["refused", "refused"]


async def _refused_by_pin(scene: Scene, number: str) -> None:
    already = len(scene.log("call.refused"))
    asked = len(scene.log("entry.asked", entry="pin"))
    caller = await scene.caller("100", who=None, anonymous=True)
    await scene.asked("customer_number", already + 1)
    await caller.send_digits(f"{number}#")
    for count in (1, 2, 3):
        await scene.asked("pin", asked + count)
        await caller.send_digits("1359#")
    await scene.logged("call.refused", already + 1)
    await scene.logged("call.handed_back", already + 1)
    await caller.hang_up()


async def test_a_wrong_code_three_times_is_refused(scene: Scene) -> None:
    caller = await scene.caller("100", who=BO)
    await scene.key_pin(caller, BO)
    right = await scene.code(BO)
    wrong = f"{(int(right) + 1) % 1_000_000:06}"
    for count in (1, 2, 3):
        await scene.asked("sms_code", count)
        await caller.send_digits(wrong)
    assert (await scene.reached("unverified"))["Status"] == "refused"
    assert scene.marks() == []


async def test_too_many_failures_lock_and_the_caller_hears_for_how_long(scene: Scene) -> None:
    caller = await scene.caller("100")
    for count in (1, 2, 3):
        await scene.asked("pin", count)
        await caller.send_digits("9999#")
    await scene.reached("unverified", Status="refused")
    await caller.hang_up()

    caller = await scene.caller("100")
    await scene.asked("pin", 4)
    await caller.send_digits("9999#")
    # the fourth in a row began the lock: the next try is not evaluated, though it is right
    await scene.asked("pin", 5)
    await caller.send_digits(f"{ANNA.pin}#")
    await scene.reached("unverified", Status="locked")
    locked = await scene.ami.user_event("CallerLockedOut")
    assert locked["Scope"] == "customer"
    assert 0 < int(locked["Seconds"]) <= 15 * 60
    await caller.hang_up()

    caller = await scene.caller("100")
    await scene.logged("call.refused", 3, limit=20)
    assert len(scene.log("entry.asked", entry="pin")) == 5, "a locked customer was asked for a PIN"
    await scene.logged("call.handed_back", 3, limit=30)
    assert scene.marks() == []


async def test_two_administrators_unlock(scene: Scene) -> None:
    for call in (0, 1):
        caller = await scene.caller("100")
        for count in (1, 2):
            await scene.asked("pin", 2 * call + count)
            await caller.send_digits("9999#")
        await caller.hang_up()
        await scene.logged("call.ended", call + 1)
    scene.stage.unlock(ANNA.number)
    caller = await scene.caller("100")
    await scene.asked("pin", 5)
    await caller.send_digits(f"{ANNA.pin}#")
    await scene.key_code(caller)
    await scene.reached("verified")


async def test_a_locked_customer_is_told_to_contact_the_company(scene: Scene) -> None:
    scene.stage.command("customer", "lock", ANNA.number)
    try:
        caller = await scene.caller("100")
        await scene.key_pin(caller)
        await scene.key_code(caller)
        await scene.reached("unverified", Status="locked")
        assert scene.marks() == []
    finally:
        scene.stage.unlock(ANNA.number)


async def test_a_customer_who_is_locked_in_mid_call_is_not_verified(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    await scene.asked("sms_code")
    scene.stage.command("customer", "lock", ANNA.number)
    try:
        await scene.key_code(caller)
        await scene.reached("unverified", Status="locked")
        assert scene.marks() == []
    finally:
        scene.stage.unlock(ANNA.number)


async def test_a_lock_that_begins_before_a_hang_up_is_told(scene: Scene) -> None:
    for call in (0, 1):
        caller = await scene.caller("100")
        for count in (1, 2):
            await scene.asked("pin", 3 * call + count)
            await caller.send_digits("9999#")
        await scene.asked("pin", 3 * call + 3)
        await caller.hang_up()
        await scene.logged("call.ended", call + 1)
    told = await scene.ami.user_event("CallerLockedOut")
    assert told["Scope"] == "customer"
    assert json.loads(scene.audit()[-1]["detail"])["wrong"] == "2"


async def test_too_few_digits_are_asked_for_again(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.asked("pin")
    await caller.send_digits("25#")
    asked = await scene.asked("pin", 2)
    assert asked["prompts"] == ["too-short", "ask-pin"]
    await caller.send_digits(f"{ANNA.pin}#")
    await scene.key_code(caller)
    await scene.reached("verified")


async def test_a_new_text_on_request_no_sooner_than_after_a_minute(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    first = await scene.code()
    await scene.asked("sms_code")
    await caller.send_digits("**")
    assert (await scene.asked("sms_code", 2))["prompts"] == ["next-text", "in-1-minute", "ask-code"]
    _age(scene)
    await caller.send_digits("**")
    assert (await scene.asked("sms_code", 3))["prompts"] == ["new-text-sent", "ask-code"]
    second = await scene.code(text=2)
    if first != second:
        await caller.send_digits(first)
        assert (await scene.asked("sms_code", 4))["prompts"] == ["wrong", "ask-code"]
    await caller.send_digits(second)
    await scene.reached("verified")


def _age(scene: Scene) -> None:
    """Let an hour pass for the texts that were sent."""
    with scene.redis as client:
        for key in client.scan_iter("*:texts:*"):
            for at, sent in enumerate(client.lrange(key, 0, -1)):
                client.lset(key, at, str(int(sent) - 3_600_000))


async def test_the_look_alikes_of_a_caller_are_void(scene: Scene) -> None:
    desk = await scene.phone("agent3")
    caller = await scene.caller(
        "300", name="✔ Anna A.", headers={"X-Caller-Auth": "verified; level=3; methods=pin; ref=aaaaaaaa"}
    )
    for count in (1, 2, 3):
        await scene.asked("pin", count)
        await caller.send_digits("9999#")
    await scene.reached("unverified", Status="refused", Level="0")
    invite = await desk.incoming()
    assert invite.header("X-Caller-Auth") is None
    assert "✔" not in invite["name"]
    assert scene.marks() == []
