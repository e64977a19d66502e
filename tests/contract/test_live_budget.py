"""What texts may cost in an hour: over all, by country and by prefix; counted once, whoever asks."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from itertools import count

import pytest

from ivr.call.outcome import Budget
from ivr.call.ports import Challenge, Closed, Opened, TooMany, TooSoon
from ivr.numbers import Range
from ivr.store.live import RedisLive
from tests.contract.live_server import LIMITS, RULES, Server

pytestmark = pytest.mark.servers

BUDGETS = """
texts_per_hour = 12
texts_country_per_hour = 8
texts_prefix_per_hour = 5
"""
MINUTE, HOUR = 60, 3600
SWEDEN, ELSEWHERE, NORWAY = Range("SE", "+467017"), Range("SE", "+467399"), Range("NO", "+479012")
_serial = count(1)

Answer = Opened | TooSoon | TooMany | Closed


@pytest.fixture
async def live(server: Server) -> AsyncIterator[RedisLive]:
    opened = await RedisLive.open(server.settings(LIMITS + BUDGETS))
    yield opened
    await opened.close()


async def ask(live: RedisLive, to: Range | None, subject: str = "", parts: int = 1) -> Answer:
    """A text, in a call of its own, to a customer who has had none unless named."""
    name = f"{next(_serial)}"
    mac = hashlib.sha256(name.encode()).hexdigest()
    return await live.open_challenge(Challenge(name, subject or f"s{name}", name, mac), RULES, None, to, parts)


async def asked(live: RedisLive, to: Range | None, times: int) -> list[Answer]:
    return [await ask(live, to) for _ in range(times)]


async def test_a_prefix_is_closed_and_others_are_not(live: RedisLive) -> None:
    assert await asked(live, SWEDEN, 5) == [Opened()] * 5
    assert await asked(live, SWEDEN, 2) == [Opened(Closed(Budget.PREFIX, first)) for first in (True, False)]
    assert await ask(live, ELSEWHERE) == Opened()
    assert await ask(live, NORWAY) == Opened()
    assert await ask(live, None) == Opened()


async def test_a_country_is_closed_and_others_are_not(live: RedisLive) -> None:
    assert await asked(live, SWEDEN, 4) + await asked(live, ELSEWHERE, 4) == [Opened()] * 8
    assert await asked(live, ELSEWHERE, 2) == [Opened(Closed(Budget.COUNTRY, first)) for first in (True, False)]
    assert await ask(live, NORWAY) == Opened()


async def test_over_all_it_is_closed_for_those_who_are_sent_none_too(live: RedisLive) -> None:
    """Else a customer number that nobody has would be told apart."""
    assert (
        await asked(live, SWEDEN, 4) + await asked(live, ELSEWHERE, 4) + await asked(live, NORWAY, 4) == [Opened()] * 12
    )
    assert await ask(live, None) == Closed(Budget.ALL, True)
    assert await ask(live, NORWAY) == Closed(Budget.ALL, False)
    assert await ask(live, None) == Closed(Budget.ALL, False)


async def test_where_no_text_goes_nothing_is_used_up(live: RedisLive) -> None:
    """Whoever keys numbers that nobody has cannot close texts for others, and neither can who may have none."""
    assert await asked(live, None, 50) == [Opened()] * 50
    for _ in range(20):
        await ask(live, SWEDEN, "anna")
    assert await asked(live, SWEDEN, 4) == [Opened()] * 4
    assert isinstance(await ask(live, SWEDEN), Opened)
    # those that were withheld count in no other budget either
    assert [type(answer) for answer in await asked(live, SWEDEN, 30)] == [Opened] * 30
    assert await ask(live, NORWAY) == Opened()


async def test_a_text_of_several_messages_uses_up_as_many(live: RedisLive) -> None:
    assert [await ask(live, SWEDEN, parts=2) for _ in range(3)] == [Opened()] * 3
    assert await ask(live, SWEDEN) == Opened(Closed(Budget.PREFIX, True)), "six of five"
    assert [await ask(live, ELSEWHERE, parts=2)] == [Opened()]
    assert await ask(live, ELSEWHERE) == Opened(Closed(Budget.COUNTRY, True)), "eight of eight"


async def test_a_long_text_is_refused_where_a_short_one_is(live: RedisLive) -> None:
    """Else a customer number that nobody has would be told apart by the length of the text that it would get."""
    for to in (SWEDEN, NORWAY):
        assert await ask(live, to, parts=5) == Opened()
    assert await ask(live, Range("DK", "+452012"), parts=9) == Opened(), "ten of twelve"
    assert await ask(live, None, parts=9) == Closed(Budget.ALL, True)
    assert await ask(live, Range("DK", "+452012"), parts=1) == Closed(Budget.ALL, False)


async def test_the_hour_slides(live: RedisLive, server: Server) -> None:
    for minutes in (0, 20, 20, 15):
        server.pass_time(minutes * MINUTE)
        assert await ask(live, SWEDEN) == Opened()
    assert await ask(live, SWEDEN) == Opened()
    assert await ask(live, SWEDEN) == Opened(Closed(Budget.PREFIX, True))
    # the first of them is an hour and more than five minutes old, the others are not
    server.pass_time(11 * MINUTE)
    assert await ask(live, SWEDEN) == Opened()
    assert await ask(live, SWEDEN) == Opened(Closed(Budget.PREFIX, False))
    server.pass_time(HOUR + 5 * MINUTE)
    assert await asked(live, SWEDEN, 5) == [Opened()] * 5
    assert await ask(live, SWEDEN) == Opened(Closed(Budget.PREFIX, True)), "after an hour it is news again"


async def test_never_more_in_any_hour_than_the_limit(live: RedisLive, server: Server) -> None:
    """Whatever the hour begins with: every text is remembered with its time, and looked back from."""
    now, went = 0, []
    # of the five minutes that the first texts are counted with, so much is over: that is an hour old before they are
    over = int(server.client.time()[0]) % (5 * MINUTE)
    for step in [0, HOUR - over + 1, *(minutes * MINUTE for minutes in [1, 3, 7, 2, 5, 11, 4, 6] * 12)]:
        server.pass_time(step)
        now += step
        for _ in range(3):
            if await ask(live, SWEDEN) == Opened():
                went.append(now)
    assert len(went) > 20
    for at in went:
        assert sum(at - HOUR < other <= at for other in went) <= 5


async def test_every_key_expires(live: RedisLive, server: Server) -> None:
    await asked(live, SWEDEN, 6)
    keys = server.client.keys("tillit:budget:*")
    assert sorted(keys) == ["tillit:budget:all", "tillit:budget:country:SE", "tillit:budget:prefix:+467017"]
    assert all(0 < server.client.pttl(key) <= (HOUR + 5 * MINUTE) * 1000 for key in keys)
    server.pass_time(HOUR + 6 * MINUTE)
    assert server.client.keys("tillit:budget:*") == []


async def test_fifty_at_once_by_three_workers_and_exactly_the_limit_goes(server: Server) -> None:
    settings = server.settings(LIMITS + BUDGETS)
    workers = [await RedisLive.open(settings) for _ in range(3)]
    answers = await asyncio.gather(*(ask(workers[n % 3], SWEDEN) for n in range(50)))
    assert answers.count(Opened()) == 5
    assert answers.count(Opened(Closed(Budget.PREFIX, True))) == 1
    assert answers.count(Opened(Closed(Budget.PREFIX, False))) == 44
    for worker in workers:
        await worker.close()


async def test_a_closed_prefix_still_counts_by_customer(live: RedisLive) -> None:
    """What a caller hears of asking for another text is what others hear."""
    await asked(live, SWEDEN, 5)
    assert await ask(live, SWEDEN, "anna") == Opened(Closed(Budget.PREFIX, True))
    assert isinstance(await ask(live, SWEDEN, "anna"), TooSoon)
