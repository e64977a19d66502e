"""The proxy before a CRM: what goes through, what is taken out, and what does not go through."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, BO
from tests.contract.proxy_kit import XENIA, Door, proxied, said
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers


@pytest.fixture
async def door(tmp_path: Path, server: Server) -> AsyncIterator[Door]:
    async with proxied(settings_in(tmp_path), server) as made:
        await made.enter()
        yield made


async def test_a_verified_customers_page_goes_through_without_what_the_mark_does_not_cover(door: Door) -> None:
    await door.desk.call()
    answer = await door.ask("/api/customers/10001")
    assert answer.status == 200, answer.body
    assert answer.json == {"id": "10001", "name": "Xenia Ask", "cards": [{"name": "gold"}]}
