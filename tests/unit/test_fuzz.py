"""Bad input: each target with some cases, always the same ones; and what would be found is found."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from rig.fuzz import case
from rig.fuzz.case import Finding, Timeless, quiet
from rig.fuzz.engines import TARGETS
from rig.fuzz.measure import Bound, Measured, Result
from rig.fuzz.source import Source
from rig.state import CHECKOUT

from ivr.errors import TextError

# Of the million. A case of `ari` is a frame, of which a run has about 70.
CASES = dict.fromkeys(TARGETS, 1500) | {"ari": 12_000}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_nothing_comes_of_bad_input(name: str) -> None:
    """In a process of its own: it sets the clock of what it runs."""
    command = [sys.executable, "-m", "rig.fuzz", "--target", name, "--cases", str(CASES[name]), "--seed", "1"]
    path = f"{CHECKOUT / 'scripts'}:{CHECKOUT}"
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, cwd=CHECKOUT, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    row = [cell.strip() for cell in done.stdout.splitlines()[-1].split("|")]
    assert row[1:3] == [name, "hypothesis"]
    assert int(row[3].replace(",", "")) >= CASES[name]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_what_may_come_of_it_is_told_of(name: str) -> None:
    target = getattr(importlib.import_module(f"rig.fuzz.{name}"), TARGETS[name])
    rows = [
        line for line in (CHECKOUT / "docs" / "fuzzing.md").read_text().splitlines() if line.startswith(f"| `{name}` |")
    ]
    assert [target.allowed in row for row in rows] == [True]


# ---------------------------------------------------------------- what is found


class Toy:
    name: ClassVar[str] = "toy"
    allowed: ClassVar[str] = "nothing"

    def __init__(self) -> None:
        self.kept: list[object] = []
        self.timeless = Timeless()

    def run(self, source: Source) -> int:
        match source.byte():
            case 1:
                raise KeyError("of a kind that nobody allowed")
            case 2:
                while True:
                    pass
            case 3:
                self.kept.append(object())
            case 4:
                self.timeless.run(self.waits())
            case 5:
                self.timeless.run(self.leaves())
            case 6:
                self.timeless.run(self.fails())
        return 1

    async def waits(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def leaves(self) -> None:
        self.kept.append(asyncio.ensure_future(asyncio.sleep(100)))

    async def fails(self) -> None:
        asyncio.get_running_loop().call_soon(self.kept[0])  # type: ignore[arg-type]
        await asyncio.sleep(1)


def found(tmp_path: Path, *inputs: bytes) -> Result:
    measured = Measured(Toy(), "by hand", 0, Bound(10), keep=tmp_path / "findings")
    for data in inputs:
        measured.one(data)
    return measured.done()


def test_an_error_that_is_not_allowed_is_found_once_and_its_bytes_are_kept(tmp_path: Path) -> None:
    result = found(tmp_path, b"\0", b"\1first", b"\1second")
    assert (result.cases, result.runs) == (3, 3)
    [(name, file)] = result.findings.items()
    assert name.startswith("KeyError (test_fuzz.py:")
    assert Path(file).read_bytes() == b"\1first"


def test_what_does_not_end_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case, "LIMIT", 0.05)
    [name] = found(tmp_path, b"\2").findings
    assert name.startswith("HangError")


@pytest.mark.parametrize(
    ("data", "words"), [(b"\4", "waits for what never comes"), (b"\5", "left running"), (b"\6", "IndexError")]
)
def test_what_becomes_of_tasks_is_found(tmp_path: Path, data: bytes, words: str) -> None:
    result = found(tmp_path, data, b"\0")
    assert [words in name for name in result.findings] == [True]


def test_what_grows_is_found(tmp_path: Path) -> None:
    assert found(tmp_path, *[b"\0"] * 12_000).findings == {}
    [name] = found(tmp_path, *[b"\3"] * 12_000).findings
    assert name.startswith("it grows: 1.")


def test_a_secret_in_an_error_or_behind_it_is_found() -> None:
    quiet(TextError("it refused the text (403)"), ("4711",))
    with pytest.raises(Finding):
        quiet(TextError("it refused 4711"), ("4711",))
    behind = TextError("it refused the text")
    behind.__context__ = ValueError("4711")
    with pytest.raises(Finding):
        quiet(behind, ("4711",))


def test_a_source_gives_the_same_again_and_then_the_plainest() -> None:
    data = bytes(range(1, 200))
    assert Source(data).value() == Source(data).value()
    empty = Source(b"")
    assert (empty.byte(), empty.pick("ab"), empty.take(5), empty.once_in(1), empty.text()) == (0, "a", b"", False, "")
