"""What monitoring reads, over real HTTP: numbers, whether the worker turns, whether it is ready; and who may read it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from rig.state import CHECKOUT

from ivr.config import Settings
from ivr.errors import AriError, ConfigError, HungUp, StoreError
from ivr.metrics import Health, Meters, Readiness, ready, serving
from ivr.metrics.troubles import TROUBLES
from tests.contract.ari_log import Log, wait_for
from tests.contract.metrics_kit import Served, exposed, heard, samples, served
from tests.contract.monitored import dashboard, fault, queries, rules
from tests.contract.texts_kit import settings_in
from tests.unit.test_docs import logged, page, rows, words

HOSTILE = (
    "+46701740601",
    "Anna Andersson",
    'x"} 1\nevil{',
    "1795318424.31",
    "",
    None,
    7,
    ["pin"],
    {"a": 1},
    b"x",
    1e308,
)


@dataclass
class Watched:
    """A node."""

    place: str = "[asterisk]"
    connected: bool = True
    managed: bool | None = None
    stands_by: bool = False


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(
        tmp_path,
        asterisk={"url": "https://192.0.2.7:8088/ari"},
        **{"nodes.south": {"url": "https://192.0.2.8:8088/ari"}},
    )


# ---------------------------------------------------------------- who may read what


async def test_it_turns_and_is_ready(settings: Settings) -> None:
    async with served(settings) as made:
        assert await made.get("/healthz") == (200, '{"alive":true}\n')
        status, text = await made.get("/readyz")
        assert (status, json.loads(text)["ready"]) == (200, True)
        assert [(await made.get(path))[0] for path in ("/", "/metrics/", "/readyz/redis", "/..", "/%00")] == [404] * 5
        assert [(await made.get("/metrics", method=method))[0] for method in ("POST", "PUT", "DELETE")] == [405] * 3


async def test_a_worker_knows_of_a_part_that_fails_and_of_one_that_is_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready, "_SECONDS", 0.01)
    made = Served(Meters(settings))
    health = Health({part: made.check(part) for part in ("redis", "database")}, seconds=0.05, log=made.log.logger)
    watching = asyncio.create_task(health.watch())
    # the last one is a fault of the program's, which is told of once
    for trouble in ("Redis: ConnectionError", "hangs", "breaks"):
        made.faults = {"redis": trouble}
        await wait_for(lambda: not health.well, "the failure to be known")
        made.faults = {}
        await wait_for(lambda: health.well, "it to be known to be back")
    assert not watching.done()
    watching.cancel()
    (told,) = made.log.of("task.failed")
    assert (told["error"], told["code"]) == ("AttributeError", "ready.redis")


async def test_the_part_that_is_not_ready_is_named(settings: Settings) -> None:
    async with served(settings) as made:
        made.faults = {"redis": "Redis: ConnectionError", "database": "hangs"}
        status, text = await made.get("/readyz")
        assert status == 503
        assert json.loads(text) == {
            "ready": False,
            "parts": {
                "redis": {"ready": False, "error": "Redis: ConnectionError"},
                "database": {"ready": False, "error": "no answer in time"},
                "asterisk": {"ready": True},
            },
        }
        # the process turns all the same: to restart it would help nobody
        assert (await made.get("/healthz"))[0] == 200
        assert await made.number("tillit_ready", part="redis") == 0
        assert await made.number("tillit_ready", part="asterisk") == 1
        made.faults = {}
        assert (await made.get("/readyz"))[0] == 200


async def test_many_who_ask_share_an_answer(settings: Settings) -> None:
    async with served(settings, lasts=60.0) as made:
        answers = await asyncio.gather(*(made.get("/readyz") for _ in range(50)))
        assert {status for status, _ in answers} == {200}
        assert made.looked == 3


@pytest.mark.parametrize("named", [True, False])
async def test_another_machine_reads_nothing_unless_it_is_named(settings: Settings, named: bool) -> None:
    """This machine under its other address stands for another machine."""
    address = another_address()
    if address is None or address.startswith("127."):
        pytest.skip("this machine has no address but the loopback's")
    async with served(settings, host=address, allow=[address if named else "192.0.2.77"]) as made:
        for path in ("/metrics", "/readyz", "/healthz", "/nothing"):
            forwarded = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
            status, text = await made.get(path, **forwarded)
            assert status == (403 if not named else 404 if path == "/nothing" else 200)
            assert named or text == "[metrics] allow does not name this address\n"
        # one line for all of them
        assert [line["peer"] for line in made.log.of("metrics.refused")] == ([] if named else [address])


def another_address() -> str | None:
    """This machine's address on its network, if it has one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = settings_in(tmp_path, metrics={"listen": listen})
        with pytest.raises(ConfigError, match=rf"\[metrics\] listen: {listen} cannot be listened on"):
            async with serving(settings, settings.metrics, "[metrics]", Meters(settings), Readiness({}, seconds=1.0, log=Log().logger), Log().logger):  # fmt: skip
                pass


@pytest.mark.parametrize("fields", [{"listen": "0.0.0.0:9469"}, {"listen": "[::]:9469"}, {"listen": "localhost:9469"}, {"listen": "9469"}])  # fmt: skip
def test_it_is_open_to_nobody_by_mistake(tmp_path: Path, fields: Mapping[str, object]) -> None:
    with pytest.raises(ConfigError, match="metrics"):
        settings_in(tmp_path, metrics=fields)
    settings_in(tmp_path, metrics={"listen": "0.0.0.0:9469", "allow": ["10.0.0.9"]})


async def test_nothing_is_listened_on_unless_it_is_asked_for(settings: Settings) -> None:
    log = Log()
    async with serving(settings, settings.metrics, "[metrics]", Meters(settings), Readiness({}, seconds=1.0, log=log.logger), log.logger):  # fmt: skip
        assert log.lines == []


async def test_broken_requests_do_it_no_harm(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with served(settings) as made:
            for sent in (
                b"\0" * 100,
                b"GET /metrics HTTP/9.9\r\n\r\n",
                b"GET " + b"x" * 100_000 + b"\r\n\r\n",
                b"GET /metr",
            ):
                reader, writer = await asyncio.open_connection(made.host, made.port)
                writer.write(sent)
                writer.write_eof()
                assert not (await reader.read()).startswith(b"HTTP/1.1 2")
                writer.close()
            assert (await made.get("/healthz"))[0] == 200
    assert not caplog.records, "what a peer sends is written nowhere"


# ---------------------------------------------------------------- what is counted


async def test_the_lines_of_a_call_are_counted(settings: Settings) -> None:
    async with served(settings) as made:
        log = heard(made.meters)
        south = log.bind(place="[nodes.south]", call="1.1")
        south.info("call.started", number=None, policy="usual")
        south.info("step.ended", step="pin", outcome="passed", why="", seconds=3.5)
        south.info("call.verified", policy="usual", seconds=4.0)
        south.info("call.hung_up", phase="dialplan", status="verified", policy="usual", seconds=60.0)
        log.info("call.refused", status="locked", lock="number", policy="usual", seconds=9.0)
        log.info("call.hung_up", phase="pin", status="abandoned", policy="usual", seconds=2.0)
        log.error("gateway.failed", gateway="outbox", error="x", seconds=1.0)

        verdicts = {"policy": "usual", "node": "nodes.south"}
        assert await made.number("tillit_calls_started_total", **verdicts) == 1
        assert await made.number("tillit_verdicts_total", outcome="verified", **verdicts) == 1
        assert await made.number("tillit_verdicts_total", outcome="abandoned", **verdicts) == 0
        first = {"policy": "usual", "node": "asterisk"}
        assert await made.number("tillit_verdicts_total", outcome="locked", **first) == 1
        assert await made.number("tillit_locks_total", scope="number") == 1
        assert await made.number("tillit_step_seconds_sum", step="pin", outcome="passed") == 3.5
        assert await made.number("tillit_verification_seconds_count", outcome="abandoned") == 1
        assert await made.number("tillit_texts_total", gateway="outbox", result="failed") == 1
        assert await made.number("tillit_troubles_total", event="gateway.failed", level="error") == 1


async def test_what_a_caller_can_choose_is_no_label(settings: Settings) -> None:
    """Any value in any field of any event: nothing is raised, and no series is there that could not be foreseen."""
    async with served(settings) as made:
        log = heard(made.meters)
        for event, (levels, fields) in logged().items():
            for value in HOSTILE:
                for level in levels:
                    getattr(log, level)(event, **dict.fromkeys(fields | {"place", "policy", "status", "lock"}, value))
                    getattr(log, level)(event)
        _, text = await made.get("/metrics")
        values = {value for _, labels in samples(text) for _, value in labels}
        assert not values & {str(value) for value in HOSTILE if value not in ("", None)}
        assert {"other", "usual", "nodes.south"} <= values
        assert len(samples(text)) < 1200
        # once more, with other values: not one series more
        for number in range(100):
            log.info("call.refused", status=f"s{number}", lock=f"l{number}", policy=f"p{number}", place=f"[n{number}]")
        assert len(samples((await made.get("/metrics"))[1])) == len(samples(text))


PROGRAM = """
import sys
from ivr.config import Log
from ivr.logs import setup

seen = []
log = setup(Log(format="json", level=sys.argv[1]), lambda _, level, line: (seen.append(line["event"]), line)[1])
for level in ("debug", "info", "warning", "error"):
    getattr(log, level)(level)
log.info(",".join(seen)) if sys.argv[1] == "DEBUG" else log.error(",".join(seen))
"""


@pytest.mark.parametrize(
    ("level", "counted", "written"),
    [
        ("DEBUG", ["debug", "info", "warning", "error"], ["debug", "info", "warning", "error"]),
        ("INFO", ["info", "warning", "error"], ["info", "warning", "error"]),
        ("ERROR", ["info", "warning", "error"], ["error"]),
    ],
)
def test_what_is_counted_does_not_hang_on_what_is_written(level: str, counted: list[str], written: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, level], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, timeout=60, check=True
    )
    assert [orjson.loads(line)["event"] for line in ended.stdout.splitlines()] == [*written, ",".join(counted)]


# ---------------------------------------------------------------- parts


class Call:
    """A call that is being run."""

    phase = "find"


async def test_what_is_asked_of_parts_is_timed(settings: Settings) -> None:
    async with served(settings) as made:
        ari, redis = made.meters.timed("ari", "[nodes.south]"), made.meters.timed("redis")
        with ari():
            assert await made.number("tillit_requests_waiting", part="ari", node="nodes.south") == 1
        for error in (
            AriError("GET /channels", 404),
            AriError("GET /channels", 0),
            AriError("GET /channels", 500),
            HungUp("x"),
        ):
            with pytest.raises(type(error)), ari():
                raise error
        with pytest.raises(StoreError), redis():
            raise StoreError("Redis did not answer in time")
        # cut short by a hang-up: no time that the part took
        with pytest.raises(asyncio.CancelledError), redis():
            raise asyncio.CancelledError

        south = {"part": "ari", "node": "nodes.south"}
        assert await made.number("tillit_requests_waiting", **south) == 0
        assert await made.number("tillit_request_seconds_count", **south) == 4
        assert await made.number("tillit_request_seconds_count", part="redis", node="") == 1
        failures = {why: await made.number("tillit_request_failures_total", why=why, **south) for why in ("gone", "no_answer", "refused", "failed")}  # fmt: skip
        assert failures == {"gone": 1, "no_answer": 1, "refused": 1, "failed": 0}
        assert await made.number("tillit_request_failures_total", why="failed", part="redis", node="") == 1


async def test_what_is_there_now_is_looked_up(settings: Settings) -> None:
    async with served(settings) as made:
        north, south = Watched("[asterisk]"), Watched("[nodes.south]", managed=True)
        made.meters.watch(north)
        made.meters.watch(south)
        calls = [Call(), Call()]
        with made.meters.running(calls[0], "[nodes.south]"), made.meters.running(calls[1], "[nodes.south]"):
            calls[1].phase = "sms_code"
            assert await made.number("tillit_calls", phase="find", node="nodes.south") == 1
            assert await made.number("tillit_calls", phase="sms_code", node="nodes.south") == 1
            south.connected = south.managed = False
            assert await made.number("tillit_node_connected", node="nodes.south") == 0
            assert await made.number("tillit_manager_connected", node="nodes.south") == 0
            assert await made.number("tillit_manager_connected", node="asterisk") is None
            assert await made.number("tillit_node_stands_by", node="nodes.south") == 0
            south.stands_by = True
            assert await made.number("tillit_node_stands_by", node="nodes.south") == 1
        assert await made.number("tillit_calls", phase="find", node="nodes.south") == 0


async def test_the_lag_of_the_event_loop_is_seen(settings: Settings) -> None:
    async with served(settings) as made:

        async def looked() -> float:
            return await made.number("tillit_loop_lag_seconds_count") or 0

        before = await looked()
        # nothing else runs meanwhile, as if something of the program's own did not come back
        subprocess.run(["sleep", "1.2"], check=True)  # noqa: ASYNC221
        async with asyncio.timeout(5):
            while await looked() == before:
                pass
        assert (await made.number("tillit_loop_lag_seconds_sum") or 0) > 0.5


# ---------------------------------------------------------------- who reads it


async def test_the_dashboard_and_the_alerts_ask_for_what_is_exposed(tmp_path: Path) -> None:
    """Each metric, label and value; a worker that has just begun has all of them, so that a first step up is seen."""
    async with served(settings_in(tmp_path)) as made:
        made.meters.watch(Watched(managed=True))
        for part in ("redis", "database", "audit", "pins", "texts"):
            made.meters.timed(part)
        made.meters.timed("ari", "[asterisk]")
        _, text = await made.get("/metrics")
    async with exposed(tmp_path) as others:
        exposed_by_all = samples(text) | samples(others)
    asked = list(queries())
    assert len(asked) > 50
    for where, query in asked:
        assert not (why := fault(query, exposed_by_all)), f"{where}: {why}"
    for wrong in (
        "rate(tillit_verdict_total[5m])", 'tillit_verdicts_total{result="verified"}', "sum by (phone) (tillit_calls)",
        'tillit_verdicts_total{outcome=~"verified|happy"}', "sum(tillit_calls", "histogram_quantile(0.9, rate(tillit_gateway_bucket[1m]))",
    ):  # fmt: skip
        assert fault(wrong, exposed_by_all), wrong


def test_the_events_that_alerts_look_for_are_logged() -> None:
    known = logged()
    for event, level in TROUBLES.items():
        assert level in known[event][0], event


def test_every_error_raises_an_alert_at_its_first_time() -> None:
    asked = " ".join(rule["expr"] for rule in rules() if rule["alert"] != "TillitError")
    (rest,) = (rule["expr"] for rule in rules() if rule["alert"] == "TillitError")
    left_out = set(re.findall(r"[a-z]+\.[a-z_]+", rest))
    # these have numbers of their own
    counted = {"call.unavailable", "gateway.failed", "webhook.given_up", "webhooks.given_up"}
    for event, (levels, _) in logged().items():
        if "error" in levels:
            assert TROUBLES[event] == "error", event
            assert event not in left_out or event in counted or event in re.findall(r"[a-z]+\.[a-z_]+", asked), event


def test_every_alert_has_its_section_and_no_other() -> None:
    text = page("monitoring")
    headings = re.findall(r"(?m)^### (\w+)$", text.partition("## The alerts\n")[2].partition("\n## ")[0])
    assert headings == list(dict.fromkeys(headings))
    assert sorted(headings) == sorted(rule["alert"] for rule in rules())
    for rule in rules():
        assert rule["annotations"]["page"] == f"docs/monitoring.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("critical", "warning")


async def test_every_metric_is_told_of_with_its_labels(settings: Settings, tmp_path: Path) -> None:
    async with served(settings) as made:
        _, worker = await made.get("/metrics")
    async with exposed(tmp_path) as desk:
        text = worker + desk
    tables = page("monitoring").split("\n| Metric |")[1:]
    assert len(tables) == 2
    told = {
        words(row[0])[0]: set(words(row[1])) for table in tables for row in rows(f"\n| Metric |{table}", "| Metric |")
    }
    of_samples = {family.name: family for family in text_string_to_metric_families(text)}
    own = {name: family for name, family in of_samples.items() if name.startswith("tillit_")}
    assert set(told) == {f"{name}_total" if family.type == "counter" else name for name, family in own.items()}
    for name, family in own.items():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if labels:
            assert told[f"{name}_total" if family.type == "counter" else name] == labels, name
        assert family.documentation.endswith("."), name


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
