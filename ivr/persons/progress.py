"""How an introduction goes on: somebody identifies, and what follows of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from ivr.call.ports.eid import Done, EidAsked, Ended, Order
from ivr.config import Settings
from ivr.eid.code import Code, Flow
from ivr.errors import EidError, Unavailable
from ivr.persons.book import Book, counts
from ivr.persons.identifying import Identifying
from ivr.persons.letters import Letters
from ivr.persons.taking import Taking
from ivr.persons.ways import LEVEL, Ways
from ivr.secret import Personal, Secret
from ivr.store.introduction import USE, Introduction, Shows, Stage, View, Who, Wish
from ivr.store.introductions import Introductions
from ivr.store.pagekey import PageKey
from ivr.vault import Index

TRIES = 3
"""How often the code from the text may be keyed."""

# What a broker is asked behind one that comes back, at most: its document, the tokens, its keys, and these anew.
_ASKED = 4
# Of a name, as it is texted and shown.
_LONGEST = 60


class Progress:
    """Every method raises `StoreError`."""

    def __init__(
        self, settings: Settings, store: Introductions, book: Book, letters: Letters, ways: Ways,
        key: PageKey, index: Index, log: FilteringBoundLogger, taking: Taking,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._store = store
        self._book = book
        self._letters = letters
        self._ways = ways
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
        if (broker := self._ways.brokers.get(side.eid)) is not None:
            await self._sent(one, who, broker)
            return
        app = self._ways.apps[side.eid]
        asked = EidAsked(
            None, False, self._letters.shown(one, who), f"{one.id}:{side.order}", "qr" if side.qr else "same_device",
            wish.address, nonce.within(f"{(self._settings.page.url or '').rstrip('/')}/person/back/-", "-"),
        )  # fmt: skip
        await self._store.name(side.nonce, one)
        order = await app.begin(asked)
        if isinstance(order, Ended):
            await self.not_identified(one.id, who, side.order, order.why)
            return
        await self._shown(one.id, who, side.order, order, 0.0)
        self._taking.do(self._followed(app, one.id, who, side.order, order))

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
            await self._book.show(side, View(Shows.APP, side.language, one.until, side.eid, link=link, qr=qr))
        return True

    async def _followed(self, app: Identifying, id: str, who: Who, name: str, order: Order) -> None:
        try:
            match await app.follow(order, lambda order, age: self._shown(id, who, name, order, age)):
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

    async def _sent(self, one: Introduction, who: Who, broker: Code) -> None:
        """The browser that wants it is shown where to go; what ends that is kept for whoever of the desks it then comes to."""
        order = one.side(who).order
        try:
            flow, link = await broker.begin(_at_broker(one, who), USE)
        except EidError as error:
            self._log.error("person.unasked", error=str(error))
            await self.not_identified(one.id, who, order, "failed")
            return
        mac = self.mac(flow.state)

        def gone(now: Introduction) -> Introduction | None:
            kept = replace(now.side(who), nonce=mac, flow=flow.written())
            return now.having(who, kept) if counts(now, who, order) else None

        if (sent := await self._book.change(one.id, gone)) is not None:
            side = sent.side(who)
            await self._store.name(mac, sent)
            await self._book.show(side, View(Shows.SITE, side.language, sent.until, side.eid, link=link))

    async def came(self, one: Introduction, who: Who, wish: Wish) -> None:
        """The broker has sent back the browser that was sent there: it is asked who that is, once."""
        side = one.side(who)
        broker = self._ways.brokers.get(side.eid)
        if broker is None or side.flow is None:
            await self.not_identified(one.id, who, side.order, "unavailable")
            return
        longer = _ASKED * self._settings.eid.brokers[side.eid].seconds
        await self._book.show(side, self._moment(one, who), longer)
        flow = Flow.read(side.flow, _at_broker(one, who))
        try:
            said = await broker.end(flow, {name: text.reveal() for name, text in wish.fields.items()})
        except EidError as error:
            self._log.error("person.unasked", error=str(error))
            said = Ended("failed")
        if isinstance(said, Ended):
            await self.not_identified(one.id, who, side.order, said.why)
            return
        if said.name is None:
            # people would be told nothing: that is to be asked for
            self._log.error(
                "person.unasked", error=f"{side.eid}: its ID token has no name. Ask for it: see docs/persons.md"
            )
        await self._identified(one.id, who, side.order, said)

    async def _identified(self, id: str, who: Who, order: str, done: Done) -> None:
        name = None if done.name is None else _clean(done.name)
        if name is None or done.level < LEVEL:
            await self.not_identified(id, who, order, "not_able")
            return

        def known(now: Introduction) -> Introduction | None:
            side = now.side(who)
            by = self._index.identity(side.eid, done.who)
            return now.having(who, replace(side, name=name, by=by)) if counts(now, who, order) else None

        one = await self._book.change(id, known)
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
            missing = View(Shows.BACK, side.language, one.until, side.eid)
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
        return View(Shows.MOMENT, one.side(who).language, one.until, one.side(who).eid)

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
            Shows.CODE,
            one.asker.language,
            one.until,
            one.asker.eid,
            own=one.asker.number,
            left=TRIES - one.tries,
            why=why,
        )


def _at_broker(one: Introduction, who: Who) -> EidAsked:
    """Whoever it is; its pages say themselves what it is for."""
    return EidAsked(None, False, "", f"{one.id}:{one.side(who).order}", "same_device")


def _clean(name: Personal) -> Personal | None:
    """As it may stand in a text: on one line, and no longer than names are; None where nothing is left of it."""
    return Personal(_line(name.reveal())) or None


def _line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:_LONGEST]
