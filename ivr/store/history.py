"""Calls of ours to people, as long as they may ask whether it was us: by keyed hashes of their numbers, in Redis.

The hash is under the desk's key of codes, which the public page has not: whoever has broken in there cannot look anybody up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from ivr.errors import StoreError
from ivr.numbers import e164
from ivr.secret import Personal, Secret
from ivr.store.answered import strange
from ivr.store.link import Link, Script
from ivr.vault.codes import CodeMacs

_NOTE = Script("note_contact")
SCRIPTS = (_NOTE,)

_MINUTE = 60
_HOUR = 3600
_DAY = 24 * _HOUR
# Calls to one number in one hour that are kept: more than anybody is called.
_MOST = 20


@dataclass(frozen=True, slots=True)
class Contact:
    """We have called somebody. `at`: seconds since the epoch; `shown`: the number that they saw."""

    at: int
    shown: str
    department: str
    ref: str


class History:
    """Every method is one round trip, `about` three, `forget` as many as there are, and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, codes: CodeMacs, days: int, country: str) -> None:
        """`days`: for which calls are kept; `country`: how a number without + is read, as one on the line may be."""
        self._link = link
        self._prefix = f"{prefix}:history"
        self._codes = codes
        self._days = days
        self._country = country

    async def note(self, number: Personal, contact: Contact) -> None:
        """That this number was called; nothing is noted where it is not known what was shown: any fraudster's number would be that."""
        number = e164(number.reveal(), self._country) or number
        if not self._days or not contact.shown:
            return
        told = orjson.dumps(contact)
        keys = [self._key(number, contact.at // _HOUR), self._of(contact.ref)]
        if await self._link.run(_NOTE, keys, told, contact.at, _MOST, self._days * _DAY * 1000) != [b"kept"]:
            raise strange(_NOTE)

    async def about(self, number: Personal, calling: Personal, at: int) -> Sequence[Contact]:
        """Those within an hour of this time, by that number; the earliest first."""
        found: list[Contact] = []
        for hour in (-1, 0, 1):
            found += map(_read, await self._listed(self._key(number, at // _HOUR + hour)))
        return [one for one in found if abs(one.at - at) <= _HOUR and Personal(one.shown) == calling]

    async def first(self, number: Personal) -> bool:
        """Whether this number has not been answered for an hour, and nobody else is about to; it is the asker's to do for a minute."""
        return await self._link.ask("SET", self._answered(number), "1", "NX", "PX", _MINUTE * 1000) is not None

    async def answered(self, number: Personal) -> None:
        """It has been, and is not again for an hour."""
        await self._link.ask("SET", self._answered(number), "1", "PX", _HOUR * 1000)

    async def unanswered(self, number: Personal) -> None:
        """It has not been: whoever asks next may."""
        await self._link.ask("DEL", self._answered(number))

    async def forget(self, ref: str) -> None:
        """What is known of calls to this customer, who is erased; another one who has the same number keeps what is theirs."""
        for key in await self._listed(self._of(ref)):
            for told in await self._listed(key):
                if _read(told).ref == ref:
                    await self._link.ask("ZREM", key, told)
        await self._link.ask("DEL", self._of(ref))

    async def _listed(self, key: str | bytes) -> list[bytes]:
        match await self._link.ask("ZRANGE", key, 0, -1):
            case [*told]:
                return [one for one in told if isinstance(one, bytes)]
            case _:
                raise StoreError("Redis gave no list of calls")

    def _of(self, ref: str) -> str:
        return f"{self._prefix}:of:{ref}"

    def _answered(self, number: Personal) -> str:
        return f"{self._prefix}:answered:{self._mac(number)}"

    def _key(self, number: Personal, hour: int) -> str:
        return f"{self._prefix}:{self._mac(number)}:{hour}"

    def _mac(self, number: Personal) -> str:
        return self._codes.mac(Secret(number.reveal()), bound_to=("history",))


def _read(told: bytes) -> Contact:
    try:
        return Contact(**orjson.loads(told))
    except (ValueError, TypeError):
        raise StoreError("Redis: what stands for a call is none") from None
