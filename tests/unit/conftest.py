"""The databases that tests run on: SQLite, and a real PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rig.ports import HOST
from rig.postgresql import USER, PostgreSQL

from ivr.config import Settings
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
