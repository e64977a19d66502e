"""Takes marks away that came to nothing, and tells the trail so; what a part that is down keeps back is done by the way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ivr.call.mark import Mark
from ivr.call.ports import Entry, Trail
from ivr.errors import Unavailable

EVERY = 2.0
"""Seconds between two tries of what could not be done."""


class Marks(Protocol):
    async def take_away(self, mark: Mark) -> bool:
        """Remove this very mark; False where it does not stand. Raises `StoreError`."""
        ...


@dataclass(slots=True)
class Owed:
    """`mark`: None where that is taken away already, or has never been there; `row`: what the trail is told of it."""

    mark: Mark | None
    row: Entry
    proof: str


class Undoing:
    """One desk's. Whoever dies in between leaves the mark to the workers, who sweep those that no channel's variables tell of."""

    def __init__(self, marks: Marks, trail: Trail, log: FilteringBoundLogger, every: float = EVERY) -> None:
        """`every`: seconds between two tries."""
        self._marks = marks
        self._trail = trail
        self._log = log
        self._every = every
        self._owed: dict[asyncio.Task[None], Owed] = {}

    async def undo(self, owed: Owed) -> bool:
        """Whether the mark stood, as far as that is known now. Raises nothing."""
        taken = False
        try:
            taken = await self._taken(owed)
            await self._trail.append(owed.row)
        except Unavailable as error:
            self._log.error("back.failed", proof=owed.proof, error=str(error))
            task = asyncio.create_task(self._go_on(owed), name="undoing")
            self._owed[task] = owed
            task.add_done_callback(self._ended)
        return taken

    async def close(self) -> None:
        """Try once more what is left."""
        owed = dict(self._owed)
        for task in owed:
            task.cancel()
        await asyncio.gather(*owed, return_exceptions=True)
        for one in (one for task, one in owed.items() if task.cancelled()):
            if not await self._done(one):
                self._log.error("back.failed", proof=one.proof, error="the trail is not told that there is no mark")

    # ------------------------------------------------------------ inside

    async def _taken(self, owed: Owed) -> bool:
        if owed.mark is None:
            return False
        taken = await self._marks.take_away(owed.mark)
        owed.mark = None
        return taken

    async def _done(self, owed: Owed) -> bool:
        try:
            await self._taken(owed)
            await self._trail.append(owed.row)
        except Unavailable:
            return False
        return True

    async def _go_on(self, owed: Owed) -> None:
        while True:
            await asyncio.sleep(self._every)
            if await self._done(owed):
                return

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._owed.pop(task, None)
