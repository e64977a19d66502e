"""The trail as a worker writes it: many calls at once, one transaction for all that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Self

from ivr.audit.chain import Written, extend, lock_of, utc_now, written
from ivr.audit.once import not_yet_written
from ivr.call.ports import Entry
from ivr.database import Database
from ivr.errors import StoreError

_Waiting = tuple[Written, "asyncio.Future[None]"]

# So that one transaction stays well under a second, however much has gathered while the database was away.
_MOST_AT_ONCE = 500


class Trail:
    """Implements `call.ports.Trail`. A flush to the disk costs milliseconds, so it is shared by all that wait for one.

    Use it with `async with`, or call `close`: what was appended before is written first.
    """

    def __init__(self, database: Database, chain: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._chain = chain
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def append(self, entry: Entry) -> None:
        """Returns when the row is durable. Raises `StoreError`; then what it tells of must not happen.

        Being cancelled takes nothing back: a row that may have been written is told as written.
        """
        if self._closed:
            raise StoreError("audit: the trail is closed")
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((written(entry, self._clock()), durable))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name=f"audit/{self._chain}")
        await durable

    async def close(self) -> None:
        """Write what waits, and take nothing more."""
        self._closed = True
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        """Until nothing waits. Belongs to no caller, so that none who goes away takes another's row along."""
        batch: list[_Waiting] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
                await self._write_batch(batch)
        finally:
            # nothing is left here, unless this task was cancelled or a fault of ours came up
            left, self._waiting = [*batch, *self._waiting], []
            _fail(left, "audit: the writer was stopped")
            self._writer = None

    async def _write_batch(self, batch: list[_Waiting]) -> None:
        try:
            rows = [row for row, _ in batch]
            await self._database.put_down(
                lambda connection: extend(connection, self._chain, not_yet_written(connection, rows)),
                lock=lock_of(self._chain),
            )
        except StoreError as error:
            _fail(batch, str(error))
        else:
            for _, durable in batch:
                if not durable.done():
                    durable.set_result(None)


def _fail(waiting: list[_Waiting], problem: str) -> None:
    for _, durable in waiting:
        if not durable.done():
            # one for each: a traceback grows with every task that raises it
            durable.set_exception(StoreError(problem))
            # read once here, for a waiter that is being cancelled will not, and asyncio would log it
            durable.exception()
