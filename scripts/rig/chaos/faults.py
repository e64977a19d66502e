"""What is broken, one after another: each strikes in mid-call, and is mended while calls go on."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field

from rig.chaos.gateway import Gateway, Mood
from rig.chaos.ledger import Outage
from rig.chaos.workers import Pair
from rig.disk import Disk
from rig.proxy import Wire
from rig.stage import Stage


@dataclass
class House:
    """All that can be broken. `disk` is where the database lies; None where none could be made that can be filled."""

    stage: Stage
    pair: Pair
    gateway: Gateway
    wire: Wire
    disk: Disk | None
    outages: list[Outage] = field(default_factory=list)


# A worker of the stage gives a request to Redis one second.
_STALLS, _STALL_SECONDS = 4, 1.5

Strike = Callable[[House], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """`strike` breaks something when it is entered, and mends it when it is left, `seconds` later.

    `tells`: the events that the workers log of it, at least one of them; none for what leaves no line behind.
    """

    name: str
    strike: Strike
    seconds: float
    tells: tuple[str, ...]
    needs_disk: bool = False


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


FAULTS = (
    Fault("none", _nothing, 0.0, ("call.verified",)),
    Fault("worker-killed", _worker_killed, 1.0, ("worker.took_over",)),
    Fault("worker-stopped", _worker_stopped, 1.0, ("worker.handed_over",)),
    Fault("worker-frozen", _worker_frozen, 7.0, ("worker.took_over",)),
    Fault("redis-restarted", _redis_stopped, 2.0, ("call.unavailable", "lease.failed")),
    Fault("redis-killed", _redis_killed, 2.0, ("call.unavailable", "lease.failed")),
    Fault("redis-slow", _redis_slow, 0.0, ("call.unavailable", "lease.failed")),
    Fault("database-locked", _database_locked, 9.0, ("call.unavailable",)),
    Fault("database-full", _database_full, 6.0, ("call.unavailable",), needs_disk=True),
    Fault("gateway-slow", _moody("slow"), 6.0, ("text.failed",)),
    Fault("gateway-refusing", _moody("refusing"), 4.0, ("text.failed",)),
    Fault("gateway-rubbish", _moody("rubbish"), 4.0, ("text.failed",)),
    Fault("asterisk-killed", _asterisk_killed, 1.0, ("ari.disconnected",)),
    Fault("asterisk-frozen", _asterisk_frozen, 8.0, ("call.unavailable", "ari.disconnected")),
    Fault("websocket-dropped", _wire_drops, 0.0, ("ari.disconnected",)),
    Fault("websocket-half-open", _wire_swallows, 8.0, ("ari.disconnected",)),
)
