"""Which new calls are taken, and which are sent on at once."""

from __future__ import annotations

import asyncio
import time

import pytest

from ivr.asterisk.admission import Admission, Shed
from ivr.asterisk.events import Started
from ivr.config import Worker
from ivr.secret import Personal
from tests.contract.ari_log import Log, wait_for
from tests.contract.ari_world import World


class Door:
    """An admission on a clock that is moved by hand."""

    def __init__(self, **limits: float) -> None:
        self.now = 1000.0
        self.calls = 0
        self.shed: list[str] = []
        self.log = Log()
        self.admission = Admission(
            Worker.model_validate(limits),
            calls=lambda: self.calls,
            count=self.shed.append,
            log=self.log.logger,
            clock=lambda: self.now,
        )

    def come(self, times: int = 1) -> int:
        """How many of so many calls are taken."""
        return sum(self.admission.admits() for _ in range(times))


def test_as_many_at_once_as_the_settings_say() -> None:
    door = Door(calls_at_once=3)
    door.calls = 2
    assert door.come() == 1
    door.calls = 3
    assert door.come(5) == 0
    assert door.shed == [Shed.CALLS] * 5
    door.calls = 2
    assert door.come() == 1


def test_whether_there_is_room_is_asked_without_being_counted() -> None:
    door = Door(calls_at_once=3, calls_per_second=2)
    assert all(door.admission.roomy() for _ in range(100)) and door.come(5) == 2
    assert not door.admission.roomy() and len(door.shed) == 3
    door.now += 1
    door.calls = 3
    assert not door.admission.roomy() and len(door.shed) == 3


def test_as_many_in_a_second_as_the_settings_say() -> None:
    door = Door(calls_per_second=10)
    assert door.come(400) == 10
    assert set(door.shed) == {Shed.RATE}
    taken = 0
    for _ in range(400):
        door.now += 1 / 400
        taken += door.come()
    assert taken == pytest.approx(10, abs=1)
    door.now += 3600
    assert door.come(400) == 10, "what was not used is not saved up"


def test_one_that_is_turned_away_takes_no_others_place() -> None:
    door = Door(calls_per_second=10, calls_at_once=1)
    door.calls = 1
    assert door.come(50) == 0
    door.calls = 0
    assert door.come(50) == 10


def test_while_the_worker_is_late() -> None:
    door = Door(lag_seconds=0.5)
    door.admission.looked(3.0)
    assert door.come() == 1, "a hiccup"
    door.admission.looked(0.6)
    assert door.come(3) == 0
    assert door.shed == [Shed.LAG] * 3
    door.admission.looked(0.1)
    assert door.come() == 1


def test_the_log_is_not_filled() -> None:
    door = Door(calls_per_second=1)
    assert door.come(1001) == 1
    assert [(line["why"], line["times"]) for line in door.log.of("calls.shed")] == [("rate", 1)]
    door.now += 9.9
    assert door.come(3) == 1
    assert len(door.log.of("calls.shed")) == 1
    door.now += 0.1
    assert door.come(1) == 0
    assert [line["times"] for line in door.log.of("calls.shed")] == [1, 1002]
    assert len(door.shed) == 1003


async def test_it_notices_that_the_event_loop_is_held_up() -> None:
    log = Log()
    shed: list[str] = []
    admission = Admission(Worker(lag_seconds=0.1), calls=lambda: 0, count=shed.append, log=log.logger)
    watching = asyncio.create_task(admission.watch())

    def refused() -> bool:
        # what holds the loop up
        time.sleep(0.25)
        return not admission.admits()

    await wait_for(refused, "the lag to be noticed")
    assert set(shed) == {"lag"}
    await wait_for(admission.admits, "the worker to come to")
    watching.cancel()


async def test_a_call_that_is_not_taken_goes_on_in_the_dialplan(world: World) -> None:
    """What an earlier round of its channel had won is void, and no session knows of it."""
    world.admits = False
    caller = await world._calling()
    await world.until(lambda: len(world.disowned) == 1, "the mark to be dropped")
    await world.in_dialplan(world.disowned[0])
    assert world._came.empty() and world.telephony.calls == 0
    await caller.hang_up()
    world.admits = True
    call = await world.call()
    assert world.telephony.verifying == world.telephony.calls == 1
    await call.line.hand_back(watch=True)
    assert (world.telephony.verifying, world.telephony.calls) == (0, 1), "who waits in a queue takes nobody's place"
    await call.caller.hang_up()
    await world.forgotten(call)


async def test_a_caller_whom_an_agent_waits_for_is_always_taken(stub: World) -> None:
    stub.admits = False
    number = Personal("+46701740601")
    stub.telephony.event(Started("first", ("inbound", "usual", ""), number, "en", None))
    stub.telephony.event(Started("again", ("inbound", "usual", "again"), number, "en", None))
    async with asyncio.timeout(10):
        line = await stub._came.get()
    assert line.caller.channel == "again" and line.caller.again
    stub._callers["again"].set()
