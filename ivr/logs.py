"""The log: one line a transition, ids and words. What a caller keyed cannot get in: it is a `Secret`."""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

from ivr.config import Log


def setup(settings: Log) -> FilteringBoundLogger:
    """Begin to log to standard output. Libraries are heard from WARNING on: below that they print what they carry."""
    level = logging.getLevelNamesMapping()[settings.level]
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    if settings.format == "json":
        processors.append(structlog.processors.JSONRenderer(serializer=_line))
        factory: Any = structlog.WriteLoggerFactory(sys.stdout)
    else:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), timestamp_key="at"))
        factory = structlog.PrintLoggerFactory(sys.stdout)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(levelname)s: %(message)s", force=True
    )
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def _line(event: dict[str, Any], **_: object) -> str:
    return orjson.dumps(event, default=str).decode()
