"""A whole call: who is found, what is heard, and what stands on the channel in the end."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ivr.call.mark import EXPIRES, LEVEL, METHODS, PRIORITY, STATUS, SUBJECT, Mark
from ivr.call.outcome import Scope
from ivr.call.ports import ATTESTATIONS
from ivr.call.session import Session
from ivr.errors import StoreError, Unavailable, WorkerReplaced
from ivr.metrics.meters import PHASES
from ivr.prompts import Prompt
from ivr.secret import Personal
from tests.unit.call_kit import RIGHT_PIN, UNVERIFIED, WRONG_PIN, assert_unverified, assert_verified, right
from tests.unit.fakes import ANNA, ANNA_PHONE, ANNA_PIN, EPOCH, FakePins, Keys, World

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


@pytest.mark.parametrize("attestation", ATTESTATIONS)
def test_what_the_carrier_says_of_the_number_changes_nothing(attestation: str) -> None:
    """No level verifies anybody, and no forged signature turns anybody away: it is written down, and that is all."""
    for pin, status in ((RIGHT_PIN, "verified"), (WRONG_PIN, "refused")):
        lines = []
        for told in ("", attestation):
            world = World()
            answers = {Prompt.ASK_PIN: [pin] * 3, Prompt.ASK_CODE: [world.texts.code]}
            line = world.call(answers=answers, channel="same", attestation=told)
            lines.append((line.heard, line.events, line.variables, line.display))
            detail = world.trail.rows[0].detail
            assert detail is not None and world.outcomes[0] == status
            assert detail.get("attestation", "") == told
            (started,) = [line for line in world.log if line["event"] == "call.started"]
            assert started["attestation"] == (told or None)
        assert lines[0] == lines[1]


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


NORTH = {"policies": {"north": {"steps": ["pin", "sms_code"], "level": 2, "tenant": "north"}}}


def test_a_customer_of_another_tenant_is_nobody_on_this_line() -> None:
    world = World(**NORTH)
    # neither the calling number nor the customer number, keyed with the right PIN, finds Anna of main
    line = world.call("north", answers={**right(world), Prompt.ASK_PIN: [RIGHT_PIN] * 3})
    assert_unverified(world, line, "refused", Prompt.REFUSED)
    assert line.heard[:2] == [(Prompt.WELCOME, Prompt.ASK_CUSTOMER_NUMBER), (Prompt.ASK_PIN,)]
    assert world.trail.rows[-1].subject == "" and world.live.failures[Scope.CUSTOMER, world.anna_key] == 0


def test_of_two_customers_with_one_number_the_policy_says_which() -> None:
    world = World(**NORTH)
    nora = replace(world.anna, ref="ref-nora", pin=FakePins.record("8642"))
    world.customers.add(ANNA, nora, ANNA_PHONE, tenant="north")
    code = {Prompt.ASK_CODE: [world.texts.code]}
    line = world.call("north", answers={Prompt.ASK_PIN: [WRONG_PIN, "8642#"], **code})
    assert line.variables[SUBJECT] == "ref-nora"
    # whoever knows the PIN of the one is not the other
    line = world.call("north", answers={Prompt.ASK_PIN: [RIGHT_PIN] * 3, **code})
    assert line.variables[STATUS] == "refused"
    assert world.live.failures[Scope.CUSTOMER, world.anna_key] == 0
    line = world.call("main", answers={Prompt.ASK_PIN: [RIGHT_PIN], **code})
    assert line.variables[SUBJECT] == "ref-anna"


@pytest.mark.parametrize(("policy", "tenant"), [("main", "main"), ("north", "north"), ("nowhere", None)])
def test_the_row_says_whose_line_it_was_whoever_called(policy: str, tenant: str | None) -> None:
    world = World(**NORTH)
    world.call(policy, number=None)
    for row in world.trail.rows:
        assert row.detail is not None and row.detail.get("tenant") == tenant and row.subject == ""
    assert [row.action for row in world.trail.rows] == ["verify"]


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
        "steps": "pin:passed,sms_code:passed", "round": "first", "lock": "", "tenant": "main",
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
        "steps": "pin:wrong", "round": "first", "lock": "", "tenant": "main",
    }  # fmt: skip


def test_an_unknown_policy_verifies_nobody() -> None:
    world = World()
    line = world.call("none", answers=right(world))
    assert_unverified(world, line, "unavailable", Prompt.UNAVAILABLE)
    [logged] = world.logged("policy.unknown")
    assert logged["cure"] == "write [policies.none] into tillit.toml"
    assert not [name for name in world.plot.names if name.startswith("customers.")]


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
