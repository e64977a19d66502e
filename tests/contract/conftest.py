"""The two worlds that the contract of `asterisk/` is held in, and a Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from rig.asterisk import Pbx

from ivr.config import Settings
from ivr.store.live import RedisLive
from tests.contract import ari_world
from tests.contract.ari_world import DIALPLAN, World, prompts, scripted
from tests.contract.desk_kit import House, house_in, settings_of
from tests.contract.live_server import Server
from tests.unit.cli_kit import typed
from tests.unit.conftest import Either, either, postgresql
from tests.unit.database_kit import settings_in

__all__ = ["either", "postgresql"]


@pytest.fixture(scope="session")
def pbx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pbx]:
    with Pbx(
        dialplan=(DIALPLAN,), prompts={"en": prompts(tmp_path_factory.mktemp("prompts"))}, name="contract"
    ) as made:
        yield made


@pytest.fixture(params=["scripted", pytest.param("real", marks=pytest.mark.servers)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A worker on the scripted server, and on a real Asterisk."""
    if request.param == "scripted":
        async with scripted() as made:
            yield made
    else:
        async with ari_world.live(request.getfixturevalue("pbx")) as made:
            yield made


@pytest.fixture
async def stub() -> AsyncIterator[World]:
    """A worker on the scripted server alone, for what a real one cannot be made to do."""
    async with scripted() as made:
        yield made


@pytest.fixture
def server() -> Iterator[Server]:
    """A Redis of this test alone."""
    with Server() as running:
        yield running


@pytest.fixture
async def live(server: Server) -> AsyncIterator[RedisLive]:
    """A worker's way to it."""
    opened = await RedisLive.open(server.settings())
    yield opened
    await opened.close()


@pytest.fixture
def installed(server: Server, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A new system on this Redis: commands that are typed find it. Nobody has logged in."""
    settings = server.settings()
    monkeypatch.chdir(server.folder)
    monkeypatch.delenv("TILLIT_CONFIG", raising=False)
    assert typed("init").code == 0
    return settings


@pytest.fixture
def sqlite(tmp_path: Path) -> Either:
    """Makes the settings of a system on SQLite alone, for what does not depend on the database."""
    return lambda seconds=5.0: settings_in(tmp_path, f"[database]\nrequest_seconds = {seconds}\n")


@pytest.fixture
async def house(either: Either, server: Server) -> AsyncIterator[House]:
    """A desk without its pages, on either database."""
    async with house_in(settings_of(either(), server)) as made:
        yield made
