"""Texts of codes are followed until they have arrived, and for no longer than anybody needs the code."""

from __future__ import annotations

import pytest

from ivr.call.mark import STATUS
from ivr.call.ports import Aloud, Delivery, Report
from ivr.errors import StoreError, TextError
from ivr.prompts import Prompt
from ivr.secret import Secret
from tests.unit.fakes import ANNA_PHONE, UNKNOWN, FakeDispatch, FakeLine, Keys, World
from tests.unit.test_call_link import call as link_call


def followed() -> tuple[World, FakeDispatch]:
    world = World()
    world.dispatch = FakeDispatch(world.plot)
    return world, world.dispatch


def sms(world: World, *answers: object, **how: object) -> FakeLine:
    return world.call("sms", answers={Prompt.ASK_CODE: list(answers)}, stays=1.0, **how)  # type: ignore[dict-item, arg-type]


def test_a_text_is_followed_until_its_code_was_keyed() -> None:
    world, dispatch = followed()
    assert sms(world, world.texts.code).variables[STATUS] == "verified"
    assert dispatch.followed == [("text-1", ANNA_PHONE, world.texts.sent[0][1])]
    assert dispatch.over == ["text-1"]


def test_a_link_is_followed_until_the_step_has_come_to_its_end() -> None:
    world, dispatch = followed()
    line = link_call(world, "right")
    assert line.variables[STATUS] == "verified"
    assert dispatch.followed == [("text-1", ANNA_PHONE, world.texts.sent[0][1])]
    assert dispatch.over == ["text-1"]


def test_a_link_that_nobody_could_open_is_not_sent_again() -> None:
    """What the page cannot show does not go out at all."""
    world, dispatch = followed()
    world.plot.fail("proofs.ask", StoreError("Redis is away"))
    assert link_call(world, "right").variables[STATUS] == "unavailable"
    assert world.texts.sent == [] == dispatch.followed


def test_a_code_is_for_the_ear_too_and_a_link_is_not() -> None:
    world, dispatch = followed()
    sms(world, world.texts.code)
    assert dispatch.aloud == [Aloud(Secret(world.texts.code()), "en")]
    world, dispatch = followed()
    dispatch.landlines = True
    link_call(world, "right")
    assert dispatch.aloud == [None] and dispatch.called == []


def test_a_landline_is_called_at_once_and_gets_no_text() -> None:
    world, dispatch = followed()
    dispatch.landlines = True
    line = sms(world, Keys(lambda: dispatch.called[-1][1], after=5.0))
    assert line.variables[STATUS] == "verified"
    [(number, code, language)] = dispatch.called
    assert (number, language) == (ANNA_PHONE, "en") and len(code) == 6
    assert world.texts.sent == [] == dispatch.followed
    assert [line["delivery"] for line in world.logged("text.followed")] == ["delivered"]


def test_a_new_code_ends_the_call_to_a_landline() -> None:
    world, dispatch = followed()
    dispatch.landlines = True
    dispatch.rings = 1000.0
    line = sms(world, Keys("**", after=29.0), Keys("**", after=29.0), Keys(lambda: dispatch.called[-1][1], after=5.0))
    assert line.variables[STATUS] == "verified"
    assert len({code for _, code, _ in dispatch.called}) == len(dispatch.called) == 2
    assert world.logged("text.followed") == []


def test_a_landline_of_a_gateway_that_fails_is_heard_as_every_number() -> None:
    """Else who has a landline, and so who is a customer, would be heard while the gateway is down."""
    world, dispatch = followed()
    dispatch.landlines = True
    world.plot.fail("texts.pretend", TextError("down"))
    assert sms(world, Keys("1", after=20.0)).variables[STATUS] == "unavailable"
    assert dispatch.called == []


def told_by_calls(*, range_of: bool = True) -> tuple[World, FakeDispatch]:
    world = World(texts={"voice": {"dial": "PJSIP/{number}@trunk", "number": "+46812345678"}})
    world.dispatch = dispatch = FakeDispatch(world.plot)
    if not range_of:
        world.texts.range_of = lambda to: None  # type: ignore[method-assign]
    return world, dispatch


@pytest.mark.parametrize("landline", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_a_call_tells_it_where_every_gateway_is_down_and_all_hear_the_same(landline: bool, known: bool) -> None:
    world, dispatch = told_by_calls()
    dispatch.landlines = landline
    for what in ("texts.send", "texts.pretend"):
        world.plot.fail(what, TextError("down"))
    answers = {
        Prompt.ASK_CUSTOMER_NUMBER: ["100200#" if known else f"{UNKNOWN}#"],
        Prompt.ASK_CODE: [Keys((lambda: dispatch.called[-1][1]) if known else "135790", after=20.0)],
    }
    line = world.call("sms", number=None, answers=answers, stays=1.0)
    assert Prompt.CODE_COMING in line.said and Prompt.UNAVAILABLE not in line.said
    assert len(dispatch.called) == known
    assert (line.variables[STATUS] == "verified") is known


def test_a_call_tells_it_where_the_gateway_refuses_the_number() -> None:
    world, dispatch = told_by_calls()
    world.texts.refuses = True
    assert sms(world, Keys(lambda: dispatch.called[-1][1], after=5.0)).variables[STATUS] == "verified"
    assert world.texts.sent == [] == dispatch.followed


def test_whom_no_text_may_go_to_nobody_calls() -> None:
    world, dispatch = told_by_calls(range_of=False)
    world.texts.refuses = True
    assert sms(world, Keys("1", after=20.0)).variables[STATUS] != "unavailable"
    assert dispatch.called == [] == dispatch.followed


def test_a_link_is_told_by_no_call_where_every_gateway_is_down() -> None:
    world, dispatch = told_by_calls()
    world.plot.fail("texts.send", TextError("down"))
    assert link_call(world, "right").variables[STATUS] == "unavailable"
    assert dispatch.called == []


@pytest.mark.parametrize("landline", [True, False])
def test_where_codes_are_told_by_calls_all_hear_the_same(landline: bool) -> None:
    noticed = []
    for number in ("100200", UNKNOWN):
        world = World(texts={"voice": {"dial": "PJSIP/{number}@trunk", "number": "+46812345678"}})
        world.dispatch = dispatch = FakeDispatch(world.plot)
        dispatch.landlines = landline
        line = world.call("sms", number=None, answers={Prompt.ASK_CUSTOMER_NUMBER: [f"{number}#"]}, stays=1.0)
        noticed.append((line.heard, world.now))
        known = number != UNKNOWN
        assert (len(dispatch.called), len(dispatch.followed)) == (known and landline, known and not landline)
        assert Prompt.CODE_COMING in line.said and Prompt.TEXT_COMING not in line.said
    assert noticed[0] == noticed[1]


@pytest.mark.parametrize("policy", ["sms", "link"])
def test_each_message_of_a_long_text_is_counted(policy: str) -> None:
    """Of letters that are in no GSM alphabet 67 go into one."""
    world = World(company={"name": "Обслуживание клиентов", "country": "SE"})
    world.call(policy, answers={Prompt.ASK_CODE: ["!"]}, stays=1.0)
    [(_, words)] = world.texts.sent
    assert world.live.parts == [world.texts.parts(Secret(words))] and world.live.parts[0] > 1


def test_a_new_code_ends_it_for_the_old_one() -> None:
    """The other gateway would send a code that is void."""
    world, dispatch = followed()
    over: list[int] = []
    world.plot.on("live.try_challenge", lambda: over.append(len(dispatch.over)))
    line = sms(world, Keys("**", after=29.0), Keys("**", after=29.0), world.texts.code)
    assert line.variables[STATUS] == "verified"
    assert [one for one, _, _ in dispatch.followed] == ["text-1", "text-2"]
    assert over == [1] and dispatch.over == ["text-1", "text-2"]


def test_a_caller_who_hangs_up_ends_it() -> None:
    world, dispatch = followed()
    sms(world, "!")
    assert len(dispatch.followed) == len(dispatch.over)


def test_what_became_of_it_is_noted() -> None:
    world, dispatch = followed()
    dispatch.report = Report("46elks", "text-1", Delivery.DELIVERED)
    dispatch.came.set()
    assert sms(world, Keys(world.texts.code, after=5.0)).variables[STATUS] == "verified"
    assert [line["delivery"] for line in world.logged("text.followed")] == ["delivered"]


def test_nobody_knowing_it_is_noted_too() -> None:
    world, dispatch = followed()
    dispatch.came.set()
    assert sms(world, Keys(world.texts.code, after=5.0)).variables[STATUS] == "verified"
    assert [line["delivery"] for line in world.logged("text.followed")] == [""]


def test_a_redis_that_cannot_tell_ends_no_call() -> None:
    world, _ = followed()
    world.plot.fail("dispatch.follow", StoreError("Redis is away"))
    assert sms(world, Keys(world.texts.code, after=5.0)).variables[STATUS] == "verified"
    assert [line["error"] for line in world.logged("text.not_followed")] == ["Redis is away"]


def test_what_no_gateway_has_taken_is_not_followed() -> None:
    world, dispatch = followed()
    world.plot.fail("texts.send", TextError("down"))
    assert sms(world, Keys("1", after=20.0)).variables[STATUS] == "unavailable"
    assert dispatch.followed == []


def test_for_a_number_that_nobody_has_nothing_is_followed_and_it_sounds_the_same() -> None:
    heard = []
    for number in ("100200", UNKNOWN):
        world, dispatch = followed()
        line = world.call("sms", number=None, answers={Prompt.ASK_CUSTOMER_NUMBER: [f"{number}#"]}, stays=1.0)
        heard.append(line.heard)
        assert len(dispatch.followed) == (number != UNKNOWN)
    assert heard[0] == heard[1]
