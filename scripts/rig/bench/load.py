"""Calls by SIPp at a steady rate."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rig.asterisk import Pbx
from rig.bench.process import cpu_seconds
from rig.bench.sniffer import Sniffer
from rig.ports import HOST, Ports
from rig.state import RigError

# SIPp can hang past its own time-out, so there is a limit around it.
_PATIENCE = 30
# Above the ports of Asterisk: SIPp takes 10,000 from here on, and sends keys from them without opening them.
_MEDIA_PORT = 40_000


@dataclass(frozen=True)
class Callers:
    """`count` calls to an extension by one of the scenarios beside this file.

    numbers: who calls, one a call. on_port: told SIPp's port before the first call. media_port: where its own RTP
    begins, for a second SIPp beside another.
    """

    extension: str
    scenario: str
    count: int
    numbers: Sequence[int] = ()
    on_port: Callable[[int], None] | None = None
    media_port: int = _MEDIA_PORT


@dataclass(frozen=True)
class Result:
    """`rate` in calls a second; `latencies` in ms, sorted, from the last key to the next action; CPU in ms a call."""

    rate: int
    calls: int
    failed: int
    latencies: Sequence[float]
    asterisk_ms: float
    application_ms: float

    def quantile(self, share: float) -> float:
        """The latency that this share of the calls stays below."""
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))]

    @property
    def good(self) -> bool:
        """No call failed, each was timed, and the 99th is under 100 ms: backlogs of seconds still "succeed"."""
        return not self.failed and len(self.latencies) == self.calls and self.quantile(0.99) < 100.0


@contextmanager
def sipp(
    pbx: Pbx, callers: Callers, *, rate: int, ports: Ports, hold_seconds: int = 0
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A running SIPp and its port; ended when the block ends. `hold_seconds`: how long `waiting.xml` stays in the call."""
    program = shutil.which("sipp")
    if program is None:
        raise RigError("there is no sipp: install the package sip-tester")
    port = ports.take()
    if callers.on_port is not None:
        callers.on_port(port)
    command = [
        program, f"{HOST}:{pbx.sip_port}", "-sf", str(Path(__file__).with_name(callers.scenario)),
        "-s", callers.extension, "-r", str(rate), "-m", str(callers.count), "-l", str(callers.count), "-i", HOST,
        "-p", str(port), "-mi", HOST, "-mp", str(callers.media_port), "-d", str(hold_seconds * 1000), "-cid_str", "%u@bench",
        "-nostdin",
    ]  # fmt: skip
    numbers = pbx.folder / "numbers.csv"
    if callers.numbers:
        numbers.write_text("SEQUENTIAL\n" + "".join(f"{number};\n" for number in callers.numbers))
        command += ["-inf", str(numbers)]
    with (pbx.folder / "log" / "sipp.log").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=pbx.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield process, port
        finally:
            process.kill()
            process.wait()


def calls(pbx: Pbx, callers: Callers, *, rate: int, application: int | None, ports: Ports) -> Result:
    """Run them; `application` is the pid of who answers. Raises `RigError` where none can be made."""
    before = cpu_seconds(pbx.child.pid), cpu_seconds(application)
    with sipp(pbx, callers, rate=rate, ports=ports) as (process, port), Sniffer(pbx.sip_port, port) as sniffer:
        try:
            code = process.wait(callers.count / rate + _PATIENCE)
        except subprocess.TimeoutExpired:
            code = None
    if code != 0:
        # whose SIPp is gone waits for keys that nobody sends any more
        pbx.cli("channel request hangup all")
    pbx.wait_idle(_PATIENCE)
    latencies = [second * 1000 for second in sniffer.latencies()]
    if not latencies:
        raise RigError(f"no call to {callers.extension} came to its end (log: {pbx.log_file})")
    return Result(
        rate,
        callers.count,
        0 if code == 0 else max(1, callers.count - sniffer.ended),
        latencies,
        (cpu_seconds(pbx.child.pid) - before[0]) * 1000 / callers.count,
        (cpu_seconds(application) - before[1]) * 1000 / callers.count,
    )
