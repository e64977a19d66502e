"""The user who runs the worker: as root, the doctor looks at files as that user would."""

from __future__ import annotations

import asyncio
import os
import pwd
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from ivr import sms
from ivr.config import Settings
from ivr.database.url import sqlite_file

# The name of the unit in config/tillit.service.
_UNIT = "tillit"
# Seconds for a look at some files.
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine, by number."""

    number: int

    @property
    def name(self) -> str:
        """What the user is called, or the number where there is no name."""
        try:
            return pwd.getpwuid(self.number).pw_name
        except KeyError:
            return str(self.number)

    @property
    def is_ours_to_be(self) -> bool:
        """Whether we can look at something as this user would."""
        return os.geteuid() in (0, self.number)

    async def run(self, script: str, *words: str) -> tuple[int, str, str]:
        """What a shell script with these words ends with and prints, run as this user. Raises `OSError`."""
        return await asyncio.to_thread(self._run, script, words)

    def _run(self, script: str, words: tuple[str, ...]) -> tuple[int, str, str]:
        command = ["/bin/sh", "-c", script, "sh", *words]
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        other = os.geteuid() == 0 and self.number != 0
        group, more = self._groups() if other else (None, None)
        try:
            done = subprocess.run(
                command, cwd="/", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=_SECONDS, check=False, user=self.number if other else None, group=group, extra_groups=more,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        return done.returncode, done.stdout, done.stderr

    def _groups(self) -> tuple[int, list[int]]:
        try:
            known = pwd.getpwuid(self.number)
        except KeyError:
            return self.number, []
        return known.pw_gid, os.getgrouplist(known.pw_name, known.pw_gid)


def of(settings: Settings) -> Account:
    """Whose files most of them are; where all are root's, the user whom systemd starts the worker as."""
    owners = Counter(file.stat().st_uid for file in owned(settings) if there(file))
    # the worker of a well-made machine is not root
    user = max(owners, key=lambda one: (owners[one], one != 0), default=os.geteuid())
    return Account(user or _started_as(settings) or 0)


def _started_as(settings: Settings) -> int | None:
    """The user in systemd's unit, where that is about these settings."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return None
    try:
        done = subprocess.run(
            [systemctl, "show", _UNIT, "--property=User,ExecStart"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if str(settings.file) not in told.get("ExecStart", "").split():
        return None
    try:
        return pwd.getpwnam(told["User"]).pw_uid
    except KeyError:
        return None


def key_files(settings: Settings) -> list[Path]:
    """The files of the keys that are named and are there."""
    return [file for file in _named(settings, settings.keys) if there(file)]


def owned(settings: Settings) -> list[Path]:
    """Every file that has to be the worker's own: keys, passwords, the database. They need not be there."""
    asterisks = settings.asterisks.values()
    texts = settings.texts
    tables = {"46elks": texts.elks, "twilio": texts.twilio, "http": texts.http}
    sections = (
        settings.keys, *asterisks, *(one.ami for one in asterisks if one.ami), settings.redis, settings.database,
        *(tables[name] for name in sms.names(settings) if name in tables),
    )  # fmt: skip
    return [*(file for section in sections for file in _named(settings, section)), *database_files(settings)]


def database_files(settings: Settings) -> list[Path]:
    """The database's file, and those that SQLite has beside it."""
    file = sqlite_file(settings)
    if file is None:
        return []
    beside = (file.with_name(f"{file.name}-{more}") for more in ("wal", "shm"))
    return [file, *(one for one in beside if there(one))]


def _named(settings: Settings, section: BaseModel) -> Iterator[Path]:
    """The files that hold a secret of this table; a variable of the environment goes before."""
    for name in type(section).model_fields:
        what, _, kind = name.rpartition("_")
        file = getattr(section, name)
        if kind == "file" and file is not None and getattr(section, f"{what}_env") is None:
            yield settings.path(file)


def there(file: Path) -> bool:
    """Whether it is there, and we may know it."""
    try:
        return file.exists()
    except OSError:
        return False


def quoted(path: Path) -> str:
    """For a shell."""
    return shlex.quote(str(path))
