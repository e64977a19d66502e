"""A whole call: who is found, what is heard, and what stands on the channel in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import pytest

from ivr.call.mark import EXPIRES, LEVEL, METHODS, PRIORITY, STATUS, SUBJECT, Mark
from ivr.call.outcome import Scope
from ivr.call.session import Session
from ivr.errors import StoreError, TextError, Unavailable, WorkerReplaced
from ivr.metrics.meters import PHASES
from ivr.prompts import Prompt
from ivr.secret import Personal, Secret
from ivr.sms.limited import Limited, Screened
from tests.unit.fakes import ANNA, ANNA_PHONE, ANNA_PIN, EPOCH, UNKNOWN, Answers, FakeLine, FakePins, Keys, World, index

RIGHT_PIN = f"{ANNA_PIN}#"
WRONG_PIN = "9999#"
UNVERIFIED = {LEVEL: "0", METHODS: "", SUBJECT: "", EXPIRES: ""}


def right(world: World) -> Answers:
    return {Prompt.ASK_CUSTOMER_NUMBER: [f"{ANNA}#"], Prompt.ASK_PIN: [RIGHT_PIN], Prompt.ASK_CODE: [world.texts.code]}


def assert_verified(world: World, line: FakeLine) -> None:
    assert line.variables[STATUS] == "verified"
    assert line.said[-1] is Prompt.VERIFIED
    assert line.handed_back
    assert [name for name, _ in line.events] == ["CallerAuthenticated"]
    assert world.outcomes == ["verified"]


def assert_unverified(world: World, line: FakeLine, status: str, *sentence: Prompt) -> None:
    assert line.variables == {STATUS: status, **UNVERIFIED}
    assert line.said[-len(sentence) :] == list(sentence)
    assert line.handed_back
    assert world.outcomes[-1] == status
    assert "live.place_mark" not in world.plot.names and world.live.marks == {}
    assert "CallerAuthenticated" not in [name for name, _ in line.events]
    assert line.display in (None, Personal(""))


# ---------------------------------------------------------------- found


def test_a_calling_number_finds_its_customer() -> None:
    world = World()
    line = world.call(answers={Prompt.ASK_PIN: [RIGHT_PIN], Prompt.ASK_CODE: [world.texts.code]})
    assert_verified(world, line)
    assert line.heard == [
        (Prompt.WELCOME, Prompt.ASK_PIN, Prompt.OTHER_CUSTOMER),
        (Prompt.TEXT_COMING, Prompt.ASK_CODE),
        (Prompt.VERIFIED,),
    ]


def test_what_a_call_is_in_can_be_seen_while_it_runs() -> None:
    world = World()
    line = world.line(answers={Prompt.ASK_PIN: [RIGHT_PIN], Prompt.ASK_CODE: [world.texts.code]})
    seen: list[str] = []

    async def watched() -> None:
        session = Session(world.house(), line, world.logger)
        for nth in range(1, 200):
            world.plot.on("", lambda: seen.append(session.phase), nth=nth)
        await session.run()

    world.play(watched)
    assert_verified(world, line)
    assert list(dict.fromkeys(seen)) == ["answer", "find", "pin", "sms_code", "mark", "hand_over", "dialplan"]
    assert set(seen) <= set(PHASES)


@pytest.mark.parametrize("number", [None, "+46700000000"])
def test_a_caller_whom_no_number_finds_keys_the_customer_number(number: str | None) -> None:
    world = World()
    line = world.call(number=number, answers=right(world))
    assert_verified(world, line)
    assert line.heard[:2] == [(Prompt.WELCOME, Prompt.ASK_CUSTOMER_NUMBER), (Prompt.ASK_PIN,)]
    assert line.variables[SUBJECT] == "ref-anna"


def test_a_number_of_two_customers_finds_neither() -> None:
    world = World()
    world.customers.add("300400", world.anna, ANNA_PHONE)
    line = world.call(answers=right(world))
    assert line.heard[0] == (Prompt.WELCOME, Prompt.ASK_CUSTOMER_NUMBER)
    assert_verified(world, line)


def test_a_caller_who_keys_no_customer_number_is_sent_on() -> None:
    world = World()
    line = world.call(number=None)
    assert_unverified(world, line, "timeout", Prompt.TIMEOUT)
    assert line.heard[:-1] == [
        (Prompt.WELCOME, Prompt.ASK_CUSTOMER_NUMBER),
        (Prompt.NOTHING_KEYED, Prompt.ASK_CUSTOMER_NUMBER),
        (Prompt.NOTHING_KEYED, Prompt.ASK_CUSTOMER_NUMBER),
    ]
    assert world.trail.rows[0].subject == ""


def test_keys_ahead_of_every_prompt_count() -> None:
    world = World()
    answers = {
        Prompt.ASK_CUSTOMER_NUMBER: [Keys(f"{ANNA}#", after=0.1, ahead=True)],
        Prompt.ASK_PIN: [Keys(RIGHT_PIN, after=0.1, ahead=True)],
        Prompt.ASK_CODE: [Keys(world.texts.code, after=0.1, ahead=True)],
    }
    line = world.call(number=None, answers=answers)
    assert_verified(world, line)


def test_keys_ahead_of_the_question_itself_count() -> None:
    world = World()
    keys = Keys(f"{ANNA}#{RIGHT_PIN}", after=0.1, ahead=True)
    assert_verified(
        world,
        world.call("pin", number=None, answers={Prompt.ASK_CUSTOMER_NUMBER: [keys]}),
    )


# ---------------------------------------------------------------- verified


def test_a_place_in_the_queue_is_announced_with_the_rest() -> None:
    """In one request: it costs no time on the call's way. What AMI is told stays as it is."""
    world = World(policies={"main": {"steps": ["pin", "sms_code"], "level": 2, "queue_priority": 7}})
    announced: list[str] = []
    world.plot.on("line.announce", lambda: announced.append(line.variables.get(PRIORITY, "")), behind=True)
    line = world.line(answers=right(world))
    world.run(line)
    assert announced == ["7"]
    [(_, told)] = line.events
    assert {**told, PRIORITY: "7"} == line.variables


def test_what_a_verified_call_leaves() -> None:
    world = World()
    line = world.call(answers=right(world), stays=100.0)
    expires = int(line.variables[EXPIRES])
    assert line.variables == {
        STATUS: "verified", LEVEL: "2", METHODS: "pin,sms_code", SUBJECT: "ref-anna", EXPIRES: str(expires),
    }  # fmt: skip
    assert 30 * 60 - 200 < expires - (EPOCH + world.now) < 30 * 60
    assert line.display == Personal("✔ Anna A.")
    assert line.events == [("CallerAuthenticated", line.variables)]
    [row] = world.trail.rows
    assert (row.actor, row.action, row.outcome, row.call, row.subject) == (
        "caller", "verify", "verified", "channel-1", "ref-anna",
    )  # fmt: skip
    assert row.detail == {
        "node": "node", "policy": "main", "level": "2", "number": "+46…01", "phase": "mark", "wrong": "0",
        "steps": "pin:passed,sms_code:passed", "round": "first", "lock": "",
    }  # fmt: skip


def test_the_audit_comes_before_the_mark_and_the_mark_before_its_announcement() -> None:
    world = World()
    world.call(answers=right(world))
    order = ["trail.append", "live.place_mark", "line.announce", "line.event", "line.hand_back"]
    assert [name for name in world.plot.names if name in order] == order


def test_the_mark_stands_while_the_caller_is_in_the_dialplan_and_no_longer() -> None:
    world = World()
    line = world.line(answers=right(world))
    seen: list[Any] = []
    world.plot.on("line.ended", partial(_copy_marks, world, seen), delay=299.0)
    world.run(line)
    [mark] = seen[0].values()
    assert (mark.node, mark.channel, mark.subject, mark.level) == ("node", "channel-1", "ref-anna", 2)
    assert world.live.marks == {}
    assert world.live.records == {}


def test_two_calls_never_share_a_nonce() -> None:
    nonces = set()
    for _ in range(3):
        world = World()
        line = world.line("pin", answers=right(world))
        seen: list[Any] = []
        world.plot.on("line.ended", partial(_copy_marks, world, seen))
        world.run(line)
        nonces.add(seen[0]["node", "channel-1"].nonce)
    assert len(nonces) == 3


def _copy_marks(world: World, seen: list[Any]) -> None:
    seen.append(dict(world.live.marks))


def test_a_verified_caller_is_forgiven_earlier_failures() -> None:
    world = World()
    world.call(answers={Prompt.ASK_PIN: [WRONG_PIN] * 3})
    assert max(world.live.failures.values()) == 3
    world.now += 60
    world.call(answers=right(world))
    assert not {
        scope: n for scope, n in world.live.failures.items() if n and scope[0] in (Scope.CUSTOMER, Scope.NUMBER)
    }


def test_a_customer_without_a_name_still_shows_the_sign() -> None:
    world = World()
    world.change_anna(name=None)
    assert world.call(answers=right(world)).display == Personal("✔")


# ---------------------------------------------------------------- refused


def test_a_wrong_pin_three_times() -> None:
    world = World()
    line = world.call(answers={Prompt.ASK_PIN: [WRONG_PIN] * 3})
    assert_unverified(world, line, "refused", Prompt.REFUSED)
    assert line.heard[:-1] == [
        (Prompt.WELCOME, Prompt.ASK_PIN, Prompt.OTHER_CUSTOMER),
        *[(Prompt.WRONG, Prompt.ASK_PIN)] * 2,
    ]
    assert world.texts.sent == [], "a text went out although the step before it failed"
    assert world.live.failures[Scope.CALL, "node:channel-1"] == 3
    assert world.trail.rows[0].detail == {
        "node": "node", "policy": "main", "level": "0", "number": "+46…01", "phase": "send_on", "wrong": "3",
        "steps": "pin:wrong", "round": "first", "lock": "",
    }  # fmt: skip


def test_an_unknown_policy_verifies_nobody() -> None:
    world = World()
    line = world.call("none", answers=right(world))
    assert_unverified(world, line, "unavailable", Prompt.UNAVAILABLE)
    [logged] = world.logged("policy.unknown")
    assert logged["cure"] == "write [policies.none] into tillit.toml"
    assert not [name for name in world.plot.names if name.startswith("customers.")]


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


OWN = {
    "turned": {"steps": ["sms_code", "pin"], "level": 2, "tries": 1, "code_minutes": 1},
    "generous": {"steps": ["pin", "sms_code"], "level": 2, "tries": 5, "code_minutes": 10},
    "more": {"steps": ["pin", "sms_code"], "level": 2, "tries": 1, "code_minutes": 1},
}


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


@pytest.mark.parametrize("fields", [{"pin": None}, {"mobile": None}])
def test_a_customer_without_what_a_step_needs_is_refused_like_any_other(fields: dict[str, None]) -> None:
    world = World()
    world.change_anna(**fields)
    answers = {Prompt.ASK_PIN: [RIGHT_PIN] * 3, Prompt.ASK_CODE: ["123456"] * 3}
    line = world.call(answers=answers)
    assert_unverified(world, line, "refused", Prompt.REFUSED)
    assert world.texts.sent == []


def test_a_pin_of_another_customer_is_wrong() -> None:
    world = World()
    world.customers.add("300400", world.anna, "+46701111111")
    world.change_anna(pin=FakePins.record("2580"))
    line = world.call("pin", number="+46701111111", answers={Prompt.ASK_PIN: ["2580#"] * 3})
    assert_unverified(world, line, "refused", Prompt.REFUSED)


# ---------------------------------------------------------------- locked


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


# ---------------------------------------------------------------- languages, policies


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
    assert world.live.failures[Scope.CUSTOMER, index(ANNA)] == 0


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


# ---------------------------------------------------------------- events lost, worker gone


def test_an_interrupted_entry_begins_anew_with_an_apology_and_costs_nothing() -> None:
    world = World()
    answers = {Prompt.ASK_PIN: ["47~", RIGHT_PIN], Prompt.ASK_CODE: ["12~", world.texts.code]}
    line = world.call(answers=answers)
    assert_verified(world, line)
    assert line.said == [
        Prompt.WELCOME, Prompt.ASK_PIN, Prompt.OTHER_CUSTOMER, Prompt.LOST_KEYS, Prompt.ASK_PIN,
        Prompt.TEXT_COMING, Prompt.ASK_CODE, Prompt.LOST_KEYS, Prompt.ASK_CODE,
        Prompt.VERIFIED,
    ]  # fmt: skip
    assert len(world.texts.sent) == 1
    assert not any(world.live.failures.values())


def test_events_lost_behind_the_last_sentence_keep_nobody() -> None:
    world = World()
    answers = {**right(world), Prompt.VERIFIED: [Keys("~", after=0.5, ahead=True)]}
    assert_verified(world, world.call(answers=answers))
    world = World()
    answers = {Prompt.REFUSED: [Keys("~", after=0.5, ahead=True)], Prompt.ASK_PIN: [WRONG_PIN] * 3}
    assert_unverified(world, world.call(answers=answers), "refused", Prompt.REFUSED)


def test_a_worker_that_stops_sends_the_caller_on_unverified() -> None:
    world = World()
    line = world.line(answers=right(world))
    world.plot.on("line.receive", lambda: line.evict(Unavailable("the worker is stopping")), nth=3)
    world.run(line)
    assert_unverified(world, line, "unavailable", Prompt.UNAVAILABLE)
    assert world.outcomes == ["unavailable"]


def test_a_worker_that_stops_after_the_mark_takes_it_back() -> None:
    world = World()
    line = world.line(answers=right(world))
    world.plot.on("line.event", lambda: line.evict(Unavailable("the worker is stopping")))
    world.run(line)
    assert line.variables == {STATUS: "unavailable", **UNVERIFIED}
    assert world.live.marks == {} and line.handed_back
    assert world.outcomes == ["verified", "unavailable"]


def test_a_worker_that_stops_leaves_a_call_in_the_dialplan_as_it_is() -> None:
    world = World()
    line = world.line(answers=right(world))
    world.plot.on("line.ended", lambda: line.evict(Unavailable("the worker is stopping")), delay=5.0)
    world.run(line)
    assert line.variables[STATUS] == "verified"
    assert world.live.marks, "the conversation goes on, and its mark with it"


def test_a_worker_that_was_replaced_lets_go_without_a_word() -> None:
    world = World()
    line = world.line(answers=right(world))
    world.plot.on("line.receive", lambda: line.evict(WorkerReplaced("tillit")), nth=3)
    world.run(line)
    assert world.outcomes == [] and line.variables == {} and not line.handed_back
    assert world.plot.names[-1] == "line.receive"
    assert world.logged("call.left", phase="pin")


# ---------------------------------------------------------------- nothing shown


def test_nothing_keyed_or_sent_is_in_the_log_or_the_trail() -> None:
    world = World()
    answers = {
        Prompt.ASK_CUSTOMER_NUMBER: [f"{ANNA}#"],
        Prompt.ASK_PIN: ["8642#", RIGHT_PIN],
        Prompt.ASK_CODE: ["975313", world.texts.code],
    }
    line = world.call(number=None, answers=answers)
    assert_verified(world, line)
    told = repr(world.log) + repr(world.trail.rows) + repr(line.events) + repr(line.variables)
    for canary in (ANNA, ANNA_PIN, "8642", "975313", world.texts.code(), ANNA_PHONE, "Andersson"):
        assert canary not in told, "a value that must not be shown"
    assert world.logged("entry.key"), "the log that was looked through is the one for debugging"


def _earlier(world: World, channel: str) -> Mark:
    """A mark of this channel, placed by a worker that has died since."""
    mark = Mark("node", channel, "ref-anna", 2, ("pin", "sms_code"), "main", 2**31, "nonce")
    world.live.marks[mark.node, mark.channel] = mark
    return mark


def test_a_mark_of_an_earlier_round_is_void_when_this_one_comes_to_nothing() -> None:
    world = World()
    mark = _earlier(world, "again")
    line = world.call(answers={Prompt.ASK_PIN: [WRONG_PIN] * 3}, channel="again")
    assert line.caller.node == mark.node
    assert line.variables[STATUS] == "refused"
    assert world.live.marks == {}


def test_nobody_is_asked_while_a_mark_of_an_earlier_round_cannot_be_dropped() -> None:
    world = World()
    _earlier(world, "again")
    world.plot.fail("live.begin", StoreError("Redis: ConnectionError"))
    line = world.call(answers={Prompt.ASK_PIN: [RIGHT_PIN]}, channel="again")
    assert line.variables[STATUS] == "unavailable"
    assert Prompt.ASK_PIN not in line.said
