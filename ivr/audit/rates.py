"""How verifications end, by policy, in the last hour and day: counted from the audit trail."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import orjson
from sqlalchemy import Connection, select

from ivr.audit.chain import stamp, utc_now
from ivr.audit.table import AUDIT
from ivr.database import Database

VERIFY = "verify"
# Rows of a writer are stamped before they are written, and some wait for a database that is away: so far back is counted anew.
_SETTLED = timedelta(minutes=3)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
# `2026-11-23T01:49`
_MINUTE = 16
# SQLite before 3.32 takes 999 values in a statement.
_AT_ONCE = 500

Tally = Mapping[tuple[str, str], int]
"""Rounds, by policy and by how they ended (`call.outcome.Status`)."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Of the last hour, and of the last day, to the minute."""

    hour: Tally
    day: Tally


@dataclass(frozen=True, slots=True)
class Round:
    """Who was verified in a call's latest round, as the trail has it: a reference, and a number that is masked."""

    ref: str
    number: str


class Rounds:
    """What is asked of the trail's rows of verifications. Each method raises `StoreError`."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock
        # by minute: what is long past does not change, and a day may have many rows
        self._minutes: dict[str, Counter[tuple[str, str]]] = {}
        self._through: datetime | None = None
        self._counting = asyncio.Lock()

    async def rates(self) -> Rates:
        """As of now."""
        async with self._counting:
            now = self._clock()
            begin = now - _DAY if self._through is None else max(self._through - _SETTLED, now - _DAY)
            found = await self._database.look_up(lambda connection: _counted(connection, stamp(begin)[:_MINUTE]))
            for minute in [one for one in self._minutes if one >= stamp(begin)[:_MINUTE]]:
                del self._minutes[minute]
            self._minutes.update(found)
            self._through = now
            first = stamp(now - _DAY)[:_MINUTE]
            for minute in [one for one in self._minutes if one <= first]:
                del self._minutes[minute]
            return Rates(self._since(now - _HOUR), self._since(now - _DAY))

    async def of(self, calls: Collection[str]) -> Mapping[str, Round]:
        """The latest round of each of these calls (unique ids of channels); one of which nothing is told is missing."""
        wanted = sorted(set(calls))
        found: dict[str, Round] = {}
        for at in range(0, len(wanted), _AT_ONCE):
            some = wanted[at : at + _AT_ONCE]
            found |= await self._database.look_up(partial(_rounds, calls=some))
        return found

    def _since(self, begin: datetime) -> Tally:
        first = stamp(begin)[:_MINUTE]
        total: Counter[tuple[str, str]] = Counter()
        for minute, counts in self._minutes.items():
            if minute > first:
                total += counts
        return dict(total)


def _counted(connection: Connection, begin: str) -> dict[str, Counter[tuple[str, str]]]:
    query = select(AUDIT.c.at, AUDIT.c.outcome, AUDIT.c.detail).where(AUDIT.c.at >= begin, AUDIT.c.action == VERIFY)
    found: dict[str, Counter[tuple[str, str]]] = {}
    for at, outcome, detail in connection.execute(query):
        found.setdefault(at[:_MINUTE], Counter())[told(detail).get("policy", ""), outcome] += 1
    return found


def _rounds(connection: Connection, calls: list[str]) -> dict[str, Round]:
    query = select(AUDIT.c.call, AUDIT.c.subject, AUDIT.c.detail)
    query = query.where(AUDIT.c.call.in_(calls), AUDIT.c.action == VERIFY).order_by(AUDIT.c.at)
    return {call: Round(subject, told(detail).get("number", "")) for call, subject, detail in connection.execute(query)}


def told(detail: str) -> dict[str, str]:
    """A row that somebody has changed may hold anything: `audit verify` finds it, and nothing is counted by it."""
    try:
        found = orjson.loads(detail or "{}")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
