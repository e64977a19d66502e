"""A clock that moves only when everybody waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

_Ts = TypeVarTuple("_Ts")
# More than the resolution of a loop's clock, within which it does early what is due.
_LEAST = 1e-8


class StuckError(Exception):
    """Everybody waits, and nothing will ever happen."""


class _Waiting(selectors.SelectSelector):
    """Waits for nobody: when there is nothing to do, time jumps to the next appointment."""

    def __init__(self, now: float) -> None:
        super().__init__()
        self.now = now

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # no file and no signal is ever waited for, so there is nothing to ask the system about
        if timeout is None:
            raise StuckError("everybody waits for ever")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which a minute of waiting takes no time."""

    def __init__(self, now: float = 1000.0) -> None:
        self._waiting = _Waiting(now)
        super().__init__(self._waiting)

    def time(self) -> float:
        return self._waiting.now

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        # whoever is woken early finds that it is not time yet, and waits again: the clock would never move
        return super().call_at(max(when, self.time() + _LEAST), callback, *args, context=context)


def clock() -> float:
    """The time of the loop that runs."""
    return asyncio.get_running_loop().time()
