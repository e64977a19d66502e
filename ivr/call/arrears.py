"""Rows of calls that have ended, and that could not be written: they are written when that can be done again.

A worker keeps them in its memory, with all they tell of. The call's record stays in the store until its row stands, so
that another worker writes it where this one does not live to do so, or has no room for more. Whoever comes second
changes nothing: the rows of one round are told once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from structlog.typing import FilteringBoundLogger

from ivr.call.outcome import Status
from ivr.call.ports import Clock, Entry, Live, Trail
from ivr.call.progress import Progress
from ivr.errors import Unavailable

# How often it is tried, in seconds.
_EVERY_SECONDS = 1.0
# So that what gathered while the database was away does not stand in the calls' way when it is back.
_AT_ONCE = 200
# About 20 megabytes.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Told:
    """How a round ended: its row, and the one for the case that there is a row already, and that it is `verified`."""

    row: Entry
    void: Entry | None = None

    async def write(self, trail: Trail) -> str:
        """The outcome that stands. Raises `StoreError`."""
        stands = await trail.append(self.row)
        if self.void is not None and stands == Status.VERIFIED.value:
            await trail.append(self.void)
        return stands


@dataclass(frozen=True, slots=True)
class Owed:
    """What is still to be told of a call, its record, since when, and whether all of it is `noted` in the record."""

    told: Told
    progress: Progress
    since: float
    noted: bool


class Arrears:
    """Use it with `async with`: at the end it is tried once more, and what is left then is another worker's."""

    def __init__(self, trail: Trail, live: Live, *, clock: Clock, log: FilteringBoundLogger, most: int = _MOST) -> None:
        """`most`: how many rows are kept in memory."""
        self._trail = trail
        self._live = live
        self._clock = clock
        self._log = log
        self._most = most
        self._owed: dict[str, Owed] = {}
        self._some = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keep(), name="arrears")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._keeping is not None
        self._keeping.cancel()
        await asyncio.wait([self._keeping])
        await self._settle(last=True)
        if self._owed:
            self._log.error("audit.left", rows=len(self._owed))

    def owe(self, told: Told, progress: Progress, *, noted: bool) -> bool:
        """Write this as soon as that can be done, and then end the call's record; whether there is room for it.

        `noted`: the record says so. Else there may be none.
        """
        if len(self._owed) >= self._most:
            return False
        self._owed[progress.holder] = Owed(told, progress, self._clock(), noted)
        self._some.set()
        return True

    def channels(self, node: str, app: str) -> AbstractSet[str]:
        """Those of whose calls something is owed here: their records are nobody else's yet."""
        of = (owed.progress for owed in self._owed.values())
        return {progress.channel for progress in of if (progress.node, progress.app) == (node, app)}

    # ------------------------------------------------------------ inside

    async def _keep(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(_EVERY_SECONDS)
            await self._settle()
            if not self._owed:
                self._some.clear()

    async def _settle(self, *, last: bool = False) -> None:
        """Some at once, until some cannot be written; the `last` time, until none can, those first that are only here."""
        if last:
            self._owed = dict(sorted(self._owed.items(), key=lambda item: item[1].noted))
        while some := list(self._owed.items())[:_AT_ONCE]:
            done = await asyncio.gather(*(self._pay(owed, last=last and not owed.noted) for _, owed in some))
            for (holder, owed), paid in zip(some, done, strict=True):
                del self._owed[holder]
                if not paid:
                    # behind the others: one that can never be written keeps nobody waiting
                    self._owed[holder] = owed
            if not (any(done) if last else all(done)):
                return

    async def _pay(self, owed: Owed, *, last: bool) -> bool:
        progress = owed.progress
        try:
            # A worker that hung may find that another one goes on with the call, and tells of it.
            if not await self._elsewhere(progress, last=last):
                stands = await owed.told.write(self._trail)
                seconds = round(self._clock() - owed.since, 1)
                self._log.warning("audit.late", call=progress.channel, outcome=stands, seconds=seconds)
        except Unavailable:
            return False
        with suppress(Unavailable):
            # else the store ends it when it is back
            await self._live.end(progress)
        return True

    async def _elsewhere(self, progress: Progress, *, last: bool) -> bool:
        """Whether another session tells of this round. Raises `Unavailable` where the store does not say; the `last` time it is no then."""
        try:
            return await self._live.elsewhere(progress)
        except Unavailable:
            if not last:
                raise
            # Should another worker go on with the call all the same, it finds this row, and marks nobody.
            return False
