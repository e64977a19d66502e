"""What supervisors are to look at, for an hour, in Redis: persons on the line who say not to be talking with us."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import time

import orjson

from ivr.call.proof import Stage
from ivr.errors import StoreError
from ivr.store.link import Link, Script

_KEEP = Script("clock", "keep_alarm")

LIFE = 3600
"""Seconds for which one is shown."""
# More than a supervisor can look at.
_MOST = 100


@dataclass(frozen=True, slots=True)
class Alarm:
    """Somebody says not to be talking with us, or has keyed wrong digits until no try was left: while `person` was on the line.

    `id`: that of the proof; `at`: seconds since the epoch.
    """

    id: str
    person: str
    stage: Stage
    node: str
    channel: str
    at: int


class RedisAlarms:
    """Implements `lock.proofports.Alarms`. Each method is one round trip and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, wall: Callable[[], float] = time) -> None:
        self._link = link
        self._prefix = prefix
        self._wall = wall

    async def keep(self, tenant: str, alarm: Alarm) -> None:
        """Kept for an hour."""
        if await self._link.run(_KEEP, [self._key(tenant)], orjson.dumps(alarm), _MOST, LIFE * 1000) != [b"kept"]:
            raise StoreError(f"Redis gave an unknown answer to {_KEEP.name}")

    async def of(self, tenant: str) -> Sequence[Alarm]:
        """Those of the last hour, the latest first; of one proof no more than one."""
        match await self._link.ask("ZREVRANGE", self._key(tenant), 0, -1):
            case [*found]:
                alarms = {alarm.id: alarm for alarm in map(_read, reversed(found))}
            case _:
                raise StoreError("Redis gave no list of alarms")
        return [alarm for alarm in reversed(alarms.values()) if alarm.at > self._wall() - LIFE]

    def _key(self, tenant: str) -> str:
        return f"{self._prefix}:proof:alarms:{tenant}"


def _read(text: object) -> Alarm:
    try:
        found = orjson.loads(text) if isinstance(text, bytes) else {}
        return Alarm(**{**found, "stage": Stage(found["stage"])})
    except (ValueError, TypeError, KeyError):
        raise StoreError("Redis: what stands for an alarm is none") from None
