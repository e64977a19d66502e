"""Each way of verifying: what passes, what fails, what is counted, what is sent."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ivr.call.mark import METHODS, STATUS
from ivr.call.outcome import Budget, Factor
from ivr.call.ports import Closed
from ivr.call.steps import all_steps
from ivr.errors import StoreError, TextError
from ivr.prompts import Prompt, wait
from tests.unit.fakes import ANNA, ANNA_PHONE, ANNA_PIN, UNKNOWN, Answers, FakeLine, Keys, World

RIGHT_PIN = f"{ANNA_PIN}#"
CODE_ASKED = (Prompt.TEXT_COMING, Prompt.ASK_CODE)


def steps(world: World) -> str:
    """How the steps of the last call went, as the audit trail has it."""
    detail = world.trail.rows[-1].detail
    assert detail is not None
    return detail["steps"]


def failures(world: World) -> int:
    return max(world.live.failures.values(), default=0)


def test_each_step_is_found_by_the_name_that_it_bears() -> None:
    assert {name: step.factor for name, step in all_steps().items()} == {
        "bankid": Factor.EID,
        "ciba": Factor.EID,
        "freja": Factor.EID,
        "pin": Factor.KNOWLEDGE,
        "sms_code": Factor.POSSESSION,
        "sms_link": Factor.POSSESSION,
        "totp": Factor.POSSESSION,
    }
    assert all(step.name == name for name, step in all_steps().items())


# ---------------------------------------------------------------- pin


def pin(world: World, *keys: str) -> FakeLine:
    return world.call("pin", answers={Prompt.ASK_PIN: keys}, stays=1.0)


def test_a_right_pin_is_no_failure() -> None:
    world = World()
    assert pin(world, RIGHT_PIN).variables[METHODS] == "pin"
    assert failures(world) == 0
    assert world.plot.names.index("live.attempt") < world.plot.names.index("pins.matches"), "counted before compared"


def test_a_wrong_pin_then_the_right_one() -> None:
    world = World()
    line = pin(world, "0000#", RIGHT_PIN)
    assert line.variables[STATUS] == "verified"
    assert line.heard[1] == (Prompt.WRONG, Prompt.ASK_PIN)


@pytest.mark.parametrize("tries", [1, 3, 5])
def test_so_many_wrong_pins_and_no_more(tries: int) -> None:
    world = World(steps={"pin": {"tries": tries}}, limits={"call": 20})
    line = pin(world, *["0000#"] * tries, RIGHT_PIN)
    assert steps(world) == "pin:wrong"
    assert line.unused == {Prompt.ASK_PIN: 1}
    assert failures(world) == tries


def test_a_policy_may_grant_other_tries_and_another_life_of_codes() -> None:
    both = {"pin": {"tries": 3}, "sms_code": {"tries": 3, "life_minutes": 10}}
    strict = {"steps": ["pin", "sms_code"], "level": 2, "tries": 1, "code_minutes": 1}
    world = World(steps=both, policies={"main": strict})
    world.call(answers={Prompt.ASK_PIN: ["0000#", RIGHT_PIN]}, stays=1.0)
    assert steps(world) == "pin:wrong"
    answers: Answers = {Prompt.ASK_PIN: [RIGHT_PIN], Prompt.ASK_CODE: ["", "", world.texts.code, world.texts.wrong]}
    line = world.call(answers=answers, stays=1.0)
    assert (Prompt.CODE_EXPIRED, Prompt.ASK_CODE) in line.heard
    world.now += 60
    world.call(answers={Prompt.ASK_PIN: [RIGHT_PIN], Prompt.ASK_CODE: [world.texts.wrong] * 2}, stays=1.0)
    assert steps(world) == "pin:passed,sms_code:wrong"


def test_slips_are_not_counted_as_failures() -> None:
    world = World()
    line = pin(world, "#", "12#", RIGHT_PIN)
    assert line.variables[STATUS] == "verified"
    world = World()
    pin(world, "#", "12#", "#")
    assert steps(world) == "pin:no_entry"
    assert world.outcomes == ["timeout"]
    assert "live.attempt" not in world.plot.names


def test_slips_begin_anew_after_a_wrong_pin() -> None:
    world = World()
    line = pin(world, "12#", "12#", "0000#", "12#", "12#", RIGHT_PIN)
    assert line.variables[STATUS] == "verified"


def test_stars_clear_what_was_keyed() -> None:
    world = World()
    assert pin(world, f"99*{RIGHT_PIN}").variables[STATUS] == "verified"


def test_a_pin_that_was_cut_by_lost_events_is_not_counted() -> None:
    world = World()
    line = pin(world, "4~", "~", RIGHT_PIN)
    assert line.variables[STATUS] == "verified"
    assert world.plot.names.count("live.attempt") == 1


# ---------------------------------------------------------------- sms_code


def sms(world: World, *answers: object, **how: object) -> FakeLine:
    asked: Answers = {Prompt.ASK_CODE: answers}  # type: ignore[dict-item]  # what the caller of this gives
    return world.call("sms", answers={**asked, **how.pop("more", {})}, stays=1.0, **how)  # type: ignore[dict-item]


def test_the_code_of_the_text_passes() -> None:
    world = World()
    line = sms(world, world.texts.code)
    assert line.variables[METHODS] == "sms_code"
    assert line.heard[0] == (Prompt.WELCOME, *CODE_ASKED)
    [(to, text)] = world.texts.sent
    assert to == ANNA_PHONE
    assert text.startswith("Acme: ") and "{" not in text
    assert failures(world) == 0


@pytest.mark.parametrize(("digits", "language"), [(6, None), (8, "sv"), (10, "xx")])
def test_codes_are_as_long_as_the_settings_say_and_never_the_same(digits: int, language: str | None) -> None:
    codes = set()
    for _ in range(5):
        world = World(steps={"sms_code": {"digits": digits}})
        world.change_anna(language=language)
        assert sms(world, world.texts.code).variables[STATUS] == "verified"
        codes.add(world.texts.code())
    assert len(codes) == 5
    assert {len(code) for code in codes} == {digits}


@pytest.mark.parametrize("tries", [1, 3])
def test_so_many_wrong_codes_and_no_more(tries: int) -> None:
    world = World(steps={"sms_code": {"tries": tries}})
    line = sms(world, *[world.texts.wrong] * tries, world.texts.code)
    assert steps(world) == "sms_code:wrong"
    assert line.heard[1:-1] == [(Prompt.WRONG, Prompt.ASK_CODE)] * (tries - 1)
    assert line.unused == {Prompt.ASK_CODE: 1}
    assert failures(world) == tries


def test_a_lock_in_mid_step_ends_it_and_the_right_code_is_not_evaluated() -> None:
    world = World(limits={"customer_in_a_row": 3}, steps={"sms_code": {"tries": 5}})
    line = sms(world, *[world.texts.wrong] * 3, world.texts.code)
    assert steps(world) == "locked:customer"
    assert line.variables[STATUS] == "locked"
    assert line.unused == {}


def test_a_wrong_code_then_the_right_one() -> None:
    world = World()
    assert sms(world, world.texts.wrong, world.texts.code).variables[STATUS] == "verified"


def test_silence_is_a_timeout_and_no_failure() -> None:
    world = World()
    line = sms(world)
    assert steps(world) == "sms_code:no_entry"
    assert line.heard[1:-1] == [(Prompt.NOTHING_KEYED, Prompt.ASK_CODE)] * 2
    assert failures(world) == 0


def test_a_code_of_another_call_is_wrong() -> None:
    world = World()
    sms(world, "!")
    world.now += 60
    [old] = [world.texts.code()]
    assert sms(world, old, old, old).variables[STATUS] == "refused"


def test_a_code_is_bound_to_its_run_its_customer_its_call_and_its_policy() -> None:
    world = World()
    assert sms(world, world.texts.code).variables[STATUS] == "verified"
    world.now += 60
    assert sms(world, world.texts.code).variables[STATUS] == "verified"
    sent, keyed, other, _ = world.codes.bound
    assert sent == keyed
    assert sent[1:] == (world.anna.key, "node:channel-1", "sms")
    assert len(sent[0]) >= 20 and sent[0] != other[0]


# ---------------------------------------------------------------- another text


def test_two_stars_too_soon_say_when() -> None:
    world = World()
    line = sms(world, "**", world.texts.code)
    assert line.variables[STATUS] == "verified"
    assert line.heard[1] == (Prompt.NEXT_TEXT, Prompt.IN_ONE_MINUTE, Prompt.ASK_CODE)
    assert len(world.texts.sent) == 1


def test_two_stars_later_send_a_new_code_and_the_old_one_is_void() -> None:
    world = World()
    first = lambda: world.texts.code(0)  # noqa: E731
    line = sms(world, Keys("**", after=29.0), Keys("**", after=29.0), first, world.texts.code)
    assert line.heard[1:4] == [
        (Prompt.NEXT_TEXT, wait(20), Prompt.ASK_CODE),
        (Prompt.NEW_TEXT_SENT, Prompt.ASK_CODE),
        (Prompt.WRONG, Prompt.ASK_CODE),
    ]
    assert line.variables[STATUS] == "verified"
    assert len({text for _, text in world.texts.sent}) == 2


def test_a_new_text_gives_no_new_tries() -> None:
    world = World(steps={"sms_code": {"tries": 3}})
    late = Keys("**", after=29.0)
    line = sms(world, world.texts.wrong, late, late, late, world.texts.wrong, world.texts.wrong, world.texts.code)
    assert len(world.texts.sent) == 2
    assert steps(world) == "sms_code:wrong"
    assert line.unused == {Prompt.ASK_CODE: 1}


def test_no_more_texts_in_a_call_but_the_last_code_still_counts() -> None:
    world = World(steps={"sms_code": {"sends": 1, "life_minutes": 10}})
    late = Keys("**", after=29.0)
    line = sms(world, late, late, late, world.texts.code)
    assert line.heard[3] == (Prompt.NO_MORE_TEXTS, Prompt.ASK_CODE)
    assert line.variables[STATUS] == "verified"
    assert len(world.texts.sent) == 1


def test_nobody_asks_for_ever() -> None:
    world = World()
    line = sms(world, *["**"] * 100)
    assert steps(world) == "sms_code:expired"
    assert len(line.heard) == 13
    assert line.variables[STATUS] == "refused"


def test_a_text_of_the_call_before_is_waited_for() -> None:
    world = World()
    sms(world, "!")
    line = sms(world, world.texts.code)
    assert line.heard[:2] == [(Prompt.TEXT_SOON,), (Prompt.WELCOME, *CODE_ASKED)]
    assert line.variables[STATUS] == "verified"
    assert len(world.texts.sent) == 2
    assert not line.playing_music


def test_keys_within_that_wait_do_not_count() -> None:
    world = World()
    sms(world, "!")
    line = sms(world, world.texts.code, more={Prompt.TEXT_SOON: [Keys("12 34 5#", after=5.0)]})
    assert line.variables[STATUS] == "verified"
    assert len(line.heard) == 3


def test_too_many_texts_to_a_customer_fail_the_step() -> None:
    world = World(steps={"sms_code": {"sends_per_hour": 1}})
    sms(world, "!")
    line = sms(world, world.texts.code)
    assert steps(world) == "sms_code:too_many_texts"
    assert line.said == [Prompt.REFUSED]
    assert len(world.texts.sent) == 1


def test_too_many_texts_in_another_call_meanwhile_fail_it_too() -> None:
    world = World(steps={"sms_code": {"sends_per_hour": 2}})
    sms(world, "!")
    line = world.line("sms", answers={Prompt.ASK_CODE: [world.texts.code]})
    times = world.live._texts[world.anna.key]
    world.plot.on("line.music", lambda: times.append(times[-1]))
    world.run(line)
    assert steps(world) == "sms_code:too_many_texts"


# ---------------------------------------------------------------- expired


def test_an_expired_code_is_no_failure_and_another_may_be_had() -> None:
    world = World(steps={"sms_code": {"life_minutes": 1}})
    late = Keys(world.texts.code, after=29.0)
    line = sms(world, "", "", late, "**", world.texts.code)
    assert (Prompt.CODE_EXPIRED, Prompt.ASK_CODE) in line.heard
    assert line.variables[STATUS] == "verified"
    assert failures(world) == 0


def test_a_code_that_stays_expired_fails_at_last() -> None:
    world = World(steps={"sms_code": {"life_minutes": 1}})
    line = sms(world, "", "", *[world.texts.code] * 12)
    assert steps(world) == "sms_code:expired"
    assert line.heard.count((Prompt.CODE_EXPIRED, Prompt.ASK_CODE)) == 11
    assert world.outcomes == ["refused"]


# ---------------------------------------------------------------- the gateway


@pytest.mark.parametrize("seconds", [0.001, 3.0, 20.0])
def test_a_gateway_that_fails_behind_the_prompt_ends_the_step(seconds: float) -> None:
    world = World()
    world.texts.seconds = seconds
    world.plot.fail("texts.send", TextError("no gateway took the message to +46…01"))
    line = sms(world)
    assert line.variables[STATUS] == "unavailable"
    assert line.said[-1] is Prompt.UNAVAILABLE
    assert world.logged("text.failed", error="TextError")
    assert failures(world) == 0


def test_the_question_is_stopped_then_and_the_sentence_does_not_wait_for_its_end() -> None:
    world = World()
    world.plot.fail("texts.send", TextError("no gateway took the message"))
    line = sms(world)
    assert line.delayed == []
    assert not world.logged("call.unavailable", phase="announce_refused")


def test_a_fault_of_ours_in_sending_is_unavailable_too_and_its_words_stay_out_of_the_log() -> None:
    world = World()
    world.plot.fail("texts.send", ValueError("canary 123456"))
    line = sms(world)
    assert line.variables[STATUS] == "unavailable"
    assert world.logged("text.failed", error="ValueError")
    assert "canary" not in repr(world.log)


def test_a_slow_gateway_does_not_delay_the_question() -> None:
    world = World()
    world.texts.seconds = 25.0
    line = sms(world, Keys(world.texts.code, after=25.0))
    assert line.variables[STATUS] == "verified"


def test_a_text_that_is_not_needed_any_more_is_not_sent() -> None:
    world = World()
    world.texts.seconds = 1000.0
    assert sms(world).variables[STATUS] == "timeout"
    assert world.texts.sent == []


def test_a_caller_who_hangs_up_is_sent_nothing_any_more() -> None:
    world = World()
    world.texts.seconds = 1000.0
    sms(world, "!")
    assert world.outcomes == ["abandoned"]
    assert world.texts.sent == []


@pytest.mark.parametrize("behind", ["pin", "the hand-over"])
def test_a_text_that_came_although_its_gateway_failed_does_not_undo_its_own_code(behind: str) -> None:
    """A gateway may lose its answer and not the text: the caller has keyed the code by then."""
    world = World(policies={"sms": {"steps": ["sms_code", "pin"] if behind == "pin" else ["sms_code"], "level": 1}})
    world.texts.at_once, world.texts.seconds, world.texts.hold = True, 0.0, asyncio.Event()
    world.plot.fail("texts.send", TextError("no answer in time"))
    world.plot.on("live.try_challenge", world.texts.hold.set)
    line = sms(world, world.texts.code, more={Prompt.ASK_PIN: [RIGHT_PIN]})
    assert line.variables[STATUS] == "verified"
    assert world.outcomes == ["verified"]


# ---------------------------------------------------------------- nobody to send to


def unknown(world: World, *answers: object) -> FakeLine:
    more = {Prompt.ASK_CUSTOMER_NUMBER: [f"{UNKNOWN}#"]}
    return sms(world, *answers, number=None, more=more)


def test_where_nobody_can_be_sent_a_text_one_is_pretended() -> None:
    world = World()
    late = Keys("**", after=29.0)
    assert unknown(world, late, late, late, "123456", "123456", "123456").variables[STATUS] == "refused"
    assert [entry["result"] for entry in world.logged("text.asked")] == ["Opened", "TooSoon", "Opened", "TooSoon"]
    assert world.plot.names.count("texts.pretend") == 2
    assert world.texts.sent == [] and not world.logged("text.sent")
    world = World()
    world.change_anna(mobile=None)
    sms(world, "123456", "123456", "123456")
    assert world.plot.names.count("texts.pretend") == 1


def test_a_text_that_can_be_sent_is_not_pretended() -> None:
    world = World()
    sms(world, world.texts.code)
    assert "texts.pretend" not in world.plot.names
    assert len(world.logged("text.sent")) == 1


@pytest.mark.parametrize("error", [TextError("the text before was not taken"), ValueError("canary")])
def test_a_pretended_text_that_fails_ends_the_step_and_is_none_in_the_log(error: Exception) -> None:
    world = World()
    world.plot.fail("texts.pretend", error)
    line = unknown(world, "123456")
    assert line.variables[STATUS] == "unavailable"
    assert line.said[-1] is Prompt.UNAVAILABLE
    assert not world.logged("text.failed") and "canary" not in repr(world.log)
    assert failures(world) == 0


def test_a_pretended_text_that_takes_longer_than_the_call_is_given_up() -> None:
    world = World()
    world.texts.seconds = 1000.0
    world.plot.fail("texts.pretend", TextError("the text before was not taken"))
    assert unknown(world).variables[STATUS] == "timeout"


# ---------------------------------------------------------------- budgets of texts


@pytest.mark.parametrize("scope", [Budget.PREFIX, Budget.COUNTRY])
def test_where_a_range_is_closed_its_customers_hear_what_others_hear(scope: Budget) -> None:
    """The same as callers to whom no text can be sent: else the number would be known for a customer's."""
    heard, took = [], []
    for closed in (True, False):
        world = World()
        world.live.closed = Closed(scope, first=False) if closed else None
        world.texts.seconds = 3.0
        more = {Prompt.ASK_CUSTOMER_NUMBER: [f"{ANNA if closed else UNKNOWN}#"]}
        line = sms(world, "123456", "123456", "123456", number=None, more=more)
        assert line.variables[STATUS] == "refused"
        assert world.texts.sent == [] and not world.logged("text.sent")
        assert world.plot.names.count("texts.pretend") == 1
        heard.append(line.said)
        took.append(world.logged("step.ended")[0]["seconds"])
        assert len(world.logged("text.withheld", scope=scope.value)) == closed
    assert heard[0] == heard[1]
    assert took[0] == took[1]


@pytest.mark.parametrize(
    ("scope", "where", "limit"), [("prefix", "+467017", 200), ("country", "SE", 2000), ("all", "", 3000)]
)
def test_that_a_budget_is_used_up_is_told_of_once(scope: str, where: str, limit: int) -> None:
    for first in (True, False):
        world = World()
        world.live.closed = Closed(Budget(scope), first=first)
        sms(world, "123456", "123456", "123456")
        told = [row for row in world.trail.rows if row.action == "texts.close"]
        assert len(told) == len(world.logged("texts.closed")) == first
        if first:
            assert told[0].detail == {"scope": scope, "range": where, "limit": str(limit)}
            assert (told[0].actor, told[0].outcome, told[0].call) == ("worker", "closed", world.trail.rows[-1].call)
            [line] = world.logged("texts.closed")
            assert (line["scope"], line["range"], line["limit"]) == (scope, where, limit)


def test_where_all_texts_are_closed_everybody_is_told_at_once() -> None:
    said = []
    for number in (ANNA, UNKNOWN):
        world = World()
        world.live.closed = Closed(Budget.ALL, first=False)
        line = sms(world, "123456", number=None, more={Prompt.ASK_CUSTOMER_NUMBER: [f"{number}#"]})
        assert line.variables[STATUS] == "unavailable"
        assert world.texts.sent == [] and "texts.pretend" not in world.plot.names
        assert world.logged("text.withheld", scope="all")
        said.append(line.said)
    assert said[0] == said[1]
    assert said[0][-1] is Prompt.UNAVAILABLE


def test_closed_it_stays_where_the_audit_trail_cannot_be_written() -> None:
    world = World()
    world.live.closed = Closed(Budget.PREFIX, first=True)
    world.plot.fail("trail.append", StoreError("audit: full"))
    line = sms(world, "123456", "123456", "123456")
    assert world.texts.sent == []
    assert line.variables[STATUS] == "refused"
    assert len(world.logged("texts.not_told", error="audit: full")) == 1


# ---------------------------------------------------------------- stores away


@pytest.mark.parametrize(
    "operation", ["live.standing", "live.open_challenge", "live.try_challenge", "customers.by_phone"]
)
def test_a_store_that_is_away_verifies_nobody(operation: str) -> None:
    world = World()
    world.plot.fail(operation, StoreError("Redis: ConnectionError"))
    line = sms(world, world.texts.code)
    assert line.variables[STATUS] == "unavailable"
    assert line.said[-1] is Prompt.UNAVAILABLE
    assert world.outcomes == ["unavailable"]


def test_a_subject_that_is_not_known_is_sent_nothing_even_with_a_number_on_record() -> None:
    world = World()
    world.anna = replace(world.anna, known=False)
    world.change_anna()
    line = sms(world, "123456", "123456", "123456")
    assert world.texts.sent == []
    assert line.variables[STATUS] == "refused"
