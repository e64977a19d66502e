"""Opening the database, and transactions on it.

SQLite is set so that a committed row outlives a power cut: a write-ahead log, flushed at every commit. Readers never
wait for a writer there, nor a writer for readers.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ivr.config import Settings, tls
from ivr.database import migrate
from ivr.database.sqlite import Elsewhere, Threads, prepared
from ivr.database.url import PLACE, SOCKETS, sqlite_file, url_of
from ivr.database.vacuum import SMALL, Left, vacuum
from ivr.errors import ConfigError, StoreError, Unreachable

# Look-ups take less than a millisecond each, so a few connections serve hundreds of calls; each costs SQLite a thread.
_CONNECTIONS = 8
_PORT = 5432

T = TypeVar("T")

_CURES = {
    False: "See to its rights, and to those of its folder; where it is broken, bring it back from your back-up",
    True: "Start PostgreSQL, and compare host, name, username and password with it",
}


class Database:
    """A pool of connections. `open` it, and `close` it at the end, or use it with `async with`."""

    def __init__(self, engine: AsyncEngine, threads: Threads | None, seconds: float) -> None:
        self._seconds = seconds
        self._reading = engine
        self._writing = engine.execution_options(tillit_writes=True)
        self._threads = threads

    @classmethod
    async def open(cls, settings: Settings, *, near: bool = False) -> Self:
        """The database of the settings, its schema being of this program's version.

        `near`: with SQLite, short look-ups are made on the event loop's own thread, where they take a third of the time; for a
        process that has nothing else to do while a disk hangs.

        Raises `ConfigError` where it is missing, or was not brought up to date by `init`; `Unreachable` where it does
        not answer.
        """
        database = await cls.open_any(settings, near=near)
        try:
            async with database.read() as connection:
                fault = await connection.run_sync(migrate.fault)
            if fault is not None:
                raise ConfigError(f"{settings.file}: {PLACE}", *fault)
        except BaseException:
            await database.close()
            raise
        return database

    @classmethod
    async def open_any(cls, settings: Settings, *, near: bool = False) -> Self:
        """The database whatever its schema is, for migrating it. Raises `ConfigError` where there is none.

        `Unreachable` where it does not answer, or is somebody else's for too long.
        """
        place = f"{settings.file}: {PLACE}"
        file = sqlite_file(settings)
        if file is not None and not file.is_file():
            raise ConfigError(place, f"{file} is missing", "Type: ari_app.py init")
        url = url_of(settings)
        seconds = settings.database.request_seconds
        threads = None
        if file is not None:
            engine = create_engine(url.set(drivername="sqlite"), **_options(url, seconds))
            threads = Threads(engine, _CONNECTIONS - 2, near=near)
        trusted = (
            tls.context(settings, "[database]", settings.database.ca_file) if settings.database.encrypted else None
        )
        database = cls(_engine(url, seconds, trusted), threads, seconds)
        try:
            async with database.read() as connection:
                # SQLite opens anything; only what reads the schema finds that it is no database
                await connection.run_sync(migrate.is_empty)
        except BaseException as error:
            await database.close()
            if isinstance(error, StoreError):
                if (why := str(error).removeprefix("database: ")).startswith("its certificate"):
                    at = f"{settings.file}: [database] ca_file"
                    raise Unreachable(at, f"{settings.database.url}: {why}", tls.CURE) from None
                kind = Unreachable if _may_pass(str(error).removeprefix("database: ")) else ConfigError
                raise kind(place, f"cannot be used ({error})", _CURES[file is None]) from None
            raise
        return database

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; transactions must be over."""
        await self._reading.dispose()
        if self._threads is not None:
            await self._threads.close()

    async def look_up(self, work: Callable[[Connection], T]) -> T:
        """What one statement finds; for calls. Raises `StoreError`.

        SQLite does the whole of it in one go on a thread of its own: through `read` each step goes there and back.
        """
        if self._threads is None:
            async with self.read() as connection:
                return await connection.run_sync(work)
        # the wait for a thread too: one that reads from a disk that hangs does not come back
        async with _translated(), asyncio.timeout(self._seconds):
            return await self._threads.run(work, writes=False)

    async def glance(self, work: Callable[[Connection], T]) -> T:
        """`look_up` of what reads a few rows by their keys, for processes that are `near` and ask at every request."""
        if self._threads is not None:
            try:
                return self._threads.here(work)
            except Elsewhere:
                pass
            except (SQLAlchemyError, OSError) as error:
                raise StoreError(f"database: {_code(error)}") from None
        return await self.look_up(work)

    async def put_down(self, work: Callable[[Connection], T], *, lock: str) -> T:
        """A transaction in one go: durable when this returns, undone when the work raises. Raises `StoreError`."""
        if self._threads is None:
            async with self.write(lock=lock) as connection:
                return await connection.run_sync(work)
        async with _translated():
            return await self._threads.run(work, writes=True)

    async def scrub(self, *tables: str, small: float = SMALL) -> Left | None:
        """Have what was deleted from these tables vanish from their files; why it could not yet, where that is so.

        SQLite overwrites rows when they are deleted, but its log keeps older pages until it is emptied. PostgreSQL forgets
        rows in VACUUM, and their bytes where it writes the tables anew, if none is larger than `small` bytes; its write-ahead
        log has them until it is overwritten, which nobody can hasten from here. May be done again at any time. Raises `StoreError`.
        """
        if self._threads is None:
            plain = self._reading.execution_options(isolation_level="AUTOCOMMIT")
            async with _translated(), plain.connect() as connection:
                return await vacuum(connection, tables, self._seconds, small=small)
        async with _translated(), self._reading.execution_options(tillit_asks=True).connect() as connection:
            busy, *_ = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).one()
            return Left.READ if busy else None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads, on one state of the database. Raises `StoreError`."""
        async with _translated(), self._reading.connect() as connection:
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A transaction whose every statement sees the state of its first one, however long it lasts. Raises `StoreError`."""
        # with SQLite each transaction is such a one
        engine = self._reading
        if self._threads is None:
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        async with _translated(), engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self, *, lock: str | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction, durable when the block is left, undone when it raises. Raises `StoreError`.

        One with the same `lock` waits for the other's end. SQLite has but one writer at any time, so it needs no lock.
        """
        async with _translated(), self._writing.begin() as connection:
            if lock is not None:
                await hold(connection, lock)
            yield connection


async def hold(connection: AsyncConnection, lock: str) -> None:
    """Wait until no other transaction holds this lock, and hold it to the end of this one, one more beside its own."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": zlib.crc32(lock.encode())})


def _engine(url: URL, seconds: float, trusted: ssl.SSLContext | None) -> AsyncEngine:
    engine = create_async_engine(url, **_options(url, seconds, trusted))
    if url.get_backend_name() == "sqlite":
        prepared(engine.sync_engine)
    return engine


def _options(url: URL, seconds: float, trusted: ssl.SSLContext | None = None) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        # isolation_level None: this module says BEGIN, not the driver, which would put it off until the first INSERT.
        arguments: dict[str, Any] = {"timeout": seconds, "isolation_level": None}
    else:
        # whatever the server's own settings say: a row that was told as written is on its disk
        server = {"synchronous_commit": "on"}
        arguments = {"timeout": seconds, "command_timeout": seconds, "server_settings": server}
        # else the driver takes them from the environment (PGHOST, PGPORT), and goes wherever that says
        arguments["port"] = url.port or _PORT
        if not url.host:
            arguments["host"] = list(SOCKETS)
        if trusted is not None:
            # else the driver takes what the server offers, and checks nobody's certificate
            arguments["ssl"] = trusted
    return {
        "connect_args": arguments,
        # An error must not show a customer's values, nor a log a statement's.
        "hide_parameters": True,
        "pool_size": _CONNECTIONS,
        "max_overflow": 0,
        "pool_timeout": seconds,
        "pool_pre_ping": url.get_backend_name() == "postgresql",
    }


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    """Whatever the database raises becomes a `StoreError` that carries a code and no value."""
    try:
        yield
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        raise StoreError(f"database: {_code(error)}") from None


def _code(error: Exception) -> str:
    """SQLite's name for it, PostgreSQL's number for it, what is wrong with its certificate, or the class of the exception."""
    if why := tls.fault(error):
        return why
    if isinstance(error, DBAPIError) and error.orig is not None:
        for attribute in ("sqlite_errorname", "sqlstate"):
            code = getattr(error.orig, attribute, None)
            if code:
                return str(code)
        return type(error.orig).__name__
    return type(error).__name__


def _may_pass(code: str) -> bool:
    """Whether waiting may help: SQLite's lock is another's, or PostgreSQL is not there, starting, stopping or full."""
    if code.startswith("SQLITE_"):
        return code in ("SQLITE_BUSY", "SQLITE_LOCKED")
    # 08, 53 and 57 are PostgreSQL's classes for that; what is no number of five characters did not come from it
    return code[:2] in ("08", "53", "57") or len(code) != 5
