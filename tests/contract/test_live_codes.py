"""Codes that wait for their answer, and marks."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import hmac
import time

import pytest

from ivr.call.mark import Mark
from ivr.call.outcome import Locked, Scope, Verified
from ivr.call.ports import (
    Attempt,
    Challenge,
    Granted,
    Opened,
    Right,
    Spent,
    TooMany,
    TooSoon,
    Wrong,
)
from ivr.errors import StoreError
from ivr.store.live import RedisLive
from tests.contract.live_server import LIMITS, RULES, Server, placed, round_of

pytestmark = pytest.mark.servers

ANNA = Attempt("main:anna", "number", "channel")
CODE = "7391846205"


def challenge(code: str = CODE, *, id: str = "id", subject: str = "main:anna", call: str = "channel") -> Challenge:
    mac = hmac.new(b"key", f"{id}|{subject}|{call}|{code}".encode(), hashlib.sha256).hexdigest()
    return Challenge(id, subject, call, mac)


SENT = challenge()
GUESS = challenge("0000000000")
LINKS = dataclasses.replace(RULES, bar=600)


async def test_the_right_code_is_right_once_and_no_failure(live: RedisLive, server: Server) -> None:
    assert await live.open_challenge(SENT, RULES) == Opened()
    assert await live.try_challenge(SENT, ANNA, RULES) == Right()
    assert await live.try_challenge(SENT, ANNA, RULES) == Spent()
    assert server.client.keys() == ["tillit:texts:main:anna"]


async def test_wrong_codes_are_counted_in_every_scope(live: RedisLive, server: Server) -> None:
    await live.open_challenge(SENT, RULES)
    assert await live.try_challenge(GUESS, ANNA, RULES) == Wrong(2)
    assert await live.try_challenge(GUESS, ANNA, RULES) == Wrong(1)
    for key in ("fail:customer:main:anna", "fail:number:number", "fail:call:channel"):
        assert server.client.hget(f"tillit:{key}", "n") == "2"
    assert server.client.get("tillit:fail:all") == "2"
    assert await live.try_challenge(SENT, ANNA, RULES) == Right()
    assert server.client.hget("tillit:fail:customer:main:anna", "n") == "2"


async def test_after_the_last_try_the_right_code_is_too_late(server: Server) -> None:
    live = await RedisLive.open(server.settings(LIMITS.replace("customer_in_a_row = 3", "customer_in_a_row = 9")))
    await live.open_challenge(SENT, RULES)
    for left in (2, 1, 0):
        assert await live.try_challenge(GUESS, ANNA, RULES) == Wrong(left)
    assert await live.try_challenge(SENT, ANNA, RULES) == Spent()
    assert server.client.hget("tillit:fail:customer:main:anna", "n") == "3"  # what is spent is not counted
    assert server.client.hget("tillit:challenge:main:id", "mac") is None
    server.pass_time(60)
    assert await live.open_challenge(SENT, RULES) == TooMany()
    assert await live.try_challenge(SENT, ANNA, RULES) == Spent()
    await live.close()


async def test_a_denial_bars_links_for_a_while_and_no_codes(live: RedisLive, server: Server) -> None:
    assert not await live.barred("main:anna")
    await live.bar("main:anna", 600)
    assert await live.barred("main:anna") and not await live.barred("main:bo")
    assert await live.open_challenge(SENT, LINKS) == TooMany()
    assert await live.open_challenge(challenge(id="bo", subject="main:bo"), LINKS) == Opened()
    assert await live.open_challenge(SENT, RULES) == Opened()
    server.pass_time(601)
    assert await live.open_challenge(challenge(id="later"), LINKS) == Opened()


async def test_a_lock_comes_first_and_evaluates_nothing(live: RedisLive, server: Server) -> None:
    await live.open_challenge(SENT, RULES)
    for _ in range(3):
        assert await live.attempt(ANNA) == Granted()
    answer = await live.try_challenge(SENT, ANNA, RULES)
    assert isinstance(answer, Locked)
    assert answer.scope is Scope.CUSTOMER
    assert server.client.hget("tillit:challenge:main:id", "tries") is None
    await live.unlock("main:anna")
    assert await live.try_challenge(SENT, ANNA, RULES) == Right()


async def test_the_right_code_at_the_last_try_leaves_no_lock(live: RedisLive) -> None:
    await live.open_challenge(SENT, RULES)
    for _ in range(2):
        await live.try_challenge(GUESS, ANNA, RULES)
    assert await live.try_challenge(SENT, ANNA, RULES) == Right()
    assert await live.standing(ANNA) is None


async def test_a_code_has_a_life(live: RedisLive, server: Server) -> None:
    await live.open_challenge(SENT, RULES)
    server.pass_time(299)
    assert await live.try_challenge(GUESS, ANNA, RULES) == Wrong(2)
    server.pass_time(1)
    assert await live.try_challenge(SENT, ANNA, RULES) == Spent()
    assert server.client.hget("tillit:challenge:main:id", "mac") is None
    assert server.client.hget("tillit:fail:customer:main:anna", "n") == "1"


async def test_a_code_counts_for_its_own_subject_call_and_challenge(live: RedisLive) -> None:
    await live.open_challenge(SENT, RULES)
    for other in (
        dataclasses.replace(SENT, subject="main:bo"),
        dataclasses.replace(SENT, call="another"),
        dataclasses.replace(SENT, id="another"),
    ):
        assert await live.try_challenge(other, ANNA, RULES) == Spent()
    assert await live.open_challenge(dataclasses.replace(SENT, subject="main:bo"), RULES) == TooMany()
    assert await live.try_challenge(SENT, ANNA, RULES) == Right()


async def test_a_new_text_replaces_the_code_and_resets_no_count(live: RedisLive, server: Server) -> None:
    await live.open_challenge(SENT, RULES)
    assert await live.try_challenge(GUESS, ANNA, RULES) == Wrong(2)
    server.pass_time(200)
    newer = challenge("1111111111")
    assert await live.open_challenge(newer, RULES) == Opened()
    assert await live.try_challenge(SENT, ANNA, RULES) == Wrong(1)
    server.pass_time(200)  # the life began anew with the text
    assert await live.try_challenge(newer, ANNA, RULES) == Right()


async def test_waiting_until_a_code_expires_gives_no_tries(live: RedisLive, server: Server) -> None:
    await live.open_challenge(SENT, RULES)
    assert await live.try_challenge(GUESS, ANNA, RULES) == Wrong(2)
    server.pass_time(3600)
    assert await live.open_challenge(SENT, RULES) == Opened()
    assert await live.try_challenge(GUESS, ANNA, RULES) == Wrong(1)


async def test_texts_to_a_subject_have_a_distance_over_all_calls(live: RedisLive, server: Server) -> None:
    await live.open_challenge(SENT, RULES)
    other = challenge(id="other", call="another")
    assert await live.open_challenge(other, RULES) in (TooSoon(60), TooSoon(59))
    server.pass_time(50)
    assert await live.open_challenge(other, RULES) in (TooSoon(10), TooSoon(9))
    assert await live.open_challenge(challenge(id="bo", subject="main:bo"), RULES) == Opened()
    server.pass_time(10)
    assert await live.open_challenge(other, RULES) == Opened()
    assert await live.try_challenge(SENT, ANNA, RULES) == Right()  # what was refused replaced nothing


async def test_texts_in_a_call_are_counted(live: RedisLive, server: Server) -> None:
    for _ in range(3):
        assert await live.open_challenge(SENT, RULES) == Opened()
        server.pass_time(60)
    assert await live.open_challenge(SENT, RULES) == TooMany()
    assert await live.open_challenge(challenge(id="other"), RULES) == Opened()


async def test_texts_in_an_hour_are_counted_in_a_sliding_hour(live: RedisLive, server: Server) -> None:
    for n in range(6):
        assert await live.open_challenge(challenge(id=f"id-{n}"), RULES) == Opened()
        server.pass_time(300)
    assert await live.open_challenge(challenge(id="id-6"), RULES) == TooMany()
    server.pass_time(1800)  # the first is an hour old, the second is not
    assert await live.open_challenge(challenge(id="id-6"), RULES) == Opened()
    server.pass_time(60)
    assert await live.open_challenge(challenge(id="id-7"), RULES) == TooMany()


async def test_the_right_code_a_hundred_times_at_once_is_right_once(server: Server) -> None:
    workers = [await RedisLive.open(server.settings()) for _ in range(4)]
    await workers[0].open_challenge(SENT, RULES)
    answers = await asyncio.gather(*(workers[n % 4].try_challenge(SENT, ANNA, RULES) for n in range(100)))
    assert answers.count(Right()) == 1
    assert answers.count(Spent()) == 99
    await asyncio.gather(*(worker.close() for worker in workers))


async def test_a_hundred_guesses_at_once_and_three_are_evaluated(server: Server) -> None:
    text = LIMITS.replace("customer_in_a_row = 3", "customer_in_a_row = 100").replace(
        "customer_most = 10", "customer_most = 100"
    )
    workers = [await RedisLive.open(server.settings(text)) for _ in range(4)]
    await workers[0].open_challenge(SENT, RULES)
    answers = await asyncio.gather(
        *(
            workers[n % 4].try_challenge(challenge(f"{n:010}"), Attempt("main:anna", None, "channel"), RULES)
            for n in range(100)
        )
    )
    assert sorted(answer.left for answer in answers if isinstance(answer, Wrong)) == [0, 1, 2]
    assert answers.count(Spent()) == 97
    await asyncio.gather(*(worker.close() for worker in workers))


async def test_a_hundred_guesses_over_many_challenges_stop_at_the_customers_limit(
    live: RedisLive, server: Server
) -> None:
    rules = dataclasses.replace(RULES, sends_per_hour=30)
    for n in range(10):
        assert await live.open_challenge(challenge(id=f"id-{n}", call=f"call-{n}"), rules) == Opened()
        server.pass_time(60)
    last = challenge("0000000000", id="id-9", call="call-9")
    guesses = [challenge("0000000000", id=f"id-{n % 5 + 5}", call=f"call-{n % 5 + 5}") for n in range(100)]
    answers = await asyncio.gather(
        *(live.try_challenge(guess, Attempt("main:anna", None, guess.call), rules) for guess in [*guesses, last])
    )
    assert sum(isinstance(answer, Wrong) for answer in answers) == 3
    assert sum(isinstance(answer, Locked | Spent) for answer in answers) == 98


async def test_no_code_stands_in_a_dump_and_no_key_stays(live: RedisLive, server: Server) -> None:
    await live.open_challenge(SENT, RULES)
    await live.try_challenge(GUESS, ANNA, RULES)
    await placed(live, mark())
    for key in server.client.scan_iter():
        assert 0 < server.client.ttl(key) <= 90 * 24 * 3600, key
    server.client.save()
    dump = (server.folder / "dump.rdb").read_bytes()
    assert b"tillit:challenge:main:id" in dump
    assert CODE.encode() not in dump
    assert b"0000000000" not in dump


# ---------------------------------------------------------------- marks


def mark(*, expires: int | None = None, node: str = "node", channel: str = "1712.5") -> Mark:
    until = int(time.time()) + 1800 if expires is None else expires
    return Mark(node, channel, "ref-1", 2, ("pin", "sms_code"), "usual", until, "nonce-1")


async def test_a_mark_comes_back_as_it_was_placed(live: RedisLive, server: Server) -> None:
    written = mark()
    await placed(live, written)
    assert await live.mark("node", "1712.5") == written
    assert abs(server.client.pttl("tillit:mark:node:1712.5") / 1000 - 1800) < 2
    assert await live.mark("node", "1712.6") is None
    assert await live.mark("other", "1712.5") is None


async def test_a_mark_is_dropped(live: RedisLive) -> None:
    await placed(live, mark())
    assert await live.disown("node", "1712.5") is True
    assert await live.disown("node", "1712.5") is False
    assert await live.mark("node", "1712.5") is None


async def test_the_channels_of_a_node_that_have_a_mark(live: RedisLive, server: Server) -> None:
    assert await live.marked("node") == frozenset()
    soon = int(time.time()) + 2
    await placed(live, mark(channel="1712.7", expires=soon))
    await placed(live, mark(channel="1712.5"))
    await placed(live, mark(channel="1712.6"))
    await placed(live, mark(channel="1712.8", node="other", expires=soon))
    await live.disown("node", "1712.6")
    assert await live.marked("node") == {"1712.5", "1712.7"}
    assert abs(server.client.pttl("tillit:marks:node") / 1000 - 1800) < 2
    while time.time() <= soon:
        await asyncio.sleep(0.05)
    assert await live.marked("node") == {"1712.5"}
    assert await live.marked("other") == frozenset()


async def test_a_mark_expires(live: RedisLive, server: Server) -> None:
    await placed(live, mark())
    server.pass_time(1800)
    assert await live.mark("node", "1712.5") is None


async def test_an_expired_mark_cannot_be_placed(live: RedisLive, server: Server) -> None:
    with pytest.raises(StoreError, match="expired"):
        await placed(live, mark(expires=int(time.time())))
    assert server.client.keys("*mark*") == []


async def test_a_clock_that_jumped_marks_nobody_for_longer_than_the_call(live: RedisLive, server: Server) -> None:
    """The worker's: the end of a mark is told by it, and kept by Redis's."""
    won = Verified("usual", "ref-1", 1, ("pin",), 1800)
    day = 24 * 60 * 60

    def by(clock: float) -> Mark:
        return Mark.of(won, node="node", channel="1712.5", now=clock)

    with pytest.raises(StoreError, match="compare the clocks"):
        await placed(live, by(time.time() - day))
    assert server.client.keys("*mark*") == []
    # ahead: it stands for a day too long, if the call does
    progress = await placed(live, by(time.time() + day))
    assert await live.mark("node", "1712.5") is not None
    await live.drop_mark(progress, over=True)
    assert await live.mark("node", "1712.5") is None


async def test_a_colon_in_a_nodes_name_gives_nobody_a_mark_of_another(live: RedisLive) -> None:
    await placed(live, mark(node="02:42:ac", channel="11:1712.5"))
    assert await live.mark("02:42:ac:11", "1712.5") is None
    assert await live.mark("02:42:ac", "11:1712.5") is not None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"node": "node"}', '{"methods": null}'])
async def test_what_is_no_mark_is_an_error_without_its_text(live: RedisLive, server: Server, text: str) -> None:
    server.client.set("tillit:mark:node:1712.5", text, ex=60)
    with pytest.raises(StoreError, match="is none") as caught:
        await live.mark("node", "1712.5")
    assert caught.value.__cause__ is None


async def test_each_method_is_one_round_trip(live: RedisLive, server: Server) -> None:
    progress = round_of()
    await live.begin(progress)
    calls = {
        "standing": lambda: live.standing(ANNA),
        "attempt": lambda: live.attempt(ANNA),
        "give_back": lambda: live.give_back(ANNA),
        "unlock": lambda: live.unlock("main:anna"),
        "open_challenge": lambda: live.open_challenge(SENT, RULES),
        "try_challenge": lambda: live.try_challenge(SENT, ANNA, RULES),
        "place_mark": lambda: live.place_mark(mark(), dataclasses.replace(ANNA, call="node:1712.5"), progress),
        "mark": lambda: live.mark("node", "1712.5"),
        "begin": lambda: live.begin(progress),
        "note": lambda: live.note(progress),
        "recorded": lambda: live.recorded("node", "tillit"),
        "end": lambda: live.end(progress),
        "drop_mark": lambda: live.drop_mark(progress, over=True),
        "take_up": lambda: live.take_up("node", "tillit", "1712.5", gone=False),
        "disown": lambda: live.disown("node", "1712.5"),
    }
    sent = {}
    with server.client.monitor() as monitor:
        for name, call in calls.items():
            before = live.round_trips
            await call()
            # What Redis itself saw, apart from what its scripts ask of it.
            server.client.echo(name)
            seen = 0
            while (command := monitor.next_command())["command"] != f"ECHO {name}":
                seen += command["client_type"] != "lua"
            sent[name] = (live.round_trips - before, seen)
    assert sent == dict.fromkeys(calls, (1, 1))
