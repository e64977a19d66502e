"""Whether the wall clock can be believed, before what is old by it is deleted for ever.

A clock that jumps ahead by a year would make everything old. No clock can say of itself that it is wrong; but the trail
says when it was signed last, and the machine how long it runs. Where the wall clock is far ahead of either, nothing is
deleted until it has gone on evenly for a day, in which whoever keeps it sets it right. The trail has a row of each such
jump, so that a worker that starts anew meanwhile waits as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import select

from ivr.audit.chain import stamp, utc_now
from ivr.audit.table import AUDIT
from ivr.audit.trail import Trail
from ivr.call.ports import Entry
from ivr.database import Database

SETTLED = timedelta(days=1)
"""How long a clock that has jumped must go on evenly; and how long no worker may have run for it to be no jump."""

# More than NTP sets a clock by while it runs, and than a machine loses while it is moved to another host.
_STEP = timedelta(minutes=5)

_ACTION = "audit.clock"


def _uptime() -> timedelta:
    """Goes on while the machine is suspended, and when its clock is set."""
    return timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME))


class Steady:
    """Ask `held` each time before something is deleted."""

    def __init__(
        self, database: Database, trail: Trail, *,
        clock: Callable[[], datetime] = utc_now, uptime: Callable[[], timedelta] = _uptime,
    ) -> None:  # fmt: skip
        self._database = database
        self._trail = trail
        self._clock = clock
        self._uptime = uptime
        self._looked: tuple[datetime, timedelta] | None = None
        self._since: timedelta | None = None

    async def held(self) -> timedelta | None:
        """How long nothing may be deleted from now on; nothing where the clock is good. Raises `StoreError`."""
        now, up = self._clock(), self._uptime()
        if self._looked is None:
            jumped = await self._begin(now, up)
        else:
            due = self._looked[0] + (up - self._looked[1])
            jumped = due if abs(now - due) > _STEP else None
        if jumped is not None:
            detail = {"due": stamp(jumped), "clock": stamp(now)}
            await self._trail.append(Entry("worker", _ACTION, "held", detail=detail))
            self._since = up
        self._looked = now, up
        if self._since is None or up - self._since >= SETTLED:
            return None
        return SETTLED - (up - self._since)

    async def _begin(self, now: datetime, up: timedelta) -> datetime | None:
        """When the trail was signed last before this worker came, where that is long ago."""
        latest = select(AUDIT.c.at).where(
            AUDIT.c.at > stamp(now - SETTLED), AUDIT.c.at <= stamp(now), AUDIT.c.action == _ACTION
        )
        async with self._database.read() as connection:
            row = (await connection.execute(latest.order_by(AUDIT.c.at.desc()).limit(1))).one_or_none()
        if row is not None:
            # of a worker before this one; the clock that it saw is the one that goes on now
            self._since = up - (now - datetime.fromisoformat(row.at))
        left = self._trail.left
        return left if left is not None and now - left > SETTLED else None
