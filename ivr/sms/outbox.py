"""A gateway for trying out: each text message becomes a file."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import orjson

from ivr.call.ports import Handed
from ivr.config import Settings
from ivr.errors import ConfigError, TextError
from ivr.secret import Personal, Secret

NAME = "outbox"


class Outbox:
    """Texts into a folder: one JSON file a text, `{"to": …, "text": …, "at": …}`, for its owner alone.

    A file is there whole or not at all. The names of files sort as the texts were sent; `at` is UTC, ISO 8601.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._latest = 0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Make the folder where it is missing; raises `ConfigError` where it cannot be used."""
        folder = settings.path(settings.texts.outbox_folder)
        place = f"{settings.file}: [texts] outbox_folder"
        outbox = cls(folder)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            shared = folder.stat().st_mode & 0o077
            # Whether files can be made in it is only known by making one: rights, disks and mounts all have a say.
            probe = outbox._temporary()
            os.close(_new_file(probe))
            probe.unlink()
        except OSError as error:
            raise ConfigError(
                place,
                f"{folder} cannot be written to ({error.strerror})",
                "Name a folder that this program's user may write to",
            ) from None
        if shared:
            raise ConfigError(
                place, f"{folder} is open to others, and codes are written there", f"Type: chmod 700 {folder}"
            )
        return outbox

    async def send(self, to: Personal, text: Secret) -> Handed:
        """Write the text; returns when the file has its name. Raises `TextError`."""
        # The clock may stand still or be set back between two texts; their order may not.
        self._latest = max(self._latest + 1, time.time_ns())
        name = f"{self._latest:020}-{secrets.token_hex(4)}.json"
        try:
            await asyncio.to_thread(self._write, self._folder / name, to, text)
        except OSError as error:
            raise TextError(f"the outbox cannot be written to: {error.strerror}") from None
        return Handed(NAME)

    async def reach(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing is open."""

    def _write(self, file: Path, to: Personal, text: Secret) -> None:
        temporary = self._temporary()
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            with open(_new_file(temporary), "wb") as opened:
                opened.write(orjson.dumps({"to": to.reveal(), "text": text.reveal(), "at": at}))
            temporary.rename(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _temporary(self) -> Path:
        return self._folder / f".{secrets.token_hex(8)}.tmp"


def _new_file(file: Path) -> int:
    return os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
