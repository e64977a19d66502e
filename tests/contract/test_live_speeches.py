"""Which channels speak for us, in Redis: by node, and for a while."""

from __future__ import annotations

import pytest

from ivr.asterisk.outpost import mint
from ivr.store.link import Link
from ivr.store.speeches import Speeches
from tests.contract.live_server import Server

pytestmark = pytest.mark.servers


async def test_they_are_known_as_long_as_they_speak(server: Server) -> None:
    link = Link.of(server.settings())
    try:
        speeches, (one, other) = Speeches(link, "tillit"), (mint("speech"), mint("speech"))
        await speeches.add("02:00", one)
        assert await speeches.has("02:00", one)
        assert not await speeches.has("02:00", other)
        assert not await speeches.has("02:01", one), "ids are one node's"
        await speeches.drop("02:00", one)
        await speeches.drop("02:00", one)
        assert not await speeches.has("02:00", one)
    finally:
        await link.close()


async def test_one_that_nobody_drops_is_forgotten(server: Server) -> None:
    link = Link.of(server.settings())
    try:
        speeches, one = Speeches(link, "tillit"), mint("speech")
        await speeches.add("02:00", one)
        server.pass_time(3599)
        assert await speeches.has("02:00", one)
        server.pass_time(2)
        assert not await speeches.has("02:00", one)
    finally:
        await link.close()
