"""That a provider of electronic identities says that it is time to look: told by whoever it has come to, to whoever waits."""

from __future__ import annotations

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from ivr.config import Settings
from ivr.store.link import Link
from ivr.store.topic import Topic


async def tell(link: Link, prefix: str, words: bytes) -> None:
    """Raises `StoreError`."""
    await link.ask("PUBLISH", _topic(prefix), words)


def heard(settings: Settings, told: Callable[[bytes], None], log: FilteringBoundLogger) -> Topic:
    """Tells this one, which may not wait. What is lost while Redis is away is found when it is looked for without it. Raises `ConfigError`."""
    return Topic(settings, _topic(settings.redis.prefix), told=told, came=lambda: None, log=log)


def _topic(prefix: str) -> str:
    return f"{prefix}:eid:pinged"
