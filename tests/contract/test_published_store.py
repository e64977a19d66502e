"""Digits for the published number in a real Redis: one use, for minutes, few tries, and nothing that tells them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from ivr.call.ports.published import Elsewhere, Taken
from ivr.call.proof import Proof, Stage, Way
from ivr.config import Limits
from ivr.errors import StoreError
from ivr.store.news import News
from ivr.store.pages import Kept
from ivr.store.published import WAIT, RedisPublished
from tests.contract.ari_log import Log
from tests.contract.live_server import Server
from tests.contract.page_kit import DIGITS, Both, proof

pytestmark = pytest.mark.servers

MAC, OTHER, THIRD = "a1" * 32, "b2" * 32, "c3" * 32
MINE, THEIRS = "0f", "1e"


@dataclass
class Here:
    both: Both
    store: RedisPublished
    log: Log

    async def said(
        self, mac: str = MAC, *, endpoint: str = "PJSIP/agda", seconds: int = 300, channel: str = "1712.5",
        number: str | None = None,
    ) -> Proof:  # fmt: skip
        """A proof whose digits count."""
        one = replace(proof(way=Way.SPOKEN, subject="", seconds=seconds, channel=channel), endpoint=endpoint)
        assert await self.both.pages.open(one, digits=DIGITS) == Kept()
        assert await self.store.keep(mac, one.id, seconds, number)
        assert await self.both.pages.stage(one.id, Stage.SENT)
        return one

    async def take(
        self, mac: str = MAC, number: str | None = MINE, node: str = "node", channel: str = "1712.9"
    ) -> object:
        return await self.store.take(mac, number, node, channel)


@pytest.fixture
async def here(server: Server) -> AsyncIterator[Here]:
    both, log = Both(server), Log()
    limits = Limits(published_per_hour=6, published_number_per_hour=3)
    yield Here(both, RedisPublished(both.links[0], both.prefix, limits, log.logger), log)
    await both.close()


async def test_the_proof_goes_on_in_the_new_call(here: Here, server: Server) -> None:
    one = await here.said(seconds=60)
    told: list[str] = []
    came = asyncio.Event()
    async with News(server.settings(), told=lambda news: told.append(news.proof), came=came.set, log=Log().logger):
        await came.wait()
        assert await here.take() == Taken("PJSIP/agda")
        async with asyncio.timeout(10):
            while one.id not in told:
                await asyncio.sleep(0.01)
    now = await here.both.pages.of_call("node", "1712.9")
    assert now is not None
    assert time.time() + WAIT - 10 < now.until <= time.time() + WAIT, "the two have time to be joined"
    assert now == replace(one, channel="1712.9", stage=Stage.OPENED, until=now.until)
    assert await here.both.pages.due() == []
    server.pass_time(61)
    assert await here.both.pages.due() == []
    server.pass_time(WAIT)
    (late,) = await here.both.pages.due()
    assert (late.id, late.stage, late.channel) == (one.id, Stage.EXPIRED, "1712.9")


async def test_once(here: Here) -> None:
    await here.said()
    found = await asyncio.gather(*(here.take(channel=f"1.{n}", number=str(n)) for n in range(6)))
    assert [one for one in found if one is not None] == [Taken("PJSIP/agda")]


async def test_a_call_that_was_not_sent_on_keys_them_anew(here: Here, server: Server) -> None:
    """Its worker has died behind the right digits, or the answer was lost: it is asked anew, and nothing is counted."""
    one = await here.said(seconds=60)
    assert await here.take() == Taken("PJSIP/agda")
    assert await here.take(number=THEIRS, channel="1712.10") is None, "another call"
    assert await here.take(number=THEIRS, node="other") is None, "of that name at another Asterisk"
    # behind the end that the proof had until then
    server.pass_time(61)
    for _ in range(3):
        assert await here.take() == Taken("PJSIP/agda")
    now = await here.both.pages.of_call("node", "1712.9")
    assert now is not None and (now.id, now.stage) == (one.id, Stage.OPENED)
    assert here.log.of("published.number_closed") == []
    server.pass_time(WAIT + 1)
    assert await here.take() is None, "as long as the proof waits"


async def test_what_has_ended_is_not_taken_again_by_its_own_call(here: Here) -> None:
    one = await here.said()
    assert await here.take() == Taken("PJSIP/agda")
    assert await here.both.pages.end(one.id, Stage.CONFIRMED)
    assert await here.take() is None


async def test_a_proof_that_has_ended_or_that_nobody_has_said_leads_nowhere(here: Here, server: Server) -> None:
    one = await here.said()
    assert await here.both.pages.end(one.id, Stage.EXPIRED)
    assert await here.take() is None
    await here.said(OTHER, seconds=30, channel="2.0")
    server.pass_time(31)
    assert await here.take(OTHER) is None
    assert await here.take(THIRD) is None


async def test_what_the_page_says_opened_is_not_taken_again(here: Here) -> None:
    one = await here.said()
    assert await here.both.pages.stage(one.id, Stage.OPENED)
    assert await here.take() is None


async def test_two_proofs_never_have_the_same_digits(here: Here) -> None:
    one = await here.said()
    assert not await here.store.keep(MAC, "another", 300)
    assert await here.take() == Taken("PJSIP/agda")
    assert not await here.store.keep(MAC, "another", 300), "its call may key them anew"
    assert (await here.both.pages.of(one.id)) is not None


async def test_an_agent_at_another_asterisk(here: Here) -> None:
    """Nothing is used up, digits nor tries: a new call may come to the right one."""
    one = await here.said()
    for _ in range(4):
        assert await here.take(node="other") == Elsewhere()
    now = await here.both.pages.of(one.id)
    assert now is not None and now.stage is Stage.SENT
    assert await here.take() == Taken("PJSIP/agda")
    assert await here.take(channel="1712.10") is None
    assert here.log.of("published.closed") == []


async def test_few_wrong_ones_from_one_number(here: Here, server: Server) -> None:
    await here.said()
    for _ in range(3):
        assert await here.take(OTHER) is None
    assert await here.take() is None, "right, and too late"
    assert await here.store.closed_until() is None, "for this number alone"
    assert [line["limit"] for line in here.log.of("published.number_closed")] == [3]
    assert here.log.of("published.closed") == []
    assert await here.take(number=THEIRS) == Taken("PJSIP/agda"), "not counted, not compared, not consumed"
    for _ in range(3):
        assert await here.take(OTHER, None) is None
    await here.said(THIRD, channel="2.0")
    assert await here.take(THIRD, None) is None, "all that are withheld are one"
    server.pass_time(3600 + 300)
    await here.said(OTHER, channel="3.0")
    assert await here.take(OTHER) == Taken("PJSIP/agda")


async def test_few_wrong_ones_in_all(here: Here) -> None:
    await here.said()
    found = await asyncio.gather(*(here.take(OTHER, f"n{n}", channel=f"1.{n}") for n in range(60)))
    assert set(found) == {None}
    assert await here.take(number=THEIRS) is None
    assert [line["limit"] for line in here.log.of("published.closed")] == [6]
    assert "docs/proof.md" in here.log.of("published.closed")[0]["cure"]


async def test_until_when_it_is_closed(here: Here, server: Server) -> None:
    for count in range(5):
        assert await here.take(OTHER, f"n{count}") is None
    assert await here.store.closed_until() is None
    at = (await here.both.links[0].ask("TIME"))[0]  # type: ignore[index]
    assert await here.take(OTHER, "n6") is None
    until = await here.store.closed_until()
    assert until is not None and 3590 < until - int(at) <= 3600 + 300 + 10
    await here.said()
    assert await here.take(number=THEIRS) is None
    server.pass_time(until - int(at) + 1)
    assert await here.store.closed_until() is None
    await here.said(OTHER, channel="2.0")
    assert await here.take(OTHER, THEIRS) == Taken("PJSIP/agda")


async def test_those_whose_digits_are_shown_are_told_that_it_is_closed(here: Here, server: Server) -> None:
    one = await here.said()
    told: list[str] = []
    came = asyncio.Event()
    async with News(server.settings(), told=lambda news: told.append(news.proof), came=came.set, log=Log().logger):
        await came.wait()
        for count in range(7):
            assert await here.take(OTHER, f"n{count}") is None
        async with asyncio.timeout(10):
            while one.id not in told:
                await asyncio.sleep(0.01)


async def test_wrong_ones_from_the_telephone_of_whoever_talks_end_the_proof(here: Here) -> None:
    one = await here.said(number=MINE)
    for _ in range(2):
        assert await here.take(OTHER) is None
    assert await here.take(OTHER, THEIRS) is None
    now = await here.both.pages.of(one.id)
    assert now is not None and now.stage is Stage.SENT, "somebody else's are not its own"
    assert await here.take(OTHER) is None
    assert await here.both.pages.due() == [replace(one, stage=Stage.WRONG)]
    assert await here.take(number=THEIRS) is None, "nor are the right ones any more"


async def test_who_has_broken_into_the_page_confirms_none(here: Here, server: Server) -> None:
    """All that the page's own user could write, and the end told as the page tells it."""
    one = await here.said()
    prefix = here.both.prefix
    assert not server.client.exists(f"{prefix}:page:proof:{one.id}")
    for stage in ("opened", "confirmed"):
        server.client.hset(f"{prefix}:page:proof:{one.id}", mapping={"stage": stage, "late": "1"})
        server.client.sadd(f"{prefix}:page:ended", one.id)
        assert await here.both.pages.due() == []
        for found in (await here.both.pages.of(one.id), await here.both.pages.of_call("node", one.channel)):
            assert found == replace(one, stage=Stage.SENT)
    assert await here.take() == Taken("PJSIP/agda")
    now = await here.both.pages.of(one.id)
    assert now is not None and now.stage is Stage.OPENED


async def test_right_ones_are_no_failures(here: Here) -> None:
    for count in range(8):
        mac = f"{count:064x}"
        await here.said(mac, channel=f"5.{count}")
        assert await here.take(mac, channel=f"6.{count}") == Taken("PJSIP/agda")
    assert here.log.of("published.closed") == []


@pytest.mark.parametrize("endpoint", ["PJSIP/a&PJSIP/b", "PJSIP/a,30,U(x)", "agda", "PJSIP/a b", ""])
async def test_only_an_endpoint_is_called(here: Here, endpoint: str) -> None:
    await here.said(endpoint=endpoint)
    with pytest.raises(StoreError):
        await here.take()


async def test_the_page_reaches_none_of_it(here: Here, server: Server) -> None:
    await here.said()
    await here.take(OTHER)
    keys = [str(key) for key in server.client.keys("*")]
    assert any(":published:digits:" in key for key in keys)
    assert not [key for key in keys if "published" in key and ":page:" in key]
