"""A private PostgreSQL on 127.0.0.1."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from rig.certificates import Certificate
from rig.ports import HOST, Ports
from rig.service import Service
from rig.state import RigError

USER = "tillit"
# Nothing in a test outlives the machine, so nothing is flushed; what is committed outlives PostgreSQL itself all the same.
_CONFIG = """
fsync = off
max_connections = 200
shared_buffers = 32MB
unix_socket_directories = ''
"""


class PostgreSQL(Service):
    """A PostgreSQL with a folder, a port and a password of its own.

    It refuses to run as root, so root starts it as the user whom Debian's package makes, or nobody.
    """

    _title = "PostgreSQL"
    _limit = 60.0

    def __init__(self, certificate: Certificate | None = None) -> None:
        """`certificate`: it takes connections by TLS alone, with this one."""
        self._certificate = certificate
        self._programs = _programs()
        # not in the checkout: another user must be able to get there
        super().__init__(Path(tempfile.mkdtemp(prefix="tillit-postgresql-")), Ports())
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            user = _user()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.port = self._ports.take()
        self.password = secrets.token_urlsafe(16)
        self.log_file = self.folder / "postgresql.log"

    def start(self) -> None:
        data = self.folder / "data"
        if not data.exists():
            self._make(data)
        command = [*self._as_user, *(("--pdeathsig", "KILL") if self._as_user else ())]
        command += [str(self._programs / "postgres"), "-D", str(data), "-h", HOST, "-p", str(self.port)]
        self._launch(command, self.log_file, cwd=self.folder)

    def _make(self, data: Path) -> None:
        password = self.folder / "password"
        password.write_text(self.password)
        if self._as_user:
            shutil.chown(password, user=self.folder.stat().st_uid)
        command = [*self._as_user, str(self._programs / "initdb"), "-D", str(data), "-U", USER, "--no-sync"]
        command += ["-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--locale=C.UTF-8"]
        made = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=False)
        if made.returncode:
            raise RigError(f"initdb ended with {made.returncode}: {made.stderr[-400:]}")
        with (data / "postgresql.conf").open("a") as config:
            config.write(_CONFIG)
            if self._certificate is not None:
                for file, name in ((self._certificate.chain, "server.crt"), (self._certificate.key, "server.key")):
                    # it takes a key only where nobody but itself can read it
                    (data / name).touch(0o600)
                    (data / name).write_bytes(file.read_bytes())
                    if self._as_user:
                        shutil.chown(data / name, user=self.folder.stat().st_uid)
                config.write("ssl = on\n")
                (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")

    def close(self) -> None:
        if self._child is not None:
            # SIGTERM would wait for connections that a failed test has left open
            self._child.kill()
        super().close()

    def _give_up(self) -> None:
        # nobody sweeps where its folder is, and what is raised has the log's end
        self.close()

    def _answers(self) -> bool:
        """Whether it takes connections; while it starts it says that it does not."""
        command = [str(self._programs / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0


def _programs() -> Path:
    """The folder of PostgreSQL's own programs: Debian keeps it off the PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    found = shutil.which("initdb")
    if found:
        places.insert(0, Path(found).resolve().parent)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise RigError("PostgreSQL is missing: run scripts/setup, or install the package postgresql")


def _user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RigError("there is neither a user postgres nor nobody: do not run this as root")
