"""Where the rig keeps what it makes, and what it raises."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
STATE = CHECKOUT / ".tillit"
RUN = STATE / "run"
VENV_PYTHON = STATE / "venv" / "bin" / "python"

# Unix sockets stop at 108 bytes (sun_path), and Asterisk adds the name of its own.
_SOCKET_FOLDER_LIMIT = 90
# What a run that was killed left behind stays this long, so that its logs can be read.
_KEEP_SECONDS = 3600


class RigError(RuntimeError):
    """The rig could not do what was asked; the text names the place and the cure."""


def instance_folder(name: str) -> Path:
    """Make and return an empty folder for one instance; only its owner may read it."""
    RUN.mkdir(parents=True, exist_ok=True)
    _sweep()
    folder = RUN / f"{name}-{os.getpid()}-{secrets.token_hex(3)}"
    folder.mkdir(mode=0o700)
    return folder


def socket_folder(folder: Path) -> Path:
    """Return where an instance may put Unix sockets: its own folder, or a short one where that is too long."""
    if len(os.fsencode(folder)) <= _SOCKET_FOLDER_LIMIT:
        return folder
    base = Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp"))
    short = base / folder.name
    short.mkdir(mode=0o700)
    return short


def wait_until(condition: Callable[[], bool], limit: float, what: str) -> None:
    """Poll until `condition` holds; after `limit` seconds raise TimeoutError naming `what` was awaited."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit:g} s in vain for {what}")
        time.sleep(0.02)


def _sweep() -> None:
    for folder in RUN.iterdir():
        owner = folder.name.split("-")[-2:-1]
        if not owner or not owner[0].isdigit() or Path("/proc", owner[0]).exists():
            continue
        try:
            old = time.time() - folder.stat().st_mtime > _KEEP_SECONDS
        except FileNotFoundError:  # another process sweeps too
            continue
        if old:
            shutil.rmtree(folder, ignore_errors=True)
