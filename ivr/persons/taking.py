"""Takes what people want on the page, one after another, and does many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from time import time
from typing import Any

from structlog.typing import FilteringBoundLogger

from ivr.errors import StoreError, Unavailable
from ivr.store.introduction import Shows, View, Wish
from ivr.store.wishes import DeskWishes

# Seconds to wait behind a failure of Redis.
_WAIT = 1.0
# Wishes that are being done at once, each some requests to Redis, a provider or a gateway.
_AT_ONCE = 50


class Taking:
    """One desk's; any number of them may run: each wish is taken by one."""

    def __init__(
        self, store: DeskWishes, act: Callable[[Wish], Awaitable[None]], log: FilteringBoundLogger, name: str,
        clock: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """`act` does what is wanted; `clock`: seconds since the epoch."""
        self._store = store
        self._act = act
        self._log = log
        self._name = name
        self._clock = clock
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._room.acquire()
            wish = None
            try:
                wish = await self._store.take()
            except StoreError as error:
                self._log.error("person.untaken", error=str(error))
                await asyncio.sleep(_WAIT)
            finally:
                if wish is None:
                    self._room.release()
            if wish is not None:
                self.do(self._handled(wish), done=self._room.release)

    async def close(self) -> None:
        """End what is going on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def do(self, work: Coroutine[Any, Any, None], done: Callable[[], None] | None = None) -> None:
        """By the way; `done` is called behind it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if done is not None:
            task.add_done_callback(lambda _: done())

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("task.failed", error=type(error).__name__, code=self._name)

    async def _handled(self, wish: Wish) -> None:
        try:
            await self._act(wish)
        except Unavailable as error:
            self._log.error("person.failed", error=str(error))
            if wish.session:
                refused = View(Shows.REFUSED, wish.language, int(self._clock()) + 60, why="unavailable")
                with suppress(Unavailable):
                    await self._store.show(wish.session, refused)
        finally:
            with suppress(Unavailable):
                await self._store.done(wish)
