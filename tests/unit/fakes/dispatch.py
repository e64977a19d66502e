"""Texts that are followed until they have arrived."""

from __future__ import annotations

import asyncio

from ivr.call.ports import Handed, Report
from ivr.secret import Personal, Secret
from tests.unit.fakes.plot import Plot


class FakeDispatch:
    """Implements `ports.Dispatch`. `followed` are the ids of the texts, `over` those that nobody follows any more.

    A text's report is `report`, as soon as `came` is set; there is no other gateway.
    """

    def __init__(self, plot: Plot) -> None:
        self.followed: list[tuple[str | None, str, str]] = []
        self.over: list[str | None] = []
        self.came = asyncio.Event()
        self.report: Report | None = None
        self._plot = plot

    async def follow(self, handed: Handed, to: Personal, text: Secret) -> Report | None:
        self.followed.append((handed.id, to.reveal(), text.reveal()))
        try:
            async with self._plot.operation("dispatch.follow"):
                await self.came.wait()
                return self.report
        finally:
            self.over.append(handed.id)
