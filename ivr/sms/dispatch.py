"""A text until it has arrived: where a gateway's word of it is awaited in vain, the next one sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ivr.call.outcome import Budget
from ivr.call.ports import Deliveries, Handed, Report, Texts
from ivr.errors import TextError, Unavailable
from ivr.numbers import Range
from ivr.secret import Personal, Secret


class Budgets(Protocol):
    """`ivr.store.budgets.Budgets`."""

    async def spend(self, range: Range, parts: int) -> Budget | None: ...


class Dispatch:
    """Implements `ports.Dispatch`.

    A gateway that never reports is believed: nobody would know whether the person has the text already. A second text is
    paid for as the first one was, and counted so.
    """

    def __init__(
        self, texts: Texts, deliveries: Deliveries, budgets: Budgets, gateways: Sequence[str], seconds: float,
        log: FilteringBoundLogger,
    ) -> None:  # fmt: skip
        """`gateways`: their names; `seconds`: after which a text that has not been reported as delivered is sent by another one."""
        self._texts = texts
        self._deliveries = deliveries
        self._budgets = budgets
        self._gateways = frozenset(gateways)
        self._seconds = seconds
        self._log = log

    def range_of(self, to: Personal) -> Range | None:
        """As of `Texts`."""
        return self._texts.range_of(to)

    def parts(self, text: Secret) -> int:
        """As of `Texts`."""
        return self._texts.parts(text)

    async def send(self, to: Personal, text: Secret) -> Handed:
        """As of `Texts`: by the first gateway that takes it; to be followed then."""
        return await self._texts.send(to, text)

    async def follow(self, handed: Handed, to: Personal, text: Secret) -> Report | None:
        """As `ports.Dispatch` says."""
        asked, latest = {handed.gateway}, handed
        ends = _now() + self._seconds
        waiting, known = {self._watch(handed)}, list[Report | None]()
        try:
            while waiting:
                doubts = latest.id is not None and bool(self._gateways - asked)
                limit = max(0.0, ends - _now()) if doubts else None
                done, waiting = await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                ended = [one.result() for one in done]
                known += ended
                if (arrived := next((one for one in ended if one and one.delivery.arrived), None)) is not None:
                    return arrived
                lost = next((one for one in ended if one), None)
                if not doubts or (ended and lost is None):
                    continue
                another = await self._again(to, text, asked, lost.delivery.value if lost else "late")
                asked |= self._gateways if another is None else {another.gateway}
                if another is not None:
                    latest, ends = another, _now() + self._seconds
                    waiting.add(self._watch(another))
            # it is lost where it is at every gateway that has taken it
            return None if None in known else known[-1]
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    # ------------------------------------------------------------ inside

    def _watch(self, handed: Handed) -> asyncio.Task[Report | None]:
        return asyncio.create_task(self._reported(handed))

    async def _reported(self, handed: Handed) -> Report | None:
        """That it has arrived, or never will; None where nobody says."""
        async with aclosing(self._deliveries.expect(handed)) as reports:
            async for report in reports:
                if report.delivery.arrived or report.delivery.lost:
                    return report
        return None

    async def _again(self, to: Personal, text: Secret, asked: set[str], why: str) -> Handed | None:
        """By another gateway; None where that is not possible, or would cost too much."""
        area = self._texts.range_of(to)
        if area is None:
            return None
        try:
            closed = await self._budgets.spend(area, self._texts.parts(text))
            if closed is not None:
                self._log.info("text.withheld", scope=closed.value)
                return None
            self._log.warning("text.again", gateway=", ".join(sorted(asked)), why=why)
            handed = await self._texts.send(to, text, but=asked)
        except TextError:
            # each gateway's own line says it
            return None
        except Unavailable as error:
            self._log.error("text.not_again", error=str(error))
            return None
        return None if handed.nowhere else handed


def _now() -> float:
    return asyncio.get_running_loop().time()
