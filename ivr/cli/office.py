"""What the commands work with: settings, keys, database and register, opened together."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.audit.chain import append_within, lock_of
from ivr.audit.signing import Seal
from ivr.call.ports import Entry
from ivr.config import Settings, load
from ivr.database import Database
from ivr.errors import ConfigError
from ivr.store import keycheck
from ivr.store.register import Register
from ivr.vault import Vault

CHAIN = "cli"
"""The commands' own chain in the audit trail: a running worker goes on with its own."""

LOGIN = Path("/proc/self/loginuid")
"""Where Linux tells who has logged in."""
# -1 in 32 bits: a service, or a container
_NO_LOGIN = "4294967295"

_USUAL = (Path("tillit.toml"), Path("config/tillit.toml"))


def settings_of(context: typer.Context) -> Settings:
    """The settings that `--config` names, or those in a usual place. Raises `ConfigError`."""
    named = context.find_root().obj
    if isinstance(named, Path):
        return load(named)
    for file in _USUAL:
        if file.exists():
            return load(file)
    places = " nor ".join(str(file) for file in _USUAL)
    raise ConfigError(
        "--config", f"there is neither {places} here", "Name the settings: --config FILE, or TILLIT_CONFIG=FILE"
    )


def actor() -> str:
    """Who types: the user, and who became that user by sudo."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    before = os.environ.get("SUDO_USER")
    return f"cli:{before}/{user}" if before else f"cli:{user}"


def person() -> tuple[str, str]:
    """The name of the person who types, and the number of that person's login, empty where the system knows none.

    A login keeps its number whoever one becomes (proc(5), loginuid); names come from sudo, and are what else there is.
    """
    name = actor().removeprefix("cli:").partition("/")[0]
    try:
        login = LOGIN.read_text().strip()
    except OSError:
        login = ""
    return name, "" if login == _NO_LOGIN else login


@dataclass(frozen=True, slots=True)
class Office:
    """Open for one command."""

    settings: Settings
    database: Database
    vault: Vault
    register: Register
    seal: Seal

    @asynccontextmanager
    async def act(self) -> AsyncIterator[Act]:
        """A transaction for something that an administrator does, with its audit rows: both happen, or neither."""
        async with self.database.write(lock=lock_of(CHAIN)) as connection:
            act = Act(connection, self.seal)
            yield act
            act.check()


class Act:
    """What is being done. It cannot be finished without a row that tells of it."""

    def __init__(self, connection: AsyncConnection, seal: Seal) -> None:
        self.connection = connection
        self._seal = seal
        self._told = False

    async def tell(self, action: str, subjects: Sequence[str], **detail: str) -> None:
        """Write an audit row for each subject, before the act itself."""
        who = actor()
        entries = [Entry(who, action, "done", subject=subject, detail=detail) for subject in subjects]
        await append_within(self.connection, CHAIN, *entries, seal=self._seal)
        self._told = bool(entries)

    def check(self) -> None:
        """No row, no act."""
        if not self._told:
            raise RuntimeError("an administrator's act without an audit row")


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Office]:
    """Open everything; raises `ConfigError` where the keys or the database are missing, or do not belong together."""
    vault = Vault.open(settings)
    try:
        seal = Seal.open(settings)
        async with await Database.open(settings) as database:
            async with database.read() as connection:
                await keycheck.check(connection, vault.keys)
            yield Office(settings, database, vault, Register(vault), seal)
    finally:
        vault.close()
