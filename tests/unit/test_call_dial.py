"""A call that somebody begins: which of its stages are ends."""

from __future__ import annotations

from ivr.asterisk.dialling import Dialled
from ivr.call.dial import DialStage


def test_what_goes_on_and_what_is_over() -> None:
    on = {DialStage.ASKED, DialStage.AGENT, DialStage.CUSTOMER}
    assert {stage for stage in DialStage if not stage.is_end} == on


def test_every_end_of_the_phones_is_a_stage() -> None:
    assert {one.value for one in Dialled} - {"joined"} <= {stage.value for stage in DialStage if stage.is_end}
