"""Find the Asterisk to run: the machine's own, or the one that scripts/setup fetched."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rig.state import STATE, RigError

# Least versions per branch that are free of two advisories on ARI.
SUPPORTED = {20: (20, 20, 1), 22: (22, 10, 1), 23: (23, 4, 1)}


@dataclass(frozen=True)
class Install:
    """How to run Asterisk and where its files lie."""

    version: str
    command: tuple[str, ...]
    environment: dict[str, str] | None
    modules: Path | None
    data: Path


@functools.cache
def find() -> Install:
    """Return the Asterisk to use; RigError says how to get one."""
    fetched = STATE / "asterisk"
    if fetched.exists():
        return _fetched(fetched.resolve())
    own = shutil.which("asterisk")
    if own is None:
        raise RigError("there is no Asterisk: run scripts/setup")
    return Install(_version((own,), None), (own,), None, None, _own_data())


def is_supported(version: str) -> bool:
    """Whether this version, as in `22.10.1`, has what the application needs."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    return bool(numbers) and numbers >= SUPPORTED.get(numbers[0], (numbers[0] + 1,)) and "rc" not in version


def _fetched(root: Path) -> Install:
    # Its own loader and libraries: it runs on an older C library than it was built for, without root or chroot.
    loader = next(root.glob("usr/lib/*/ld-linux*.so.*"), None)
    if loader is None:
        raise RigError(f"{root} holds no whole Asterisk: remove it and run scripts/setup")
    libraries = loader.parent
    command = (
        str(loader), "--library-path", f"{libraries}:{libraries}/asterisk",
        "--argv0", "asterisk", str(root / "usr/sbin/asterisk"),
    )  # fmt: skip
    # Converters between character sets must come from the same C library.
    environment = dict(os.environ, GCONV_PATH=str(libraries / "gconv"))
    modules = libraries / "asterisk" / "modules"
    return Install(_version(command, environment), command, environment, modules, root / "usr/share/asterisk")


def _version(command: tuple[str, ...], environment: dict[str, str] | None) -> str:
    try:
        text = subprocess.run(
            [*command, "-V"], env=environment, capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RigError(f"{command[-1]} -V does not run: {error}") from None
    found = re.match(r"Asterisk (\d[\w.-]*)", text)
    if found is None:
        raise RigError(f"{command[-1]} -V does not say its version: {text.strip() or 'nothing'}")
    return found[1]


def _own_data() -> Path:
    candidates = [Path("/usr/share/asterisk"), Path("/var/lib/asterisk"), Path("/usr/local/share/asterisk")]
    settings = Path("/etc/asterisk/asterisk.conf")
    if settings.is_file() and (named := re.search(r"(?m)^\s*astdatadir\s*=>?\s*(\S+)", settings.read_text())):
        candidates.insert(0, Path(named[1]))
    for data in candidates:
        if (data / "rest-api").is_dir():
            return data
    raise RigError(f"Asterisk's data folder (the one with rest-api) is none of {', '.join(map(str, candidates))}")
