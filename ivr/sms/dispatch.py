"""A text until it has arrived: where a gateway's word of it is awaited in vain, the next one sends it, and at last a call tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ivr.call.outcome import Budget
from ivr.call.ports import Aloud, Deliveries, Delivery, Handed, Heard, Report, Texts, Voice
from ivr.errors import TextError, Unavailable
from ivr.numbers import Range, landline
from ivr.secret import Personal, Secret

VOICE = "voice"
"""What a call is named beside the gateways."""


class Budgets(Protocol):
    """`ivr.store.budgets.Budgets`."""

    async def spend(self, range: Range, parts: int) -> Budget | None: ...


class Dispatch:
    """Implements `ports.Dispatch`.

    A gateway that never reports is believed: nobody would know whether the person has the text already. A second text, or a
    call, is paid for as the first one was, and counted so.
    """

    def __init__(
        self, texts: Texts, deliveries: Deliveries, budgets: Budgets, gateways: Sequence[str], seconds: float,
        log: FilteringBoundLogger, *, voice: Voice | None = None, voice_seconds: float = 0.0,
    ) -> None:  # fmt: skip
        """`gateways`: their names; `seconds`: after which a text that has not been reported as delivered is sent by another one.

        `voice`: who calls, where nothing is left to send it by, behind its `voice_seconds`.
        """
        self._texts = texts
        self._deliveries = deliveries
        self._budgets = budgets
        self._gateways = frozenset(gateways)
        self._seconds = seconds
        self._log = log
        self._voice = voice
        self._voice_seconds = voice_seconds

    def range_of(self, to: Personal) -> Range | None:
        """As of `Texts`."""
        return self._texts.range_of(to)

    def parts(self, text: Secret) -> int:
        """As of `Texts`."""
        return self._texts.parts(text)

    async def send(self, to: Personal, text: Secret) -> Handed:
        """As of `Texts`: by the first gateway that takes it; to be followed then."""
        return await self._texts.send(to, text)

    def calls(self, to: Personal) -> bool:
        """As `ports.Dispatch` says. Where no text may go, nobody calls either: such a number is held back as others are."""
        return self._voice is not None and landline(to) and self.range_of(to) is not None

    async def call(self, to: Personal, aloud: Aloud) -> Report:
        """As `ports.Dispatch` says. The call is counted by whoever asks for it. Cancelled, it is hung up."""
        if self._voice is None:
            return Report(VOICE, "", Delivery.FAILED)
        try:
            heard = await self._voice.tell(to, aloud.code, aloud.language)
        except Unavailable as error:
            self._log.error("voice.failed", error=str(error))
            return Report(VOICE, "", Delivery.FAILED)
        self._log.info("voice.called", result=heard.value)
        return Report(VOICE, "", Delivery.DELIVERED if heard is Heard.SAID else Delivery.UNDELIVERED, heard.value)

    async def follow(self, handed: Handed, to: Personal, text: Secret, aloud: Aloud | None = None) -> Report | None:
        """As `ports.Dispatch` says."""
        asked, latest, since = {handed.gateway}, handed, _now()
        waiting, known = {self._watch(handed)}, list[Report | None]()
        try:
            while waiting:
                patience = self._patience(asked, aloud) if latest.id is not None else None
                limit = None if patience is None else max(0.0, since + patience - _now())
                done, waiting = await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                ended = [one.result() for one in done]
                known += ended
                if (arrived := next((one for one in ended if one and one.delivery.arrived), None)) is not None:
                    return arrived
                lost = next((one for one in ended if one), None)
                if patience is None or (ended and lost is None):
                    continue
                why = lost.delivery.value if lost else "late"
                another = await self._again(to, text, asked, why) if self._gateways - asked else None
                if another is not None:
                    asked.add(another.gateway)
                    latest, since = another, _now()
                    waiting.add(self._watch(another))
                    continue
                asked |= self._gateways
                if aloud is not None and self._voice is not None and VOICE not in asked:
                    asked.add(VOICE)
                    # whoever has answered hears it to its end, also where the text arrives meanwhile
                    told = await self._told(to, aloud, why)
                    known += [] if told is None else [told]
                    if told is not None and told.delivery.arrived:
                        return told
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

    def _patience(self, asked: set[str], aloud: Aloud | None) -> float | None:
        """Seconds until something else is tried; None where nothing is left."""
        if self._gateways - asked:
            return self._seconds
        left = aloud is not None and self._voice is not None and VOICE not in asked
        return self._voice_seconds if left else None

    async def _told(self, to: Personal, aloud: Aloud, why: str) -> Report | None:
        """By a call; None where that would cost too much."""
        if not await self._paid(to, 1):
            return None
        self._log.warning("text.again", gateway=VOICE, why=why)
        return await self.call(to, aloud)

    async def _paid(self, to: Personal, parts: int) -> bool:
        """Count it; False where it may not go."""
        area = self._texts.range_of(to)
        if area is None:
            return False
        try:
            closed = await self._budgets.spend(area, parts)
        except Unavailable as error:
            self._log.error("text.not_again", error=str(error))
            return False
        if closed is not None:
            self._log.info("text.withheld", scope=closed.value)
        return closed is None

    async def _again(self, to: Personal, text: Secret, asked: set[str], why: str) -> Handed | None:
        """By another gateway; None where that is not possible, or would cost too much."""
        if not await self._paid(to, self._texts.parts(text)):
            return None
        try:
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
