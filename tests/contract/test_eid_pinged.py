"""A broker's ping, all the way: npm's oidc-provider posts to the public page, one process takes it, and another one waits."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from rig.certificates import Authority

from ivr.call.ports.eid import Done, Order, Pending
from ivr.eid import Ciba, Pings
from ivr.errors import EidError
from ivr.proving import call_backs
from ivr.secret import Secret
from ivr.sms.incoming import Incoming
from ivr.store.deliveries import RedisDeliveries
from ivr.store.link import Link
from ivr.store.pings import heard
from ivr.store.posted import PostBox
from tests.contract.ari_log import Log, wait_for
from tests.contract.broker_kit import SECRET, RealBroker, broker_settings, forging_broker, real_broker
from tests.contract.eid_kit import WHO, asked, no_canary, shown
from tests.contract.live_server import Server
from tests.contract.page_kit import page

pytestmark = pytest.mark.servers

HIGH = "urn:level:high"


@dataclass
class World:
    """Worker, desk, page and broker, and whoever else is on the internet."""

    broker: RealBroker
    us: Ciba
    url: str
    trusted: ssl.SSLContext
    taken: list[str]
    worker: Log
    desk: Log
    page: Log

    async def begun(self) -> Order:
        order = await self.us.begin(asked())
        assert isinstance(order, Order) and order.ping is not None
        return order

    async def post(self, body: object, token: str, name: str = "broker") -> int:
        """What anybody can do; the status of the answer."""
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self.url}/in/ciba/{name}"
        before = len(self.taken)
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=body, headers=headers, ssl=self.trusted) as answer,
        ):
            status = answer.status
        # and it was read
        await wait_for(lambda: len(self.taken) > before)
        return status


async def rung(order: Order, seconds: float = 0.0) -> bool:
    assert order.ping is not None
    try:
        async with asyncio.timeout(seconds):
            await order.ping()
    except TimeoutError:
        return False
    return True


async def told_behind(world: World, oldest: Order) -> None:
    """The broker says something of the oldest order that waits: whatever was posted before has been told by then."""
    await asyncio.to_thread(world.broker.next, how="approve", acr=HIGH)
    assert await rung(oldest, 10)


@pytest.fixture
async def world(server: Server, tmp_path: Path) -> AsyncIterator[World]:
    authority = Authority(tmp_path)
    ours = authority.issue("127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(ours.chain, ours.key)
    worker, desk, pings, taken = Log(), Log(), Pings(), list[str]()
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(page(server, tls=tls))
        url = house.url.replace("http:", "https:")
        broker = stack.enter_context(real_broker(f"{url}/in/ciba/broker", trusted=authority.file))
        settings = broker_settings(tmp_path, broker.issuer, mode="ping")
        link = Link.of(server.settings())
        stack.push_async_callback(link.close)
        deliveries = await stack.enter_async_context(RedisDeliveries(server.settings(), link, desk.logger))
        box = PostBox(link, house.both.prefix, house.both.key)
        [(way, read)] = call_backs(settings, link).items()

        async def counted(posted: object) -> object:
            try:
                return await read(posted)  # type: ignore[arg-type]
            finally:
                taken.append(way)

        incoming = Incoming(box.take, {}, deliveries, desk.logger, others={way: counted})  # type: ignore[dict-item]
        running = asyncio.create_task(incoming.run())
        stack.callback(running.cancel)
        await stack.enter_async_context(heard(server.settings(), pings.told, worker.logger))
        await wait_for(lambda: server.client.pubsub_numsub("tillit:eid:pinged") == [("tillit:eid:pinged", 1)])
        us = Ciba.of(settings, "broker", worker.logger, pings)
        stack.push_async_callback(us.close)
        trusted = ssl.create_default_context(cafile=str(authority.file))
        yield World(broker, us, url, trusted, taken, worker, desk, house.log)


async def test_a_broker_says_itself_that_somebody_has_identified(world: World) -> None:
    await world.us.reach()
    order, other = await world.begun(), await world.begun()
    assert await world.us.look(order) == Pending("other")
    assert not await rung(order)
    await asyncio.to_thread(world.broker.next, how="approve", acr=HIGH)
    assert await rung(order, 10), "long before it would be looked without it"
    done = await world.us.look(order)
    assert isinstance(done, Done)
    assert (done.who, done.level) == (Secret(WHO), 3)
    assert not await rung(other), "one order's is no other's"
    await asyncio.to_thread(world.broker.next, how="deny")
    assert await rung(other, 10), "a no is told in the same way"
    for log in (world.worker, world.desk, world.page):
        no_canary(shown(None, log, order), SECRET, order.id.reveal())


async def test_of_a_ping_that_is_not_the_brokers_own_nothing_comes(world: World) -> None:
    oldest, order = await world.begun(), await world.begun()
    right = {"auth_req_id": order.id.reveal()}
    forged: list[tuple[object, str, str]] = [
        (right, "0" * 64, "broker"),
        (right, SECRET, "broker"),
        ({"auth_req_id": "of-nobody"}, "0" * 64, "broker"),
        (right, "0" * 64, "another"),
        ({}, "0" * 64, "broker"),
        (["auth_req_id"], "0" * 64, "broker"),
    ]
    for body, token, name in forged:
        assert await world.post(body, token, name) == 204, "it is answered as a true one"
    await told_behind(world, oldest)
    assert not await rung(order)
    assert await world.us.look(order) == Pending("other")
    (told,) = world.desk.of("report.refused")
    assert (told["gateway"], told["why"]) == ("ciba", "form")
    no_canary(shown(None, world.desk) + shown(None, world.page), order.id.reveal())


async def test_the_token_opens_one_order_and_a_result_is_given_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[str] = []
    made = Secret.random_token

    def kept() -> Secret:
        token = made()
        tokens.append(token.reveal())
        return token

    monkeypatch.setattr(Secret, "random_token", kept)
    oldest, order, third, other = [await world.begun() for _ in range(4)]
    assert len(set(tokens)) == 4 and all(len(token) >= 43 for token in tokens)
    # one order's token with another one's name, which whoever has asked for both could know
    await world.post({"auth_req_id": other.id.reveal()}, tokens[1])
    await world.post({"auth_req_id": order.id.reveal()}, tokens[3])
    await told_behind(world, oldest)
    assert not await rung(order) and not await rung(other)
    await asyncio.to_thread(world.broker.next, how="approve", acr=HIGH)
    assert await rung(order, 10)
    assert isinstance(await world.us.look(order), Done)
    await world.post({"auth_req_id": order.id.reveal()}, tokens[1])
    await told_behind(world, third)
    assert not await rung(other)
    with pytest.raises(EidError, match="invalid_grant"):
        await world.us.look(order)


async def test_a_broker_that_does_not_ping_is_told_of(tmp_path: Path) -> None:
    log = Log()
    async with forging_broker() as (broker, _):
        us = Ciba.of(broker_settings(tmp_path, broker.issuer, mode="ping"), "broker", log.logger)
        with pytest.raises(
            EidError, match=r"it does not offer CIBA by ping. Set \[eid.brokers.broker\] mode to one that"
        ):
            await us.reach()
        await us.close()
        broker.document = {"backchannel_token_delivery_modes_supported": ["poll", "ping"]}
        us = Ciba.of(broker_settings(tmp_path, broker.issuer, mode="ping"), "broker", log.logger)
        await us.reach()
        order = await us.begin(asked())
        assert isinstance(order, Order)
        assert order.poll == 5.0, "and where the ping is lost it is looked all the same"
        await us.close()
    assert json.dumps("canary") not in str(log.lines)
