"""Asterisk's own console, where it is on this machine and lets us in: it tells what ARI does not."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

# Seconds for one command. The whole dialplan of a large PBX takes one or two.
_SECONDS = 10.0
# root's PATH has these; that of others often has not.
_MORE_FOLDERS = ("/usr/sbin", "/usr/local/sbin")

ETC = Path("/etc/asterisk")
"""Where Asterisk's configuration files usually lie."""


class Console:
    """`asterisk -rx`, of the same Asterisk that ARI has shown. None of the commands changes anything."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self.settings = ""

    @classmethod
    async def of(cls, entity: str, command: Sequence[str]) -> Self | None:
        """The console of the Asterisk that calls itself `entity`; None where there is none to be had here.

        `command` starts Asterisk's program, as in `asterisk` or `docker exec pbx asterisk`.
        """
        console = await cls.any(command)
        return console if console and value(console.settings, "Entity ID") == entity else None

    @classmethod
    async def any(cls, command: Sequence[str]) -> Self | None:
        """The console of whichever Asterisk there is on this machine; None where there is no such program."""
        folders = os.pathsep.join([os.environ.get("PATH", os.defpath), *_MORE_FOLDERS])
        program = shutil.which(command[0], path=folders)
        if program is None:
            return None
        console = cls([program, *command[1:]])
        console.settings = await console.ask("core show settings") or ""
        return console

    async def told(self, command: str, mark: str) -> str | None:
        """What the console prints, where that is an answer to this command, which always has `mark` in it; else None."""
        told = await self.ask(command)
        return told if told is not None and mark in told else None

    async def ask(self, command: str) -> str | None:
        """What the console prints, be it that there is no such command; None where it does not answer."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, "-rx", command,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        except OSError:
            return None
        try:
            async with asyncio.timeout(_SECONDS):
                told, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return None
        return told.decode(errors="replace")

    @property
    def etc(self) -> Path:
        """The folder with Asterisk's configuration files."""
        return Path(value(self.settings, "Configuration directory") or ETC)

    @property
    def data(self) -> str | None:
        """Asterisk's data directory, whose folder `sounds` has the prompts."""
        return value(self.settings, "Data directory")

    def file(self, name: str) -> str | None:
        """A configuration file's text without its comments; None where it cannot be read."""
        try:
            text = (self.etc / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        return re.sub(r"(?m)(?<!\\);.*$", "", text)


def value(told: str, name: str) -> str | None:
    """What stands behind `Name:` in what the console told."""
    found = re.search(rf"(?m)^\s*{re.escape(name)}\s*:(.*)$", told)
    return found[1].strip() if found else None
