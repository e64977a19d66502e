"""A file that is written beside the place it is to have, and is there whole, or not at all.

What a command that was killed has left there is taken away by the next one: whoever writes one holds a lock on it.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from pathlib import Path
from typing import Self

from ivr.vault.keyfile import sync_folder

_NAME = re.compile(r"\..+\.[0-9a-f]{16}\.unfinished")


class Beside:
    """Use it with `with`: what was not placed when the block is left is taken away. All of it raises `OSError`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        clear(file.parent)
        while True:
            self._beside = file.with_name(f".{file.name}.{secrets.token_hex(8)}.unfinished")
            opened = os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(opened, fcntl.LOCK_EX)
            if os.fstat(opened).st_nlink:
                break
            # another command has cleared it away before it was locked
            os.close(opened)
        self.stream = os.fdopen(opened, "wb")
        """Where it is written to."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._beside.unlink(missing_ok=True)
        self.stream.close()

    def sync(self) -> None:
        """What was written is on the disk when this returns."""
        self.stream.flush()
        os.fsync(self.stream.fileno())

    def place(self, *, replace: bool) -> None:
        """Give it its name, durably; raises `FileExistsError` where another file has it and shall not be replaced."""
        if replace:
            os.replace(self._beside, self._file)
        else:
            # link() never takes a name away from another file
            os.link(self._beside, self._file)
        sync_folder(self._file.parent)


def clear(folder: Path) -> None:
    """Take away what nobody is writing any more."""
    for file in folder.iterdir():
        if _NAME.fullmatch(file.name):
            try:
                opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            except OSError:
                continue
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.unlink(missing_ok=True)
            except OSError:
                # another back-up is under way
                continue
            finally:
                os.close(opened)
