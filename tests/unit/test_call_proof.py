"""A proof goes forward alone, whatever comes late or twice."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ivr.call.proof import Stage, follows

ASKED, SENT, DELIVERED, OPENED, CONFIRMED, *_ = Stage
ENDS = (Stage.CONFIRMED, Stage.DENIED, Stage.WRONG, Stage.EXPIRED, Stage.FAILED)


@pytest.mark.parametrize(
    "way",
    [
        (ASKED, SENT, DELIVERED, OPENED, CONFIRMED),
        (ASKED, SENT, OPENED, CONFIRMED),
        (ASKED, OPENED, CONFIRMED),
        (ASKED, DELIVERED, OPENED, Stage.DENIED),
        (ASKED, SENT, Stage.EXPIRED),
    ],
)
def test_a_proof_may_go_this_way(way: tuple[Stage, ...]) -> None:
    assert all(follows(now, then) for now, then in pairwise(way))


@pytest.mark.parametrize("end", ENDS)
def test_nothing_follows_an_end(end: Stage) -> None:
    assert end.is_end
    assert not any(follows(end, then) for then in Stage)


@pytest.mark.parametrize(
    ("now", "then"), [(SENT, SENT), (DELIVERED, SENT), (OPENED, DELIVERED), (OPENED, SENT), (SENT, ASKED)]
)
def test_a_report_that_comes_late_or_twice_changes_nothing(now: Stage, then: Stage) -> None:
    assert not follows(now, then)


@pytest.mark.parametrize("now", [ASKED, SENT, DELIVERED])
@pytest.mark.parametrize("then", [Stage.CONFIRMED, Stage.WRONG])
def test_nobody_keys_who_has_not_opened(now: Stage, then: Stage) -> None:
    assert not follows(now, then)


@pytest.mark.parametrize("now", [ASKED, SENT, DELIVERED, OPENED])
def test_whoever_has_the_message_can_deny(now: Stage) -> None:
    assert follows(now, Stage.DENIED)
