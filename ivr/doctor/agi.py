"""Whether FastAGI can be served where the settings say."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ivr.agi import known_policy
from ivr.config import Settings
from ivr.config.listening import split
from ivr.doctor.finding import NOT_LOOKED_AT, Finding, Grade, Kind, ok
from ivr.errors import ConfigError

LISTEN = Kind(
    "agi-listen", Grade.FAULT,
    "FastAGI cannot be served as the settings say",
    "The worker does not start.",
)  # fmt: skip
KINDS = (LISTEN,)

_SUBJECT = "agi"
# How a worker is started: venv/bin/python ari_app.py run, or the command of the package.
_PROGRAMS = ("ari_app.py", "tillit")
# proc(5), /proc/net/tcp: the state of a socket that listens.
_LISTENS = "0A"


@dataclass(frozen=True, slots=True)
class Program:
    """A program that runs on this machine."""

    pid: int
    words: tuple[str, ...]

    @property
    def is_worker(self) -> bool:
        """Whether it is a worker of ours."""
        return "run" in self.words and any(Path(word).name in _PROGRAMS for word in self.words)


async def check(settings: Settings) -> list[Finding]:
    """Whether the address is this machine's and free, or a worker's; nothing where there is no FastAGI."""
    listen = settings.agi.listen
    if listen is None:
        return []
    try:
        known_policy(settings)
    except ConfigError as error:
        return [LISTEN.told(_SUBJECT, error)]
    host, port = split(listen)
    try:
        _bind(host, port)
    except OSError as error:
        why = error.strerror or type(error).__name__
        if error.errno != errno.EADDRINUSE:
            cure = "# name an address of this machine in [agi] listen, or 127.0.0.1, and a port of 1024 or more"
            return [LISTEN.found(_SUBJECT, f"[agi] listen: {listen} cannot be listened on ({why})", cure)]
        return [_taken(listen, port)]
    return [ok(_SUBJECT, f"{listen} is free for the worker")]


def _bind(host: str, port: int) -> None:
    """As the worker does it, without listening: nobody can connect. Raises `OSError`."""
    six = ipaddress.ip_address(host).version == 6
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if six:
            tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tried.bind((host, port))


def _taken(listen: str, port: int) -> Finding:
    look = f"ss -ltnp 'sport = :{port}'"
    programs = list(holders(port))
    if not programs:
        return NOT_LOOKED_AT.found(_SUBJECT, f"who listens on {listen} cannot be seen from here", look)
    other = next((program for program in programs if not program.is_worker), None)
    if other is None:
        return ok(_SUBJECT, f"a worker listens on {listen}")
    # its first word alone: the others may hold anything
    name = Path(other.words[0]).name if other.words else "a program"
    return LISTEN.found(
        _SUBJECT, f"[agi] listen: {name} (process {other.pid}) listens on {listen} already", look,
        "# end that program; or name another port in [agi] listen, and in each AGI() of the dialplan",
    )  # fmt: skip


def holders(port: int) -> Iterator[Program]:
    """Who listens on this port of TCP, at whatever address; root sees everybody, others what is their own."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    for process in Path("/proc").iterdir() if sockets else ():
        if not process.name.isdecimal():
            continue
        try:
            if any(os.readlink(file) in sockets for file in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                yield Program(int(process.name), tuple(filter(None, words)))
        except OSError:
            continue  # it has ended, or is not for us to look at


def _listening(port: int) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == _LISTENS and re.search(rf":{port:04X}$", words[1]):
                yield words[9]
