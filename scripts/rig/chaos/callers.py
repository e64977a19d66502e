"""A load of SIPp callers, and what each of them has written down of its call."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Self

from rig.asterisk import Pbx
from rig.chaos.scenario import CAUSES, KINDS, Kind
from rig.ports import HOST, Ports
from rig.state import RigError

_STATUSES = {str(cause): status for status, cause in CAUSES.items()}
_LINE = re.compile(r"(\w+) (\d+) (\d{4}-\d\d-\d\d)[ \t](\d\d:\d\d:\d\d\.\d+)\S*(?:\s.*)?$")
# SIPp sends keys from these without opening them; each takes a range of its own.
_MEDIA_FIRST, _MEDIA_EACH = 42_000, 2_000
_WEIGHTS = sum(kind.weight for kind in KINDS)


@dataclass(frozen=True)
class Call:
    """One caller's call, as that caller saw it; moments in seconds since 1970.

    fate: what the dialplan said in its BYE (`verified` and so on), `left` who hung up, `turned_away` who got a 503,
    `unanswered`, `silence` who heard nothing more for a minute and hung up, `cut` who was hung up on by nobody who
    should; `unknown` of whom SIPp wrote no end.
    """

    number: str
    kind: Kind
    dialled: float
    answered: bool = False
    fate: str = "unknown"
    over: float | None = None


class Load:
    """So many calls a second, for so many seconds; a context manager. `numbers` are as many as `calls_in` says."""

    def __init__(self, pbx: Pbx, ports: Ports, *, rate: float, seconds: float) -> None:
        self._pbx = pbx
        self._ports = ports
        self._rate = rate
        self._seconds = seconds
        self._running: list[tuple[Kind, subprocess.Popen[bytes], Path]] = []
        self.routes: dict[str, tuple[int, str]] = {}
        """By number: SIPp's port, and the Call-ID."""

    @property
    def size(self) -> int:
        """How many numbers are needed."""
        return sum(self._count(kind) for kind in KINDS)

    def _count(self, kind: Kind) -> int:
        return max(1, round(self._rate * self._seconds * kind.weight / _WEIGHTS))

    def start(self, numbers: Sequence[str], folder: Path) -> None:
        """Begin to call. `routes` is complete before the first call."""
        program = shutil.which("sipp")
        if program is None:
            raise RigError("there is no sipp: install the package sip-tester")
        folder.mkdir(parents=True)
        left = iter(numbers)
        commands: list[tuple[Kind, list[str], Path]] = []
        for place, kind in enumerate(KINDS):
            count, port = self._count(kind), self._ports.take()
            own = [next(left) for _ in range(count)]
            self.routes |= {number: (port, f"{n}-{port}@chaos") for n, number in enumerate(own, 1)}
            file, called = folder / f"{kind.name}.xml", folder / f"{kind.name}.csv"
            file.write_text(kind.scenario())
            called.write_text("SEQUENTIAL\n" + "".join(f"{number};\n" for number in own))
            log = folder / f"{kind.name}.log"
            command = [
                program, f"{HOST}:{self._pbx.sip_port}", "-sf", str(file), "-inf", str(called), "-s", "main",
                "-r", str(kind.weight), "-rp", str(round(1000 * _WEIGHTS / self._rate)), "-m", str(count), "-l", str(count),
                "-i", HOST, "-p", str(port), "-mi", HOST, "-mp", str(_MEDIA_FIRST + place * _MEDIA_EACH),
                "-cid_str", f"%u-{port}@chaos", "-trace_logs", "-log_file", str(log),
                "-trace_err", "-error_file", str(folder / f"{kind.name}.err"), "-nostdin",
            ]  # fmt: skip
            commands.append((kind, command, log))
        for kind, command, log in commands:
            with log.with_suffix(".out").open("wb") as output:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            self._running.append((kind, process, log))

    def wait(self, limit: float) -> None:
        """Until every caller's call is over, for so many seconds at most."""
        for _, process, _ in self._running:
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                # its callers are `unknown`, and so lost
                process.kill()
                process.wait()

    def calls(self) -> list[Call]:
        """What became of each. `RigError` where SIPp has not made all of them."""
        made = [call for kind, _, log in self._running for call in read(kind, log)]
        if len(made) != self.size:
            folder = self._running[0][2].parent
            raise RigError(f"{len(made)} of {self.size} calls were made: see SIPp's words in {folder}")
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for _, process, _ in self._running:
            process.kill()
            process.wait()


def read(kind: Kind, log: Path) -> Iterator[Call]:
    """The calls of SIPp's log, in the order they were dialled."""
    calls: dict[str, Call] = {}
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    for line in lines:
        if (found := _LINE.match(line)) is None:
            continue
        word, number, day, time = found[1], found[2], found[3], found[4]
        at = datetime.fromisoformat(f"{day} {time}").timestamp()
        if word == "dials":
            calls[number] = Call(number, kind, at)
        elif word == "answered":
            calls[number] = replace(calls[number], answered=True)
        else:
            cause = line.rpartition("cause=")[2]
            fate = _STATUSES.get(cause, "cut") if word == "over" else word
            calls[number] = replace(calls[number], fate=fate, over=at)
    yield from calls.values()
