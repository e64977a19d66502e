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
        self._writing: set[asyncio.Task[str]] = set()

    async def append(self, entry: Entry) -> str:
        writing = asyncio.create_task(self._write(entry))
        self._writing.add(writing)
        writing.add_done_callback(self._written)
        return await asyncio.shield(writing)

    async def _write(self, entry: Entry) -> str:
        async with self._plot.operation("trail.append"):
            for row in self.rows:
                if entry.once is not None and row.once == entry.once:
                    return row.outcome
            self.rows.append(entry)
            return entry.outcome

    def _written(self, writing: asyncio.Task[str]) -> None:
        self._writing.discard(writing)
        if not writing.cancelled():
            writing.exception()
