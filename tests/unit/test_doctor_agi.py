"""FastAGI's address, as the doctor looks at it."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from ivr.config import Settings
from ivr.doctor import agi
from ivr.doctor.finding import Grade


def settings(listen: str | None, policy: str | None = None) -> Settings:
    return Settings.model_validate(
        {
            "company": {"name": "Acme", "country": "SE"},
            "agi": {"listen": listen, "policy": policy, "allow": ["192.0.2.9"]},
            "policies": {"main": {"steps": ["pin"], "level": 1}},
        }
    )


@pytest.fixture(params=[("127.0.0.1", socket.AF_INET), ("0.0.0.0", socket.AF_INET), ("::1", socket.AF_INET6)], ids=str)
def taken(request: pytest.FixtureRequest) -> Iterator[str]:
    """An address that this process listens on."""
    host, family = request.param
    with socket.socket(family) as listening:
        listening.bind((host, 0))
        listening.listen()
        port = listening.getsockname()[1]
        yield f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"


async def test_a_port_that_is_taken_is_found_with_who_has_it(taken: str) -> None:
    (found,) = await agi.check(settings(taken))
    assert (found.name, found.grade) == ("agi-listen", Grade.FAULT)
    assert f"(process {os.getpid()}) listens on {taken} already" in found.what
    assert found.cure[0] == f"ss -ltnp 'sport = :{taken.rpartition(':')[2]}'"


async def test_a_port_that_is_free_is_well() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{other.getsockname()[1]}"
    (found,) = await agi.check(settings(listen))
    assert (found.grade, found.what) == (Grade.OK, f"{listen} is free for the worker")
    # and is so still
    with socket.socket() as again:
        again.bind(("127.0.0.1", int(listen.rpartition(":")[2])))


async def test_an_address_of_another_machine_is_found() -> None:
    (found,) = await agi.check(settings("192.0.2.1:4573"))
    assert found.name == "agi-listen"
    assert "192.0.2.1:4573 cannot be listened on" in found.what


async def test_a_policy_that_is_none_is_found() -> None:
    (found,) = await agi.check(settings("127.0.0.1:4573", "other"))
    assert found.name == "agi-listen"
    assert "[agi] policy: there is no such policy" in found.what
    assert "main" in found.cure[0]


async def test_without_fastagi_there_is_nothing_to_look_at() -> None:
    assert await agi.check(settings(None)) == []


@pytest.fixture
def another() -> Iterator[tuple[int, str]]:
    """A program of root's that listens: its process, and where."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listen = f"127.0.0.1:{listening.getsockname()[1]}"
        holder = subprocess.Popen(["sleep", "60"], pass_fds=[listening.fileno()])
    yield holder.pid, listen
    holder.kill()
    holder.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's process is needed")
async def test_somebody_who_may_not_look_is_told_so(another: tuple[int, str]) -> None:
    """As a user who sees no other's files: it is not said to be well, and not to be a fault."""
    process, listen = another
    (seen,) = await agi.check(settings(listen))
    os.seteuid(65534)
    try:
        (unseen,) = await agi.check(settings(listen))
    finally:
        os.seteuid(0)
    assert (seen.name, unseen.name) == ("agi-listen", "not-looked-at")
    assert f"(process {process})" in seen.what
    assert unseen.what == f"who listens on {listen} cannot be seen from here"


@pytest.mark.parametrize(
    ("words", "worker"),
    [
        (("/opt/tillit/venv/bin/python", "/opt/tillit/ari_app.py", "run", "--config", "/etc/tillit/tillit.toml"), True),
        (("python", "ari_app.py", "run"), True),
        (("/usr/bin/python3", "/usr/local/bin/tillit", "run"), True),
        (("python", "ari_app.py", "doctor"), False),
        (("python", "other.py", "run"), False),
        ((), False),
    ],
)
def test_who_is_a_worker(words: tuple[str, ...], worker: bool) -> None:
    assert agi.Program(1, words).is_worker is worker
