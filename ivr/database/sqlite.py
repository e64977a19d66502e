"""SQLite as we set it: a committed row outlives a power cut, readers and the writer do not wait for each other."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import PoolProxiedConnection

from ivr.database.prepared import told

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


class Elsewhere(Exception):
    """It is to be asked on another thread."""


class Threads:
    """Threads that have a connection to SQLite each, for whole transactions."""

    def __init__(self, engine: Engine, count: int, *, near: bool = False) -> None:
        """So many threads; the engine, which must have two connections more, is theirs from now on. `near`: see `Database.open`."""
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
        self._near = threading.get_ident() if near else None

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

    def here(self, work: Callable[[Connection], T]) -> T:
        """What short work that only reads returns, on this thread. Raises `Elsewhere` where it is not `near`, or another's lock is in the way."""
        if self._near is None:
            raise Elsewhere
        connection = self._connection(self._asking)
        try:
            return work(connection)
        except BaseException as error:
            # nobody knows what state it is in
            self._drop(connection)
            if str(getattr(getattr(error, "orig", None), "sqlite_errorname", "")).startswith("SQLITE_BUSY"):
                raise Elsewhere from None
            raise

    async def close(self) -> None:
        """Transactions end first."""
        await asyncio.gather(*(asyncio.to_thread(threads.shutdown) for threads in (self._writer, self._threads)))
        for connection in self._all:
            connection.close()
        self._engine.dispose()

    def _run(self, work: Callable[[Connection], T], writes: bool) -> T:
        connection = self._connection(self._writing if writes else self._asking)
        try:
            with connection.begin():
                return work(connection)
        except BaseException:
            # nobody knows what state it is in
            self._drop(connection)
            raise

    def _connection(self, engine: Engine) -> Connection:
        """This thread's own."""
        kept: Connection | None = getattr(self._kept, "connection", None)
        if kept is None:
            kept = self._kept.connection = engine.connect()
            self._all.append(kept)
            if threading.get_ident() == self._near:
                _run_on(kept.connection, "PRAGMA busy_timeout = 0")
        return kept

    def _drop(self, connection: Connection) -> None:
        self._kept.connection = None
        self._all.remove(connection)
        connection.invalidate()
        connection.close()


def prepared(engine: Engine) -> Engine:
    """The engine, whose connections are set so from now on."""
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: DBAPIConnection, _: object) -> None:
    _run_on(connection, *_PRAGMAS)


def _run_on(connection: DBAPIConnection | PoolProxiedConnection, *statements: str) -> None:
    cursor = connection.cursor()
    try:
        for statement in statements:
            cursor.execute(statement)
    finally:
        cursor.close()


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("tillit_asks", False):
        return
    # IMMEDIATE: a transaction that read first and then wanted to write would fail instead of waiting its turn.
    writes = connection.get_execution_options().get("tillit_writes", False)
    text = "BEGIN IMMEDIATE" if writes else "BEGIN"
    try:
        _run_on(connection.connection, text)
    except sqlite3.Error as error:
        raise told(text, error) from None
