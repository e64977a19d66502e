"""A customer number that nobody has: nothing that a caller can notice tells it from one that somebody has."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from ivr.errors import TextError
from ivr.prompts import Prompt
from ivr.secret import Personal, Secret
from ivr.sms.limited import Limited, Screened
from tests.unit.call_kit import OWN, WRONG_PIN, assert_unverified
from tests.unit.fakes import ANNA, UNKNOWN, Answers, FakeLine, Keys, World


def heard_by(
    number: str, *, answers: Answers, policy: str = "main", anna: Mapping[str, Any] | None = None, **tables: Any
) -> tuple[Any, ...]:
    """What a caller hears, sees and waits who keys this customer number; `anna` are fields of Anna's record."""
    world = World(**tables)
    world.change_anna(**(anna or {}))
    keyed = {Prompt.ASK_CUSTOMER_NUMBER: [f"{number}#"], **answers}
    line = world.call(policy, number=None, answers=keyed)
    assert number == ANNA or world.texts.sent == []
    assert world.live.marks == {}
    return noticed(world, line)


def noticed(world: World, line: FakeLine) -> tuple[Any, ...]:
    """What can be noticed of a call from outside."""
    return line.heard, line.voices, line.variables, line.events, line.watchdogs, round(world.now, 6), world.outcomes


FAILING: dict[str, Answers] = {
    "wrong PIN": {Prompt.ASK_PIN: [WRONG_PIN] * 3},
    "slips, then silence": {Prompt.ASK_PIN: ["12#", "*#"]},
    "one wrong PIN, then silence": {Prompt.ASK_PIN: [WRONG_PIN]},
}


@pytest.mark.parametrize("answers", FAILING.values(), ids=FAILING)
def test_an_unknown_customer_hears_and_waits_the_same(answers: Answers) -> None:
    assert heard_by(UNKNOWN, answers=answers) == heard_by(ANNA, answers=answers)


@pytest.mark.parametrize("codes", [["123456"] * 3, ["**", " ", "123456"], ["123#", "**"], []])
def test_an_unknown_customer_hears_and_waits_the_same_for_a_code(codes: list[str]) -> None:
    answers: Answers = {Prompt.ASK_CODE: codes}
    assert heard_by(UNKNOWN, answers=answers, policy="sms") == heard_by(ANNA, answers=answers, policy="sms")


@pytest.mark.parametrize("policy", ["main", "sms"])
def test_an_unknown_customer_hears_the_same_as_one_with_a_language_of_its_own(policy: str) -> None:
    for first in ({}, *FAILING.values(), {Prompt.ASK_CODE: ["123456"] * 3}):
        heard = heard_by(ANNA, answers=first, policy=policy, anna={"language": "sv"})
        assert heard == heard_by(UNKNOWN, answers=first, policy=policy)
        assert set(heard[1]) == {"en"}


@pytest.mark.parametrize("seconds", [0.001, 3.0, 20.0])
@pytest.mark.parametrize("codes", [["123456"] * 3, ["**", " ", "123456"], []])
def test_an_unknown_customer_hears_and_waits_the_same_while_no_text_can_be_sent(
    seconds: float, codes: list[str]
) -> None:
    calls = []
    for number in (ANNA, UNKNOWN):
        world = World()
        world.texts.seconds = seconds
        for name in ("texts.send", "texts.pretend"):
            world.plot.fail(name, TextError("no gateway took the message"))
        answers: Answers = {Prompt.ASK_CUSTOMER_NUMBER: [f"{number}#"], Prompt.ASK_CODE: codes}
        line = world.call("sms", number=None, answers=answers)
        assert seconds == 20.0 or line.said[-1] is Prompt.UNAVAILABLE
        calls.append(noticed(world, line))
    assert calls[0] == calls[1]


class DownGateway:
    """Takes no text, and says so after a while."""

    async def send(self, to: Personal, text: Secret) -> None:
        await asyncio.sleep(0.7)
        raise TextError("no gateway took the message")


def test_an_unknown_customer_hears_and_waits_the_same_behind_a_text_that_failed() -> None:
    calls = []
    for number in (ANNA, UNKNOWN):
        world = World()
        world.texts = cast(Any, Screened(Limited(DownGateway(), 10.0), {"SE"}, world.logger))
        for keyed in (ANNA, number):
            # no two texts to one customer are sent within a minute
            world.live._texts.clear()
            line = world.call("sms", number=None, answers={Prompt.ASK_CUSTOMER_NUMBER: [f"{keyed}#"]}, stays=1.0)
        assert_unverified(world, line, "unavailable", Prompt.UNAVAILABLE)
        calls.append(noticed(world, line))
    assert calls[0] == calls[1]


@pytest.mark.parametrize("policy", ["main", "pin", "sms"])
@pytest.mark.parametrize("own", [*OWN, "gone"])
def test_an_unknown_customer_hears_the_same_as_one_with_a_policy_of_its_own(policy: str, own: str) -> None:
    late = [Keys("123456", after=29.0)] * 4
    for first in ({}, *FAILING.values(), {Prompt.ASK_CODE: ["123456"] * 3}, {Prompt.ASK_CODE: ["", "", *late]}):
        heard = heard_by(ANNA, answers=first, policy=policy, anna={"policy": own}, policies=OWN)
        assert heard == heard_by(UNKNOWN, answers=first, policy=policy, policies=OWN)


def test_an_unknown_customer_is_locked_alike() -> None:
    calls: dict[str, list[Any]] = {}
    for number in (ANNA, UNKNOWN):
        world = World(limits={"customer_in_a_row": 4})
        for _ in range(3):
            answers: Answers = {Prompt.ASK_CUSTOMER_NUMBER: [f"{number}#"], Prompt.ASK_PIN: [WRONG_PIN] * 3}
            line = world.call("pin", number=None, answers=answers)
            calls.setdefault(number, []).append((line.heard, line.variables, round(world.now, 6)))
            assert {fields["Scope"] for _, fields in line.events} <= {"customer"}
    assert calls[ANNA] == calls[UNKNOWN]
    assert calls[UNKNOWN][-1][0][-1][0] is Prompt.LOCKED


@pytest.mark.parametrize("policy", ["main", "pin", "sms", "bridge"])
def test_an_unknown_customer_is_never_verified_even_when_everything_matches(policy: str) -> None:
    world = World()
    world.pins.gullible = world.codes.gullible = True
    answers: Answers = {
        Prompt.ASK_CUSTOMER_NUMBER: [f"{UNKNOWN}#"], Prompt.ASK_PIN: ["0000#"], Prompt.ASK_CODE: ["000000"],
    }  # fmt: skip
    line = world.call(policy, number=None, answers=answers)
    assert_unverified(world, line, "refused", Prompt.REFUSED)
    assert world.texts.sent == []
    assert line.legs == []
    assert line.unused in ({}, {Prompt.ASK_CODE: 1}, {Prompt.ASK_PIN: 1})
