"""The public page's key: made by `init`, kept as keys are, never shown."""

from __future__ import annotations

import pickle
import secrets
from pathlib import Path

import pytest

from ivr.config import Settings, load
from ivr.errors import ConfigError, StoreError
from ivr.secret import Secret
from ivr.store import pagekey
from ivr.store.pagekey import PageKey
from tests.unit.cli_kit import typed

DIGITS = Secret("481650")


def settings_in(folder: Path, text: str = '[page]\nurl = "https://id.example.com"\n') -> Settings:
    file = folder / "tillit.toml"
    file.write_text(f'[company]\nname = "Acme"\ncountry = "SE"\n[policies.usual]\nsteps = ["pin"]\nlevel = 1\n{text}')
    return load(file)


def written(settings: Settings, text: bytes) -> Path:
    file = settings.path(settings.page.key_file)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text)
    file.chmod(0o600)
    return file


def test_init_makes_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TILLIT_CONFIG", raising=False)
    settings = settings_in(tmp_path)
    first = typed("init")
    assert f"Made the page's key {tmp_path}/keys/page.key" in first.out
    file = tmp_path / "keys" / "page.key"
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_bytes()
    assert "page.key" not in typed("init").out
    assert file.read_bytes() == text
    assert PageKey.open(settings).mac("digits", DIGITS) == PageKey.open(settings).mac("digits", DIGITS)


def test_without_a_page_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TILLIT_CONFIG", raising=False)
    settings_in(tmp_path, "")
    assert typed("init").code == 0
    assert not (tmp_path / "keys" / "page.key").exists()


def test_where_it_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TILLIT_CONFIG", raising=False)
    (tmp_path / "file").touch()
    settings_in(tmp_path, '[page]\nurl = "https://id.example.com"\nkey_file = "file/page.key"\n')
    told = typed("init")
    assert told.code == 2
    assert "[page] key_file" in told.err
    assert "cannot be made (File exists)" in told.err


@pytest.mark.parametrize(
    "text",
    [b"x", b"tillit-page-v1:", b"tillit-hash-v1:00000000:" + b"A" * 43 + b"=", pagekey.line() * 2, b"tillit-page-v1:" + b"A" * 42 + b"==\n"],
)  # fmt: skip
def test_what_is_no_key(tmp_path: Path, text: bytes) -> None:
    settings = settings_in(tmp_path)
    written(settings, text)
    with pytest.raises(ConfigError, match="holds no page key"):
        PageKey.open(settings)


def test_one_that_is_missing_or_read_by_others(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with pytest.raises(ConfigError, match=r"is missing\. Type, where the desk is"):
        PageKey.open(settings)
    written(settings, pagekey.line()).chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others"):
        PageKey.open(settings)


def test_what_is_sealed_opens_for_the_same_alone() -> None:
    key = PageKey(secrets.token_bytes(32))
    sealed = key.seal("digits", DIGITS, "proof-1")
    assert key.unseal("digits", sealed, "proof-1") == DIGITS
    assert key.seal("digits", DIGITS, "proof-1") != sealed
    for kind, text, bound, other in (
        ("shown", sealed, "proof-1", key),
        ("digits", sealed, "proof-2", key),
        ("digits", sealed, "proof-1", PageKey(secrets.token_bytes(32))),
        ("digits", sealed[:-8] + "AAAAAAA=", "proof-1", key),
        ("digits", "", "proof-1", key),
        ("digits", "å", "proof-1", key),
    ):
        with pytest.raises(StoreError, match="page key has not sealed"):
            other.unseal(kind, text, bound)


def test_a_hash_is_of_one_use_and_of_what_it_is_bound_to() -> None:
    key = PageKey(secrets.token_bytes(32))
    macs = {
        key.mac("digits", DIGITS, "1"), key.mac("code", DIGITS, "1"), key.mac("digits", DIGITS, "2"), key.mac("digits", DIGITS),
        key.mac("digits", Secret("481651"), "1"), key.mac("digits", Secret("1481650")), key.mac("digits1", DIGITS),
    }  # fmt: skip
    assert len(macs) == 7


def test_it_cannot_be_shown_or_stored() -> None:
    material = secrets.token_bytes(32)
    key = PageKey(material)
    assert repr(key) == str(key) == "<PageKey>"
    with pytest.raises(TypeError, match="cannot be stored"):
        pickle.dumps(key)
    with pytest.raises(ValueError, match="32 bytes"):
        PageKey(b"short")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[page]\nlisten = "127.0.0.1:8445"\nurl = "https://id.example.com"\n', "the password of the page's own user at Redis is not"),
        ('[page]\nurl = "https://id.example.com"\n[desk]\nurl = "https://id.example.com:8443"\n', "have the same host"),
        ('[page.brand]\ncolour = "red;}"\n', "colour: is not of the right form"),
        ('[page]\nlisten = "127.0.0.1:8445"\nredis_password_file = "x"\n', "url is not"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        settings_in(tmp_path, text)
