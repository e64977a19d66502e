"""Lines of the log that anybody on the internet can have written: they must not fill the disk."""

from __future__ import annotations

from collections import Counter

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ivr.web.visitors import Sparing

# Answers that are given before anything is looked up, or to what nobody has: no visit of a person is among many of them.
_STATUSES = frozenset({400, 404, 405, 413, 415, 421, 429})


class Spared:
    """A processor of structlog. `heard` counts each line; of refused requests one in ten seconds is written for each status.

    That one has in `left_out` how many were not.
    """

    def __init__(self, heard: Processor) -> None:
        self._heard = heard
        self._sparing = Sparing()
        self._left_out: Counter[int] = Counter()

    def __call__(self, logger: WrappedLogger, level: str, line: EventDict) -> EventDict:
        self._heard(logger, level, line)
        if line["event"] != "page.request" or (status := line["status"]) not in _STATUSES:
            return line
        if not self._sparing.may(str(status)):
            self._left_out[status] += 1
            raise structlog.DropEvent
        line["left_out"] = self._left_out.pop(status, 0)
        return line
