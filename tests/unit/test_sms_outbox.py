"""Text messages as files, and the time limit around any gateway."""

from __future__ import annotations

import asyncio
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ivr.config import Settings, load
from ivr.errors import ConfigError, TextError
from ivr.secret import Personal, Secret
from ivr.sms import Limited, Outbox, gateway

TO = Personal("+46701234567")


def settings(folder: Path, lines: str = "") -> Settings:
    file = folder / "tillit.toml"
    file.write_text(
        f'[company]\nname = "Acme"\ncountry = "SE"\n[policies.usual]\nsteps = ["pin"]\nlevel = 1\n[texts]\n{lines}\n'
    )
    return load(file)


async def test_a_text_becomes_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    old = os.umask(0)
    try:
        await gateway(settings(tmp_path)).send(TO, Secret("Acme: 123456 – å"))
    finally:
        os.umask(old)
    [file] = (tmp_path / "outbox").iterdir()
    text = json.loads(file.read_text(encoding="utf-8"))
    assert text.pop("at") >= before.isoformat(timespec="milliseconds")
    assert text == {"to": "+46701234567", "text": "Acme: 123456 – å"}
    assert file.suffix == ".json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


async def test_files_sort_as_the_texts_were_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox.of(settings(tmp_path))
    for n in range(10):
        # A clock that stands still, and is then set back
        monkeypatch.setattr(time, "time_ns", lambda n=n: 1_700_000_000_000_000_000 - n // 5)
        await outbox.send(TO, Secret(str(n)))
    files = sorted((tmp_path / "outbox").iterdir())
    assert [json.loads(file.read_text())["text"] for file in files] == [str(n) for n in range(10)]


async def test_many_at_once_all_arrive(tmp_path: Path) -> None:
    outboxes = [Outbox.of(settings(tmp_path)) for _ in range(2)]
    await asyncio.gather(*(outboxes[n % 2].send(TO, Secret(str(n))) for n in range(100)))
    texts = {json.loads(file.read_text())["text"] for file in (tmp_path / "outbox").glob("*.json")}
    assert texts == {str(n) for n in range(100)}
    assert len(list((tmp_path / "outbox").iterdir())) == 100


async def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox.of(settings(tmp_path))

    def full(self: Path, target: Path) -> None:
        assert list((tmp_path / "outbox").glob("*.json")) == []
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(TextError, match="No space left") as caught:
        await outbox.send(TO, Secret("123456"))
    assert caught.value.__cause__ is None
    assert "123456" not in str(caught.value)
    assert list((tmp_path / "outbox").iterdir()) == []


async def test_a_folder_that_vanished_is_a_text_error(tmp_path: Path) -> None:
    texts = gateway(settings(tmp_path))
    (tmp_path / "outbox").rmdir()
    with pytest.raises(TextError, match="No such file") as caught:
        await texts.send(TO, Secret("123456"))
    assert "+46" not in str(caught.value)


def test_a_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outbox").mkdir(mode=0o755)
    (tmp_path / "outbox").chmod(0o755)
    with pytest.raises(ConfigError, match="chmod 700") as caught:
        gateway(settings(tmp_path))
    assert caught.value.place == f"{tmp_path / 'tillit.toml'}: [texts] outbox_folder"
    assert list((tmp_path / "outbox").iterdir()) == []


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("")
    with pytest.raises(ConfigError, match="cannot be written to"):
        gateway(settings(tmp_path))


def test_the_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    gateway(settings(tmp_path, 'outbox_folder = "var/texts/out"'))
    assert (tmp_path / "var/texts/out").is_dir()


async def test_a_gateway_that_hangs_is_given_up() -> None:
    class Hanging:
        async def send(self, to: Personal, text: Secret) -> None:
            await asyncio.Event().wait()

    with pytest.raises(TextError, match="in time") as caught:
        await Limited(Hanging(), 0.01).send(TO, Secret("123456"))
    assert caught.value.__cause__ is None
