"""`scripts/fuzz`: runs targets and prints the table."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path

from rig.fuzz.case import Limited, watch
from rig.fuzz.engines import TARGETS, by_atheris, by_hypothesis, made
from rig.fuzz.measure import HEAD, Bound, Result
from rig.fuzz.source import Source
from rig.state import STATE

_KEEP = STATE / "fuzz" / "findings"
_CHILD = "TILLIT_FUZZ_CHILD"


def main() -> int:
    """The exit code: 1 where there are findings."""
    asked = _asked()
    if asked.replay is not None:
        # what it raises is to be seen
        watch()
        with Limited():
            made(asked.target[0]).run(Source(asked.replay.read_bytes()))
        print("nothing comes of it any more")
        return 0
    if _CHILD in os.environ:
        _one(asked.target[0], asked.engine, Bound(asked.cases, asked.seconds), asked.seed)
        return 0
    results = []
    print(HEAD, flush=True)
    for name in asked.target or sorted(TARGETS):
        # each in a process of its own: what one leaves in memory is not the next one's
        command = [sys.executable, "-m", "rig.fuzz", "--target", name, "--engine", asked.engine]
        command += ["--cases", str(asked.cases), "--seconds", str(asked.seconds), "--seed", str(asked.seed)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=None, env={**os.environ, _CHILD: "1"}, check=False, text=True
        )
        told = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not told:
            print(f"| {name} | {asked.engine} | ended with code {done.returncode} and no result |", flush=True)
            return 2
        result = Result(**json.loads(told[-1]))
        print(result.line(), flush=True)
        results.append(result)
    for result in results:
        for finding, file in result.findings.items():
            again = f": scripts/fuzz --target {result.target} --replay {file}" if file else ""
            print(f"{result.target}: {finding}{again}")
    return int(any(result.findings for result in results))


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument(
        "--target", action="append", choices=sorted(TARGETS), default=[], help="one of them; else all, in turn"
    )
    parser.add_argument("--cases", type=int, default=10_000, help="how many for each")
    parser.add_argument("--seconds", type=float, default=math.inf, help="how long for each at most")
    parser.add_argument("--engine", choices=("atheris", "hypothesis"), default="hypothesis")
    parser.add_argument("--seed", type=int, default=0, help="another one, other cases")
    parser.add_argument("--replay", type=Path, help="run the bytes of this file alone, and show what they raise")
    asked = parser.parse_args()
    if asked.replay is not None and len(asked.target) != 1:
        parser.error("--replay needs one --target")
    return asked


def _one(name: str, engine: str, bound: Bound, seed: int) -> None:
    if engine == "atheris":
        by_atheris(name, bound, seed, _KEEP, lambda result: print(result.json()))
    else:
        print(by_hypothesis(name, bound, seed, _KEEP).json())


if __name__ == "__main__":
    sys.exit(main())
