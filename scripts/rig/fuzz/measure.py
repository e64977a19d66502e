"""Counts cases and findings, and looks for what grows."""

from __future__ import annotations

import faulthandler
import gc
import hashlib
import json
import math
import sys
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic

from rig.fuzz.case import HangError, Limited, Target, watch
from rig.fuzz.source import Source

# After so many runs everything that is made once has been made.
_WARM = 2000
# What Python holds more at the end, in blocks for each run after that: whatever is kept of a run is at least one.
_GROWTH = 0.1
# Seconds within which a thousand runs end, or the process says where it is and ends: also in C code, which no signal interrupts.
_STUCK = 600


@dataclass(frozen=True, slots=True)
class Bound:
    """How many cases are run, and for how many seconds at most."""

    cases: int
    seconds: float = math.inf


@dataclass
class Result:
    """What came of it. Memory: megabytes of the process, and blocks that Python holds, once warm and at the end."""

    target: str
    engine: str
    seed: int
    cases: int = 0
    runs: int = 0
    seconds: float = 0.0
    before: float = 0.0
    after: float = 0.0
    blocks_before: int = 0
    blocks_after: int = 0
    findings: dict[str, str] = field(default_factory=dict)

    @property
    def grew(self) -> float:
        """Blocks more for each run since it was warm."""
        return max(0.0, (self.blocks_after - self.blocks_before) / max(1, self.runs - _WARM))

    def line(self) -> str:
        """As a row of the table."""
        return (
            f"| {self.target} | {self.engine} | {self.cases:,} | {self.runs:,} | {self.seconds:.0f} | {len(self.findings)} |"
            f" {self.before:.1f} / {self.after:.1f} | {self.blocks_before:,} / {self.blocks_after:,} |"
        )

    def json(self) -> str:
        """For another process."""
        return json.dumps(asdict(self))


HEAD = "| target | engine | cases | runs | seconds | findings | MB before / after | blocks before / after |\n|---|---|---|---|---|---|---|---|"


class Measured:
    """A target, run and watched. A finding is noted with the bytes that led there, and the next run begins."""

    def __init__(self, target: Target, engine: str, seed: int, bound: Bound, *, keep: Path) -> None:
        """`keep` is where bytes that led to findings are written."""
        self._bound = bound
        self.result = Result(target.name, engine, seed)
        self._target = target
        self._keep = keep
        self._began = monotonic()
        watch()

    def one(self, data: bytes) -> None:
        """One run."""
        result = self.result
        try:
            with Limited():
                result.cases += self._target.run(Source(data))
        except (Exception, HangError) as error:  # noqa: BLE001  # what is not allowed is what is looked for
            result.cases += 1
            self._note(error, data)
        result.runs += 1
        if result.runs % 1000 == 0:
            faulthandler.dump_traceback_later(_STUCK, exit=True)
            if result.runs == _WARM:
                result.before, result.blocks_before = _memory()

    @property
    def left(self) -> int:
        """How many cases are still to be run; 0 also when the time is up."""
        if monotonic() - self._began >= self._bound.seconds:
            return 0
        return max(0, self._bound.cases - self.result.cases)

    def done(self) -> Result:
        """What came of it."""
        faulthandler.cancel_dump_traceback_later()
        result = self.result
        result.seconds = monotonic() - self._began
        result.after, result.blocks_after = _memory()
        if result.runs < 5 * _WARM:
            # too few to tell
            result.before, result.blocks_before = result.after, result.blocks_after
        elif result.grew > _GROWTH:
            result.findings[f"it grows: {result.grew:.2f} blocks a run"] = ""
        return result

    def _note(self, error: BaseException, data: bytes) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "/ivr/" in frame.filename] or frames
        where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"
        # of what is not ours the text may be different each time
        text = str(error) if isinstance(error, AssertionError) else type(error).__name__
        name = f"{text} ({where})"
        if name in self.result.findings:
            return
        self._keep.mkdir(parents=True, exist_ok=True)
        file = self._keep / f"{self.result.target}-{hashlib.sha256(data).hexdigest()[:12]}"
        file.write_bytes(data)
        self.result.findings[name] = str(file)
        print(
            f"{self.result.target}: {name}: {file}\n{''.join(traceback.format_exception(error)[-6:])}", file=sys.stderr
        )


def _memory() -> tuple[float, int]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6, sys.getallocatedblocks()
