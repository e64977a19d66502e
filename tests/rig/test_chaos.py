"""What `scripts/chaos` counts: each of its zeros is more than zero where something is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rig.chaos.callers import Call, read
from rig.chaos.ledger import ZEROS, Account, Outage, Passed, Row, account, total
from rig.chaos.scenario import KINDS, Kind

BY_NAME = {kind.name: kind for kind in KINDS}
ANNA = Call("46700000001", BY_NAME["verifies"], 100.0, True, "verified", 110.0)
BO = Call("46700000002", BY_NAME["wrong_pin"], 101.0, True, "refused", 120.0)
CECILIA = Call("46700000003", BY_NAME["leaves_soon"], 102.0, True, "left", 103.0)
CALLS = (ANNA, BO, CECILIA)
PASSED = (Passed("1.1", ANNA.number, "verified"), Passed("1.2", BO.number, "refused"), Passed("1.3", CECILIA.number))
ROWS = (Row("1.1", "verified"), Row("1.2", "refused"), Row("1.3", "abandoned"))
MARKED = ("1.1",)


def zeros(one: Account) -> dict[str, int]:
    """Those that are none."""
    return {name: getattr(one, name) for name in ZEROS if getattr(one, name)}


def test_all_is_well() -> None:
    good = account("none", CALLS, PASSED, MARKED, ROWS)
    assert good.good and zeros(good) == {}
    assert (good.calls, good.verified, good.refused, good.left, good.waited) == (3, 1, 1, 1, 19.0)


def test_a_fault_that_did_not_strike_proves_nothing() -> None:
    assert not account("x", CALLS, PASSED, MARKED, ROWS, struck=0).good
    assert not account("x", (), (), (), ()).good


@pytest.mark.parametrize("fate", ["silence", "cut", "unanswered", "turned_away", "unknown"])
def test_who_came_to_no_end_is_lost(fate: str) -> None:
    calls = (replace(ANNA, fate=fate), BO, CECILIA)
    found = account("x", calls, (Passed("1.1", ANNA.number), *PASSED[1:]), (), (Row("1.1", "abandoned"), *ROWS[1:]))
    assert zeros(found) == {"lost": 1} and not found.good


def test_only_who_was_there_when_asterisk_was_killed_died_with_it() -> None:
    calls = (replace(ANNA, fate="silence", over=170.0), replace(BO, fate="unknown", over=None), CECILIA)
    passed = (Passed("1.1", ANNA.number), Passed("1.2", BO.number), PASSED[2])
    rows = (Row("1.1", "abandoned"), Row("1.2", "abandoned"), ROWS[2])
    found = account("x", calls, passed, (), rows, outage=Outage(105.0, 108.0))
    assert found.with_asterisk == 2 and zeros(found) == {}
    later = account("x", calls, passed, (), rows, outage=Outage(50.0, 100.5))
    assert (later.with_asterisk, later.lost) == (1, 1)


def test_who_hangs_up_without_being_of_those_who_do_is_lost() -> None:
    assert zeros(account("x", (replace(ANNA, fate="left"),), (), (), ()))["lost"] == 1


def test_who_is_verified_without_the_right_keys() -> None:
    calls = (ANNA, replace(BO, fate="verified"), CECILIA)
    passed = (PASSED[0], replace(PASSED[1], status="verified"), PASSED[2])
    rows = (ROWS[0], Row("1.2", "verified"), ROWS[2])
    assert zeros(account("x", calls, passed, MARKED, rows)) == {"unearned": 2}


def test_a_mark_without_a_row() -> None:
    assert zeros(account("x", CALLS, PASSED, (*MARKED, "1.2"), ROWS)) == {"unaudited": 1}
    found = account("x", CALLS, PASSED, (), (Row("1.1", "unavailable"), *ROWS[1:]))
    assert zeros(found) == {"unaudited": 1, "contradicting": 1}


def test_rows_of_nobody_and_rows_that_stand_twice() -> None:
    assert zeros(account("x", CALLS, PASSED, MARKED, (*ROWS, Row("9.9", "refused")))) == {"unknown_rows": 1}
    assert zeros(account("x", CALLS, PASSED, MARKED, (*ROWS, ROWS[1]))) == {"doubled": 1}
    # of a call that is told of twice no word is right, whatever the second one says
    assert zeros(account("x", CALLS, PASSED, MARKED, (Row("1.1", "locked"), *ROWS))) == {"doubled": 1}


def test_what_was_won_and_came_to_nothing_has_a_row_that_says_so() -> None:
    calls = (replace(ANNA, fate="unavailable"), BO, CECILIA)
    passed = (replace(PASSED[0], status="unavailable"), *PASSED[1:])
    assert zeros(account("x", calls, passed, (), ROWS)) == {"contradicting": 1}
    assert zeros(account("x", calls, passed, (), (*ROWS, Row("1.1", "unavailable", void=True)))) == {}


def test_what_is_left_over_and_what_has_no_row() -> None:
    found = account("x", CALLS, PASSED, MARKED, ROWS[:2], left_over=2, marks_left=1)
    assert zeros(found) == {"left_over": 2, "marks_left": 1} and found.untold == 1
    # calls that no worker had to their end are told apart
    assert zeros(account("x", CALLS, PASSED, MARKED, ROWS[:2], ended=("1.1", "1.3", "9.9"))) == {"unwritten": 1}
    assert zeros(account("x", CALLS, PASSED, MARKED, ROWS, ended=("1.1", "1.2", "1.3"))) == {}
    assert zeros(total([found, found])) == {"left_over": 4, "marks_left": 2}


def test_what_sipp_writes_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "dials 46700000001 2026-11-22 10:00:00.000000\n"
        "answered 46700000001 2026-11-22 10:00:00.500000\n"
        "dials 46700000002 2026-11-22 10:00:01.000000\n"
        "over 46700000001 2026-11-22 10:00:09.000000 cause=31\n"
        "dials 46700000003 2026-11-22 10:00:10.000000\n"
        "over 46700000003 2026-11-22 10:00:11.000000 cause=16\n"
    )
    kind: Kind = BY_NAME["verifies"]
    first, second, third = read(kind, log)
    assert (first.fate, first.answered, first.over and first.over - first.dialled) == ("verified", True, 9.0)
    assert (second.fate, second.answered, second.over) == ("unknown", False, None)
    assert third.fate == "cut"
