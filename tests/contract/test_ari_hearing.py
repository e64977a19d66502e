"""What the desk asks of Asterisk to hear a person's keys in a conversation, and what it makes of them; on a server that speaks ARI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

import ivr.asterisk.hearing as hearing_module
from ivr.asterisk.hearing import Hearer
from ivr.errors import Unavailable
from ivr.secret import Secret
from tests.contract.ari_log import wait_for
from tests.contract.ari_server import AriServer, Never, Status
from tests.contract.test_ari_speaking import APP, NODE, PERSON, SNOOP, World, brisk

__all__ = ["brisk"]

SUBSCRIPTION = f"applications/{APP}/subscription"


class Booth:
    """A hearer with its application on that server."""

    def __init__(self, world: World, *, between: float = 8.0) -> None:
        self.world = world
        self.server = world.server
        self.hearer = Hearer({NODE: world.outpost}, world.ours, between=between)

    def entries(self, count: int = 4) -> AsyncGenerator[Secret]:
        return self.hearer.entries(NODE, PERSON, count)

    async def press(self, keys: str, channel: str = PERSON) -> None:
        for key in keys:
            await self.server.emit({"type": "ChannelDtmfReceived", "channel": {"id": channel}, "digit": key})

    async def first(self, *keys: str, channel: str = PERSON) -> str:
        """The first entry of what is pressed as soon as somebody listens."""
        async with aclosing(self.entries()) as entries:
            entry = asyncio.ensure_future(anext(entries))
            await self.server.until_asked("POST", SUBSCRIPTION)
            await self.press("".join(keys), channel)
            async with asyncio.timeout(5):
                return (await entry).reveal()

    def left(self) -> bool:
        """Whether nobody listens, and nothing is left."""
        made = [asked.fields["snoopId"] for asked in self.server.requests("POST", SNOOP)]
        let_go = self.server.requests("DELETE", SUBSCRIPTION)
        return (
            not self.world.ours.now
            and set(made) <= set(self.world.pbx.deleted())
            and [asked.fields for asked in let_go] == [{"eventSource": f"channel:{PERSON}"}] * len(made)
        )


@asynccontextmanager
async def opened(**how: float) -> AsyncIterator[Booth]:
    async with AriServer() as server:
        world = World(server)
        async with world.serving():
            yield Booth(world, **how)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing_module, "START_SECONDS", 0.2)


@pytest.fixture
async def booth() -> AsyncIterator[Booth]:
    async with opened() as made:
        yield made


async def test_what_is_asked_of_asterisk(booth: Booth) -> None:
    assert await booth.first("4815") == "4815"
    (snoop,) = booth.server.requests("POST", SNOOP)
    assert snoop.fields == {"spy": "none", "whisper": "out", "app": APP, "snoopId": snoop.fields["snoopId"]}
    (subscribed,) = booth.server.requests("POST", SUBSCRIPTION)
    assert subscribed.fields == {"eventSource": f"channel:{PERSON}"}
    assert booth.server.asked.index(snoop) < booth.server.asked.index(subscribed)
    assert booth.left()


async def test_one_entry_behind_another(booth: Booth) -> None:
    async with aclosing(booth.entries(2)) as entries:
        for number in ("48", "15"):
            entry = asyncio.ensure_future(anext(entries))
            await booth.server.until_asked("POST", SUBSCRIPTION)
            await booth.press(number)
            assert (await entry).reveal() == number
    assert booth.left()


@pytest.mark.parametrize(("keys", "entry"), [("48#1570", "1570"), ("48*1570", "1570"), ("1A5B70", "1570"), ("*" * 9 + "1570", "1570")])  # fmt: skip
async def test_a_slip_is_no_entry(booth: Booth, keys: str, entry: str) -> None:
    assert await booth.first(keys) == entry


async def test_a_pause_begins_anew() -> None:
    async with opened(between=0.05) as booth, aclosing(booth.entries()) as entries:
        entry = asyncio.ensure_future(anext(entries))
        await booth.server.until_asked("POST", SUBSCRIPTION)
        await booth.press("48")
        await asyncio.sleep(0.2)
        await booth.press("1570")
        assert (await entry).reveal() == "1570"


async def test_keys_of_others_are_none(booth: Booth) -> None:
    async with aclosing(booth.entries()) as entries:
        entry = asyncio.ensure_future(anext(entries))
        await booth.server.until_asked("POST", SUBSCRIPTION)
        await booth.press("9999", "pbx-1.2")
        await booth.press("4815")
        assert (await entry).reveal() == "4815"


@pytest.mark.parametrize(("path", "status"), [(SNOOP, 404), (SNOOP, 409), (SUBSCRIPTION, 422), (SUBSCRIPTION, 404)])
async def test_the_call_is_over(booth: Booth, path: str, status: int) -> None:
    booth.server.rule("POST", path, Status(status))
    assert [entry async for entry in booth.entries()] == []
    assert booth.left()


async def test_it_ends_while_keys_are_waited_for(booth: Booth) -> None:
    entry = asyncio.ensure_future(anext(booth.entries(), None))
    await booth.server.until_asked("POST", SUBSCRIPTION)
    await booth.press("48")
    await booth.server.emit({"type": "ChannelDestroyed", "channel": {"id": PERSON}, "cause": 16})
    assert await entry is None
    assert booth.left()


@pytest.mark.parametrize("path", [SNOOP, SUBSCRIPTION])
async def test_asterisk_does_not_do_it(booth: Booth, path: str) -> None:
    booth.server.rule("POST", path, Status(500))
    with pytest.raises(Unavailable):
        await anext(booth.entries())
    assert booth.left()


async def test_asterisk_does_not_answer(booth: Booth) -> None:
    booth.server.rule("POST", SUBSCRIPTION, Never())
    with pytest.raises(Unavailable):
        await anext(booth.entries())
    assert booth.left()


async def test_no_channel_comes(booth: Booth) -> None:
    booth.world.pbx.starts = False
    with pytest.raises(Unavailable, match="has made no channel to listen by"):
        await anext(booth.entries())
    assert booth.left()


async def test_a_node_that_is_none(booth: Booth) -> None:
    with pytest.raises(Unavailable, match="of a node that the settings do not have"):
        await anext(booth.hearer.entries("another", PERSON, 4))


async def test_redis_is_down(booth: Booth) -> None:
    booth.world.ours.down = True
    with pytest.raises(Unavailable):
        await anext(booth.entries())
    assert booth.server.requests("POST", "channels/*") == []


async def test_who_waits_no_more_is_told_nothing(booth: Booth) -> None:
    listening = asyncio.ensure_future(anext(booth.entries()))
    await booth.server.until_asked("POST", SUBSCRIPTION)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await wait_for(booth.left, "its end")


async def test_lost_and_back(booth: Booth) -> None:
    """What a connection before was told of is not told to the next one."""
    entry = asyncio.ensure_future(anext(booth.entries()))
    await booth.server.until_asked("POST", SUBSCRIPTION)
    booth.world.pbx.left = [PERSON]
    booth.server.socket.cut()
    with pytest.raises(Unavailable):
        await entry
    await booth.server.until_asked("DELETE", SUBSCRIPTION)
    await wait_for(lambda: booth.world.outpost.is_connected, "the application again")
    booth.world.pbx.left = []
    assert "digit" not in str(booth.world.log.lines)


async def test_not_connected() -> None:
    async with AriServer() as server:
        booth = Booth(World(server))
        with pytest.raises(Unavailable):
            await anext(booth.entries())
        assert not server.asked
