"""What is told on a channel of Redis at the moment when it happens, heard as long as the process lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError
from structlog.typing import FilteringBoundLogger

from ivr.config import Settings
from ivr.store.link import reason, root
from ivr.store.pool import Pool

# After so many seconds of silence it is asked whether anybody is there, and for so long waited for the answer.
_SILENCE = 10.0
# Waits before connecting again, in seconds; the last one is repeated.
_WAITS = (0.1, 0.5, 1.0, 2.0, 5.0)


class Topic:
    """Listens from `async with` on, and again after Redis was away. What was told meanwhile is lost: `came` says that it may be."""

    def __init__(
        self,
        settings: Settings,
        *names: str,
        told: Callable[[bytes], None],
        came: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        """`names` are those of the channels. Neither `told` nor `came` may wait. Raises `ConfigError`."""
        self._pool = Pool.of(settings)
        self._names = names
        self._told = told
        self._came = came
        self._log = log
        self._trouble = ""
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._listening = asyncio.create_task(self._listen(), name=self._names[0])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listening is not None
        self._listening.cancel()
        await asyncio.wait([self._listening])
        await self._pool.aclose()

    # ------------------------------------------------------------ inside

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                connection = await self._pool.lend()
                try:
                    await self._subscribe(connection)
                    failures = 0
                    await self._follow(connection)
                finally:
                    await connection.disconnect(nowait=True)
                    await self._pool.give_back(connection)
            except (RedisError, OSError) as error:
                self._say(reason(root(error)) if isinstance(error, RedisError) else type(error).__name__)
            await asyncio.sleep(_WAITS[min(failures, len(_WAITS) - 1)])
            failures += 1

    async def _subscribe(self, connection: AbstractConnection) -> None:
        await connection.send_command("SUBSCRIBE", *self._names, check_health=False)
        async with asyncio.timeout(_SILENCE):
            for _ in self._names:
                await connection.read_response()
        self._trouble = ""
        self._came()

    async def _follow(self, connection: AbstractConnection) -> None:
        """Until nobody answers any more. Raises `RedisError`, `OSError`."""
        reading, asked = asyncio.ensure_future(connection.read_response()), False
        try:
            while True:
                await asyncio.wait((reading,), timeout=_SILENCE)
                if reading.done():
                    self._pass_on(reading.result())
                    reading, asked = asyncio.ensure_future(connection.read_response()), False
                elif asked:
                    self._say("no answer")
                    return
                else:
                    await connection.send_command("PING", check_health=False)
                    asked = True
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _pass_on(self, heard: object) -> None:
        """A message; what is none is the answer to a PING."""
        match heard:
            case [b"message", bytes(name), bytes(words)]:
                self._hear(name.decode(), words)
            case _:
                pass

    def _hear(self, name: str, words: bytes) -> None:  # noqa: ARG002 (who listens to several tells them by it)
        self._told(words)

    def _say(self, trouble: str) -> None:
        """Once for each kind of trouble."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._log.warning("news.lost", error=trouble)
