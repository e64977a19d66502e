"""How long what is asked of a part takes, how much waits for it, and why it fails."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from types import TracebackType
from typing import Protocol

from ivr.errors import AriError, Unavailable

FAULTS = ("no_answer", "refused", "gone", "failed")
"""Why a request failed. `gone`: Asterisk's 404, which is usual when a caller hangs up; `failed`: what a store says."""


class Seconds(Protocol):
    """As much of a histogram as is needed."""

    def observe(self, amount: float) -> None: ...


class Count(Protocol):
    """As much of a counter as is needed."""

    def inc(self) -> None: ...


class Part:
    """Implements `ports.Timed`: `with part(): …` around each request. Costs about a microsecond."""

    __slots__ = ("faults", "name", "node", "seconds", "waiting")

    def __init__(self, name: str, node: str, seconds: Seconds, faults: Mapping[str, Count]) -> None:
        """`faults` has a count for each of `FAULTS`."""
        self.name = name
        self.node = node
        self.seconds = seconds
        self.faults = faults
        self.waiting = 0

    def __call__(self) -> _Request:
        return _Request(self)


class _Request:
    __slots__ = ("_began", "_part")

    def __init__(self, part: Part) -> None:
        self._part = part
        self._began = 0.0

    def __enter__(self) -> None:
        self._part.waiting += 1
        self._began = perf_counter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        part = self._part
        part.waiting -= 1
        if error is None:
            part.seconds.observe(perf_counter() - self._began)
        elif isinstance(error, Unavailable):
            part.seconds.observe(perf_counter() - self._began)
            part.faults[_why(error)].inc()
        # else it was cut short, by a hang-up say: that is no time that the part took


def _why(error: Unavailable) -> str:
    match error:
        case AriError(status=0):
            return "no_answer"
        case AriError(status=404):
            return "gone"
        case AriError():
            return "refused"
        case _:
            return "failed"
