"""Settings, keys and a database in a folder, for tests."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ivr.config import Settings, load
from ivr.database import Database, migrate
from ivr.store import keycheck
from ivr.vault import Keys, PinRecord, Vault, keys

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


def rows(settings: Settings, query: str) -> list[Any]:
    """What a query gives, read beside the program."""
    with directly(settings) as connection:
        return connection.execute(query).fetchall()
