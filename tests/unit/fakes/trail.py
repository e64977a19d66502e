"""The audit trail."""

from __future__ import annotations

import asyncio

from ivr.call.ports import (
    Entry,
)
from tests.unit.fakes.plot import Plot


class FakeTrail:
    """Implements `ports.Trail`: a row that was begun is written, whoever goes away meanwhile, and what is told `once` once."""

    def __init__(self, plot: Plot) -> None:
        self.rows: list[Entry] = []
        self._plot = plot
        self._writing: set[asyncio.Task[None]] = set()

    async def append(self, entry: Entry) -> None:
        writing = asyncio.create_task(self._write(entry))
        self._writing.add(writing)
        writing.add_done_callback(self._written)
        await asyncio.shield(writing)

    async def _write(self, entry: Entry) -> None:
        async with self._plot.operation("trail.append"):
            if {row.once for row in self.rows}.isdisjoint((entry.once, *entry.unless)):
                self.rows.append(entry)

    def _written(self, writing: asyncio.Task[None]) -> None:
        self._writing.discard(writing)
        if not writing.cancelled():
            writing.exception()
