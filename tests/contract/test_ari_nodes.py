"""Nodes that a real Asterisk cannot be made to be: of an unsafe version, of rubbish, or there at the worst moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from ivr import nodes as nodes_module
from ivr import seat as seat_module
from ivr.asterisk.ari import Ari
from ivr.asterisk.inspection import Found
from ivr.asterisk.line import AriLine
from ivr.asterisk.reconcile import Records
from ivr.asterisk.telephony import Telephony
from ivr.call.languages import Languages
from ivr.call.progress import Progress
from ivr.config import Settings
from ivr.errors import ConfigError, Unavailable, Unreachable, WorkerReplaced
from ivr.nodes import Begin, Node, Nodes
from ivr.prompts import Prompt
from ivr.seat import Seat
from tests.contract.ari_log import Log, wait_for
from tests.contract.ari_server import PASSWORD, Answer, AriServer, Asked, Late, Status, Text

NORTH, SOUTH = "[asterisk]", "[nodes.south]"
# The one caller whom these workers may turn away.
TURNED_AWAY = "new"


class Pbx(AriServer):
    """An Asterisk as far as it is looked at."""

    def __init__(self, entity: str, version: str = "22.10.1", default: str = "en", prompts: str = "en sv") -> None:
        super().__init__(self._look)
        self.entity = entity
        self.version = version
        self.default = default
        self.prompts = prompts.split()
        self.apps: list[dict[str, object]] = []

    async def _look(self, asked: Asked) -> Answer:
        match asked.path:
            case "asterisk/info":
                system = {"version": self.version, "entity_id": self.entity}
                return 200, {"system": system, "config": {"default_language": self.default}}
            case "sounds":
                formats = [{"language": language, "format": "slin"} for language in self.prompts]
                return 200, [{"id": f"tillit/{prompt.value}", "formats": formats} for prompt in Prompt]
            case "channels" | "bridges":
                return 200, []
            case "applications":
                return 200, self.apps
            case _:
                return 200, {}


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def north() -> AsyncIterator[Pbx]:
    async with Pbx("north") as pbx:
        yield pbx


@pytest.fixture
async def south() -> AsyncIterator[Pbx]:
    async with Pbx("south") as pbx:
        yield pbx


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARI_PASSWORD", PASSWORD)
    monkeypatch.setattr(nodes_module, "_WAITS", (0.01,))


def settings(
    north: Pbx,
    south: Pbx | None = None,
    language: str | None = None,
    lease: float | None = None,
    shutdown: int = 60,
    at_once: int = 1,
    **fields: str,
) -> Settings:
    """Of a worker on these; `fields` are the second one's."""
    tables: dict[str, Any] = {
        "company": {"name": "Example", "country": "SE", **({"language": language} if language else {})},
        "asterisk": {"url": north.url, "password_env": "ARI_PASSWORD"},
        "policies": {"main": {"steps": ["pin"], "level": 1}},
    }
    tables["worker"] = {"shutdown_seconds": shutdown}
    if lease is not None:
        tables["worker"]["lease_seconds"] = lease
        tables["asterisk"]["request_seconds"] = lease
    if at_once > 1:
        tables["worker"]["at_once"] = at_once
    if south is not None:
        tables["nodes"] = {"south": {"url": south.url, "password_env": "ARI_PASSWORD", **fields}}
    return Settings.model_validate(tables).read_from(Path("/etc/tillit/tillit.toml"))


async def look(settings: Settings, log: Log) -> Nodes:
    """Nodes that have been looked at."""
    async with Nodes(settings, log.logger) as nodes:
        await nodes.look()
        return nodes


def begin(node: Node, seat: Seat, found: Found, kind: type[Telephony] = Telephony) -> Telephony:
    """Serves calls that nobody makes."""

    async def answer(line: AriLine, taken: Progress | None) -> None:
        raise AssertionError

    async def take_up(channel: str, gone: bool) -> Progress | None:
        raise AssertionError(channel)

    async def settled() -> None:
        return

    async def marked() -> frozenset[str]:
        return frozenset()

    async def disown(channel: str) -> bool:
        assert channel == TURNED_AWAY
        return False

    return kind(
        seat.ari,
        node=found.node,
        seconds=1.0,
        country="SE",
        answer=answer,
        marked=marked,
        disown=disown,
        records=Records(marked, take_up, settled),
        log=node.log,
    )


class FakeLease:
    """A lease that nobody else wants, until `free` is cleared. `waiting`: another worker stands by.

    `silent`: Redis does not say whose it is; `unshaken`: it is ours all the same.
    """

    def __init__(self, *, waiting: bool = False) -> None:
        self.free = asyncio.Event()
        self.free.set()
        self.waiting = waiting
        self.given_back = False
        self.held = True
        self.wanted = False
        self.silent = False
        self.unshaken = True
        # how many keep it now, and how often it was offered
        self.keepers = self.offers = 0

    async def take(self, **_: object) -> None:
        await self.free.wait()

    async def keep(self) -> None:
        self.keepers += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.keepers -= 1

    async def ours(self) -> bool | None:
        return None if self.silent else self.held

    async def hand_over(self) -> bool:
        self.offers += 1
        return self.waiting

    async def give_back(self) -> None:
        self.given_back = True


class Serving:
    """Nodes that are being served."""

    def __init__(self, settings: Settings, log: Log, begin: Begin = begin, lease: FakeLease | None = None) -> None:
        self._begin = begin
        self.lease = lease or FakeLease()
        self.stop, self.hurry = asyncio.Event(), asyncio.Event()
        self.nodes = Nodes(settings, log.logger)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Serving:
        await self._stack.enter_async_context(self.nodes)
        await self.nodes.look()
        work = self.nodes.serve(lambda *_: self.lease, self._begin, self.stop, self.hurry)
        self.task = asyncio.create_task(work)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 10)
        await self._stack.aclose()


async def until(log: Log, event: str, count: int = 1) -> dict[str, Any]:
    """Wait for the so-many-th line of this event."""
    async with asyncio.timeout(10):
        while len(log.of(event)) < count:
            await asyncio.sleep(0.005)
    return log.of(event)[count - 1]


# ---------------------------------------------------------------- what will not do


async def test_a_version_that_is_not_safe_is_named_with_its_table(north: Pbx, south: Pbx, log: Log) -> None:
    south.version = "20.19.0~dfsg"
    with pytest.raises(ConfigError) as refused:
        await look(settings(north, south), log)
    assert str(refused.value).startswith(
        "/etc/tillit/tillit.toml: [nodes.south] accept_version: Asterisk 20.19.0 is old"
    )
    assert 'accept_version = "20.19.0"' in str(refused.value)
    await look(settings(north, south, accept_version="20.19.0"), log)
    assert [(line["place"], line["accepted"]) for line in log.of("asterisk.found")[-2:]] == [
        (NORTH, False),
        (SOUTH, True),
    ]


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("asterisk/info", "[]", "url: what answers there is not ARI"),
        ("asterisk/info", '{"system": {"version": "22.10.1"}}', "url: what answers there is not ARI"),
        ("asterisk/info", '{"system": {"version": "22.10.1", "entity_id": "x"}}', "url: what answers there is not ARI"),
        ("sounds", '[1, null, {}, {"id": 1, "formats": []}, {"id": "tillit/welcome"}]', "lacks all prompts"),
        ("sounds", '[{"id": "tillit/welcome", "formats": [1, {}, {"language": 1}]}]', "lacks all prompts"),
    ],
)
async def test_an_answer_that_means_nothing(north: Pbx, south: Pbx, log: Log, path: str, text: str, said: str) -> None:
    south.rule("GET", path, Text(text))
    with pytest.raises(ConfigError) as refused:
        await look(settings(north, south), log)
    assert SOUTH in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize(("path", "text"), [("asterisk/info", "<html>"), ("sounds", "{}"), ("sounds", "<html>")])
async def test_what_is_no_answer_at_all_may_be_one_later(
    north: Pbx, south: Pbx, log: Log, path: str, text: str
) -> None:
    south.rule("GET", path, Text(text))
    async with Serving(settings(north, south), log):
        assert "[nodes.south] url" in (await until(log, "node.unreachable"))["error"]
        await south.until_connected()


async def test_none_answers(north: Pbx, south: Pbx, log: Log) -> None:
    for pbx, status in ((north, 404), (south, 503)):
        pbx.rule("GET", "asterisk/info", Status(status))
    with pytest.raises(Unreachable) as refused:
        await look(settings(north, south), log)
    first, second = str(refused.value).splitlines()
    assert f"[asterisk] url: no answer from {north.url} (404)" in first
    assert f"[nodes.south] url: no answer from {south.url} (503)" in second


async def test_one_node_bears_no_place(north: Pbx, log: Log) -> None:
    async with Serving(settings(north), log):
        await north.until_connected()
    assert log.of("asterisk.found")
    assert not [line for line in log.lines if "place" in line]


# ---------------------------------------------------------------- languages


@pytest.mark.parametrize(
    ("company", "default", "prompts", "own"),
    [
        (None, "en", "en", "en"),
        (None, "sv", "en sv", "sv"),
        (None, "sv_SE", "en sv", "sv"),
        # as it was before its prompts were made
        (None, "sv", "en", "en"),
        (None, "fr", "en", "en"),
        ("sv", "en", "en sv", "sv"),
        ("en", "sv", "en sv", "en"),
    ],
)
async def test_what_is_spoken_where_nobody_chose(
    north: Pbx, log: Log, company: str | None, default: str, prompts: str, own: str
) -> None:
    north.default, north.prompts = default, prompts.split()
    node = Node(settings(north, language=company), NORTH, log.logger)
    await node.open()
    await node.look()
    await node.close()
    assert node.found is not None, node.fault
    assert node.found.languages == Languages(frozenset(prompts.split()), default, own)


# ---------------------------------------------------------------- who comes later


async def test_a_node_that_comes_later_and_is_another_one_in_truth(north: Pbx, south: Pbx, log: Log) -> None:
    south.entity = "north"
    south.rule("GET", "asterisk/info", Status(503))
    async with Serving(settings(north, south), log):
        await until(log, "node.unreachable")
        line = await until(log, "node.refused", 2)
        assert "[asterisk] url, [nodes.south] url: both lead to an Asterisk whose entity_id is north" in line["error"]
        assert south.connections == 0
        # what is mended is served
        south.entity = "south"
        await south.until_connected()
    assert north.connections == 1


class Slow(Telephony):
    """One whose calls take long to be handed back."""

    def __init__(self, ari: Ari, **parts: Any) -> None:
        super().__init__(ari, **parts)
        self.begun, self.done = asyncio.Event(), asyncio.Event()

    async def drained(self, seconds: float) -> None:
        self.begun.set()
        await self.done.wait()
        await super().drained(seconds)


async def test_a_node_that_comes_while_the_worker_stops_is_not_served(north: Pbx, south: Pbx, log: Log) -> None:
    made: list[Slow] = []

    def slowly(node: Node, seat: Seat, found: Found) -> Telephony:
        telephony = begin(node, seat, found, Slow)
        assert isinstance(telephony, Slow)
        made.append(telephony)
        return telephony

    coming = Late()
    south.rule("GET", "asterisk/info", Status(503), coming)
    async with Serving(settings(north, south), log, slowly) as serving:
        await north.until_connected()
        await south.until_asked("GET", "asterisk/info", 2)
        serving.stop.set()
        await asyncio.wait_for(made[0].begun.wait(), 10)
        coming.now.set()
        # it would connect within milliseconds
        with pytest.raises(TimeoutError):
            await south.until(lambda: south.connections > 0, limit=0.3)
        made[0].done.set()
        await asyncio.wait_for(serving.task, 10)


async def test_a_node_that_is_asked_for_ever_does_not_hold_up_the_end(north: Pbx, south: Pbx, log: Log) -> None:
    south.rule("GET", "asterisk/info", Status(503), Late())
    async with Serving(settings(north, south, request_seconds="60"), log) as serving:
        await south.until_asked("GET", "asterisk/info", 2)
        serving.stop.set()
        await asyncio.wait_for(serving.task, 5)


async def test_a_fault_of_the_program_ends_the_worker_with_it(north: Pbx, south: Pbx, log: Log) -> None:
    """Calls of all nodes are handed back: systemd starts it anew, and every node is served."""

    def faulty(node: Node, seat: Seat, found: Found) -> Telephony:
        if node.place == SOUTH:
            raise ZeroDivisionError
        return begin(node, seat, found)

    async with Nodes(settings(north, south), log.logger) as nodes:
        await nodes.look()
        with pytest.raises(ZeroDivisionError):
            await nodes.serve(lambda *_: FakeLease(), faulty, asyncio.Event())
    assert log.of("worker.stopping")


# ---------------------------------------------------------------- several workers


async def test_a_worker_that_stands_by_touches_nothing_and_ends_when_told(north: Pbx, log: Log) -> None:
    lease = FakeLease()
    lease.free.clear()
    async with Serving(settings(north), log, lease=lease) as serving:
        await wait_for(lambda: all(node.stands_by for node in serving.nodes), "it to stand by")
        assert north.connections == 0
        serving.stop.set()
        await asyncio.wait_for(serving.task, 5)
    assert north.connections == 0 and lease.given_back


async def test_a_worker_that_stands_by_serves_when_the_lease_is_free(north: Pbx, log: Log) -> None:
    lease = FakeLease()
    lease.free.clear()
    async with Serving(settings(north), log, lease=lease) as serving:
        lease.free.set()
        await north.until_connected()
        assert not any(node.stands_by for node in serving.nodes)
    assert lease.given_back


async def test_a_worker_that_is_stopped_serves_until_the_next_one_has_come(north: Pbx, log: Log) -> None:
    async with Serving(settings(north), log, lease=FakeLease(waiting=True)) as serving:
        await north.until_connected()
        serving.stop.set()
        await until(log, "worker.stopping")
        assert not serving.task.done()
        await north.emit({"type": "ApplicationReplaced", "application": "tillit"})
        await asyncio.wait_for(serving.task, 5)
    assert log.of("worker.handed_over") and not log.of("worker.replaced")


class Busy(Telephony):
    """One that has a call, which is being verified until it is evicted, or let go of."""

    def __init__(self, ari: Ari, **parts: Any) -> None:
        super().__init__(ari, **parts)
        self.left = 1
        self.why: Exception | None = None

    @property
    def verifying(self) -> int:
        return self.left

    def evict(self, why: Exception) -> None:
        super().evict(why)
        if self.left:
            self.left, self.why = 0, why


class Draining(Serving):
    """A worker that has been told to stop while it has a call."""

    def __init__(self, settings: Settings, log: Log) -> None:
        super().__init__(settings, log, self._busy)
        self._log = log
        self.made: list[Busy] = []

    def _busy(self, node: Node, seat: Seat, found: Found) -> Telephony:
        telephony = begin(node, seat, found, Busy)
        assert isinstance(telephony, Busy)
        self.made.append(telephony)
        return telephony

    async def __aenter__(self) -> Draining:
        await super().__aenter__()
        async with asyncio.timeout(10):
            while not any(node.connected for node in self.nodes):
                await asyncio.sleep(0.005)
        self.stop.set()
        await until(self._log, "worker.draining")
        assert not self.task.done() and self.made[0].why is None
        return self


async def test_a_worker_that_is_stopped_lets_calls_come_to_their_end_and_takes_no_new_ones(
    north: Pbx, log: Log
) -> None:
    async with Draining(settings(north), log) as serving:
        new = {"id": TURNED_AWAY, "caller": {"number": ""}, "language": "en"}
        await north.emit({"type": "StasisStart", "application": "tillit", "args": ["inbound", "main"], "channel": new})
        await north.until_asked("POST", f"channels/{TURNED_AWAY}/continue")
        assert not serving.task.done() and serving.made[0].why is None
        serving.made[0].left = 0
        await asyncio.wait_for(serving.task, 5)
        assert serving.made[0].why is None
    assert not log.of("worker.evicting") and serving.lease.given_back


async def test_who_is_left_when_the_time_is_over_is_handed_back(north: Pbx, log: Log) -> None:
    async with Draining(settings(north, shutdown=1), log) as serving:
        await asyncio.wait_for(serving.task, 5)
    assert isinstance(serving.made[0].why, Unavailable)
    assert log.of("worker.draining")[0]["seconds"] == 1 and log.of("worker.evicting")[0]["calls"] == 1


async def test_a_worker_that_is_told_twice_waits_for_no_call(north: Pbx, log: Log) -> None:
    async with Draining(settings(north), log) as serving:
        serving.hurry.set()
        await asyncio.wait_for(serving.task, 5)
    assert isinstance(serving.made[0].why, Unavailable)


@pytest.mark.parametrize("draining", [False, True])
async def test_a_worker_that_is_told_twice_does_not_wait_for_a_worker_that_does_not_come(
    north: Pbx, log: Log, draining: bool
) -> None:
    """It stood by a moment ago, and hangs, or has died since."""
    slow = settings(north, lease=10)
    async with Draining(slow, log) if draining else Serving(slow, log, lease=FakeLease(waiting=True)) as serving:
        await north.until_connected()
        serving.lease.waiting = True
        serving.stop.set()
        await wait_for(lambda: serving.lease.keepers == 0, "the lease to be handed over")
        assert not serving.task.done()
        serving.hurry.set()
        await asyncio.wait_for(serving.task, 5)
    assert not log.of("worker.not_relieved") and serving.lease.given_back


async def test_a_worker_that_comes_while_calls_come_to_their_end_goes_on_with_them(north: Pbx, log: Log) -> None:
    async with Draining(settings(north), log) as serving:
        serving.lease.waiting = True
        await wait_for(lambda: serving.lease.keepers == 0, "the lease to be handed over")
        serving.lease.held = False
        await north.emit({"type": "ApplicationReplaced", "application": "tillit"})
        await asyncio.wait_for(serving.task, 5)
    assert isinstance(serving.made[0].why, WorkerReplaced) and log.of("worker.handed_over")


async def test_a_worker_that_comes_back_connects_to_nothing_that_another_one_serves_and_stands_by(
    north: Pbx, log: Log
) -> None:
    lease = FakeLease()
    async with Serving(settings(north), log, lease=lease) as serving:
        await north.until_connected()
        lease.held = False
        lease.free.clear()
        north.socket.cut()
        await wait_for(lambda: all(node.stands_by for node in serving.nodes), "it to stand by again")
        assert log.of("worker.relieved") and not log.of("worker.replaced")
        assert north.connections == 1 and serving.nodes.calls == 0
        lease.held = True
        lease.free.set()
        await north.until_connected(2)
    assert lease.given_back


async def test_a_worker_that_was_relieved_and_is_stopped_ends(north: Pbx, log: Log) -> None:
    lease = FakeLease()
    async with Serving(settings(north), log, lease=lease) as serving:
        await north.until_connected()
        lease.held = False
        lease.free.clear()
        north.socket.cut()
        await wait_for(lambda: all(node.stands_by for node in serving.nodes), "it to stand by again")
        serving.stop.set()
        await asyncio.wait_for(serving.task, 5)
    assert lease.given_back


REPLACED = {"type": "ApplicationReplaced", "application": "tillit"}


async def test_a_worker_that_another_one_replaces_without_the_lease_takes_it_back_some_times_and_ends(
    north: Pbx, log: Log
) -> None:
    """They do not share a Redis: to take it back would never end."""
    async with Serving(settings(north), log) as serving:
        for times in range(1, 5):
            await north.until_connected(times)
            assert len(log.of("worker.robbed")) == times - 1 and not serving.task.done()
            await north.emit(REPLACED)
        await asyncio.wait_for(serving.task, 5)
    assert log.of("worker.replaced") and not log.of("worker.relieved")
    assert north.connections == 4


async def test_a_worker_that_is_replaced_while_redis_says_nothing_stands_by(north: Pbx, log: Log) -> None:
    lease = FakeLease()
    async with Serving(settings(north), log, lease=lease) as serving:
        await north.until_connected()
        lease.silent = True
        lease.free.clear()
        await north.emit(REPLACED)
        await wait_for(lambda: all(node.stands_by for node in serving.nodes), "it to stand by")
        assert log.of("worker.relieved") and not log.of("worker.replaced") and north.connections == 1
        lease.silent = False
        lease.free.set()
        await north.until_connected(2)


async def test_a_worker_without_redis_connects_again_while_its_lease_cannot_be_anothers(north: Pbx, log: Log) -> None:
    lease = FakeLease()
    async with Serving(settings(north), log, lease=lease):
        await north.until_connected()
        lease.silent = True
        north.socket.cut()
        await north.until_connected(2)
    assert not log.of("ari.withheld")


async def test_a_worker_whose_lease_may_be_anothers_takes_the_application_from_nobody(north: Pbx, log: Log) -> None:
    lease = FakeLease()
    north.apps = [{"name": "tillit", "channel_ids": []}]
    async with Serving(settings(north), log, lease=lease) as serving:
        await north.until_connected()
        lease.silent, lease.unshaken = True, False
        north.socket.cut()
        await until(log, "ari.withheld")
        await north.until_asked("GET", "applications", 2)
        assert north.connections == 1 and len(log.of("ari.withheld")) == 1
        assert not any(node.stands_by for node in serving.nodes), "its calls are its own still"
        # Asterisk was restarted, and nobody is there
        north.apps = [{"name": "tillit-2", "channel_ids": []}]
        await north.until_connected(2)
        # or Redis says that it is ours
        north.apps = [{"name": "tillit", "channel_ids": []}]
        north.socket.cut()
        await until(log, "ari.withheld", 2)
        lease.silent = False
        await north.until_connected(3)
        # or another one's
        lease.silent, lease.held = True, False
        north.socket.cut()
        await until(log, "ari.withheld", 3)
        lease.free.clear()
        lease.silent = False
        await until(log, "worker.relieved")
    assert north.connections == 3


async def test_a_worker_that_asterisk_is_out_of_reach_of_lets_the_next_one_try(
    north: Pbx, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat_module, "_PATIENCE", 0.2)
    monkeypatch.setattr(seat_module, "_LOOK_SECONDS", 0.02)
    lease = FakeLease(waiting=True)
    async with Serving(settings(north, lease=0.5), log, lease=lease):
        await north.until_connected()
        assert lease.keepers == 1
        north.refuse = 10_000
        north.socket.cut()
        await until(log, "worker.cut_off")
        await wait_for(lambda: lease.keepers == 0, "it to be kept no longer")
        # nobody has come for it
        await wait_for(lambda: lease.keepers == 1, "it to be kept anew")
        # and now somebody has
        lease.held = False
        lease.free.clear()
        await until(log, "worker.relieved")
        await wait_for(lambda: lease.keepers == 0, "it to be kept no longer")


async def test_where_nobody_stands_by_a_lease_is_kept_while_asterisk_is_out_of_reach(
    north: Pbx, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat_module, "_PATIENCE", 0.05)
    monkeypatch.setattr(seat_module, "_LOOK_SECONDS", 0.01)
    lease = FakeLease()
    async with Serving(settings(north), log, lease=lease):
        await north.until_connected()
        north.refuse = 10_000
        north.socket.cut()
        await wait_for(lambda: lease.offers >= 3, "it to be offered")
        assert lease.keepers == 1 and not log.of("worker.cut_off")


async def test_a_worker_that_nobody_comes_to_relieve_hands_its_calls_back(north: Pbx, log: Log) -> None:
    quick = settings(north, lease=0.5)
    async with Serving(quick, log, lease=FakeLease(waiting=True)) as serving:
        await north.until_connected()
        serving.stop.set()
        await asyncio.wait_for(serving.task, 5)
    assert log.of("worker.not_relieved")


# ---------------------------------------------------------------- several at once


class Sharing(Serving):
    """The applications of one node, each with a lease of its own."""

    def __init__(self, settings: Settings, log: Log) -> None:
        super().__init__(settings, log)
        self.leases: dict[str, FakeLease] = {}

    async def __aenter__(self) -> Serving:
        await self._stack.enter_async_context(self.nodes)
        await self.nodes.look()
        self.task = asyncio.create_task(self.nodes.serve(self._lease, self._begin, self.stop))
        return self

    def _lease(self, seat: Seat, found: Found) -> FakeLease:
        return self.leases.setdefault(seat.app, FakeLease())


async def test_what_is_more_than_one_is_given_to_a_worker_that_has_none(
    north: Pbx, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes_module, "_SHARE_LOOK_SECONDS", 0.01)
    async with Sharing(settings(north, at_once=2), log) as serving:
        assert isinstance(serving, Sharing)
        await north.until_connected(2)
        (node,) = serving.nodes
        await wait_for(lambda: len(node.served) == 2, "both to be served")
        own, more = node.served
        assert node.claims(own) and not node.claims(more)
        for lease in serving.leases.values():
            lease.wanted = lease.waiting = True
        lease = serving.leases[more.app]
        await wait_for(lambda: lease.offers, "the second one to be offered")
        lease.free.clear()
        lease.wanted = False
        (socket,) = [socket for socket in north.sockets if socket.app == more.app]
        await socket.send({"type": "ApplicationReplaced", "application": more.app})
        await wait_for(lambda: node.served == [own] and more.stands_by, "it to be given, and stood by for")
        assert [line["app"] for line in log.of("worker.handed_over")] == [more.app]
        assert serving.leases[own.app].offers == 0 and node.connected and not node.stands_by
        # the other one dies
        lease.free.set()
        await wait_for(lambda: node.served == [own, more], "it to be taken again")


async def test_what_nobody_comes_for_is_kept(north: Pbx, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes_module, "_SHARE_LOOK_SECONDS", 0.01)
    async with Sharing(settings(north, lease=0.5, at_once=2), log) as serving:
        assert isinstance(serving, Sharing)
        await north.until_connected(2)
        (node,) = serving.nodes
        await wait_for(lambda: len(node.served) == 2, "both to be served")
        lease = serving.leases[node.served[1].app]
        lease.wanted = lease.waiting = True
        await wait_for(lambda: lease.offers and not lease.keepers, "it to be offered")
        lease.wanted = False
        await wait_for(lambda: lease.keepers == 1, "it to be kept again")
        assert len(node.served) == 2
