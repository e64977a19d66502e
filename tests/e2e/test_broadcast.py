"""Two workers share the calls of one Asterisk; while calls come in all the time, one is killed, frozen and stopped."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from itertools import count

import pytest
from rig.proxy import Wire
from rig.stage import ANNA, DIALPLAN, Stage
from rig.worker import Worker

from ivr.store.calls import BEGIN
from tests.e2e.scene import Scene

LEASE = 2.0
SETTINGS = {
    "worker": {"at_once": 2, "lease_seconds": LEASE},
    "policies.quick": {"steps": ["pin"], "level": 1},
}
STAGE = {
    "dialplan": f"""
[globals]
TILLIT_BROADCAST=1000
{DIALPLAN}
; those who come all the time, and are over when it is known who they are
[stream]
exten => s,1,Gosub(tillit-verify,s,1(quick))
 same => n,UserEvent(Streamed,Status: ${{CALLER_AUTH_STATUS}})
 same => n,Hangup()
; who they are: they key their PIN until they are let go
[far]
exten => s,1,Answer()
 same => n(on),Wait(1)
 same => n,SendDTMF({ANNA.pin}#,80,80)
 same => n,Wait(1)
 same => n,Goto(on)
"""
}
# Seconds between two calls of the stream.
_EVERY = 0.4
# How long a new call may wait for a worker: it is offered at once, and a worker that died with it in hand costs one time-out.
_NEW_CALL_SECONDS = 4.5


@pytest.fixture
def redis_wire(stage: Stage) -> Iterator[Wire]:
    """Between the first worker and Redis."""
    with Wire(stage.redis.port) as wire:
        yield wire


def _by(wire: Wire) -> dict[str, dict[str, object]]:
    return {"redis": {"url": f"redis://127.0.0.1:{wire.port}/0", "request_seconds": 1.0}}


@pytest.fixture
def worker(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Worker]:
    """The first one. It ends in the test."""
    stage.write_config(_by(request.getfixturevalue("redis_wire")) if "redis_wire" in request.fixturenames else None)
    running = stage.worker(f"first-{request.node.name[:20]}")
    running.start()
    stage.write_config()
    try:
        yield running
    finally:
        if running.child.alive:
            running.child.resume()
            running.stop()


class Others:
    """Further workers; each has a name, and so a chain, of its own."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._made: list[Worker] = []

    def launch(self, name: str, *, redis: Wire | None = None) -> Worker:
        """Start one more; `redis`: its way there."""
        stage = self._scene.stage
        way = {} if redis is None else _by(redis)
        stage.write_config({"worker": {**SETTINGS["worker"], "name": name}, **way})
        config = stage.config.with_name(f"{name}.toml")
        config.write_text(stage.config.read_text())
        stage.write_config()
        made = Worker(stage.pbx, config, name=name)
        made.launch()
        self._made.append(made)
        return made

    def end(self) -> None:
        """Stop who still runs."""
        for worker in self._made:
            if worker.child.alive:
                worker.child.resume()
                worker.stop()


@pytest.fixture
async def others(scene: Scene) -> AsyncIterator[Others]:
    made = Others(scene)
    yield made
    made.end()


class Stream:
    """Callers who come in all the time."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._serial = count(1)
        self.began: dict[str, float] = {}
        self._calling: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Stream:
        self._calling = asyncio.create_task(self._call())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._calling is not None
        self._calling.cancel()
        await asyncio.gather(self._calling, return_exceptions=True)

    async def more(self, calls: int = 3) -> None:
        """Wait until so many have come from now on, and have ended."""
        soon = len(self.began) + calls
        await self._scene.until(lambda: len(self.began) >= soon, f"{soon} calls")
        these = list(self.began)[:soon]
        await self._scene.until(lambda: set(these) <= self.ended().keys(), "all of these to end", 30)

    def ended(self) -> dict[str, str]:
        """How each ended."""
        return {told["Uniqueid"]: told["Status"] for told in self._scene.ami.events("Streamed")}

    async def _call(self) -> None:
        while True:
            number = next(self._serial)
            body = {
                "endpoint": "Local/s@stream/n",
                "context": "far",
                "extension": "s",
                "callerId": f"<{ANNA.phones}>",
                "channelId": f"far-{number}",
                "otherChannelId": f"stream-{number}",
            }
            self.began[f"stream-{number}"] = time.time()
            await asyncio.to_thread(self._scene.stage.pbx.ari, "POST", "channels", body)
            await asyncio.sleep(_EVERY)


async def asking(scene: Scene, worker: Worker) -> str:
    """Wait until this worker asks a caller for the PIN; which call that is."""
    before = len(scene.log("entry.asked", of=worker))
    return str((await scene.logged("entry.asked", before + 1, of=worker))["call"])


def waited(stream: Stream, workers: list[Worker], since: float) -> float:
    """How long the slowest of the calls that came since then waited for a worker, in seconds."""
    had: dict[str, float] = {}
    for worker in workers:
        for line in worker.log():
            if line["event"] == "call.started":
                had.setdefault(line["call"], datetime.fromisoformat(line["at"]).timestamp())
    return max(had[call] - at for call, at in stream.began.items() if at >= since and call in stream.ended())


async def test_new_calls_go_to_the_worker_that_lives_and_running_ones_go_on(
    scene: Scene, others: Others, record_property: Callable[[str, object], None]
) -> None:
    first, second = scene.worker, others.launch("second")
    await scene.logged("ari.connected", of=second, app="tillit-2")
    workers = [first, second]
    async with Stream(scene) as stream:
        await stream.more()
        assert not [line for one in workers for line in scene.log("worker.took_over", of=one)]
        assert all(scene.log("call.started", of=one) for one in workers), "both have calls"

        # killed
        held = await asking(scene, first)
        died = time.time()
        first.kill()
        await scene.logged("call.taken_up", of=second, call=held)
        await stream.more()
        record_property("killed_seconds", round(waited(stream, workers, died), 2))
        assert waited(stream, workers, died) < _NEW_CALL_SECONDS

        # the first one comes back, and is given what the second one has too much of
        third = others.launch("third")
        workers.append(third)
        await scene.logged("ari.connected", of=third, app="tillit")
        await scene.logged("worker.handed_over", of=second, app="tillit")

        # frozen, with its connection open
        held = await asking(scene, third)
        froze = time.time()
        third.child.pause()
        try:
            await scene.logged("call.taken_up", of=second, call=held)
            await stream.more()
            record_property("frozen_seconds", round(waited(stream, workers, froze), 2))
            assert waited(stream, workers, froze) < _NEW_CALL_SECONDS
        finally:
            third.child.resume()
        await scene.logged("ari.connected", 2, of=third)
        await scene.logged("worker.relieved", of=third)

        # stopped
        held = await asking(scene, third)
        stopped = time.time()
        assert await asyncio.to_thread(third.stop) == 0
        await stream.more()
        record_property("stopped_seconds", round(waited(stream, workers, stopped), 2))
        assert not scene.log("call.unavailable", of=third)
    await scene.until(lambda: stream.ended().keys() == stream.began.keys(), "all of them to end", 30)
    assert set(stream.ended().values()) == {"verified"}, stream.ended()
    record_property("calls", len(stream.began))
    assert sorted(row["outcome"] for row in scene.audit() if json.loads(row["detail"])["policy"] == "quick") == [
        "verified"
    ] * len(stream.began)
    await scene.until(lambda: not scene.marks() and not scene.records(), "marks and records to go")
    others.end()


async def test_nobody_lives_and_a_new_call_hears_so(scene: Scene) -> None:
    """The worker stands still, and there is no other one."""
    scene.worker.child.pause()
    caller = await scene.caller("100")
    await scene.reached("unverified", Status="unavailable")
    await caller.hang_up()
    scene.worker.child.resume()
    assert not scene.log("call.started")


async def test_a_call_of_a_worker_that_died_before_it_was_written_down_is_sent_on(scene: Scene, others: Others) -> None:
    with Wire(scene.stage.redis.port) as wire:
        second = others.launch("dying", redis=wire)
        await scene.logged("ari.connected", of=second, app="tillit-2")
        wire.trap(BEGIN.sha.encode(), second.kill)
        # so that the second one has the call
        scene.worker.child.pause()
        phone = await scene.phone("caller")
        await phone.call("100", number=ANNA.phones.split(";")[0])
        await scene.until(lambda: not second.child.alive, "the second worker to die")
        scene.worker.child.resume()
        # far sooner than the watchdog
        await scene.reached("unverified", Status="unavailable")
        await scene.logged("channel.unknown")
        await phone.hang_up()


async def test_who_was_cut_off_from_redis_is_given_an_application_again(
    scene: Scene, others: Others, redis_wire: Wire
) -> None:
    second = others.launch("whole")
    await scene.logged("ari.connected", of=second, app="tillit-2")
    redis_wire.swallow()
    await scene.logged("ari.connected", of=second, app="tillit")
    await scene.logged("worker.relieved", app="tillit")
    redis_wire.mend()
    # what the other one has had for the shorter time
    await scene.logged("ari.connected", 2, app="tillit")
    await scene.logged("worker.handed_over", of=second, app="tillit")
    caller = await scene.caller("100")
    await scene.until(lambda: bool(scene.log("entry.asked") or scene.log("entry.asked", of=second)), "one to ask")
    await caller.hang_up()
    assert not scene.log("worker.replaced") and not scene.log("worker.replaced", of=second)
