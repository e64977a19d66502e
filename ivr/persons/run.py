"""Wiring and lifetime of what is done for people who show each other who they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Texts, Trail
from ivr.config import Settings
from ivr.persons.letters import Letters
from ivr.persons.service import Persons
from ivr.persons.ways import Ways
from ivr.store.introductions import Introductions
from ivr.store.link import Link
from ivr.store.pace import RedisPace
from ivr.store.pagekey import PageKey
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
