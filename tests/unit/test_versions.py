"""Which Asterisk is good enough, and what is said of one that is not."""

from __future__ import annotations

import pytest

from ivr.asterisk.versions import LEAST, supported, trouble

OLD = "is older than {}, the first of its branch that is safe and complete"
CRASH = "crashes when it answers a websocket ping"
BRANCH = "is of a branch that is not supported"
UNRELEASED = "is not a released version"


@pytest.mark.parametrize(
    "version",
    [
        "20.20.1", "20.21.0", "20.100.0", "22.10.1", "22.10.1~dfsg+~cs6.15.60671435", "22.10.1+dfsg-1", "22.10.1-1~deb13u1",
        "22.11.0", "22.11.0~dfsg+~cs6.15.60671435-1", "22.11.0-rc2", "23.4.1", "23.5.0", "24.0.0", "24.0.0-rc1", "30.1",
    ],
)  # fmt: skip
def test_good_enough(version: str) -> None:
    assert trouble(version) is None


@pytest.mark.parametrize(
    ("version", "fault"),
    [
        ("20.20.0", OLD.format("20.20.1")),
        ("20.7.0", OLD.format("20.20.1")),
        ("20.20", OLD.format("20.20.1")),
        ("20.20.1-rc1", OLD.format("20.20.1")),
        ("22.10.0", OLD.format("22.10.1")),
        ("22.10.0~dfsg+~cs6.15.60671435", OLD.format("22.10.1")),
        ("22.10.1-rc1", OLD.format("22.10.1")),
        ("22.10.1~rc1~dfsg", OLD.format("22.10.1")),
        ("22.9.99", OLD.format("22.10.1")),
        ("23.4.0", OLD.format("23.4.1")),
        ("21.12.3", BRANCH),
        ("21.99.0", BRANCH),
        ("18.26.0", BRANCH),
        ("1.8.32.3", BRANCH),
        ("22.11.0-rc1", CRASH),
        ("22.11.0~rc1~dfsg+~cs6.15.60671435-1", CRASH),
        ("23.5.0-rc1", CRASH),
        ("certified/20.7-cert5", UNRELEASED),
        ("certified/22.8-cert1-rc1", UNRELEASED),
        ("certified-20.7-cert5", UNRELEASED),
        ("GIT-22-1a2b3c4d5e", UNRELEASED),
        ("GIT-master-1a2b3c4d5eM", UNRELEASED),
        ("SVN-branch-11-r400000", UNRELEASED),
        ("UNKNOWN__and_probably_unsupported", UNRELEASED),
        ("", UNRELEASED),
        ("22.x", UNRELEASED),
        ("22", UNRELEASED),
        (" 22.10.1", UNRELEASED),
    ],
)
def test_not_good_enough(version: str, fault: str) -> None:
    assert trouble(version) == fault


@pytest.mark.parametrize("version", ["22.11.0-rc10", "22.11.0-rc2", "22.11.1", "23.5.0"])
def test_what_only_looks_like_a_candidate_that_crashes(version: str) -> None:
    assert trouble(version) is None


def test_the_least_of_each_branch_is_named_and_good_enough() -> None:
    for numbers in LEAST.values():
        least = ".".join(map(str, numbers))
        assert least in supported()
        assert trouble(least) is None
