"""How many connections to the CRM one person has, and what becomes of those who wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from ivr.secret import Secret
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, BO
from tests.contract.proxy_kit import Answer, Door, proxied
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers

CUSTOMER = "/api/customers/10001"
HELD = "/assets/held"

Then = Callable[[Door, Secret], Awaitable[None]]


async def is_disabled(door: Door, _: Secret) -> None:
    door.desk.staff.change(ANNA, disabled=True)


async def signs_out(door: Door, session: Secret) -> None:
    assert await door.sessions.end(session)


@asynccontextmanager
async def one_place(tmp_path: Path, server: Server, seconds: int = 30) -> AsyncIterator[tuple[Door, Secret]]:
    """Somebody with a verified caller, who has a connection and no more."""
    async with proxied(settings_in(tmp_path), server, upstream_connections=6, answer_seconds=seconds) as door:
        session = await door.enter()
        await door.desk.call()
        yield door, session


@asynccontextmanager
async def taken(door: Door, path: str) -> AsyncIterator[asyncio.Task[Answer]]:
    """A request that the CRM answers at the end of this; and it has come to the CRM."""
    over, before = asyncio.Event(), len(door.crm.asked)

    async def by_drops(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        while not over.is_set():
            # else it is too slow at some time
            await answer.write(b" ")
            await asyncio.sleep(0.1)
        await answer.write(b'{"id": "10001"}')
        return answer

    door.crm.answers[path] = by_drops
    holding = asyncio.create_task(door.ask(path))
    try:
        async with asyncio.timeout(10):
            while len(door.crm.asked) == before:
                await asyncio.sleep(0.005)
        yield holding
    finally:
        over.set()
        await asyncio.wait([holding])
        del door.crm.answers[path]


@pytest.mark.parametrize("path", [HELD, CUSTOMER])
async def test_one_person_takes_no_more_than_a_part_of_the_connections(
    tmp_path: Path, server: Server, path: str
) -> None:
    async with one_place(tmp_path, server, seconds=2) as (door, _), taken(door, path):
        for second in ("/assets/x", CUSTOMER):
            answer = await door.ask(second)
            assert (answer.status, answer.reason) == (429, "too_many_requests")
        await door.enter(BO)
        assert (await door.ask("/assets/x")).status == 200


async def test_a_place_is_given_back(tmp_path: Path, server: Server) -> None:
    async with one_place(tmp_path, server) as (door, _):
        async with taken(door, HELD) as holding:
            second = asyncio.create_task(door.ask("/assets/x"))
        assert (holding.result().status, (await second).status) == (200, 200)
        for path in ("/assets/x", CUSTOMER, "/assets/x"):
            assert (await door.ask(path)).status == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/assets/x"), ("POST", "/login")])
@pytest.mark.parametrize("then", [is_disabled, signs_out])
async def test_who_has_waited_is_looked_at_again(
    tmp_path: Path, server: Server, method: str, path: str, then: Then
) -> None:
    async with one_place(tmp_path, server) as (door, session):
        async with taken(door, HELD):
            asked = door.desk.staff.asked
            second = asyncio.create_task(door.ask(path, method))
            async with asyncio.timeout(10):
                while door.desk.staff.asked == asked:
                    await asyncio.sleep(0.005)
            # longer than what was read of a person is taken for what is so
            await asyncio.sleep(0.3)
            await then(door, session)
        answer = await second
        assert (answer.status, answer.reason) == (401, "not_signed_in")
        assert [one.raw_path for one in door.crm.asked] == [HELD]


@pytest.mark.parametrize("path", [HELD, CUSTOMER])
async def test_whose_client_has_gone_gives_the_place_back(tmp_path: Path, server: Server, path: str) -> None:
    """Who goes from page to page leaves polls behind, which a CRM answers in half a minute."""
    async with one_place(tmp_path, server) as (door, _):
        over = asyncio.Event()

        async def in_half_a_minute(_: web.BaseRequest) -> web.StreamResponse:
            await over.wait()
            return web.Response()

        door.crm.answers[path] = in_half_a_minute
        async with door.begun("GET", path, b"", 0) as begun:
            async with asyncio.timeout(10):
                while not door.crm.asked:
                    await asyncio.sleep(0.005)
        await begun.writer.wait_closed()
        # and not when the CRM has taken too long
        async with asyncio.timeout(15):
            assert (await door.ask("/assets/x")).status == 200
        assert door.desk.log.of("proxy.failed") == []
        over.set()


async def test_a_client_that_waits_is_waited_for(tmp_path: Path, server: Server) -> None:
    async with one_place(tmp_path, server) as (door, _), taken(door, HELD) as holding:
        # longer than it takes to see that one has gone
        assert await asyncio.wait([holding], timeout=1.5) == (set(), {holding})
    assert holding.result().status == 200
