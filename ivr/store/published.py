"""Digits that agents say, and people key on a call to the company's published number: one use, for minutes, and few tries.

Redis has keyed hashes of them under a key of the vault's, and out of the public page's reach: neither a copy of Redis nor a
break-in at the page finds digits that are good.
"""

from __future__ import annotations

import re

from structlog.typing import FilteringBoundLogger

from ivr.call.ports.published import Elsewhere, Taken
from ivr.config import Limits
from ivr.errors import StoreError
from ivr.store.link import Link, Script
from ivr.store.pageparts import news_key, page_key
from ivr.store.pages import KEPT, call_key, desks_key, due_key

_TAKE = Script("clock", "budget", "take_published")

# Dial() is given it: nothing else may stand there, whoever has written it.
_ENDPOINT = re.compile(rb"[A-Za-z0-9]+/[^\s,&|^()]+")

WAIT = 180
"""Seconds that a proof waits at least for the two to be joined: 120 until the agent's phone is free, and 30 that it rings."""


class RedisPublished:
    """Implements `call.ports.published.Published`; and the desk's side. Every method is one round trip, and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, limits: Limits, log: FilteringBoundLogger) -> None:
        """`limits`: wrong ones in an hour. All whose number is withheld count as one."""
        self._link = link
        self._prefix = prefix
        self._most = limits.published_number_per_hour, limits.published_per_hour
        self._log = log

    async def keep(self, mac: str, id: str, seconds: int) -> bool:
        """These digits lead to this proof, for so long; False where they lead to another one."""
        return await self._link.ask("SET", self._digits(mac), id, "NX", "EX", seconds) is not None

    async def take(self, mac: str, number: str | None, node: str, channel: str) -> Taken | Elsewhere | None:
        """As `call.ports.published.Published` has it; who learns of a proof that goes on, are desks."""
        keys = [
            self._digits(mac), due_key(self._prefix), f"{self._prefix}:budget:published:by:{number or 'withheld'}",
            f"{self._prefix}:budget:published", call_key(self._prefix, node, channel),
        ]  # fmt: skip
        answer = await self._link.run(
            _TAKE, keys,
            *self._most, page_key(self._prefix, ""), desks_key(self._prefix, ""), node, channel, WAIT * 1000, KEPT * 1000,
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
                    self._log.warning("published.closed", scope=scope.decode())
                return None
            case _:
                raise StoreError(f"Redis gave an unknown answer to {_TAKE.name}")

    def _digits(self, mac: str) -> str:
        return f"{self._prefix}:published:digits:{mac}"
