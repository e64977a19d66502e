"""The commands, typed as an administrator types them: which settings, a new system, texts."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from ivr.cli import newfile
from ivr.config import Settings
from tests.unit.cli_kit import Cli, trail
from tests.unit.database_kit import settings_in

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


# ---------------------------------------------------------------- which settings


def test_without_settings(cli: Cli) -> None:
    ended = cli("audit", "verify")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "--config: there is neither tillit.toml nor config/tillit.toml here. "
        "Name the settings: --config FILE, or TILLIT_CONFIG=FILE\n"
    )


def test_settings_by_option_by_variable_and_in_the_usual_places(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("option", "variable", "config"):
        (tmp_path / name).mkdir()
        settings_in(tmp_path / name)
    assert f"{tmp_path}/config/tillit.db is missing" in cli("audit", "verify").err
    settings_in(tmp_path)
    assert f"{tmp_path}/tillit.db is missing" in cli("audit", "verify").err
    monkeypatch.setenv("TILLIT_CONFIG", "variable/tillit.toml")
    assert "variable/tillit.db is missing" in cli("audit", "verify").err
    assert "option/tillit.db is missing" in cli("--config", "option/tillit.toml", "audit", "verify").err


def test_settings_that_are_wrong(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "tillit.toml").write_text("[company]\n")
    ended = cli("init")
    assert ended.code == 2
    assert "[company] name" in ended.err
    assert "Traceback" not in ended.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tillit.toml"]


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version").out.startswith("tillit ")
    ended = cli("--help")
    assert ended.code == 0
    assert all(command in ended.out for command in ("init", "run", "customer", "audit"))
    assert cli("nonsense").code == 2


# ---------------------------------------------------------------- init


def test_init_makes_what_is_missing_and_says_so(cli: Cli, settings: Settings) -> None:
    ended = cli("init")
    folder = settings.file.parent
    assert ended.out.splitlines() == [
        f"Made the key {folder}/keys/master.key",
        f"Made the key {folder}/keys/hash.key",
        f"Made the key {folder}/keys/audit.key",
        "Keep a copy of the keys in a safe place: without them nobody's data can be read again.",
        f"Made the database {folder}/tillit.db",
    ]
    assert (ended.code, ended.err) == (0, "")
    assert trail(settings) == [("cli", "init", "done")]


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root makes nothing for root")
def test_init_makes_nothing_as_root_that_another_user_must_read(cli: Cli, settings: Settings) -> None:
    os.chown(settings.file, 12345, 12345)
    ended = cli("init")
    assert ended.code == 2
    assert "sudo -u '#12345' venv/bin/python ari_app.py init --config" in ended.err
    assert sorted(file.name for file in settings.file.parent.iterdir()) == [settings.file.name]


def test_init_again_does_nothing(cli: Cli, made: Settings) -> None:
    before = {file: file.read_bytes() for file in made.path(Path("keys")).iterdir()}
    ended = cli("init")
    assert (ended.code, ended.out) == (0, "Nothing to do: the keys and the database are there.\n")
    assert {file: file.read_bytes() for file in made.path(Path("keys")).iterdir()} == before
    assert [action for _, action, _ in trail(made)] == ["init", "customer.add"]


@pytest.mark.parametrize("name", ["master", "hash"])
def test_init_makes_no_new_key_for_customers_of_a_lost_one(cli: Cli, made: Settings, name: str) -> None:
    lost = made.path(Path(f"keys/{name}.key"))
    lost.unlink()
    ended = cli("init")
    assert ended.code == 2
    assert f"{lost} is missing, and the database holds customers" in ended.err
    assert "back-up" in ended.err
    assert not lost.exists()


def test_init_makes_a_new_key_where_nothing_was_encrypted(cli: Cli, settings: Settings) -> None:
    cli("init")
    settings.path(Path("keys/master.key")).unlink()
    assert cli("init").code == 0
    assert cli("customer", "add", "10001", "--name", "A", "--no-pin").code == 0


def test_init_with_another_systems_keys(cli: Cli, made: Settings, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    settings_in(tmp_path / "other")
    assert cli("--config", "other/tillit.toml", "init").code == 0
    for name in ("master.key", "hash.key"):
        (tmp_path / "other/keys" / name).replace(tmp_path / "keys" / name)
    for command in (("init",), ("customer", "show", "10001")):
        ended = cli(*command)
        assert ended.code == 2
        assert "[keys] master_file: the database was made with key" in ended.err


# ---------------------------------------------------------------- texts


def test_a_test_text(cli: Cli, settings: Settings) -> None:
    ended = cli("texts", "test", "070-123 45 67")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("outbox: taken (0.")
    (file,) = (settings.file.parent / "outbox").iterdir()
    text = json.loads(file.read_text())
    assert text["to"] == "+46701234567"
    assert "test" in text["text"] and "701234567" not in ended.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["070"], "is no telephone number"),
        (["+4520123456"], "it is a number of DK, and texts go to SE"),
        (["0900-123 456"], "premium rate"),
        (["0701234567", "--gateway", "twilio"], "--gateway: the settings name outbox"),
    ],
)
def test_a_test_text_that_is_not_sent(cli: Cli, settings: Settings, words: list[str], said: str) -> None:
    ended = cli("texts", "test", *words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


def test_a_test_text_by_a_gateway_that_is_not_set_up(cli: Cli, tmp_path: Path) -> None:
    settings_in(tmp_path, '[texts]\ngateway = "twilio"\n')
    ended = cli("texts", "test", "0701234567")
    assert ended.code == 2
    assert "[texts.twilio] account_sid: is missing" in ended.err


@pytest.mark.parametrize(
    "words",
    [("keys", "backup", "out"), ("audit", "export", "--out", "out"), ("customer", "export", "10001", "--out", "out")],
)
def test_what_could_not_be_finished_does_not_stay(
    cli: Cli, made: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """A full disk: the same command does it when there is room."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(newfile.os, "fsync", full)
        ended = cli(*words)
    assert (ended.code, ended.err) == (2, "out: cannot be written (No space left on device)\n")
    assert not (tmp_path / "out").exists()
    assert cli(*words).code == 0
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
