"""The counts of failures: who is refused, for how long, and what clears them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import cast

import pytest
from structlog.typing import FilteringBoundLogger

from ivr.call.outcome import Locked, Scope
from ivr.call.ports import Attempt, Granted
from ivr.store.live import RedisLive
from tests.contract.live_server import LIMITS, Server, forgive

pytestmark = pytest.mark.servers

ANNA = Attempt("anna", "number", "channel")
MINUTE = 60


async def fail(live: RedisLive, attempt: Attempt, times: int) -> None:
    for _ in range(times):
        assert await live.attempt(attempt) == Granted()


def about(lock: Granted | Locked | None, scope: Scope, seconds: int) -> bool:
    return (
        isinstance(lock, Locked)
        and lock.scope is scope
        and lock.seconds is not None
        and 0 <= seconds - lock.seconds <= 5
    )


async def test_customer_is_locked_after_the_last_try(live: RedisLive, server: Server) -> None:
    await fail(live, ANNA, 2)
    assert await live.standing(ANNA) is None
    await fail(live, ANNA, 1)
    assert about(await live.standing(ANNA), Scope.CUSTOMER, 15 * MINUTE)
    assert about(await live.attempt(ANNA), Scope.CUSTOMER, 15 * MINUTE)
    assert server.client.hget("tillit:fail:customer:anna", "n") == "3"
    assert server.client.get("tillit:fail:all") == "3"


async def test_customer_is_counted_over_calls_and_numbers(live: RedisLive) -> None:
    for n in range(3):
        assert await live.attempt(Attempt("anna", f"number-{n}", f"channel-{n}")) == Granted()
    assert about(await live.attempt(Attempt("anna", None, "another")), Scope.CUSTOMER, 15 * MINUTE)
    assert await live.attempt(Attempt("bo", None, "another")) == Granted()


async def test_one_try_after_a_lock_and_the_next_is_twice_as_long(live: RedisLive, server: Server) -> None:
    await fail(live, ANNA, 3)
    for minutes in (30, 60, 120):
        server.pass_time(24 * 60 * MINUTE)
        attempt = Attempt("anna", None, f"call-{minutes}")
        assert await live.attempt(attempt) == Granted()
        assert about(await live.attempt(attempt), Scope.CUSTOMER, minutes * MINUTE)


async def test_a_lock_is_never_longer_than_a_day(server: Server) -> None:
    live = await RedisLive.open(server.settings(LIMITS.replace("lock_minutes = 15", "lock_minutes = 1000")))
    await fail(live, Attempt("anna", None, "channel"), 3)
    server.pass_time(24 * 60 * MINUTE)
    attempt = Attempt("anna", None, "another")
    assert await live.attempt(attempt) == Granted()
    assert about(await live.attempt(attempt), Scope.CUSTOMER, 24 * 60 * MINUTE)
    await live.close()


async def test_at_the_most_only_unlock_helps(live: RedisLive, server: Server) -> None:
    for n in range(10):
        assert await live.attempt(Attempt("anna", None, f"call-{n}")) == Granted()
        server.pass_time(24 * 60 * MINUTE)
    assert await live.attempt(ANNA) == Locked(Scope.CUSTOMER, None)
    server.pass_time(80 * 24 * 60 * MINUTE)
    assert await live.standing(ANNA) == Locked(Scope.CUSTOMER, None)
    assert await live.unlock("anna") is True
    assert await live.unlock("anna") is False
    assert await live.attempt(ANNA) == Granted()


async def test_what_is_given_back_was_no_failure(live: RedisLive, server: Server) -> None:
    for _ in range(30):
        assert await live.attempt(ANNA) == Granted()
        await live.give_back(ANNA)
    await live.give_back(ANNA)  # never below nothing
    assert server.client.keys() == []


async def test_giving_back_lifts_the_lock_of_that_try(live: RedisLive) -> None:
    await fail(live, ANNA, 2)
    last = Attempt("anna", "number", "another")
    await fail(live, last, 1)
    await live.give_back(last)
    assert await live.standing(ANNA) is None
    await fail(live, ANNA, 1)
    assert about(await live.attempt(ANNA), Scope.CUSTOMER, 15 * MINUTE)


async def test_giving_back_leaves_the_lock_of_another_try(live: RedisLive) -> None:
    first, second = Attempt("anna", None, "first"), Attempt("anna", None, "second")
    await fail(live, first, 2)
    await fail(live, second, 1)
    await live.give_back(first)
    assert about(await live.standing(first), Scope.CUSTOMER, 15 * MINUTE)


async def test_a_given_back_try_after_a_lock_does_not_double_the_next(live: RedisLive, server: Server) -> None:
    await fail(live, ANNA, 3)
    server.pass_time(15 * MINUTE)
    await fail(live, ANNA, 1)
    await live.give_back(ANNA)
    assert await live.standing(ANNA) is None
    await fail(live, ANNA, 1)
    assert about(await live.standing(ANNA), Scope.CUSTOMER, 30 * MINUTE)


async def test_a_verified_customer_begins_anew(live: RedisLive, server: Server) -> None:
    await fail(live, ANNA, 2)
    await forgive(live, ANNA)
    assert server.client.keys("*customer*") + server.client.keys("*number*") == []
    assert server.client.hget("tillit:fail:call:channel", "n") == "2"  # the call's own failures stay
    await fail(live, ANNA, 2)
    assert await live.standing(ANNA) is None


async def test_number_is_counted_over_customers(live: RedisLive, server: Server) -> None:
    for n in range(5):
        assert await live.attempt(Attempt(f"customer-{n}", "number", f"call-{n}")) == Granted()
    assert about(await live.attempt(ANNA), Scope.NUMBER, 30 * MINUTE)
    assert await live.attempt(Attempt("anna", None, "channel")) == Granted()
    server.pass_time(30 * MINUTE)
    assert await live.attempt(Attempt("bo", "number", "call")) == Granted()
    assert about(await live.attempt(ANNA), Scope.NUMBER, 60 * MINUTE)


async def test_verifying_oneself_does_not_clear_what_was_guessed_at_others(live: RedisLive) -> None:
    for n in range(4):
        assert await live.attempt(Attempt(f"victim-{n}", "number", f"call-{n}")) == Granted()
    await forgive(live, ANNA)
    assert await live.attempt(ANNA) == Granted()
    assert about(await live.attempt(ANNA), Scope.NUMBER, 30 * MINUTE)
    await forgive(live, ANNA)  # takes off its own share, and the lock that rested on it
    assert await live.standing(ANNA) is None
    assert await live.attempt(Attempt("victim-4", "number", "call-4")) == Granted()
    assert about(await live.attempt(ANNA), Scope.NUMBER, 30 * MINUTE)


async def test_a_customers_share_of_a_number_is_taken_off_once(live: RedisLive, server: Server) -> None:
    victim = Attempt("victim", "number", "call")
    await fail(live, victim, 2)
    await fail(live, ANNA, 2)
    await live.give_back(ANNA)
    await forgive(live, ANNA)
    await forgive(live, ANNA)
    assert server.client.hgetall("tillit:fail:number:number") == {"n": "2", "of:victim": "2"}


async def test_call_has_a_limit_of_its_own(server: Server) -> None:
    live = await RedisLive.open(server.settings(LIMITS.replace("call = 20", "call = 2")))
    for n in range(2):
        assert await live.attempt(Attempt(f"customer-{n}", None, "channel")) == Granted()
    assert await live.attempt(Attempt("customer-2", None, "channel")) == Locked(Scope.CALL, None)
    assert await live.attempt(Attempt("customer-2", None, "another")) == Granted()
    await live.close()


async def test_all_has_a_window(server: Server) -> None:
    live = await RedisLive.open(server.settings(LIMITS.replace("all = 1000", "all = 10")))
    for n in range(10):
        assert await live.attempt(Attempt(f"customer-{n}", None, f"call-{n}")) == Granted()
        server.pass_time(30)
    assert about(await live.attempt(ANNA), Scope.ALL, 5 * MINUTE)
    server.pass_time(5 * MINUTE)
    assert await live.attempt(ANNA) == Granted()
    await live.close()


async def test_the_widest_scope_is_named_first(server: Server) -> None:
    limits = LIMITS.replace("all = 1000", "all = 10").replace("number_in_a_row = 5", "number_in_a_row = 3")
    live = await RedisLive.open(server.settings(limits.replace("call = 20", "call = 3")))
    await fail(live, ANNA, 3)
    assert about(await live.standing(ANNA), Scope.CUSTOMER, 15 * MINUTE)
    assert about(await live.standing(Attempt("bo", "number", "channel")), Scope.NUMBER, 30 * MINUTE)
    assert await live.standing(Attempt("bo", None, "channel")) == Locked(Scope.CALL, None)
    for n in range(7):
        await fail(live, Attempt(f"customer-{n}", None, f"call-{n}"), 1)
    assert about(await live.standing(ANNA), Scope.ALL, 10 * MINUTE)
    await live.close()


async def test_a_refused_try_counts_nothing_and_lengthens_nothing(live: RedisLive, server: Server) -> None:
    await fail(live, ANNA, 3)
    server.pass_time(10 * MINUTE)
    for _ in range(50):
        assert isinstance(await live.attempt(Attempt("anna", "another", "another")), Locked)
    assert about(await live.standing(ANNA), Scope.CUSTOMER, 5 * MINUTE)
    assert sorted(server.client.keys()) == [
        "tillit:fail:call:channel", "tillit:fail:customer:anna", "tillit:fail:number:number",
    ]  # fmt: skip


async def test_a_hundred_at_once_and_exactly_the_limit_is_evaluated(server: Server) -> None:
    workers = [await RedisLive.open(server.settings()) for _ in range(4)]
    answers = await asyncio.gather(
        *(workers[n % 4].attempt(Attempt("anna", f"number-{n}", f"call-{n}")) for n in range(100))
    )
    assert answers.count(Granted()) == 3
    assert all(about(answer, Scope.CUSTOMER, 15 * MINUTE) for answer in answers if answer != Granted())
    await asyncio.gather(*(worker.close() for worker in workers))


_WORKER = """
import asyncio, sys
from pathlib import Path
from ivr.call.ports import Attempt, Granted
from ivr.config import load
from ivr.store.live import RedisLive

async def main():
    live = await RedisLive.open(load(Path(sys.argv[1])))
    print("ready", flush=True)
    sys.stdin.readline()
    tries = (live.attempt(Attempt("anna", None, f"{sys.argv[2]}-{n}")) for n in range(25))
    print((await asyncio.gather(*tries)).count(Granted()))
    await live.close()

asyncio.run(main())
"""


def test_a_hundred_at_once_from_four_processes(server: Server) -> None:
    file = str(server.settings().file)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", _WORKER, file, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for n in range(4)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    assert sum(int(worker.communicate(timeout=30)[0]) for worker in workers) == 3


async def test_every_key_expires_when_it_should(live: RedisLive, server: Server) -> None:
    await fail(live, ANNA, 3)
    days = {key: server.client.pttl(key) / (24 * 60 * MINUTE * 1000) for key in server.client.scan_iter()}
    assert days == {
        "tillit:fail:all": pytest.approx(10 / (24 * 60), abs=0.001),
        "tillit:fail:customer:anna": pytest.approx(90, abs=0.001),
        "tillit:fail:number:number": pytest.approx(7, abs=0.001),
        "tillit:fail:call:channel": pytest.approx(0.25, abs=0.001),
    }


async def test_two_installations_share_a_redis(live: RedisLive, server: Server) -> None:
    other = await RedisLive.open(server.settings(redis_lines='prefix = "other"'))
    await fail(live, ANNA, 3)
    assert await other.standing(ANNA) is None
    await other.close()


class Warned:
    """A log of which only warnings are looked at."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))


async def test_a_rise_over_all_is_told_of_once_in_a_window(server: Server) -> None:
    """By whichever worker sees it first; right tries are none of it."""
    warned = Warned()
    settings = server.settings(LIMITS + "all_alarm = 5\n")
    workers = [await RedisLive.open(settings, log=cast("FilteringBoundLogger", warned)) for _ in range(3)]
    for window in (1, 2):
        for n in range(20):
            right = Attempt(f"right-{n}", None, f"right-{n}")
            assert await workers[0].attempt(right) == Granted()
            await workers[0].give_back(right)
            assert await workers[1].standing(right) is None
        assert len(warned.lines) == window - 1
        for n in range(12):
            wrong = Attempt(f"customer-{window}-{n}", None, f"call-{window}-{n}")
            await fail(workers[n % 3], wrong, 1)
            assert await workers[(n + 1) % 3].standing(wrong) is None
            assert len(warned.lines) == (window if n >= 4 else window - 1), n
        assert warned.lines[-1] == ("guessing.suspected", {"failures": 5, "seconds": 600})
        server.pass_time(10 * MINUTE)
    for worker in workers:
        await worker.close()


async def test_a_rise_over_all_is_told_of_when_nobody_is_verified_any_more(server: Server) -> None:
    warned = Warned()
    settings = server.settings(LIMITS.replace("all = 1000", "all = 10") + "all_alarm = 100\n")
    live = await RedisLive.open(settings, log=cast("FilteringBoundLogger", warned))
    for n in range(10):
        await fail(live, Attempt(f"customer-{n}", None, f"call-{n}"), 1)
    assert about(await live.standing(ANNA), Scope.ALL, 10 * MINUTE)
    assert about(await live.standing(ANNA), Scope.ALL, 10 * MINUTE)
    assert warned.lines == [("guessing.suspected", {"failures": 10, "seconds": 600})]
    await live.close()
