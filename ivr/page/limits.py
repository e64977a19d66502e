"""How much anybody may ask of the public page: by address, and in all, in Redis, for all page processes together."""

from __future__ import annotations

from ivr.config import Page, Persons
from ivr.secret import Secret
from ivr.store.address import is_within, networks
from ivr.store.pace import RedisPace
from ivr.store.pagekey import PageKey
from ivr.web.problems import Problem

# Of an address's requests in a minute, how many may send something.
_SENT = 5
_HOUR = 60
# How many times as much as an address an IPv6 /56 and a /48 may ask: who has one of these has all addresses in it, and many homes may be in one /48.
_TIMES = 1, 3, 8
# Of a page in a minute that renews itself each second, and is looked at besides.
_WATCHED = 120


class Limits:
    """Every method raises `Problem` where it is one too many, and `StoreError` where nothing can be counted: then nothing is shown."""

    def __init__(self, pace: RedisPace, key: PageKey, rules: Page, persons: Persons) -> None:
        self._pace = pace
        self._key = key
        self._rules = rules
        self._persons = persons

    async def request(self, address: str, *, sends: bool) -> None:
        """One of this address, and of all. What an address has too many of is none of the others'."""
        rules = self._rules
        await self._of_one("address", address, rules.per_address_minute)
        if sends:
            await self._of_one("sent", address, max(rules.per_address_minute // _SENT, 1))
        await self._take("all", "all", rules.per_minute)

    async def code(self, address: str) -> None:
        """A short code is keyed, before it is known whether it is right: whoever guesses comes from many addresses."""
        await self._of_one("code", address, self._rules.codes_of_one_per_hour, minutes=_HOUR)
        await self._take("codes", "all", self._rules.codes_per_hour, minutes=_HOUR)

    async def person(self, address: str) -> None:
        """Somebody begins to identify: a provider is asked."""
        await self._of_one("person", address, self._persons.begun_of_one_per_hour, minutes=_HOUR)

    async def watch(self, session: str) -> None:
        """A page that renews itself, of somebody who is known: of no address, for behind one are many. Those of all keep nobody from another page."""
        await self._take("watch", session, _WATCHED)
        await self._take("watches", "all", self._rules.per_minute)

    async def check(self, address: str) -> None:
        """Somebody asks whether it was us: each may cost a text."""
        await self._of_one("check", address, self._rules.checks_of_one_per_hour, minutes=_HOUR)
        await self._take("checks", "all", self._rules.checks_per_hour, minutes=_HOUR)

    async def report(self, address: str) -> None:
        """Something for desk or worker has come in; what is sent too often by many keeps nobody from the page, and no known gateway from reporting."""
        rules = self._rules
        if is_within(address, rules.reports_from):
            await self._take("reports", "known", rules.reports_per_minute)
            return
        await self._of_one("report", address, rules.reports_of_one_per_minute, at_most=rules.reports_per_minute // 2)
        await self._take("reports", "all", rules.reports_per_minute)

    async def _of_one(
        self, kind: str, address: str, most: int, *, minutes: int = 1, at_most: int | None = None
    ) -> None:
        """`at_most`: of any network, however large."""
        for times, network in zip(_TIMES, networks(address), strict=False):
            share = most * times if at_most is None else min(most * times, at_most)
            await self._take(kind, self._key.mac("address", Secret(network)), share, minutes=minutes)

    async def _take(self, kind: str, whom: str, most: int, *, minutes: int = 1) -> None:
        wait = await self._pace.take(kind, whom, per_minute=most, minutes=minutes)
        if wait is not None:
            raise Problem("too_many_requests", wait=wait)
