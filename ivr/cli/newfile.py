"""A new file that an administrator asked for: nobody else reads it, and what could not be finished does not stay."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def new_file(file: Path) -> Iterator[IO[bytes]]:
    """Mode 0600, and on the disk when the block is left; gone where it is left by an error. Raises `OSError`.

    Not written beside and linked as back-ups are: it may go to a stick whose file system knows no links.
    """
    with open(file, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        except BaseException:
            file.unlink(missing_ok=True)
            raise
