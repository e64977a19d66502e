"""Settings, keys and a database in a folder, for tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ivr.audit import Seal, Trail
from ivr.config import Settings, load
from ivr.database import Database, migrate
from ivr.store import keycheck
from ivr.vault import Key, Keys, PinRecord, Vault, keys

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
    keys.create(settings)
    return keys.load(settings)


_MIGRATED: list[bytes] = []
"""An empty database, as the migrations make it. Kept, since making it takes longer than most tests."""


SEAL = Seal(Key("0a0b0c0d", bytes(range(32))))
"""An audit key."""


def trail_of(database: Database, chain: str, *, seal: Seal = SEAL, **more: Any) -> Trail:
    """A trail that is signed with that key, or another."""
    return Trail(database, chain, seal, **more)


async def database_of(settings: Settings, vault: Vault | None = None) -> Database:
    """Its database, made, and opened as a worker does."""
    migrate.create_file(settings)
    file = settings.path(Path("tillit.db"))
    if _MIGRATED:
        file.write_bytes(_MIGRATED[0])
    else:
        async with await Database.open_any(settings) as database, database.write() as connection:
            await migrate.migrate(connection)
        _MIGRATED.append(file.read_bytes())
    database = await Database.open(settings)
    if vault is not None:
        async with database.write() as connection:
            await keycheck.record(connection, vault.keys)
    return database


@contextmanager
def directly(settings: Settings) -> Iterator[sqlite3.Connection]:
    """The database's file, as someone with a shell on the machine opens it."""
    with closing(sqlite3.connect(settings.path(Path("tillit.db")), isolation_level=None)) as connection:
        yield connection


def without_protection(connection: sqlite3.Connection) -> None:
    """Take the audit trail's triggers away, as someone does who means to change it."""
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")


async def tamper(database: Database, *statements: str) -> None:
    """Change the database past the program, as someone does who may write to it: the triggers go first."""
    async with database.write() as connection:
        if connection.dialect.name == "postgresql":
            for table in ("audit", "audit_heads"):
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
