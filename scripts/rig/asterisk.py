"""A private Asterisk on 127.0.0.1, from its own folder and with ports of its own."""

from __future__ import annotations

import base64
import json
import re
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rig.install import Install, find
from rig.instance import Settings, write_folder
from rig.phone import Line
from rig.ports import HOST, Ports
from rig.service import Service
from rig.state import RigError, instance_folder, socket_folder, wait_until

_CLI_LIMIT = 10.0

CALLERS = ("caller", "caller-info", "caller-inband")
AGENTS = ("agent1", "agent2", "agent3")


class Pbx(Service):
    """One Asterisk.

    dialplan: files to `#include` (Path) and dialplan text (str), in this order.
    prompts: language to folder of sounds, played as `sound:tillit/NAME`.
    overrides: text to append to a configuration file, by its name (`{"queues.conf": "[sales]…"}`).
    debug: writes verbose 5 and debug 5 to the log. Debug shows digits: for tests with made-up secrets alone.
    ports: how many; a call uses two for each of its legs.
    """

    _title = "Asterisk"
    _limit = 30.0

    def __init__(
        self,
        *,
        dialplan: Sequence[Path | str] = (),
        prompts: Mapping[str, Path] | None = None,
        overrides: Mapping[str, str] | None = None,
        caller_context: str = "callers",
        agent_context: str = "agents",
        name: str = "pbx",
        debug: bool = False,
        ports: int = 400,
    ) -> None:
        self._install: Install = find()
        super().__init__(instance_folder(name), Ports(ports))
        self.sip_port, self.http_port, self.ami_port = (self._ports.take() for _ in range(3))
        self.ari_password, self.ami_password, self.watch_password, self.sip_password = (
            secrets.token_urlsafe(16) for _ in range(4)
        )
        self._sockets = socket_folder(self.folder)
        rtp_first, rtp_last = self._ports.rest()
        values = {
            "entity": ":".join(("02", *(f"{byte:02x}" for byte in secrets.token_bytes(5)))),
            "folder": str(self.folder), "sockets": str(self._sockets),
            "sip_port": str(self.sip_port), "http_port": str(self.http_port), "ami_port": str(self.ami_port),
            "rtp_first": str(rtp_first), "rtp_last": str(rtp_last),
            "ari_password": self.ari_password, "ami_password": self.ami_password,
            "watch_password": self.watch_password, "sip_password": self.sip_password,
            "caller_context": caller_context, "agent_context": agent_context,
        }  # fmt: skip
        settings = Settings(values, dialplan, prompts or {}, overrides or {}, CALLERS, AGENTS, debug)
        try:
            write_folder(self.folder, self._install, settings)
        except BaseException:
            self.close()
            raise

    @property
    def ari_url(self) -> str:
        """Base address of ARI, user `tillit`."""
        return f"http://{HOST}:{self.http_port}/ari"

    @property
    def log_file(self) -> Path:
        """Notices, warnings, errors and verbose lines (debug too when asked for)."""
        return self.folder / "log" / "full.log"

    @property
    def cdr_file(self) -> Path:
        """Call detail records, CSV."""
        return self.folder / "log" / "cdr-csv" / "Master.csv"

    @property
    def cel_file(self) -> Path:
        """Channel events, CSV."""
        return self.folder / "log" / "cel-custom" / "Master.csv"

    @property
    def version(self) -> str:
        """Asterisk's version, as in `22.10.1`."""
        return self._install.version

    def line(self, endpoint: str) -> Line:
        """What a phone needs to be `endpoint`; agents register, callers only log in."""
        if endpoint not in CALLERS + AGENTS:
            raise RigError(f"no endpoint {endpoint!r}: there are {', '.join(CALLERS + AGENTS)}")
        return Line(endpoint, self.sip_password, self.sip_port, endpoint in AGENTS, self.folder / "phones")

    def start(self) -> None:
        """Start and return when fully booted, in about 3 s; RigError with the log's end when it does not."""
        (self._sockets / "asterisk.ctl").unlink(missing_ok=True)  # a killed one leaves it, and it would look ready
        command = [*self._install.command, "-f", "-C", str(self.folder / "etc" / "asterisk.conf")]
        self._launch(command, self.folder / "log" / "console.log", env=self._install.environment)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def speak(self, language: str, folder: Path) -> None:
        """Play these prompts from now on."""
        link = self.folder / "data" / "sounds" / language / "tillit"
        link.unlink()
        link.symlink_to(folder.resolve())

    def cli(self, command: str) -> str:
        """Run a command of Asterisk's own console and return what it prints."""
        result = self._console(command)
        if result.returncode:
            raise RigError(f"the console refused {command!r}: {result.stdout.strip()} (log: {self.log_file})")
        return result.stdout

    def ari(self, method: str, path: str, body: object = None) -> Any:
        """One ARI request (`"GET", "channels"`); returns the decoded answer, raises RigError on an error status."""
        login = base64.b64encode(f"tillit:{self.ari_password}".encode()).decode()
        request = urllib.request.Request(
            f"{self.ari_url}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_CLI_LIMIT) as response:
                text = response.read()
        except urllib.error.HTTPError as error:
            raise RigError(f"ARI {method} {path}: {error.code} {error.reason}") from None
        except OSError as error:
            raise RigError(f"ARI {method} {path}: {error}") from None
        answer: Any = json.loads(text) if text else None
        # Asterisk has a channel twice in the list that changes while it writes it
        return list({one["id"]: one for one in answer}.values()) if (method, path) == ("GET", "channels") else answer

    def channels(self) -> int:
        """How many channels exist."""
        found = re.search(r"(\d+) active channel", self.cli("core show channels count"))
        if found is None:
            raise RigError(f"the console does not say how many channels there are (log: {self.log_file})")
        return int(found[1])

    def bridges(self) -> int:
        """How many bridges exist, but for an empty parking lot: it stays, once somebody was parked there."""
        return sum(one["bridge_class"] != "parking" or bool(one["channels"]) for one in self.ari("GET", "bridges"))

    def applications(self) -> list[str]:
        """Names of the ARI applications that Asterisk knows."""
        return [str(application["name"]) for application in self.ari("GET", "applications")]

    def wait_idle(self, limit: float = 5.0) -> None:
        """Wait until no channel and no bridge is left."""
        wait_until(lambda: not self.channels() and not self.bridges(), limit, "all channels and bridges to end")

    def said(self, since: int = 0, log: str = "full.log") -> str:
        """
        What a log says from character `since`, the length of an earlier answer: all said before this call is in it.

        Asterisk's logger is a thread of its own, so that the console answers before the lines of a command
        are in the file. A last line, of a module that there is not, shows that those before it are.
        """
        marker = f"no-module-{time.monotonic_ns()}"
        self._console(f"module load {marker}")
        file = self.folder / "log" / log
        wait_until(lambda: marker in file.read_text(errors="replace"), _CLI_LIMIT, f"{log} to be written")
        lines = file.read_text(errors="replace").splitlines(keepends=True)
        return "".join(line for line in lines if "no-module-" not in line)[since:]

    def problems(self) -> list[str]:
        """The log's warnings and errors so far."""
        return [line for line in self.said().splitlines() if "] WARNING[" in line or "] ERROR[" in line]

    def _console(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._install.command, "-C", str(self.folder / "etc" / "asterisk.conf"), "-rx", command],
            env=self._install.environment,
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_CLI_LIMIT,
            check=False,
        )  # fmt: skip

    def _answers(self) -> bool:
        if not (self._sockets / "asterisk.ctl").exists():
            return False
        return "fully booted" in self._console("core waitfullybooted").stdout
