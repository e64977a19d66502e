"""Asking and telling on a line: slips, apologies, keys that are kept and keys that are dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import pytest

from ivr.call.digits import Asked, Entered, Form
from ivr.call.keypad import GaveUp, Keypad
from ivr.errors import AriError, HungUp, Interrupted, Unavailable
from ivr.prompts import Prompt
from tests.unit.fakes import Answers, FakeLine, Keys, World, clock

PIN = Form(least=4, most=8, first=10.0, between=5.0)
CODE = Form(least=6, most=6, first=30.0, between=5.0, command=True)

T = TypeVar("T")


def on_line(
    work: Callable[[Keypad, FakeLine], Coroutine[object, object, T]],
    answers: Answers | None = None,
    *,
    slips: int = 3,
    watchdog: int = 60,
) -> tuple[T, FakeLine]:
    """Do this with a keypad on a line that is up."""
    world = World()
    line = world.line(answers=answers)
    keypad = world.keypad(line, slips=slips, watchdog=watchdog)

    async def whole() -> T:
        async with line.up():
            return await work(keypad, line)

    done: T = world.play(whole)
    return done, line


def asked(
    answers: Answers | None, form: Form = PIN, *, slips: int = 3, watchdog: int = 60
) -> tuple[Entered | Asked | GaveUp, FakeLine]:
    return on_line(lambda keypad, _: keypad.ask("pin", [Prompt.ASK_PIN], form), answers, slips=slips, watchdog=watchdog)


def entered(ending: object) -> str:
    assert isinstance(ending, Entered)
    return ending.digits.reveal()


def test_an_entry() -> None:
    ending, line = asked({Prompt.ASK_PIN: ["1234#"]})
    assert entered(ending) == "1234"
    assert line.heard == [(Prompt.ASK_PIN,)]


def test_a_key_stops_the_prompt() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> float:
        begun = clock()
        await keypad.ask("pin", [Prompt.WELCOME, Prompt.ASK_PIN], PIN)
        return clock() - begun

    took, _ = on_line(work, {Prompt.ASK_PIN: [Keys("1234#", after=0.1, ahead=True)]})
    assert took < 2.0, "the prompts were played to their end"


@pytest.mark.parametrize("key", "ABCD")
def test_a_key_that_does_nothing_does_not_stop_the_prompt(key: str) -> None:
    async def work(keypad: Keypad, line: FakeLine) -> float:
        begun = clock()
        await keypad.ask("pin", [Prompt.ASK_PIN], PIN)
        return clock() - begun

    took, _ = on_line(work, {Prompt.ASK_PIN: [Keys(key, after=0.1, ahead=True)] * 3}, slips=1)
    assert took >= 2.0 + PIN.first


def test_slips_are_answered_in_words_and_asked_again() -> None:
    ending, line = asked({Prompt.ASK_PIN: ["#", "12#", "1234#"]}, slips=3)
    assert entered(ending) == "1234"
    assert line.heard == [
        (Prompt.ASK_PIN,),
        (Prompt.NOTHING_KEYED, Prompt.ASK_PIN),
        (Prompt.TOO_SHORT, Prompt.ASK_PIN),
    ]


@pytest.mark.parametrize("slips", [1, 2, 4])
def test_so_many_slips_and_no_more(slips: int) -> None:
    ending, line = asked({Prompt.ASK_PIN: ["#"] * 9}, slips=slips)
    assert ending == GaveUp()
    assert len(line.heard) == slips


def test_keys_ahead_of_the_answer_to_a_slip_do_not_count() -> None:
    ending, line = asked({Prompt.ASK_PIN: [Keys("12#9876#", between=0.0), "1234#"]})
    assert entered(ending) == "1234"
    assert len(line.heard) == 2


def test_the_limit_between_keys_ends_a_long_enough_entry() -> None:
    ending, _ = asked({Prompt.ASK_PIN: ["12345"]})
    assert entered(ending) == "12345"


def test_the_hash_behind_a_full_entry_is_no_slip_of_the_next() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> list[str]:
        return [entered(await keypad.ask("pin", [Prompt.ASK_PIN], PIN)) for _ in range(2)]

    both, line = on_line(work, {Prompt.ASK_PIN: ["12345678#", "4711#"]})
    assert both == ["12345678", "4711"]
    assert len(line.heard) == 2


def test_two_stars_are_another_ending() -> None:
    ending, _ = asked({Prompt.ASK_PIN: ["12**"]}, CODE)
    assert ending == Asked()


def test_lost_events_begin_the_entry_anew_as_often_as_they_come() -> None:
    ending, line = asked({Prompt.ASK_PIN: ["123~", "12~", "~", "1234#"]}, slips=1)
    assert entered(ending) == "1234"
    assert line.said[1:] == [Prompt.LOST_KEYS, Prompt.ASK_PIN] * 3


def test_events_lost_within_the_prompt_stop_it() -> None:
    ending, line = asked({Prompt.ASK_PIN: [Keys("12~", after=0.1, ahead=True, between=0.05), "9876#"]})
    assert entered(ending) == "9876"
    assert line.said == [Prompt.ASK_PIN, Prompt.LOST_KEYS, Prompt.ASK_PIN]


def test_the_rest_of_an_entry_that_was_cut_by_lost_events_is_no_entry() -> None:
    ending, line = asked({Prompt.ASK_PIN: ["12~345678#", "12345678#"]})
    assert entered(ending) == "12345678", "half a PIN would have been counted as a wrong one"
    assert line.said[-1] is Prompt.ASK_PIN


def test_a_preface_is_said_once_and_in_one_breath() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> None:
        keypad.preface(Prompt.WELCOME)
        await keypad.ask("pin", [Prompt.ASK_PIN], PIN)
        await keypad.ask("pin", [Prompt.ASK_PIN], PIN)

    _, line = on_line(work, {Prompt.ASK_PIN: ["#", "1234#", "1234#"]})
    assert line.heard == [
        (Prompt.WELCOME, Prompt.ASK_PIN),
        (Prompt.NOTHING_KEYED, Prompt.ASK_PIN),
        (Prompt.ASK_PIN,),
    ]


def test_keys_within_a_sentence_are_kept_for_the_next_question() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> str:
        await keypad.tell(Prompt.WRONG)
        return entered(await keypad.ask("pin", [Prompt.ASK_PIN], PIN))

    kept, _ = on_line(work, {Prompt.WRONG: [Keys("12", after=0.1, ahead=True)], Prompt.ASK_PIN: ["34#"]})
    assert kept == "1234"


def test_a_sentence_is_played_to_its_end() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> float:
        begun = clock()
        await keypad.tell(Prompt.LOCKED, Prompt.TRY_AGAIN)
        return clock() - begun

    took, _ = on_line(work, {Prompt.LOCKED: [Keys("1#", after=0.1, ahead=True)]})
    assert took >= 4.0


def test_a_pause_drops_keys_and_lasts_as_long_as_it_should() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> tuple[str, float]:
        begun = clock()
        await keypad.pause(Prompt.TEXT_SOON, 30)
        took = clock() - begun
        return entered(await keypad.ask("pin", [Prompt.ASK_PIN], PIN)), took

    early = Keys("99~9", after=0.1, ahead=True)
    (kept, took), line = on_line(work, {Prompt.TEXT_SOON: [early, " "], Prompt.ASK_PIN: ["1234#"]})
    assert kept == "1234"
    assert 30.0 <= took < 33.0
    assert not line.playing_music


def test_events_lost_in_a_pause_do_not_end_it() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> float:
        begun = clock()
        await keypad.pause(Prompt.TEXT_SOON, 30)
        return clock() - begun

    took, _ = on_line(work, {Prompt.TEXT_SOON: [Keys("1~2~3", after=5.0)]})
    assert took >= 30.0


def test_an_error_from_elsewhere_ends_what_is_asked() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> None:
        keypad.interrupt(Unavailable("text message"))
        with pytest.raises(Unavailable):
            await keypad.ask("pin", [Prompt.ASK_PIN], PIN)

    on_line(work)


async def _paused(keypad: Keypad, line: FakeLine) -> None:
    await keypad.pause(Prompt.TEXT_SOON, 30)


def test_music_that_cannot_be_stopped_does_not_hide_the_hang_up() -> None:
    with pytest.raises(HungUp):
        on_line(_paused, {Prompt.TEXT_SOON: [Keys("!", after=3.0)]})


def test_music_that_cannot_be_stopped_ends_a_pause() -> None:
    world = World()
    line = world.line()
    world.plot.fail("line.music", AriError("DELETE moh", 500), nth=2)
    with pytest.raises(AriError):
        world.play(lambda: _paused(world.keypad(line), line))


# ---------------------------------------------------------------- the watchdog


@pytest.mark.parametrize("watchdog", [30, 60])
@pytest.mark.parametrize(
    ("form", "keys", "between"),
    [
        (PIN, "", 1.0),
        (PIN, "1234567", 4.9),
        (PIN, "*******12345678", 4.9),
        (PIN, "1*2*3*4*5*6", 9.9),
        (CODE, "12345", 4.9),
        (CODE, "12345*", 4.9),
        (CODE, "12345*12345*12345", 4.9),
    ],
)
def test_the_watchdog_is_more_patient_than_a_slow_caller_and_never_set_to_more_than_it_is_to_wait(
    form: Form, keys: str, between: float, watchdog: int
) -> None:
    ending, line = asked({Prompt.ASK_PIN: [Keys(keys, after=9.9, between=between)]}, form, slips=1, watchdog=watchdog)
    assert not line.taken_back
    assert ending is not None
    assert set(line.watchdogs) == {watchdog}


def test_a_caller_who_presses_star_for_ever_is_not_taken_back_by_the_watchdog() -> None:
    ending, line = asked({Prompt.ASK_PIN: [Keys("*" * 60, after=9.0, between=9.0)]}, slips=1)
    assert ending == GaveUp()
    assert not line.taken_back


def test_the_watchdog_is_set_anew_while_a_caller_pauses_and_no_more_often_than_it_must() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> None:
        await keypad.pause(Prompt.TEXT_SOON, 600)

    _, line = on_line(work)
    assert not line.taken_back
    # every 45 seconds, and at the beginning
    assert line.watchdogs == [60] * 14


def test_who_keys_at_once_costs_one_request_for_the_watchdog() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> None:
        await keypad.ask("pin", [Prompt.ASK_PIN], PIN)
        await keypad.ask("sms_code", [Prompt.TEXT_COMING, Prompt.ASK_CODE], CODE)

    at_once = {
        Prompt.ASK_PIN: [Keys("2580#", after=0.1, ahead=True)],
        Prompt.ASK_CODE: [Keys("123456", after=0.1, ahead=True)],
    }
    _, line = on_line(work, at_once)
    assert line.watchdogs == [60]


LONG = [Prompt.TEXT_SOON, Prompt.WELCOME, Prompt.ASK_PIN]


def test_what_takes_longer_than_the_watchdog_waits_is_said_in_parts() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> Entered | Asked | GaveUp:
        await keypad.tell(*LONG)
        return await keypad.ask("pin", LONG, PIN)

    ending, line = on_line(work, {Prompt.ASK_PIN: ["", "1234#"]}, watchdog=30)
    assert entered(ending) == "1234"
    assert line.heard == [(prompt,) for prompt in LONG] * 2 and not line.delayed
    assert line.watchdogs == [30] * 6
    # and with the usual one in one breath
    _, line = on_line(work, {Prompt.ASK_PIN: ["", "1234#"]})
    assert line.heard == [tuple(LONG)] * 2


def test_a_key_skips_the_parts_that_were_to_come() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> Entered | Asked | GaveUp:
        return await keypad.ask("pin", LONG, PIN)

    ending, line = on_line(work, {Prompt.WELCOME: [Keys("1234#", ahead=True)]}, watchdog=30)
    assert entered(ending) == "1234"
    assert line.heard == [(Prompt.TEXT_SOON,), (Prompt.WELCOME,)]


def test_who_is_watched_over_is_not_taken_back_also_where_asterisk_fails_once() -> None:
    world = World()
    line = world.line()
    keypad = world.keypad(line, watchdog=30)
    world.plot.fail("line.allow", AriError("POST variable", 500), nth=3)

    async def work() -> int:
        async with line.up():
            watching = asyncio.create_task(keypad.watch())
            await asyncio.sleep(100)
            at = clock()
            # in the middle of a request: it is over before what comes next is asked for
            world.plot.on("line.allow", watching.cancel, nth=9)
            await asyncio.gather(watching, return_exceptions=True)
            assert watching.cancelled() and clock() > at
            return len(line.watchdogs)

    done: int = world.play(work)
    assert not line.taken_back and done == len(line.watchdogs) == 8


def test_a_sentence_that_lost_events_may_have_cut_is_said_once_more() -> None:
    async def work(keypad: Keypad, line: FakeLine) -> None:
        line.interrupt(Interrupted("channel"))
        await keypad.tell(Prompt.WRONG)

    _, line = on_line(work)
    assert line.said == [Prompt.WRONG, Prompt.WRONG]
