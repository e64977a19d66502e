"""The caller hangs up, in each phase: one audit row, no mark, nothing left."""

from __future__ import annotations

import pytest
from rig.phone import Phone
from rig.stage import ANNA

from tests.e2e.scene import Scene


async def _while_welcomed(scene: Scene, caller: Phone) -> None:
    await scene.asked("pin")


async def _in_the_pin(scene: Scene, caller: Phone) -> None:
    await scene.asked("pin")
    await caller.send_digits("25")


async def _as_the_pin_is_checked(scene: Scene, caller: Phone) -> None:
    await scene.key_pin(caller)


async def _before_the_code(scene: Scene, caller: Phone) -> None:
    await scene.key_pin(caller)
    await scene.asked("sms_code")


async def _in_the_code(scene: Scene, caller: Phone) -> None:
    await scene.key_pin(caller)
    await scene.asked("sms_code")
    await caller.send_digits((await scene.code())[:3])


async def _as_the_code_is_checked(scene: Scene, caller: Phone) -> None:
    await scene.key_pin(caller)
    await scene.key_code(caller)


async def _in_a_refusal(scene: Scene, caller: Phone) -> None:
    for count in (1, 2, 3):
        await scene.asked("pin", count)
        await caller.send_digits("9999#")
    await scene.logged("call.refused")


async def _in_the_dialplan(scene: Scene, caller: Phone) -> None:
    await scene.key_pin(caller)
    await scene.key_code(caller)
    await scene.reached("verified")


@pytest.mark.parametrize(
    ("until", "outcomes"),
    [
        (_while_welcomed, {"abandoned"}),
        (_in_the_pin, {"abandoned"}),
        (_as_the_pin_is_checked, {"abandoned"}),
        (_before_the_code, {"abandoned"}),
        (_in_the_code, {"abandoned"}),
        (_as_the_code_is_checked, {"abandoned", "verified"}),
        (_in_a_refusal, {"refused"}),
        (_in_the_dialplan, {"verified"}),
    ],
)
async def test_hanging_up(scene: Scene, until: object, outcomes: set[str]) -> None:
    assert callable(until)
    caller = await scene.caller("100", who=ANNA)
    before = len(scene.audit())
    await until(scene, caller)
    await caller.hang_up()
    await scene.logged("call.ended")
    # a row that was begun is written whole, but a hang-up does not wait for it
    await scene.until(lambda: len(scene.audit()) > before, "the audit row")
    rows = scene.audit()[before:]
    assert [row["outcome"] for row in rows if row["outcome"] in outcomes] == [rows[0]["outcome"]]
    await scene.idle()
    assert scene.marks() == []


async def test_hanging_up_before_anything_is_said(scene: Scene) -> None:
    phone = await scene.phone("caller")
    await phone.call("100", number="+46701740601")
    await scene.logged("call.started")
    await phone.hang_up()
    await scene.logged("call.ended")
    assert scene.marks() == []
