"""What people want on the page: each taken, done, and told."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import replace
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.config import Settings
from ivr.numbers import e164
from ivr.persons.book import IDENTIFIES, Book
from ivr.persons.letters import Letters
from ivr.persons.progress import TRIES, Progress
from ivr.persons.taking import Taking
from ivr.persons.ways import Ways
from ivr.secret import Personal
from ivr.store.introduction import Act, Introduction, Shows, Side, Stage, View, Who, Wish
from ivr.store.introductions import Introductions, Kept
from ivr.store.opened import new_link
from ivr.store.pace import RedisPace
from ivr.store.pagekey import PageKey
from ivr.vault import Index

# How often the other may begin to identify.
_ANSWERS = 5


class Persons:
    """One desk's; any number of them may run: each wish is taken by one."""

    def __init__(
        self, settings: Settings, store: Introductions, letters: Letters, ways: Ways, pace: RedisPace,
        key: PageKey, index: Index, log: FilteringBoundLogger, *, clock: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """`clock`: seconds since the epoch."""
        self._settings = settings
        self._rules = settings.persons
        self._store = store
        self._book = Book(store)
        self._taking = Taking(store, lambda wish: self._acts[wish.act](wish), log, "persons", clock)
        self._progress = Progress(settings, store, self._book, letters, ways, key, index, log, self._taking)
        self._letters = letters
        self._pace = pace
        self._key = key
        self._index = index
        self._log = log
        self._clock = clock
        self._acts = {
            Act.BEGIN: self._begin, Act.BACK: self._back, Act.CAME: self._came, Act.KEY: self._key_code, Act.STOP: self._stop,
            Act.ANSWER: self._answer, Act.DENY: self._deny,
        }  # fmt: skip

    async def run(self) -> None:
        """For ever."""
        await self._taking.run()

    async def close(self) -> None:
        """End what is going on: what is shown of it ends within seconds."""
        await self._taking.close()

    # ------------------------------------------------------------ what people want

    async def _begin(self, wish: Wish) -> None:
        until = int(self._clock()) + self._rules.minutes * 60
        country = self._settings.company.country
        own = e164(wish.field("own").reveal(), country)
        other = e164(wish.field("other").reveal(), country)
        why = await self._why_not(wish.eid, own, other)
        if why or own is None or other is None:
            self._log.info("person.refused", introduction="", why=why)
            await self._store.show(wish.session, View(Shows.REFUSED, wish.language, until, why=why))
            return
        nonce = new_link()
        asker = Side(own, wish.language).begun(
            wish.session, wish.eid, self._progress.mac(nonce), wish.language, qr=wish.qr
        )
        one = Introduction(secrets.token_hex(16), Stage.IDENTIFYING, until, asker, Side(other, wish.language))
        await self._store.write(one)
        await self._store.name(wish.session, one)
        self._log.info("person.moved", introduction=one.id, stage=one.stage.value)
        await self._progress.identify(one, Who.ASKER, nonce, wish)

    async def _why_not(self, eid: str, own: Personal | None, other: Personal | None) -> str:
        if eid not in self._rules.eids:
            # the page has others
            return "unavailable"
        if own is None or other is None:
            return "numbers"
        if own == other:
            return "same"
        for number, why in ((own, "own_number"), (other, "other_number")):
            if self._letters.range_of(number) is None:
                return why
        late = await self._pace.take("persons", "all", per_minute=self._rules.begun_per_hour, minutes=60)
        return "" if late is None else "closed"

    async def _back(self, wish: Wish) -> None:
        """The app has sent a browser back."""
        found = await self._brought(wish, self._progress.mac(wish.field("nonce")))
        if found is not None:
            await self._progress.advance(*found)

    async def _came(self, wish: Wish) -> None:
        """A broker has: it is asked who that is."""
        found = await self._brought(wish, self._progress.mac(wish.field("state")))
        if found is not None:
            await self._progress.came(*found, wish)

    async def _brought(self, wish: Wish, mac: str) -> tuple[Introduction, Who] | None:
        """Once, of the browser that began. Where it is another one, who identifies is not who wanted it: it ends."""
        kept = await self._store.of(mac)
        if kept is None or (who := _who(kept.now, mac)) is None:
            return None
        begun = kept.now.side(who)
        if not wish.session or begun.session != wish.session:
            await self._progress.not_identified(kept.now.id, who, begun.order, "elsewhere")
            return None

        def brought(now: Introduction) -> Introduction | None:
            side = now.side(who)
            if now.stage is not IDENTIFIES[who] or side.session != wish.session or side.qr or side.back:
                return None
            return now.having(who, replace(side, back=True)) if hmac.compare_digest(side.nonce, mac) else None

        one = await self._book.change(kept.now.id, brought)
        return None if one is None else (one, who)

    async def _key_code(self, wish: Wish) -> None:
        """Count, then compare."""
        kept = await self._of_asker(wish)
        if kept is None:
            return
        one = await self._book.change(
            kept.now.id,
            lambda now: replace(now, tries=now.tries + 1) if now.stage is Stage.KEYING and now.tries < TRIES else None,
        )
        if one is None:
            return
        keyed = self._key.mac("person/code", wish.field("digits"), one.id)
        if not hmac.compare_digest(keyed, one.digits):
            if one.tries < TRIES:
                await self._book.show(one.asker, self._progress.code(one, why="wrong"))
                return
            await self._progress.over(one, Who.ASKER, "wrong")
            return
        link = new_link()
        waiting = await self._book.change(
            one.id,
            lambda now: (
                replace(now, stage=Stage.WAITING, link=self._letters.named(link)) if now.stage is Stage.KEYING else None
            ),
        )
        if waiting is not None:
            why = await self._letters.ask(waiting, link)
            await self._progress.told(waiting, why, View(
                Shows.WAIT, waiting.asker.language, waiting.until, waiting.asker.eid, number=waiting.other.number, own=waiting.asker.number
            ))  # fmt: skip

    async def _stop(self, wish: Wish) -> None:
        kept = await self._of_asker(wish)
        if kept is not None:
            await self._progress.over(kept.now, Who.ASKER, "stopped")

    async def _answer(self, wish: Wish) -> None:
        kept, nonce = await self._store.of(wish.link), new_link()

        def answering(now: Introduction) -> Introduction | None:
            if now.stage not in (Stage.WAITING, Stage.ANSWERING) or now.answers >= _ANSWERS:
                return None
            other = now.other.begun(wish.session, wish.eid, self._progress.mac(nonce), wish.language, qr=wish.qr)
            return replace(now, stage=Stage.ANSWERING, answers=now.answers + 1, other=other)

        one = (
            None
            if kept is None or wish.eid not in self._rules.eids
            else await self._book.change(kept.now.id, answering)
        )
        if kept is None or one is None:
            until = int(self._clock()) + 60
            await self._store.show(wish.session, View(Shows.REFUSED, wish.language, until, why="over"))
            return
        if kept.now.other.session not in ("", wish.session):
            await self._store.hide(kept.now.other.session)
        await self._store.name(wish.session, one)
        await self._progress.identify(one, Who.OTHER, nonce, wish)

    async def _deny(self, wish: Wish) -> None:
        kept = await self._store.of(wish.link)
        if kept is None:
            return
        one = await self._book.change(
            kept.now.id,
            lambda now: replace(now, stage=Stage.DENIED) if now.stage in (Stage.WAITING, Stage.ANSWERING) else None,
        )
        if one is None:
            return
        # the bar before the trail: it holds whether or not that can be written
        await self._store.bar(one.asker.by, self._index.phone(one.other.number))
        if one.other.session:
            await self._store.hide(one.other.session)
        await self._store.show(one.link, View(Shows.DENIED, "", one.until, one.asker.eid))
        await self._book.show(
            one.asker, View(Shows.DENIED, one.asker.language, one.until, one.asker.eid, number=one.other.number)
        )
        self._log.info("person.denied", introduction=one.id)
        await self._letters.row(one, "deny", "denied")

    # ------------------------------------------------------------ inside

    async def _of_asker(self, wish: Wish) -> Kept | None:
        kept = await self._store.of(wish.session)
        return kept if kept is not None and kept.now.asker.session == wish.session else None


def _who(one: Introduction, mac: str) -> Who | None:
    return next((who for who in Who if hmac.compare_digest(one.side(who).nonce, mac)), None)
