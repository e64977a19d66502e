"""SQLite as we set it: a committed row outlives a power cut, readers and the writer do not wait for each other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

T = TypeVar("T")
_Work = Callable[[Connection], Any]
_Result = tuple[Any, Exception | None]

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # What was deleted is overwritten, not only forgotten.
    "PRAGMA secure_delete = ON",
    # A function hidden in a tampered schema is not run.
    "PRAGMA trusted_schema = OFF",
)


class Threads:
    """Threads that have a connection to SQLite each, for whole transactions."""

    def __init__(self, engine: Engine, count: int) -> None:
        """So many threads; the engine, which must have one connection more, is theirs from now on."""
        self._engine = prepared(engine)
        self._writing = self._engine.execution_options(tillit_writes=True)
        # each statement sees one state of the database anyway
        self._asking = self._engine.execution_options(tillit_asks=True)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="database")
        # one of its own: readers that hang must not keep the audit trail from its disk
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="database-writer")
        # to take one out of the pool for each look-up takes longer than to look it up
        self._kept = threading.local()
        self._all: list[Connection] = []
        self._waiting: list[tuple[_Work, asyncio.Future[Any]]] = []

    async def run(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        """What the work returns. A cancelled one that writes is waited for: whether it has written must not be unknown."""
        done = asyncio.get_running_loop().run_in_executor(
            self._writer if writes else self._threads, self._run, work, writes
        )
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            if writes:
                await asyncio.wait([done])
            raise

    async def run_together(self, work: Callable[[Connection], T]) -> T:
        """The same of what only reads, and is short: all that is asked in one turn of the event loop goes to one thread."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._waiting.append((work, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._send, loop)
        return await answer

    async def close(self) -> None:
        """Transactions end first."""
        await asyncio.gather(*(asyncio.to_thread(threads.shutdown) for threads in (self._writer, self._threads)))
        for connection in self._all:
            connection.close()
        self._engine.dispose()

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        some, self._waiting = self._waiting, []

        def told(done: asyncio.Future[list[_Result]]) -> None:
            for (_, answer), result in zip(some, done.result(), strict=True):
                # who asked may have gone
                if not answer.done():
                    _tell(answer, result)

        loop.run_in_executor(self._threads, self._each, [work for work, _ in some]).add_done_callback(told)

    def _each(self, some: list[_Work]) -> list[_Result]:
        results: list[_Result] = []
        for work in some:
            try:
                results.append((self._run(work, writes=False), None))
            except Exception as error:  # noqa: BLE001 (it is whose work it was who hears of it)
                results.append((None, error))
        return results

    def _run(self, work: Callable[[Connection], T], writes: bool) -> T:
        connection = self._connection(self._writing if writes else self._asking)
        try:
            with connection.begin():
                return work(connection)
        except BaseException:
            # the pool looks what state it is in
            self._drop(connection)
            raise

    def _connection(self, engine: Engine) -> Connection:
        """This thread's own."""
        kept: Connection | None = getattr(self._kept, "connection", None)
        if kept is None:
            kept = self._kept.connection = engine.connect()
            self._all.append(kept)
        return kept

    def _drop(self, connection: Connection) -> None:
        self._kept.connection = None
        self._all.remove(connection)
        connection.close()


def _tell(answer: asyncio.Future[Any], result: _Result) -> None:
    value, error = result
    if error is None:
        answer.set_result(value)
    else:
        answer.set_exception(error)


def prepared(engine: Engine) -> Engine:
    """The engine, whose connections are set so from now on."""
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    try:
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
    finally:
        cursor.close()


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("tillit_asks", False):
        return
    # IMMEDIATE: a transaction that read first and then wanted to write would fail instead of waiting its turn.
    writes = connection.get_execution_options().get("tillit_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
