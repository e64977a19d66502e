"""Text messages as files, and what any gateway has around it: a time limit, and a pretence of sending."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ivr.call.ports import Texts
from ivr.config import Settings, load
from ivr.errors import ConfigError, TextError
from ivr.secret import Personal, Secret
from ivr.sms import Limited, Outbox, in_turn, texts
from tests.contract.ari_log import Log
from tests.unit.fakes import VirtualLoop, clock

TO = Personal("+46701234567")


def settings(folder: Path, lines: str = "") -> Settings:
    file = folder / "tillit.toml"
    file.write_text(
        f'[company]\nname = "Acme"\ncountry = "SE"\n[policies.usual]\nsteps = ["pin"]\nlevel = 1\n[texts]\n{lines}\n'
    )
    return load(file)


def gateway(settings: Settings) -> Texts:
    """All that is around the outbox."""
    log = Log().logger
    return texts(settings, log, in_turn(settings, log))


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


# ---------------------------------------------------------------- pretending


class Gateway:
    """Takes so many seconds for a text, and fails where there is an `error`. `taken` counts what came to it."""

    def __init__(self) -> None:
        self.seconds = 0.3
        self.error: Exception | None = None
        self.taken = 0

    async def send(self, to: Personal, text: Secret) -> None:
        self.taken += 1
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error


async def send(texts: Texts) -> None:
    with suppress(TextError, ValueError):
        await texts.send(TO, Secret("123456"))


async def pretended(texts: Texts) -> tuple[float, bool]:
    """How many seconds it took, and whether it failed."""
    began = clock()
    try:
        await texts.pretend()
    except TextError:
        return round(clock() - began, 6), True
    return round(clock() - began, 6), False


def played(scene: Callable[[Gateway, Texts], Awaitable[None]]) -> None:
    """In time that takes none: a gateway, and the same within its limit of ten seconds."""

    async def whole() -> None:
        gateway = Gateway()
        await scene(gateway, Limited(gateway, 10.0))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(whole())


def test_before_the_first_text_there_is_nothing_to_pretend() -> None:
    async def scene(gateway: Gateway, texts: Texts) -> None:
        assert await pretended(texts) == (0.0, False)

    played(scene)


def test_pretending_takes_as_long_as_the_latest_text_and_sends_nothing() -> None:
    async def scene(gateway: Gateway, texts: Texts) -> None:
        for gateway.seconds in (0.3, 2.0, 0.1):
            await send(texts)
            assert await pretended(texts) == (gateway.seconds, False)
        assert gateway.taken == 3

    played(scene)


@pytest.mark.parametrize("error", [TextError("refused"), ValueError("a fault of ours")])
def test_pretending_fails_as_the_latest_text_did_until_the_next_good_one(error: Exception) -> None:
    async def scene(gateway: Gateway, texts: Texts) -> None:
        gateway.error, gateway.seconds = error, 0.7
        await send(texts)
        assert [await pretended(texts) for _ in range(2)] == [(0.7, True)] * 2
        gateway.error, gateway.seconds = None, 0.2
        await send(texts)
        assert await pretended(texts) == (0.2, False)

    played(scene)


def test_pretending_fails_as_late_as_a_gateway_that_hung() -> None:
    async def scene(gateway: Gateway, texts: Texts) -> None:
        gateway.seconds = 1000.0
        await send(texts)
        assert await pretended(texts) == (10.0, True)

    played(scene)


def test_a_failure_is_forgotten_after_a_minute_without_a_text() -> None:
    async def scene(gateway: Gateway, texts: Texts) -> None:
        gateway.error, gateway.seconds = TextError("refused"), 1.0
        await send(texts)
        await asyncio.sleep(58.5)
        # to pretend is not to know: it makes nothing be remembered for longer
        assert await pretended(texts) == (1.0, True)
        await asyncio.sleep(1.0)
        assert await pretended(texts) == (1.0, False)

    played(scene)


def test_a_text_that_was_given_up_says_nothing_about_the_gateway() -> None:
    async def scene(gateway: Gateway, texts: Texts) -> None:
        await send(texts)
        gateway.seconds = 5.0
        sending = asyncio.create_task(texts.send(TO, Secret("123456")))
        await asyncio.sleep(1.0)
        sending.cancel()
        await asyncio.wait([sending])
        assert await pretended(texts) == (0.3, False)

    played(scene)
