"""What the kernel tells of a process: proc(5)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Size:
    """How much of the machine a process holds: `kib` of memory in 1024 bytes."""

    kib: int
    threads: int
    descriptors: int


def cpu_seconds(pid: int | None) -> float:
    """Seconds of CPU that a process has taken, and 0 where there is none."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def size(pid: int) -> Size:
    """What it holds now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return Size(
        int(_field("VmRSS", status)), int(_field("Threads", status)), len(list(Path(f"/proc/{pid}/fd").iterdir()))
    )


def _field(name: str, status: str) -> str:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found is not None
    return found[1]
