"""What can be done to a customer's record: what is taken, and that nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.errors import InputError
from ivr.lock.actions import ACTIONS, MOST_PHONES, checked
from ivr.lock.lock import FIELDS, wanted
from ivr.lock.reasons import reason_of
from ivr.secret import Personal, Secret
from ivr.store.register import Customer

ONE, TWO, THREE = Personal("+46701111111"), Personal("+46702222222"), Personal("+46703333333")
# what JSON can carry: lone surrogates among it
anything = st.text(st.characters(), max_size=60)


def customer(*phones: Personal) -> Customer:
    return Customer("aaaaaaaaaaaa", "k", Personal("10001"), Personal("Xenia"), phones, True, "sv", None, False)


def phones(action: str, *held: Personal, **arguments: str) -> tuple[Personal, ...]:
    given = {name: Secret(text) for name, text in arguments.items()}
    return checked(action, given, "SE").phones(customer(*held))


def test_the_first_stays_the_first_unless_it_is_changed_or_removed() -> None:
    """Texts go to it."""
    assert phones("add_phone", ONE, TWO, phone="0703333333") == (ONE, TWO, THREE)
    assert phones("change_phone", ONE, TWO, phone="+46702222222", to="+46703333333") == (ONE, THREE)
    assert phones("change_phone", ONE, TWO, phone="+46701111111", to="+46703333333") == (THREE, TWO)
    assert phones("remove_phone", ONE, TWO, phone="+46702222222") == (ONE,)
    assert phones("remove_phone", ONE, TWO, phone="+46701111111") == (TWO,)
    assert phones("remove_phone", ONE, phone="+46701111111") == ()
    assert phones("add_phone", phone="+46701111111") == (ONE,)
    assert phones("clear_pin", ONE, TWO) == (ONE, TWO)


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("add_phone", {"phone": "+46702222222"}), ("remove_phone", {"phone": "+46703333333"}),
        ("change_phone", {"phone": "+46703333333", "to": "+46704444444"}), ("change_phone", {"phone": "+46701111111", "to": "+46702222222"}),
        ("change_phone", {"phone": "+46701111111", "to": "+46701111111"}),
    ],
)  # fmt: skip
def test_what_does_not_fit(action: str, arguments: dict[str, str]) -> None:
    with pytest.raises(InputError, match="Nothing was done"):
        phones(action, ONE, TWO, **arguments)


def test_one_of_the_most_can_be_changed() -> None:
    most = [Personal(f"+4670555555{n}") for n in range(MOST_PHONES)]
    assert phones("change_phone", *most, phone="+46705555550", to="+46701111111") == (ONE, *most[1:])
    with pytest.raises(InputError, match="Remove one"):
        phones("add_phone", *most, phone="+46701111111")


def test_the_trail_is_told_no_number_whole() -> None:
    change = checked("change_phone", {"phone": Secret("0701111111"), "to": Secret("0702222222")}, "SE")
    assert change.detail == {"phone": "+46…11", "to": "+46…22"}
    assert checked("set_language", {"language": Secret("sv")}, "SE").detail == {"language": "sv"}


@given(
    st.sampled_from(sorted(ACTIONS)) | anything,
    st.dictionaries(st.sampled_from(["phone", "to", "language"]) | anything, anything, max_size=3),
)
def test_whatever_is_asked_for_is_a_change_or_bad_input(action: str, arguments: dict[str, str]) -> None:
    said = ""
    try:
        change = checked(action, {name: Secret(text) for name, text in arguments.items()}, "SE")
        assert set(arguments) == set(ACTIONS[change.action])
    except InputError as error:
        said = str(error)
    # never with what was given
    assert not any(len(text) > 12 and text in said for text in (action, *arguments, *arguments.values()))


@given(st.sampled_from(["set_language", "add_phone", "remove_phone"]), anything)
def test_whatever_is_given_is_taken_or_bad_input(action: str, text: str) -> None:
    try:
        change = checked(action, {ACTIONS[action][0]: Secret(text)}, "SE")
    except InputError:
        return
    assert change.language in {None, text} and (change.phone is None or len(change.phone) <= 20)


@given(st.lists(st.sampled_from(FIELDS) | anything, max_size=9))
def test_whatever_fields_are_asked_for_are_fields_or_bad_input(names: list[str]) -> None:
    if names and set(names) <= set(FIELDS):
        assert wanted(names) == tuple(name for name in FIELDS if name in names)
        return
    with pytest.raises(InputError) as error:
        wanted(names)
    assert not any(name in str(error.value) for name in set(names) - set(FIELDS) if len(name) > 12)


@given(anything)
def test_whatever_reason_is_given_can_be_kept_or_is_bad_input(text: str) -> None:
    try:
        reason = reason_of(text)
    except InputError:
        return
    assert 5 <= len(reason) <= 200 and reason.isprintable()
    assert reason.encode()


@pytest.mark.parametrize(
    "text", ["in 2026 twice, see ticket 4711", "§ 12 of the contract", "the caller is 85 and deaf"]
)
def test_a_year_a_ticket_and_a_paragraph_may_stand_in_a_reason(text: str) -> None:
    assert reason_of(f"  {text} ") == text


@pytest.mark.parametrize(
    "text", ["call 0701234567", "he is 19850101-1234", "070 12 34 56", "number 1.2.3.4.5.6", "٠٧٠١٢٣٤٥٦٧ called"]
)
def test_a_number_may_not(text: str) -> None:
    with pytest.raises(InputError, match="has a number in it"):
        reason_of(text)
