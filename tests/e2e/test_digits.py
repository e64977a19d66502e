"""Digits as phones send them: RFC 4733, SIP INFO, in band; pressed ahead, over the prompt, with slips."""

from __future__ import annotations

import pytest
from rig import audio
from rig.stage import ANNA, BO

from tests.e2e.scene import Scene

# real prompts: they must be long enough to be talked over
STAGE = {"brisk": False}


@pytest.mark.parametrize(
    ("endpoint", "method"),
    [("caller", "rfc4733"), ("caller", "info"), ("caller-info", "info"), ("caller-inband", "inband")],
)
async def test_a_caller_is_verified_by(scene: Scene, endpoint: str, method: str) -> None:
    caller = await scene.caller("100", endpoint=endpoint)
    await scene.key_pin(caller, method=method)
    await scene.key_code(caller, method=method)
    await scene.reached("verified")
    assert [line["keys"] for line in scene.log("entry.ended")] == [len(ANNA.pin), 6]


async def test_a_key_stops_the_prompt(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.asked("pin")
    await caller.hears()
    await caller.send_digits("2")
    stopped = caller.mark()
    # until the limit between two keys has passed there is nothing to be heard; half a second is on its way
    await scene.logged("entry.ended", ending="short")
    heard = audio.samples(caller.recording())[stopped + audio.RATE // 2 : stopped + 4 * audio.RATE]
    assert len(heard) == 3.5 * audio.RATE
    assert not audio.has_sound(heard)
    await caller.hang_up()


async def test_keys_pressed_ahead_are_kept(scene: Scene) -> None:
    caller = await scene.caller("100", who=None, anonymous=True)
    await scene.asked("customer_number")
    await caller.send_digits(f"{BO.number}#{BO.pin}#")
    await scene.key_code(caller, BO)
    await scene.reached("verified")
    assert len(scene.log("entry.asked", entry="pin")) == 1


async def test_keys_that_a_machine_sends_are_not_doubled(scene: Scene) -> None:
    """Asterisk tells of some of these twice."""
    caller = await scene.caller("100", who=BO)
    await scene.key_pin(caller, BO, on=60, off=20)
    await scene.key_code(caller, BO)
    await scene.reached("verified")
    assert [line["keys"] for line in scene.log("entry.ended")] == [len(BO.pin), 6]


async def test_star_begins_anew_and_letters_are_nothing(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.asked("pin")
    await caller.send_digits("99*2A5B80#")
    await scene.key_code(caller)
    await scene.reached("verified")


async def test_a_hash_behind_a_full_code_is_not_taken_for_the_next_entry(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    code = await scene.code()
    await scene.asked("sms_code")
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    await caller.send_digits(f"{wrong}#{code}")
    await scene.reached("verified")
    assert [line["ending"] for line in scene.log("entry.ended", entry="sms_code")] == ["entered", "entered"]
