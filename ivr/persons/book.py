"""Introductions as the desk changes them: read, changed, written; and what each of the two is then shown."""

from __future__ import annotations

from collections.abc import Callable

from ivr.errors import StoreError
from ivr.store.introduction import Introduction, Shows, Side, Stage, View, Who
from ivr.store.introductions import Introductions

# Desks that change the same one at once are few, and each change is a moment's.
_TIMES = 20

# What a browser is shown while the app is asked for; where nobody renews it any more, nothing is shown.
_APP_SECONDS = 15.0

IDENTIFIES = {Who.ASKER: Stage.IDENTIFYING, Who.OTHER: Stage.ANSWERING}


class Book:
    """Every method raises `StoreError`."""

    def __init__(self, store: Introductions) -> None:
        self._store = store

    async def change(self, id: str, how: Callable[[Introduction], Introduction | None]) -> Introduction | None:
        """What it has become; None where `how` leaves it as it is, or it is gone."""
        for _ in range(_TIMES):
            kept = await self._store.read(id)
            if kept is None or (now := how(kept.now)) is None:
                return None
            if await self._store.write(now, kept):
                return now
        raise StoreError("Redis: an introduction is changed by too many at once")

    async def current(self, id: str, who: Who, order: str) -> Introduction | None:
        """The one in which this identification still counts."""
        kept = await self._store.read(id)
        return kept.now if kept is not None and counts(kept.now, who, order) else None

    async def show(self, side: Side, view: View, longer: float = 0.0) -> None:
        """To the browser of this one, where there is one. `longer`: seconds in which nobody renews what ends where it is not renewed."""
        if side.session:
            seconds = _APP_SECONDS + longer if view.shows in (Shows.APP, Shows.MOMENT) else None
            await self._store.show(side.session, view, seconds)

    async def met(self, one: Introduction) -> None:
        """Each sees the other; the link shows nothing any more."""
        for mine, theirs in ((one.asker, one.other), (one.other, one.asker)):
            if theirs.name is not None:
                view = View(
                    Shows.MET,
                    mine.language,
                    one.until,
                    theirs.eid,
                    name=theirs.name,
                    number=theirs.number,
                    own=mine.number,
                )
                await self.show(mine, view)
        await self._store.show(one.link, refusal("answered", one.other, one))

    async def refused(self, one: Introduction, who: Who, why: str) -> None:
        """It does not go on for this one."""
        side = one.side(who)
        await self.show(side, refusal(why, side, one))


def counts(one: Introduction, who: Who, order: str) -> bool:
    """Whether this identification can still be completed."""
    return one.stage is IDENTIFIES[who] and one.side(who).order == order


def refusal(why: str, side: Side, one: Introduction) -> View:
    """It does not go on; `why`: a sentence of [person_refused] of the page's words."""
    return View(Shows.REFUSED, side.language, one.until, side.eid, own=side.number, why=why)
