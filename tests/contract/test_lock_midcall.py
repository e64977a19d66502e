"""What an agent may do to a call, on a real Redis and a real audit trail; who is on the line says the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import ivr.store.topic as topic_module
import ivr.store.waits as waits_module
from ivr.call.outcome import Status
from ivr.call.ports import Party, Waiting
from ivr.errors import InputError, StoreError
from ivr.lock import Begun, Channel, Denied, Dropped, Reason, State, Why
from ivr.staff import Permission
from ivr.store.desks import RedisDesks
from ivr.store.link import Link, Script
from ivr.store.news import Heard, News
from ivr.store.waits import RedisWaits
from tests.contract.ari_log import Log, wait_for
from tests.contract.live_server import Server, placed
from tests.contract.lock_kit import ANNA, BO, NODE, SVEN, Desk, denied, desk_of
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers

CALL = Channel(NODE, "c.1")
AGENT = "PJSIP/anna-00000001"


@pytest.fixture
async def desk(tmp_path: Path, server: Server) -> AsyncIterator[Desk]:
    async with desk_of(settings_in(tmp_path), server) as made:
        yield made


async def pressed(desk: Desk, call: Channel = CALL, policy: str = "support") -> Begun | Denied:
    return await desk.midcall.verify(ANNA, desk.id(call.id), policy)


async def test_the_caller_is_parted_from_the_agent(desk: Desk) -> None:
    desk.joined(ANNA, "c.1")
    assert await pressed(desk) == Begun(desk.id(), CALL, "support")
    assert desk.switch.done == [("part", NODE, "c.1", "own-p-anna", "support")]
    assert await desk.last() == (
        "desk:anna", "call.verify", "asked", "c.1", "",
        {"person": "p-anna", "tenant": "acme", "node": NODE, "policy": "support"},
    )  # fmt: skip
    # until a worker says something else, it has come to nothing
    (current,) = await desk.lock.current(ANNA)
    assert (current.state, current.ended) == (State.REFUSED, Status.UNAVAILABLE)


async def test_no_other_policy_than_those_of_the_settings(desk: Desk) -> None:
    desk.joined(ANNA, "c.1")
    assert [one.name for one in desk.midcall.offered(ANNA.tenant)] == list(desk.settings.policies)
    with pytest.raises(InputError, match=r"^policy: may not be chosen here\. Here belong: "):
        await pressed(desk, policy="nobody-wrote-this")
    assert desk.switch.done == []


@pytest.mark.parametrize(
    ("others", "reason"), [((), Reason.NO_CALL), (("c.1", "c.2"), Reason.THIRD_PARTY), (("c.3",), Reason.NO_CALL)]
)
async def test_who_is_not_the_one_caller_is_left_alone(desk: Desk, others: tuple[str, ...], reason: Reason) -> None:
    desk.joined(ANNA, *others)
    assert await pressed(desk) == denied(reason)
    assert desk.switch.done == []
    assert (await desk.rows())[-1] == ("desk:anna", "call.verify", "refused")


async def test_a_colleague_who_is_there_would_be_left_alone(desk: Desk) -> None:
    desk.joined(ANNA, "c.1")
    (talk,) = desk.talks.talks["PJSIP/anna"]
    colleague = Party("own-p-bo", "PJSIP/bo", None, False, 1.0)
    desk.talks.talks["PJSIP/anna"] = (replace(talk, others=(*talk.others, colleague)),)
    (current,) = await desk.lock.current(ANNA)
    assert not current.verifiable
    assert await pressed(desk) == denied(Reason.THIRD_PARTY)
    assert desk.switch.done == []


async def test_who_may_not_sees_no_buttons_and_presses_none(desk: Desk) -> None:
    await desk.call()
    desk.staff.change(ANNA, denied=frozenset({Permission.VERIFY}))
    (current,) = await desk.lock.current(ANNA)
    assert (current.verifiable, current.droppable) == (False, False)
    assert await pressed(desk) == denied(Reason.NOT_PERMITTED)
    assert await desk.midcall.drop(ANNA, desk.id(), Why.OVER) == denied(Reason.NOT_PERMITTED)


async def test_nobody_presses_for_another(desk: Desk) -> None:
    await desk.call()
    assert await desk.midcall.verify(BO, desk.id(), "support") == denied(Reason.NO_CALL)
    assert await desk.midcall.drop(SVEN, desk.id(), Why.OVER) == denied(Reason.NO_CALL)
    assert desk.switch.done == []


async def test_a_press_is_judged_when_it_comes(desk: Desk) -> None:
    """Also when it was judged a moment before, and the trail was told of it meanwhile."""
    desk.joined(ANNA, "c.1")

    async def taken_elsewhere(asked: int) -> None:
        if asked > 2:
            desk.joined(ANNA, "c.2")

    desk.talks.meanwhile = taken_elsewhere
    assert await pressed(desk) == denied(Reason.NO_CALL)
    assert desk.switch.done == []
    assert [row[1:] for row in await desk.rows()] == [("call.verify", "asked"), ("call.verify", "refused")]
    # and nothing keeps that agent from pressing for the next caller, or another one for this
    desk.talks.meanwhile = None
    assert isinstance(await pressed(desk, Channel(NODE, "c.2")), Begun)


async def test_the_same_caller_on_another_phone_is_another_matter(desk: Desk) -> None:
    desk.joined(ANNA, "c.1")

    async def another(asked: int) -> None:
        if asked > 2:
            (talk,) = desk.talks.talks["PJSIP/anna"]
            desk.talks.talks["PJSIP/anna"] = (replace(talk, own=replace(talk.own, channel="another")),)

    desk.talks.meanwhile = another
    assert await pressed(desk) == denied(Reason.NO_CALL)
    assert desk.switch.done == []


async def test_pressed_twice_it_is_done_once(desk: Desk) -> None:
    desk.joined(ANNA, "c.1")
    assert isinstance(await pressed(desk), Begun)
    assert await pressed(desk) == denied(Reason.UNDER_WAY)
    assert len(desk.switch.done) == 1


async def test_a_mark_of_before_is_void_from_then_on_whether_or_not_there_is_a_worker(desk: Desk) -> None:
    ref = await desk.call()
    desk.switch.gone = True
    assert await pressed(desk) == denied(Reason.NO_CALL)
    assert await desk.live.mark(*CALL) is not None, "nothing was done"
    desk.switch.gone = False
    assert isinstance(await pressed(desk), Begun)
    assert await desk.live.mark(*CALL) is None
    assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.NOT_VERIFIED)


async def test_one_that_was_won_meanwhile_stays(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker may be done before this process goes on."""
    ref = await desk.call()
    part = desk.switch.part

    async def parted(*asked: Any) -> bool:
        done = await part(*asked)
        await desk.live.disown(*CALL)
        mark = await desk.marked(ref)
        await desk.live.disown(*CALL)
        await placed(desk.live, replace(mark, nonce="another"))
        return done

    monkeypatch.setattr(desk.switch, "part", parted)
    assert isinstance(await pressed(desk), Begun)
    assert (await desk.live.mark(*CALL)) is not None


async def test_who_has_hung_up_meanwhile_is_not_parted_and_nothing_is_left(desk: Desk) -> None:
    desk.joined(ANNA, "c.1")
    desk.switch.gone = True
    assert await pressed(desk) == denied(Reason.NO_CALL)
    (current,) = await desk.lock.current(ANNA)
    assert (current.state, current.ended) == (State.NOT_VERIFIED, None)
    desk.switch.gone = False
    assert isinstance(await pressed(desk), Begun)


@pytest.mark.parametrize("part", ["talks", "switch"])
async def test_a_part_that_is_down_lets_nothing_happen(desk: Desk, part: str) -> None:
    desk.joined(ANNA, "c.1")
    getattr(desk, part).down = True
    reason = Reason.UNKNOWN_BRIDGES if part == "talks" else Reason.UNAVAILABLE
    assert await pressed(desk) == denied(reason)
    assert desk.switch.done == []


async def test_without_a_row_nothing_happens(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await desk.call()

    async def down(_: object) -> str:
        raise StoreError("database: gone")

    monkeypatch.setattr(desk.trail, "append", down)
    assert await pressed(desk) == denied(Reason.UNAVAILABLE)
    assert await desk.midcall.drop(ANNA, desk.id(), Why.OVER) == denied(Reason.UNAVAILABLE)
    assert desk.switch.done == []
    assert await desk.live.mark(*CALL) is not None


async def test_without_redis_nothing_happens(desk: Desk, server: Server) -> None:
    desk.joined(ANNA, "c.1")
    server.stop()
    assert await pressed(desk) == denied(Reason.UNAVAILABLE)
    assert desk.switch.done == []


# ---------------------------------------------------------------- the mark goes


@pytest.mark.parametrize("why", list(Why))
async def test_the_mark_goes_and_all_that_announces_it(desk: Desk, why: Why) -> None:
    ref = await desk.call()
    assert await desk.midcall.drop(ANNA, desk.id(), why) == Dropped(CALL, why)
    assert await desk.live.mark(*CALL) is None
    assert await desk.live.marked(NODE) == frozenset()
    assert (await desk.last())[:5] == ("desk:anna", "mark.drop", why.value, "c.1", ref)
    wrong = [("event", NODE, "CallerWrongPerson", "c.1", ref, "p-anna")] if why is Why.WRONG_PERSON else []
    assert desk.switch.done == [("unmark", NODE, "c.1", "own-p-anna"), *wrong]
    assert len(desk.log.of("mark.wrong_person")) == len(wrong)
    assert await desk.midcall.drop(ANNA, desk.id(), why) == denied(Reason.NOT_VERIFIED)


async def test_it_goes_whoever_else_is_there(desk: Desk) -> None:
    """To shut is always right."""
    ref = await desk.call()
    desk.joined(ANNA, "c.1", "c.2")
    assert [one.droppable for one in await desk.lock.current(ANNA)] == [True, False]
    assert isinstance(await desk.midcall.drop(ANNA, desk.id(), Why.OVER), Dropped)
    assert (await desk.last())[4] == ref


async def test_only_the_very_mark_goes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = await desk.call()
    append = desk.trail.append

    async def verified_anew(entry: object) -> str:
        if getattr(entry, "action", "") == "mark.drop":
            monkeypatch.undo()
            await desk.live.disown(*CALL)
            mark = await desk.marked(ref)
            await desk.live.disown(*CALL)
            await placed(desk.live, replace(mark, nonce="another"))
        return await append(entry)  # type: ignore[arg-type]

    monkeypatch.setattr(desk.trail, "append", verified_anew)
    assert await desk.midcall.drop(ANNA, desk.id(), Why.OVER) == denied(Reason.NOT_VERIFIED)
    assert (await desk.live.mark(*CALL)) is not None
    assert desk.switch.done == []


async def test_what_cannot_be_taken_back_in_asterisk_is_told_of(desk: Desk) -> None:
    await desk.call()
    desk.switch.down = True
    assert isinstance(await desk.midcall.drop(ANNA, desk.id(), Why.WRONG_PERSON), Dropped)
    assert await desk.live.mark(*CALL) is None
    assert len(desk.log.of("midcall.not_shown")) == 1


# ---------------------------------------------------------------- how far a caller is

WAITING = Waiting(NODE, "c.1", AGENT, "+46…01", 17.5)


class Worker:
    """What a worker tells, and what desks hear of it."""

    def __init__(self, desks: RedisDesks, waits: RedisWaits, log: Log) -> None:
        self.desks, self.waits, self.log = desks, waits, log
        self.heard: list[Heard] = []
        self.came = 0

    def again(self) -> None:
        self.came += 1

    async def tells(self, waiting: Waiting) -> None:
        """Passed on, and heard."""
        before = len(self.heard)
        self.desks.tell(waiting)
        await wait_for(lambda: len(self.heard) > before)


@pytest.fixture
async def worker(server: Server) -> AsyncIterator[Worker]:
    settings, log = server.settings(), Log()
    async with AsyncExitStack() as stack:
        desks = await stack.enter_async_context(RedisDesks.of(settings, log.logger))
        link = Link.of(settings)
        stack.push_async_callback(link.close)
        made = Worker(desks, RedisWaits(link, settings.redis.prefix), log)
        await stack.enter_async_context(News(settings, told=made.heard.append, came=made.again, log=log.logger))
        await wait_for(lambda: made.came == 1)
        yield made


async def test_an_agent_who_waits_sees_how_far_the_caller_is(desk: Desk, worker: Worker) -> None:
    asked = replace(WAITING, step="pin", keyed=3, least=4, most=8)
    await worker.tells(asked)
    assert worker.heard[-1] == Heard(endpoint="PJSIP/anna")
    assert await desk.lock.current(ANNA) == (), "Asterisk does not say that this phone waits"
    desk.switch.waiting.add(AGENT)
    (current,) = await desk.lock.current(ANNA)
    assert (current.id, current.call, current.state, current.shut, current.number) == (
        desk.id(), CALL, State.VERIFYING, Reason.NO_CALL, "+46…01",
    )  # fmt: skip
    assert current.keying is not None
    assert (current.keying.step, current.keying.keyed, current.keying.least, current.keying.most) == ("pin", 3, 4, 8)
    assert (current.verifiable, current.droppable) == (False, False)
    assert await desk.lock.current(BO) == ()
    assert await pressed(desk) == denied(Reason.NO_CALL)
    # who is on the line again is shown as that
    desk.joined(ANNA, "c.1")
    (current,) = await desk.lock.current(ANNA)
    assert (current.state, current.ended, current.keying) == (State.REFUSED, Status.UNAVAILABLE, None)


@pytest.mark.parametrize(
    ("status", "state"),
    [(Status.VERIFIED, State.NOT_VERIFIED), (Status.REFUSED, State.REFUSED), (Status.LOCKED, State.REFUSED)],
)
async def test_how_it_ended_is_known_when_they_are_back(
    desk: Desk, worker: Worker, status: Status, state: State
) -> None:
    desk.switch.waiting.add(AGENT)
    await worker.tells(WAITING)
    await worker.tells(replace(WAITING, status=status.value))
    (current,) = await desk.lock.current(ANNA)
    assert (current.state, current.ended) == (State.VERIFYING, status), "on the way back"
    desk.joined(ANNA, "c.1")
    (current,) = await desk.lock.current(ANNA)
    assert (current.state, current.ended) == (state, None if status is Status.VERIFIED else status)


async def test_a_caller_who_has_hung_up_is_told_of_for_a_while(desk: Desk, worker: Worker, server: Server) -> None:
    desk.switch.waiting.add(AGENT)
    await worker.tells(WAITING)
    await worker.tells(replace(WAITING, status=Status.ABANDONED.value))
    (current,) = await desk.lock.current(ANNA)
    assert (current.state, current.keying) == (State.GONE, None)
    server.pass_time(16)
    assert await desk.lock.current(ANNA) == ()


async def test_what_was_told_is_forgotten_in_time(worker: Worker, server: Server) -> None:
    """It is asked of each of them whether the agent still waits."""
    await worker.tells(WAITING)
    await worker.tells(replace(WAITING, agent="PJSIP/anna-00000002", status=Status.VERIFIED.value))
    assert len((await worker.waits.of("PJSIP/anna"))[0]) == 2
    key = f"{server.settings().redis.prefix}:waits:pjsip/anna"
    for agent, told in server.client.hgetall(key).items():
        ends, _, text = told.partition(" ")
        server.client.hset(key, agent, f"{int(ends) - 61_000} {text}")
    assert (await worker.waits.of("PJSIP/anna"))[0] == (WAITING,)
    assert server.client.hlen(key) == 1


async def test_of_what_comes_at_once_the_latest_is_passed_on(worker: Worker) -> None:
    for count in range(50):
        worker.desks.tell(replace(WAITING, step="pin", keyed=count, least=4, most=8))
    await wait_for(lambda: bool(worker.heard))
    waits, gone = await worker.waits.of("PJSIP/ANNA")
    assert ([one.keyed for one in waits], gone) == ([49], None)
    assert len(worker.heard) < 5


async def test_the_desks_hear_of_marks(desk: Desk, worker: Worker) -> None:
    worker.desks.changed(NODE, "c.1")
    await wait_for(lambda: worker.heard == [Heard(node=NODE, channel="c.1")])
    await desk.call()
    await desk.midcall.drop(ANNA, desk.id(), Why.OVER)
    await wait_for(lambda: worker.heard == [Heard(node=NODE, channel="c.1")] * 2)


async def test_a_redis_that_is_away_harms_nobody_and_is_told_of_once(worker: Worker, server: Server) -> None:
    server.stop()
    for _ in range(3):
        worker.desks.tell(WAITING)
        worker.desks.changed(NODE, "c.1")
    await wait_for(lambda: bool(worker.log.of("desks.untold")) and bool(worker.log.of("news.lost")))
    server.start()
    await wait_for(lambda: worker.came == 2)
    await worker.tells(WAITING)
    assert len(worker.log.of("desks.untold")) == 1


async def test_a_user_who_may_not_publish_is_told_of_and_pages_look_by_themselves(
    worker: Worker, server: Server
) -> None:
    server.client.acl_setuser("default", enabled=True, commands=["-publish"])
    worker.desks.tell(WAITING)
    await wait_for(lambda: bool(worker.log.of("desks.untold")))
    assert [line["error"] for line in worker.log.of("desks.untold")] == ["it may not publish: see config/redis.conf"]
    assert (await worker.waits.of("PJSIP/anna"))[0] == (WAITING,)


async def test_a_redis_that_is_silent_is_left(worker: Worker, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_module, "_SILENCE", 0.2)
    # what is waited for now has the longer limit still
    server.client.publish(f"{server.settings().redis.prefix}:news", b"{}")
    await wait_for(lambda: len(worker.heard) == 1)
    server.pause(on=True)
    await wait_for(lambda: bool(worker.log.of("news.lost")))
    assert worker.log.of("news.lost")[0]["error"] == "no answer"
    server.pause(on=False)
    await wait_for(lambda: worker.came > 1)


async def test_an_unknown_answer_is_no_answer(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits_module, "WAITS", Script("clock", "probe"))
    with pytest.raises(StoreError, match="Redis gave an unknown answer to probe"):
        await worker.waits.of("PJSIP/anna")


async def test_news_that_nobody_understands_stirs_all_pages(worker: Worker, server: Server) -> None:
    server.client.publish(f"{server.settings().redis.prefix}:news", b'{"of": "another version"}')
    await wait_for(lambda: worker.came == 2)


async def test_rubbish_where_a_wait_should_stand(worker: Worker, server: Server) -> None:
    server.client.hset(f"{server.settings().redis.prefix}:waits:pjsip/anna", AGENT, "99999999999999 rubbish")
    with pytest.raises(StoreError, match="what stands for a caller who is waited for is none"):
        await worker.waits.of("PJSIP/anna")
