"""What thinks of the bytes: hypothesis, or atheris, which sees what code they reach and goes on from there."""

from __future__ import annotations

import importlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rig.fuzz.case import Target
from rig.fuzz.measure import Bound, Measured, Result

# The longest input, and how many hypothesis makes before it is begun anew: it remembers each.
_LONGEST = 1024
_BATCH = 5000

TARGETS = {
    "agi": "Agi",
    "ami": "Manager",
    "ari": "Calls",
    "customers": "Csv",
    "digits": "Digits",
    "gateways": "Gateways",
    "settings": "Toml",
}
"""Their modules here, and the classes in those."""


def made(name: str) -> Target:
    """The target of this name. What it imports may be looked into by atheris, so it is imported late."""
    target: Target = getattr(importlib.import_module(f"rig.fuzz.{name}"), TARGETS[name])()
    return target


def by_hypothesis(name: str, bound: Bound, seed: int, keep: Path) -> Result:
    """In this process. The same seed gives the same cases."""
    import hypothesis
    from hypothesis import strategies as st

    measured = Measured(made(name), "hypothesis", seed, bound, keep=keep)
    inputs = st.binary(min_size=48, max_size=_LONGEST)

    def batch(most: int, number: int) -> None:
        @hypothesis.seed(seed * 100_003 + number)
        @hypothesis.settings(
            max_examples=most,
            database=None,
            deadline=None,
            phases=(hypothesis.Phase.generate,),
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(inputs)
        def once(data: bytes) -> None:
            if measured.left:
                measured.one(data)

        once()

    number = 0
    while left := measured.left:
        batch(min(_BATCH, left), number)
        number += 1
    return measured.done()


def by_atheris(name: str, bound: Bound, seed: int, keep: Path, tell: Callable[[Result], None]) -> None:
    """The same; it ends the process when it is done, behind `tell`."""
    import atheris  # type: ignore[import-untyped]  # it lies in a folder of its own

    with atheris.instrument_imports(include=["ivr", "panoramisk"]):
        target = made(name)
    measured = Measured(target, "atheris", seed, bound, keep=keep)

    def once(data: bytes) -> None:
        measured.one(data)
        if not measured.left:
            tell(measured.done())
            sys.stdout.flush()
            shutil.rmtree(folder)
            os._exit(0)

    folder = tempfile.mkdtemp(prefix="tillit-fuzz-")
    chance = random.Random(seed)
    for number in range(64):
        Path(folder, str(number)).write_bytes(chance.randbytes(chance.randint(48, _LONGEST)))
    # 0 would be a seed by the clock, and a limit of no time at all; ours is of the processor
    options = [
        f"-seed={seed + 1}",
        f"-max_len={_LONGEST}",
        "-len_control=0",
        "-timeout=600",
        f"-artifact_prefix={folder}/",
        "-rss_limit_mb=4096",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, folder], once)
    atheris.Fuzz()
