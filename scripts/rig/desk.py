"""The desk and the proxy, as an administrator runs them: `ari_app.py desk --config FILE`."""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any

from rig.ports import HOST
from rig.process import Child
from rig.state import CHECKOUT, VENV_PYTHON, RigError

_READY_LIMIT = 20.0
USER = "tillit-desk"
"""Its user of the manager interface."""


def manager_user(secret: str) -> str:
    """Lines of manager.conf: the desk's user, as config/asterisk/manager.conf has it."""
    text = (CHECKOUT / "config" / "asterisk" / "manager.conf").read_text()
    found = re.search(rf"(?ms)^\[{USER}\]\n.*?(?=^\[|^; For every|\Z)", text)
    if found is None or found[0].count(";secret =") != 1:
        raise RigError(f"config/asterisk/manager.conf has no user {USER} with a line ;secret =")
    return "\n" + found[0].replace(";secret =", f"secret = {secret}")


class Desk:
    """One desk process; a context manager. `folder` is where its log goes."""

    command = "desk"
    ready = "/readyz"

    def __init__(self, config: Path, folder: Path, port: int, *, name: str = "desk", host: str = HOST) -> None:
        self.url = f"http://{host}:{port}"
        self.log_file = folder / f"{name}.jsonl"
        self._config = config
        self._name = name
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        """The running process (pause, resume, pid)."""
        if self._child is None:
            raise RigError(f"{self._name} is not started: call start() first")
        return self._child

    def start(self) -> None:
        """Start and return when it is ready; RigError with the log's end when it does not come to be."""
        python = str(VENV_PYTHON) if VENV_PYTHON.exists() else sys.executable
        command = [python, str(CHECKOUT / "ari_app.py"), self.command, "--config", str(self._config)]
        self._child = Child(
            self._name, command, self.log_file, env=dict(os.environ, PYTHONUNBUFFERED="1"), cwd=CHECKOUT
        )
        self._child.require(self._ready, _READY_LIMIT, f"the {self.command} to be ready")

    def stop(self, limit: float = 15.0) -> int:
        """Ask it to end (SIGTERM) and return its exit code; killed after `limit` seconds."""
        return self.child.stop(limit)

    def log(self) -> list[dict[str, Any]]:
        """Its log lines that are JSON objects, in order."""
        if not self.log_file.exists():
            return []
        lines = self.log_file.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def __enter__(self) -> Desk:
        try:
            self.start()
        except BaseException:
            if self._child is not None:
                self._child.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}{self.ready}", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class Proxy(Desk):
    """The same of the proxy."""

    command = "proxy"
    ready = "/.tillit/readyz"
