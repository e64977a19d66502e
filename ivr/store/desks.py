"""What workers tell the desks, by Redis: how far callers are for whom agents wait, and which marks are others than before."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Waiting
from ivr.config import Settings
from ivr.errors import StoreError
from ivr.store.link import Link, Script
from ivr.store.news import news_of_call, news_of_endpoint, topic
from ivr.store.waits import ENDED_SECONDS, ended_key, gone_key, waits_key, written

TELL_DESK = Script("clock", "tell_desk")

# Milliseconds. [tillit-wait] of the dialplan has an agent wait for 15 minutes at most.
_WAITS = 20 * 60 * 1000
# A sentence is said behind the end.
_COMES_BACK = 60 * 1000
_GONE_IS_NEWS = 15 * 1000
_ENDED = ENDED_SECONDS * 1000
# What is not passed on is forgotten; of one agent only the latest is kept.
_MOST = 10_000

# The agent's channel, or node and channel of a mark.
_Whose = tuple[str, ...]


class RedisDesks:
    """`call.ports.Desks`, by connections of its own: a Redis that hangs keeps no call waiting for one."""

    def __init__(self, link: Link, prefix: str, log: FilteringBoundLogger) -> None:
        self._link = link
        self._prefix = prefix
        self._log = log
        self._due: dict[_Whose, Waiting | None] = {}
        self._some = asyncio.Event()
        self._passing: asyncio.Task[None] | None = None
        self._trouble = ""

    @classmethod
    def of(cls, settings: Settings, log: FilteringBoundLogger) -> Self:
        """To the settings' Redis. Raises `ConfigError`."""
        return cls(Link.of(settings), settings.redis.prefix, log)

    async def __aenter__(self) -> Self:
        self._passing = asyncio.create_task(self._pass_all(), name="desks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._passing is not None
        self._passing.cancel()
        await asyncio.wait([self._passing])
        await self._link.close()

    def tell(self, waiting: Waiting) -> None:
        """How far it is now."""
        self._put((waiting.agent, waiting.node), waiting)

    def changed(self, node: str, channel: str) -> None:
        """The mark of this channel is another one than before, or gone."""
        self._put((node, channel, "mark"), None)

    # ------------------------------------------------------------ inside

    def _put(self, whose: _Whose, what: Waiting | None) -> None:
        # behind all others: an end must not overtake a beginning
        self._due.pop(whose, None)
        if len(self._due) < _MOST:
            self._due[whose] = what
        self._some.set()

    async def _pass_all(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._due:
                whose = next(iter(self._due))
                what = self._due.pop(whose)
                try:
                    heard = await (self._mark(*whose[:2]) if what is None else self._waiting(what))
                    self._say("" if heard else "it may not publish: see config/redis.conf")
                except StoreError as error:
                    self._say(str(error))

    async def _waiting(self, waiting: Waiting) -> bool:
        keys = [
            waits_key(self._prefix, waiting.endpoint),
            gone_key(self._prefix, waiting.endpoint),
            ended_key(self._prefix, waiting.node, waiting.channel),
        ]
        answer = await self._link.run(
            TELL_DESK, keys, waiting.agent, written(waiting), waiting.status, _WAITS, _COMES_BACK, _GONE_IS_NEWS, _ENDED,
            topic(self._prefix), news_of_endpoint(waiting.endpoint),
        )  # fmt: skip
        return answer == [b"told", 1]

    async def _mark(self, node: str, channel: str) -> bool:
        await self._link.ask("PUBLISH", topic(self._prefix), news_of_call(node, channel))
        return True

    def _say(self, trouble: str) -> None:
        """Once for each kind of trouble."""
        if trouble and trouble != self._trouble:
            self._log.warning("desks.untold", error=trouble)
        self._trouble = trouble
