"""Hang-up, a worker that stops, a part that fails: at every single operation of a call, one after another.

Whatever happens where: nobody is marked who should not be, no phone rings on, the audit trail knows how it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from ivr.call.mark import STATUS
from ivr.call.ports import Entry
from ivr.call.session import Session
from ivr.errors import AriError, HungUp, StoreError, Unavailable, WorkerReplaced
from ivr.prompts import Prompt
from tests.unit.fakes import ANNA, ANNA_PIN, BUSY, NOBODY, UNKNOWN, Agent, Answers, FakeLine, Keys, World

Made = tuple[World, FakeLine]

RIGHT_PIN = f"{ANNA_PIN}#"
AGENTS = ["PJSIP/anna", "PJSIP/bo", "PJSIP/cleo"]
ALL = {"bridge": {"steps": ["pin"], "level": 1, "hand_over": "bridge", "ring": "all", "agents": AGENTS}}


def verified() -> Made:
    world = World()
    answers: Answers = {
        Prompt.ASK_CUSTOMER_NUMBER: [f"{ANNA}#"],
        Prompt.ASK_PIN: [RIGHT_PIN],
        Prompt.ASK_CODE: [world.texts.code],
    }
    return world, world.line(number=None, answers=answers)


def verified_with_trouble() -> Made:
    """Slips, a wrong PIN, lost events, a text that has to wait, another text."""
    world = World(limits={"call": 20})
    world.call("sms", answers={Prompt.ASK_CODE: ["!"]})
    answers: Answers = {
        Prompt.ASK_PIN: ["12#", "9999#", "4~", RIGHT_PIN],
        Prompt.ASK_CODE: [Keys("**", after=29.0)] * 3 + [world.texts.code],
    }
    line = world.line(answers=answers)
    world.trail.rows.clear()
    world.plot.reset()
    return world, line


def refused() -> Made:
    world = World()
    answers: Answers = {Prompt.ASK_CUSTOMER_NUMBER: [f"{UNKNOWN}#"], Prompt.ASK_PIN: ["9999#"] * 3}
    return world, world.line(number=None, answers=answers)


def refused_by_code() -> Made:
    world = World()
    answers: Answers = {Prompt.ASK_CUSTOMER_NUMBER: [f"{UNKNOWN}#"], Prompt.ASK_CODE: ["123456"] * 3}
    return world, world.line("sms", number=None, answers=answers)


def locked() -> Made:
    world = World(limits={"customer_in_a_row": 3})
    return world, world.line(answers={Prompt.ASK_PIN: ["9999#"] * 3})


def silent() -> Made:
    world = World()
    return world, world.line(number=None)


def in_turn() -> Made:
    world = World()
    agents = dict(zip(AGENTS, (BUSY, Agent(leaves=True), Agent(talks=20.0)), strict=True))
    return world, world.line("bridge", answers={Prompt.ASK_PIN: [RIGHT_PIN]}, agents=agents)


def all_at_once() -> Made:
    world = World(policies=ALL)
    agents = dict(zip(AGENTS, (BUSY, Agent(answers=5.0, talks=20.0), NOBODY), strict=True))
    return world, world.line("bridge", answers={Prompt.ASK_PIN: [RIGHT_PIN]}, agents=agents)


def nobody_free() -> Made:
    world = World(policies=ALL)
    agents = dict.fromkeys(AGENTS, BUSY)
    return world, world.line("bridge", answers={Prompt.ASK_PIN: [RIGHT_PIN]}, agents=agents)


CALLS = [verified, verified_with_trouble, refused, refused_by_code, locked, silent, in_turn, all_at_once, nobody_free]
every_call = pytest.mark.parametrize("make", CALLS, ids=lambda make: make.__name__)

SENTENCES = {
    Prompt.REFUSED, Prompt.TIMEOUT, Prompt.UNAVAILABLE, Prompt.LOCKED, Prompt.LOCKED_UNTIL_CONTACT, Prompt.VERIFIED,
    Prompt.NO_AGENT, Prompt.IN_15_MINUTES,
}  # fmt: skip


def operations(make: Callable[[], Made]) -> list[str]:
    """The operations of this call when nothing happens to it."""
    world, line = make()
    world.run(line)
    return list(world.plot.names)


def assert_nobody_is_left(world: World, line: FakeLine, when: str) -> None:
    assert [leg.endpoint for leg in line.legs if leg.alive] == [], f"a phone was left ringing or talking: {when}"
    assert line.bridged is None, when
    assert world.live.marks == {}, f"a mark was left: {when}"
    assert world.logged("call.ended"), when


def handed_back_as(world: World, line: FakeLine) -> list[tuple[str, bool]]:
    """Filled when the dialplan takes over: the status that it reads, and whether the mark stands."""
    seen: list[tuple[str, bool]] = []
    key = (line.caller.node, line.caller.channel)
    for nth in (1, 2):
        world.plot.on(
            "line.hand_back", lambda: seen.append((line.variables.get(STATUS, ""), key in world.live.marks)), nth=nth, behind=True
        )  # fmt: skip
    return seen


# ---------------------------------------------------------------- hang-up


def hung_up_at_each(make: Callable[[], Made]) -> Iterator[tuple[World, FakeLine, list[str], str]]:
    names = operations(make)
    for nth, name in enumerate(names, 1):
        # behind one key, or before the next: it is the same
        for behind in (False, True) if name != "line.receive" else (False,):
            world, line = make()
            world.plot.on("", line.caller_hangs_up, nth=nth, behind=behind)
            world.run(line)
            yield world, line, names[: nth if behind else nth - 1], f"{'behind' if behind else 'at'} {nth} {name}"


@every_call
def test_a_hang_up_at_any_moment_leaves_one_row_no_mark_and_no_phone(make: Callable[[], Made]) -> None:
    for world, line, before, when in hung_up_at_each(make):
        assert_nobody_is_left(world, line, when)
        assert len(world.outcomes) == 1, f"{world.outcomes} {when}"
        # from the note on it is decided that the caller is refused, and another worker may know
        decided = {"trail.append", "live.note"}
        if decided.isdisjoint(before) and when.split()[-1] not in decided:
            assert world.outcomes == ["abandoned"], when
        if "line.ring" in before:
            assert world.outcomes == ["verified"], when
        assert not world.logged("call.stuck"), when


@pytest.mark.parametrize("make", [verified, in_turn], ids=lambda make: make.__name__)
def test_a_hang_up_while_the_audit_is_down_leaves_no_row_no_mark_and_no_phone(make: Callable[[], Made]) -> None:
    names = operations(make)
    for nth, name in enumerate(names, 1):
        world, line = make()
        world.plot.fail("trail.append", StoreError("audit: the database is away"))
        world.plot.on("", line.caller_hangs_up, nth=nth)
        world.run(line)
        assert world.outcomes == []
        assert_nobody_is_left(world, line, f"at {nth} {name}")
        assert "live.place_mark" not in world.plot.names


def test_what_redis_is_asked_when_a_call_is_handed_back_is_not_cut_short_by_a_hang_up() -> None:
    """Else each caller whom the dialplan hangs up on at once would cost a connection."""
    world, line = verified()
    answered: list[bool] = []
    world.plot.on("live.end", line.caller_hangs_up)
    world.plot.on("live.end", lambda: answered.append(True), behind=True)
    world.run(line)
    assert answered
    assert_nobody_is_left(world, line, "at live.end")


def test_a_hang_up_before_the_session_began_is_one_row() -> None:
    world = World()
    line = world.line()
    line.evict(HungUp("channel-1"))
    world.run(line)
    assert world.outcomes == ["abandoned"]
    assert world.trail.rows[0].detail is not None
    assert world.trail.rows[0].detail["phase"] == "answer"
    assert line.heard == []


def test_a_hang_up_in_a_step_says_in_the_row_how_far_it_came() -> None:
    world = World()
    world.call(answers={Prompt.ASK_PIN: [RIGHT_PIN], Prompt.ASK_CODE: ["12!"]})
    [row] = world.trail.rows
    assert (row.outcome, row.subject) == ("abandoned", "ref-anna")
    assert row.detail is not None
    assert (row.detail["phase"], row.detail["steps"], row.detail["level"]) == ("sms_code", "pin:passed", "0")


def test_a_hang_up_within_the_wait_for_a_text_is_a_hang_up_and_no_fault() -> None:
    world = World()
    world.call("sms", answers={Prompt.ASK_CODE: ["!"]})
    world.call("sms", answers={Prompt.TEXT_SOON: [Keys("!", after=5.0)]})
    assert world.outcomes == ["abandoned", "abandoned"]


# ---------------------------------------------------------------- the worker goes


@every_call
def test_a_worker_that_stops_at_any_moment_sends_the_caller_on_without_a_mark(make: Callable[[], Made]) -> None:
    names = operations(make)
    # what comes behind a hand-over is the dialplan's or the conversation's
    end = names.index("line.hand_back") if "line.hand_back" in names else names.index("line.join")
    for nth, name in enumerate(names[:end], 1):
        when = f"at {nth} {name}"
        world, line = make()
        seen = handed_back_as(world, line)
        world.plot.on("", partial(line.evict, Unavailable("the worker is stopping")), nth=nth)
        world.run(line)
        assert_nobody_is_left(world, line, when)
        [(status, marked)] = seen
        assert status != "verified" and not marked, when
        assert line.said[-1] in SENTENCES, when


def test_a_worker_whose_time_is_over_in_mid_sentence_hands_the_call_back() -> None:
    world, line = verified()

    async def cut_short() -> None:
        session = asyncio.create_task(Session(world.house(), line, world.logger).run())
        world.plot.on("line.say", session.cancel, nth=2, delay=0.5)
        await asyncio.wait([session])
        assert session.cancelled()

    world.plot.on("line.receive", partial(line.evict, Unavailable("the worker is stopping")), nth=3)
    world.play(cut_short)
    assert line.said[-1] is Prompt.UNAVAILABLE
    assert line.handed_back and line.variables[STATUS] == "unavailable"
    assert world.outcomes == ["unavailable"] and world.live.marks == {}


@pytest.mark.parametrize("error", [HungUp("channel-1"), AriError("POST continue (channel-1)", 500)])
def test_a_worker_whose_time_is_over_ends_a_call_that_cannot_be_handed_back(error: Exception) -> None:
    """Its task is cancelled, and does not fail: that would be logged as a fault of the program."""
    world = World()
    line = world.line(answers={})

    async def work() -> None:
        session = asyncio.create_task(Session(world.house(), line, world.logger).run())
        world.plot.on("line.say", session.cancel, nth=2, delay=0.5)
        world.plot.fail("line.hand_back", error)
        await asyncio.wait([session])
        assert session.cancelled()

    world.plot.on("line.receive", partial(line.evict, Unavailable("the worker is stopping")), nth=3)
    world.play(work)
    assert len(world.logged("call.unavailable", phase="hand_back")) == isinstance(error, AriError)


@pytest.mark.parametrize("make", [verified, refused], ids=lambda make: make.__name__)
def test_a_caller_who_hangs_up_while_the_worker_stops_is_one_who_hung_up(make: Callable[[], Made]) -> None:
    def stopped() -> Made:
        world, line = make()
        world.plot.on("line.receive", partial(line.evict, Unavailable("the worker is stopping")), nth=9)
        return world, line

    names = operations(stopped)
    assert names[-2:] == ["line.hand_back", "live.end"]
    for nth in range(names.index("trail.append") + 1, len(names)):
        world, line = stopped()
        world.plot.on("", line.caller_hangs_up, nth=nth)
        world.run(line)
        assert_nobody_is_left(world, line, f"at {nth} {names[nth - 1]}")
        assert len(world.outcomes) == 1
        assert world.logged("call.hung_up") and not world.logged("call.stuck")


@pytest.mark.parametrize("make", [verified, refused, in_turn], ids=lambda make: make.__name__)
def test_a_worker_that_was_replaced_says_nothing_more(make: Callable[[], Made]) -> None:
    told = {"line.announce", "line.event", "line.hand_back", "line.hang_up", "line.ring", "trail.append"}
    names = operations(make)
    end = names.index("line.hand_back") if "line.hand_back" in names else names.index("line.join")
    for nth, name in enumerate(names[:end], 1):
        world, line = make()
        world.plot.on("", partial(line.evict, WorkerReplaced("tillit")), nth=nth)
        world.run(line)
        after = set(world.plot.names[nth:])
        assert after.isdisjoint(told), f"at {nth} {name}: {after}"


# ---------------------------------------------------------------- a part fails


def fault_of(name: str) -> Exception:
    if name.startswith(("line.", "leg.")):
        return AriError(name, 0)
    return StoreError(f"{name}: ConnectionError")


@every_call
def test_whatever_fails_once_marks_nobody_and_keeps_nobody(make: Callable[[], Made]) -> None:
    names = operations(make)
    for nth, name in enumerate(names, 1):
        if name in ("line.ended", "live.drop_mark"):
            continue  # there the mark runs out by itself
        when = f"{nth} {name} fails"
        world, line = make()
        seen = handed_back_as(world, line)
        world.plot.fail("", fault_of(name), nth=nth)
        world.run(line)
        assert_nobody_is_left(world, line, when)
        for status, marked in seen:
            # a status that could not be written stays empty, and an empty one is unverified too
            assert (status == "verified") == marked, when
        assert line.handed_back or line.gone.is_set(), when
        assert world.outcomes or name == "trail.append", when


STORES = [
    "customers.by_phone", "customers.by_number", "live.standing", "live.attempt", "live.give_back", "live.begin",
    "live.open_challenge", "live.try_challenge", "live.place_mark", "pins.matches", "trail.append", "texts.send",
    "line.announce", "line.event",
]  # fmt: skip


@pytest.mark.parametrize("name", STORES)
def test_a_part_that_stays_away_is_said_in_a_sentence_and_verifies_nobody(name: str) -> None:
    world = World()
    answers: Answers = {
        Prompt.ASK_CUSTOMER_NUMBER: [f"{ANNA}#"],
        Prompt.ASK_PIN: [RIGHT_PIN],
        Prompt.ASK_CODE: [world.texts.code] if name != "texts.send" else [],
    }
    line = world.line(answers=answers, number="+46700000000")
    seen = handed_back_as(world, line)
    world.plot.fail(name, fault_of(name))
    world.run(line)
    assert line.said[-1] is Prompt.UNAVAILABLE
    [(status, marked)] = seen
    assert not marked and status == ("" if name == "line.announce" else "unavailable")
    assert world.logged("call.unavailable") or world.logged("text.failed")
    assert world.outcomes == {
        "trail.append": [],
        "live.place_mark": ["verified", "unavailable"],
        "line.announce": ["verified", "unavailable"],
        "line.event": ["verified", "unavailable"],
    }.get(name, ["unavailable"])


def test_without_an_audit_row_there_is_no_mark() -> None:
    world, line = verified()
    world.plot.fail("trail.append", StoreError("audit: the database is away"))
    world.run(line)
    assert "live.place_mark" not in world.plot.names
    assert line.variables[STATUS] == "unavailable"


@pytest.mark.parametrize("make", [verified, refused], ids=lambda make: make.__name__)
def test_a_caller_who_hangs_up_while_the_row_is_being_written_hides_no_failure(make: Callable[[], Made]) -> None:
    world, line = make()
    world.plot.on("trail.append", line.caller_hangs_up)
    world.plot.fail("trail.append", StoreError("database: SQLITE_BUSY"))
    world.run(line)
    assert world.logged("audit.owed", error="database: SQLITE_BUSY")
    assert "live.place_mark" not in world.plot.names and not world.live.marks


def test_without_a_mark_there_are_no_variables_and_no_bridge() -> None:
    world, line = in_turn()
    told: list[str] = []
    world.plot.on("line.announce", lambda: told.append(line.variables.get(STATUS, "")), behind=True)
    world.plot.fail("live.place_mark", StoreError("Redis: the mark is not there after it was placed"))
    world.run(line)
    assert told == ["unavailable"], "the only announcement is that nobody is verified"
    assert line.legs == [] and not line.display


@pytest.mark.parametrize("name", ["line.announce", "line.event"])
def test_a_mark_that_cannot_be_announced_is_dropped(name: str) -> None:
    world, line = in_turn()
    world.plot.fail(name, AriError(name, 500), nth=1)
    world.run(line)
    assert line.legs == []
    assert world.plot.names.index("live.drop_mark") < world.plot.names.index("line.hand_back")
    assert line.variables[STATUS] == "unavailable"


@pytest.mark.parametrize("at", ["trail.append", "live.place_mark", "line.announce", "line.ring"])
def test_a_verified_caller_whom_the_watchdog_takes_before_the_hand_over_is_told_of_in_a_row_of_its_own(at: str) -> None:
    """The trail says `verified`, and the dialplan goes on without a mark; not so where the caller has hung up."""
    for happens, told in (("take_back", ["unavailable"]), ("caller_hangs_up", [])):
        world, line = in_turn()
        world.plot.on(at, getattr(line, happens))
        world.run(line)
        rows = [(row.action, row.outcome) for row in world.trail.rows]
        assert rows == [("verify", "verified"), *(("mark.void", outcome) for outcome in told)]
        assert world.live.marks == {} and world.live.records == {}


def test_where_asterisk_does_not_say_whether_it_took_a_call_back_the_record_stays_for_who_looks_again() -> None:
    world, line = in_turn()
    world.plot.on("trail.append", line.take_back)
    world.plot.fail("line.went_on", AriError("GET /channels/channel-1", 0))
    world.run(line)
    assert world.outcomes == ["verified"] and world.live.records and world.live.marks == {}


@pytest.mark.parametrize("happens", ["take_back", "caller_hangs_up"])
def test_a_row_verified_that_comes_late_is_void_where_the_watchdog_took_the_call_meanwhile(happens: str) -> None:
    """The disk hung: the trail said that it does not take the row, and took it in the end."""
    world, line = in_turn()

    def written() -> None:
        once = world.live.records[line.caller.node, line.caller.channel].round
        world.trail.rows.append(Entry("caller", "verify", "verified", call=line.caller.channel, once=once))
        getattr(line, happens)()

    async def whole() -> None:
        world.plot.on("trail.append", written)
        world.plot.fail("trail.append", StoreError("audit: the database does not take the row in time"), nth=1)
        async with world.arrears:
            await Session(world.house(), line, world.logger).run()
            await asyncio.sleep(3)

    world.play(whole)
    void = ["mark.void"] if happens == "take_back" else []
    assert [row.action for row in world.trail.rows] == ["verify", *void]
    assert world.live.records == {} and world.live.marks == {}


def test_that_a_mark_is_void_is_told_of_later_where_it_cannot_be_told_of_now() -> None:
    world, line = in_turn()

    async def whole() -> None:
        world.plot.on("trail.append", line.take_back)
        world.plot.fail("trail.append", StoreError("database: away"), nth=2)
        async with world.arrears:
            await Session(world.house(), line, world.logger).run()
            assert world.live.records and world.logged("audit.owed")
            await asyncio.sleep(3)

    world.play(whole)
    assert [row.action for row in world.trail.rows] == ["verify", "mark.void"] and world.live.records == {}


def test_a_refusal_is_announced_and_said_although_the_audit_is_down() -> None:
    world, line = refused()
    world.plot.fail("trail.append", StoreError("audit: the database is away"))
    world.run(line)
    assert line.variables[STATUS] == "refused"
    assert line.said[-1] is Prompt.REFUSED
    assert line.handed_back


def test_a_refusal_that_can_be_neither_announced_nor_said_still_hands_back() -> None:
    world, line = refused()
    world.plot.fail("line.announce", AriError("POST variables", 500))
    world.plot.fail("line.say", AriError("POST play", 500), nth=5)
    world.run(line)
    assert line.handed_back
    assert {entry["phase"] for entry in world.logged("call.unavailable")} == {"announce_refused", "explain"}


def test_a_call_that_cannot_be_handed_back_is_tried_again_and_then_left_to_the_watchdog() -> None:
    world, line = refused()
    world.plot.fail("line.hand_back", AriError("POST continue", 0))
    world.run(line)
    assert world.plot.names.count("line.hand_back") == 2
    assert world.logged("call.stuck")
    assert world.live.marks == {}


def test_a_verified_call_that_cannot_be_handed_back_loses_its_mark() -> None:
    world, line = verified()
    world.plot.fail("line.hand_back", AriError("POST continue", 0))
    world.run(line)
    assert world.live.marks == {}
    assert line.variables[STATUS] == "unavailable"
