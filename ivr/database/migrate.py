"""Migrations: the schema made, or brought up to date, by Alembic.

Alembic is imported where it migrates: every command opens the database, and would take a fifth longer to start.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, inspect, select, table

from ivr.config import Settings
from ivr.database.url import PLACE, sqlite_file
from ivr.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

NEWEST = "0018"
"""The version of the schema that this program works with: that of the last migration."""

# where Alembic keeps it
_VERSION = table("alembic_version", column("version_num"))
_FOLDER = Path(__file__).parent / "migrations"


def create_file(settings: Settings) -> Path | None:
    """Make an empty file, mode 0600, for an SQLite database; None where there is one, or it is PostgreSQL."""
    file = sqlite_file(settings)
    if file is None:
        return None
    if file.exists():
        return None
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite gives its log beside it the same mode
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        problem = f"{file} cannot be made ({error.strerror})"
        raise ConfigError(f"{settings.file}: {PLACE}", problem, "See to the rights of its folder") from None
    return file


async def migrate(connection: AsyncConnection, to: str | None = None) -> tuple[str | None, str]:
    """Bring the schema up to date within this transaction; the version before (None: empty) and after.

    `to`: a version before the newest, as tests make one.
    """
    return await connection.run_sync(_migrate, to)


def _migrate(connection: Connection, to: str | None) -> tuple[str | None, str]:
    from alembic import command
    from alembic.config import Config

    before, after = version(connection), to or NEWEST
    if before != after:
        config = Config()
        config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
        config.set_main_option("path_separator", "newline")
        config.attributes["connection"] = connection
        command.upgrade(config, after)
    return before, after


def fault(connection: Connection) -> tuple[str, str] | None:
    """Problem and cure, where the schema is not of this program's version."""
    found = version(connection)
    if found == NEWEST:
        return None
    if found is None:
        return "the database is empty", "Type: ari_app.py init"
    return f"the database is of version {found}, this program of {NEWEST}", "Type: ari_app.py init"


def version(connection: Connection) -> str | None:
    """That of its schema; None where no migration ever ran there."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    found: str | None = connection.execute(select(_VERSION.c.version_num)).scalar_one_or_none()
    return found


def is_empty(connection: Connection) -> bool:
    """Whether no migration ever ran there."""
    return version(connection) is None
