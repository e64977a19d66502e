"""A command of Tillit as a process: started, stopped, and its log read."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from rig.process import Child
from rig.state import CHECKOUT, VENV_PYTHON, RigError


class Command:
    """`ari_app.py COMMAND --config FILE`; a context manager. A subclass says what it is, and when it is ready."""

    command: str
    """What stands behind `ari_app.py`."""

    def __init__(
        self, config: Path, log_file: Path, name: str, *, env: Mapping[str, str] | None = None, folder: Path = CHECKOUT
    ) -> None:
        """`folder`: where it is started, and leaves a core file."""
        self.config = config
        self.log_file = log_file
        self._name = name
        self._folder = folder
        self._env = dict(os.environ, PYTHONUNBUFFERED="1") | dict(env or {})
        self._child: Child | None = None
        # How much of the log was read, and its lines; both at once, for threads ask too.
        self._known: tuple[int, list[dict[str, Any]]] = (0, [])

    @property
    def child(self) -> Child:
        """The running process (pause, resume, pid)."""
        if self._child is None:
            raise RigError(f"{self._name} is not started: call start() first")
        return self._child

    def start(self) -> None:
        """Start and return when it is ready; RigError with the log's end when it does not come to be."""
        raise NotImplementedError

    def launch(self) -> None:
        """Start without waiting."""
        python = str(VENV_PYTHON) if VENV_PYTHON.exists() else sys.executable
        command = [python, str(CHECKOUT / "ari_app.py"), self.command, "--config", str(self.config)]
        self._child = Child(self._name, command, self.log_file, env=self._env, cwd=self._folder)

    def stop(self, limit: float = 15.0) -> int:
        """Ask it to end (SIGTERM) and return its exit code; killed after `limit` seconds."""
        return self.child.stop(limit)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        self.child.kill()

    def log(self) -> list[dict[str, Any]]:
        """Its log lines that are JSON objects, in order; only what is new is read, for whoever waits asks often."""
        read, known = self._known
        if self.log_file.exists():
            with self.log_file.open("rb") as opened:
                opened.seek(read)
                whole, newline, _ = opened.read().rpartition(b"\n")
            lines = whole.decode(errors="replace").split("\n")
            known = [*known, *(json.loads(line) for line in lines if line.startswith("{") and line.endswith("}"))]
            self._known = (read + len(whole) + len(newline), known)
        return list(known)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            if self._child is not None:
                self._child.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
