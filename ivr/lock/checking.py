"""Whether it was us who called: asked on the public page by anybody, and answered to the number itself, by text.

Anybody can ask about anybody's number. So the page says the same to all, and what there is to say goes to whoever holds the
number; a text goes only where a call of ours is known, so that nobody has texts sent by asking.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import orjson
from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Entry, Trail
from ivr.config import Settings
from ivr.errors import Unavailable
from ivr.numbers import Range, e164
from ivr.prompts import languages, text
from ivr.secret import Personal, Secret
from ivr.sms.dispatch import Budgets, Dispatch
from ivr.sms.reports import Posted
from ivr.store.history import Contact, History

HISTORY = "history"
"""The action of its rows."""


class Checking:
    """Takes what the page has passed on, one after another."""

    def __init__(
        self, settings: Settings, history: History, dispatch: Dispatch, budgets: Budgets, trail: Trail, log: FilteringBoundLogger,
    ) -> None:  # fmt: skip
        self._company = settings.company
        zone = settings.page.timezone
        self._zone = None if zone is None else ZoneInfo(zone)
        self._history = history
        self._dispatch = dispatch
        self._budgets = budgets
        self._trail = trail
        self._log = log

    async def take(self, posted: Posted) -> None:
        """Answer, or not: nobody waits for it. Raises `StoreError` where it is not known whether there is anything to say."""
        asked = _asked(posted, self._company.country)
        if asked is None:
            self._log.warning("history.unread")
            return
        number, calling, at, language = asked
        found = await self._history.about(number, calling, at)
        area = self._dispatch.range_of(number) if found else None
        if area is None or not await self._history.first(number):
            return
        if await self._answered(number, area, found, language):
            await self._history.answered(number)
            self._log.info("history.answered", calls=len(found))
        else:
            await self._history.unanswered(number)

    async def _answered(self, number: Personal, area: Range, found: Sequence[Contact], language: str) -> bool:
        """Whether a text went; where none did, the number is not kept from the next answer."""
        message = self._message(found, language)
        try:
            if await self._budgets.spend(area, self._dispatch.parts(message)) is not None:
                self._log.warning("history.withheld")
                return False
            await self._trail.append(Entry("page", HISTORY, "sent", subject=found[0].ref))
            await self._dispatch.send(number, message)
        except Unavailable as error:
            self._log.error("history.unanswered", error=str(error))
            return False
        return True

    def _message(self, found: Sequence[Contact], language: str) -> Secret:
        latest = found[-1]
        at = datetime.fromtimestamp(latest.at, UTC).astimezone(self._zone)
        name = "history" if latest.department else "history_plain"
        filled = text(
            name, language, company=self._company.name, day=f"{at:%Y-%m-%d}", time=f"{at:%H:%M}", department=latest.department
        )  # fmt: skip
        return Secret(filled)


def _asked(posted: Posted, country: str) -> tuple[Personal, Personal, int, str] | None:
    try:
        said = orjson.loads(posted.body.reveal())
    except ValueError:
        return None
    match said:
        case {"number": str(number), "calling": str(calling), "at": int(at), "language": str(language)}:
            own, other = e164(number, country), e164(calling, country)
            if own is None or other is None or not 0 <= at < 2**40 or language not in languages():
                return None
            return own, other, at, language
        case _:
            return None
