"""Whether the worker's user can use its files, as root's doctor sees it: each of them is root's, shut, or well."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ivr.config import load, secret_of
from ivr.doctor import account, files, texts
from ivr.doctor.finding import Finding, Grade
from ivr.errors import ConfigError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can make another's files")

# Nobody's number, and one that has no name and no group besides.
USER = 54321
SETTINGS = """
[company]
name = "Acme"
country = "SE"
[asterisk]
password_file = "ari.password"
[asterisk.ami]
password_file = "ami.password"
[nodes.south]
url = "http://127.0.0.9:8088/ari"
password_file = "south.password"
[redis]
password_file = "redis.password"
[database]
url = "sqlite:///data/tillit.db"
[keys]
master_file = "keys/master.key"
hash_file = "keys/hash.key"
[texts]
gateway = "46elks"
fallback = "http"
[texts.46elks]
username = "u123"
sender = "Acme"
password_file = "46elks.password"
[texts.http]
url = "https://sms.example.com/send"
body = { to = "{to}", text = "{text} {secret}" }
secret_file = "sms.secret"
[policies.main]
steps = ["pin"]
level = 1
"""
SECRETS = (
    "ari.password", "ami.password", "south.password", "redis.password", "46elks.password", "sms.secret",
    "keys/master.key", "keys/hash.key",
)  # fmt: skip


@pytest.fixture
def folder() -> Iterator[Path]:
    """A worker's files, all its user's; pytest's own folders let no other user in."""
    made = Path(tempfile.mkdtemp(prefix="tillit-doctor-", dir="/tmp"))
    top = made / "etc"
    for name in ("keys", "data"):
        (top / name).mkdir(parents=True, mode=0o700)
    (top / "tillit.toml").write_text(SETTINGS)
    for name in (*SECRETS, "data/tillit.db"):
        (top / name).write_text("x1y2z3")
    for path in (top, *top.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.chown(path, USER, USER)
    made.chmod(0o755)
    yield top
    shutil.rmtree(made)


async def found(folder: Path) -> list[Finding]:
    return await files.check(load(folder / "tillit.toml"))


def mended(finding: Finding) -> None:
    for line in finding.cure:
        subprocess.run(["sh", "-c", line], check=True, capture_output=True)


async def test_the_users_own_files_are_well(folder: Path) -> None:
    assert account.of(load(folder / "tillit.toml")).number == USER
    assert await found(folder) == []


@pytest.mark.parametrize("name", [*SECRETS, "tillit.toml", "data/tillit.db"])
async def test_a_file_that_is_roots_is_a_fault_and_its_cure_mends_it(folder: Path, name: str) -> None:
    os.chown(folder / name, 0, 0)
    (told,) = await found(folder)
    assert (told.name, told.grade, told.subject) == ("worker-rights", Grade.FAULT, "worker")
    assert f"{folder / name}, which belongs to root" in told.what
    assert told.what.startswith(f"{USER} may not {'write' if name.endswith('db') else 'read'} ")
    assert told.cure == (f"chown {USER} {folder / name}",)
    mended(told)
    assert await found(folder) == []


@pytest.mark.parametrize("name", [".", "keys", "data"])
async def test_a_folder_that_is_roots_is_told_once(folder: Path, name: str) -> None:
    """And not each file in it, which nobody could read for the same reason."""
    os.chown(folder / name, 0, 0)
    (told,) = await found(folder)
    assert told.name == "worker-rights"
    assert f"may not enter the folder {folder / name}, which belongs to root" in told.what
    mended(told)
    assert await found(folder) == []


async def test_a_folder_above_is_not_given_away(folder: Path) -> None:
    folder.parent.chmod(0o700)
    (told,) = await found(folder)
    assert told.cure == (f"# let {USER} pass through {folder.parent}, or lay the files elsewhere",)


async def test_a_file_that_its_own_user_may_not_read(folder: Path) -> None:
    (folder / "ari.password").chmod(0o000)
    (told,) = await found(folder)
    assert told.cure == (f"chmod u+r {folder / 'ari.password'}",)
    mended(told)
    assert await found(folder) == []


@pytest.mark.parametrize(
    "make",
    [
        # settings that root keeps, and the worker's group reads
        lambda folder: [os.chown(folder / "tillit.toml", 0, USER), (folder / "tillit.toml").chmod(0o640)],
        lambda folder: [os.chown(folder, 0, USER), folder.chmod(0o750)],
        # what is not there is told of elsewhere
        lambda folder: [(folder / name).unlink() for name in ("ari.password", "data/tillit.db")],
        # a table that is not used
        lambda folder: [os.chown(folder / "sms.secret", 0, 0), (folder / "tillit.toml").write_text(SETTINGS.replace('fallback = "http"', ""))],
        # a variable goes before the file
        lambda folder: [os.chown(folder / "redis.password", 0, 0), (folder / "tillit.toml").write_text(SETTINGS.replace("[redis]", '[redis]\npassword_env = "X"'))],
    ],
)  # fmt: skip
async def test_what_is_odd_and_right_is_well(folder: Path, make: Callable[[Path], object]) -> None:
    make(folder)
    assert await found(folder) == []


async def test_roots_own_worker_is_told_of_a_file_that_is_anothers(folder: Path) -> None:
    """Root can read it: it works, and is not as it should be."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 0, 0)
    assert await found(folder) == []
    os.chown(folder / "sms.secret", USER, USER)
    (told,) = await found(folder)
    assert (told.name, told.cure) == ("owners", (f"chown root {folder / 'sms.secret'}",))


@pytest.mark.parametrize("ours", [True, False])
async def test_where_all_is_roots_systemd_says_who_the_worker_is(
    folder: Path, ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A back-up that root brought back. There is no systemd here: its program is a script that answers as it would."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 0, 0)
    program = folder.parent / "systemctl"
    config = folder / "tillit.toml" if ours else "/etc/other.toml"
    started = f"{{ path=/opt/tillit/venv/bin/python ; argv[]=python /opt/tillit/ari_app.py run --config {config} ; }}"
    program.write_text(f"#!/bin/sh\necho 'User=nobody'\necho 'ExecStart={started}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder.parent}:{os.environ['PATH']}")
    told = await found(folder)
    if not ours:
        assert told == []
        return
    assert [finding.name for finding in told] == ["worker-rights", "owners"]
    assert f"nobody may not enter the folder {folder}" in told[0].what
    # what is behind a door is seen when that is open
    rounds = 0
    while told := await found(folder):
        rounds += 1
        assert rounds <= 3
        for finding in told:
            mended(finding)


# ---------------------------------------------------------------- what a worker says that starts


def test_a_password_that_is_missing_and_one_that_is_anothers_are_told_apart(folder: Path) -> None:
    settings = load(folder / "tillit.toml")
    os.chown(folder / "ari.password", 0, 0)
    os.seteuid(USER)
    try:
        with pytest.raises(ConfigError) as caught:
            secret_of(settings, "[asterisk] password", Path("ari.password"), None)
    finally:
        os.seteuid(0)
    assert caught.value.problem == f"{folder / 'ari.password'} cannot be read (Permission denied)"
    assert caught.value.cure.endswith(f": chown {USER} {folder / 'ari.password'}")
    for name, problem, cure in (
        ("none", "is missing", "Write the password into it, mode 0600"),
        ("tillit.toml/none", "is missing", "Write the password into it, mode 0600"),
        ("keys", "is no file", "Name the file that holds the password"),
    ):
        with pytest.raises(ConfigError) as caught:
            secret_of(settings, "[asterisk] password", Path(name), None)
        assert (caught.value.problem, caught.value.cure) == (f"{folder / name} {problem}", cure)


# ---------------------------------------------------------------- the outbox


def outbox(folder: Path, where: str, step: str = "sms_code") -> None:
    text = SETTINGS.replace('gateway = "46elks"\nfallback = "http"', f'gateway = "outbox"\noutbox_folder = "{where}"')
    (folder / "tillit.toml").write_text(text.replace('["pin"]', f'["{step}"]'))


@pytest.mark.parametrize("step", ["sms_code", "pin"])
@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("/proc/nothing/here", "No such file or directory"),
        ("/root/outbox", "Permission denied"),
        ("tillit.toml/outbox", "Not a directory"),
        ("roots", "Permission denied"),
    ],
)
async def test_an_outbox_that_cannot_be_written_is_found(folder: Path, where: str, why: str, step: str) -> None:
    """With a policy that sends no texts too: the worker does not start."""
    (folder / "roots").mkdir(mode=0o700)
    outbox(folder, where, step)
    told = [finding for finding in await texts.check(load(folder / "tillit.toml")) if finding.name != "texts-outbox"]
    assert [(finding.name, finding.grade) for finding in told] == [("texts-settings", Grade.FAULT)]
    assert f"[texts] outbox_folder: {folder / where} cannot be written to by {USER} ({why})" in told[0].what


async def test_an_outbox_that_can_be_made_is_well_and_is_not_made(folder: Path) -> None:
    outbox(folder, "data/new/outbox", "pin")
    (told,) = await texts.check(load(folder / "tillit.toml"))
    assert told.grade is Grade.OK
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["tillit.db"]


async def test_an_outbox_that_is_open_is_found(folder: Path) -> None:
    (folder / "box").mkdir()
    (folder / "box").chmod(0o755)
    os.chown(folder / "box", USER, USER)
    outbox(folder, "box", "pin")
    (told,) = await texts.check(load(folder / "tillit.toml"))
    assert (told.name, told.cure) == ("texts-settings", (f"chmod 700 {folder / 'box'}",))
    mended(told)
    (told,) = await texts.check(load(folder / "tillit.toml"))
    assert told.grade is Grade.OK
    assert list((folder / "box").iterdir()) == []


async def test_a_gateways_settings_are_looked_at_though_no_policy_sends(folder: Path) -> None:
    (folder / "sms.secret").unlink()
    told = await texts.check(load(folder / "tillit.toml"))
    assert [finding.name for finding in told] == ["texts-settings"]
