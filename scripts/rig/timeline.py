"""Tells a call as it happens: the worker's log and the phones' events, in words."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

_POLL = 0.02

Line = dict[str, Any]


def seconds_of(line: Line) -> float:
    """When a log line was written, on the clock of `time.monotonic()`."""
    return datetime.fromisoformat(line["at"]).timestamp() - (time.time() - time.monotonic())


def _dots(count: int) -> str:
    return "•" * count


# What each line of the worker's log says to somebody who watches; what is not here is not told.
_WORDS: dict[str, Callable[[Line], str]] = {
    "call.started": lambda line: f"call from {line['number'] or 'a withheld number'}, policy {line['policy']}",
    "subject.found": lambda line: f"customer found by the {line['by'].replace('_', ' ')}",
    "entry.asked": lambda line: f"plays {', '.join(line['prompts'])}",
    "entry.key": lambda line: f"keyed {_dots(line['keys'])}",
    "entry.interrupted": lambda line: f"{line['entry']}: keys were lost, it is asked for again",
    "step.wrong": lambda line: f"{line['step']}: wrong",
    "step.ended": lambda line: f"{line['step']}: {line['outcome']}",
    "text.sent": lambda line: "text message handed to the gateway",
    "call.verified": lambda line: f"VERIFIED at level {line['assurance']} by {' and '.join(line['methods'])}",
    "call.refused": lambda line: f"{line['status'].upper()}: no mark",
    "call.handed_back": lambda line: f"back to the dialplan as {line['status']}",
    "agent.ringing": lambda line: f"calls {line['endpoint']}",
    "agent.answered": lambda line: f"{line['endpoint']} answers: bridged",
    "agent.missed": lambda line: f"{line['endpoint']}: {line['why'].replace('_', ' ')}",
    "mark.dropped": lambda line: "mark dropped",
    "call.hung_up": lambda line: f"caller has hung up (phase: {line['phase']})",
    "call.unavailable": lambda line: f"UNAVAILABLE in {line['phase']}: {line['error']}",
    "call.ended": lambda line: "call ended",
}


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
            words = _WORDS.get(line["event"])
            if words is not None:
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
