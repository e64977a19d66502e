"""A worker of the application, as an administrator runs it: `ari_app.py run --config FILE`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rig.asterisk import Pbx
from rig.command import Command
from rig.state import CHECKOUT, RigError

_READY_LIMIT = 20.0
# What a worker says of its websockets.
_LINK = re.compile(r"\bari\.(?:connected|disconnected)\b")


class Worker(Command):
    """One worker on a PBX. `app` is the name it registers with ARI.

    Several may run on one PBX: give each its own `name`, which names its log.
    """

    command = "run"

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
        super().__init__(config, pbx.folder / "log" / f"{name}.jsonl", name, env=env, folder=folder)
        self.pbx = pbx
        self.app = app
        self.port = pbx.http_port if port is None else port
        # Bytes of the log that are of workers before this one.
        self._logged = 0

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
        super().launch()

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
