"""A worker that cannot start says in one message which file, which field, and what to do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rig.stage import Stage

from ivr.prompts import Prompt

STAGE = {"customers": ()}
COLD = True


@pytest.fixture
def spoiled(stage: Stage) -> Iterator[Stage]:
    """A stage whose files a test may spoil: they are put back afterwards."""
    kept = {file: (file.read_bytes(), file.stat().st_mode) for file in stage.folder.rglob("*") if file.is_file()}
    yield stage
    for file, (content, mode) in kept.items():
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)


def refused(stage: Stage, code: int = 2) -> str:
    """What `run` says, having ended with this code and without a traceback."""
    done: subprocess.CompletedProcess[str] = stage.attempt("run")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def write(stage: Stage, name: str, text: str) -> None:
    (stage.folder / name).write_text(text)


@pytest.mark.parametrize(
    ("settings", "place", "cure"),
    [
        ({"asterisk": {"username": "nobody"}}, "[asterisk] username", "ari.conf"),
        ({"asterisk": {"password_file": "missing"}}, "[asterisk] password_file", "mode 0600"),
        ({"company": {"language": "xx"}}, "[company] language", "scripts/prompts"),
        ({"company": {"country": "Sweden"}}, "[company] country", "ISO 3166"),
        ({"policies.main": {"steps": []}}, "[policies.main] steps: is empty", "in their order"),
        ({"policies.main": {"steps": ["pin", "fax"]}}, "[policies.main] steps", "pin, sms_code"),
        ({"policies.main": {"steps": ["pin"], "level": 2}}, "[policies.main] level", "Write 1"),
        ({"policies.bridge": {"agents": []}}, "[policies.bridge]", "agents names nobody"),
        ({"keypad": {"frist_seconds": 3}}, "[keypad] frist_seconds: there is no such setting", "mean first_seconds?"),
        ({"company": {"slogan": "x"}}, "[company] slogan: there is no such setting", "Here belong: name, country"),
        ({"company": {"country": "XX"}}, "[company] country", "The United Kingdom is GB"),
        ({"policies.main": {"steps": ["pin", "pin"]}}, "[policies.main] steps", "Name each once"),
        ({"policies.bridge": {"agents": ["bad agent"]}}, "[policies.bridge] agents", "endpoints such as"),
        ({"database": {"url": "sqlite:////nowhere/tillit.db"}}, "[database] url", "init"),
        ({"keys": {"master_file": "missing.key"}}, "[keys] master_file", "init"),
    ],
)
def test_wrong_settings(spoiled: Stage, settings: dict[str, dict[str, object]], place: str, cure: str) -> None:
    spoiled.write_config(settings)
    said = refused(spoiled)
    assert str(spoiled.config) in said
    assert place in said
    assert cure in said


def test_init_refuses_a_policy_that_run_would_refuse(spoiled: Stage) -> None:
    spoiled.write_config({"policies.main": {"steps": ["pin"], "level": 2}})
    done = spoiled.attempt("init")
    assert done.returncode == 2
    assert "[policies.main] level" in done.stderr


@pytest.mark.parametrize(
    ("settings", "place", "cure"),
    [
        ({"asterisk": {"url": "http://127.0.0.1:9/ari"}}, "[asterisk] url", "enable http.conf"),
        ({"asterisk": {"url": "https://192.0.2.1/ari", "request_seconds": 0.5}}, "[asterisk] url", "Start Asterisk"),
        ({"redis": {"url": "redis://127.0.0.1:9/0"}}, "[redis] url", "Start Redis"),
        ({"redis": {"url": "rediss://192.0.2.1/0", "request_seconds": 0.5}}, "[redis] url", "Start Redis"),
    ],
)
def test_a_part_that_does_not_answer(
    spoiled: Stage, settings: dict[str, dict[str, object]], place: str, cure: str
) -> None:
    """Not 2: the settings may be right, and systemd tries again."""
    spoiled.write_config(settings)
    said = refused(spoiled, 75)
    assert str(spoiled.config) in said
    assert place in said
    assert cure in said


def test_an_asterisk_that_is_still_starting(spoiled: Stage) -> None:
    """Its HTTP server is up before ARI is: it answers 404."""
    spoiled.write_config({"asterisk": {"url": spoiled.pbx.ari_url.removesuffix("/ari") + "/not-yet"}})
    assert "no answer from" in refused(spoiled, 75)


def _open_key(folder: Path) -> None:
    (folder / "keys" / "master.key").chmod(0o644)


def _cut_key(folder: Path) -> None:
    key = folder / "keys" / "hash.key"
    key.write_text(key.read_text()[:20])


def _same_keys(folder: Path) -> None:
    (folder / "keys" / "hash.key").write_bytes((folder / "keys" / "master.key").read_bytes())


def _open_password(folder: Path) -> None:
    (folder / "ari.password").chmod(0o640)


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (_open_key, "master_file"),
        (_cut_key, "hash_file"),
        (_same_keys, "[keys]"),
        (_open_password, "[asterisk] password_file"),
    ],
)
def test_spoiled_files(spoiled: Stage, spoil: Callable[[Path], None], place: str) -> None:
    secret = (spoiled.folder / "keys" / "master.key").read_text().rpartition(":")[2].strip()
    spoil(spoiled.folder)
    said = refused(spoiled)
    assert place in said
    assert secret not in said


@pytest.mark.parametrize("text", ["[company\n", "company = 1\n", "", "\x00", "[company]\nname = 'x'\ncountry = 'SE'\n"])
def test_what_is_no_settings_file(spoiled: Stage, text: str) -> None:
    spoiled.config.write_text(text)
    assert str(spoiled.config) in refused(spoiled)


def test_a_settings_file_that_is_not_there(spoiled: Stage) -> None:
    spoiled.config.unlink()
    assert "--config" in refused(spoiled)


# ---------------------------------------------------------------- prompts


@pytest.fixture
def half(stage: Stage) -> Iterator[Path]:
    """A folder where Asterisk finds two prompts in Swedish, and no other."""
    folder = stage.pbx.folder / "data" / "sounds" / "sv"
    (folder / "tillit").mkdir(parents=True)
    english = stage.pbx.folder / "data" / "sounds" / "en" / "tillit"
    for name in ("welcome", "ask-pin"):
        shutil.copy(english / f"{name}.wav", folder / "tillit")
    yield folder / "tillit"
    shutil.rmtree(folder)


def test_prompts_that_a_language_lacks_are_named_and_it_is_not_spoken(stage: Stage, half: Path) -> None:
    with stage.worker("half") as worker:
        lines = worker.log()
    (line,) = [line for line in lines if line["event"] == "prompts.incomplete"]
    lacking = {prompt.value for prompt in Prompt} - {"welcome", "ask-pin"}
    assert (line["level"], line["language"], set(line["missing"])) == ("warning", "sv", lacking)
    assert "scripts/prompts" in line["cure"]
    # those that nobody has begun to install are nothing to warn of
    (found,) = [line for line in lines if line["event"] == "prompts.found"]
    assert (found["level"], found["languages"]) == ("info", ["en"])


def test_the_companys_own_language_must_be_whole(spoiled: Stage, half: Path) -> None:
    spoiled.write_config({"company": {"language": "sv"}})
    said = refused(spoiled)
    # the last one has no comma behind it
    *_, last = Prompt
    for prompt in Prompt:
        assert (f" {prompt.value}," in said) == (prompt.value not in ("welcome", "ask-pin", last.value))
    assert "the prompts ask-customer-number, " in said
    assert "scripts/prompts --out" in said

    for file in half.iterdir():
        file.unlink()
    assert "Asterisk lacks all prompts of 'sv'" in refused(spoiled)
