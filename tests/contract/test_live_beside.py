"""A mark beside a conversation that goes on, on a real Redis: placed in one step, and by nothing that was known before it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from ivr.call.mark import Mark
from ivr.call.outcome import Status
from ivr.call.ports import Attempt, Granted
from ivr.errors import StoreError
from ivr.store.live import RedisLive
from tests.contract.live_server import Server, placed, round_of

pytestmark = pytest.mark.servers

CALL = "1712.5"
ANNA = Attempt("main:anna", "number", f"node:{CALL}")


def mark(level: int = 1, *, subject: str = "ref-anna", seconds: int = 600, nonce: str = "n") -> Mark:
    return Mark("node", CALL, subject, level, ("totp",), "app", int(time.time()) + seconds, nonce)


async def test_of_a_caller_whom_nobody_verifies_it_is_placed_and_ends(live: RedisLive, server: Server) -> None:
    one = mark()
    assert await live.place_beside(one, ANNA)
    assert await live.mark("node", CALL) == one
    server.pass_time(598)
    assert await live.mark("node", CALL) is not None
    server.pass_time(5)
    assert await live.mark("node", CALL) is None


async def test_desks_are_told(live: RedisLive, server: Server) -> None:
    with server.client.pubsub() as heard:
        heard.psubscribe("*")
        assert heard.get_message(timeout=5)
        assert await live.place_beside(mark(), ANNA)
        told = heard.get_message(timeout=5)
    assert told and CALL in str(told["data"])


async def test_whoever_is_being_verified_has_none_until_that_has_ended(live: RedisLive) -> None:
    progress = round_of("node", CALL)
    await live.begin(progress)
    assert not await live.place_beside(mark(), ANNA)
    assert await live.mark("node", CALL) is None
    await live.note(replace(progress, status=Status.REFUSED.value))
    assert await live.place_beside(mark(), ANNA)


@pytest.mark.parametrize(
    ("stands", "comes", "free"),
    [
        (("ref-anna", 3), 1, False),
        (("ref-anna", 1), 3, True),
        (("ref-anna", 1), 1, True),
        (("ref-bo", 1), 3, False),
    ],
    ids=["a higher one", "a lower one", "one as high", "another customer's"],
)
async def test_a_mark_that_stands(live: RedisLive, stands: tuple[str, int], comes: int, free: bool) -> None:
    subject, level = stands
    await placed(live, mark(level, subject=subject, nonce="old"))
    assert await live.place_beside(mark(comes), ANNA) is free
    left = await live.mark("node", CALL)
    assert left is not None and left.nonce == ("n" if free else "old")


async def test_what_stands_and_is_no_mark_is_left(live: RedisLive, server: Server) -> None:
    await placed(live, mark())
    (key,) = [key for key in server.client.scan_iter("*") if CALL in str(key) and "mark" in str(key)]
    server.client.set(key, "nothing of the kind")
    assert not await live.place_beside(mark(3), ANNA)


async def test_what_has_expired_is_none(live: RedisLive) -> None:
    with pytest.raises(StoreError, match="expired already"):
        await live.place_beside(mark(seconds=-5), ANNA)
    assert await live.mark("node", CALL) is None


async def test_of_two_at_once_the_higher_one_is_there(live: RedisLive) -> None:
    for _ in range(20):
        await asyncio.gather(live.place_beside(mark(1), ANNA), live.place_beside(mark(3), ANNA))
        left = await live.mark("node", CALL)
        assert left is not None and left.level == 3


async def test_whoever_is_marked_begins_anew_to_count(live: RedisLive) -> None:
    while isinstance(await live.attempt(ANNA), Granted):
        pass
    assert await live.standing(ANNA) is not None
    other = replace(ANNA, number=None)
    assert await live.place_beside(mark(), other)
    assert await live.standing(replace(other, call="node:another")) is None
