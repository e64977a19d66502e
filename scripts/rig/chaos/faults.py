"""What is broken, one after another: each strikes in mid-call, and is mended while calls go on."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from rig.chaos.gateway import Gateway, Mood
from rig.chaos.ledger import Outage
from rig.chaos.workers import Pair
from rig.clock import Clock
from rig.disk import Disk
from rig.proxy import Wire
from rig.stage import Stage
from rig.state import wait_until


@dataclass
class House:
    """All that can be broken. `disk` is where the database lies; None where none could be made that can be filled."""

    stage: Stage
    pair: Pair
    gateway: Gateway
    wire: Wire
    disk: Disk | None
    clock: Clock
    outages: list[Outage] = field(default_factory=list)


_CHOICE_SECONDS = 20.0
# A worker of the stage gives a request to Redis one second.
_STALLS, _STALL_SECONDS = 4, 1.5

# The workers' clock, as when a time server is wrong. Asterisk's own is left: it measures what it plays by it, and cannot do without.
_HOUR = 3600

Strike = Callable[[House], AbstractContextManager[None]]
Tells = Callable[[Sequence[Mapping[str, Any]]], int]


@dataclass(frozen=True)
class Fault:
    """`strike` breaks something when it is entered, and mends it when it is left, `seconds` later.

    `tells`: how many of the lines that the workers have logged show that it struck. `guarded`: of a Redis that has
    replicas, and sentinels.
    """

    name: str
    strike: Strike
    seconds: float
    tells: Tells
    needs_disk: bool = False
    guarded: bool = False


def _one_of(*events: str) -> Tells:
    return lambda lines: sum(line.get("event") in events for line in lines)


def _taken(lines: Sequence[Mapping[str, Any]]) -> int:
    """How often a worker found calls of another one, be it the one that stood by or one that was just started."""
    return sum(line.get("event") == "reconciled" and line.get("taken", 0) > 0 for line in lines)


def _jumps(lines: Sequence[Mapping[str, Any]]) -> int:
    """How often the worker's clock was set while it ran."""
    times = [datetime.fromisoformat(line["at"]) for line in lines]
    return sum(abs(later - earlier) > timedelta(seconds=_HOUR / 2) for earlier, later in pairwise(times))


@contextmanager
def _nothing(_: House) -> Iterator[None]:
    yield


@contextmanager
def _worker_killed(house: House) -> Iterator[None]:
    house.pair.serving.kill()
    yield


@contextmanager
def _worker_stopped(house: House) -> Iterator[None]:
    house.pair.serving.stop()
    yield


@contextmanager
def _worker_frozen(house: House) -> Iterator[None]:
    child = house.pair.serving.child
    child.pause()
    try:
        yield
    finally:
        child.resume()


@contextmanager
def _redis_stopped(house: House) -> Iterator[None]:
    house.stage.redis.stop()
    try:
        yield
    finally:
        house.stage.redis.start()


@contextmanager
def _redis_killed(house: House) -> Iterator[None]:
    house.stage.redis.kill()
    try:
        yield
    finally:
        house.stage.redis.start()


@contextmanager
def _redis_fails_over(house: House) -> Iterator[None]:
    """The primary dies, and comes back when a replica has taken its place."""
    redis = house.stage.redis
    before = redis.url
    redis.kill()
    wait_until(lambda: redis.url != before, _CHOICE_SECONDS, "the sentinels to choose another primary")
    try:
        yield
    finally:
        redis.start()


@contextmanager
def _redis_slow(house: House) -> Iterator[None]:
    """It does nothing for longer than a request may take, and a little, and nothing again."""
    child = house.stage.redis.child
    for _ in range(_STALLS):
        child.pause()
        time.sleep(_STALL_SECONDS)
        child.resume()
        time.sleep(_STALL_SECONDS / 10)
    yield


@contextmanager
def _database_locked(house: House) -> Iterator[None]:
    with closing(sqlite3.connect(house.stage.database, isolation_level=None, timeout=10)) as held:
        held.execute("begin exclusive")
        yield
        held.execute("rollback")


@contextmanager
def _database_full(house: House) -> Iterator[None]:
    assert house.disk is not None
    # the write-ahead log may have room left in its file, and then takes rows for a while
    with closing(sqlite3.connect(house.stage.database, timeout=10)) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    with house.disk.full():
        yield


def _moody(mood: Mood) -> Strike:
    @contextmanager
    def strike(house: House) -> Iterator[None]:
        house.gateway.mood = mood
        try:
            yield
        finally:
            house.gateway.mood = "good"

    return strike


@contextmanager
def _asterisk_killed(house: House) -> Iterator[None]:
    since = time.time()
    house.stage.pbx.kill()
    yield
    house.stage.pbx.start()
    house.outages.append(Outage(since, time.time()))


@contextmanager
def _asterisk_frozen(house: House) -> Iterator[None]:
    house.stage.pbx.child.pause()
    try:
        yield
    finally:
        house.stage.pbx.child.resume()


@contextmanager
def _wire_swallows(house: House) -> Iterator[None]:
    house.wire.swallow()
    try:
        yield
    finally:
        house.wire.mend()


@contextmanager
def _wire_drops(house: House) -> Iterator[None]:
    house.wire.drop()
    yield


def _clock_set(seconds: int) -> Strike:
    @contextmanager
    def strike(house: House) -> Iterator[None]:
        house.clock.set(seconds)
        try:
            yield
        finally:
            house.clock.set(0)

    return strike


FAULTS = (
    Fault("none", _nothing, 0.0, _one_of("call.verified")),
    Fault("worker-killed", _worker_killed, 1.0, _taken),
    Fault("worker-stopped", _worker_stopped, 1.0, _one_of("worker.handed_over")),
    Fault("worker-frozen", _worker_frozen, 7.0, _taken),
    Fault("redis-restarted", _redis_stopped, 2.0, _one_of("call.unavailable", "lease.failed")),
    Fault("redis-killed", _redis_killed, 2.0, _one_of("call.unavailable", "lease.failed")),
    Fault("redis-slow", _redis_slow, 0.0, _one_of("call.unavailable", "lease.failed")),
    Fault("database-locked", _database_locked, 9.0, _one_of("call.unavailable")),
    Fault("database-full", _database_full, 6.0, _one_of("call.unavailable"), needs_disk=True),
    Fault("gateway-slow", _moody("slow"), 6.0, _one_of("text.failed")),
    Fault("gateway-refusing", _moody("refusing"), 4.0, _one_of("text.failed")),
    Fault("gateway-rubbish", _moody("rubbish"), 4.0, _one_of("text.failed")),
    Fault("asterisk-killed", _asterisk_killed, 1.0, _one_of("ari.disconnected")),
    Fault("asterisk-frozen", _asterisk_frozen, 8.0, _one_of("call.unavailable", "ari.disconnected")),
    Fault("clock-ahead", _clock_set(_HOUR), 8.0, _jumps),
    Fault("clock-behind", _clock_set(-_HOUR), 8.0, _jumps),
    Fault("websocket-dropped", _wire_drops, 0.0, _one_of("ari.disconnected")),
    Fault("websocket-half-open", _wire_swallows, 8.0, _one_of("ari.disconnected")),
    Fault("redis-failover", _redis_fails_over, 4.0, _one_of("call.unavailable", "lease.failed"), guarded=True),
)
