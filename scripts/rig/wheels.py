"""The libraries as files, for a machine without a network: fetched once, by pip and from where this machine's pip takes them.

They stay beside the Asterisk that scripts/setup fetches, for all checkouts of this user.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import os
import shutil
import subprocess
import time
import tomllib
from pathlib import Path

from rig.state import CHECKOUT, RigError

_LIMIT = 300.0
# Those that nobody has asked for this long are other versions'.
_KEEP_SECONDS = 30 * 86400


def wheels(python: str = "/usr/bin/python3") -> Path:
    """A folder with all that `pip install -e .` needs with this Python; it may need other libraries than a newer one."""
    constraints = CHECKOUT / "scripts" / "constraints.txt"
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    wanted = setup["options"]["install_requires"].split()
    wanted += tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["build-system"]["requires"]
    version = _run(python, "-V")
    known = hashlib.sha256("\n".join([version, constraints.read_text(), *wanted]).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tillit"
    folder = cache / f"wheels-{known}"
    if folder.exists():
        os.utime(folder)
        return folder
    partial = folder.with_suffix(f".{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        for other in cache.glob("wheels-*"):
            with contextlib.suppress(FileNotFoundError):  # another process sweeps too
                if time.time() - other.stat().st_mtime > _KEEP_SECONDS:
                    shutil.rmtree(other, ignore_errors=True)
        _run(python, "-m", "venv", str(partial / "venv"))
        command = [str(partial / "venv" / "bin" / "python"), "-m", "pip", "wheel", "--quiet"]
        _run(*command, "--wheel-dir", str(partial / "wheels"), "--constraint", str(constraints), *wanted)
        with contextlib.suppress(OSError):  # another process was quicker
            (partial / "wheels").rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT, check=False)
    if done.returncode:
        raise RigError(f"{' '.join(command[:4])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
