"""Introductions in Redis: what the desk keeps of them, and what the page passes on and shows.

What the page's user at Redis reaches is a list of what people want, and for each browser and link what it is to show. The
introductions themselves lie where it cannot reach: who has broken into the page can show something else, and can make
nobody identified. All of it is encrypted with the page key, and gone within the hour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import time
from typing import Literal

from ivr.config import Limits, Persons
from ivr.numbers import Range
from ivr.secret import Secret
from ivr.store.answered import strange
from ivr.store.introduction import Introduction
from ivr.store.link import Link, Script
from ivr.store.pagekey import PageKey
from ivr.store.wishes import PERSON, DeskWishes, PageWishes

_WRITE = Script("write_person")
_TEXT = Script("clock", "budget", "text_person")

_DAY = 24 * 3600 * 1000


class PersonPage(PageWishes):
    """The page's end. Every method is one round trip, and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, key: PageKey) -> None:
        super().__init__(link, prefix, key, PERSON)

    def session(self, token: Secret) -> str:
        """What a browser is called that has this."""
        return self._key.mac("person", token)

    def letter(self, link: Secret) -> str:
        """What a link is called that ends with this."""
        return letter_of(self._key, link)


@dataclass(frozen=True, slots=True)
class Kept:
    """An introduction as it was read."""

    now: Introduction
    version: str


class Introductions(DeskWishes):
    """The desk's end. Every method is one round trip unless it says so, and raises `StoreError`."""

    def __init__(
        self, link: Link, prefix: str, key: PageKey, rules: Persons, limits: Limits, *, seconds: float = 2.0,
        clock: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """`seconds`: the limit of a request to Redis; `clock`: seconds since the epoch."""
        super().__init__(link, prefix, key, PERSON, seconds=seconds, clock=clock)
        self._rules = rules
        # those of calls, apart: what people ask each other cannot use up what callers need
        self._budgets = (
            rules.texts_per_hour,
            min(rules.texts_per_hour, limits.texts_country_per_hour),
            min(rules.texts_per_hour, limits.texts_prefix_per_hour),
        )

    async def name(self, name: str, one: Introduction) -> None:
        """This browser, or link, belongs to that one."""
        await self._link.ask("SET", _of(self._prefix, name), one.id, "PX", self._left(one.until))

    async def of(self, name: str) -> Kept | None:
        """The one that this browser, or link, belongs to. Two round trips."""
        match await self._link.ask("GET", _of(self._prefix, name)):
            case bytes(id):
                return await self.read(id.decode())
            case _:
                return None

    async def read(self, id: str) -> Kept | None:
        """The one of this id; None where it is gone."""
        match await self._link.ask("HMGET", _one(self._prefix, id), "version", "said"):
            case [bytes(version), bytes(said)]:
                return Kept(Introduction.read(self._key.unseal("introduction", said, id)), version.decode())
            case _:
                return None

    async def write(self, one: Introduction, before: Kept | None = None) -> bool:
        """Keep it; False where another desk was faster, and nothing was changed."""
        sealed = self._key.seal("introduction", one.written(), one.id)
        version = "" if before is None else before.version
        match await self._link.run(_WRITE, [_one(self._prefix, one.id)], version, sealed, self._left(one.until)):
            case [b"written"]:
                return True
            case [b"other"]:
                return False
            case _:
                raise strange(_WRITE)

    async def text(self, what: Literal["code", "ask"], by: str, to: str, area: Range, parts: int) -> str:
        """Count a text of so many parts of this person's to this number, both as blind indexes; empty where it may go, else why not.

        `barred`: that one does not want to be asked by this one; `many`: too many in a day; `closed`: too many of all.
        """
        kind = f"{self._prefix}:person:{what}"
        keys = [
            self._budget("all", ""), self._budget("country", area.country), self._budget("prefix", area.prefix),
            f"{kind}:of:{by}", f"{kind}:to:{to}", self._bar(by, to),
        ]  # fmt: skip
        most = (self._rules.asks_of_one_per_day, self._rules.asks_to_one_per_day)
        if what == "code":
            # whoever has identified may mistype the own number
            most = (most[0], most[0])
        match await self._link.run(_TEXT, keys, *self._budgets, *most, parts):
            case [b"go"]:
                return ""
            case [b"closed", bytes(), int()]:
                return "closed"
            case [bytes(why)]:
                return why.decode()
            case _:
                raise strange(_TEXT)

    async def bar(self, by: str, to: str) -> None:
        """This person cannot ask that number again for a day."""
        await self._link.ask("SET", self._bar(by, to), "1", "PX", _DAY)

    # ------------------------------------------------------------ inside

    def _bar(self, by: str, to: str) -> str:
        return f"{self._prefix}:person:bar:{by}:{to}"

    def _budget(self, scope: str, which: str) -> str:
        return f"{self._prefix}:person:budget:{scope}:{which}"


def letter_of(key: PageKey, link: Secret) -> str:
    """What a link is called that ends with this."""
    return key.mac("person/link", link)


def _of(prefix: str, name: str) -> str:
    return f"{prefix}:person:of:{name}"


def _one(prefix: str, id: str) -> str:
    return f"{prefix}:person:{id}"
