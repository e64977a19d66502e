"""SQLite as we set it: a committed row outlives a power cut, readers and the writer do not wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection

T = TypeVar("T")

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
        """So many threads; the engine, which must have as many connections, is theirs from now on."""
        self._engine = prepared(engine)
        self._writing = self._engine.execution_options(tillit_writes=True)
        # each statement sees one state of the database anyway
        self._asking = self._engine.execution_options(tillit_asks=True)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="database")
        # one of its own: readers that hang must not keep the audit trail from its disk
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="database-writer")

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

    async def close(self) -> None:
        """Transactions end first."""
        await asyncio.gather(*(asyncio.to_thread(threads.shutdown) for threads in (self._writer, self._threads)))
        self._engine.dispose()

    def _run(self, work: Callable[[Connection], T], writes: bool) -> T:
        if writes:
            with self._writing.begin() as connection:
                return work(connection)
        with self._asking.connect() as connection:
            return work(connection)


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
