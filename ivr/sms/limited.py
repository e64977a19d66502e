"""What a caller may notice of sending: the same, whether there is a number that texts go to or not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import NOWHERE, Handed
from ivr.errors import NumberRefused, TextError
from ivr.numbers import Range, barred, range_of
from ivr.secret import Personal, Secret
from ivr.sms.length import parts

# Nothing but a text to a customer shows that the gateway is up again. A failure that no text came behind counts for no
# longer than this: else customer numbers that nobody has would go on failing where known ones would not.
_FAILURE_SECONDS = 60.0


class Sends(Protocol):
    """As much of a gateway as is needed here."""

    async def send(self, to: Personal, text: Secret, *, but: Collection[str] = ()) -> Handed: ...


class Limited:
    """A gateway that fails in time, whatever the gateway inside of it does."""

    def __init__(self, gateway: Sends, seconds: float) -> None:
        self._gateway = gateway
        self._seconds = seconds
        self._took = 0.0
        self._failed_at = -math.inf

    async def send(self, to: Personal, text: Secret, *, but: Collection[str] = ()) -> Handed:
        """As the gateway's own; raises `TextError` after so many seconds too. The text may then still arrive."""
        if but:
            return await self._again(to, text, but)
        began = _now()
        handed = NOWHERE
        try:
            async with asyncio.timeout(self._seconds):
                handed = await self._gateway.send(to, text)
        except NumberRefused:
            # The gateway works. Were this one caller told, the number would be known for that of a customer.
            pass
        except Exception as error:
            self._took, self._failed_at = _now() - began, _now()
            if isinstance(error, TimeoutError):
                raise TextError("the gateway did not take the text in time") from None
            raise
        self._took, self._failed_at = _now() - began, -math.inf
        return handed

    async def _again(self, to: Personal, text: Secret, but: Collection[str]) -> Handed:
        """A text behind one that was lost: no caller waits for it, so it is no measure of what callers notice."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._gateway.send(to, text, but=but)
        except NumberRefused:
            return NOWHERE
        except TimeoutError:
            raise TextError("the gateway did not take the text in time") from None

    async def pretend(self) -> None:
        """Takes as long as the latest text, and raises `TextError` where that one failed, not long ago."""
        failing = _now() < self._failed_at + _FAILURE_SECONDS
        await asyncio.sleep(self._took)
        if failing:
            raise TextError("the gateway did not take the latest text")


class Screened:
    """Sends no texts to numbers that cost more than they should; implements `ports.Texts`."""

    def __init__(
        self, texts: Limited, countries: Collection[str], log: FilteringBoundLogger, *, digits: int = 4
    ) -> None:
        """`digits`: how many behind the country's code make a number's prefix."""
        self._texts = texts
        self._countries = countries
        self._log = log
        self._digits = digits

    def range_of(self, to: Personal) -> Range | None:
        """The range that a text to this number is counted for; None where none goes to it."""
        found = range_of(to, self._countries, self._digits)
        return found if isinstance(found, Range) else None

    def parts(self, text: Secret) -> int:
        """How many messages the networks make of it."""
        return parts(text)

    async def send(self, to: Personal, text: Secret, *, but: Collection[str] = ()) -> Handed:
        """As of `Limited`; where no text may go to this number, none goes, and the caller notices nothing of it."""
        if (bar := barred(to, self._countries)) is None:
            return await self._texts.send(to, text, but=but)
        self._log.warning("text.barred", country=bar.country, number=to.masked, why=bar.why)
        await self._texts.pretend()
        return NOWHERE

    async def pretend(self) -> None:
        """As of `Limited`."""
        await self._texts.pretend()


def _now() -> float:
    return asyncio.get_running_loop().time()
