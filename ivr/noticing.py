"""What a worker tells customers on its own: that a telephone number of theirs was changed, to the number that was there before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Entry, Texts, Trail
from ivr.errors import TextError, TillitError, VaultError
from ivr.prompts import text
from ivr.secret import Secret
from ivr.store.notices import Notice, Notices
from ivr.store.turn import Turn

# Seconds between two looks for what is to be told.
_LOOK = 10.0
# Seconds behind the change after which it is no warning any more.
_OLDEST = 24 * 3600
# Seconds until what no gateway has taken is tried again, twice as long each time.
_AGAIN, _AGAIN_MOST = 30, 3600


class Noticing:
    """Of many workers one tells at a time. A text that no gateway takes is tried again for a day.

    They are in none of the budgets of texts: whoever had used one up would have made sure that nobody is warned.
    """

    def __init__(
        self, notices: Notices, texts: Texts, trail: Trail, turn: Turn, company: str, log: FilteringBoundLogger,
        *, wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """`wall`: seconds since the epoch."""
        self._notices = notices
        self._texts = texts
        self._trail = trail
        self._turn = turn
        self._company = company
        self._log = log
        self._wall = wall

    async def tell(self) -> None:
        """What is due now. Raises `TillitError`."""
        for notice in await self._notices.due(self._wall()):
            if not await self._turn.mine():
                return
            await self._tell(notice)

    async def keep_on(self, seconds: float) -> None:
        """For ever."""
        while True:
            try:
                await self.tell()
            except TillitError as error:
                self._log.warning("notice.unavailable", error=str(error))
            await asyncio.sleep(seconds)

    async def _tell(self, notice: Notice) -> None:
        if self._wall() - notice.at > _OLDEST:
            await self._give_up(notice)
            return
        if isinstance(notice.to, VaultError):
            await self._late(notice, notice.to)
            return
        await self._row(notice, "asked")
        words = Secret(text("phone_changed", notice.language or "en", company=self._company))
        try:
            handed = await self._texts.send(notice.to, words)
        except TextError as error:
            await self._late(notice, error)
            return
        if handed.nowhere:
            # it will not be a number for texts in an hour
            await self._give_up(notice)
            return
        self._log.info("notice.sent", subject=notice.ref)
        await self._notices.over(notice)

    async def _late(self, notice: Notice, error: TillitError) -> None:
        self._log.warning("notice.late", subject=notice.ref, error=str(error))
        wait = min(_AGAIN * 2**notice.tries, _AGAIN_MOST)
        await self._notices.later(notice, self._wall() + wait)

    async def _give_up(self, notice: Notice) -> None:
        self._log.error("notice.given_up", subject=notice.ref)
        await self._row(notice, "failed")
        await self._notices.over(notice)

    async def _row(self, notice: Notice, outcome: str) -> None:
        detail = {"number": "" if isinstance(notice.to, VaultError) else notice.to.masked, "tenant": notice.tenant}
        once = f"notice:{notice.id}:{outcome}"
        await self._trail.append(
            Entry("worker", "customer.notice", outcome, subject=notice.ref, detail=detail, once=once)
        )


@asynccontextmanager
async def noticing(made: Noticing, seconds: float = _LOOK) -> AsyncIterator[None]:
    """As long as the body runs."""
    task = asyncio.create_task(made.keep_on(seconds), name="notices")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
