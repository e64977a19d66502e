"""What callers are asked on the page, in a real Redis: what the worker puts there, and what the page does with it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from ivr.call.ports import Answer, Asking, NotMe
from ivr.errors import StoreError
from ivr.secret import Secret
from ivr.store.callers import Asked, CallerLinks, CallerPage, Over
from ivr.store.link import Link
from ivr.store.opened import new_link
from ivr.store.pagekey import PageKey
from tests.contract.live_server import Server
from tests.contract.page_kit import key_of

pytestmark = pytest.mark.servers

ASKING = Asking("Acme", "+46…01", "sv")
DIGITS = Secret("481650")


@dataclass
class Both:
    worker: CallerLinks
    page: CallerPage
    prefix: str
    key: PageKey

    async def ask(self, id: str = "one", *, seconds: int = 180, answers: int = 3) -> Secret:
        link = new_link()
        await self.worker.ask(id, link, ASKING, seconds=seconds, answers=answers)
        return link


@pytest.fixture
async def both(server: Server) -> AsyncIterator[Both]:
    settings, key = server.settings(), key_of()
    links, prefix = (Link.of(settings), Link.of(settings)), settings.redis.prefix
    yield Both(
        CallerLinks(links[0], prefix, key, clock=lambda: 1_790_000_000.5),
        CallerPage(links[1], prefix, key),
        prefix,
        key,
    )
    for link in links:
        await link.close()


async def test_what_is_keyed_is_passed_on_in_its_order_once(both: Both) -> None:
    link = await both.ask()
    assert await both.page.look(link) == Asked("one", ASKING, 1_790_000_000)
    assert await both.worker.heard("one") is None
    assert await both.page.answer(link, DIGITS) is True
    assert await both.page.answer(link, Secret("000000")) is True
    for digits in (DIGITS, Secret("000000")):
        heard = await both.worker.heard("one")
        assert isinstance(heard, Answer)
        assert (heard.link, heard.digits) == (link, digits)
    assert await both.worker.heard("one") is None


async def test_looking_changes_nothing(both: Both, server: Server) -> None:
    link = await both.ask()
    before = _dump(server)
    for _ in range(3):
        assert isinstance(await both.page.look(link), Asked)
    assert _dump(server) == before


async def test_a_hundred_at_once_are_as_many_as_may_be(both: Both) -> None:
    link = await both.ask(answers=3)
    taken = await asyncio.gather(*(both.page.answer(link, Secret(f"{n:06}")) for n in range(100)))
    assert taken.count(True) == 3 and set(map(str, taken)) == {"True", str(Over())}
    heard = [await both.worker.heard("one") for _ in range(5)]
    assert sum(isinstance(one, Answer) for one in heard) == 3
    assert await both.page.look(link) == Over()


async def test_who_denies_is_heard_once_and_nothing_is_keyed_behind_it(both: Both) -> None:
    link = await both.ask()
    assert await both.page.deny(link) is True
    assert await both.page.deny(link) is True
    assert await both.page.look(link) == Over()
    assert await both.page.answer(link, DIGITS) == Over()
    assert await both.worker.heard("one") == NotMe()
    assert await both.worker.heard("one") is None


async def test_a_new_link_takes_the_place_of_the_one_before_and_gives_no_more_answers(both: Both) -> None:
    first = await both.ask(answers=2)
    assert await both.page.answer(first, DIGITS) is True
    second = await both.ask(answers=2)
    assert await both.page.look(first) is None
    assert await both.page.answer(first, DIGITS) is None
    assert await both.page.answer(second, DIGITS) is True
    assert await both.page.answer(second, DIGITS) == Over()


async def test_what_was_withdrawn_or_has_expired_leads_nowhere(both: Both, server: Server) -> None:
    link = await both.ask()
    assert await both.page.answer(link, DIGITS) is True
    await both.worker.withdraw("one")
    await both.worker.withdraw("one")
    assert await both.page.look(link) is None
    assert await both.worker.heard("one") is None
    assert _dump(server) == {}
    link = await both.ask(seconds=60)
    assert await both.page.answer(link, DIGITS) is True
    server.pass_time(61)
    assert await both.page.look(link) is None
    assert await both.page.deny(link) is None
    assert await both.worker.heard("one") is None


@pytest.mark.parametrize("end", ["", "A" * 21, "A" * 22, "A" * 23, "*", "é" * 22, "A" * 5000])
async def test_a_link_that_nobody_has(both: Both, end: str) -> None:
    await both.ask()
    for answer in (
        await both.page.look(Secret(end)),
        await both.page.answer(Secret(end), DIGITS),
        await both.page.deny(Secret(end)),
    ):
        assert answer is None


async def test_another_calls_answers_are_not_heard(both: Both) -> None:
    link, other = await both.ask("one"), await both.ask("two")
    assert await both.page.answer(other, DIGITS) is True
    assert await both.worker.heard("one") is None
    assert await both.page.deny(link) is True
    assert isinstance(await both.worker.heard("two"), Answer)


async def test_what_the_page_key_has_not_sealed_for_this_call_is_no_answer(both: Both, server: Server) -> None:
    """Not with another key, and not an answer of another call, put into the place of one."""
    await both.ask("one")
    other = key_of().seal("answer", Secret('{"link":"x","digits":"1"}'), "one")
    moved = both.key.seal("answer", Secret('{"link":"x","digits":"1"}'), "two")
    bad = [both.key.seal("answer", Secret(text), "one") for text in ("[]", "{}", "1", "x")]
    for sealed in (other, moved, "", "x", *bad):
        server.client.rpush(f"{both.prefix}:page:caller:one:heard", sealed)
        with pytest.raises(StoreError):
            await both.worker.heard("one")


async def test_a_copy_of_redis_has_neither_link_nor_digits(both: Both, server: Server) -> None:
    """Not even as something that a guess could be compared with: what was spoken is nowhere, what was keyed is encrypted."""
    link = await both.ask()
    digits = Secret(f"{secrets.randbelow(10**6):06}")
    assert await both.page.answer(link, digits) is True
    text = repr(_dump(server))
    assert "caller" in text
    hashed = [hashlib.new(name, digits.reveal().encode()).hexdigest() for name in ("sha1", "sha256")]
    assert not [found for found in (digits.reveal(), link.reveal(), "46…01", "Acme", *hashed) if found in text]


def _dump(server: Server) -> dict[str, object]:
    """All that stands in Redis."""
    read = {
        "string": server.client.get,
        "hash": server.client.hgetall,
        "list": lambda key: server.client.lrange(key, 0, -1),
    }
    return {key: read[server.client.type(key)](key) for key in sorted(server.client.scan_iter())}
