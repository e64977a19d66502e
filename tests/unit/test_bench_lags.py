"""The bench of the desk's pages counts each change once: none that is late, or that never came, is left out."""

from __future__ import annotations

import pytest
from rig.bench.lags import Counted, Page, counted

LATE = 10.0


def seen(page: Page, *, since: float = 0.0, end: float = 100.0, now: float = 200.0) -> Counted:
    found = counted(page.changes, since, end, now, LATE)
    return Counted([round(lag, 6) for lag in found.lags], found.superseded, found.missed)


def talked(page: Page, call: str, begun: float, lag: float = 0.02) -> None:
    """A second of it, shown so late both when it begins and when it ends."""
    page.joined(begun)
    page.told([call], False, begun + lag)
    page.left(begun + 1)
    page.told([], True, begun + 1 + lag)


def test_a_change_is_as_late_as_it_is_shown() -> None:
    page = Page()
    page.joined(1.0)
    # not before the customer's name is there; and a page may tell the same again
    page.told([], False, 1.1)
    page.told(["a"], False, 1.5)
    page.told(["a"], False, 1.6)
    assert seen(page) == Counted([500])
    page.left(3.0)
    page.told(["a"], False, 3.1)
    page.told([], True, 3.25)
    assert seen(page) == Counted([500, 250])


def test_the_call_that_is_over_is_not_the_next_one() -> None:
    page = Page()
    page.joined(1.0)
    page.told(["a"], False, 1.25)
    page.left(2.0)
    page.joined(3.0)
    page.told(["a"], False, 3.25)
    assert seen(page) == Counted([250, 198000, 197000], superseded=1, missed=1)
    page.told(["b"], False, 4.0)
    assert seen(page) == Counted([250, 2000, 1000], superseded=1)


def test_a_page_that_knows_it_sooner_than_who_listens_is_not_late() -> None:
    page = Page()
    page.told(["a"], False, 0.99)
    page.joined(1.0)
    page.told([], True, 1.99)
    page.left(2.0)
    assert seen(page) == Counted([0, 0])


def test_one_that_the_next_one_supersedes_is_as_late_as_that_one_and_not_missed() -> None:
    page = Page()
    talked(page, "a", 1.0)
    page.joined(3.0)
    page.left(4.0)
    page.joined(5.0)
    page.told(["c"], False, 5.25)
    # the second one's end was not to be seen: the page has shown no call all the time
    assert seen(page) == Counted([20, 20, 1000, 0, 250], superseded=1)
    page.left(6.0)
    page.joined(7.0)
    page.left(8.0)
    page.told([], True, 8.25)
    assert seen(page) == Counted([20, 20, 1000, 0, 250, 2250, 1250, 250], superseded=3)


def test_one_that_never_comes_is_missed_and_as_late_as_it_is_by_then() -> None:
    page = Page()
    page.joined(1.0)
    assert seen(page, now=51.0) == Counted([50000], missed=1)
    page.told(["a"], False, 52.0)
    assert seen(page, now=60.0) == Counted([51000], missed=1), "behind the limit it is too late"
    page.left(60.0)
    page.joined(61.0)
    # who came before it on the same page was superseded, and has waited as long at least
    assert seen(page, now=91.0) == Counted([51000, 31000, 30000], superseded=1, missed=2)


@pytest.mark.parametrize(("lag", "missed"), [(10.0, 0), (10.1, 1)])
def test_the_limit(lag: float, missed: int) -> None:
    page = Page()
    page.joined(1.0)
    page.told(["a"], False, 1.0 + lag)
    assert seen(page) == Counted([lag * 1000], missed=missed)
    page.left(30.0)
    page.joined(30.0 + lag)
    page.told(["b"], False, 30.0 + lag)
    # superseded as late as that, it was missed as well
    assert seen(page) == Counted([lag * 1000, lag * 1000, 0], superseded=1 - missed, missed=2 * missed)


def test_those_of_the_time_that_is_measured_are_counted_whenever_they_are_shown() -> None:
    page = Page()
    for call, begun in (("a", 8.9), ("b", 10.0), ("c", 18.9), ("d", 20.0)):
        talked(page, call, begun)
    assert seen(page, since=10.0, end=19.9) == Counted([20, 20, 20])
    assert page.settled(30.0)
    page.joined(25.0)
    assert page.settled(25.0) and not page.settled(25.1)


def test_the_slow_ones_are_in_the_quantiles() -> None:
    found = Counted([*range(1, 100), 5000.0])
    assert (found.quantile(0.5), found.quantile(0.99), found.longest) == (51, 5000, 5000)
    # where nothing has changed, nothing was in time
    assert Counted().quantile(0.99) == Counted().longest == float("inf")
