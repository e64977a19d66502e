"""The collector, against an independent reading of what the caller meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.call.digits import Asked, Collector, Ending, Entered, Form, Slip, Slipped
from ivr.secret import Secret

FORM = Form(least=4, most=8, first=10.0, between=5.0)
CODE = Form(least=6, most=6, first=30.0, between=5.0, command=True)


def key_in(collector: Collector, keys: str, *, start: float = 0.0, step: float = 0.1) -> Ending | None:
    """Feed keys until one ends the entry; nothing is fed behind that."""
    for position, key in enumerate(keys):
        ending = collector.feed(Secret(key), start + position * step)
        if ending is not None:
            assert position == len(keys) - 1, "the entry ended before its last key"
            return ending
    return None


def digits(ending: Ending | None) -> str:
    assert isinstance(ending, Entered)
    return ending.digits.reveal()


def test_hash_ends_a_variable_entry() -> None:
    assert digits(key_in(Collector(FORM), "1234#")) == "1234"


def test_the_last_possible_digit_ends_it_without_a_hash() -> None:
    ending = key_in(Collector(FORM), "12345678")
    assert digits(ending) == "12345678"
    assert isinstance(ending, Entered) and ending.full


def test_the_hash_behind_a_full_entry_belongs_to_it() -> None:
    following = Collector(FORM, after_full=True)
    assert key_in(following, "#") is None
    assert following.deadline is None
    assert digits(key_in(following, "1234#")) == "1234"


def test_only_one_hash_belongs_to_a_full_entry() -> None:
    assert key_in(Collector(FORM, after_full=True), "##") == Slipped(Slip.NOTHING)


def test_a_hash_behind_digits_is_never_a_tail() -> None:
    assert digits(key_in(Collector(FORM, after_full=True), "1234#")) == "1234"


def test_star_clears() -> None:
    assert digits(key_in(Collector(FORM), "99*1234#")) == "1234"


def test_two_stars_ask_for_the_other_thing_where_there_is_one() -> None:
    assert key_in(Collector(CODE), "12**") == Asked()
    assert key_in(Collector(FORM), "12**") is None


def test_nobody_begins_anew_for_ever() -> None:
    collector = Collector(FORM)
    assert key_in(collector, "1*" * 8) is None
    assert key_in(collector, "12*") == Slipped(Slip.NOTHING)


def test_stars_with_a_digit_between_ask_for_nothing() -> None:
    assert key_in(Collector(CODE), "*1*") is None


@pytest.mark.parametrize("keys", ["#", "*#"])
def test_nothing_keyed_is_a_slip(keys: str) -> None:
    assert key_in(Collector(FORM), keys) == Slipped(Slip.NOTHING)


def test_too_short_is_a_slip() -> None:
    assert key_in(Collector(FORM), "123#") == Slipped(Slip.SHORT)
    assert key_in(Collector(CODE), "12345#") == Slipped(Slip.SHORT)


@pytest.mark.parametrize("key", ["A", "B", "C", "D", "", "12", "x", "٣", "²"])
def test_other_keys_do_nothing(key: str) -> None:
    collector = Collector(FORM)
    assert collector.feed(Secret(key), 1.0) is None
    assert collector.deadline is None and collector.count == 0


def test_no_limit_runs_before_the_prompt_is_over() -> None:
    collector = Collector(FORM)
    assert collector.deadline is None and collector.lapse(1e9) is None
    collector.begin(100.0)
    assert collector.deadline == 110.0
    assert collector.lapse(109.9) is None
    assert collector.lapse(110.0) == Slipped(Slip.NOTHING)


def test_a_key_ahead_of_the_prompts_end_starts_the_other_limit() -> None:
    collector = Collector(FORM)
    assert collector.feed(Secret("1"), 3.0) is None
    collector.begin(4.0)
    assert collector.deadline == 8.0


def test_the_limit_between_keys_ends_an_entry_that_is_long_enough() -> None:
    collector = Collector(FORM)
    assert key_in(collector, "1234") is None
    assert collector.deadline == pytest.approx(5.3)
    assert digits(collector.lapse(5.31)) == "1234"


def test_the_limit_between_keys_makes_a_slip_of_a_short_one() -> None:
    collector = Collector(FORM)
    assert key_in(collector, "12") is None
    assert collector.lapse(6.0) == Slipped(Slip.SHORT)


def test_a_star_gives_the_first_limit_again() -> None:
    collector = Collector(FORM)
    assert key_in(collector, "12*") is None
    assert collector.deadline == pytest.approx(10.2)


@pytest.mark.parametrize(("least", "most"), [(0, 4), (5, 4), (-1, 3)])
def test_a_form_that_nobody_can_fill_is_refused(least: int, most: int) -> None:
    with pytest.raises(ValueError, match="at least one digit"):
        Form(least, most, 1.0, 1.0)


@st.composite
def forms(draw: st.DrawFn) -> Form:
    least = draw(st.integers(1, 8))
    return Form(least, draw(st.integers(least, 10)), 10.0, 5.0, command=draw(st.booleans()))


def meant(keys: str, form: Form) -> tuple[str, int] | None:
    """What these keys say, read from left to right by other means: the ending and how many keys it took."""
    for end in range(1, len(keys) + 1):
        said = "".join(key for key in keys[:end] if key in "0123456789*#")
        last = keys[end - 1]
        digits = said.rstrip("#").rpartition("*")[2]
        if last == "#":
            return ("nothing" if not digits else "short" if len(digits) < form.least else digits, end)
        if last == "*" and form.command and said.endswith("**"):
            return ("asked", end)
        if last == "*" and said.count("*") > 8:
            return ("nothing", end)
        if last.isdigit() and len(digits) == form.most:
            return (digits, end)
    return None


@given(forms(), st.text("0123456789*#ABCD", max_size=40) | st.text("1*", max_size=24))
def test_any_keys_end_as_they_were_meant(form: Form, keys: str) -> None:
    collector = Collector(form)
    for taken, key in enumerate(keys, 1):
        ending = collector.feed(Secret(key), float(taken))
        if ending is None:
            continue
        expected = meant(keys, form)
        match ending:
            case Entered(entered):
                assert expected == (entered.reveal(), taken)
                assert form.least <= len(entered) <= form.most
            case Slipped(slip):
                assert expected == (slip.value, taken)
            case Asked():
                assert expected == ("asked", taken)
        return
    assert meant(keys, form) is None


@given(forms(), st.lists(st.tuples(st.sampled_from("0123456789*A"), st.floats(0.0, 20.0)), max_size=15))
def test_an_entry_always_ends_once_its_deadline_has_passed(form: Form, presses: list[tuple[str, float]]) -> None:
    collector = Collector(form)
    collector.begin(0.0)
    now = 0.0
    for key, wait in presses:
        now += wait
        if collector.feed(Secret(key), now) is not None:
            return
    assert collector.deadline is not None
    assert collector.lapse(collector.deadline) is not None


def test_nothing_of_it_can_be_shown() -> None:
    ending = key_in(Collector(FORM), "13579#")
    assert "13579" not in repr(ending) and "1" not in repr(ending)
