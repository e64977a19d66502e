"""Webhooks: from a row of the trail to a receiver on a real port, past errors, delays and kills."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme
from aiohttp.abc import AbstractResolver

from ivr.call.mark import Mark
from ivr.call.ports import Entry
from ivr.config import Webhook
from ivr.errors import ConfigError, StoreError
from ivr.hooks import events, line, post
from ivr.hooks.events import Row
from ivr.hooks.outbox import Outbox
from ivr.hooks.post import Post
from ivr.hooks.receiver import Receiver, Refusal
from ivr.secret import Secret
from ivr.store.link import Link
from ivr.store.live import RedisLive
from ivr.store.turn import Turn
from tests.contract.hooks_kit import SECRET, Listener, listening
from tests.contract.live_server import Server, placed
from tests.contract.lock_kit import Lines
from tests.unit.database_kit import INDEX, asked, database_of, settings_in, trail_of

pytestmark = pytest.mark.servers

ALL = ("call.verified", "call.refused", "mark.ended")
NODE = "node-a"


@dataclass
class Clock:
    """Real time, and what the test adds."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class World:
    """A trail, marks, and whoever tells of them."""

    database: Any
    trail: Any
    live: RedisLive
    link: Link
    prefix: str
    clock: Clock = field(default_factory=Clock)
    log: Any = field(default_factory=Lines)

    def outbox(self, *names: str, kinds: tuple[str, ...] = ALL) -> Outbox:
        return Outbox(self.database, dict.fromkeys(names or ("crm",), kinds))

    async def round(self, channel: str, outcome: str = "verified", **detail: str) -> None:
        """A verification has ended."""
        told = {"node": NODE, "policy": "usual", "level": "2", "number": "+46…67", "round": "first", "steps": "pin:passed,sms_code:passed", **detail}  # fmt: skip
        await self.trail.append(Entry("caller", "verify", outcome, call=channel, subject="abcdefghijkl", detail=told))

    async def mark(self, channel: str, seconds: int = 600) -> Mark:
        made = Mark(NODE, channel, "abcdefghijkl", 2, ("pin",), "usual", int(time.time()) + seconds, f"n-{channel}")
        await placed(self.live, made)
        return made

    async def left(self) -> list[Any]:
        return await asked(self.database, "SELECT receiver, dead, tries FROM webhook_messages ORDER BY place")

    async def empty(self) -> None:
        """Until nothing is left to be told."""
        async with asyncio.timeout(10):
            while await self.left():
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def posting(self, *listeners: Listener, **more: Any) -> AsyncIterator[asyncio.Task[None]]:
        """A process that tells them, as the settings `more` say."""
        names = [f"r{number}" for number in range(len(listeners))]
        receivers = {
            name: Receiver(Webhook(url=one.url, **more), [Secret(one.secret)], _no_tls())
            for name, one in zip(names, listeners, strict=True)
        }
        turn = Turn(self.link, self.prefix, "webhooks", seconds=post.TURN_SECONDS)
        made = Post(receivers, self.outbox(*names), self.live, turn, INDEX, self.log, wall=self.clock)
        task = asyncio.create_task(made.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _no_tls() -> Any:
    return ssl.create_default_context()


@pytest.fixture
async def world(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(post, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(line, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(line, "_WAITS", (0.02,))
    monkeypatch.setattr(line, "_AWAY_WAITS", (0.02,))
    settings = server.settings()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(await database_of(settings_in(tmp_path)))
        trail = await stack.enter_async_context(trail_of(database, "tillit"))
        live = await RedisLive.open(settings)
        stack.push_async_callback(live.close)
        link = Link.of(settings)
        stack.push_async_callback(link.close)
        made = World(database, trail, live, link, settings.redis.prefix)
        # what was before is told to nobody
        await made.round("before")
        await made.outbox().read(0, INDEX)
        yield made


async def test_verified_refused_and_ended_are_told_in_order(world: World) -> None:
    async with listening() as heard, world.posting(heard):
        mark = await world.mark("c.1")
        await world.round("c.1")
        await heard.until(lambda one: len(one.taken) == 1)
        async with asyncio.timeout(10):
            while (await asked(world.database, "SELECT until FROM webhook_marks")) != [(mark.expires,)]:
                await asyncio.sleep(0.01)
        await world.live.disown(NODE, "c.1")
        await heard.until(lambda one: len(one.taken) == 2)
        await world.round("c.2", "refused", steps="pin:wrong")
        await heard.until(lambda one: len(one.taken) == 3)
        await world.empty()
        verified, ended, refused = (one.body for one in heard.heard)
        first = heard.heard[0].id
    assert [one["type"] for one in (verified, ended, refused)] == ["call.verified", "mark.ended", "call.refused"]
    data = verified["data"]
    assert (data["node"], data["channel"], data["customer"], data["level"]) == (NODE, "c.1", "abcdefghijkl", 2)
    assert (data["methods"], data["policy"], data["round"]) == (["pin", "sms_code"], "usual", "first")
    assert data["call"] == INDEX.call(NODE, "c.1"), "as the API calls it"
    assert ended["data"]["call"] == data["call"]
    assert (ended["data"]["reason"], ended["data"]["verified"]) == ("over", first)
    # nobody has shown to be that customer
    assert "customer" not in refused["data"] and refused["data"]["outcome"] == "refused"
    assert "46" not in str(refused["data"].get("number", ""))
    told = world.log.of("webhook.told")
    assert len(told) == 3 and SECRET not in str(world.log.lines)


async def test_a_mark_that_runs_out_and_one_that_was_never_there(world: World) -> None:
    async with listening() as heard, world.posting(heard):
        await world.mark("c.1", seconds=2)
        await world.round("c.1")
        await world.round("c.2")
        await heard.until(lambda one: len(one.taken) == 2)
        world.clock.ahead = 30
        await heard.until(lambda one: ("mark.ended", "c.1") in one.taken and ("mark.ended", "c.2") in one.taken)
    reasons = {one.body["data"]["channel"]: one.body["data"]["reason"] for one in heard.heard if one.body["type"] == "mark.ended"}  # fmt: skip
    assert reasons == {"c.1": "expired", "c.2": "over"}


async def test_why_an_agent_took_it_away_is_told(world: World) -> None:
    async with listening() as heard, world.posting(heard):
        await world.mark("c.1")
        await world.round("c.1")
        await heard.until(lambda one: len(one.taken) == 1)
        drop = Entry(
            "desk:anna", "mark.drop", "wrong_person", call="c.1", subject="abcdefghijkl", detail={"node": NODE}
        )
        await world.trail.append(replace(drop, outcome="refused"))
        await world.trail.append(drop)
        await world.live.disown(NODE, "c.1")
        await heard.until(lambda one: len(one.taken) == 2)
    assert heard.heard[1].body["data"]["reason"] == "wrong_person"


async def test_a_mark_that_another_round_has_made_void(world: World) -> None:
    async with listening() as heard, world.posting(heard):
        await world.mark("c.1")
        await world.round("c.1")
        await heard.until(lambda one: len(one.taken) == 1)
        void = Entry("worker", "mark.void", "refused", call="c.1", subject="abcdefghijkl", detail={"node": NODE})
        await world.trail.append(void)
        await world.live.disown(NODE, "c.1")
        await heard.until(lambda one: len(one.taken) == 2)
    assert heard.heard[1].body["data"]["reason"] == "void"


@pytest.mark.parametrize(("dropped", "reason"), [("wrong_person", "wrong_person"), ("", "anew")])
async def test_each_mark_that_is_told_of_is_told_to_have_ended(world: World, dropped: str, reason: str) -> None:
    """Also where the next one was there before anybody looked, as after an hour without a desk."""
    await world.round("c.1")
    if dropped:
        drop = Entry("desk:anna", "mark.drop", dropped, call="c.1", subject="abcdefghijkl", detail={"node": NODE})
        await world.trail.append(drop)
    await world.round("c.1", level="3")
    await world.mark("c.1")
    async with listening() as heard, world.posting(heard):
        await heard.until(lambda one: len(one.taken) == 3)
        await world.live.disown(NODE, "c.1")
        await heard.until(lambda one: len(one.taken) == 4)
    first, ended, second, last = (one.body for one in heard.heard)
    assert [one["type"] for one in (first, ended, second, last)] == ["call.verified", "mark.ended"] * 2
    assert (ended["data"]["verified"], ended["data"]["reason"]) == (heard.heard[0].id, reason)
    assert (second["data"]["level"], last["data"]["verified"]) == (3, heard.heard[2].id)


def test_another_row_of_the_same_number_is_another_message() -> None:
    """A back-up that is put back has its chains go on with numbers that were told of."""
    made = Row("tillit", 7, "a" * 64, "2026-11-22T10:00:00.000000Z", "verify", "refused", "c.1", "", {"node": NODE})
    first, second = events.of(made, "main"), events.of(replace(made, hash="b" * 64), "main")
    assert first is not None and second is not None and first.id != second.id and first == events.of(made, "main")


async def test_a_receiver_that_is_away_is_asked_now_and_then_and_told_all_when_it_is_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # none of them would be tried again by itself while this test runs
    monkeypatch.setattr(line, "_WAITS", (3600,))
    async with listening() as heard:
        heard.answers = [503] * 12
        async with world.posting(heard):
            for number in range(30):
                await world.round(f"c.{number}", "refused")
            await heard.until(lambda one: len(one.taken) == 30)
            await world.empty()
        # eight at once at most until it was known, then one after another
        assert len(heard.heard) == 42 and [one.status for one in heard.heard].count(503) == 12
    assert len(world.log.of("webhook.away")) == len(world.log.of("webhook.back")) == 1
    assert len(world.log.of("webhook.failed")) == 12


async def test_one_message_that_is_never_taken_makes_nobody_away(world: World) -> None:
    async with listening() as heard:
        heard.answers = [500] * 30
        async with world.posting(heard):
            await world.round("c.1", "refused")
            await heard.until(lambda one: len(one.taken) == 1)
    assert len(world.log.of("webhook.failed")) == 30 and not world.log.of("webhook.away")


async def test_what_nobody_came_to_try_is_given_up_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_OLD_SECONDS", 0.0)
    monkeypatch.setattr(line, "_AWAY_WAITS", (3600,))
    async with listening() as heard:
        heard.answers = [503] * 1000
        async with world.posting(heard):
            for number in range(40):
                await world.round(f"c.{number}", "refused")
                await world.round(f"c.{number}", "timeout")
            await _until(lambda: world.log.of("webhook.away"))
            async with asyncio.timeout(10):
                while len(await world.left()) < 80:
                    await asyncio.sleep(0.01)
            world.clock.ahead = 73 * 3600
            await _until(lambda: world.log.of("webhooks.given_up"))
        assert sum(one["count"] for one in world.log.of("webhooks.given_up")) == 80
        assert (await world.outbox("r0").standing())["r0"].dead == 80
    # and anew, in order
    async with listening() as heard:
        assert await world.outbox("r0").revive("r0", time.time()) == 80
        world.clock.ahead = 0
        async with world.posting(heard):
            await heard.until(lambda one: len(one.taken) == 80)
        told: dict[str, list[str]] = {}
        for one in heard.heard:
            told.setdefault(one.body["data"]["channel"], []).append(one.body["data"]["outcome"])
        assert set(map(tuple, told.values())) == {("refused", "timeout")}


async def test_what_was_given_up_is_told_anew_before_what_follows_it(world: World) -> None:
    outbox = world.outbox()
    for outcome in "refused", "timeout", "locked":
        await world.round("c.1", outcome)
    assert await outbox.read(0, INDEX) == 3

    async def due() -> list[str]:
        return [orjson.loads(one.body)["data"]["outcome"] for one in await outbox.due("crm", time.time(), 10)]

    (first,) = await outbox.due("crm", time.time(), 10)
    await outbox.not_taken(first, None)
    (second,) = await outbox.due("crm", time.time(), 10)
    assert await due() == ["timeout"]
    assert await outbox.revive("crm", time.time()) == 1
    assert await due() == ["refused"]
    # what was on its way meanwhile waits behind it
    await outbox.not_taken(second, 1.0)
    assert await due() == ["refused"]
    for expected in "refused", "timeout", "locked":
        (message,) = await outbox.due("crm", time.time(), 10)
        assert expected in message.body
        await outbox.taken(message)
    assert await due() == []


async def test_what_is_next_is_found_by_an_index(world: World) -> None:
    """A receiver that is away for days has hundreds of thousands of messages, and they are asked for each second."""
    plan = await asked(
        world.database, "EXPLAIN QUERY PLAN SELECT * FROM webhook_messages WHERE receiver = 'crm' AND dead IS 0 AND due <= 5 ORDER BY due, place LIMIT 16"
    )  # fmt: skip
    assert [row[-1] for row in plan] == [
        "SEARCH webhook_messages USING INDEX webhook_messages_by_due (receiver=? AND due<?)"
    ]


async def test_a_row_that_nobody_can_read_is_told_of_and_stops_nothing_but_the_reading(world: World) -> None:
    async with listening() as heard, world.posting(heard):
        await world.round("c.1", "verified", level="x")
        await _until(lambda: world.log.of("task.failed"))
        assert world.log.of("task.failed")[0]["code"] == "webhooks/read"
        assert not heard.arrived


async def test_what_is_not_taken_is_told_again_and_nothing_of_the_call_before_it(world: World) -> None:
    async with listening() as heard:
        heard.answers = [500, 503, 429, 302, 404]
        heard.headers = {"Location": heard.url, "Retry-After": "0"}
        async with world.posting(heard):
            await world.round("c.1", "refused")
            await world.round("c.1", "timeout")
            await heard.until(lambda one: len(one.taken) == 2)
        outcomes = [(one.status, one.body["data"]["outcome"]) for one in heard.heard]
        assert outcomes == [(status, "refused") for status in (500, 503, 429, 302, 404, 204)] + [(204, "timeout")]
        assert len({one.id for one in heard.heard}) == 2
    assert [line["tries"] for line in world.log.of("webhook.failed")] == [1, 2, 3, 4, 5]
    assert "302" in world.log.of("webhook.failed")[3]["error"]


async def test_a_slow_one_holds_up_neither_other_calls_nor_others(world: World) -> None:
    async with listening() as slow, listening() as quick:
        slow.stuck.add("c.1")
        async with world.posting(slow, quick):
            await world.round("c.1", "refused")
            await slow.until(lambda one: one.arrived)
            for number in range(2, 12):
                await world.round(f"c.{number}", "refused")
            await world.round("c.1", "timeout")
            await quick.until(lambda one: len(one.taken) == 12)
            await slow.until(lambda one: len(one.taken) == 10)
            assert not [channel for _, channel in slow.taken if channel == "c.1"]
            slow.go.set()
            await slow.until(lambda one: len(one.taken) == 12)
        assert [one.body["data"]["outcome"] for one in slow.heard if one.body["data"]["channel"] == "c.1"] == ["refused", "timeout"]  # fmt: skip


async def test_one_that_does_not_answer_in_time_is_told_again(world: World) -> None:
    async with listening() as heard:
        heard.stuck.add("c.1")
        async with world.posting(heard, seconds=1):
            await world.round("c.1", "refused")
            await heard.until(lambda one: len(one.arrived) == 2)
            heard.go.set()
            await heard.until(lambda one: len(one.taken) >= 1)
        assert len(set(heard.arrived)) == 1
    assert world.log.of("webhook.failed")[0]["error"] == "it did not answer in time"


async def test_killed_at_any_moment_nothing_is_lost_and_doubles_are_known_by_their_id(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "_ENDING_SECONDS", 0)
    told = 30
    async with listening() as heard:
        feeding = asyncio.create_task(_feed(world, told))
        kills = 0
        while not (
            feeding.done() and await world.outbox("r0").standing() == {"r0": _nothing()} and len(heard.taken) >= told
        ):
            async with world.posting(heard) as task:
                await asyncio.wait([task, asyncio.create_task(heard.news.wait())], timeout=0.3, return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
                heard.news.clear()
            kills += 1
            assert kills < 2000
        await feeding
        first: dict[str, str] = {}
        for one in heard.heard:
            first.setdefault(one.id, one.body["data"]["outcome"])
        # each once by its id, and in its call in order
        assert len(first) == told
        for call in range(3):
            mine = [outcome for outcome in first.values() if outcome.startswith(f"{call}:")]
            assert mine == [f"{call}:{number}" for number in range(told // 3)]
    assert kills > 3


async def _feed(world: World, count: int) -> None:
    for number in range(count):
        await world.round(f"c.{number % 3}", f"{number % 3}:{number // 3}")


def _nothing() -> Any:
    from ivr.hooks.outbox import Standing

    return Standing(0, 0, 0)


async def test_one_process_at_a_time(world: World) -> None:
    async with listening() as heard:
        async with world.posting(heard), world.posting(heard), world.posting(heard):
            for number in range(20):
                await world.round(f"c.{number}", "refused")
            await heard.until(lambda one: len(one.taken) == 20)
        # whoever was told to stop has given its turn back
        async with world.posting(heard):
            await world.round("c.99", "refused")
            await heard.until(lambda one: len(one.taken) >= 21)
    assert len(heard.arrived) == 21, (
        [(n, one.body["data"]["channel"]) for n, one in enumerate(heard.heard) if heard.arrived.count(one.id) > 1],
        world.log.lines,
    )


async def test_what_is_being_told_by_one_that_stops_is_not_told_again(world: World) -> None:
    async with listening() as heard:
        heard.stuck = {"c.1"}
        async with world.posting(heard) as first:
            await world.round("c.1", "refused")
            await heard.until(lambda one: len(one.arrived) == 1)
            async with world.posting(heard):
                first.cancel()
                for _ in range(50):
                    await asyncio.sleep(0)
                heard.go.set()
                await asyncio.gather(first, return_exceptions=True)
                await world.empty()
    assert len(heard.arrived) == 1


async def test_in_the_end_it_is_given_up_and_may_be_tried_again(world: World) -> None:
    async with listening() as heard:
        heard.answers = [500] * 3
        async with world.posting(heard):
            await world.round("c.1", "refused")
            await heard.until(lambda one: len(one.heard) == 3 and one.heard[-1].status == 500)
            heard.answers = [500] * 1000
            world.clock.ahead = 73 * 3600
            await _until(lambda: world.log.of("webhook.given_up"))
            heard.answers = []
            world.clock.ahead = 0
            # what follows it in the same call goes on
            await world.round("c.1", "timeout")
            await heard.until(lambda one: len(one.taken) == 1)
            assert (await world.outbox("r0").standing())["r0"].dead == 1
            assert await world.outbox("r0").revive("r0", time.time()) == 1
            await heard.until(lambda one: len(one.taken) == 2)
            await world.empty()


async def test_one_that_is_gone_for_good_is_given_up_at_once(world: World) -> None:
    async with listening() as heard:
        heard.answers = [410]
        async with world.posting(heard):
            await world.round("c.1", "refused")
            await _until(lambda: world.log.of("webhook.given_up"))
            assert len(heard.heard) == 1
            # kept for a month, then thrown away
            world.clock.ahead = 31 * 24 * 3600
            await _until(lambda: world.log.of("webhooks.forgotten"))
            await world.empty()


async def test_what_is_too_old_is_not_begun_with_and_other_kinds_are_left_out(world: World) -> None:
    await world.round("c.1", "refused", happened="2020-01-01T00:00:00.000000Z")
    await world.round("c.2", "refused")
    await world.round("c.3", "verified")
    outbox = Outbox(world.database, {"crm": ("call.refused",)})
    assert await outbox.read(int(time.time()) - 3600, INDEX) == 3
    assert await outbox.read(int(time.time()) - 3600, INDEX) == 0
    assert [one.body for one in await outbox.due("crm", time.time(), 10) if "c.2" in one.body]
    assert len(await outbox.due("crm", time.time(), 10)) == 1
    # of receivers that the settings have no more, nothing is kept
    assert await Outbox(world.database, {"other": ALL}).forget(0) == 1


async def test_rows_of_several_workers_are_told_once_each(world: World) -> None:
    async with trail_of(world.database, "south") as south:
        await world.round("c.1", "refused")
        row = Entry("caller", "verify", "timeout", call="c.1", detail={"node": NODE, "policy": "usual"})
        await south.append(row)
        outbox = world.outbox()
        assert await outbox.read(0, INDEX) == 2
        bodies = []
        while found := await outbox.due("crm", time.time(), 10):
            assert len(found) == 1  # of one call, one after another
            bodies.append(found[0].body)
            await outbox.taken(found[0])
        assert len(bodies) == 2
        await south.append(row)
        assert await outbox.read(0, INDEX) == 1


async def test_a_database_or_redis_that_is_away_is_told_of_and_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening() as heard, world.posting(heard):
        broken = True
        look_up = world.database.look_up

        async def failing(work: Any) -> Any:
            if broken:
                raise StoreError("database: gone")
            return await look_up(work)

        monkeypatch.setattr(world.database, "look_up", failing)
        await world.round("c.1", "refused")
        await _until(lambda: world.log.of("webhooks.unavailable"))
        broken = False
        await heard.until(lambda one: len(one.taken) == 1)


async def test_what_cannot_be_noted_is_told_twice_and_a_fault_of_ours_stops_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[Exception] = [StoreError("database: gone"), RuntimeError("hidden")]
    taken = Outbox.taken

    async def failing(self: Outbox, message: Any) -> None:
        if faults:
            raise faults.pop(0)
        await taken(self, message)

    monkeypatch.setattr(Outbox, "taken", failing)
    async with listening() as heard, world.posting(heard):
        await world.round("c.1", "refused")
        await heard.until(lambda one: len(one.arrived) == 3)
        await world.empty()
        assert len(set(heard.arrived)) == 1
    assert world.log.of("webhooks.unavailable") and world.log.of("task.failed")[0]["error"] == "RuntimeError"
    assert "hidden" not in str(world.log.lines)


async def test_whoever_has_hung_sends_nothing_behind_its_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # each look at the clock is a minute behind the one before
    monkeypatch.setattr(post, "monotonic", count(step=60).__next__)
    async with listening() as heard, world.posting(heard):
        await world.round("c.1", "refused")
        async with asyncio.timeout(10):
            while not await world.left():
                await asyncio.sleep(0.01)
        assert heard.arrived == []


async def _until(told: Any) -> None:
    async with asyncio.timeout(20):
        while not told():
            await asyncio.sleep(0.01)


# ---------------------------------------------------------------- where it may be


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://10.0.0.5/hook", "private"), ("https://169.254.169.254/latest/meta-data", "private"),
        ("https://[fd00::1]/hook", "private"), ("https://[::ffff:10.0.0.5]/", "private"), ("https://127.0.0.2/", "private"),
        ("http://127.0.0.1:1/hook", "cannot be connected to"), ("https://nobody.invalid/hook", "not known"),
    ],
)  # fmt: skip
async def test_it_goes_where_it_may_and_nowhere_else(url: str, words: str) -> None:
    receiver = Receiver(Webhook(url=url), [Secret(SECRET)], _no_tls())
    try:
        refusal = await receiver.tell("msg_1", "{}", time.time())
    finally:
        await receiver.close()
    assert refusal is not None and words in refusal.words and "http" not in refusal.words


async def _served(answer: bytes) -> tuple[asyncio.Server, int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, int(server.sockets[0].getsockname()[1])


@pytest.mark.parametrize(
    ("scheme", "answer", "words", "reached"),
    [
        ("http", b"nonsense\r\n\r\n", "not HTTP", True),
        ("http", b"", "broke", False),
        ("https", b"HTTP/1.1 200 OK\r\n\r\n", "TLS", False),
        ("http", b"HTTP/1.1 307 Elsewhere\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", "elsewhere", True),
    ],
)
async def test_what_is_no_receiver_is_said_in_words(scheme: str, answer: bytes, words: str, reached: bool) -> None:
    server, port = await _served(answer)
    receiver = Receiver(Webhook(url=f"{scheme}://127.0.0.1:{port}/hook"), [Secret(SECRET)], _no_tls())
    try:
        refusal = await receiver.tell("msg_1", "{}", time.time())
        assert refusal is not None and words in refusal.words and str(port) not in refusal.words
        assert (await receiver.reach() is None) is reached
    finally:
        await receiver.close()
        server.close()
        await server.wait_closed()


async def test_one_that_never_answers_cannot_be_reached() -> None:
    async with listening() as heard:
        receiver = Receiver(Webhook(url=heard.url, seconds=1), [Secret(SECRET)], _no_tls())
        silent = await asyncio.start_server(_listens_only, "127.0.0.1", 0)
        receiver._url = receiver._url.with_port(silent.sockets[0].getsockname()[1])
        assert await receiver.reach() == "it did not answer in time"
        await receiver.close()
        silent.close()
        await silent.wait_closed()


async def _listens_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)
    writer.close()


class Leads(AbstractResolver):
    """Every name to one address."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        return [
            {"hostname": host, "host": self._address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
        ]

    async def close(self) -> None:
        pass


async def test_a_name_that_leads_to_a_private_address_and_a_certificate_of_nobody_known() -> None:
    inside = Receiver(Webhook(url="https://crm.example.com/"), [Secret(SECRET)], _no_tls(), Leads("10.0.0.5"))
    refusal = await inside.tell("msg_1", "{}", time.time())
    assert refusal is not None and "private" in refusal.words
    await inside.close()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(_listens_only, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    stranger = Receiver(Webhook(url=f"https://127.0.0.1:{port}/"), [Secret(SECRET)], _no_tls())
    assert await stranger.tell("msg_1", "{}", time.time()) == Refusal("its certificate is not good")
    await stranger.close()
    server.close()
    await server.wait_closed()


async def test_a_redis_that_answers_strangely_gives_nobody_the_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = Turn(world.link, world.prefix, "webhooks", seconds=1)

    async def run(*_: object) -> list[bytes]:
        return [b"?"]

    monkeypatch.setattr(world.link, "run", run)
    with pytest.raises(StoreError, match="unknown answer to turn"):
        await turn.mine()


async def test_both_secrets_sign(world: World) -> None:
    other = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
    async with listening() as heard:
        for mine in (SECRET, other):
            heard.secret = mine
            receiver = Receiver(Webhook(url=heard.url), [Secret(SECRET), Secret(other)], _no_tls())
            assert await receiver.tell("msg_1", '{"type":"x","data":{"channel":"c"}}', time.time()) is None
            await receiver.close()


def test_a_secret_that_is_none_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = server.settings('[webhooks.crm]\nurl = "https://crm.example.com/"\nsecret_env = "HOOK"\n')
    hook = settings.webhooks["crm"]
    for text in ("whsec_" + "%" * 40, "whsec_" + "=" * 40):
        with pytest.raises(ConfigError, match="is not whsec_ and Base64") as refused:
            Receiver.of(settings, "crm", hook, [Secret(text)])
        assert text not in str(refused.value)
    monkeypatch.setenv("HOOK", "short")
    with pytest.raises(ConfigError, match="of 32 characters"):
        post.secrets_of_hook(settings, "crm", hook)
    monkeypatch.setenv("HOOK", SECRET)
    assert Receiver.of(settings, "crm", hook, post.secrets_of_hook(settings, "crm", hook))


@pytest.mark.parametrize("url", ["http://crm.example.com/hook", "http://10.0.0.1/", "https:///x", "ftp://x/"])
def test_an_address_in_clear_is_refused(server: Server, url: str) -> None:
    with pytest.raises(ConfigError, match=r"\[webhooks.crm\]"):
        server.settings(f'[webhooks.crm]\nurl = "{url}"\nsecret_env = "HOOK"\n')
