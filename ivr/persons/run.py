"""Wiring and lifetime of what is done for people who show each other who they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.call.beside import Beside
from ivr.call.policy import policies
from ivr.call.ports import Texts, Trail
from ivr.config import Settings
from ivr.eid import BankId, Freja
from ivr.lock.course import Course
from ivr.lock.prover import Prover
from ivr.persons.asking import Asking
from ivr.persons.back import BackService
from ivr.persons.backing import Around, Backing
from ivr.persons.identifying import Identifying
from ivr.persons.letters import Letters
from ivr.persons.service import Persons
from ivr.persons.ways import Ways
from ivr.store.customers import Customers
from ivr.store.eids import Identities
from ivr.store.introductions import Introductions
from ivr.store.link import Link
from ivr.store.live import RedisLive
from ivr.store.pace import RedisPace
from ivr.store.pagekey import PageKey
from ivr.store.totps import Totps
from ivr.store.wishes import BACK, DeskWishes
from ivr.vault import Index

# Seconds between two of BankID's pictures.
_TICK = 1.0


@asynccontextmanager
async def introducing(
    settings: Settings, *, link: Link, texts: Texts, trail: Trail, index: Index, log: FilteringBoundLogger,
    tick: float = _TICK, poll: float | None = None,
) -> AsyncIterator[Persons]:  # fmt: skip
    """Runs until it is left. `tick` and `poll` as of `Identifying`. Raises `ConfigError`."""
    ways = Ways.of(settings, log, tick=tick, poll=poll)
    key, prefix = PageKey.open(settings), settings.redis.prefix
    store = Introductions(
        link, prefix, key, settings.persons, settings.limits, seconds=settings.redis.request_seconds
    )  # fmt: skip
    letters = Letters(settings, store, texts, trail, key, index, log)
    persons = Persons(settings, store, letters, ways, RedisPace(link, prefix), key, index, log)
    running = asyncio.create_task(persons.run(), name="persons")
    try:
        yield persons
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await persons.close()
        await ways.close()


@asynccontextmanager
async def identifying_back(
    settings: Settings, prover: Prover, course: Course, *, link: Link, live: RedisLive, customers: Customers,
    changed: Callable[[frozenset[str]], None], log: FilteringBoundLogger, tick: float = _TICK, poll: float | None = None,
) -> AsyncIterator[BackService]:  # fmt: skip
    """Runs until it is left: whoever was shown who we are shows who they are. `tick` and `poll` as of `Identifying`. Raises `ConfigError`."""
    own = policies(settings)
    key, prefix, vault = PageKey.open(settings), settings.redis.prefix, customers.vault
    store = DeskWishes(link, prefix, key, BACK, seconds=settings.redis.request_seconds)
    async with AsyncExitStack() as stack:
        eids = {}
        for eid in (BankId.of(settings, log), Freja.of(settings, log)):
            if eid is not None:
                stack.push_async_callback(eid.close)
                eids[eid.name] = Identifying(eid, log, tick=tick, poll=poll)
        beside = Beside(own, customers, live, prover.trail, time, log)
        stack.push_async_callback(beside.close)
        around = Around(
            settings, store, prover.backs, prover.talking(), beside, customers, live, prover.switch, prover.trail,
            Identities(customers.database, vault), live.turns(vault.index), eids, course.agent, changed, log,
        )  # fmt: skip
        backing = Backing(around)
        service = BackService(
            store, prover.backs, prover.pages, beside, backing, Asking(around, backing), Totps(customers.database, vault), key, changed, log,
        )  # fmt: skip
        stack.push_async_callback(service.close)
        running = asyncio.create_task(service.run(), name="backs")
        try:
            yield service
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
