"""Collects one entry from keys. Pure: no clock, no I/O; time comes in with each call."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ivr.secret import Secret

_HASH = Secret("#")
_STAR = Secret("*")
# More than anybody needs to begin anew: who goes on has keyed nothing.
_CLEARINGS = 8


@dataclass(frozen=True, slots=True)
class Form:
    """What an entry looks like: counts of digits, limits in seconds.

    With `least` equal to `most` the last digit ends it, else `#` or the limit between two keys.
    With `command`, two stars one after the other ask for something else.
    """

    least: int
    most: int
    first: float
    between: float
    command: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError("an entry has at least one digit, and no fewer at most than at least")


class Slip(StrEnum):
    """A slip of form: asked again, and no guess."""

    NOTHING = "nothing"
    SHORT = "short"


@dataclass(frozen=True, slots=True)
class Entered:
    """A whole entry. `full`: its length ended it, so that a `#` that still comes belongs to it."""

    digits: Secret
    full: bool


@dataclass(frozen=True, slots=True)
class Slipped:
    """Not a whole entry."""

    slip: Slip


@dataclass(frozen=True, slots=True)
class Asked:
    """Two stars: the caller asks for the other thing that the prompt offered."""


Ending = Entered | Slipped | Asked


class Collector:
    """One entry. `feed` each key, `lapse` at the `deadline`; either may return how it ended."""

    def __init__(self, form: Form, *, after_full: bool = False) -> None:
        """`after_full`: the entry before was ended by its length, so one leading `#` is its tail."""
        self._form = form
        self._digits: list[Secret] = []
        self._after_full = after_full
        self._starred = False
        self._clearings = 0
        self._deadline: float | None = None

    @property
    def deadline(self) -> float | None:
        """When `lapse` is due, on the clock of `begin` and `feed`; None before either."""
        return self._deadline

    @property
    def count(self) -> int:
        """How many digits stand."""
        return len(self._digits)

    def begin(self, now: float) -> None:
        """The prompt is over: the limit to the first key runs from here, unless a key came before."""
        if self._deadline is None:
            self._deadline = now + self._form.first

    def feed(self, key: Secret, now: float) -> Ending | None:
        """One key. A to D, and whatever is no key at all, do nothing."""
        if key.is_digit():
            return self._digit(key, now)
        if key == _STAR:
            return self._star(now)
        if key == _HASH:
            return self._hash(now)
        return None

    def lapse(self, now: float) -> Ending | None:
        """The deadline has passed: the keys so far are the entry, or a slip. None where it has not."""
        if self._deadline is None or now < self._deadline:
            return None
        return self._close()

    def _digit(self, key: Secret, now: float) -> Ending | None:
        self._starred = self._after_full = False
        self._digits.append(key)
        self._deadline = now + self._form.between
        return self._close(full=True) if len(self._digits) == self._form.most else None

    def _star(self, now: float) -> Ending | None:
        if self._form.command and self._starred:
            return Asked()
        self._starred, self._after_full = True, False
        self._digits.clear()
        self._clearings += 1
        if self._clearings > _CLEARINGS:
            return self._close()
        self._deadline = now + self._form.first
        return None

    def _hash(self, now: float) -> Ending | None:
        if self._after_full:
            self._after_full = False
            return None
        self._deadline = now
        return self._close()

    def _close(self, *, full: bool = False) -> Ending:
        if not self._digits:
            return Slipped(Slip.NOTHING)
        if len(self._digits) < self._form.least:
            return Slipped(Slip.SHORT)
        return Entered(Secret.join(self._digits), full)
