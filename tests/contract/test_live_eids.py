"""One order of a person at a time, whichever worker asks, in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ivr.secret import Secret
from ivr.store.eids import Turns
from ivr.store.link import Link
from ivr.vault import Index, Key
from tests.contract.live_server import Server

pytestmark = pytest.mark.servers

WHO, OTHER = Secret("198001012392"), Secret("199001012385")


@pytest.fixture
async def workers(server: Server) -> AsyncIterator[tuple[Turns, Turns]]:
    """Two, with connections of their own and the same hash key."""
    links = [Link.of(server.settings()) for _ in range(2)]
    index = Index(Key("0123abcd", bytes(range(32))))
    first, second = (Turns(link, "tillit", index) for link in links)
    yield first, second
    for link in links:
        await link.close()


async def test_of_two_workers_one_asks_until_it_lets_go(workers: tuple[Turns, Turns]) -> None:
    first, second = workers
    let = await first.take("SE", WHO, 120)
    assert let is not None
    assert await second.take("SE", WHO, 120) is None
    assert await first.take("SE", WHO, 120) is None, "nor another call of the same worker"
    assert await second.take("SE", OTHER, 120) is not None
    assert await second.take("NO", WHO, 120) is not None, "a number of another country is another person"
    await let()
    assert await second.take("SE", WHO, 120) is not None
    await let()
    assert await first.take("SE", WHO, 120) is None, "what is over lets nobody else's go"


async def test_of_many_at_once_one_asks(workers: tuple[Turns, Turns]) -> None:
    taken = await asyncio.gather(*(worker.take("SE", WHO, 120) for worker in workers * 20))
    assert len([let for let in taken if let is not None]) == 1


async def test_of_a_worker_that_dies_it_ends_by_itself(workers: tuple[Turns, Turns], server: Server) -> None:
    first, second = workers
    assert await first.take("SE", WHO, 120) is not None
    server.pass_time(119)
    assert await second.take("SE", WHO, 120) is None
    server.pass_time(2)
    assert await second.take("SE", WHO, 120) is not None


async def test_redis_does_not_tell_who_is_asked(workers: tuple[Turns, Turns], server: Server) -> None:
    await workers[0].take("SE", WHO, 120)
    keys = [str(key) for key in server.client.scan_iter("*turn*")]
    assert keys
    assert not [key for key in keys if WHO.reveal() in f"{key} {server.client.get(key)}"]
