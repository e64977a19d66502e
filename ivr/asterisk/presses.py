"""Which keys that Asterisk tells of are pressed, and which are told a second time."""

from __future__ import annotations

from ivr.secret import Secret

# Asterisk puts off a key that comes while it lengthens the one before to 80 ms, or within 45 ms behind that (AST_MIN_DTMF_GAP), and
# tells of it again: 20 to 92 ms later as measured with tones and pauses of 60 ms, and of 100 and 20. Each of a bunch may wait longer than
# the one before it: with 60 and 20 it is 105 ms from the eighth on. No larger number helps there, for it would swallow the same key
# pressed again, which came behind 119 ms with 60 and 60.
_AGAIN = 0.1


class Presses:
    """Those of one channel."""

    def __init__(self) -> None:
        self._latest: list[tuple[Secret, float]] = []

    def count(self, digit: Secret, at: float | None) -> bool:
        """Whether this is a key pressed. `at`: by Asterisk's clock, in seconds; without it every one is."""
        if at is None:
            return True
        # by its own clock: what waits on the way here comes at once
        self._latest = [(key, then) for key, then in self._latest if 0 <= at - then < _AGAIN]
        if any(key == digit for key, _ in self._latest):
            return False
        self._latest.append((digit, at))
        return True
