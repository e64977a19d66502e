"""Keys: made once, kept well, never mistaken for each other."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

import pytest

from ivr.config import Settings
from ivr.errors import ConfigError
from ivr.vault import Key, Vault, keyfile, keys
from tests.unit.database_kit import settings_in

MASTER = "tillit-master-v1:0123abcd:" + "A" * 43 + "="
HASH = "tillit-hash-v1:4567cdef:" + "B" * 42 + "A="
AUDIT = "tillit-audit-v1:89ab0123:" + "C" * 42 + "A="


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


def write(settings: Settings, *, master: str | bytes = MASTER, hash_key: str | bytes = HASH) -> tuple[Path, Path]:
    files = settings.path(Path("keys/master.key")), settings.path(Path("keys/hash.key"))
    files[0].parent.mkdir(exist_ok=True)
    third = settings.path(Path("keys/audit.key"))
    for file, text in zip((*files, third), (master, hash_key, AUDIT), strict=True):
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(0o600)
    return files


def refused(settings: Settings) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        keys.load(settings)
    assert "A" * 20 not in str(caught.value)
    assert caught.value.__cause__ is None
    return caught.value


def test_made_keys_are_random_private_and_loadable(settings: Settings) -> None:
    made = keyfile.create(settings)
    assert [file.name for file in made] == ["master.key", "hash.key", "audit.key"]
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in made)
    assert made[0].parent.stat().st_mode & 0o777 == 0o700
    assert sorted(file.name for file in made[0].parent.iterdir()) == ["audit.key", "hash.key", "master.key"]
    both = keys.load(settings)
    assert not both.master.same_as(both.hash)
    assert both.master.id != both.hash.id


def test_making_keys_again_touches_nothing(settings: Settings) -> None:
    files = write(settings)
    assert keyfile.create(settings) == []
    assert [file.read_text() for file in files] == [MASTER, HASH]


def test_only_the_missing_key_is_made(settings: Settings) -> None:
    master, hash_key = write(settings)
    hash_key.unlink()
    assert keys.missing(settings) == [hash_key]
    assert keyfile.create(settings) == [hash_key]
    assert master.read_text() == MASTER


def test_a_key_that_appears_at_the_last_moment_is_not_overwritten(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write(settings)
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    with pytest.raises(ConfigError, match="cannot be made"):
        keyfile.create(settings)
    assert files[0].read_text() == MASTER
    assert sorted(file.name for file in files[0].parent.iterdir()) == ["audit.key", "hash.key", "master.key"]


def test_a_link_to_nowhere_is_no_missing_key(settings: Settings) -> None:
    files = write(settings)
    files[0].unlink()
    files[0].symlink_to("elsewhere")
    assert keys.missing(settings) == []


def test_a_missing_key_says_what_to_type(settings: Settings) -> None:
    error = refused(settings)
    assert error.place.endswith("[keys] master_file")
    assert "master.key is missing" in error.problem
    assert "ari_app.py init" in error.cure


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601])
def test_a_key_that_others_can_get_at_is_refused(settings: Settings, mode: int) -> None:
    file = write(settings)[1]
    file.chmod(mode)
    error = refused(settings)
    assert error.place.endswith("[keys] hash_file")
    assert "can be read by others" in error.problem
    assert error.cure == f"Type: chmod 600 {file}"


def test_a_key_of_another_user_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(settings)[0]
    if os.geteuid() == 0:
        os.chown(file, 4711, 4711)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert "belongs to another user" in refused(settings).problem


def test_a_pipe_in_place_of_a_key_is_refused_without_waiting(settings: Settings) -> None:
    file = write(settings)[0]
    file.unlink()
    os.mkfifo(file, 0o600)
    assert "is no file" in refused(settings).problem


@pytest.mark.parametrize(
    "text",
    [
        "", "rubbish", "A" * 43 + "=",
        MASTER.replace("v1", "v2"),
        MASTER.replace("0123abcd", "0123ABCD"),
        MASTER[:-2] + "=",
        MASTER + "A",
        MASTER.replace("AAA=", "A==="),
        b"\xff\xfe" + MASTER.encode(),
        "tillit-master-v1:0123abcd:" + "A" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_key_is_refused(settings: Settings, text: str | bytes) -> None:
    write(settings, master=text)
    error = refused(settings)
    assert "holds no master key" in error.problem
    assert "back-up" in error.cure


def test_several_master_keys_the_newest_last(settings: Settings) -> None:
    other = MASTER.replace("0123abcd", "fedc0123").replace("AAAA", "EEEE")
    write(settings, master=f"{MASTER}\n{other}\n")
    both = keys.load(settings)
    assert (both.master.id, [key.id for key in both.masters]) == ("fedc0123", ["0123abcd", "fedc0123"])
    write(settings, hash_key=f"{HASH}\n{HASH.replace('4567cdef', 'fedc0123').replace('BBBB', 'EEEE')}")
    assert refused(settings).problem == "holds 2 keys, and of its kind there is but one"


@pytest.mark.parametrize("twice", [MASTER, MASTER.replace("0123abcd", "fedc0123"), MASTER.replace("AAAA", "EEEE")])
def test_a_key_or_an_identifier_that_is_there_twice_is_refused(settings: Settings, twice: str) -> None:
    write(settings, master=f"{MASTER}\n{twice}\n")
    assert "twice" in refused(settings).problem


def test_a_hash_key_that_is_an_old_master_key_is_refused(settings: Settings) -> None:
    same = MASTER.replace("master", "hash").replace("0123abcd", "ffffffff")
    write(settings, master=f"{MASTER}\n{MASTER.replace('0123abcd', 'fedc0123').replace('AAAA', 'EEEE')}", hash_key=same)
    assert "same key" in refused(settings).problem


def test_swapped_keys_are_told_as_swapped(settings: Settings) -> None:
    write(settings, master=HASH, hash_key=MASTER)
    error = refused(settings)
    assert error.problem == "holds the hash key, not the master key"
    assert "swapped" in error.cure


def test_one_key_for_both_is_refused_whatever_it_is_called(settings: Settings) -> None:
    write(settings, hash_key=MASTER.replace("master", "hash").replace("0123abcd", "ffffffff"))
    error = refused(settings)
    assert error.place.endswith("[keys] hash_file")
    assert "same key" in error.problem


def test_keys_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(tmp_path, '[keys]\nmaster_env = "TILLIT_M"\nhash_env = "TILLIT_H"\naudit_env = "TILLIT_A"\n')
    monkeypatch.setenv("TILLIT_M", f"{MASTER}\n")
    monkeypatch.delenv("TILLIT_H", raising=False)
    assert keys.missing(settings) == keyfile.create(settings) == []
    error = refused(settings)
    assert (error.place, error.cure) == (f"{settings.file}: [keys] hash_env", "Set TILLIT_H in the environment")
    monkeypatch.setenv("TILLIT_H", HASH)
    assert keys.load(settings).hash.id == "4567cdef"
    monkeypatch.setenv("TILLIT_A", AUDIT)
    assert keys.load_audit(settings).id == "89ab0123"
    monkeypatch.setenv("TILLIT_A", HASH)
    with pytest.raises(ConfigError, match="audit_env: holds the hash key, not the audit key"):
        keys.load_audit(settings)
    monkeypatch.setenv("TILLIT_H", MASTER)
    assert "swapped" in refused(settings).cure


def test_a_key_shows_its_id_and_nothing_else() -> None:
    key = Key("0123abcd", b"k" * 32)
    assert repr(key) == str(key) == "<Key 0123abcd>"
    for store in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            store(key)
    assert not hasattr(key, "__dict__")
    with pytest.raises(ValueError, match="32 bytes"):
        Key("0123abcd", b"k" * 31)


def test_derived_keys_differ_by_label_and_by_key() -> None:
    one, other = Key("a", b"k" * 32), Key("a", b"l" * 32)
    assert len({one.derive("x"), one.derive("y"), other.derive("x"), b"k" * 32}) == 4
    assert one.check != other.check
    assert one.same_as(Key("b", b"k" * 32))
    assert not one.same_as(other)


def test_a_vault_opens_with_the_keys_of_the_settings(settings: Settings) -> None:
    write(settings)
    vault = Vault.open(settings)
    vault.close()
    assert (vault.keys.master.id, vault.keys.hash.id) == ("0123abcd", "4567cdef")


def test_the_audit_key_is_kept_as_the_others_are(settings: Settings) -> None:
    write(settings)
    file = settings.path(Path("keys/audit.key"))
    assert keys.load_audit(settings).id == "89ab0123"
    file.chmod(0o640)
    with pytest.raises(ConfigError, match=r"audit_file: .*audit.key can be read by others. Type: chmod 600"):
        keys.load_audit(settings)
    file.chmod(0o600)
    file.write_text("rubbish")
    with pytest.raises(ConfigError, match="holds no audit key"):
        keys.load_audit(settings)
    file.unlink()
    with pytest.raises(ConfigError, match="audit.key is missing"):
        keys.load_audit(settings)
