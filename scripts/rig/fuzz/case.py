"""What a target is, what a finding is, and what cases that wait run on."""

from __future__ import annotations

import asyncio
import selectors
import signal
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, NoReturn, Protocol, TypeVar

import structlog
from structlog.typing import FilteringBoundLogger

from rig.fuzz.source import Source

T = TypeVar("T")

# Seconds of a processor, for a run that takes a millisecond: in what takes longer other calls would wait.
LIMIT = 5.0


class Finding(AssertionError):
    """What must not come of any input."""


class HangError(BaseException):
    """A case does not end. Not an `Exception`: what is fuzzed catches those."""


class Target(Protocol):
    """One way in for bad input."""

    name: ClassVar[str]
    allowed: ClassVar[str]
    """What may come of it, for the documentation."""

    def run(self, source: Source) -> int:
        """One run with these bytes; how many cases that was. Raises whatever is not allowed."""
        ...


def quiet(error: BaseException | str, secrets: Iterable[str]) -> None:
    """An error that is allowed, and a log's line, hold nothing of what was to be kept secret."""
    text = str(error)
    if isinstance(error, BaseException):
        # what a traceback would show as well
        text += f" {error.__cause__} {'' if error.__suppress_context__ else error.__context__}"
    for secret in secrets:
        if secret in text:
            raise Finding(f"a secret in {type(error).__name__}")


class Limited:
    """`with Limited():` what works longer than `LIMIT` raises `HangError`, wherever it is."""

    def __enter__(self) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _hangs(_: int, __: FrameType | None) -> NoReturn:
    raise HangError(f"it has not ended after {LIMIT} s")


def watch() -> None:
    """Before the first `Limited`."""
    signal.signal(signal.SIGVTALRM, _hangs)


# ---------------------------------------------------------------- time that costs nothing


class _Jump(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # nothing here is a socket; so where no time is waited for, everybody waits for ever
        if timeout is None:
            raise Finding("it waits for what never comes")
        self.now += max(timeout, 0.0)
        return []


class Loop(asyncio.SelectorEventLoop):
    """Waits for nobody: when there is nothing to do, time jumps to the next appointment. What fails unheard is a finding."""

    def __init__(self) -> None:
        self._jump = _Jump()
        self.unheard: BaseException | None = None
        super().__init__(self._jump)
        self.set_exception_handler(self._failed)

    def time(self) -> float:
        return self._jump.now

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.unheard = context.get("exception") or Finding(context["message"])


class Timeless:
    """Runs coroutines on such a loop; a new one after a finding."""

    def __init__(self) -> None:
        self._loop: Loop | None = None

    def time(self) -> float:
        """Seconds, of the loop; `time.monotonic` for what runs on it."""
        return 0.0 if self._loop is None else self._loop.time()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result; raises what it raises, and what any task of it raised that nobody has heard of."""
        loop = self._loop
        if loop is None:
            loop = self._loop = Loop()
            asyncio.set_event_loop(loop)
        whole = False
        try:
            result = loop.run_until_complete(work)
            left = asyncio.all_tasks(loop)
            if left:
                raise Finding(f"left running: {min(str(task.get_coro()) for task in left).partition(' at ')[0]}")
            if loop.unheard is not None:
                raise loop.unheard
            whole = True
            return result
        finally:
            if not whole:
                self._loop = None
                loop.set_exception_handler(lambda *_: None)
                # what is left belongs to no run any more
                for task in asyncio.all_tasks(loop):
                    task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own way to say so
                loop.close()


def memory() -> str | None:
    """A folder in memory, for files of a case; None where there is none."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def logger(secrets: Iterable[str], heard: Callable[[Mapping[str, Any]], None] = lambda _: None) -> FilteringBoundLogger:
    """A log at DEBUG that is looked through for these, and kept nowhere. `heard` may find more in a line."""
    kept = tuple(secrets)

    def look(_: object, __: str, event: Any) -> NoReturn:
        quiet(str(event), kept)
        if event["event"] == "task.failed" or event.get("cure") == "please report this line":
            raise Finding(f"a task failed: {event.get('error')} {str(event.get('code', '')).rpartition('/')[2]}")
        heard(event)
        raise structlog.DropEvent

    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[look],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=False,
    )
    return log
