"""What the doctor makes of AMI's filters; tests/e2e/test_doctor.py holds the same ones before a real Asterisk."""

from __future__ import annotations

from pathlib import Path

import pytest

from ivr.doctor.filters import keeps_keys_out, of_user
from tests.unit.ami_filters import FILTERS

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("filters", FILTERS)
def test_which_filters_keep_keys_from_an_ami_user(filters: str) -> None:
    lines, kept = FILTERS[filters]
    assert keeps_keys_out(lines) is kept


@pytest.mark.parametrize(
    "line",
    [
        "eventfilter = !Event: (?i)dtmf",  # Python's alone: Asterisk does not take it
        "eventfilter = ![[:alpha:]]*: DTMF",  # Asterisk's alone
        "eventfilter = !Event: DTMF[",
        "eventfilter = !DTMF\\d",
        "eventfilter = !",
        "eventfilter =",
        "eventfilter() = DTMF",
        "eventfilters = !Event: DTMF",
        "secret = x",
    ],
)
def test_what_is_not_understood_keeps_nothing_out(line: str) -> None:
    assert not keeps_keys_out([line])


def test_the_users_of_the_sample_are_told_of_no_keys() -> None:
    sample = (CHECKOUT / "config" / "asterisk" / "manager.conf").read_text()
    for user in ("tillit", "tillit-desk", "tillit-events"):
        lines = of_user([sample], user)
        assert lines and keeps_keys_out(lines)


def test_a_users_filters_come_from_its_sections_and_its_templates() -> None:
    files = (
        "[general]\neventfilter = no\n[quiet](!)\neventfilter = !Event: DTMFBegin\n[admin](quiet)\nsecret = x\n",
        "[admin](+)\neventfilter = !Event: DTMFEnd\n[other](admin,other)\n",
    )
    both = ["eventfilter = !Event: DTMFBegin", "eventfilter = !Event: DTMFEnd"]
    assert of_user(files, "admin") == of_user(files, "other") == both
    assert of_user(files[:1], "admin") == both[:1]
    assert of_user(files, "nobody") == []
