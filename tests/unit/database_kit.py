"""Settings, keys and a database in a folder, for tests."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from ivr.audit import Seal, Trail
from ivr.config import Settings, load
from ivr.database import Database, migrate
from ivr.database.url import url_of
from ivr.store import keycheck
from ivr.vault import Index, Key, Keys, PinRecord, Vault, keyfile, keys

TOML = """
[company]
name = "Example"
country = "SE"
[policies.support]
steps = ["pin"]
level = 1
[steps.pin]
scrypt_p = 1
"""
"""PINs at the least cost that the settings allow: what they cost is tested elsewhere."""

RECORD = PinRecord(salt=b"s" * 16, hash=b"h" * 32, log2_n=14, r=8, p=5)


def settings_in(folder: Path, more: str = "") -> Settings:
    """Settings whose file is in this folder."""
    file = folder / "tillit.toml"
    file.write_text(TOML + more)
    return load(file)


def keys_of(settings: Settings) -> Keys:
    """Its keys, made."""
    keyfile.create(settings)
    return keys.load(settings)


_MIGRATED: list[bytes] = []
"""An empty database, as the migrations make it. Kept, since making it takes longer than most tests."""


SEAL = Seal(Key("0a0b0c0d", bytes(range(32))))
"""An audit key."""

INDEX = Index(Key("0a0b0c0d", bytes(range(32))))
"""Of another hash key than that of any settings."""


def trail_of(database: Database, chain: str, *, seal: Seal = SEAL, **more: Any) -> Trail:
    """A trail that is signed with that key, or another."""
    return Trail(database, chain, seal, **more)


async def database_of(settings: Settings, vault: Vault | None = None) -> Database:
    """Its database, made, and opened as a worker does."""
    if on_postgresql(settings):
        await _make_on_postgresql(settings)
    else:
        await _make_on_sqlite(settings)
    database = await Database.open(settings)
    if vault is not None:
        async with database.write() as connection:
            await keycheck.record(connection, vault.keys)
    return database


def on_postgresql(settings: Settings) -> bool:
    """Which of the two its database is."""
    return settings.database.url.startswith("postgresql")


async def empty_database(settings: Settings) -> None:
    """Its database, without any table."""
    if not on_postgresql(settings):
        migrate.create_file(settings)
        return
    name = settings.database.url.rpartition("/")[2]
    await as_administrator(settings, f"CREATE DATABASE {name}")


async def as_administrator(settings: Settings, *statements: str) -> None:
    """On the server, outside any database of ours."""
    url = url_of(settings)
    connection = await asyncpg.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, database="postgres"
    )
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


_TEMPLATES: set[int] = set()
"""The servers, by port, that have an empty database to be copied."""


async def _make_on_postgresql(settings: Settings) -> None:
    url = url_of(settings)
    assert url.port is not None
    if url.port not in _TEMPLATES:
        template = settings.model_copy(
            update={"database": settings.database.model_copy(update={"url": f"{settings.database.url}_template"})}
        )
        await empty_database(template)
        async with await Database.open_any(template) as database, database.write() as connection:
            await migrate.migrate(connection)
        await as_administrator(settings, f"ALTER DATABASE {url.database}_template RENAME TO migrated")
        _TEMPLATES.add(url.port)
    await as_administrator(settings, f"CREATE DATABASE {url.database} TEMPLATE migrated")


async def _make_on_sqlite(settings: Settings) -> None:
    migrate.create_file(settings)
    file = settings.path(Path("tillit.db"))
    if _MIGRATED:
        file.write_bytes(_MIGRATED[0])
    else:
        async with await Database.open_any(settings) as database, database.write() as connection:
            await migrate.migrate(connection)
        _MIGRATED.append(file.read_bytes())


@contextmanager
def directly(settings: Settings) -> Iterator[sqlite3.Connection]:
    """The database's file, as someone with a shell on the machine opens it."""
    with closing(sqlite3.connect(settings.path(Path("tillit.db")), isolation_level=None)) as connection:
        yield connection


def without_protection(connection: sqlite3.Connection) -> None:
    """Take the audit trail's triggers away, as someone does who means to change it."""
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")


async def asked(database: Database, query: str) -> list[Any]:
    """What a query gives, on either database."""
    async with database.read() as connection:
        return [tuple(row) for row in (await connection.exec_driver_sql(query)).all()]


@asynccontextmanager
async def held(settings: Settings) -> AsyncIterator[None]:
    """Somebody else keeps every writer waiting."""
    if not on_postgresql(settings):
        with directly(settings) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    url = url_of(settings)
    other = await asyncpg.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, database=url.database
    )
    try:
        async with other.transaction():
            await other.execute("LOCK TABLE audit, customers IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await other.close()


async def tamper(database: Database, *statements: str) -> None:
    """Change the database past the program, as someone does who may write to it: the triggers go first."""
    async with database.write() as connection:
        if connection.dialect.name == "postgresql":
            for table in ("audit", "audit_heads", "audit_anchors"):
                await connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        else:
            found = await connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (name,) in found.all():
                await connection.exec_driver_sql(f"DROP TRIGGER {name}")
        for statement in statements:
            await connection.exec_driver_sql(statement)


def rows(settings: Settings, query: str) -> list[Any]:
    """What a query gives, read beside the program."""
    with directly(settings) as connection:
        return connection.execute(query).fetchall()
