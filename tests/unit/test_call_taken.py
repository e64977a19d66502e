"""A worker dies at every single operation of a call, and another one goes on with it from its record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from ivr.call.mark import STATUS
from ivr.call.outcome import Scope
from ivr.call.ports import Entry
from ivr.call.session import Session
from ivr.errors import HungUp, StoreError, Unavailable, WorkerReplaced
from ivr.prompts import Prompt
from tests.unit.fakes import ANNA, ANNA_PIN, UNKNOWN, Agent, Answers, FakeLine, World

Made = tuple[World, FakeLine]
RIGHT_PIN = f"{ANNA_PIN}#"


def code_of(world: World) -> Callable[[], str]:
    return lambda: world.texts.code() if world.texts.sent else ""


def verified() -> Made:
    world = World()
    answers: Answers = {
        Prompt.ASK_CUSTOMER_NUMBER: [f"{ANNA}#"] * 2,
        Prompt.ASK_PIN: ["9999#", RIGHT_PIN, RIGHT_PIN],
        Prompt.ASK_CODE: [code_of(world)] * 2,
    }
    return world, world.line(number=None, answers=answers)


def hinted() -> Made:
    world = World()
    world.change_anna(language="sv")
    return world, world.line("pin", answers={Prompt.ASK_PIN: [RIGHT_PIN] * 2})


def another() -> Made:
    """The number that calls is Anna's, the caller says to be somebody else, and is nobody."""
    world = World()
    answers: Answers = {
        Prompt.ASK_PIN: ["**", "9999#", "9999#", "9999#", "9999#"],
        Prompt.ASK_CUSTOMER_NUMBER: [f"{UNKNOWN}#"] * 2,
    }
    return world, world.line(answers=answers)


def refused() -> Made:
    world = World()
    return world, world.line(
        number=None, answers={Prompt.ASK_CUSTOMER_NUMBER: [f"{UNKNOWN}#"] * 2, Prompt.ASK_PIN: ["9999#"] * 6}
    )


def refused_by_code() -> Made:
    world = World()
    return world, world.line("sms", answers={Prompt.ASK_CODE: [world.texts.wrong] * 6})


def locked() -> Made:
    world = World(limits={"customer_in_a_row": 3})
    return world, world.line(answers={Prompt.ASK_PIN: ["9999#"] * 6})


def silent() -> Made:
    world = World()
    return world, world.line(number=None)


def bridged() -> Made:
    world = World()
    agents = {"PJSIP/anna": Agent(answers=2.0, talks=20.0), "PJSIP/bo": Agent(answers=2.0, talks=20.0)}
    return world, world.line("bridge", answers={Prompt.ASK_PIN: [RIGHT_PIN] * 2}, agents=agents)


CALLS = [verified, hinted, another, refused, refused_by_code, locked, silent, bridged]
every_call = pytest.mark.parametrize("make", CALLS, ids=lambda make: make.__name__)


def died_at(make: Callable[[], Made], nth: int, *, behind: bool) -> tuple[World, FakeLine, bool]:
    """The call, and whether another worker found something to go on with."""
    world, line = make()

    async def whole() -> bool:
        first = asyncio.create_task(Session(world.house(), line, world.logger).run())
        world.plot.on("", first.cancel, nth=nth, behind=behind)
        await asyncio.wait([first])
        # until the lease has lapsed; what the caller keys meanwhile is lost
        await asyncio.sleep(2.5)
        if (line.caller.node, line.caller.channel) not in world.live.records:
            return False
        line.passed_on()
        await Session(world.house(), line, world.logger, world.live.take_up(line)).run()
        return True

    return world, line, bool(world.play(whole))


def every_death(make: Callable[[], Made]) -> Iterator[tuple[World, FakeLine, list[str], str]]:
    world, line = make()
    world.run(line)
    names = list(world.plot.names)
    for nth, name in enumerate(names, 1):
        for behind in (False, True) if name != "line.receive" else (False,):
            world, line, taken = died_at(make, nth, behind=behind)
            if taken:
                yield world, line, names[:nth], f"{'behind' if behind else 'at'} {nth} {name}"


@every_call
def test_a_call_ends_as_it_would_have_and_is_told_of_once(make: Callable[[], Made]) -> None:
    world, line = make()
    world.run(line)
    [outcome], tries = world.outcomes, world.live.failures[Scope.CALL, "node:channel-1"]
    seen = 0
    for world, line, before, when in every_death(make):
        seen += 1
        unsent = "live.open_challenge" in before and not world.texts.sent and outcome == "verified"
        # the text that died with its worker is asked for with two stars, which this caller does not know
        expected = "timeout" if unsent else outcome
        at = when.split()[0]
        lost = (at, before[-1]) == ("behind", "live.try_challenge") or (
            at == "at" and before[-2:] == ["live.try_challenge", "live.standing"]
        )
        if make is refused_by_code and before.count("live.try_challenge") == 3 and lost:
            # not noted yet: the caller is asked once more, and no code is good any more
            expected = "timeout"
        assert world.outcomes == [expected], when
        assert world.live.failures[Scope.CALL, "node:channel-1"] <= tries + 1, f"tries began anew {when}"
        assert len(world.texts.sent) <= 1, when
        assert world.live.records == {}, when
        assert world.logged("call.taken_up"), when
        told = [name for name, _ in line.events if name == "CallerLockedOut"]
        assert len(told) <= (2 if when.endswith(("line.event", "live.note")) else 1), when
        if line.bridged is None and not line.joined:
            assert line.handed_back and line.variables[STATUS] == world.outcomes[0], when
        assert [leg for leg in line.legs if leg.alive] == [], when
        # of a call that was handed over already, the mark goes when it is swept
        assert not world.live.marks or "line.hand_back" in before, when
    assert seen > 5


@every_call
def test_a_caller_who_left_in_between_is_told_of_once(make: Callable[[], Made]) -> None:
    world, line = make()
    world.run(line)
    [outcome], names = world.outcomes, list(world.plot.names)
    for nth, name in enumerate(names, 1):
        world, line = make()

        async def whole(world: World = world, line: FakeLine = line, nth: int = nth) -> None:
            first = asyncio.create_task(Session(world.house(), line, world.logger).run())
            world.plot.on("", first.cancel, nth=nth)
            await asyncio.wait([first])
            await asyncio.sleep(2.5)
            line.caller_hangs_up()
            if (line.caller.node, line.caller.channel) in world.live.records:
                await Session(world.house(), line, world.logger, world.live.take_up(line)).run()

        world.play(whole)
        if "live.begin" in names[: nth - 1]:
            assert world.outcomes in (["abandoned"], [outcome]), f"{nth} {name}"
            assert world.live.records == {}, f"{nth} {name}"


def test_the_entry_begins_anew_with_an_apology_and_in_the_customers_language() -> None:
    receives = [nth for nth, name in enumerate(_names(verified), 1) if name == "line.receive"]
    _, line, _ = died_at(verified, receives[-2], behind=False)
    assert (Prompt.LOST_KEYS, Prompt.ASK_CODE) in line.heard
    assert line.said.count(Prompt.WELCOME) == 1 and line.said.count(Prompt.TEXT_COMING) == 1
    _, line, _ = died_at(hinted, _names(hinted).index("live.attempt") + 1, behind=False)
    assert (Prompt.LOST_KEYS, Prompt.ASK_PIN, Prompt.OTHER_CUSTOMER) in line.heard
    assert set(line.voices) == {"sv"}


def test_who_has_tried_is_not_offered_to_be_another() -> None:
    _, line, _ = died_at(another, _names(another).index("live.standing") + 1, behind=True)
    assert line.said.count(Prompt.OTHER_CUSTOMER) >= 1
    _, line, _ = died_at(locked, _names(locked).index("live.attempt") + 1, behind=True)
    assert (Prompt.LOST_KEYS, Prompt.ASK_PIN) in line.heard


def test_steps_that_the_next_workers_policy_has_not_begin_anew() -> None:
    world = World()
    line = world.line("bridge", answers={Prompt.ASK_PIN: [RIGHT_PIN]})

    async def whole() -> None:
        first = asyncio.create_task(Session(world.house(), line, world.logger).run())
        world.plot.on("trail.append", first.cancel)
        await asyncio.wait([first])
        line.passed_on()
        taken = replace(world.live.take_up(line), steps=("totp:passed",))
        await Session(world.house(), line, world.logger, taken).run()

    world.play(whole)
    # nobody answers the question that is asked once more
    assert line.said.count(Prompt.ASK_PIN) > 1 and line.variables[STATUS] == "timeout"


def test_a_policy_of_the_customers_own_that_nobody_knows_is_not_forgotten() -> None:
    def make() -> Made:
        world = World()
        world.change_anna(policy="nobody-wrote-this")
        return world, world.line("pin", answers={Prompt.ASK_PIN: [RIGHT_PIN] * 2})

    for world, line, _, when in every_death(make):
        assert world.outcomes == ["unavailable"] and line.variables[STATUS] == "unavailable", when


def test_a_worker_that_was_only_slow_marks_nobody_behind_the_next_ones_back() -> None:
    world = World()
    line = world.line("pin", answers={Prompt.ASK_PIN: [RIGHT_PIN]})
    world.plot.on("live.place_mark", lambda: world.live.take_up(line))
    world.run(line)
    assert world.live.marks == {} and line.variables == {} and not line.handed_back
    assert world.logged("call.left", phase="mark") and line.reconnects == 1


@pytest.mark.parametrize("pins", [[RIGHT_PIN], ["9999#"] * 3], ids=["right", "wrong"])
def test_a_call_that_was_taken_up_is_let_go_of_at_the_next_word_to_the_store(pins: list[str]) -> None:
    """The caller is talking to the other worker: nothing more is said, told of or sent on."""

    def make() -> Made:
        world = World()
        return world, world.line("pin", answers={Prompt.ASK_PIN: list(pins)})

    names = _names(make)
    first = names.index("live.begin") + 2
    last = names.index("live.place_mark" if "live.place_mark" in names else "live.note") + 1
    for nth in range(first, last + 1):
        world, line = make()
        world.plot.on("", lambda line=line, world=world: world.live.take_up(line), nth=nth)
        world.run(line)
        when = f"taken up before {nth} {names[nth - 1]}: {world.plot.names[nth - 1 :]}"
        assert not line.handed_back and line.variables == {} and line.reconnects == 1, when
        # that the customer was verified may have been written: the other one, who finds all steps passed, writes it no more
        assert world.outcomes in ([], ["verified"]) and not world.live.marks, when
        assert world.logged("call.left") and not world.logged("call.unavailable"), when


@pytest.mark.parametrize("verified", [True, False])
def test_a_worker_that_comes_to_nothing_takes_nothing_from_one_that_has_verified_the_caller_meanwhile(
    verified: bool,
) -> None:
    """It was busy for so long that Asterisk took the call back, and another worker has it: its own store did not say so."""
    world = World()
    line = world.line("pin", answers={Prompt.ASK_PIN: [RIGHT_PIN]})

    def elsewhere() -> None:
        if verified:
            line.variables[STATUS] = "verified"
        raise Unavailable("the store does not answer")

    world.plot.on("live.standing", elsewhere)
    world.run(line)
    assert line.variables[STATUS] == ("verified" if verified else "unavailable")
    assert line.handed_back is not verified
    assert bool(world.logged("call.left")) is verified


def test_a_worker_that_hung_behind_its_row_does_not_tell_that_the_next_ones_mark_is_void() -> None:
    """Its row holds for both; the next one has marked and announced, and its own store does not answer."""
    world = World()
    line = world.line("pin", answers={Prompt.ASK_PIN: [RIGHT_PIN]})

    def elsewhere() -> None:
        line.variables[STATUS] = "verified"
        raise Unavailable("the store does not answer")

    world.plot.on("live.place_mark", elsewhere)
    world.run(line)
    assert [(row.action, row.outcome) for row in world.trail.rows] == [("verify", "verified")]
    assert world.logged("call.left") and line.variables[STATUS] == "verified" and not line.handed_back


def test_a_worker_that_is_replaced_leaves_the_mark_of_the_next_one() -> None:
    world = World()
    line = world.line("pin", answers={Prompt.ASK_PIN: [RIGHT_PIN]})
    seen = []

    def replaced() -> None:
        taken = world.live.take_up(line)
        mark = seen[0]
        world.live.marks[mark.node, mark.channel] = mark
        assert taken.passed == ("pin",)
        line.evict(WorkerReplaced("tillit"))

    world.plot.on("live.place_mark", lambda: seen.append(world.live.marks["node", line.caller.channel]), behind=True)
    world.plot.on("line.announce", replaced)
    world.run(line)
    assert world.live.marks and world.live.records, "they are the other worker's"


def test_a_row_is_written_although_the_customer_cannot_be_looked_up() -> None:
    world, line = locked()

    async def whole() -> None:
        first = asyncio.create_task(Session(world.house(), line, world.logger).run())
        world.plot.on("live.attempt", first.cancel)
        await asyncio.wait([first])
        line.evict(HungUp("gone"))
        world.plot.fail("customers.by_key", StoreError("database: away"))
        await Session(world.house(), line, world.logger, world.live.take_up(line)).run()

    world.play(whole)
    assert world.outcomes == ["abandoned"] and world.logged("call.unavailable", phase="find")


@pytest.mark.parametrize("at", ["live.place_mark", "line.announce", "line.event"])
def test_a_customer_who_is_locked_behind_the_row_and_before_the_hand_over_is_told_of_in_a_row_of_its_own(
    at: str,
) -> None:
    """The worker dies with the row `verified` written; the one that takes up may not mark any more."""
    world, line = hinted()

    async def whole() -> None:
        first = asyncio.create_task(Session(world.house(), line, world.logger).run())
        world.plot.on(at, first.cancel)
        await asyncio.wait([first])
        line.passed_on()
        taken = world.live.take_up(line)
        world.change_anna(language="sv", locked=True)
        await Session(world.house(), line, world.logger, taken).run()

    world.play(whole)
    assert [(row.action, row.outcome) for row in world.trail.rows] == [("verify", "verified"), ("mark.void", "locked")]
    _, row = world.trail.rows
    assert (row.actor, row.call, row.subject) == ("worker", "channel-1", "ref-anna")
    assert row.detail == {"node": "node", "policy": "pin", "lock": "customer", "tenant": "main"}
    assert line.variables[STATUS] == "locked" and line.handed_back and not world.live.marks


def test_a_caller_who_is_lost_behind_the_row_has_one_row() -> None:
    world, line = hinted()

    async def whole() -> None:
        first = asyncio.create_task(Session(world.house(), line, world.logger).run())
        world.plot.on("live.place_mark", first.cancel)
        await asyncio.wait([first])
        line.caller_hangs_up()
        await Session(world.house(), line, world.logger, world.live.take_up(line)).run()

    world.play(whole)
    assert world.outcomes == ["verified"] and not world.live.marks and not world.live.records


@pytest.mark.parametrize("there", [True, False])
def test_a_worker_that_comes_to_late_marks_nobody_of_whom_another_has_told(there: bool) -> None:
    """It hung before its row; the next worker has found the customer locked, and told of it. `there`: the call is with that one."""
    world, line = hinted()

    def told() -> None:
        once = world.live.records[line.caller.node, line.caller.channel].round
        world.trail.rows.append(Entry("caller", "verify", "locked", call=line.caller.channel, once=once))
        if there:
            world.live.take_up(line)

    world.plot.on("trail.append", told)
    world.run(line)
    assert [(row.action, row.outcome) for row in world.trail.rows] == [("verify", "locked")]
    assert not world.live.marks and "live.place_mark" not in world.plot.names
    if there:
        assert world.logged("call.left") and line.variables == {} and not line.handed_back
    else:
        assert world.logged("call.unavailable", phase="mark") and line.variables[STATUS] == "unavailable"


def _names(make: Callable[[], Made]) -> list[str]:
    world, line = make()
    world.run(line)
    return list(world.plot.names)


def test_a_worker_that_is_stopped_leaves_a_refused_call_to_the_one_that_has_taken_it_up() -> None:
    world, first = locked()
    world.run(first)
    world.plot.reset()
    line = world.line()

    def stopped() -> None:
        world.live.take_up(line)
        line.evict(Unavailable("the worker is stopping"))

    world.plot.on("line.announce", stopped)
    world.run(line)
    assert world.logged("call.left") and line.reconnects == 1
    assert not line.handed_back and world.live.records, "both are the other worker's"
