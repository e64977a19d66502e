"""What goes to whom: the code to the asker's number, the link to the other's, and a row in the audit trail before each."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Entry, Texts, Trail
from ivr.config import Settings
from ivr.errors import TextError
from ivr.numbers import Range
from ivr.prompts import text
from ivr.secret import Personal, Secret
from ivr.store.introduction import Introduction, Shows, View, Who
from ivr.store.introductions import Introductions, letter_of
from ivr.store.pagekey import PageKey
from ivr.vault import Index


class Letters:
    """Every method that sends says why nothing was sent, empty where it was; and raises `StoreError`."""

    def __init__(
        self, settings: Settings, store: Introductions, texts: Texts, trail: Trail, key: PageKey, index: Index,
        log: FilteringBoundLogger,
    ) -> None:  # fmt: skip
        self._company = settings.company.name
        self._persons = settings.persons
        self._url = (settings.page.url or "").rstrip("/")
        self._store = store
        self._texts = texts
        self._trail = trail
        self._key = key
        self._index = index
        self._log = log

    def range_of(self, number: Personal) -> Range | None:
        """What a text to this number is counted for; None where none goes to it."""
        return self._texts.range_of(number)

    def named(self, link: Secret) -> str:
        """What a link is called that ends with this."""
        return letter_of(self._key, link)

    def shown(self, one: Introduction, who: Who) -> str:
        """What the app shows whoever is to identify: whom they show it to, so that who was talked into it can see that."""
        language = one.side(who).language
        if who is Who.ASKER or one.asker.name is None:
            number = text("eid_person_number", language, number=one.other.number.masked)
            return text("eid_person", language, company=self._company, other=number)
        return text("eid_person", language, company=self._company, other=one.asker.name.reveal())

    async def code(self, one: Introduction, digits: Secret) -> str:
        """To the number that the asker says to have."""
        words = digits.within(text("person_code", one.asker.language, company=self._company), "{code}")
        if why := await self._may("code", one, one.asker.number, words):
            return why
        return await self._sent(one.asker.number, words)

    async def ask(self, one: Introduction, link: Secret) -> str:
        """To the other, who the asker is; what the link shows is there before the text."""
        if one.asker.name is None:
            return "over"
        words = Secret(
            text("person_asks", one.asker.language, company=self._company, eid=self._persons.label(one.asker.eid))
        )
        # the name last: whatever it holds, nothing is put into it
        for placeholder, told in (
            ("{link}", link.within(f"{self._url}/i/-", "-")),
            ("{number}", one.asker.number),
            ("{name}", one.asker.name),
        ):
            words = told.within(words.reveal(), placeholder)
        if why := await self._may("ask", one, one.other.number, words):
            return why
        await self.row(one, "ask", "sent")
        letter = View(
            Shows.LETTER,
            "",
            one.until,
            one.asker.eid,
            name=one.asker.name,
            number=one.asker.number,
            own=one.other.number,
        )
        await self._store.name(one.link, one)
        await self._store.show(one.link, letter)
        return await self._sent(one.other.number, words)

    async def row(self, one: Introduction, action: str, outcome: str, who: Who = Who.ASKER) -> None:
        """In the audit trail: no name and no number, but by what these two would be found by who has both and the hash key."""
        detail = {
            "introduction": one.id, "eid": one.side(who).eid, "by": one.side(who).by,
            "asker": self._index.phone(one.asker.number), "other": self._index.phone(one.other.number),
        }  # fmt: skip
        await self._trail.append(Entry("desk", f"person.{action}", outcome, detail=detail))

    async def _may(self, what: str, one: Introduction, to: Personal, words: Secret) -> str:
        area = self._texts.range_of(to)
        if area is None:
            return "own_number" if what == "code" else "other_number"
        why = await self._store.text(
            "code" if what == "code" else "ask", one.asker.by, self._index.phone(to), area, self._texts.parts(words)
        )
        if why == "closed":
            self._log.warning("person.texts_closed", introduction=one.id)
        return why

    async def _sent(self, to: Personal, words: Secret) -> str:
        try:
            handed = await self._texts.send(to, words)
        except TextError as error:
            self._log.error("person.failed", error=str(error))
            return "text"
        return "text" if handed.nowhere else ""
