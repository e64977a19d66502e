"""The log: one line a transition, ids and words. What a caller keyed cannot get in: it is a `Secret`."""

from __future__ import annotations

import asyncio
import atexit
import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import FilteringBoundLogger, Processor

from ivr.config import Log


def setup(settings: Log, heard: Processor | None = None) -> FilteringBoundLogger:
    """Begin to log to standard output. Libraries are heard from WARNING on: below that they print what they carry.

    `heard` is shown each line from INFO on, also where the settings' level leaves it out.
    """
    level = least = logging.getLevelNamesMapping()[settings.level]
    processors: list[Any] = [structlog.contextvars.merge_contextvars]
    if heard is not None:
        least = min(level, logging.INFO)
        processors += [heard] if least == level else [heard, _from(level)]
    processors += [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    if settings.format == "json":
        processors.append(structlog.processors.JSONRenderer(serializer=_line))
    elif sys.stdout.isatty():
        processors.append(structlog.dev.ConsoleRenderer(timestamp_key="at"))
    else:
        processors.append(_text)
    if isinstance(sys.stdout, TextIOWrapper):
        # a line that the locale cannot write would take all lines of its turn along
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    lines = _Lines(sys.stdout)
    atexit.register(lines.flush)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(_OfLibraries() if settings.format == "json" else logging.Formatter(_FORMAT))
    logging.basicConfig(handlers=[libraries], level=logging.WARNING, force=True)
    log: FilteringBoundLogger = structlog.get_logger()
    return log


_FORMAT = "%(name)s: %(levelname)s: %(message)s"


class _OfLibraries(logging.Formatter):
    """What a library says, and Python of a fault, as a line like all others: whoever reads the log reads JSON."""

    def format(self, record: logging.LogRecord) -> str:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        at = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        # some carry bytes that are no text as what JSON cannot have
        text = super().format(record).encode(errors="backslashreplace").decode()
        said = {"event": "library", "level": level, "at": at, "library": record.name, "text": text}
        return _line({**structlog.contextvars.get_contextvars(), **said})


def _from(level: int) -> Processor:
    """Drops the lines below this level."""
    levels = logging.getLevelNamesMapping()

    def drop(_: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if levels[method.upper()] < level:
            raise structlog.DropEvent
        return event

    return drop


class _Lines:
    """Writes the lines of one turn of the event loop at once: each write costs as much as all that made its line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._waiting: list[str] = []

    def msg(self, line: str) -> None:
        """Take a line; outside of an event loop it is written now."""
        self._waiting.append(line)
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:
                self.flush()

    debug = info = warning = error = critical = msg

    def flush(self) -> None:
        """Write what waits."""
        lines, self._waiting = self._waiting, []
        if lines:
            self._file.write("\n".join(lines) + "\n")
            self._file.flush()


def _line(event: dict[str, Any], **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


def _text(_logger: object, _method: str, event: dict[str, Any]) -> str:
    """A line for people, as structlog's own renderer has it; that one pads and colours, and costs ten times as much."""
    head = f"{event.pop('at')} [{event.pop('level'):<7}] {event.pop('event')}"
    return " ".join([head, *(f"{name}={_word(event[name])}" for name in sorted(event))])


def _word(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text else repr(text)
