"""Tells a call as it happens: the worker's log and the phones' events, in words."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from ivr.cli.told import WORDS, Line, words

_POLL = 0.02


def seconds_of(line: Line) -> float:
    """When a log line was written, on the clock of `time.monotonic()`."""
    return datetime.fromisoformat(line["at"]).timestamp() - (time.time() - time.monotonic())


class Timeline:
    """Follows a worker's log from where it stands; `show` gets seconds since the call began, who, and what."""

    def __init__(self, log_file: Path, show: Callable[[float, str, str], None]) -> None:
        self._file = log_file
        self._show = show
        self._position = log_file.stat().st_size
        self._began: float | None = None
        self.lines: list[Line] = []

    def say(self, who: str, what: str, at: float | None = None) -> None:
        """Add what a phone or a person does."""
        now = time.monotonic() if at is None else at
        if self._began is None:
            self._began = now
        self._show(now - self._began, who, what)

    async def follow(self) -> None:
        """Tell the log's lines as they come, until cancelled."""
        while True:
            self.catch_up()
            await asyncio.sleep(_POLL)

    def catch_up(self) -> None:
        """Tell the lines that have come."""
        with self._file.open("rb") as opened:
            opened.seek(self._position)
            whole, _, _ = opened.read().rpartition(b"\n")
        self._position += len(whole) + bool(whole)
        for text in whole.splitlines():
            line = json.loads(text)
            self.lines.append(line)
            if line["event"] in WORDS:
                self.say("tillit", words(line), seconds_of(line))

    def find(self, event: str, **fields: object) -> list[Line]:
        """The lines of this kind so far, with these fields."""
        return [line for line in self.lines if line["event"] == event and _has(line, fields.items())]

    async def until(self, event: str, count: int = 1, limit: float = 30.0, **fields: object) -> Line:
        """Wait for the so-many-th line of this kind."""
        try:
            async with asyncio.timeout(limit):
                while len(found := self.find(event, **fields)) < count:
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            raise TimeoutError(f"waited {limit:g} s in vain for {event} {fields or ''}; see {self._file}") from None
        return found[count - 1]


def _has(line: Line, fields: Iterable[tuple[str, object]]) -> bool:
    return all(line.get(name) == value for name, value in fields)
