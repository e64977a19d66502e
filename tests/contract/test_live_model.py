"""The counts of failures against a model in Python: any order of tries, successes, unlockings and pauses."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ivr.call.outcome import Locked, Scope
from ivr.call.ports import Attempt, Granted
from ivr.store.live import RedisLive
from tests.contract.live_server import Server, forgive

pytestmark = pytest.mark.servers

LIMITS = """
[limits]
customer_in_a_row = 3
customer_lock_minutes = 1
customer_most = 10
number_in_a_row = 4
number_lock_minutes = 2
call = 9
all = 25
all_window_minutes = 5
"""
# That a rise over all calls was told of: no count.
ALARM = "tillit:fail:alarm"
# Each key, its milliseconds left and its count, at once.
COUNTS = """
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
    local count
    if redis.call('TYPE', key).ok == 'hash' then
        count = redis.call('HGET', key, 'n')
    else
        count = redis.call('GET', key)
    end
    table.insert(found, {key, redis.call('PTTL', key), count})
end
return found
"""
MINUTE, HOUR, DAY = 60, 3600, 86400
# Real time passes too, some milliseconds a step: pauses are so coarse that it does not matter.
PAUSES = st.sampled_from([30, MINUTE, 5 * MINUTE, HOUR, 7 * HOUR, DAY, 8 * DAY, 91 * DAY])

attempts = st.builds(
    Attempt,
    subject=st.sampled_from(["anna", "bo", "cleo"]),
    number=st.sampled_from([None, "one", "two"]),
    call=st.sampled_from(["c1", "c2", "c3"]),
)


@dataclass
class Count:
    """Failures in a row, as they stand in one record."""

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
        if count is None or count.ends <= self.now:
            return Count()
        return count

    def locked(self, attempt: Attempt) -> Locked | None:
        all_, customer = self.count("all", ""), self.count("customer", attempt.subject)
        if all_.n >= 25:
            return Locked(Scope.ALL, round(all_.ends - self.now))
        if customer.n >= 10:
            return Locked(Scope.CUSTOMER, None)
        if customer.until > self.now:
            return Locked(Scope.CUSTOMER, round(customer.until - self.now))
        if attempt.number is not None and (number := self.count("number", attempt.number)).until > self.now:
            return Locked(Scope.NUMBER, round(number.until - self.now))
        if self.count("call", attempt.call).n >= 9:
            return Locked(Scope.CALL, None)
        return None

    def add(self, attempt: Attempt) -> None:
        for kind, name, keep, limit, lock in self.scopes(attempt):
            count = self.counts[kind, name] = self.count(kind, name)
            count.n += 1
            count.ends = min(count.ends, self.now + keep) if kind == "all" else self.now + keep
            count.shares[attempt.subject] = count.shares.get(attempt.subject, 0) + 1
            if limit and count.n >= limit:
                count.until, count.by = self.now + min(lock * 2 ** (count.n - limit), DAY), attempt.call

    def give_back(self, attempt: Attempt) -> None:
        for kind, name, *_ in self.scopes(attempt):
            count = self.count(kind, name)
            if count.n <= 1:
                self.counts.pop((kind, name), None)
                continue
            count.n -= 1
            count.shares[attempt.subject] = max(0, count.shares.get(attempt.subject, 0) - 1)
            if count.by == attempt.call:
                count.until = -math.inf

    def forgive(self, attempt: Attempt) -> None:
        self.counts.pop(("customer", attempt.subject), None)
        if attempt.number is None:
            return
        count = self.count("number", attempt.number)
        count.n -= count.shares.pop(attempt.subject, 0)
        if count.n <= 0:
            self.counts.pop(("number", attempt.number), None)
        elif count.n < 4:
            count.until = -math.inf

    def scopes(self, attempt: Attempt) -> Iterator[tuple[str, str, float, int, float]]:
        yield "all", "", 5 * MINUTE, 0, 0
        yield "customer", attempt.subject, 90 * DAY, 3, MINUTE
        yield "call", attempt.call, 6 * HOUR, 0, 0
        if attempt.number is not None:
            yield "number", attempt.number, 7 * DAY, 4, 2 * MINUTE


def same(answer: Granted | Locked | None, expected: Locked | None) -> bool:
    if not isinstance(answer, Locked) or expected is None:
        return expected is None and not isinstance(answer, Locked)
    if answer.seconds is None or expected.seconds is None:
        return answer == expected
    return answer.scope is expected.scope and 0 <= expected.seconds - answer.seconds < 20


def test_counts_follow_the_model() -> None:
    with Server() as server, asyncio.Runner() as runner:
        live = runner.run(RedisLive.open(server.settings(LIMITS)))

        class Machine(RuleBasedStateMachine):
            def __init__(self) -> None:
                super().__init__()
                server.client.flushdb()
                self.model = Model()
                self.granted: list[Attempt] = []

            @rule(attempt=attempts)
            def try_(self, attempt: Attempt) -> None:
                expected = self.model.locked(attempt)
                assert same(runner.run(live.attempt(attempt)), expected), expected
                if expected is None:
                    self.model.add(attempt)
                    self.granted.append(attempt)

            @precondition(lambda self: self.granted)
            @rule(data=st.data())
            def give_back(self, data: st.DataObject) -> None:
                attempt = self.granted.pop(data.draw(st.integers(0, len(self.granted) - 1)))
                runner.run(live.give_back(attempt))
                self.model.give_back(attempt)

            @rule(attempt=attempts)
            def forgive(self, attempt: Attempt) -> None:
                runner.run(forgive(live, attempt))
                self.model.forgive(attempt)

            @rule(subject=st.sampled_from(["anna", "bo", "cleo"]))
            def unlock(self, subject: str) -> None:
                assert runner.run(live.unlock(subject)) == (self.model.count("customer", subject).n > 0)
                self.model.counts.pop(("customer", subject), None)

            @rule(seconds=PAUSES)
            def pause(self, seconds: int) -> None:
                server.pass_time(seconds)
                self.model.now += seconds

            @rule(attempt=attempts)
            def standing(self, attempt: Attempt) -> None:
                before = {*server.client.keys(), ALARM}
                assert same(runner.run(live.standing(attempt)), self.model.locked(attempt))
                assert {*server.client.keys(), ALARM} == before

            @invariant()
            def every_key_expires_and_counts_something(self) -> None:
                for key, left, count in server.client.eval(COUNTS, 0):
                    assert left > 0, key
                    assert int(count) > 0, key

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=80,
                stateful_step_count=60,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
        runner.run(live.close())
