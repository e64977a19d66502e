"""The life that the servers of the rig have in common: started, stopped, killed, started again, and nothing left behind."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from rig.ports import Ports
from rig.process import Child
from rig.state import CHECKOUT, RigError


class Service(ABC):
    """One server, in a folder and at ports of its own; a context manager."""

    _title: ClassVar[str]
    _limit: ClassVar[float]
    """Seconds that it may take to start."""

    def __init__(self, folder: Path, ports: Ports) -> None:
        self.folder = folder
        self._ports = ports
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        """The running process (pause, resume, pid)."""
        if self._child is None:
            raise RigError(f"this {self._title} is not started: call start() first")
        return self._child

    @abstractmethod
    def start(self) -> None:
        """Start and return when it answers; RigError with the log's end when it does not."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it can be used."""

    def _launch(
        self, command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path = CHECKOUT
    ) -> None:
        """Run this, and return when it answers."""
        self._child = Child(self._title, command, log, env=env, cwd=cwd)
        self._child.require(self._answers, self._limit, f"{self._title} to answer")

    def stop(self) -> None:
        """End it in order; it can be started again."""
        if self._child is not None:
            self._child.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self.child.kill()

    def restart(self) -> None:
        """Stop and start at the same ports."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it and remove what it made."""
        self.stop()
        self._ports.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _give_up(self) -> None:
        """It does not start: the folder stays, for its logs say why."""
        self.stop()
        self._ports.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._give_up()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
