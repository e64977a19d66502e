"""What stands in the stores while calls are going on, and behind them."""

from __future__ import annotations

import re
import sqlite3
import threading
from contextlib import closing, suppress
from typing import Self

import redis

from rig.asterisk import Pbx
from rig.chaos.ledger import Passed, Row
from rig.stage import Stage
from rig.state import RigError

_LOOKS_SECONDS = 0.2
_SAID = re.compile(r"chaos (began|reached) (\S+) \+?(\d+) ?(\w*)")


class Marks:
    """Sees the channels of all marks that stand for longer than a moment; a context manager, in a thread of its own."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._over = threading.Event()
        self._seen: set[str] = set()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def taken(self) -> set[str]:
        """The channels seen since the last time."""
        seen, self._seen = self._seen, set()
        return seen

    def left(self) -> int:
        """How many marks, and records of calls, stand now."""
        with self._redis() as asked:
            return sum(1 for key in asked.scan_iter("*") if re.match(r"[^:]+:(mark|call):", key))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _redis(self) -> redis.Redis:
        # where it is now: another one may be the primary
        return redis.Redis.from_url(self._stage.redis.url, socket_timeout=1, decode_responses=True)

    def _watch(self) -> None:
        while not self._over.wait(_LOOKS_SECONDS):
            # Redis may be away: that is what we are here for
            with suppress(redis.RedisError), self._redis() as asked:
                found = {key.rpartition(":")[2] for key in asked.scan_iter("*:mark:*")}
                # not |= above: the set that was there before the look may have been taken meanwhile
                self._seen.update(found)


class Trail:
    """The rows of the audit trail since the last time."""

    def __init__(self, stage: Stage) -> None:
        self._file = stage.database
        self._seen: set[tuple[str, int]] = set()

    def taken(self) -> list[Row]:
        """Those of calls, in the order in which they were written."""
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as database:
            found = database.execute(
                "select chain, seq, call, outcome, action from audit where action in ('verify', 'mark.void') order by at, chain, seq"
            ).fetchall()
        new = [row for row in found if row[:2] not in self._seen]
        self._seen |= {row[:2] for row in new}
        return [Row(channel, outcome, void=action == "mark.void") for _, _, channel, outcome, action in new]


class Dialplan:
    """What the dialplan has written down since the last time."""

    def __init__(self, pbx: Pbx) -> None:
        self._pbx = pbx
        self._read = 0

    def taken(self) -> list[Passed]:
        """Each channel that came in."""
        said = self._pbx.said(self._read)
        self._read += len(said)
        passed: dict[str, Passed] = {}
        for word, channel, number, status in _SAID.findall(said):
            if word == "began" or channel in passed:
                passed[channel] = Passed(channel, number, status if word == "reached" else "")
        return list(passed.values())


def left_over(pbx: Pbx) -> int:
    """Channels and bridges that stand now."""
    try:
        return pbx.channels() + pbx.bridges()
    except RigError:
        return 1
