"""Tries to sign in: exactly as many are evaluated as the limits say, however many come at once; and a model in Python."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ivr.store.live import RedisLive
from ivr.store.throttle import Counted, May, MayNot, Throttle, Try
from ivr.vault import Index, Key
from tests.contract.live_server import Server

pytestmark = pytest.mark.servers

LIMITS = """
[desk.sign_in]
login_in_a_row = 3
login_wait_seconds = 60
login_most = 10
address_in_a_row = 4
address_wait_seconds = 120
wait_most_minutes = 30
all = 25
all_window_minutes = 5
"""
INDEX = Index(Key("0a0b0c0d", bytes(range(32))))
MINUTE, DAY = 60, 86400


@pytest.fixture
async def throttle(server: Server) -> AsyncIterator[Throttle]:
    configured = server.settings(LIMITS)
    live = await RedisLive.open(configured)
    yield live.throttle(configured.desk, INDEX)
    await live.close()


@pytest.mark.parametrize(("which", "limit"), [("login", 3), ("address", 4), ("all", 25)])
async def test_of_a_hundred_at_once_exactly_so_many_are_evaluated(throttle: Throttle, which: str, limit: int) -> None:
    tries = [
        throttle.of(
            "main", "anna" if which == "login" else f"login{n}", "192.0.2.1" if which == "address" else f"192.0.{n}.1"
        )
        for n in range(100)
    ]
    answers = await asyncio.gather(*map(throttle.count, tries))
    assert sum(isinstance(answer, May) for answer in answers) == limit
    refused = [answer for answer in answers if isinstance(answer, MayNot)]
    assert {answer.by for answer in refused} == {Counted(which)}
    assert sum(answer.news for answer in refused) == 1


async def test_waits_grow_and_a_reset_ends_them(throttle: Throttle, server: Server) -> None:
    waits, evaluated = list[int](), 0
    while True:
        one = throttle.of("main", "anna", f"192.0.2.{evaluated}")
        answer = await throttle.count(one)
        if isinstance(answer, May):
            evaluated += 1
        elif answer.seconds is None:
            break
        else:
            waits.append(answer.seconds)
            server.pass_time(answer.seconds + 1)
    assert evaluated == 10, "after which only a reset helps"
    assert waits == [60, 120, 240, 480, 960, 1800, 1800]
    assert await throttle.forget("main", "anna") and not await throttle.forget("main", "anna")
    assert isinstance(await throttle.count(throttle.of("main", "anna", "192.0.2.99")), May)
    assert isinstance(await throttle.count(throttle.of("other", "anna", "192.0.2.98")), May)


async def test_addresses_of_one_network_count_together_and_others_do_not(throttle: Throttle) -> None:
    for n in range(4):
        assert isinstance(await throttle.count(throttle.of("main", f"l{n}", f"2001:db8::{n}")), May)
    assert isinstance(await throttle.count(throttle.of("main", "l5", "2001:db8::99")), MayNot)
    assert isinstance(await throttle.count(throttle.of("main", "l6", "2001:db8:0:1::1")), May)
    assert throttle.of("main", "l", "::ffff:192.0.2.1").networks == throttle.of("main", "l", "192.0.2.1").networks


async def tried(throttle: Throttle, address: str) -> int:
    """How many tries are evaluated from a network, from 256 of its own in turn."""
    evaluated = 0
    for net in range(256):
        for n in range(5):
            one = throttle.of("main", f"{address}{net}-{n}", address.format(net))
            evaluated += isinstance(await throttle.count(one), May)
    return evaluated


@pytest.mark.parametrize("network", ["2001:db8:0:{:x}::1", "2001:db8:0:{:02x}00::1"], ids=["56", "48"])
async def test_whoever_has_an_ipv6_network_whole_does_not_shut_all_others_out(throttle: Throttle, network: str) -> None:
    assert await tried(throttle, network) == 12
    refused = await throttle.count(throttle.of("main", "l", network.format(255)))
    assert isinstance(refused, MayNot) and refused.by is Counted.ADDRESS
    # a neighbour of the same provider
    assert isinstance(await throttle.count(throttle.of("main", "bo", "2001:db8:1::1")), May)
    assert isinstance(await throttle.count(throttle.of("main", "anna", "198.51.100.7")), May)


async def test_what_cannot_be_guessed_is_not_counted_over_all_nor_shut_out_with_it(throttle: Throttle) -> None:
    for n in range(30):
        one = throttle.of("main", f"key{n}", f"192.0.{n}.2", guessable=False)
        assert isinstance(await throttle.count(one), May)
        await throttle.right(one)
    for n in range(25):
        assert isinstance(await throttle.count(throttle.of("main", f"l{n}", f"192.0.{n}.1")), May)
    shut = await throttle.count(throttle.of("main", "anna", "198.51.100.7"))
    assert isinstance(shut, MayNot) and shut.by is Counted.ALL
    one = throttle.of("main", "anna", "198.51.100.7", guessable=False)
    assert isinstance(await throttle.count(one), May)
    # nor does it open to others what is shut
    await throttle.right(one)
    assert isinstance(await throttle.count(throttle.of("main", "anna", "198.51.100.7")), MayNot)
    # by its login and its address it is counted as any
    for _ in range(3):
        assert isinstance(await throttle.count(throttle.of("main", "bo", "198.51.100.8", guessable=False)), May)
    assert isinstance(await throttle.count(throttle.of("main", "bo", "198.51.100.9", guessable=False)), MayNot)


# ---------------------------------------------------------------- the model


@dataclass
class Count:
    n: int = 0
    until: float = -math.inf
    by: str = ""
    ends: float = math.inf
    shares: dict[str, int] = field(default_factory=dict)


class Model:
    """The rules, told once more and plainly."""

    def __init__(self) -> None:
        self.now = 0.0
        self.counts: dict[tuple[str, str], Count] = {}

    def count(self, kind: str, name: str) -> Count:
        count = self.counts.get((kind, name))
        return Count() if count is None or count.ends <= self.now else count

    def refused(self, login: str, address: str, guessable: bool) -> tuple[Counted, float | None] | None:
        all_, of_login = self.count("all", ""), self.count("login", login)
        if guessable and all_.n >= 25:
            return Counted.ALL, all_.ends - self.now
        if of_login.n >= 10:
            return Counted.LOGIN, None
        if of_login.until > self.now:
            return Counted.LOGIN, of_login.until - self.now
        for network in NETWORKS[address]:
            if (until := self.count("address", network).until) > self.now:
                return Counted.ADDRESS, until - self.now
        return None

    def add(self, login: str, address: str, name: str, guessable: bool) -> None:
        networks = [("address", one, 2 * DAY, limit, 120) for one, limit in NETWORKS[address].items()]
        over_all = [("all", "", 5 * MINUTE, math.inf, 0)] if guessable else []
        for kind, key, keep, limit, wait in (*over_all, ("login", login, 90 * DAY, 3, 60), *networks):
            count = self.counts[kind, key] = self.count(kind, key)
            count.n += 1
            count.ends = min(count.ends, self.now + keep) if kind == "all" else self.now + keep
            count.shares[login] = count.shares.get(login, 0) + 1
            if count.n >= limit:
                count.until, count.by = self.now + min(wait * 2 ** (count.n - limit), 30 * MINUTE), name

    def right(self, login: str, address: str, name: str, guessable: bool) -> None:
        self.counts.pop(("login", login), None)
        if guessable:
            self._take("all", "", 1, math.inf, name)
        for network, limit in NETWORKS[address].items():
            share = self.count("address", network).shares.pop(login, 0)
            if share:
                self._take("address", network, share, limit, name)

    def _take(self, kind: str, key: str, number: int, limit: float, name: str) -> None:
        count = self.count(kind, key)
        count.n -= number
        if count.n <= 0:
            self.counts.pop((kind, key), None)
        elif count.n < limit or count.by == name:
            count.until = -math.inf


# what each is counted by, and after how many failures there is a wait
NETWORKS: dict[str, dict[str, float]] = {
    "192.0.2.1": {"1": 4}, "192.0.2.2": {"2": 4}, "": {"": 4},
    "2001:db8::1": {"a": 4, "home": 12, "site": 12}, "2001:db8:0:1::1": {"b": 4, "home": 12, "site": 12},
    "2001:db8:0:100::1": {"c": 4, "next home": 12, "site": 12},
}  # fmt: skip
LOGINS, ADDRESSES = st.sampled_from(["anna", "bo", "cleo", "dag", "eva"]), st.sampled_from([*NETWORKS])


def test_tries_follow_the_model() -> None:
    with Server() as server, asyncio.Runner() as runner:
        configured = server.settings(LIMITS)
        live = runner.run(RedisLive.open(configured))
        throttle = live.throttle(configured.desk, INDEX)

        class Machine(RuleBasedStateMachine):
            def __init__(self) -> None:
                super().__init__()
                server.client.flushdb()
                self.model = Model()
                self.evaluated: list[tuple[str, str, Try]] = []

            @rule(login=LOGINS, address=ADDRESSES, guessable=st.booleans())
            def try_(self, login: str, address: str, guessable: bool) -> None:
                one = throttle.of("main", login, address, guessable=guessable)
                expected = self.model.refused(login, address, guessable)
                answer = runner.run(throttle.count(one))
                if expected is None:
                    assert isinstance(answer, May)
                    assert answer.failures == self.model.count("login", login).n
                    self.model.add(login, address, one.name, guessable)
                    self.evaluated.append((login, address, one))
                    return
                assert isinstance(answer, MayNot)
                assert answer.by is expected[0]
                assert (answer.seconds is None) == (expected[1] is None)
                if answer.seconds is not None and expected[1] is not None:
                    assert -1 <= expected[1] - answer.seconds < 20

            @precondition(lambda self: self.evaluated)
            @rule(data=st.data())
            def right(self, data: st.DataObject) -> None:
                login, address, one = self.evaluated.pop(data.draw(st.integers(0, len(self.evaluated) - 1)))
                runner.run(throttle.right(one))
                self.model.right(login, address, one.name, one.guessable)

            @rule(login=LOGINS)
            def forget(self, login: str) -> None:
                assert runner.run(throttle.forget("main", login)) == (self.model.count("login", login).n > 0)
                self.model.counts.pop(("login", login), None)

            @rule(seconds=st.sampled_from([30, MINUTE, 5 * MINUTE, 3600, DAY, 3 * DAY, 91 * DAY]))
            def pause(self, seconds: int) -> None:
                server.pass_time(seconds)
                self.model.now += seconds

            @invariant()
            def every_key_expires(self) -> None:
                for key in server.client.scan_iter():
                    assert server.client.pttl(key) > 0, key
                    assert "anna" not in key and "192.0" not in key and "2001" not in key

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=60,
                stateful_step_count=50,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
        runner.run(live.close())
