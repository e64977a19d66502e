"""A worker of the application, as an administrator runs it: `ari_app.py run --config FILE`."""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rig.asterisk import Pbx
from rig.process import Child
from rig.state import CHECKOUT, VENV_PYTHON, RigError

_READY_LIMIT = 20.0
# What a worker says of its websockets.
_LINK = re.compile(r"\bari\.(?:connected|disconnected)\b")


class Worker:
    """One worker on a PBX; a context manager. `app` is the name it registers with ARI.

    Several may run on one PBX: give each its own `name`, which names its log.
    """

    def __init__(
        self,
        pbx: Pbx,
        config: Path,
        *,
        app: str = "tillit",
        name: str = "worker",
        env: Mapping[str, str] | None = None,
        port: int | None = None,
        folder: Path = CHECKOUT,
    ) -> None:
        """`port`: where it reaches ARI, if not at the PBX itself; `folder`: where it is started, and leaves a core file."""
        self.pbx = pbx
        self.config = config
        self.app = app
        self.port = pbx.http_port if port is None else port
        self.log_file = pbx.folder / "log" / f"{name}.jsonl"
        self._name = name
        self._folder = folder
        self._env = dict(os.environ, PYTHONUNBUFFERED="1") | dict(env or {})
        self._child: Child | None = None
        # Bytes of the log that are of workers before this one.
        self._logged = 0
        # How much of the log was read, and its lines; both at once, for threads ask too.
        self._known: tuple[int, list[dict[str, Any]]] = (0, [])

    @property
    def child(self) -> Child:
        """The running process (pause, resume, pid)."""
        if self._child is None:
            raise RigError(f"{self._name} is not started: call start() first")
        return self._child

    @property
    def started(self) -> bool:
        """Whether it was ever started."""
        return self._child is not None

    @property
    def serves(self) -> bool:
        """Whether it runs, Asterisk knows the application, and this worker has a connection to it."""
        try:
            return self._child is not None and self._child.alive and self._connected()
        except RigError:  # Asterisk does not answer
            return False

    def start(self, limit: float = _READY_LIMIT) -> None:
        """Start and return when Asterisk knows the application; RigError with the log's end when it does not."""
        self.launch()
        self.child.require(self._connected, limit, f"the application {self.app!r} to be known to ARI")

    def launch(self) -> None:
        """Start without waiting, for a worker that is meant to stand by or to fail."""
        self._logged = self.log_file.stat().st_size if self.log_file.exists() else 0
        python = str(VENV_PYTHON) if VENV_PYTHON.exists() else sys.executable
        command = [python, str(CHECKOUT / "ari_app.py"), "run", "--config", str(self.config)]
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

    def __enter__(self) -> Worker:
        try:
            self.start()
        except BaseException:
            if self._child is not None:
                self._child.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _connected(self) -> bool:
        # Asterisk remembers an application whose worker died while calls wait in it, so a socket of this very process must
        # be open as well; and it is asked things before there is a websocket.
        return self._says_connected() and self.app in self.pbx.applications() and _talks_to(self.child.pid, self.port)

    def _says_connected(self) -> bool:
        """By its log, in either format: more often connected than disconnected. One worker may have several connections."""
        with self.log_file.open("rb") as opened:
            opened.seek(self._logged)
            lines = opened.read().decode(errors="replace").splitlines()
        # where workers share the calls, it may be another one of the pool
        own = re.compile(rf"\bapp\W+{re.escape(self.app)}(?:-\d+)?(?![\w-])")
        told = Counter(name for line in lines for name in _LINK.findall(line) if own.search(line))
        return told["ari.connected"] > told["ari.disconnected"]


def _talks_to(pid: int, port: int) -> bool:
    """Whether the process has an open TCP connection to this port (from /proc)."""
    try:
        links = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
        rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    except OSError:  # it ended, or a descriptor closed as we looked
        return False
    # Columns of proc(5): remote address 2, state 3 (01 is ESTABLISHED), inode 9.
    return any(row[3] == "01" and row[2].endswith(f":{port:04X}") and f"socket:[{row[9]}]" in links for row in rows)
