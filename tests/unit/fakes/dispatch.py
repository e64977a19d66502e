"""Texts that are followed until they have arrived."""

from __future__ import annotations

import asyncio

from ivr.call.ports import Aloud, Delivery, Handed, Report
from ivr.secret import Personal, Secret
from tests.unit.fakes.plot import LATENCY, Plot


class FakeDispatch:
    """Implements `ports.Dispatch`. `followed` are the ids of the texts, `over` those that nobody follows any more.

    A text's report is `report`, as soon as `came` is set; there is no other gateway. Where there are `landlines`, all are, and
    each call to one takes as many seconds as it `rings`.
    """

    def __init__(self, plot: Plot) -> None:
        self.followed: list[tuple[str | None, str, str]] = []
        self.over: list[str | None] = []
        self.came = asyncio.Event()
        self.report: Report | None = None
        self.aloud: list[Aloud | None] = []
        self.landlines = False
        self.rings = LATENCY
        self.called: list[tuple[str, str, str]] = []
        self._plot = plot

    def calls(self, to: Personal) -> bool:
        return self.landlines

    async def call(self, to: Personal, aloud: Aloud) -> Report:
        self.called.append((to.reveal(), aloud.code.reveal(), aloud.language))
        async with self._plot.operation("dispatch.call", seconds=self.rings):
            return Report("voice", "", Delivery.DELIVERED)

    async def follow(self, handed: Handed, to: Personal, text: Secret, aloud: Aloud | None = None) -> Report | None:
        self.aloud.append(aloud)
        self.followed.append((handed.id, to.reveal(), text.reveal()))
        try:
            async with self._plot.operation("dispatch.follow"):
                await self.came.wait()
                return self.report
        finally:
            self.over.append(handed.id)
