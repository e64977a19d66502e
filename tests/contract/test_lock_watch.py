"""What a supervisor sees, on a real Redis and both databases: the own team alone, no customer's data, rates from the trail, locks in force."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ivr.audit.rates import Rounds
from ivr.call.ports import Attempt, Entry, Party, Talk, Waiting
from ivr.config import Limits
from ivr.errors import StoreError, Unavailable
from ivr.lock import Barred, Direction, Ended, Held, Reason, State, Watched
from ivr.secret import Personal, Secret
from ivr.staff import TENANT, Person
from ivr.store.holds import StoredHolds
from ivr.store.live import RedisLive
from ivr.store.sealing import customer_key
from ivr.store.waits import ended_key, waits_key, written
from tests.contract.live_server import Server, round_of
from tests.contract.lock_kit import ANNA, BO, ELSE, NODE, RITA, SVEN, Desk, denied, desk_of
from tests.unit.conftest import Either

pytestmark = pytest.mark.servers

# figures are those of the company that has the workers
# Milliseconds since the epoch, far ahead.
UNTIL = 9_999_999_999_999
SIV = replace(SVEN, id="p-siv", tenant=TENANT)


@pytest.fixture
async def desk(either: Either, server: Server) -> AsyncIterator[Desk]:
    async with desk_of(either(), server) as made:
        made.staff.change(SIV)
        yield made


def row(outcome: str, policy: str = "main", call: str = "", **detail: str) -> Entry:
    return Entry("caller", "verify", outcome, call=call, detail={"policy": policy, **detail})


async def seen(desk: Desk, by: Person = SVEN) -> list[Watched]:
    found = await desk.watch.calls(by)
    assert isinstance(found, tuple)
    return list(found)


async def test_the_teams_calls_and_how_far_each_caller_is(desk: Desk) -> None:
    ref = await desk.call(ANNA)
    desk.joined(BO, "c.2")
    progress = round_of(NODE, "c.2")
    await desk.live.begin(progress)
    verified, verifying = await seen(desk)
    assert verified == Watched(
        "p-anna", "Anna", ("node-a", "c.1"), "+46…33", Direction.INBOUND, False, 1.0, State.VERIFIED, 2, verified.until
    )  # type: ignore[arg-type]
    assert (verifying.agent, verifying.state, verifying.level, verifying.until) == ("Bo", State.VERIFYING, 0, None)
    # what is shown tells nothing of the customer
    assert ref not in repr(verified)
    assert "Xenia" not in repr(verified)
    await desk.live.note(replace(progress, status="refused"))
    assert [one.state for one in await seen(desk)] == [State.VERIFIED, State.REFUSED]


async def test_a_caller_who_keys_in_mid_call_is_in_no_talk(desk: Desk, server: Server) -> None:
    waiting = Waiting(NODE, "c.7", "PJSIP/Anna-0000001a", "+46…33", 1.0, "pin", 2)
    prefix = server.settings().redis.prefix
    for agent in (waiting.agent, "PJSIP/else-00000002"):
        told = b"%d %b" % (UNTIL, written(replace(waiting, agent=agent)))
        await desk.link.ask("HSET", waits_key(prefix, "PJSIP/anna"), agent, told)
    assert await seen(desk) == [], "a worker that has died tells of no end"
    desk.switch.waiting = {waiting.agent, "PJSIP/else-00000002"}
    (one,) = await seen(desk)
    assert (one.agent, one.state, one.number) == ("Anna", State.VERIFYING, "+46…33")
    # and back again, refused
    desk.switch.waiting = set()
    desk.joined(ANNA, "c.7")
    await desk.link.ask("SET", ended_key(prefix, NODE, "c.7"), "refused")
    (one,) = await seen(desk)
    assert (one.state, one.level) == (State.REFUSED, 0)


async def test_a_mark_that_has_ended_and_a_call_that_an_agent_made(desk: Desk) -> None:
    await desk.call(ANNA)
    own = Party("own", "PJSIP/anna", None, True, 1.0, first=True)
    desk.talks.talks["PJSIP/anna"] = (Talk(NODE, own, (Party("c.1", "PJSIP/trunk", None, False, 1.0),)),)
    (one,) = await seen(desk)
    assert (one.direction, one.held, one.number, one.state) == (Direction.OUTBOUND, True, None, State.VERIFIED)
    desk.watch._wall = lambda: time.time() + 3600
    (one,) = await seen(desk)
    assert (one.state is State.VERIFIED, one.level, one.until) == (False, 0, None)


async def test_nobody_of_another_team_or_tenant_or_who_is_gone(desk: Desk) -> None:
    await desk.call(ANNA)
    desk.joined(BO, "c.2")
    for change in ({"team": "red"}, {"tenant": "other"}, {"disabled": True}):
        bo = desk.staff.change(BO, **change)
        assert [one.agent for one in await seen(desk)] == ["Anna"]
        desk.staff.change(bo, team=BO.team, tenant=BO.tenant, disabled=False)
    assert await seen(desk, ELSE) == []


async def test_colleagues_who_talk_are_no_call_and_a_caller_is_told_once(desk: Desk) -> None:
    own, bo = Party("o.1", "PJSIP/anna", None, False, 1.0), Party("o.2", "PJSIP/bo", None, False, 1.0)
    caller = Party("c.1", "PJSIP/trunk", Personal("+46701112233"), False, 1.0)
    desk.talks.talks["PJSIP/anna"] = (Talk(NODE, own, (bo,)),)
    desk.talks.talks["PJSIP/bo"] = (Talk(NODE, bo, (own,)),)
    assert await seen(desk) == []
    desk.talks.talks["PJSIP/anna"] = (Talk(NODE, own, (bo, caller)), Talk(NODE, replace(own, channel="o.3"), (caller,)))
    desk.talks.talks["PJSIP/bo"] = (Talk(NODE, bo, (own, caller)),)
    assert [(one.agent, one.call.id) for one in await seen(desk)] == [("Anna", "c.1"), ("Bo", "c.1")]


@pytest.mark.parametrize("who", [ANNA, RITA])
async def test_who_may_not(desk: Desk, who: Person) -> None:
    refused = denied(Reason.NOT_PERMITTED)
    assert [await desk.watch.calls(who), await desk.watch.statistics(who), await desk.watch.barred(who)] == [
        refused
    ] * 3
    assert {one[1:] for one in await desk.rows()} == {
        ("watch.calls", "refused"), ("watch.statistics", "refused"), ("watch.locks", "refused"),
    }  # fmt: skip


async def test_figures_are_not_another_tenants(desk: Desk) -> None:
    assert await desk.watch.statistics(SVEN) == denied(Reason.NOT_PERMITTED)
    assert await desk.watch.barred(SVEN) == denied(Reason.NOT_PERMITTED)


async def test_where_it_is_not_known_who_talks(desk: Desk) -> None:
    desk.talks.down = True
    with pytest.raises(Unavailable):
        await desk.watch.calls(SVEN)


# ---------------------------------------------------------------- rates


async def test_how_verifications_ended(desk: Desk) -> None:
    for outcome in ("verified", "verified", "refused", "locked", "timeout", "abandoned", "unavailable"):
        await desk.trail.append(row(outcome))
    await desk.trail.append(row("verified", "vip"))
    await desk.trail.append(row("something-new", "vip"))
    await desk.trail.append(Entry("caller", "sms.send", "sent", detail={"policy": "main"}))
    found: Any = await desk.watch.statistics(SIV)
    assert found.hour == found.day == (Ended("main", 2, 3, 1, 1), Ended("vip", 1))


async def test_an_hour_and_a_day_go_by(desk: Desk) -> None:
    now = datetime.now(UTC)
    times = [now]
    rounds = Rounds(desk.database, clock=lambda: times[0])
    await desk.trail.append(row("verified"))
    assert ((await rounds.rates()).hour, (await rounds.rates()).day) == ({("main", "verified"): 1},) * 2
    # one that comes while it is counted is counted, and none twice
    await desk.trail.append(row("refused"))
    assert (await rounds.rates()).hour == {("main", "verified"): 1, ("main", "refused"): 1}
    times[0] = now + timedelta(minutes=62)
    rates = await rounds.rates()
    assert (rates.hour, sum(rates.day.values())) == ({}, 2)
    times[0] = now + timedelta(hours=24, minutes=2)
    rates = await rounds.rates()
    assert (rates.hour, rates.day) == ({}, {})


# ---------------------------------------------------------------- locks


async def fail(server: Server, subject: str, number: str | None, call: str, times: int) -> None:
    """So many failures of one call."""
    live = await RedisLive.open(server.settings())
    try:
        for count in range(times):
            await live.attempt(Attempt(subject, number, f"{call}.{count}"))
    finally:
        await live.close()


async def test_what_is_locked_now(desk: Desk, server: Server) -> None:
    limits = Limits()
    ref = await desk.customer("10001", tenant=SIV.tenant)
    by_hand = await desk.customer("10002", tenant=SIV.tenant)
    # another's are no business of theirs
    elses = await desk.customer("10003")
    await desk.customer("10004")
    async with desk.database.write() as connection:
        for one in (by_hand, elses):
            customer = await desk.register.by_ref(connection, one, change=True)
            assert customer is not None
            await desk.register.set_locked(connection, customer, locked=True)
    await fail(server, key_of(desk, "10004", ANNA.tenant), None, "c", limits.customer_in_a_row)
    key = key_of(desk, "10001", SIV.tenant)
    await fail(server, key, None, "a", limits.customer_in_a_row)
    # a number that nobody has is counted like a customer, and is none
    await fail(server, "nobody", "number-index", "b", limits.number_in_a_row)
    await desk.trail.append(row("locked", call=f"b.{limits.number_in_a_row - 1}", number="+46…09"))
    found: Any = await desk.watch.barred(SIV)
    assert {(one.kind, one.what, one.until is None) for one in found} == {
        (Held.CUSTOMER, ref, False), (Held.BY_HAND, by_hand, True),
        *({(Held.NUMBER, "+46…09", False)} if limits.number_in_a_row <= limits.customer_in_a_row else set()),
    }  # fmt: skip
    # looked for seldom: what is unlocked meanwhile is seen a little later
    await desk.live.unlock(key)
    assert await desk.watch.barred(SIV) == found
    desk.watch._clock = lambda: time.monotonic() + 10
    assert ref not in str(await desk.watch.barred(SIV))


def key_of(desk: Desk, number: str, tenant: str) -> str:
    """What this customer's failures are counted by."""
    return customer_key(tenant, desk.vault.index.customer_number(Secret(number)))


@pytest.mark.parametrize("counted", ["main:{}", "{}"], ids=["now", "before"])
async def test_a_customer_whom_only_an_unlock_helps(desk: Desk, server: Server, counted: str) -> None:
    ref = await desk.customer("10001", tenant=SIV.tenant)
    # of another tenant, with the same number: what was counted before there were tenants holds for both, and each sees the own
    await desk.customer("10001", tenant=ANNA.tenant)
    key = counted.format(desk.vault.index.customer_number(Secret("10001")))
    await desk.link.ask("HSET", f"{server.settings().redis.prefix}:fail:customer:{key}", "n", 10_000)
    assert await desk.watch.barred(SIV) == (Barred(Held.CUSTOMER, ref, None),)


async def test_a_number_of_which_the_trail_says_nothing(desk: Desk, server: Server) -> None:
    until = str(int((time.time() + 60) * 1000))
    prefix = server.settings().redis.prefix
    await desk.link.ask("HSET", f"{prefix}:fail:number:x", "n", 9, "until", until, "by", "gone.1")
    assert await desk.watch.barred(SIV) == (Barred(Held.NUMBER, "", int(until) // 1000),)


class Strange:
    """A Redis that says what none says."""

    def __init__(self, **said: object) -> None:
        self._said = said

    async def ask(self, *_: object) -> object:
        return self._said.get("scan", [b"0", [b"t:fail:customer:x"]])

    async def run(self, *_: object) -> object:
        return self._said.get("holds")


@pytest.mark.parametrize("said", [{"scan": b"OK"}, {"holds": [b"other"]}, {"holds": [b"holds", [[b"x"]]]}])
async def test_answers_that_are_none(desk: Desk, said: dict[str, object]) -> None:
    with pytest.raises(StoreError):
        await StoredHolds(Strange(**said), "t", desk.database, 10).in_force()  # type: ignore[arg-type]


async def test_a_glance_at_many_and_at_what_is_none(desk: Desk, server: Server) -> None:
    mark = await desk.marked("r" * 12)
    many = [(NODE, f"x.{count}") for count in range(450)]
    found = await desk.live.glance([*many, (NODE, "c.1")])
    assert found[:-1] == [(None, None, None)] * 450
    assert found[-1][0] == mark
    await desk.link.ask("SET", f"{server.settings().redis.prefix}:mark:{NODE}:c.9", b"{}")
    with pytest.raises(StoreError):
        await desk.live.glance([(NODE, "c.9")])
