"""Who could read or change the settings, the keys and the database; and whether these belong together."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from ivr.config import Settings
from ivr.database import Database
from ivr.database.url import sqlite_file
from ivr.doctor import account
from ivr.doctor.finding import Finding, Grade, Kind, ok
from ivr.errors import ConfigError, StoreError
from ivr.store import keycheck
from ivr.vault import Keys
from ivr.vault.keys import load, load_audit

SETTINGS = Kind(
    "settings-open", Grade.FAULT,
    "Others may change the settings",
    "Who can write them can send codes elsewhere, and lower what a policy asks for.",
)  # fmt: skip
KEYS = Kind(
    "keys", Grade.FAULT,
    "A key is missing, malformed, or can be read by others",
    "With both keys and a copy of the database, all customers' data can be read. The worker does not start.",
)  # fmt: skip
FOLDER = Kind(
    "keys-folder", Grade.WARNING,
    "The folder of the keys is open to others",
    "Who may write there can put another key in a key's place.",
)  # fmt: skip
BESIDE = Kind(
    "keys-beside", Grade.ADVICE,
    "Keys and database are on one disk",
    "A stolen or discarded disk, or one back-up of it, has both: what was encrypted can be read.",
)  # fmt: skip
DATABASE = Kind(
    "database", Grade.FAULT,
    "The database cannot be used, or is not this version's",
    "Nobody is found, and no audit row can be written. The worker does not start.",
)  # fmt: skip
OTHER = Kind(
    "keys-other", Grade.FAULT,
    "The database was made with other keys",
    "No customer would be found, and none could be read. The worker does not start.",
)  # fmt: skip
DATABASE_OPEN = Kind(
    "database-open", Grade.WARNING,
    "The database can be read or written by others",
    "Customers are encrypted in it, and the audit trail is not.",
)  # fmt: skip
KINDS = (SETTINGS, KEYS, FOLDER, BESIDE, DATABASE, OTHER, DATABASE_OPEN)


async def check(settings: Settings) -> list[Finding]:
    """Everything that is wrong with the files, and with the database."""
    found = [*_settings(settings), *_folders(settings)]
    keys: Keys | None = None
    try:
        owner = account.of(settings).number
        keys = load(settings, owner=owner)
        load_audit(settings, owner=owner)
        found.append(ok("keys", f"all are there, and theirs alone who run the worker (master {keys.master.id})"))
    except ConfigError as error:
        found.append(KEYS.told("keys", error))
    found += [*await _database(settings, keys), *_database_mode(settings)]
    return found


def _settings(settings: Settings) -> Iterator[Finding]:
    for path in (settings.file, settings.file.parent):
        mode = _mode(path)
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            problem = f"{path} has mode {mode:04o}"
            yield SETTINGS.found("settings", problem, f"chmod go-w {account.quoted(path)}")


def _folders(settings: Settings) -> Iterator[Finding]:
    files = account.key_files(settings)
    for folder in dict.fromkeys(file.parent for file in files):
        mode = _mode(folder)
        if mode & 0o077 and folder != settings.file.parent:
            yield FOLDER.found("keys", f"{folder} has mode {mode:04o}", f"chmod 700 {account.quoted(folder)}")
    database = sqlite_file(settings)
    if database is not None and account.there(database):
        disk = database.stat().st_dev
        if any(file.stat().st_dev == disk for file in files):
            yield BESIDE.found(
                "keys", f"{database} and the keys",
                "# name files on another disk in [keys], or variables that a secret store fills (master_env, hash_env, audit_env);",
                "# at least keep the copies of keys and database apart",
            )  # fmt: skip


def _mode(file: Path) -> int:
    """Who may do what with it; 0 where it is not there, or we may not know: who opens it tells of that."""
    try:
        return stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return 0


async def _database(settings: Settings, keys: Keys | None) -> list[Finding]:
    try:
        async with await Database.open(settings) as database:
            if keys is not None:
                async with database.read() as connection:
                    await keycheck.check(connection, keys)
    except ConfigError as error:
        kind = OTHER if error.place.startswith("[keys]") else DATABASE
        return [kind.told("database" if kind is DATABASE else "keys", error)]
    except (StoreError, OSError) as error:
        cure = "# see whether it runs, and whether this user may use it"
        return [
            DATABASE.found(
                "database", f"it cannot be used ({error.strerror if isinstance(error, OSError) else error})", cure
            )
        ]
    return [ok("database", "it opens, and is this version's" + (" and these keys'" if keys else ""))]


def _database_mode(settings: Settings) -> Iterator[Finding]:
    file = sqlite_file(settings)
    if file is None:
        return
    for one in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
        if (mode := _mode(one)) & 0o077:
            problem = f"{one} has mode {mode:04o}"
            yield DATABASE_OPEN.found("database", problem, f"chmod 600 {account.quoted(one)}")
