"""The program, run from an interpreter that has imported it: as if it had been started by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rig import warm
from rig.process import Child
from rig.state import wait_until

import ivr

PROGRAM = [sys.executable, warm.PROGRAM]


@pytest.fixture(autouse=True)
def wanted() -> Iterator[None]:
    warm.want(warm=True)
    yield
    warm.want(warm=False)


@pytest.mark.parametrize(
    "words", [("--version",), ("sample",), ("nonsense",), ("customer", "list"), ("customer", "import", "-")]
)
def test_it_says_the_same_as_one_that_is_started(words: tuple[str, ...], tmp_path: Path) -> None:
    command = [*PROGRAM, *words]
    env = dict(os.environ, TILLIT_CONFIG=str(tmp_path / "none.toml"), COLUMNS="100")
    assert warm.fits(command, env)
    forked = warm.run(command, env=env, given="a line\n", cwd=tmp_path, limit=30)
    started = subprocess.run(
        command, env=env, input="a line\n", cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def test_many_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(
            pool.map(
                lambda _: warm.run([*PROGRAM, "--version"], env=os.environ, given="", cwd=None, limit=30), range(24)
            )
        )
    assert {(one.returncode, one.stdout) for one in done} == {(0, f"tillit {ivr.__version__}\n")}


def test_one_that_is_killed_is_known_to_have_been(tmp_path: Path) -> None:
    # it waits for somebody to write
    fifo = tmp_path / "backup"
    os.mkfifo(fifo)
    env = dict(os.environ, PYTHONUNBUFFERED="1")
    child = Child("warm", [*PROGRAM, "sample"], tmp_path / "log", env=env)
    assert child.exit_code() == 0
    assert "[company]" in (tmp_path / "log").read_text()
    held = Child("held", [*PROGRAM, "restore", str(fifo)], tmp_path / "held.log", env=env)
    wait_until(lambda: os.getsid(held.pid) == held.pid, 10, "a session of its own")
    assert held.alive
    held.pause()
    held.resume()
    assert held.kill() == -signal.SIGKILL
    assert not held.alive


@pytest.mark.parametrize("env", [{"PYTHONPATH": "/else"}, {"LD_PRELOAD": "/lib/none.so"}])
def test_what_an_interpreter_reads_as_it_starts_needs_one_of_its_own(env: dict[str, str]) -> None:
    assert not warm.fits([*PROGRAM, "--version"], {**os.environ, **env})
    assert not warm.fits([sys.executable, "-c", "pass"], None)
    warm.want(warm=False)
    assert not warm.fits([*PROGRAM, "--version"], None)
