"""What a worker tells customers on its own: that a telephone number of theirs was changed, or its SIM, to what was on record before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Entry, Texts, Trail
from ivr.errors import MailError, NobodyThere, TextError, TillitError, VaultError
from ivr.mail.smtp import Mailer
from ivr.prompts import text
from ivr.secret import Personal, Secret
from ivr.sms.dispatch import Budgets
from ivr.store.notices import Contact, Notice, Notices
from ivr.store.turn import Turn

# Seconds between two looks for what is to be told.
_LOOK = 10.0
# Seconds behind the change after which it is no warning any more.
_OLDEST = 24 * 3600
# Seconds until what no gateway has taken is tried again, twice as long each time.
_AGAIN, _AGAIN_MOST = 30, 3600
# Seconds until one that a budget leaves nothing for is tried again, however often: else those that come later would take what there is.
_WITHHELD = 300


class Noticing:
    """Of many workers one tells at a time. A text that no gateway takes is tried again for a day.

    They have budgets of their own, and one that these leave nothing for waits as well, for a day: whoever had used one up would else have made
    sure that nobody is warned.
    """

    def __init__(
        self, notices: Notices, texts: Texts, budgets: Budgets, trail: Trail, turn: Turn, company: str, log: FilteringBoundLogger,
        *, mailer: Mailer | None = None, wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """`budgets`: of notices alone; `mailer`: None where no mail goes out; `wall`: seconds since the epoch."""
        self._notices = notices
        self._texts = texts
        self._budgets = budgets
        self._mailer = mailer
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
        contact = notice.contact
        if isinstance(contact, VaultError):
            await self._late(notice, contact)
            return
        words = Secret(text(contact.what, notice.language or "en", company=self._company))
        area = None if contact.by_mail else self._texts.range_of(contact.to)
        # nothing is counted yet: a gateway that is away uses nothing up
        if area is not None and (closed := await self._budgets.spend(area, 0)) is not None:
            self._log.warning("notice.withheld", subject=notice.ref, budget=closed.value)
            await self._row(notice, "withheld")
            await self._notices.later(notice, self._wall() + _WITHHELD, notice.tries)
            return
        await self._row(notice, "asked")
        try:
            went = await (self._mailed(contact.to, words) if contact.by_mail else self._texted(contact.to, words))
        except (TextError, MailError) as error:
            await self._late(notice, error)
            return
        if not went:
            await self._give_up(notice)
            return
        self._log.info("notice.sent", subject=notice.ref)
        await self._notices.over(notice)
        if area is not None:
            await self._budgets.spend(area, self._texts.parts(words))

    async def _texted(self, to: Personal, words: Secret) -> bool:
        """False for a dear number, or one that is none for texts: it will be neither in an hour. The log says which by `text.barred`."""
        return not (await self._texts.send(to, words)).nowhere

    async def _mailed(self, to: Personal, words: Secret) -> bool:
        """False where there is no such mailbox, or no mail server in the settings."""
        if self._mailer is None:
            return False
        try:
            await self._mailer.send(to, self._company, words)
        except NobodyThere:
            return False
        return True

    async def _late(self, notice: Notice, error: TillitError) -> None:
        self._log.warning("notice.late", subject=notice.ref, error=str(error))
        wait = min(_AGAIN * 2**notice.tries, _AGAIN_MOST)
        await self._notices.later(notice, self._wall() + wait, notice.tries + 1)

    async def _give_up(self, notice: Notice) -> None:
        self._log.error("notice.given_up", subject=notice.ref)
        await self._row(notice, "failed")
        await self._notices.over(notice)

    async def _row(self, notice: Notice, outcome: str) -> None:
        contact = notice.contact
        name = "mail" if isinstance(contact, Contact) and contact.by_mail else "number"
        detail = {name: contact.to.masked if isinstance(contact, Contact) else "", "tenant": notice.tenant}
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
