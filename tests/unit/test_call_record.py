"""What the customer's record changes, a language or a policy, and callers who are not who their number says."""

from __future__ import annotations

import pytest

from ivr.call.mark import METHODS, STATUS
from ivr.call.outcome import Scope
from ivr.prompts import Prompt
from tests.unit.call_kit import OWN, RIGHT_PIN, WRONG_PIN, assert_unverified, assert_verified, right
from tests.unit.fakes import ANNA_PHONE, UNKNOWN, World


@pytest.mark.parametrize(
    ("customers", "channels", "companys", "expected"),
    [
        ("sv", "en", "en", "sv"),
        (None, "sv", "en", "sv"),
        ("fi", "sv", "en", "sv"),
        ("fi", "de", "sv", "sv"),
        ("fi", "de", "no", "no"),
        (None, "", "en", "en"),
        # Asterisk gives `en` to every channel here: nobody has chosen it
        (None, "en", "sv", "sv"),
        ("en", "en", "sv", "en"),
    ],
)
def test_the_first_language_that_has_prompts_is_spoken(
    customers: str | None, channels: str, companys: str, expected: str
) -> None:
    world = World(company={"name": "Acme", "country": "SE", "language": companys})
    world.change_anna(language=customers)
    line = world.call("pin", language=channels, answers=right(world))
    assert set(line.voices) == {expected}


def test_a_keyed_number_changes_the_language_once_the_first_step_is_passed() -> None:
    world = World()
    world.change_anna(language="sv")
    line = world.call(number=None, answers={**right(world), Prompt.ASK_CODE: ["000000"] * 3})
    assert line.voices == ["en", "en", "sv", "sv", "sv", "sv"]
    assert line.said[-1] is Prompt.REFUSED
    assert world.call("pin", number=None, answers=right(world)).voices == ["en", "en", "sv"]


def test_a_calling_number_is_a_hint_that_the_caller_may_correct() -> None:
    world = World()
    world.change_anna(language="sv")
    answers = {
        Prompt.ASK_PIN: ["**", "1234#", "1234#", "1234#"],
        Prompt.ASK_CUSTOMER_NUMBER: [f"{UNKNOWN}#"],
    }
    line = world.call(answers=answers)
    assert_unverified(world, line, "refused", Prompt.REFUSED)
    assert line.heard[:3] == [
        (Prompt.WELCOME, Prompt.ASK_PIN, Prompt.OTHER_CUSTOMER),
        (Prompt.ASK_CUSTOMER_NUMBER,),
        (Prompt.ASK_PIN,),
    ]
    assert line.voices[:3] == ["sv", "en", "en"]
    assert world.trail.rows[-1].subject == "", "not the customer whose number called"
    assert world.live.failures[Scope.CUSTOMER, world.anna_key] == 0


def test_who_corrects_the_hint_and_then_keys_nothing_is_nobody() -> None:
    world = World()
    line = world.call(answers={Prompt.ASK_PIN: ["**"]})
    assert_unverified(world, line, "timeout", Prompt.TIMEOUT)
    assert world.trail.rows[-1].subject == ""


def test_who_has_tried_a_pin_cannot_begin_anew_with_another_number() -> None:
    world = World()
    answers = {**right(world), Prompt.ASK_PIN: [WRONG_PIN, "**" + WRONG_PIN, WRONG_PIN, RIGHT_PIN]}
    line = world.call("pin", answers=answers)
    assert_unverified(world, line, "refused", Prompt.REFUSED)
    assert Prompt.ASK_CUSTOMER_NUMBER not in line.said
    assert world.trail.rows[-1].detail is not None
    assert world.trail.rows[-1].detail["wrong"] == "3"


def test_who_keyed_a_customer_number_is_offered_no_other() -> None:
    world = World()
    line = world.call("pin", number=None, answers={**right(world), Prompt.ASK_PIN: ["**" + RIGHT_PIN]})
    assert_verified(world, line)
    assert Prompt.OTHER_CUSTOMER not in line.said


def test_a_customers_own_policy_counts_where_it_is_no_weaker() -> None:
    world = World()
    world.change_anna(policy="main")
    line = world.call("pin", answers=right(world))
    assert line.variables[METHODS] == "pin,sms_code"
    assert world.trail.rows[0].detail is not None
    assert world.trail.rows[0].detail["policy"] == "main"


def test_a_customers_own_policy_comes_behind_the_dialplans() -> None:
    world = World(policies=OWN)
    world.change_anna(policy="turned")
    line = world.call("pin", number=None, answers=right(world))
    assert line.variables[METHODS] == "pin,sms_code"
    assert world.trail.rows[0].detail is not None
    assert (world.trail.rows[0].detail["policy"], world.trail.rows[0].detail["level"]) == ("turned", "2")
    world.now += 60
    line = world.call("pin", answers={Prompt.ASK_PIN: [RIGHT_PIN], Prompt.ASK_CODE: ["000000"] * 3})
    assert line.variables[STATUS] == "refused", "the dialplan's steps alone are not enough"
    assert world.trail.rows[-1].detail is not None
    assert world.trail.rows[-1].detail["steps"] == "pin:passed,sms_code:wrong"


@pytest.mark.parametrize("policy", ["pin", "main"])
@pytest.mark.parametrize("number", [None, ANNA_PHONE])
def test_a_customers_own_policy_that_is_not_written_any_more_verifies_nobody(policy: str, number: str | None) -> None:
    world = World()
    world.change_anna(policy="gone")
    line = world.call(policy, number=number, answers=right(world))
    assert_unverified(world, line, "unavailable", Prompt.UNAVAILABLE)
    assert "gone" in world.logged("policy.unknown")[0]["cure"]
    assert world.texts.sent == [], "it is told as soon as nobody else can hear it"
    line = world.call(policy, number=number, answers={**right(world), Prompt.ASK_PIN: [WRONG_PIN] * 3})
    assert_unverified(world, line, "refused", Prompt.REFUSED)


@pytest.mark.parametrize("own", ["pin", ""])
def test_a_customers_own_policy_never_weakens(own: str) -> None:
    world = World()
    world.change_anna(policy=own)
    line = world.call("main", answers=right(world))
    assert line.variables[METHODS] == "pin,sms_code"
