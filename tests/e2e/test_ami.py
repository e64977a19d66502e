"""A worker whose settings have a table [asterisk.ami]: what it says of that link, and that calls do not depend on it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from rig.stage import ANNA, Stage
from rig.state import wait_until
from rig.worker import Worker

STAGE = {"customers": (ANNA,)}


def write(stage: Stage, password: str, **fields: object) -> None:
    """The settings with that table, and its password's file."""
    file = stage.folder / "ami.password"
    file.touch(0o600)
    file.write_text(password)
    stage.write_config({"asterisk.ami": {"port": stage.pbx.ami_port, "password_file": "ami.password", **fields}})


@pytest.fixture
def with_ami(stage: Stage) -> Iterator[Stage]:
    write(stage, stage.pbx.ami_password)
    yield stage
    stage.write_config()


def logged(worker: Worker, event: str) -> None:
    wait_until(lambda: any(line["event"] == event for line in worker.log()), 15, event)


def test_it_logs_in_and_says_so(with_ami: Stage) -> None:
    with with_ami.worker("linked") as worker:
        logged(worker, "ami.connected")
        assert with_ami.pbx.ami_password not in worker.log_file.read_text()
    # ended in order: nothing of it is left behind
    assert worker.log()[-1]["event"] == "worker.stopped"


def test_a_wrong_password_is_named_at_the_start(with_ami: Stage) -> None:
    write(with_ami, "canary-wrong")
    done = with_ami.attempt("run")
    assert done.returncode == 2
    assert "[asterisk.ami] username, password_file: Asterisk does not know this user" in done.stderr
    assert "manager.conf" in done.stderr
    for secret in ("canary", "Traceback"):
        assert secret not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"password_file": "missing"}, "[asterisk.ami] password_file"),
        ({"host": "192.0.2.1"}, "[asterisk.ami]: would go in clear to another machine"),
        ({"port": 70000}, "[asterisk.ami] port"),
    ],
)
def test_what_is_wrong_is_named(with_ami: Stage, fields: dict[str, object], place: str) -> None:
    write(with_ami, "secret", **fields)
    done = with_ami.attempt("run")
    assert done.returncode == 2
    assert place in done.stderr


def test_a_table_without_a_password_is_named(with_ami: Stage) -> None:
    with_ami.write_config({"asterisk.ami": {"port": with_ami.pbx.ami_port}})
    done = with_ami.attempt("run")
    assert (done.returncode, "[asterisk.ami] password_file: is missing" in done.stderr) == (2, True)


async def test_without_an_answer_calls_go_on(with_ami: Stage) -> None:
    """Nobody listens at that port: the worker starts, says so once, and is there for calls."""
    write(with_ami, "secret", port=1)
    with with_ami.worker("unlinked") as worker:
        await asyncio.to_thread(logged, worker, "ami.unreachable")
        await asyncio.to_thread(logged, worker, "ari.connected")
        assert worker.app in with_ami.pbx.applications()
    assert len([line for line in worker.log() if line["event"] == "ami.unreachable"]) == 1
