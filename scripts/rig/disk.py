"""A small disk that can be filled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from rig.state import RigError


class Disk:
    """A file system of its own in memory, at `folder`; a context manager. Needs root, and a machine that lets it mount."""

    def __init__(self, folder: Path, size: str) -> None:
        """`size` as mount(8) takes it: `16m`."""
        self.folder = folder
        self._size = size

    @contextmanager
    def full(self) -> Iterator[None]:
        """No byte is free within the block."""
        ballast = self.folder / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file:
                for size in (1 << 20, 1 << 12, 1):
                    try:
                        while True:
                            file.write(b"\0" * size)
                    except OSError:
                        continue
            yield
        finally:
            ballast.unlink()

    def __enter__(self) -> Self:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        options = f"size={self._size},mode=700"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RigError(f"no disk can be made at {self.folder}: {done.stderr.strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False)
        self.folder.rmdir()
