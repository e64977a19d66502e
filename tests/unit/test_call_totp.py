"""The step `totp`: what passes, what fails, what is counted, and what tells an unknown customer from a known one."""

from __future__ import annotations

from typing import Any

import pytest

from ivr.call.mark import METHODS, STATUS
from ivr.call.policy import policies
from ivr.errors import ConfigError, StoreError
from ivr.prompts import Prompt
from tests.unit.fakes import ANNA, ANNA_PIN, UNKNOWN, Answers, FakeLine, World, settings

SHOWN = "246810"
WRONG = "135791"


def world_of(**tables: Any) -> World:
    """Anna's app shows one code."""
    world = World(**tables)
    world.totps.shown["ref-anna"] = [SHOWN]
    return world


def call(world: World, *keys: str, policy: str = "totp", **how: Any) -> FakeLine:
    return world.call(policy, answers={Prompt.ASK_TOTP: keys}, stays=1.0, **how)


def steps(world: World) -> str:
    detail = world.trail.rows[-1].detail
    assert detail is not None
    return detail["steps"]


def failures(world: World) -> int:
    return max(world.live.failures.values(), default=0)


def test_what_the_app_shows_is_no_failure() -> None:
    world = world_of()
    line = call(world, SHOWN)
    assert line.variables[METHODS] == "totp"
    assert failures(world) == 0
    assert world.plot.names.index("live.attempt") < world.plot.names.index("totps.accepts"), "counted before compared"
    assert world.texts.sent == []


def test_the_last_digit_ends_it_and_a_hash_behind_it_does_no_harm() -> None:
    assert call(world_of(), f"{SHOWN}#").variables[STATUS] == "verified"


def test_a_wrong_code_then_the_one_that_is_shown() -> None:
    world = world_of()
    line = call(world, WRONG, SHOWN)
    assert line.variables[STATUS] == "verified"
    assert line.heard[1] == (Prompt.WRONG, Prompt.ASK_TOTP)


def test_a_code_works_in_one_call() -> None:
    world = world_of()
    assert call(world, SHOWN).variables[STATUS] == "verified"
    assert call(world, SHOWN).variables[STATUS] != "verified"
    assert failures(world) == 1


@pytest.mark.parametrize("tries", [1, 3, 5])
def test_so_many_wrong_codes_and_no_more(tries: int) -> None:
    world = world_of(steps={"totp": {"tries": tries}}, limits={"call": 20})
    line = call(world, *[WRONG] * tries, SHOWN)
    assert steps(world) == "totp:wrong"
    assert line.unused == {Prompt.ASK_TOTP: 1}
    assert failures(world) == tries


def test_a_policy_may_grant_other_tries() -> None:
    world = world_of(policies={"strict": {"steps": ["totp"], "level": 1, "tries": 1}})
    assert call(world, WRONG, SHOWN, policy="strict").unused == {Prompt.ASK_TOTP: 1}


def test_pin_and_app_count_against_the_same_limits() -> None:
    world = world_of(limits={"customer_in_a_row": 4}, policies={"both": {"steps": ["pin", "totp"], "level": 2}})
    world.call("pin", answers={Prompt.ASK_PIN: ["9999#"] * 3}, stays=1.0)
    world.call("both", answers={Prompt.ASK_PIN: [f"{ANNA_PIN}#"], Prompt.ASK_TOTP: [WRONG, SHOWN]}, stays=1.0)
    assert world.outcomes[-1] == "locked"
    assert world.plot.names.count("totps.accepts") == 1, "the fourth in a row, over both steps, locks"


def test_knowledge_and_the_app_are_level_2() -> None:
    world = world_of(policies={"both": {"steps": ["pin", "totp"], "level": 2}})
    line = world.call("both", answers={Prompt.ASK_PIN: [f"{ANNA_PIN}#"], Prompt.ASK_TOTP: [SHOWN]}, stays=1.0)
    assert line.variables[METHODS] == "pin,totp"


@pytest.mark.parametrize("beside", [["sms_code", "totp"], ["totp"]])
def test_possession_alone_is_never_level_2(beside: list[str]) -> None:
    with pytest.raises(ConfigError, match="is 2, but its steps reach 1"):
        policies(settings(policies={"twice": {"steps": beside, "level": 2}}))


def test_nothing_keyed_is_no_guess() -> None:
    world = world_of()
    call(world, "", "12", "")
    assert steps(world) == "totp:no_entry"
    assert "live.attempt" not in world.plot.names


def test_who_is_found_by_the_calling_number_may_be_somebody_else() -> None:
    world = world_of()
    keyed: Answers = {Prompt.ASK_TOTP: ["**", SHOWN], Prompt.ASK_CUSTOMER_NUMBER: [f"{ANNA}#"]}
    line = world.call("totp", answers=keyed, stays=1.0)
    assert line.heard[0] == (Prompt.WELCOME, Prompt.ASK_TOTP, Prompt.OTHER_CUSTOMER)
    assert line.variables[STATUS] == "verified"


def test_who_has_tried_has_said_who_it_is() -> None:
    """With another customer number the tries would begin anew."""
    world = world_of()
    line = call(world, WRONG, "**", SHOWN)
    assert Prompt.ASK_CUSTOMER_NUMBER not in line.said
    assert line.variables[STATUS] == "verified"
    assert world.logged("step.wrong")


def test_nobody_is_marked_where_the_apps_cannot_be_read() -> None:
    world = world_of()
    world.plot.fail("totps.accepts", StoreError("database: gone"))
    line = call(world, SHOWN)
    assert line.variables[STATUS] == "unavailable"
    assert line.said[-1] is Prompt.UNAVAILABLE


# ---------------------------------------------------------------- who has none


@pytest.mark.parametrize("keys", [[WRONG] * 3, [WRONG], ["12", "#"], []])
def test_an_unknown_customer_and_one_without_an_app_hear_and_wait_the_same(keys: list[str]) -> None:
    noticed = []
    for number, shown in ((ANNA, [SHOWN]), (ANNA, []), (UNKNOWN, [])):
        world = World()
        world.totps.shown["ref-anna"] = shown
        answers: Answers = {Prompt.ASK_CUSTOMER_NUMBER: [f"{number}#"], Prompt.ASK_TOTP: keys}
        line = world.call("totp", number=None, answers=answers)
        noticed.append((line.heard, line.variables, line.events, line.watchdogs, round(world.now, 6), world.outcomes))
    assert noticed[0] == noticed[1] == noticed[2]


def test_an_unknown_customer_is_never_verified_even_when_everything_matches() -> None:
    world = World()
    world.totps.gullible = True
    line = world.call(
        "totp", number=None, answers={Prompt.ASK_CUSTOMER_NUMBER: [f"{UNKNOWN}#"], Prompt.ASK_TOTP: [WRONG]}
    )
    assert line.variables[STATUS] == "refused"
    assert world.live.marks == {}
