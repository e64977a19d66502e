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


NEIGHBOURS = ["2001:db8:0:{:x}::1", "2001:db8:0:{:02x}00::1"]
both_networks = pytest.mark.parametrize(
    ("network", "apart"), [(NEIGHBOURS[0], 600), (NEIGHBOURS[1], 225)], ids=["56", "48"]
)


async def tried(throttle: Throttle, network: str, nets: range = range(128)) -> int:
    """How many tries are evaluated from a network, from networks of its own in turn."""
    tries = [
        throttle.of("main", f"{network}{net}-{n}", network.format(net)) for net in nets for n in range(5)
    ]  # fmt: skip
    return sum([isinstance(await throttle.count(one), May) for one in tries])


@both_networks
async def test_whoever_has_an_ipv6_network_whole_does_not_shut_all_others_out(
    throttle: Throttle, network: str, apart: int
) -> None:
    assert await tried(throttle, network) == 12
    refused = await throttle.count(throttle.of("main", "l", network.format(255)))
    assert isinstance(refused, MayNot) and refused.by is Counted.ADDRESS
    assert (refused.failures, refused.news) == (12, False)
    assert refused.seconds is not None and apart - 20 < refused.seconds <= apart
    # a neighbour of the same provider
    assert isinstance(await throttle.count(throttle.of("main", "bo", "2001:db8:1::1")), May)
    assert isinstance(await throttle.count(throttle.of("main", "anna", "198.51.100.7")), May)


@both_networks
async def test_where_a_whole_network_is_shut_a_passkey_is_not(throttle: Throttle, network: str, apart: int) -> None:
    assert await tried(throttle, network) == 12
    one = throttle.of("main", "anna", network.format(255), guessable=False)
    assert isinstance(await throttle.count(one), May)
    # nor does it open to others what is shut
    await throttle.right(one)
    assert isinstance(await throttle.count(throttle.of("main", "anna", network.format(255))), MayNot)


@both_networks
async def test_nor_do_passkeys_shut_it(throttle: Throttle, network: str, apart: int) -> None:
    for net in range(30):
        one = throttle.of("main", f"key{net}", network.format(net), guessable=False)
        assert isinstance(await throttle.count(one), May)
    assert isinstance(await throttle.count(throttle.of("main", "anna", network.format(255))), May)


@both_networks
async def test_a_whole_network_opens_again_with_time(
    throttle: Throttle, server: Server, network: str, apart: int
) -> None:
    assert await tried(throttle, network) == 12
    for name in ("anna", "bo"):
        server.pass_time(apart)
        assert isinstance(await throttle.count(throttle.of("main", name, network.format(254))), May)
        assert isinstance(await throttle.count(throttle.of("main", "cleo", network.format(253))), MayNot)
    server.pass_time(12 * apart)
    assert await tried(throttle, network, range(128, 250)) == 12


async def test_one_connection_that_fails_for_ever_shuts_out_none_of_its_neighbours(
    throttle: Throttle, server: Server
) -> None:
    passed = tries = 0
    while passed < 3 * DAY:
        answer = await throttle.count(throttle.of("main", f"nobody{tries}", f"2001:db8:0:1::{tries:x}"))
        if isinstance(answer, May):
            tries += 1
            continue
        for neighbour in ("2001:db8:0:2::1", "2001:db8:0:ff00::1"):
            one = throttle.of("main", "anna", neighbour)
            assert isinstance(await throttle.count(one), May), (tries, passed)
            await throttle.right(one)
        assert answer.seconds is not None
        server.pass_time(answer.seconds)
        passed += answer.seconds
    assert tries > 100


async def test_who_signs_in_gives_back_the_own_failures_alone_and_once(throttle: Throttle) -> None:
    async def fails(login: str, address: str) -> bool:
        return isinstance(await throttle.count(throttle.of("main", login, address)), May)

    async def signs_in(address: str) -> None:
        for _ in range(2):
            right = throttle.of("main", "anna", address, guessable=False)
            assert isinstance(await throttle.count(right), May)
            await throttle.right(right)

    home = NEIGHBOURS[0].format
    assert await fails("anna", home(200)) and await fails("anna", home(200))
    assert await tried(throttle, NEIGHBOURS[0]) == 10
    assert not await fails("anna", home(201))
    await signs_in(home(201))
    assert [await fails("anna", home(net)) for net in (202, 203, 204)] == [True, True, False]

    await throttle.forget("main", "anna")
    for login in ("anna", "bo", "cleo"):
        assert await fails(login, "192.0.2.1")
    await signs_in("192.0.2.1")
    assert [await fails(login, "192.0.2.1") for login in ("dag", "eva", "fia")] == [True, True, False]


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
        if (until := self.count("address", address).until) > self.now:
            return Counted.ADDRESS, until - self.now
        for network, apart in WIDER.get(address, {}).items() if guessable else ():
            early = self.count("wider", network).ends - self.now - apart * 11
            if math.inf > early > 0:
                return Counted.ADDRESS, early
        return None

    def add(self, login: str, address: str, name: str, guessable: bool) -> None:
        of_address = "address", address, 2 * DAY, 4, 120
        over_all = [("all", "", 5 * MINUTE, math.inf, 0)] if guessable else []
        for kind, key, keep, limit, wait in (*over_all, ("login", login, 90 * DAY, 3, 60), of_address):
            count = self.counts[kind, key] = self.count(kind, key)
            count.n += 1
            count.ends = min(count.ends, self.now + keep) if kind == "all" else self.now + keep
            count.shares[login] = count.shares.get(login, 0) + 1
            if count.n >= limit:
                count.until, count.by = self.now + min(wait * 2 ** (count.n - limit), 30 * MINUTE), name
        for network, apart in WIDER.get(address, {}).items() if guessable else ():
            count = self.counts["wider", network] = self.count("wider", network)
            count.ends = apart + (self.now if count.ends == math.inf else count.ends)
            count.shares[login] = count.shares.get(login, 0) + 1

    def right(self, login: str, address: str, name: str, guessable: bool) -> None:
        self.counts.pop(("login", login), None)
        if guessable:
            self._take("all", "", 1, math.inf, name)
        share = self.count("address", address).shares.pop(login, 0)
        if share:
            self._take("address", address, share, 4, name)
        for network, apart in WIDER.get(address, {}).items():
            count = self.count("wider", network)
            count.ends -= apart * count.shares.pop(login, 0)

    def _take(self, kind: str, key: str, number: int, limit: float, name: str) -> None:
        count = self.count(kind, key)
        count.n -= number
        if count.n <= 0:
            self.counts.pop((kind, key), None)
        elif count.n < limit or count.by == name:
            count.until = -math.inf


# what the addresses are in beside their own network, and after how many seconds one failure there is forgotten
WIDER: dict[str, dict[str, int]] = {
    "2001:db8::1": {"home": 600, "site": 225}, "2001:db8:0:1::1": {"home": 600, "site": 225},
    "2001:db8:0:100::1": {"next home": 600, "site": 225},
}  # fmt: skip
LOGINS, ADDRESSES = (
    st.sampled_from(["anna", "bo", "cleo", "dag", "eva"]),
    st.sampled_from(["192.0.2.1", "192.0.2.2", "", *WIDER]),
)


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
