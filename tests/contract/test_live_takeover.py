"""Leases and records on a real Redis: who serves an application, and what another worker needs to go on with its calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import replace

import pytest

from ivr.call.mark import Mark
from ivr.call.outcome import Factor, Failed, Locked, Passed, Reason, Refused, Scope, Status
from ivr.call.ports import Attempt, Challenge, Granted, Opened, Right, Wrong
from ivr.errors import StoreError, TakenUp
from ivr.store import calls
from ivr.store.lease import Lease
from ivr.store.live import RedisLive
from tests.contract.ari_log import Log, wait_for
from tests.contract.live_server import LIMITS, RULES, Server, placed, round_of

pytestmark = pytest.mark.servers

CALL = "node:1712.5"
ANNA = Attempt("anna", "number", CALL)
SECONDS = 0.6


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Server:
    shared.client.flushall()
    return shared


@pytest.fixture
async def live(server: Server) -> AsyncIterator[RedisLive]:
    opened = await RedisLive.open(server.settings(LIMITS, redis_lines="request_seconds = 10.0"))
    yield opened
    await opened.close()


@pytest.fixture
def log() -> Log:
    return Log()


def lease(live: RedisLive, log: Log, *, node: str = "node", app: str = "tillit", needed: bool = True) -> Lease:
    return live.lease(node, app, seconds=SECONDS, needed=needed, log=log.logger)


# ---------------------------------------------------------------- leases


async def test_who_holds_a_lease_keeps_it_and_another_waits_until_it_lapses(live: RedisLive, log: Log) -> None:
    first, second = lease(live, log), lease(live, log)
    await first.take()
    keeping = asyncio.create_task(first.keep())
    waiting = asyncio.create_task(second.take())
    await wait_for(lambda: log.of("worker.stands_by"), "the second to stand by")
    begun = time.monotonic()
    await wait_for(lambda: time.monotonic() > begun + 2 * SECONDS, "two lengths of the lease")
    assert not waiting.done()
    keeping.cancel()
    await asyncio.wait_for(waiting, 5)
    assert len(log.of("worker.took_over")) == 1 and log.of("lease.failed") == []


async def test_a_lease_is_handed_to_who_waits_and_to_nobody_else(live: RedisLive, server: Server, log: Log) -> None:
    first, second = lease(live, log), lease(live, log)
    await first.take()
    assert await first.hand_over() is False
    assert server.client.exists("tillit:lease:node:tillit")
    waiting = asyncio.create_task(second.take())
    await wait_for(lambda: log.of("worker.stands_by"), "the second to stand by")
    assert await first.hand_over() is True
    await asyncio.wait_for(waiting, SECONDS)
    # the first has nothing more to give
    await first.give_back()
    assert await second.hand_over() is False
    await second.give_back()
    assert server.client.keys() == []


async def test_who_stops_waiting_is_waited_for_no_longer(live: RedisLive, log: Log) -> None:
    first, second = lease(live, log), lease(live, log)
    await first.take()
    waiting = asyncio.create_task(second.take())
    await wait_for(lambda: log.of("worker.stands_by"), "the second to stand by")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await second.give_back()
    assert await first.hand_over() is False


async def test_other_applications_and_other_asterisks_have_leases_of_their_own(live: RedisLive, log: Log) -> None:
    await lease(live, log).take()
    await lease(live, log, app="other").take()
    await lease(live, log, node="02:42:ac").take()
    assert log.of("worker.stands_by") == []


async def test_a_lease_that_was_lost_is_told_of_once_and_taken_anew(live: RedisLive, server: Server, log: Log) -> None:
    first = lease(live, log)
    await first.take()
    server.client.set("tillit:lease:node:tillit", "somebody", px=60_000)
    keeping = asyncio.create_task(first.keep())
    await wait_for(lambda: log.of("lease.failed"), "the loss to be told of")
    assert log.of("lease.failed")[0]["error"] == "another worker has it"
    assert await first.hand_over() is False
    server.client.delete("tillit:lease:node:tillit")
    await wait_for(lambda: server.client.exists("tillit:lease:node:tillit"), "the lease to be taken anew")
    keeping.cancel()
    assert len(log.of("lease.failed")) == 1


async def test_redis_away_is_told_of_once_and_nobody_takes_over(live: RedisLive, server: Server, log: Log) -> None:
    first, second = lease(live, log), lease(live, log)
    await first.take()
    server.kill()
    try:
        keeping, waiting = asyncio.create_task(first.keep()), asyncio.create_task(second.take())
        await wait_for(lambda: len(log.of("lease.failed")) == 2, "both to notice")
        assert await first.hand_over() is False
        assert not waiting.done() and not keeping.done()
    finally:
        server.start()
    # one of them has it, the other waits or says so
    await wait_for(lambda: server.client.exists("tillit:lease:node:tillit"), "the lease to be taken")
    for task in (keeping, waiting):
        task.cancel()
    await asyncio.gather(keeping, waiting, return_exceptions=True)


async def test_who_has_one_takes_another_only_where_there_are_calls(live: RedisLive, server: Server, log: Log) -> None:
    """Of several applications of one Asterisk; the first one, which the dialplan names, is always taken."""
    spare = lease(live, log, app="tillit-2", needed=False)
    waiting = asyncio.create_task(spare.take(spare=lambda: True))
    trips = live.round_trips
    await wait_for(lambda: live.round_trips >= trips + 3, "it to have asked")
    assert not waiting.done() and server.client.keys() == [] and not spare.held
    # there is nobody whom it stands by for
    assert log.of("worker.stands_by") == []
    await live.begin(replace(round_of(), app="tillit-2"))
    await asyncio.wait_for(waiting, 5)
    assert spare.held
    await asyncio.wait_for(lease(live, log).take(spare=lambda: True), 5)


async def test_who_has_one_takes_another_where_calls_are_that_nobody_has_recorded(live: RedisLive, log: Log) -> None:
    """Whoever had it died before it wrote them down."""
    busy = False

    async def looked() -> bool:
        return busy

    spare = lease(live, log, app="tillit-2", needed=False)
    waiting = asyncio.create_task(spare.take(spare=lambda: True, busy=looked))
    trips = live.round_trips
    await wait_for(lambda: live.round_trips >= trips + 3, "it to have asked")
    assert not waiting.done()
    busy = True
    await asyncio.wait_for(waiting, 5)
    assert spare.held


async def test_a_lease_is_not_given_to_who_would_not_take_it(live: RedisLive, log: Log) -> None:
    """A worker that has another one comes only where there are calls; who waited for it would wait in vain."""
    first, rich = lease(live, log, app="tillit-2", needed=False), lease(live, log, app="tillit-2", needed=False)
    await first.take()
    waits = asyncio.create_task(rich.take(spare=lambda: True))
    await wait_for(lambda: log.of("worker.stands_by"), "the rich one to stand by")
    assert await first.hand_over() is False and await first.ours() is True
    await live.begin(replace(round_of(), app="tillit-2"))
    trips = live.round_trips
    await wait_for(lambda: live.round_trips >= trips + 2, "it to have asked")
    assert await first.hand_over() is True
    await asyncio.wait_for(waits, 5)


async def test_who_has_got_another_one_since_wants_this_one_no_longer(live: RedisLive, log: Log) -> None:
    first, second = lease(live, log, app="tillit-2", needed=False), lease(live, log, app="tillit-2", needed=False)
    has = False
    await first.take()
    waits = asyncio.create_task(second.take(spare=lambda: has))
    await wait_for(lambda: log.of("worker.stands_by"), "it to be wanted")
    has = True
    trips = live.round_trips
    await wait_for(lambda: live.round_trips >= trips + 2, "it to have asked")
    assert await first.ours() and not first.wanted and await first.hand_over() is False
    waits.cancel()


async def test_who_lost_a_lease_and_serves_on_is_given_it_back_by_one_that_cannot_serve(
    live: RedisLive, log: Log
) -> None:
    first, second = lease(live, log), lease(live, log)
    await first.take()
    await first.hand_over()
    await first.give_back()
    await second.take()
    keeping = asyncio.create_task(first.keep())
    await wait_for(lambda: log.of("lease.failed"), "the loss to be told of")
    async with asyncio.timeout(5):
        while not await second.hand_over():
            await second.ours()
    await wait_for(lambda: first.held, "it to be back")
    keeping.cancel()


async def test_who_has_none_goes_first_and_is_known_of(live: RedisLive, server: Server, log: Log) -> None:
    holder, rich, poor = (lease(live, log) for _ in range(3))
    await holder.take()
    keeping = asyncio.create_task(holder.keep())
    waits = asyncio.create_task(rich.take(spare=lambda: True))
    await wait_for(lambda: log.of("worker.stands_by"), "the rich one to stand by")
    await holder.ours()
    assert not holder.wanted
    wants = asyncio.create_task(poor.take())
    await wait_for(lambda: holder.wanted, "the poor one to be known of")
    keeping.cancel()
    assert await holder.hand_over() is True and not holder.held
    await asyncio.wait_for(wants, 5)
    assert poor.held and not poor.wanted and not waits.done()
    # it wants nothing more, and whoever is left may have it
    await poor.give_back()
    await asyncio.wait_for(waits, 5)
    await rich.give_back()
    assert server.client.keys() == []


async def test_of_several_one_is_asked_for_after_another(live: RedisLive, log: Log) -> None:
    """A worker that has none takes one, not all of them."""
    turn = asyncio.Lock()
    first, second = lease(live, log), lease(live, log, app="tillit-2", needed=False)
    taking = [
        asyncio.create_task(one.take(spare=lambda other=other: other.held, turn=turn))  # type: ignore[misc]
        for one, other in ((first, second), (second, first))
    ]
    trips = live.round_trips
    await wait_for(lambda: live.round_trips >= trips + 5, "both to have asked")
    assert [task.done() for task in taking] == [True, False]
    taking[1].cancel()
    await asyncio.gather(*taking, return_exceptions=True)


# ---------------------------------------------------------------- records


async def test_what_is_told_comes_back_and_whoever_takes_it_up_holds_it(live: RedisLive) -> None:
    progress = round_of()
    await live.begin(progress)
    lock = Locked(Scope.CUSTOMER, 900)
    outcomes = [Passed("pin", Factor.KNOWLEDGE), Failed("sms_code", Reason.WRONG), lock]
    told = replace(progress, subject="anna", hinted=True, tried=2, wrong=3, lock_told=True, challenge="id").refused(
        Refused("usual", Status.LOCKED, lock), outcomes
    )
    await live.note(told)
    assert await live.recorded("node", "tillit") == {"1712.5"}
    assert await live.recorded("node", "other") == await live.recorded("other", "tillit") == frozenset()
    taken = await live.take_up("node", "tillit", "1712.5", gone=False)
    assert taken is not None and taken.holder != told.holder and taken.taken == 1
    assert replace(taken, holder=told.holder, taken=0) == told
    assert taken.verdict == Refused("usual", Status.LOCKED, lock) and taken.passed == ("pin",)
    # the one before changes nothing any more, the next may
    with pytest.raises(TakenUp):
        await live.note(replace(told, subject="bo"))
    await live.end(told)
    await live.note(replace(taken, wrong=4))
    again = await live.take_up("node", "tillit", "1712.5", gone=False)
    assert again is not None and (again.subject, again.wrong, again.taken) == ("anna", 4, 2)
    await live.end(again)
    assert await live.take_up("node", "tillit", "1712.5", gone=False) is None
    assert await live.recorded("node", "tillit") == frozenset()


async def test_each_script_notes_what_it_did_and_no_more(live: RedisLive) -> None:
    progress = replace(round_of(), subject="anna")
    await live.begin(progress)

    async def stands() -> tuple[int, tuple[str, ...], str]:
        nonlocal progress
        found = await live.take_up("node", "tillit", "1712.5", gone=False)
        assert found is not None
        progress = found
        return found.tried, found.steps, found.challenge

    assert await live.standing(ANNA, replace(progress, tried=1)) is None
    assert await stands() == (1, (), "")
    assert await live.attempt(ANNA, progress.trying()) == Granted()
    assert await stands() == (2, (), "")
    await live.give_back(ANNA, progress.passing("pin"))
    assert await stands() == (0, ("pin:passed",), "")
    sent = Challenge("id", "anna", CALL, "mac")
    assert await live.open_challenge(sent, RULES, replace(progress, challenge="id")) == Opened()
    assert await stands() == (0, ("pin:passed",), "id")
    # too soon: nothing was sent
    await live.open_challenge(sent, RULES, replace(progress, challenge="other"))
    assert await stands() == (0, ("pin:passed",), "id")
    wrong = replace(sent, mac="another")
    assert await live.try_challenge(wrong, ANNA, RULES, progress.passing("sms_code")) == Wrong(2)
    assert await stands() == (0, ("pin:passed",), "id")
    assert await live.try_challenge(sent, ANNA, RULES, progress.passing("sms_code")) == Right()
    assert await stands() == (0, ("pin:passed", "sms_code:passed"), "")
    for _ in range(3):
        await live.attempt(ANNA, progress)
    assert isinstance(await live.attempt(ANNA, progress.trying()), Locked)
    assert (await stands())[0] == 0


async def test_only_who_holds_the_call_marks_it_and_drops_its_mark(live: RedisLive, server: Server) -> None:
    mark = Mark("node", "1712.5", "ref-1", 2, ("pin",), "usual", int(time.time()) + 60, "nonce-1")
    first = await placed(live, mark)
    # found in the dialplan, it keeps the mark
    second = await live.take_up("node", "tillit", "1712.5", gone=True)
    assert second is not None and await live.mark("node", "1712.5") == mark
    await live.drop_mark(first, over=True)
    assert await live.mark("node", "1712.5") == mark
    # found in the application, it is to be marked anew
    third = await live.take_up("node", "tillit", "1712.5", gone=False)
    assert third is not None and await live.mark("node", "1712.5") is None
    for former in (first, second):
        with pytest.raises(TakenUp):
            await live.place_mark(mark, ANNA, former)
    await live.place_mark(mark, ANNA, third)
    await live.drop_mark(third, over=False)
    assert await live.recorded("node", "tillit") == {"1712.5"} and await live.marked("node") == frozenset()
    await live.drop_mark(third, over=True)
    assert server.client.keys("*call:node*") == server.client.keys("*calls*") == []
    # and of a call that is over nobody marks anything
    with pytest.raises(StoreError, match="record is lost"):
        await live.place_mark(mark, ANNA, third)


async def test_who_has_lost_the_call_counts_and_consumes_nothing(live: RedisLive) -> None:
    """A worker that hung, and comes to with a right code that had been keyed meanwhile."""
    former = replace(round_of(), subject="anna", challenge="id")
    sent = Challenge("id", "anna", CALL, "mac")
    await live.begin(former)
    await live.open_challenge(sent, RULES, former)
    await live.attempt(ANNA, former)
    holder = await live.take_up("node", "tillit", "1712.5", gone=False)
    assert holder is not None
    late: list[Awaitable[object]] = [
        live.note(former),
        live.standing(ANNA, former),
        live.attempt(ANNA, former),
        live.open_challenge(Challenge("other", "anna", CALL, "mac"), replace(RULES, resend=0), former),
        live.try_challenge(sent, ANNA, RULES, former),
        live.try_challenge(replace(sent, mac="another"), ANNA, RULES, former),
        # the PIN that it counted before was right
        live.give_back(ANNA, former),
    ]
    for work in late:
        with pytest.raises(TakenUp):
            await work
    assert await live.try_challenge(replace(sent, mac="another"), ANNA, RULES, holder) == Wrong(2)
    assert await live.try_challenge(sent, ANNA, RULES, holder) == Right()
    # one wrong code: the limit of a call is not reached by what was tried late
    assert await live.standing(ANNA) is None and await live.attempt(ANNA, holder) == Granted()


async def test_a_connection_may_be_made_unless_another_worker_has_the_lease(
    live: RedisLive, server: Server, log: Log
) -> None:
    first, second = lease(live, log), lease(live, log)
    await first.take()
    assert await first.ours() is True and await second.ours() is False
    assert first.unshaken and not second.unshaken
    server.kill()
    try:
        assert await first.ours() is None and await second.ours() is None
        # there is nobody who can have taken it, however long that lasts
        begun = time.monotonic()
        await wait_for(lambda: time.monotonic() > begun + 2 * SECONDS, "two lengths of the lease")
        assert first.unshaken and not second.unshaken
    finally:
        server.start()


async def test_a_lease_that_another_worker_waits_for_is_ours_without_redis_until_it_has_lapsed(
    live: RedisLive, server: Server, log: Log
) -> None:
    first, second = lease(live, log), lease(live, log)
    await first.take()
    waiting = asyncio.create_task(second.take())
    await wait_for(lambda: log.of("worker.stands_by"), "the second to stand by")
    asked = time.monotonic()
    assert await first.ours() is True and first.unshaken
    server.kill()
    try:
        await wait_for(lambda: not first.unshaken, "it to have lapsed")
        assert time.monotonic() - asked >= SECONDS and await first.ours() is None
    finally:
        server.start()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await second.give_back()
    # nothing was lost but time
    async with asyncio.timeout(5):
        while not await first.ours():
            pass
    assert first.unshaken
    await first.give_back()
    assert not first.unshaken


async def test_records_expire_and_leave_the_list(live: RedisLive, server: Server) -> None:
    """Not before there was time for a worker to come: what it finds is told of in the trail."""
    await live.begin(round_of())
    for key in server.client.scan_iter():
        assert 6.9 < server.client.ttl(key) / 86_400 <= 7, key
    server.client.delete("tillit:call:node:1712.5")
    assert await live.take_up("node", "tillit", "1712.5", gone=False) is None
    assert await live.recorded("node", "tillit") == frozenset()


async def test_a_round_forgets_the_one_before(live: RedisLive) -> None:
    first, second = replace(round_of(), wrong=3), round_of()
    await live.begin(first)
    await live.take_up("node", "tillit", "1712.5", gone=False)
    await live.begin(second)
    found = await live.take_up("node", "tillit", "1712.5", gone=False)
    assert found is not None and (found.wrong, found.round, found.taken) == (0, second.round, 1)


async def test_a_caller_who_comes_again_by_another_application_stays_the_other_workers(live: RedisLive) -> None:
    """The record of the round before was kept, for its row could not be written."""
    first = round_of()
    again = replace(round_of(), app="other")
    await live.begin(first)
    await live.begin(again)
    await live.end(first)
    assert await live.recorded("node", "tillit") == {"1712.5"}
    assert await live.take_up("node", "tillit", "1712.5", gone=True) is None
    assert await live.recorded("node", "tillit") == frozenset()
    # it is still theirs
    await live.note(again)
    assert not await live.elsewhere(first) and not await live.elsewhere(again)


async def test_it_is_known_whether_another_session_goes_on_with_a_round(live: RedisLive) -> None:
    first = round_of()
    assert not await live.elsewhere(first)
    await live.begin(first)
    assert not await live.elsewhere(first)
    taken = await live.take_up("node", "tillit", "1712.5", gone=False)
    assert taken is not None and await live.elsewhere(first) and not await live.elsewhere(taken)
    await live.begin(round_of())
    assert not await live.elsewhere(first)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"lock": null}', '{"lock": [1]}'])
async def test_what_is_no_record_is_an_error_without_its_text(live: RedisLive, server: Server, text: str) -> None:
    server.client.hset("tillit:call:node:1712.5", "said", text)
    with pytest.raises(StoreError, match="is none") as caught:
        await live.take_up("node", "tillit", "1712.5", gone=False)
    assert caught.value.__cause__ is None


async def test_how_far_a_call_is_can_be_looked_at_without_taking_it_up(live: RedisLive, server: Server) -> None:
    assert await live.progress("node", "1712.5") is None
    begun = round_of()
    await live.begin(begun)
    assert await live.progress("node", "1712.5") == begun
    assert await live.progress("node", "1712.6") is None
    await live.note(begun.trying())
    assert await live.progress("node", "1712.5") == begun.trying()
    await live.end(begun)
    assert await live.progress("node", "1712.5") is None
    # a node's name may hold a colon
    await live.begin(round_of("a:b", "c"))
    assert await live.progress("a", "b:c") is None
    server.client.hset("tillit:call:a:b:c", "said", "rubbish")
    with pytest.raises(StoreError, match="is none"):
        await live.progress("a:b", "c")


async def test_a_colon_in_a_nodes_name_gives_nobody_a_call_of_another(live: RedisLive) -> None:
    await live.begin(round_of("02:42:ac", "11:1712.5"))
    assert await live.take_up("02:42:ac:11", "tillit", "1712.5", gone=False) is None


# ---------------------------------------------------------------- ends that Redis was not there for


async def test_a_record_whose_end_failed_is_removed_when_redis_is_back(live: RedisLive, server: Server) -> None:
    here, there = round_of(CALL), round_of("node:1712.6")
    for one in (here, there):
        await live.begin(one)
    server.client.acl_setuser("default", enabled=True, categories=["-@scripting"])
    with pytest.raises(StoreError):
        await live.end(here)
    with pytest.raises(StoreError):
        await live.drop_mark(there, over=True)
    with pytest.raises(StoreError):
        await live.settle()
    server.client.acl_setuser("default", enabled=True, categories=["+@scripting"])
    await live.settle()
    assert not list(server.client.scan_iter("*:call:*"))
    assert await live.recorded(here.node, here.app) == frozenset()
    trips = live.round_trips
    await live.settle()
    assert live.round_trips == trips


async def test_no_more_ends_are_remembered_than_there_is_room_for(
    live: RedisLive, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_MOST_UNENDED", 2)
    rounds = [round_of("node", f"1712.{number}") for number in range(4)]
    for one in rounds:
        await live.begin(one)
    server.client.acl_setuser("default", enabled=True, categories=["-@scripting"])
    for one in rounds:
        with pytest.raises(StoreError):
            await live.end(one)
    server.client.acl_setuser("default", enabled=True, categories=["+@scripting"])
    await live.settle()
    # those are left over, and are found as such
    assert await live.recorded("node", "tillit") == {"1712.0", "1712.1"}


async def test_an_end_that_comes_late_leaves_the_record_of_whoever_has_taken_the_call_up(
    live: RedisLive, server: Server
) -> None:
    mine = round_of(CALL)
    await live.begin(mine)
    server.client.acl_setuser("default", enabled=True, categories=["-@scripting"])
    with pytest.raises(StoreError):
        await live.end(mine)
    server.client.acl_setuser("default", enabled=True, categories=["+@scripting"])
    other = await RedisLive.open(server.settings(LIMITS))
    try:
        assert await other.take_up(mine.node, mine.app, mine.channel, gone=False)
        await live.settle()
        assert await other.recorded(mine.node, mine.app) == {mine.channel}
    finally:
        await other.close()
