"""Which new calls are taken: in a flood those that are being verified are served as before, and others are sent on at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum
from time import monotonic

from structlog.typing import FilteringBoundLogger

from ivr.config import Worker

# How often it is looked how late the event loop is.
_LOOK_SECONDS = 0.1
# Late so often in a row: once may be the machine's own hiccup, and nobody is turned away for that.
_LATE = 2
# Of calls that are turned away, a line in so many seconds: a flood must not fill the disk.
_SPARING_SECONDS = 10.0

Count = Callable[[str], None]


class Shed(StrEnum):
    """Why a call was not taken."""

    CALLS = "calls"
    RATE = "rate"
    LAG = "lag"


class Admission:
    """Asked for each new call of a worker, whichever Asterisk it comes from."""

    def __init__(
        self,
        limits: Worker,
        *,
        calls: Callable[[], int],
        running: Callable[[], int] | None = None,
        count: Count,
        log: FilteringBoundLogger,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`calls`: how many are being verified; `running`: no fewer than that, where it is known at no cost. `count` is told of each that is turned away, and why."""
        self._limits = limits
        self._calls = calls
        self._running = running or calls
        self._count = count
        self._log = log
        self._clock = clock
        # as many as a second allows may come at once
        self._tokens = float(limits.calls_per_second)
        self._filled = clock()
        self._late = 0
        self._told = -_SPARING_SECONDS
        self._untold = 0

    def admits(self) -> bool:
        """Whether a call that comes now is taken."""
        why = self._why()
        if why is None:
            self._tokens -= 1.0
            return True
        self._count(why.value)
        self._untold += 1
        if self._clock() >= self._told + _SPARING_SECONDS:
            self._log.warning("calls.shed", why=why.value, times=self._untold)
            self._told, self._untold = self._clock(), 0
        return False

    def roomy(self) -> bool:
        """Whether a call that came now would be taken; nothing is counted."""
        return self._why() is None

    def looked(self, late: float) -> None:
        """The event loop was so many seconds late."""
        self._late = self._late + 1 if late > self._limits.lag_seconds else 0

    async def watch(self) -> None:
        """Look how late the event loop is, for ever."""
        while True:
            # not the loop's own clock, which stands still while the loop does not turn
            due = self._clock() + _LOOK_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)
            self.looked(self._clock() - due)

    def _why(self) -> Shed | None:
        if self._late >= _LATE:
            return Shed.LAG
        now = self._clock()
        rate = float(self._limits.calls_per_second)
        self._tokens = min(rate, self._tokens + (now - self._filled) * rate)
        self._filled = now
        if self._tokens < 1.0:
            return Shed.RATE
        most = self._limits.calls_at_once
        if self._running() >= most and self._calls() >= most:
            return Shed.CALLS
        return None
