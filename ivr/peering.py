"""What the desk's process runs so that other organisations can ask who we are, and can prove who they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from structlog.typing import FilteringBoundLogger

from ivr.config import Settings
from ivr.errors import ConfigError
from ivr.lock.peering import Peering
from ivr.lock.publishing import Publisher
from ivr.lock.reception import Reception
from ivr.sms.incoming import Handler
from ivr.store.bulletin import Bulletin
from ivr.store.link import Link

WAY = "peers"
"""As what letters come in at the public page."""


@asynccontextmanager
async def receiving(
    settings: Settings, peering: Peering, link: Link, log: FilteringBoundLogger
) -> AsyncIterator[dict[str, Handler]]:
    """Who reads what comes in, by its way."""
    async with AsyncExitStack() as stack:
        reception = Reception(peering, log)
        publisher = Publisher(settings, peering.own, Bulletin(link, settings.redis.prefix), log)
        for running in (reception.run(), publisher.run()):
            stack.push_async_callback(_ended, asyncio.create_task(running))
        yield {WAY: reception.take}


def check(settings: Settings) -> None:
    """Raises `ConfigError` where we have a domain for others, and no public page at which they reach us."""
    if settings.peers.domain is not None and settings.page.url is None:
        raise ConfigError(
            f"{settings.file}: [page] url", "is left out, and [peers] domain is written: others reach us by the public page",
            "Write url, or take domain out",
        )  # fmt: skip


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
