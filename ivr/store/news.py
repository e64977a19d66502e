"""What the desks hear from the workers, and from each other, at the moment when it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson
from structlog.typing import FilteringBoundLogger

from ivr.config import Settings
from ivr.store.topic import Topic


def topic(prefix: str) -> str:
    """Where it is told."""
    return f"{prefix}:news"


def news_of_endpoint(endpoint: str) -> bytes:
    """Of whoever waits at this endpoint."""
    return orjson.dumps({"endpoint": endpoint})


def news_of_call(node: str, channel: str) -> bytes:
    """Of the mark of this channel."""
    return orjson.dumps({"node": node, "channel": channel})


@dataclass(frozen=True, slots=True)
class Heard:
    """Whom the news is of: those who wait at an endpoint, or those who talk with the caller of a channel."""

    endpoint: str = ""
    node: str = ""
    channel: str = ""


class News(Topic):
    """What is told to all desks, as `Topic` hears it."""

    def __init__(
        self, settings: Settings, *, told: Callable[[Heard], None], came: Callable[[], None], log: FilteringBoundLogger
    ) -> None:
        """Neither may wait. Raises `ConfigError`."""

        def read(words: bytes) -> None:
            try:
                told(Heard(**orjson.loads(words)))
            except (ValueError, TypeError):
                # of another version
                came()

        super().__init__(settings, topic(settings.redis.prefix), told=read, came=came, log=log)
