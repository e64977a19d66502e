"""The trail as a worker writes it: many calls at once, one transaction for all that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic
from typing import Self

from sqlalchemy import Connection
from structlog.typing import FilteringBoundLogger

from ivr.audit import heads
from ivr.audit.chain import Broken, End, Written, extend, lock_of, news, stamp, utc_now, written
from ivr.audit.signing import Seal
from ivr.call.ports import Entry
from ivr.database import Database
from ivr.errors import StoreError

_Waiting = tuple[Written, "asyncio.Future[str]"]

# So that one transaction stays well under a second, however much has gathered while the database was away.
_MOST_AT_ONCE = 500

# What SQLite (by the trigger on its rows) and PostgreSQL say to a second row of one `once`: another worker had the call.
_TWICE = ("database: SQLITE_CONSTRAINT_TRIGGER", "database: 23505")
# Others may be written while it is looked which rows are there.
_TRIES = 4

# What writers that tell other heads wait for.
_TELLING = "audit heads"

# Whoever asks whether rows can be written has a head signed, but not where something was written so many seconds ago.
_FRESH = 5.0


class Trail:
    """Implements `call.ports.Trail`. A flush to the disk costs milliseconds, so it is shared by all that wait for one.

    Use it with `async with`, or call `close`: what was appended before is written first. Entered, it signs how far its
    chain has come, at once and every `head_seconds`, and at the end.
    """

    def __init__(
        self,
        database: Database,
        chain: str,
        seal: Seal,
        *,
        head_seconds: float = 30,
        seconds: float = 10,
        log: FilteringBoundLogger | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`seconds`: how long a row is waited for; a disk may hang, and then nothing that asks it comes back."""
        self._database = database
        self._chain = chain
        self._seal = seal
        self._head_seconds = head_seconds
        self._seconds = seconds
        self._log = log
        self._clock = clock
        self._end: End | None = None
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._signer: asyncio.Task[None] | None = None
        self._asked: asyncio.Task[None] | None = None
        self._wrote = float("-inf")
        self._closed = False
        self.left: datetime | None = None
        """When any chain was signed last before this one was entered."""

    async def __aenter__(self) -> Self:
        """Raises `ConfigError` where the chain does not end as it was left, `StoreError` where it cannot be written."""
        try:
            await self._sign_head(first=True)
        except Broken as error:
            raise error.refusal() from None
        self._signer = asyncio.create_task(self._keep_signing(), name=f"audit/{self._chain}/head")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def append(self, entry: Entry) -> str:
        """The outcome that stands, as soon as it is durable. Raises `StoreError`; then what it tells of must not happen.

        Being cancelled takes nothing back: a row that may have been written is told as written. One that was not written
        in time may be later: `once` holds for it too.
        """
        if self._closed:
            raise StoreError("audit: the trail is closed")
        durable: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        waiting = written(entry, self._clock()), durable
        self._waiting.append(waiting)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name=f"audit/{self._chain}")
        try:
            async with asyncio.timeout(self._seconds):
                return await durable
        except TimeoutError:
            if waiting in self._waiting:
                # else it would be among many of its like when the database comes to
                self._waiting.remove(waiting)
        raise StoreError("audit: the database does not take the row in time")

    async def ping(self) -> None:
        """Returns when rows can be written. Raises `StoreError`."""
        if self._closed:
            raise StoreError("audit: the trail is closed")
        if monotonic() - self._wrote < _FRESH:
            return
        if self._asked is None or self._asked.done():
            self._asked = asyncio.create_task(self._sign_head(), name=f"audit/{self._chain}/ping")
            # read in any case, for who asked may have gone by then
            self._asked.add_done_callback(lambda asked: asked.cancelled() or asked.exception())
        # who asks has a time limit, and a transaction that has begun is not cut short
        await asyncio.wait([self._asked])
        self._asked.result()

    async def close(self) -> None:
        """Write what waits, sign the end, and take nothing more."""
        self._closed = True
        if self._asked is not None:
            await asyncio.gather(self._asked, return_exceptions=True)
        if self._writer is not None:
            await self._writer
        if self._signer is not None:
            self._signer.cancel()
            await asyncio.wait([self._signer])
            self._signer = None
            await self._try_to_sign()

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
        rows = [row for row, _ in batch]
        try:
            stands = await self._put_down(rows)
        except StoreError as error:
            self._wrote = float("-inf")
            _fail(batch, str(error))
        else:
            for row, durable in batch:
                if not durable.done():
                    durable.set_result(row.outcome if row.once is None else stands[row.once])

    async def _put_down(self, rows: list[Written]) -> dict[str, str]:
        """By `once` the outcome that stands."""
        # Seldom a row's like is there: so it is only looked for when the database has refused one.
        look = False
        for _ in range(_TRIES - 1):
            try:
                return await self._extend(rows, look=look)
            except StoreError as error:
                if str(error) not in _TWICE:
                    raise
                look = True
        return await self._extend(rows, look=look)

    async def _extend(self, rows: list[Written], *, look: bool) -> dict[str, str]:
        """Write them, with `look` without those of which the like is there; by `once` the outcome that stands."""
        known = self._end
        told = {row.once: row.outcome for row in rows if row.once is not None}

        def work(connection: Connection) -> tuple[End, dict[str, str]]:
            kept, stands = news(connection, rows) if look else (rows, told)
            return extend(connection, self._chain, kept, self._seal, known=known), stands

        end, stands = await self._database.put_down(work, lock=lock_of(self._chain))
        self._remember(end)
        return stands

    def _remember(self, end: End) -> None:
        # a head's transaction may be told of behind one that came after it
        if self._end is None or end.seq >= self._end.seq:
            self._end = end
        self._wrote = monotonic()

    async def _sign_head(self, *, first: bool = False) -> None:
        """In a transaction of its own, off the calls' way."""
        at, known = stamp(self._clock()), self._end

        def work(connection: Connection) -> End:
            end = extend(connection, self._chain, (), self._seal, known=known)
            if first:
                self.left = heads.signed_last(connection, at, self._seal)
            heads.sign(connection, self._chain, end.seq, end.hash, at, self._seal)
            return end

        self._remember(await self._database.put_down(work, lock=lock_of(self._chain)))
        # apart from it, so that two workers that tell each other's heads never wait for one another
        old = stamp(self._clock() - timedelta(seconds=2 * self._head_seconds))
        await self._database.put_down(
            lambda connection: heads.tell_others(connection, self._chain, old, self._seal), lock=_TELLING
        )

    async def _keep_signing(self) -> None:
        while True:
            await asyncio.sleep(self._head_seconds)
            await self._try_to_sign()

    async def _try_to_sign(self) -> None:
        try:
            await self._sign_head()
        except StoreError as error:
            if self._log is not None:
                self._log.error("audit.failed", chain=self._chain, error=str(error))


def _fail(waiting: list[_Waiting], problem: str) -> None:
    for _, durable in waiting:
        if not durable.done():
            # one for each: a traceback grows with every task that raises it
            durable.set_exception(StoreError(problem))
            # read once here, for a waiter that is being cancelled will not, and asyncio would log it
            durable.exception()
