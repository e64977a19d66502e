"""A clock that can be wrong: the time of day of the processes that are started with it."""

from __future__ import annotations

from pathlib import Path

from rig.state import RigError

# Debian's libfaketime, below the folder of the architecture.
_LIBRARY = "*/faketime/libfaketimeMT.so.1"


class Clock:
    """The time of day of whoever is started with `env`. The machine's own goes right.

    What is measured from some moment on (the monotonic clock) is not touched, as when a machine's clock is set.
    """

    def __init__(self, folder: Path) -> None:
        """`folder`: where the file lies in which those processes look, once a second. `RigError` without libfaketime."""
        found = sorted(Path("/usr/lib").glob(_LIBRARY))
        if not found:
            raise RigError("no clock can be set: install the package libfaketime")
        self._file = folder / "clock"
        self.env = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, seconds: int) -> None:
        """Put it so far ahead of the right time, or behind it when negative."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)
