"""Digits that agents say, and people key on a call to the company's published number: for one call, for minutes, and few tries.

Redis has keyed hashes of them under a key of the vault's, and out of the public page's reach: neither a copy of Redis nor a
break-in at the page finds digits that are good.
"""

from __future__ import annotations

import re

from structlog.typing import FilteringBoundLogger

from ivr.call.ports.published import Elsewhere, Taken
from ivr.config import Limits
from ivr.errors import StoreError
from ivr.store.deskparts import call_key, desks_key, due_key, lent_key
from ivr.store.link import Link, Script
from ivr.store.pageparts import news_key
from ivr.store.pages import KEPT

_TAKE = Script("clock", "budget", "lend", "take_published")
_UNTIL = Script("clock", "budget", "published_until")

# Dial() is given it: nothing else may stand there, whoever has written it.
_ENDPOINT = re.compile(rb"[A-Za-z0-9]+/[^\s,&|^()]+")

_CURE = "agents choose another way meanwhile; docs/proof.md says what [limits] published_per_hour may be"

WAIT = 180
"""Seconds that a proof waits at least for the two to be joined: 120 until the agent's phone is free, and 30 that it rings."""


class RedisPublished:
    """Implements `call.ports.published.Published`; and the desk's side. Every method is one round trip, and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, limits: Limits, log: FilteringBoundLogger, *, tries: int = 3) -> None:
        """`limits`: wrong ones in an hour. All whose number is withheld count as one. `tries`: of whoever talks with an agent."""
        self._link = link
        self._prefix = prefix
        self._most = limits.published_number_per_hour, limits.published_per_hour
        self._tries = tries
        self._log = log

    async def keep(self, mac: str, id: str, seconds: int, number: str | None = None) -> bool:
        """These digits lead to this proof, for so long; False where they lead to another one.

        `number`: the blind index of the number at which the person talks, where it is known: wrong ones from there are the proof's.
        Two round trips.
        """
        if await self._link.ask("SET", self._digits(mac), id, "NX", "EX", seconds) is None:
            return False
        if number is not None:
            await self._link.ask("SET", self._own(number), id, "EX", seconds)
        return True

    async def closed_until(self) -> int | None:
        """Until when none are right, in seconds since the epoch, unless more wrong ones are keyed; None where they are."""
        match await self._link.run(_UNTIL, [self._all], self._most[1]):
            case [b"open"]:
                return None
            case [b"closed", bytes(until)]:
                return -(-int(until) // 1000)
            case _:
                raise StoreError(f"Redis gave an unknown answer to {_UNTIL.name}")

    async def take(self, mac: str, number: str | None, node: str, channel: str) -> Taken | Elsewhere | None:
        """As `call.ports.published.Published` has it; who learns of a proof that goes on, are desks."""
        keys = [
            self._digits(mac), due_key(self._prefix), f"{self._prefix}:budget:published:by:{number or 'withheld'}",
            self._all, call_key(self._prefix, node, channel), self._own(number or "withheld"), lent_key(self._prefix),
        ]  # fmt: skip
        answer = await self._link.run(
            _TAKE, keys,
            *self._most, self._tries, desks_key(self._prefix, ""), node, channel, WAIT * 1000, KEPT * 1000,
            news_key(self._prefix),
        )  # fmt: skip
        match answer:
            case [b"taken", bytes(endpoint)] if _ENDPOINT.fullmatch(endpoint):
                return Taken(endpoint.decode())
            case [b"elsewhere"]:
                return Elsewhere()
            case [b"unknown"]:
                return None
            case [b"closed", bytes(scope), int(first)]:
                if first:
                    self._log_closed(scope)
                return None
            case _:
                raise StoreError(f"Redis gave an unknown answer to {_TAKE.name}")

    def _log_closed(self, scope: bytes) -> None:
        of_one, of_all = self._most
        if scope == b"all":
            self._log.warning("published.closed", limit=of_all, cure=_CURE)
        else:
            self._log.warning("published.number_closed", limit=of_one)

    def _digits(self, mac: str) -> str:
        return f"{self._prefix}:published:digits:{mac}"

    def _own(self, number: str) -> str:
        return f"{self._prefix}:published:of:{number}"

    @property
    def _all(self) -> str:
        return f"{self._prefix}:budget:published"
