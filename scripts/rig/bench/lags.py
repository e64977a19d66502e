"""How late pages show what has changed, and what they never show. It asks nobody and reads no clock; times are seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Change:
    """Of what one page is to show. `superseded`: when the next one came, where that was before it was shown."""

    at: float
    superseded: float | None = None
    shown: float | None = None


class Page:
    """What one agent's page is to show, and what it shows. Who hears of a change may hear of it later than the page."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._waiting: list[Change] = []
        self._talks = False
        self._shows: frozenset[str] = frozenset()
        self._shows_none = True
        self._over: set[str] = set()

    def joined(self, at: float) -> None:
        """A caller is on the line from now on; another one each time."""
        self._changed(True, at)

    def left(self, at: float) -> None:
        """Nobody is on the line from now on."""
        self._over |= self._shows
        self._changed(False, at)

    def told(self, verified: Iterable[str], none: bool, at: float) -> None:
        """The page shows these calls as verified, or no call at all."""
        shows = frozenset(verified)
        self._over |= self._shows - shows
        self._shows, self._shows_none = shows, none
        self._settle(at)

    def settled(self, end: float) -> bool:
        """Whether all that came before `end` was shown."""
        return all(change.at >= end for change in self._waiting)

    def _changed(self, talks: bool, at: float) -> None:
        self._talks = talks
        if self._waiting:
            self._waiting[-1].superseded = at
        self._waiting.append(Change(at))
        self.changes.append(self._waiting[-1])
        self._settle(at)

    def _settle(self, at: float) -> None:
        """Where the page is right, whoever waited for an earlier change has waited until now."""
        if self._shows - self._over if self._talks else self._shows_none:
            for change in self._waiting:
                change.shown = at
            self._waiting = []


@dataclass(frozen=True)
class Counted:
    """`lags` in ms, of all changes. `superseded`: those that were never shown by themselves, for the next one came first.

    `missed`: neither shown nor superseded within the limit.
    """

    lags: list[float] = field(default_factory=list)
    superseded: int = 0
    missed: int = 0

    @property
    def longest(self) -> float:
        return max(self.lags, default=float("inf"))

    def quantile(self, share: float) -> float:
        """Infinite where nothing has changed: that is no page that is in time."""
        ordered = sorted(self.lags)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("inf")


def counted(changes: Iterable[Change], since: float, end: float, now: float, late: float) -> Counted:
    """Those that came from `since` on and before `end`. What is not shown `now` is as late as it is by now; `late` is the limit."""
    lags: list[float] = []
    superseded = missed = 0
    for change in changes:
        if not since <= change.at < end:
            continue
        lag = (now if change.shown is None else change.shown) - change.at
        lags.append(lag * 1000)
        if change.superseded is not None and change.superseded - change.at <= late:
            superseded += 1
        elif change.shown is None or lag > late:
            missed += 1
    return Counted(lags, superseded, missed)
