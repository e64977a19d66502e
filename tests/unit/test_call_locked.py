"""Locks: by hand, by failures of the customer, the calling number and the call, and how callers hear of them."""

from __future__ import annotations

from ivr.call.outcome import Scope
from ivr.prompts import Prompt
from tests.unit.call_kit import RIGHT_PIN, WRONG_PIN, assert_unverified, right
from tests.unit.fakes import ANNA, Answers, World, index


def test_a_customer_who_was_locked_by_hand_hears_to_contact_the_company() -> None:
    world = World()
    world.change_anna(locked=True)
    line = world.call(answers=right(world))
    assert_unverified(world, line, "locked", Prompt.LOCKED_UNTIL_CONTACT)
    assert line.events == [("CallerLockedOut", {"Scope": "customer", "Seconds": "", "Subject": "ref-anna"})]


def test_nobody_learns_of_a_lock_by_hand_who_has_not_shown_to_be_the_customer() -> None:
    heard = []
    for locked in (False, True):
        world = World()
        world.change_anna(locked=locked)
        line = world.call(answers={Prompt.ASK_PIN: [WRONG_PIN] * 3})
        assert_unverified(world, line, "refused", Prompt.REFUSED)
        heard.append(line.heard)
    assert heard[0] == heard[1]


def test_a_customer_who_is_locked_in_mid_call_is_not_verified() -> None:
    world = World()
    line = world.line(answers=right(world))
    world.plot.on("live.try_challenge", lambda: world.change_anna(locked=True))
    world.run(line)
    assert_unverified(world, line, "locked", Prompt.LOCKED_UNTIL_CONTACT)


def test_a_lock_that_began_before_a_hang_up_is_told_and_the_tries_are_in_the_trail() -> None:
    world = World(limits={"customer_in_a_row": 3})
    world.call(answers={Prompt.ASK_PIN: [WRONG_PIN]}, stays=1.0)
    line = world.line(answers={Prompt.ASK_PIN: [WRONG_PIN] * 2})
    # as the question is asked for the third time
    world.plot.on("line.say", line.caller_hangs_up, nth=world.plot.names.count("line.say") + 3)
    world.run(line)
    assert world.outcomes[-1] == "abandoned"
    assert world.trail.rows[-1].detail is not None
    assert world.trail.rows[-1].detail["wrong"] == "2"
    [(name, fields)] = line.events
    assert (name, fields["Scope"]) == ("CallerLockedOut", "customer")


def test_a_lock_from_before_is_said_at_once_and_with_its_length() -> None:
    world = World(limits={"customer_in_a_row": 3, "customer_lock_minutes": 15})
    world.call(answers={Prompt.ASK_PIN: [WRONG_PIN] * 3}, stays=1.0)
    world.now += 60
    line = world.call(answers=right(world))
    assert_unverified(world, line, "locked", Prompt.LOCKED, Prompt.TRY_AGAIN, Prompt.IN_15_MINUTES)
    assert len(line.heard) == 1
    [(name, fields)] = line.events
    assert (name, fields["Scope"]) == ("CallerLockedOut", "customer")
    assert 0 < int(fields["Seconds"]) <= 15 * 60


def test_a_lock_that_these_tries_began_is_said_now() -> None:
    world = World(limits={"customer_in_a_row": 3})
    line = world.call(answers={Prompt.ASK_PIN: [WRONG_PIN] * 3})
    assert_unverified(world, line, "locked", Prompt.LOCKED, Prompt.TRY_AGAIN, Prompt.IN_15_MINUTES)
    assert world.trail.rows[0].detail is not None
    assert world.trail.rows[0].detail["steps"] == "pin:wrong"


def test_a_lock_in_mid_step_ends_the_step() -> None:
    world = World(limits={"customer_in_a_row": 4})
    world.call(answers={Prompt.ASK_PIN: [WRONG_PIN] * 3}, stays=1.0)
    line = world.call(answers={Prompt.ASK_PIN: [WRONG_PIN, RIGHT_PIN]})
    assert_unverified(world, line, "locked", Prompt.LOCKED, Prompt.TRY_AGAIN, Prompt.IN_15_MINUTES)
    assert line.unused == {}, "the right PIN was not even asked for"
    assert world.plot.names.count("pins.matches") == 4, "a try was evaluated while locked"
    assert world.trail.rows[-1].detail is not None
    assert world.trail.rows[-1].detail["steps"] == "locked:customer"
    assert world.trail.rows[-1].detail["lock"].startswith("customer:")


def test_too_many_failures_are_locked_until_contact() -> None:
    world = World(limits={"customer_in_a_row": 10, "customer_most": 10})
    for _ in range(3):
        world.call(answers={Prompt.ASK_PIN: [WRONG_PIN] * 3}, stays=1.0)
    line = world.call(answers={Prompt.ASK_PIN: [WRONG_PIN, RIGHT_PIN]})
    assert_unverified(world, line, "locked", Prompt.LOCKED_UNTIL_CONTACT)
    assert line.events[0][1] == {"Scope": "customer", "Seconds": "", "Subject": "ref-anna"}
    again = world.call(answers={Prompt.ASK_PIN: [RIGHT_PIN]}, again=True)
    assert again.unused != {}, "the PIN was asked for in a lock"
    detail = world.trail.rows[-1].detail
    assert detail is not None
    assert (detail["lock"], detail["steps"], detail["round"]) == ("customer", "", "mid_call")


def test_the_limit_of_a_call_is_a_refusal_and_no_lock() -> None:
    world = World(limits={"call": 2})
    line = world.call(answers={Prompt.ASK_PIN: [WRONG_PIN, WRONG_PIN, RIGHT_PIN]})
    assert_unverified(world, line, "refused", Prompt.REFUSED)
    assert line.events == []
    assert world.plot.names.count("pins.matches") == 2


def test_the_limit_of_a_call_holds_when_it_comes_in_again() -> None:
    world = World(limits={"call": 3})
    world.call(answers={Prompt.ASK_PIN: [WRONG_PIN] * 3}, channel="same")
    line = world.call(answers=right(world), channel="same")
    assert_unverified(world, line, "refused", Prompt.REFUSED)
    assert len(line.heard) == 1


def test_a_calling_number_that_guesses_at_many_customers_is_locked() -> None:
    world = World(limits={"number_in_a_row": 6})
    calls = [
        world.call(
            number="+46709999999",
            answers={Prompt.ASK_CUSTOMER_NUMBER: [f"{number}#"], Prompt.ASK_PIN: [WRONG_PIN] * 3},
            stays=1.0,
        )
        for number in ("111111", "222222")
    ]
    assert calls[-1].events == [("CallerLockedOut", {"Scope": "number", "Seconds": "1800", "Subject": ""})]
    line = world.call(number="+46709999999", answers={Prompt.ASK_CUSTOMER_NUMBER: [f"{ANNA}#"]})
    assert_unverified(world, line, "locked", Prompt.LOCKED, Prompt.TRY_AGAIN, Prompt.IN_30_MINUTES)
    assert world.live.failures[Scope.NUMBER, index("+46709999999")] == 6


def test_a_withheld_number_is_counted_by_customer_and_call_alone() -> None:
    world = World()
    answers: Answers = {Prompt.ASK_CUSTOMER_NUMBER: [f"{ANNA}#"], Prompt.ASK_PIN: [WRONG_PIN] * 3}
    world.call(number=None, answers=answers)
    assert {scope for scope, _ in world.live.failures} == {Scope.ALL, Scope.CUSTOMER, Scope.CALL}
    assert world.trail.rows[0].detail is not None
    assert world.trail.rows[0].detail["number"] == ""
