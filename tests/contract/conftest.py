"""The two worlds that the contract of `asterisk/` is held in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from rig.asterisk import Pbx

from tests.contract.ari_world import DIALPLAN, World, live, prompts, scripted


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
        async with live(request.getfixturevalue("pbx")) as made:
            yield made


@pytest.fixture
async def stub() -> AsyncIterator[World]:
    """A worker on the scripted server alone, for what a real one cannot be made to do."""
    async with scripted() as made:
        yield made
