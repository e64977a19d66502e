"""A worker dies, or is stopped, and another one on the same Redis goes on with its calls."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from rig.ports import HOST, Ports
from rig.proxy import Wire
from rig.stage import ANNA, BO, Stage
from rig.worker import Worker

from tests.e2e.scene import Scene

LEASE = 2.0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where the second worker tells how it is."""
    ports = Ports()
    yield ports.take()
    ports.close()


@pytest.fixture
async def heir(scene: Scene, port: int) -> AsyncIterator[Worker]:
    """A second worker, which stands by."""
    scene.stage.write_config({"worker": {"name": "heir"}, "metrics": {"listen": f"{HOST}:{port}"}})
    second = Worker(scene.stage.pbx, scene.stage.config, name=f"heir-{scene.worker.log_file.stem}")
    second.launch()
    try:
        await scene.logged("worker.stands_by", of=second)
        scene.stage.write_config()
        yield second
    finally:
        second.stop()


@pytest.fixture
def wire(stage: Stage) -> Iterator[Wire]:
    """Between the first worker and Asterisk."""
    with Wire(stage.pbx.http_port) as wire:
        yield wire


@pytest.fixture
def redis_wire(stage: Stage) -> Iterator[Wire]:
    """Between the first worker and Redis."""
    with Wire(stage.redis.port) as wire:
        yield wire


@pytest.fixture
def worker(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Worker]:
    """Here it may have ended before the test."""
    port = None
    overlay: dict[str, dict[str, object]] = {}
    if "wire" in request.fixturenames:
        port = request.getfixturevalue("wire").port
        overlay["asterisk"] = {"url": f"http://127.0.0.1:{port}/ari", "request_seconds": 2.0}
    if "redis_wire" in request.fixturenames:
        way = request.getfixturevalue("redis_wire").port
        overlay["redis"] = {"url": f"redis://127.0.0.1:{way}/0", "request_seconds": 1.0}
    stage.write_config(overlay)
    running = stage.worker(request.node.name, port=port)
    running.start()
    stage.write_config()
    try:
        yield running
    finally:
        if running.child.alive:
            running.stop()


def rows_of(scene: Scene, heir: Worker) -> list[dict[str, Any]]:
    """The audit rows of the calls that this worker took up."""
    calls = {line["call"] for line in scene.log("call.taken_up", of=heir)}
    return [row for row in scene.audit() if row["call"] in calls]


async def renewed(scene: Scene) -> None:
    """Wait until the lease is renewed: who holds it knows then that another worker waits."""
    with scene.redis as client:
        (key,) = client.scan_iter("tillit:lease:*")
        left = [int(client.pttl(key))]

        def longer() -> bool:
            left.append(int(client.pttl(key)))
            return left[-1] > left[-2]

        await scene.until(longer, "the lease to be renewed")


async def test_a_worker_that_dies_is_replaced_by_the_one_that_stands_by(scene: Scene, heir: Worker, port: int) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"http://{HOST}:{port}/readyz") as answer:
        assert answer.status == 200, await answer.text()
    assert scene.log("worker.replaced") == [] and scene.log("ari.connected", of=heir) == []
    scene.worker.kill()
    await scene.logged("worker.took_over", of=heir)
    await scene.logged("reconciled", of=heir)
    caller = await scene.caller("100")
    await scene.logged("entry.asked", of=heir)
    await caller.hang_up()
    await scene.logged("call.ended", of=heir)


async def test_callers_in_mid_pin_and_in_mid_code_go_on_with_another_worker(
    scene: Scene, heir: Worker, record_property: Callable[[str, object], None]
) -> None:
    bo = await scene.caller("100", who=BO)
    await scene.key_pin(bo, BO)
    await scene.asked("sms_code")
    code = await scene.code(BO)
    anna = await scene.caller("100")
    await scene.asked("pin", 2)
    # one wrong try, so that the next worker must count on
    await anna.send_digits("9999#")
    await scene.asked("pin", 3)
    await asyncio.gather(bo.send_digits(code[:3]), anna.send_digits(ANNA.pin[:2]))
    await scene.logged("entry.key", entry="sms_code", keys=3)
    await scene.logged("entry.key", 3, entry="pin", keys=2)
    died = time.time()
    scene.worker.kill()
    await scene.logged("call.taken_up", 2, of=heir)
    asked = {entry: await scene.logged("entry.asked", of=heir, entry=entry) for entry in ("pin", "sms_code")}
    for entry, line in asked.items():
        assert line["prompts"][0] == "lost-keys", entry
        # the lease, a look for it, a connection, a comparison
        waited = datetime.fromisoformat(line["at"]).timestamp() - died
        record_property(f"{entry}_seconds", round(waited, 2))
        assert waited < LEASE + 3
    await bo.send_digits(code)
    await anna.send_digits(f"{ANNA.pin}#")
    await scene.reached("verified")
    await scene.logged("entry.asked", 2, of=heir, entry="sms_code")
    await anna.send_digits(await scene.code())
    await scene.logged("call.verified", 2, of=heir)
    await scene.reached("verified")
    # nobody was sent a second text, and nothing was counted anew
    assert [len(scene.stage.texts(who.phones)) for who in (ANNA, BO)] == [1, 1]
    assert sorted((row["outcome"], json.loads(row["detail"])["wrong"]) for row in rows_of(scene, heir)) == [
        ("verified", "0"),
        ("verified", "1"),
    ]
    await asyncio.gather(anna.hang_up(), bo.hang_up())
    await scene.logged("call.ended", 2, of=heir)
    assert scene.marks() == [] and scene.records() == []
    # the chain of the worker that died, too: it could not sign its end
    verified = scene.stage.command("audit", "verify")
    assert all(f"{chain}: " in verified for chain in ("cli", "heir", "tillit")) and "as it was written" in verified


@pytest.mark.parametrize("extension", ["100", "200"])
async def test_a_call_that_was_decided_and_not_handed_over_has_one_row_and_one_mark(
    scene: Scene, heir: Worker, extension: str
) -> None:
    agent = await scene.phone("agent1")
    caller = await scene.verified(extension)
    if extension == "200":
        await agent.incoming()
    # the row is durable, and the caller is being told, or the agent's phone rings
    await scene.logged("call.verified" if extension == "100" else "agent.ringing")
    scene.worker.kill()
    await scene.logged("call.verified", of=heir)
    if extension == "100":
        await scene.reached("verified")
    else:
        await agent.incoming()
        await agent.answer()
        await scene.logged("agent.joined", of=heir)
    assert [row["outcome"] for row in rows_of(scene, heir)] == ["verified"]
    assert len(scene.marks()) == 1
    await caller.hang_up()
    await scene.logged("mark.dropped", of=heir)
    assert scene.marks() == [] and scene.records() == []


async def test_a_caller_who_hangs_up_before_the_next_worker_comes_is_told_of(scene: Scene, heir: Worker) -> None:
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    await scene.asked("sms_code")
    scene.worker.kill()
    await caller.hang_up()
    await scene.logged("call.ended", of=heir)
    [row] = rows_of(scene, heir)
    assert (row["outcome"], json.loads(row["detail"])["steps"]) == ("abandoned", "pin:passed") and row["subject"]
    assert scene.records() == []


async def test_a_row_that_could_not_be_written_is_written_by_the_next_worker(scene: Scene, heir: Worker) -> None:
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    await scene.asked("sms_code")
    code = await scene.code()
    channel = scene.log("call.started")[-1]["call"]
    with closing(sqlite3.connect(scene.stage.database, isolation_level=None)) as held:
        held.execute("begin immediate")
        await caller.send_digits(code)
        await scene.reached("unverified", Status="unavailable")
        await scene.logged("audit.owed", kept=True)
        scene.worker.kill()
    await scene.logged("call.ended", of=heir)
    [row] = rows_of(scene, heir)
    assert (row["call"], row["outcome"]) == (channel, "unavailable") and row["subject"]
    detail = json.loads(row["detail"])
    assert detail["steps"] == "pin:passed,sms_code:passed" and detail["happened"] < row["at"]
    assert scene.records() == [] and scene.marks() == [] and scene.audit("mark.void") == []
    await caller.hang_up()


async def test_a_worker_that_is_stopped_leaves_its_calls_to_the_one_that_stands_by(scene: Scene, heir: Worker) -> None:
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    await scene.asked("sms_code")
    assert await asyncio.to_thread(scene.worker.stop) == 0
    assert scene.log("worker.handed_over") and scene.log("call.left") and not scene.log("call.unavailable")
    line = await scene.logged("entry.asked", of=heir, entry="sms_code")
    assert line["prompts"] == ["lost-keys", "ask-code"]
    await caller.send_digits(await scene.code())
    await scene.reached("verified")
    assert [row["outcome"] for row in rows_of(scene, heir)] == ["verified"]
    await caller.hang_up()
    await scene.logged("call.ended", of=heir)


async def test_a_worker_that_hung_marks_nobody_when_it_comes_to(scene: Scene, heir: Worker) -> None:
    bo = await scene.caller("100", who=BO)
    await scene.key_pin(bo, BO)
    anna = await scene.caller("100")
    await scene.asked("pin", 2)
    await anna.send_digits(f"{ANNA.pin}#")
    await scene.asked("sms_code", 2)
    code = await scene.code()
    scene.worker.child.pause()
    try:
        # what the hung worker will read first when it comes to: a right code
        await anna.send_digits(code)
        await scene.logged("entry.asked", 2, of=heir, entry="sms_code")
        await bo.send_digits(await scene.code(BO))
        await scene.reached("verified")
    finally:
        scene.worker.child.resume()
    await scene.logged("worker.stands_by")
    assert scene.log("worker.relieved") and not scene.log("call.verified") and not scene.log("call.refused")
    assert len(scene.marks()) == 1
    await anna.send_digits(code)
    await scene.logged("call.verified", 2, of=heir)
    await scene.reached("verified")
    assert [row["outcome"] for row in rows_of(scene, heir)] == ["verified"] * 2 and len(scene.marks()) == 2
    await asyncio.gather(anna.hang_up(), bo.hang_up())
    await scene.logged("call.ended", 2, of=heir)


async def test_a_worker_that_was_cut_off_does_not_take_the_calls_back(scene: Scene, heir: Worker, wire: Wire) -> None:
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    await scene.asked("sms_code")
    scene.worker.child.pause()
    wire.drop()
    try:
        await scene.logged("entry.asked", of=heir, entry="sms_code")
    finally:
        scene.worker.child.resume()
    await scene.logged("worker.stands_by")
    assert scene.log("worker.relieved") and len(scene.log("ari.connected")) == 1
    await caller.send_digits(await scene.code())
    await scene.reached("verified")
    assert [row["outcome"] for row in rows_of(scene, heir)] == ["verified"]
    await caller.hang_up()
    await scene.logged("call.ended", of=heir)


async def test_a_worker_that_is_cut_off_from_redis_alone_stands_by_behind_its_heir(
    scene: Scene, heir: Worker, redis_wire: Wire
) -> None:
    redis_wire.swallow()
    await scene.logged("reconciled", of=heir)
    await scene.logged("worker.relieved")
    redis_wire.mend()
    await scene.logged("worker.stands_by")
    assert not scene.log("worker.replaced") and len(scene.log("ari.connected")) == 1
    # and it is there when it is needed
    heir.kill()
    await scene.logged("reconciled", 2)
    caller = await scene.caller("100")
    await scene.asked("pin")
    await caller.hang_up()


async def test_a_worker_without_redis_does_not_take_the_calls_from_the_one_that_has_the_lease(
    scene: Scene, heir: Worker, redis_wire: Wire, wire: Wire
) -> None:
    await renewed(scene)
    redis_wire.swallow()
    wire.cut()
    await scene.logged("reconciled", of=heir)
    caller = await scene.caller("100")
    await scene.logged("entry.asked", of=heir, entry="pin")
    # its way to Asterisk is back sooner than its way to Redis
    wire.mend()
    await scene.logged("ari.withheld")
    redis_wire.mend()
    await scene.logged("worker.stands_by")
    assert scene.log("worker.relieved") and len(scene.log("ari.connected")) == 1
    assert len(scene.log("ari.connected", of=heir)) == 1
    await caller.send_digits(f"{ANNA.pin}#")
    await scene.logged("entry.asked", of=heir, entry="sms_code")
    await caller.hang_up()
    await scene.logged("call.ended", of=heir)


async def test_a_worker_that_nobody_stands_by_for_connects_again_without_redis(
    scene: Scene, redis_wire: Wire, wire: Wire
) -> None:
    """Its conversations are looked after, and callers hear that they cannot be verified."""
    redis_wire.swallow()
    await scene.logged("lease.failed")
    wire.drop()
    await scene.logged("ari.connected", 2)
    caller = await scene.caller("100")
    await scene.reached("unverified", Status="unavailable")
    await caller.hang_up()
    redis_wire.mend()
    again = await scene.caller("100")
    await scene.asked("pin")
    await again.hang_up()


async def test_who_has_the_lease_takes_its_calls_back_from_a_worker_that_has_not(scene: Scene) -> None:
    caller = await scene.caller("100")
    await scene.asked("pin")
    pbx = scene.stage.pbx
    url = f"{pbx.ari_url}/events?app=tillit"
    login = aiohttp.encode_basic_auth("tillit", pbx.ari_password)
    async with (
        aiohttp.ClientSession(headers={"Authorization": login}) as http,
        http.ws_connect(url) as socket,
    ):
        await scene.logged("worker.robbed")
        async with asyncio.timeout(10):
            while (await socket.receive_json())["type"] != "ApplicationReplaced":
                pass
        # as after any gap
        await scene.asked("pin", 2)
        await scene.key_pin(caller)
        await scene.asked("sms_code")
    assert not scene.log("worker.replaced")
    await caller.hang_up()
