"""The databases that tests run on, SQLite and a real PostgreSQL; and a system that commands are typed at."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rig.ports import HOST
from rig.postgresql import USER, PostgreSQL

from ivr.config import Settings, load
from tests.unit.cli_kit import Cli, make_system, typed
from tests.unit.database_kit import settings_in

Either = Callable[..., Settings]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One for all tests of a process; each has a database of its own in it."""
    with PostgreSQL() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Either:
    """Makes the settings of a system on the one and on the other; `seconds` is `[database] request_seconds`."""

    def made(seconds: float = 5.0) -> Settings:
        table = f"[database]\nrequest_seconds = {seconds}\n"
        if request.param == "postgresql":
            server: PostgreSQL = request.getfixturevalue("postgresql")
            password = tmp_path / "password"
            password.touch(mode=0o600)
            password.write_text(server.password)
            name = f"test_{secrets.token_hex(6)}"
            table += (
                f'url = "postgresql://{HOST}:{server.port}/{name}"\nusername = "{USER}"\npassword_file = "password"\n'
            )
        return settings_in(tmp_path, table)

    return made


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Types a command in a folder that has a tillit.toml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TILLIT_CONFIG", raising=False)
    return typed


@pytest.fixture(scope="session")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new system with one customer, Anna: made once, since making it takes longer than most tests."""
    folder = tmp_path_factory.mktemp("pattern")
    settings_in(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("TILLIT_CONFIG", raising=False)
        make_system()
    return folder


@pytest.fixture
def made(cli: Cli, pattern: Path, tmp_path: Path) -> Settings:
    """A copy of that system, for one test."""
    shutil.copytree(pattern, tmp_path, dirs_exist_ok=True)
    return load(tmp_path / "tillit.toml")
