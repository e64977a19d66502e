"""A machine of its own: this one's programs, a systemd, an Asterisk as its package would leave it, and no network.

Whatever is done on it is done to copies: it may be installed on, and is gone when it ends. It needs root.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rig.install import find
from rig.phone import Line
from rig.process import Child
from rig.state import STATE, RigError, instance_folder, wait_until
from rig.terminal import at_terminal

_HERE = Path(__file__).parent
_ROOT = "/usr/lib/rig-asterisk"
_BOOT_LIMIT = 60.0
_COMMAND_LIMIT = 120.0
_NETWORK = 0x4000_0000  # CLONE_NEWNET
# What an administrator who is not root has.
_SHELL = (
    "env",
    "-i",
    "HOME=/home/admin",
    "USER=admin",
    "TERM=dumb",
    "LANG=C.UTF-8",
    "PATH=/usr/local/bin:/usr/bin:/bin",
)

_TARGET = """[Unit]
Wants=systemd-journald.service asterisk.service redis-server.service
"""
# What Debian's package has, but for its console
_ASTERISK = """[Service]
Type=notify
ExecStart=/usr/sbin/asterisk -f -U asterisk -G asterisk
WorkingDirectory=/var/lib/asterisk
RuntimeDirectory=asterisk
StandardOutput=null
"""
_FOLDERS = {
    "astetcdir": "/etc/asterisk",
    "astdatadir": "/usr/share/asterisk",
    "astspooldir": "/var/spool/asterisk",
    "astlogdir": "/var/log/asterisk",
    "astrundir": "/run/asterisk",
}
_SUDO = """#!/bin/sh
# What sudo does, where it is not installed: sudo [-u USER] COMMAND
user=root
if [ "$1" = -u ]; then user=$2; shift 2; fi
exec /usr/local/lib/rig/as-root --reuid "$user" --regid "$user" --init-groups --reset-env -- "$@"
"""


def lacking() -> str:
    """Why there can be no such machine here; empty where there can."""
    if os.geteuid():
        return "a machine of its own needs root"
    if not Path("/usr/lib/systemd/systemd").exists():
        return "systemd is not installed"
    for program in ("unshare", "nsenter", "setpriv", "pivot_root", "useradd", "apt-get", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    try:
        if not os.access(_groups(), os.W_OK):
            return "no control group can be made here"
    except RigError as error:
        return str(error)
    done = subprocess.run(["unshare", "-mnpCf", "true"], capture_output=True, text=True, check=False)
    return f"no namespaces here: {done.stderr.strip()}" if done.returncode else ""


class Machine:
    """One machine; a context manager that leaves nothing behind.

    files: what lies on it beside this machine's own, by its path; Asterisk's configuration among them.
    shown: folders of this machine that it sees, read-only, and where.
    """

    def __init__(self, files: Mapping[str, str | Path], *, shown: Mapping[Path, str] | None = None) -> None:
        self.folder = instance_folder("machine")
        self._seed = self.folder / "seed"
        self._group = _groups() / self.folder.name
        self._shown = dict(shown or {})
        self._child: Child | None = None
        self._cwd = "/home/admin"
        for path, content in {**self._plain(), **files}.items():
            self._lay(path, content)
        for script in ("usr/sbin/asterisk", "usr/local/bin/sudo"):
            if (self._seed / script).exists():
                (self._seed / script).chmod(0o755)

    def _plain(self) -> dict[str, str | Path]:
        """What lies on every such machine."""
        plain: dict[str, str | Path] = {
            "etc/systemd/system/rig.target": _TARGET,
            "etc/systemd/system/asterisk.service": _ASTERISK,
            "etc/hosts": "127.0.0.1 localhost\n",
            "usr/local/lib/rig/as-root": Path(shutil.which("setpriv") or "setpriv"),
            "etc/sudoers.d/rig": "admin ALL=(ALL:ALL) NOPASSWD: ALL\n",
        }
        if shutil.which("sudo") is None:
            plain["usr/local/bin/sudo"] = _SUDO
        folders = dict.fromkeys(("astvarlibdir", "astdbdir", "astkeydir"), "/var/lib/asterisk") | _FOLDERS
        install = find()
        if install.modules is not None:  # one that was fetched has a folder, a loader and libraries of its own
            root = (STATE / "asterisk").resolve()
            self._shown[root] = _ROOT
            locale = (install.environment or {}).get("GCONV_PATH", "")
            script = f'#!/bin/sh\nexport GCONV_PATH={locale}\nexec {" ".join(install.command)} "$@"\n'
            plain["usr/sbin/asterisk"] = script.replace(str(root), _ROOT)
            folders["astmoddir"] = str(install.modules).replace(str(root), _ROOT)
            for part in ("documentation", "rest-api", "moh", "sounds"):
                plain[f"usr/share/asterisk/{part}"] = install.data / part
        else:
            folders["astdatadir"] = str(install.data)
        written = "".join(f"{name} => {folder}\n" for name, folder in folders.items())
        return plain | {"etc/asterisk/asterisk.conf": f"[directories]\n{written}"}

    def _lay(self, path: str, content: str | Path) -> None:
        place = self._seed / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            place.write_text(content)
        elif content.is_dir():
            shutil.copytree(content, place, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy(content, place)

    # ------------------------------------------------------------ its life

    def start(self) -> None:
        """Start it, and return when Asterisk and Redis run; RigError with systemd's last words when they do not."""
        self._group.mkdir()
        work = self.folder / "work"
        work.mkdir()
        shown = [f"{folder}={place}" for folder, place in self._shown.items()]
        names = ("--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child=KILL")
        # A control group of its own first: in it systemd makes the groups of its services.
        script = f'echo $$ > {self._group}/cgroup.procs; exec unshare {" ".join(names)} bash "$@"'
        command = ["bash", "-c", script, "machine", str(_HERE / "boot.sh"), str(work), str(self._seed), *shown]
        self._child = Child("machine", command, self.folder / "console.log")
        self._child.require(lambda: self._active("asterisk", "redis-server"), _BOOT_LIMIT, "its services to run")

    def stop(self) -> None:
        """End it, with all that runs on it."""
        if self._child is not None:
            self._child.kill()
        for group in sorted(self._group.rglob("*"), reverse=True):
            if group.is_dir():
                wait_until(lambda group=group: _removed(group), 10, f"{group} to be empty")  # type: ignore[misc]
        wait_until(lambda: _removed(self._group), 10, f"{self._group} to be empty")

    def __enter__(self) -> Machine:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    # ------------------------------------------------------------ what is done on it

    def run(self, script: str, answers: Mapping[str, str] | None = None) -> str:
        """Type these lines as `admin`, at a terminal and in the folder where the last ones ended; what is then shown.

        answers: what is typed, by the question that asks for it. Raises RigError with all that was shown when a line
        fails, or asks for something that has no answer.
        """
        ended = "/run/rig-cwd"
        self.root("install", "-m", "666", "/dev/null", ended)
        # the shell's own `-e`: a person stops where a line fails
        text = f"set -e -o pipefail\numask 022\ncd {self._cwd}\ntrap 'pwd > {ended}' EXIT\n{script}"
        admin = ("setpriv", "--reuid", "admin", "--regid", "admin", "--init-groups", *_SHELL)
        shown, code = at_terminal([*self._enter(), *admin, "bash", "-c", text], dict(answers or {}), _COMMAND_LIMIT)
        if code:
            raise RigError(f"it ended with {code}:\n{script}\n{shown[-3000:]}")
        self._cwd = self.root("cat", ended).strip()
        return shown

    def root(self, *command: str) -> str:
        """Run one command as root and return what it prints; RigError when it fails."""
        done = subprocess.run([*self._enter(), *command], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RigError(f"{' '.join(command)}: {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def read(self, path: str) -> str:
        """The text of a file."""
        return self.root("cat", path)

    def write(self, path: str, text: str) -> None:
        """Write a file anew, as an editor does: owner and rights stay."""
        subprocess.run(
            [*self._enter(), "tee", path], input=text, stdout=subprocess.DEVNULL, text=True, check=True, timeout=10
        )

    def copy(self, folder: Path, path: str) -> None:
        """Bring a folder onto it."""
        packed = subprocess.run(["tar", "-C", str(folder), "-c", "."], stdout=subprocess.PIPE, check=True, timeout=60)
        unpack = [*self._enter(), "tar", "-C", path, "-x", "--no-same-owner"]
        self.root("mkdir", "-p", path)
        subprocess.run(unpack, input=packed.stdout, check=True, timeout=60)

    def line(self, user: str, password: str, *, registers: bool) -> Line:
        """What a phone needs to be this endpoint: it lives in this machine's network."""
        (self.folder / "phones").mkdir(exist_ok=True)
        within = ("nsenter", f"--net=/proc/{self._init}/ns/net", "--")
        return Line(user, password, 5060, registers, self.folder / "phones", within)

    def listen(self, address: str, port: int) -> socket.socket:
        """A socket that listens in its network, at an address that it has from then on; whoever asks for it may serve there."""
        self.root("ip", "address", "replace", f"{address}/32", "dev", "lo")
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(_listening, Path(f"/proc/{self._init}/ns/net"), address, port).result()

    @property
    def _init(self) -> int:
        """Its first process, as this machine numbers it."""
        assert self._child is not None, "the machine is not started"
        children = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children").read_text().split()
        if not children:
            raise RigError("the machine has ended")
        return int(children[0])

    def _enter(self) -> list[str]:
        # Not its control group: systemd alone gives those out.
        return ["nsenter", f"--target={self._init}", "--mount", "--net", "--pid", "--ipc", "--uts", "--"]

    def _active(self, *units: str) -> bool:
        try:
            return self.root("systemctl", "is-active", *units).split() == ["active"] * len(units)
        except RigError:
            return False


def _listening(network: Path, address: str, port: int) -> socket.socket:
    """Only for a thread that ends then: it stays in that network. The socket goes wherever it is used."""
    libc = ctypes.CDLL(None, use_errno=True)
    with network.open() as space:
        if libc.setns(space.fileno(), _NETWORK):
            raise OSError(ctypes.get_errno(), "setns")
    return socket.create_server((address, port))


def _groups() -> Path:
    """Where control groups of version 2 are made, whatever is mounted beside them."""
    for row in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = row.split()
        if kind == "cgroup2":
            own = re.search(r"(?m)^0::/(.*)$", Path("/proc/self/cgroup").read_text())
            return Path(place) / (own[1] if own else "")
    raise RigError("there are no control groups of version 2 here")


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # its processes are still ending
        return False
    return True
