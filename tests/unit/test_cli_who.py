"""Who types: what the kernel knows of it, whatever the environment says."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from ivr.cli import who
from ivr.cli.who import Person

HERE = os.getuid()
MYSELF = pwd.getpwuid(HERE).pw_name


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files as the kernel writes them, for what cannot be had here."""
    monkeypatch.setattr(who, "PROC", tmp_path)
    return tmp_path


def login(proc: Path, number: str) -> None:
    (proc / "self").mkdir()
    (proc / "self" / "loginuid").write_text(number)


def line(proc: Path, *users: int) -> None:
    """This process, and those that it comes from, up to the first one of all."""
    processes = [os.getpid(), *range(4711, 4710 + len(users))][: len(users)]
    for process, parent, user in zip(processes, [*processes, 1][1:], users, strict=True):
        (proc / str(process)).mkdir()
        text = f"Name:\tUid:\\n0\nPPid:\t{parent}\nUid:\t{user}\t0\t0\t0\n"
        (proc / str(process) / "status").write_text(text)


def test_the_environment_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = who.person()
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER", "SUDO_UID"):
        monkeypatch.setenv(variable, "somebody-else")
    assert who.person() == before
    assert before.account == MYSELF


def test_a_login_stays_whoever_one_becomes(proc: Path) -> None:
    login(proc, "1")
    line(proc, HERE, 2, 3)
    assert who.person() == Person("daemon", MYSELF, "1")
    assert who.actor() == f"cli:daemon/{MYSELF}"


@pytest.mark.parametrize("number", ["4294967295", "", "nobody"])
def test_without_a_login_the_one_who_became_this_user(proc: Path, number: str) -> None:
    login(proc, number)
    line(proc, HERE, 0, 0, 1, 2)
    assert who.person() == Person("daemon", MYSELF, "")


@pytest.mark.parametrize("users", [(), (HERE,), (HERE, 0, HERE, 0)])
def test_nobody_became_this_user(proc: Path, users: tuple[int, ...]) -> None:
    line(proc, *users)
    assert who.person() == Person(MYSELF, MYSELF, "")
    assert who.actor() == f"cli:{MYSELF}"


def test_whose_the_first_process_is_says_nothing(proc: Path) -> None:
    line(proc, HERE)
    (proc / "1").mkdir()
    (proc / "1" / "status").write_text("PPid:\t0\nUid:\t2\t2\t2\t2\n")
    assert who.person() == Person(MYSELF, MYSELF, "")


def test_who_has_no_name(proc: Path) -> None:
    login(proc, "987654")
    assert who.person() == Person("987654", MYSELF, "987654")


@pytest.mark.parametrize("name", ["a\x1b[2J", "a/b", "a:b", "a b"])
def test_a_name_that_would_write_something_else_into_a_row(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda user: pwd.struct_passwd((name, "", user, 0, "", "", "")))
    assert who.person().account == str(HERE)


@pytest.mark.skipif(HERE != 0, reason="who is not root becomes nobody else")
@pytest.mark.skipif(who._login() is not None, reason="there is a login, which goes before")
def test_a_real_process_of_somebody_else_is_seen() -> None:
    """As sudo leaves it: the process above is the one of whoever became root."""
    code = f"import sys; sys.path.insert(0, {str(Path.cwd())!r}); from ivr.cli import who; input(); print(who.actor())"
    above = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)\n"
        "os.setresuid(1, 0, 0)\n"
        "print(child.communicate('now\\n')[0])"
    )
    done = subprocess.run([sys.executable, "-c", above, code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "cli:daemon/root"
