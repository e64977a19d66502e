"""What happens at which operation."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

LATENCY = 0.01
"""Seconds that any operation takes."""

Action = Callable[[], object]


@dataclass
class _Cue:
    name: str
    nth: int
    action: Action
    delay: float = 0.0
    behind: bool = False


class Plot:
    """What happens at which operation. `names` are the operations so far, such as `line.say`, in their order."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._counts: Counter[str] = Counter()
        self._cues: list[_Cue] = []
        self._faults: dict[tuple[str, int], Exception] = {}
        self._always: dict[str, Exception] = {}

    def fail(self, name: str, error: Exception, *, nth: int | None = None) -> None:
        """The operation of this name raises: always, or the n-th alone (from 1). `""`: any name."""
        if nth is None:
            self._always[name] = error
        else:
            self._faults[name, nth] = error

    def mend(self, name: str) -> None:
        """The operation fails no longer."""
        del self._always[name]

    def on(self, name: str, action: Action, *, nth: int = 1, delay: float = 0.0, behind: bool = False) -> None:
        """At the n-th operation of this name (`""`: any), before its effect or `behind` it, or so many seconds later."""
        self._cues.append(_Cue(name, nth, action, delay, behind))

    def reset(self) -> None:
        """Count from here."""
        self.names.clear()
        self._counts.clear()

    @asynccontextmanager
    async def operation(self, name: str, *, seconds: float = LATENCY) -> AsyncIterator[None]:
        self.names.append(name)
        self._counts[name] += 1
        nth, overall = self._counts[name], len(self.names)
        self._cue(name, nth, overall, behind=False)
        await asyncio.sleep(seconds)
        for key in ((name, nth), ("", overall)):
            if key in self._faults:
                raise self._faults[key]
        if name in self._always:
            raise self._always[name]
        yield
        self._cue(name, nth, overall, behind=True)
        await asyncio.sleep(0)

    def _cue(self, name: str, nth: int, overall: int, *, behind: bool) -> None:
        for cue in self._cues:
            if cue.behind == behind and (cue.name, cue.nth) in ((name, nth), ("", overall)):
                if cue.delay:
                    asyncio.get_running_loop().call_later(cue.delay, cue.action)
                else:
                    cue.action()
