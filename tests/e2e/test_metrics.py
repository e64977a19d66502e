"""What monitoring reads of a worker that serves real calls, and what it says when Redis is gone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import aiohttp
import pytest
from rig.ports import HOST, Ports
from rig.stage import ANNA, BO, CHEAP_PINS, Stage
from rig.worker import Worker

from tests.contract.monitored import fault, queries
from tests.contract.test_metrics import samples
from tests.e2e.scene import LIMIT, Scene

MASKED = ("46701740601", "46701740602", ANNA.number, ANNA.name, BO.name, "Andersson", "PJSIP")

Numbers = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where the worker's numbers are."""
    ports = Ports()
    yield ports.take()
    ports.close()


@pytest.fixture(scope="module")
def stage(port: int) -> Iterator[Stage]:
    settings = {
        **CHEAP_PINS,
        "metrics": {"listen": f"{HOST}:{port}"},
        "redis": {"request_seconds": 1.0},
        "database": {"request_seconds": 1.0},
        "log": {"level": "INFO", "format": "json"},
    }
    with Stage(settings=settings, name="metrics", brisk=True) as made:
        yield made


class Monitor:
    """Reads what the worker exposes."""

    def __init__(self, http: aiohttp.ClientSession, port: int) -> None:
        self._http = http
        self._url = f"http://{HOST}:{port}"

    async def get(self, path: str) -> tuple[int, str]:
        async with self._http.get(self._url + path) as answer:
            return answer.status, await answer.text()

    async def numbers(self) -> Numbers:
        status, text = await self.get("/metrics")
        assert status == 200
        # names, labels and help; the digits of a number of seconds may be any
        told = "\n".join(
            line.rpartition(" ")[0] if line.startswith(("tillit", "process")) else line for line in text.splitlines()
        )
        for canary in MASKED:
            assert canary not in told, canary
        return samples(text)

    async def until_ready(self, ready: bool) -> dict[str, dict[str, object]]:
        async with asyncio.timeout(LIMIT):
            while True:
                status, text = await self.get("/readyz")
                assert status == (200 if json.loads(text)["ready"] else 503)
                if json.loads(text)["ready"] is ready:
                    return dict(json.loads(text)["parts"])
                await asyncio.sleep(0.1)


@pytest.fixture
async def monitor(port: int) -> AsyncIterator[Monitor]:
    async with aiohttp.ClientSession() as http:
        yield Monitor(http, port)


def value(numbers: Numbers, name: str, **labels: str) -> float:
    return numbers[f"tillit_{name}", frozenset(labels.items())]


async def test_three_calls_are_counted_for_what_they_were(scene: Scene, monitor: Monitor) -> None:
    """One is verified and queued, one keys wrong PINs, one hangs up; the numbers say so and nothing else."""
    before = await monitor.numbers()
    here = {"policy": "main", "node": "asterisk"}

    verified = await scene.verified(who=ANNA)
    await scene.reached("verified")
    now = await monitor.numbers()
    assert value(now, "calls", phase="dialplan", node="asterisk") == 1
    await verified.hang_up()
    await scene.logged("mark.dropped")

    wrong = await scene.caller(who=BO)
    for count in range(3):
        await scene.asked("pin", 2 + count)
        await wrong.send_digits("0000#")
    await scene.reached("unverified", Status="refused")
    await wrong.hang_up()

    leaves = await scene.caller(who=BO)
    await scene.asked("pin", 5)
    await leaves.hang_up()
    await scene.logged("call.ended", 3)

    # the same three, told one by one
    ends = ("VERIFIED at level 2", "REFUSED: no mark", "hung up (phase: pin)")
    calls = [line["call"] for line in scene.log("call.started")]
    log = str(scene.worker.log_file)
    traced = await asyncio.gather(
        *(asyncio.to_thread(scene.stage.attempt, "trace", call, "--log", log) for call in calls)
    )
    for told, end in zip(traced, ends, strict=True):
        assert (told.returncode, told.stderr) == (0, "")
        for words in (end, "audit tillit/", "s for the caller"):
            assert words in told.stdout

    after = await monitor.numbers()

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert grown("calls_started_total", **here) == 3
    verdicts = {
        outcome: grown("verdicts_total", outcome=outcome, **here)
        for outcome in ("verified", "refused", "abandoned", "locked", "timeout", "unavailable")
    }
    assert verdicts == {"verified": 1, "refused": 1, "abandoned": 1, "locked": 0, "timeout": 0, "unavailable": 0}
    assert grown("wrong_entries_total", step="pin") == 3
    assert grown("step_seconds_count", step="pin", outcome="passed") == 1
    assert grown("step_seconds_count", step="pin", outcome="failed") == 1
    assert grown("step_seconds_count", step="sms_code", outcome="passed") == 1
    assert grown("texts_total", gateway="outbox", result="taken") == 1
    assert grown("gateway_seconds_count", gateway="outbox") == 1
    for part, node, least in (
        ("ari", "asterisk", 20),
        ("redis", "", 8),
        ("audit", "", 3),
        ("database", "", 4),
        ("pins", "", 4),
        ("texts", "", 1),
    ):
        assert grown("request_seconds_count", part=part, node=node) >= least, part
        assert value(after, "requests_waiting", part=part, node=node) == 0, part
    assert value(after, "node_connected", node="asterisk") == 1
    assert sum(amount for (name, _), amount in after.items() if name == "tillit_calls") == 0
    # what three calls have added is no new series, but for a part's or a trouble's first failure
    new = {name for name, _ in set(after) - set(before)}
    assert new <= {"tillit_troubles_total"}, new
    for where, query in queries():
        # no manager interface is written into these settings, and what of the desk is asked, no worker says
        elsewhere = any(
            word in query for word in ("manager", "talks", "tillit_refusals", "tillit_http", "webhooks", "tillit_pages")
        )
        assert elsewhere or not (why := fault(query, after)), f"{where}: {why}"


async def test_without_redis_it_is_not_ready_and_says_so(scene: Scene, monitor: Monitor) -> None:
    parts = await monitor.until_ready(True)
    assert set(parts) == {"worker", "redis", "database", "audit", "asterisk"}
    scene.stage.redis.stop()
    try:
        parts = await monitor.until_ready(False)
        assert [part for part, told in parts.items() if not told["ready"]] == ["redis"]
        assert str(parts["redis"]["error"]).startswith("Redis")
        assert (await monitor.get("/healthz"))[0] == 200
        numbers = await monitor.numbers()
        assert value(numbers, "ready", part="redis") == 0
        assert value(numbers, "request_failures_total", part="redis", node="", why="failed") >= 1
        caller = await scene.caller()
        await scene.reached("unverified", Status="unavailable")
        await caller.hang_up()
    finally:
        scene.stage.redis.start()
    await monitor.until_ready(True)


async def test_parts_that_answer_and_take_nothing_are_not_ready(scene: Scene, monitor: Monitor) -> None:
    """A Redis that is full, and a database that can be read alone: nobody is verified then."""
    await monitor.until_ready(True)
    scene.redis.config_set("maxmemory", "1")
    try:
        with closing(sqlite3.connect(scene.stage.database, isolation_level=None)) as other:
            other.execute("begin exclusive")
            async with asyncio.timeout(LIMIT):
                failed: list[str] = []
                while failed != ["redis", "audit"]:
                    failed = [part for part, told in (await monitor.until_ready(False)).items() if not told["ready"]]
    finally:
        scene.redis.config_set("maxmemory", "0")
    await monitor.until_ready(True)


async def test_a_worker_that_is_being_stopped_is_not_ready(scene: Scene, monitor: Monitor) -> None:
    """Asterisk does not answer meanwhile, so that the calls cannot be handed back before anybody looks."""
    await monitor.until_ready(True)
    caller = await scene.caller()
    await scene.asked("pin")
    scene.stage.pbx.child.pause()
    try:
        os.kill(scene.worker.child.pid, signal.SIGTERM)
        parts = await monitor.until_ready(False)
        assert parts["worker"] == {"ready": False, "error": "the worker is stopping"}
        assert (await monitor.get("/healthz"))[0] == 200
    finally:
        scene.stage.pbx.child.resume()
    assert await asyncio.to_thread(scene.worker.stop) == 0
    await caller.hang_up()


async def test_without_its_asterisk_it_is_not_ready(stage: Stage, worker: Worker, monitor: Monitor) -> None:
    await monitor.until_ready(True)
    stage.pbx.stop()
    try:
        parts = await monitor.until_ready(False)
        assert parts["asterisk"] == {"ready": False, "error": "not connected to [asterisk]"}
        assert value(await monitor.numbers(), "node_connected", node="asterisk") == 0
    finally:
        stage.pbx.start()
    await monitor.until_ready(True)
    assert worker.child.alive
