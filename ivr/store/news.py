"""What the desks hear from the workers, from each other, and of the public page, at the moment when it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson
from structlog.typing import FilteringBoundLogger

from ivr.config import Settings
from ivr.store.pageparts import news_key
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
    """Whom the news is of: those who wait at an endpoint, those who talk with the caller of a channel, or a proof that has gone on."""

    endpoint: str = ""
    node: str = ""
    channel: str = ""
    proof: str = ""


class News(Topic):
    """What is told to all desks, as `Topic` hears it."""

    def __init__(
        self, settings: Settings, *, told: Callable[[Heard], None], came: Callable[[], None], log: FilteringBoundLogger
    ) -> None:
        """Neither may wait. Raises `ConfigError`."""
        prefix = settings.redis.prefix
        self._of_page = news_key(prefix)
        self._heard = told
        super().__init__(settings, topic(prefix), self._of_page, told=lambda _: None, came=came, log=log)

    def _hear(self, name: str, words: bytes) -> None:
        try:
            told = orjson.loads(words)
            # the page's own user can say what it likes there
            self._heard(Heard(proof=str(told["proof"])) if name == self._of_page else Heard(**told))
        except (ValueError, TypeError, KeyError):
            # of another version
            self._came()
