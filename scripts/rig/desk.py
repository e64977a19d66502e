"""The desk and the proxy, as an administrator runs them: `ari_app.py desk --config FILE`."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

from rig.command import Command
from rig.ports import HOST
from rig.state import CHECKOUT, RigError

_READY_LIMIT = 20.0
USER = "tillit-desk"
"""Its user of the manager interface."""


def manager_user(secret: str, user: str = USER) -> str:
    """Lines of manager.conf: the desk's user, or another one, as config/asterisk/manager.conf has it."""
    text = (CHECKOUT / "config" / "asterisk" / "manager.conf").read_text()
    found = re.search(rf"(?ms)^\[{user}\]\n.*?(?=^\[|^; For every|\Z)", text)
    if found is None or found[0].count(";secret =") != 1:
        raise RigError(f"config/asterisk/manager.conf has no user {user} with a line ;secret =")
    return "\n" + found[0].replace(";secret =", f"secret = {secret}")


class Desk(Command):
    """One desk process. `folder` is where its log goes."""

    command = "desk"
    ready = "/readyz"

    def __init__(self, config: Path, folder: Path, port: int, *, name: str = "desk", host: str = HOST) -> None:
        super().__init__(config, folder / f"{name}.jsonl", name)
        self.url = f"http://{host}:{port}"

    def start(self) -> None:
        self.launch()
        self.child.require(self._ready, _READY_LIMIT, f"the {self.command} to be ready")

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}{self.ready}", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class PublicPage(Desk):
    """The same of the public page."""

    command = "page"


class Proxy(Desk):
    """The same of the proxy."""

    command = "proxy"
    ready = "/.tillit/readyz"
