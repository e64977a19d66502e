"""The public page, its key and its user at Redis, as the doctor looks at them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from ivr.config import Settings
from ivr.doctor import page as doctor
from ivr.doctor.finding import Finding
from tests.contract.live_server import Server
from tests.contract.page_kit import House, page

pytestmark = pytest.mark.servers


@pytest.fixture
async def house(server: Server) -> AsyncIterator[House]:
    async with page(server) as made:
        yield made


def kinds(found: list[Finding]) -> list[str]:
    return [one.name for one in found if one.name != "ok"]


async def test_all_is_well(house: House) -> None:
    found = await doctor.check(house.settings)
    assert kinds(found) == []
    assert len(found) == 2


async def test_without_a_page_there_is_nothing_to_look_at(server: Server) -> None:
    (found,) = await doctor.check(server.settings())
    assert kinds([found]) == []


async def test_a_page_that_is_away(house: House) -> None:
    await house.server.close()
    assert kinds(await doctor.check(house.settings)) == ["page-away"]


async def test_a_key_that_is_not_there(house: House) -> None:
    house.settings.path(house.settings.page.key_file).unlink()
    assert kinds(await doctor.check(house.settings)) == ["page-key"]


async def test_a_user_who_can_do_more(house: House, server: Server) -> None:
    server.client.execute_command("ACL", "SETUSER", "tillit-page", "~tillit:*")
    assert kinds(await doctor.check(house.settings)) == ["page-user"]


async def test_a_user_who_lists_keys(house: House, server: Server) -> None:
    server.client.execute_command("ACL", "SETUSER", "tillit-page", "+randomkey")
    assert kinds(await doctor.check(house.settings)) == ["page-user"]


async def test_a_user_who_is_not_there(house: House, server: Server) -> None:
    server.client.execute_command("ACL", "DELUSER", "tillit-page")
    assert kinds(await doctor.check(house.settings)) == ["page-away", "page-user"]


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [(404, {"Cache-Control": "max-age=60"}, "page-changed"), (200, {}, "page-away"), (421, {}, "page-away")],
)
async def test_something_stands_before_it(house: House, status: int, headers: dict[str, str], kind: str) -> None:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(status=status, headers=headers)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    before = house.settings.page.model_copy(update={"url": f"http://127.0.0.1:{runner.addresses[0][1]}"})
    changed: Settings = house.settings.model_copy(update={"page": before})
    assert kinds(await doctor.check(changed)) == [kind]
    await runner.cleanup()
