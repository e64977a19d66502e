"""How browsers come in at the proxy: how often, and several tabs of one at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.live_server import Server
from tests.contract.proxy_kit import Door, proxied
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers

ENTER = "/.tillit/enter"


@pytest.fixture
async def door(tmp_path: Path, server: Server) -> AsyncIterator[Door]:
    """Nobody has signed in, and strangers are few."""
    settings = settings_in(tmp_path, "[desk.requests]\nstrangers_per_minute = 5\n")
    async with proxied(settings, server, allow_proxies=["127.0.0.1"]) as made:
        yield made


async def entered(door: Door, address: str) -> int:
    """The status of a try at the entrance from there."""
    code = f"?code=main.{'0' * 64}"
    return (await door.ask(ENTER + code, headers={"X-Forwarded-For": address})).status


async def test_the_entrance_is_paced_by_the_network_of_a_connection(door: Door) -> None:
    statuses = [await entered(door, f"2001:db8::{host:x}") for host in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert await entered(door, "2001:db8:0:1::1") == 401
    assert await entered(door, "198.51.100.7") == 401
    assert door.desk.log.of("proxy.paced")
