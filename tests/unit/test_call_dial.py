"""A call that somebody begins: which of its stages are ends, and who is reached."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ivr.asterisk.dialling import Dialled
from ivr.call.dial import DialStage
from ivr.call.ports import Nobody
from ivr.prompts import Prompt
from tests.unit.call_kit import RIGHT_PIN, assert_verified
from tests.unit.fakes import World


def test_what_goes_on_and_what_is_over() -> None:
    on = {DialStage.ASKED, DialStage.AGENT, DialStage.CUSTOMER}
    assert {stage for stage in DialStage if not stage.is_end} == on


def test_every_end_of_the_phones_is_a_stage() -> None:
    assert {one.value for one in Dialled} - {"joined"} <= {stage.value for stage in DialStage if stage.is_end}


def test_whom_we_have_called_is_asked_for_no_customer_number() -> None:
    world = World()
    world.reached.by_channel["called-1"] = world.anna
    line = world.call(
        number=None, channel="called-1", called=True, again=True,
        answers={Prompt.ASK_PIN: [RIGHT_PIN], Prompt.ASK_CODE: [world.texts.code]},
    )  # fmt: skip
    assert_verified(world, line)
    assert line.heard[0] == (Prompt.WELCOME, Prompt.ASK_PIN, Prompt.OTHER_CUSTOMER), "somebody else may have answered"


@pytest.mark.parametrize("how", ["they called", "another channel", "another tenant"])
def test_nobody_else_is_taken_for_whom_we_have_called(how: str) -> None:
    world = World()
    world.reached.by_channel["called-1"] = (
        replace(world.anna, key=f"other:{world.anna_key}") if "tenant" in how else world.anna
    )
    line = world.call(
        number=None, channel="called-2" if "channel" in how else "called-1", called=how != "they called", again=True,
        answers={},
    )  # fmt: skip
    assert line.heard[0] == (Prompt.WELCOME, Prompt.ASK_CUSTOMER_NUMBER)


def test_where_nobody_calls_from_the_desk() -> None:
    assert asyncio.run(Nobody().by_call("node", "called-1", "main")) is None
