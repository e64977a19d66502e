"""How an introduction goes on: somebody identifies, and what follows of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from ivr.call.ports.eid import Done, EidAsked, Ended, Order
from ivr.config import Settings
from ivr.errors import Unavailable
from ivr.persons.book import Book, counts
from ivr.persons.identifying import Identifying
from ivr.persons.letters import Letters
from ivr.persons.taking import Taking
from ivr.secret import Personal, Secret
from ivr.store.introduction import Introduction, Shows, Stage, View, Who, Wish
from ivr.store.introductions import Introductions
from ivr.store.pagekey import PageKey
from ivr.vault import Index

TRIES = 3
"""How often the code from the text may be keyed."""

# Of a name, as it is texted and shown.
_LONGEST = 60


class Progress:
    """Every method raises `StoreError`."""

    def __init__(
        self, settings: Settings, store: Introductions, book: Book, letters: Letters, identifying: Identifying,
        key: PageKey, index: Index, log: FilteringBoundLogger, taking: Taking,
    ) -> None:  # fmt: skip
        (self.eid,) = settings.persons.eids
        self._settings = settings
        self._store = store
        self._book = book
        self._letters = letters
        self._identifying = identifying
        self._key = key
        self._index = index
        self._log = log
        self._taking = taking

    def mac(self, nonce: Secret) -> str:
        """What the app brings back, as it is kept."""
        return self._key.mac("person/back", nonce)

    # ------------------------------------------------------------ who it is

    async def identify(self, one: Introduction, who: Who, nonce: Secret, wish: Wish) -> None:
        """Ask the provider to ask this one, before the browser that wants it."""
        side = one.side(who)
        asked = EidAsked(
            None, False, self._letters.shown(one, who), f"{one.id}:{side.order}", "qr" if side.qr else "same_device",
            wish.address, nonce.within(f"{(self._settings.page.url or '').rstrip('/')}/person/back/-", "-"),
        )  # fmt: skip
        await self._store.name(side.nonce, one)
        order = await self._identifying.begin(asked)
        if isinstance(order, Ended):
            await self.not_identified(one.id, who, side.order, order.why)
            return
        await self._shown(one.id, who, side.order, order, 0.0)
        self._taking.do(self._followed(one.id, who, side.order, order))

    async def _shown(self, id: str, who: Who, name: str, order: Order, age: float) -> bool:
        one = await self._book.current(id, who, name)
        if one is None:
            return False
        side, empty = one.side(who), Secret("")
        if side.name is None and side.back:
            await self._book.show(side, self._moment(one, who))
        elif side.name is None:
            link = empty if side.qr or order.link is None else order.link
            qr = order.qr(age) if side.qr and order.qr is not None else empty
            await self._book.show(side, View(Shows.APP, side.language, one.until, self.eid, link=link, qr=qr))
        return True

    async def _followed(self, id: str, who: Who, name: str, order: Order) -> None:
        try:
            match await self._identifying.follow(order, lambda order, age: self._shown(id, who, name, order, age)):
                case Done() as done:
                    await self._identified(id, who, name, done)
                case Ended(why):
                    await self.not_identified(id, who, name, why)
                case None:
                    pass
        except Unavailable as error:
            self._log.error("person.failed", error=str(error))
            with suppress(Unavailable):
                if (kept := await self._store.read(id)) is not None and kept.now.side(who).order == name:
                    await self._book.refused(kept.now, who, "unavailable")

    async def _identified(self, id: str, who: Who, order: str, done: Done) -> None:
        name = None if done.name is None else _clean(done.name)
        if name is None or done.level < 3:
            await self.not_identified(id, who, order, "not_able")
            return
        by = self._index.identity(self.eid, done.who)
        one = await self._book.change(
            id,
            lambda now: now.having(who, replace(now.side(who), name=name, by=by)) if counts(now, who, order) else None,
        )
        if one is not None:
            await self.advance(one, who)

    async def not_identified(self, id: str, who: Who, order: str, why: str) -> None:
        """The other may try once more, by the link; the asker begins anew."""
        stage = Stage.OVER if who is Who.ASKER else Stage.WAITING
        one = await self._book.change(id, lambda now: replace(now, stage=stage) if counts(now, who, order) else None)
        if one is not None:
            self._log.info("person.refused", introduction=id, why=why)
            await self._book.refused(one, who, why)

    async def advance(self, one: Introduction, who: Who) -> None:
        """It is known who that is, or that the browser is the one: where both are, it goes on."""
        side = one.side(who)
        if not side.complete:
            missing = View(Shows.BACK, side.language, one.until, self.eid)
            await self._book.show(side, self._moment(one, who) if side.name is None else missing)
            return
        stage = Stage.KEYING if who is Who.ASKER else Stage.MET
        digits = Secret.random_digits(6)
        mac = self._key.mac("person/code", digits, one.id) if who is Who.ASKER else one.digits
        moved = await self._book.change(
            one.id,
            lambda now: replace(now, stage=stage, digits=mac) if counts(now, who, side.order) and now.side(who).complete else None,
        )  # fmt: skip
        if moved is None:
            return
        await self._letters.row(moved, "identify" if who is Who.ASKER else "answer", "done", who)
        self._log.info("person.moved", introduction=one.id, stage=stage.value)
        if who is Who.OTHER:
            await self._book.met(moved)
            return
        await self.told(moved, await self._letters.code(moved, digits), self.code(moved))

    # ------------------------------------------------------------ what is shown then

    def _moment(self, one: Introduction, who: Who) -> View:
        return View(Shows.MOMENT, one.side(who).language, one.until, self.eid)

    async def told(self, one: Introduction, why: str, view: View) -> None:
        """A text went, or `why` none did: what the asker is shown then."""
        if why:
            await self.over(one, Who.ASKER, why)
            return
        await self._book.show(one.asker, view)

    async def over(self, one: Introduction, who: Who, why: str) -> None:
        """It is over for both, where it was not."""
        ended = (Stage.MET, Stage.DENIED, Stage.OVER)
        over = await self._book.change(
            one.id, lambda now: None if now.stage in ended else replace(now, stage=Stage.OVER)
        )
        if over is None:
            return
        self._log.info("person.refused", introduction=one.id, why=why)
        if over.link:
            await self._store.hide(over.link)
        if over.other.session:
            await self._store.hide(over.other.session)
        await self._book.refused(over, who, why)

    def code(self, one: Introduction, why: str = "") -> View:
        """Where the code from the text is keyed."""
        return View(
            Shows.CODE, one.asker.language, one.until, self.eid, own=one.asker.number, left=TRIES - one.tries, why=why
        )


def _clean(name: Personal) -> Personal | None:
    """As it may stand in a text: on one line, and no longer than names are; None where nothing is left of it."""
    return Personal(_line(name.reveal())) or None


def _line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:_LONGEST]
