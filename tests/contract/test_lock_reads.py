"""Reads, counted by person: where a bulk look-up is told of, where it stops, and who lets it go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ivr.config.lock import Reads as Limits
from ivr.errors import InputError, StoreError
from ivr.lock import Lifted, Reason, Record, Standing
from ivr.lock import reads as reads_module
from ivr.staff import Permission, Role
from ivr.store.link import Link
from ivr.store.reads import Counted, Notice, RedisReads, Stopped
from tests.contract.ari_log import wait_for
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, BO, ELSE, RITA, SVEN, Desk, denied, desk_of
from tests.unit.conftest import Either

pytestmark = pytest.mark.servers

RULES = {"reads": {"warn_hour": 4, "warn_day": 20, "stop_hour": 8, "stop_day": 30}}
HOUR, DAY = 3600, 86400


@pytest.fixture
async def desk(either: Either, server: Server) -> AsyncIterator[Desk]:
    async with desk_of(either(), server, RULES) as made:
        yield made


async def call_of(desk: Desk, number: int, person: Any = ANNA) -> Any:
    """A verified customer calls; the record is read, and the call ends."""
    channel = f"c.{number}"
    ref = await desk.call(person, channel=channel, number=str(10_000 + number))
    found = await desk.lock.record(person, ref, ["name"])
    desk.joined(person)
    return found


async def test_a_bulk_look_up_is_told_of_and_stops(desk: Desk) -> None:
    """As at T-Mobile Poland in 2016: somebody who may read records reads those of one customer after another."""
    found = [await call_of(desk, number) for number in range(12)]
    given_ = [number for number, one in enumerate(found, 1) if isinstance(one, Record)]
    assert given_ == [1, 2, 3, 4, 5, 6, 7, 8]
    assert found[8:] == [denied(Reason.TOO_MANY_READS)] * 4
    rows = await desk.rows()
    told = [row[1:] for row in rows]
    # the fifth customer is told of before that record is given, and so is the end
    assert told.index(("reads.unusual", "warned")) == 4
    assert told[9:11] == [("reads.stopped", "stopped"), ("record.read", "refused")]
    assert told.count(("reads.unusual", "warned")) == told.count(("reads.stopped", "stopped")) == 1
    (line,) = desk.log.of("reads.stopped")
    assert line == {"person": "p-anna", "hour": 9, "day": 9}
    assert desk.log.of("reads.unusual") == [
        {"person": "p-anna", "hour": 5, "day": 5, "usual_hour": 0.0, "usual_day": 0.0}
    ]


async def test_who_is_stopped_is_shown_no_name_either(desk: Desk) -> None:
    ref = await desk.call(number="20000")
    (shown,) = await desk.lock.current(ANNA)
    assert shown.name is not None and shown.shut is None
    for number in range(9):
        await call_of(desk, number)
    desk.joined(ANNA, "c.1")
    await desk.marked(ref)
    (shown,) = await desk.lock.current(ANNA)
    assert (shown.name, shown.shut) == (None, Reason.TOO_MANY_READS)
    assert isinstance(await desk.reads.lift(SVEN, ANNA.id, "many calls after an outage"), Lifted)
    (shown,) = await desk.lock.current(ANNA)
    assert shown.name is not None


async def test_who_is_stopped_reads_nothing_by_any_way(desk: Desk, server: Server) -> None:
    for number in range(9):
        await call_of(desk, number)
    # a customer whose record was read before
    ref = await desk.call(channel="c.20", number="20000")
    assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.TOO_MANY_READS)
    assert await desk.lock.demand(ANNA, ref, 1, "crm.read") == denied(Reason.TOO_MANY_READS)
    assert await desk.lock.act(ANNA, ref, "lock", {}) == denied(Reason.TOO_MANY_READS)
    server.pass_time(60 * DAY)
    await desk.marked(ref, "c.20")
    assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.TOO_MANY_READS)
    # each try keeps it
    server.pass_time(60 * DAY)
    await desk.marked(ref, "c.20")
    assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.TOO_MANY_READS)
    # and it is hers alone
    desk.joined(ANNA)
    desk.joined(BO, "c.20")
    assert isinstance(await desk.lock.record(BO, ref, ["name"]), Record)


async def test_one_customer_read_often_is_one(desk: Desk) -> None:
    ref = await desk.call()
    for _ in range(20):
        assert isinstance(await desk.lock.record(ANNA, ref, ["name"]), Record)
    assert await desk.reads.standing(SVEN) == (
        Standing("p-anna", 1, 1, False, False), Standing("p-bo", 0, 0, False, False), Standing("p-sven", 0, 0, False, False),
    )  # fmt: skip


async def test_what_is_refused_is_not_counted(desk: Desk) -> None:
    ref = await desk.call()
    desk.joined(ANNA, "c.9")
    for _ in range(20):
        assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.NOT_VERIFIED)
    assert (await desk.reads.standing(SVEN))[0] == Standing("p-anna", 0, 0, False, False)


# ---------------------------------------------------------------- counting


async def test_parallel_reads_do_not_pass_the_limit(server: Server) -> None:
    """From several processes of the desk, in one burst."""
    links = [Link.of(server.settings()) for _ in range(4)]
    counts = [RedisReads(link, "tillit") for link in links]
    found = await asyncio.gather(
        *(counts[n % 4].count("acme:p", f"ref-{n}", hour=10, day=50) for n in range(200))
    )  # fmt: skip
    assert sorted(one.hour for one in found if isinstance(one, Counted)) == list(range(1, 11))
    assert [one.notice.first for one in found if isinstance(one, Stopped)].count(True) == 1
    assert await counts[0].of(["acme:p", "acme:q"]) == [(10, 10, True, False), (0, 0, False, False)]
    for link in links:
        await link.close()


async def test_parallel_reads_of_one_call_are_one_customer(desk: Desk) -> None:
    ref = await desk.call()
    found = await asyncio.gather(*(desk.lock.record(ANNA, ref, ["name"]) for _ in range(20)))
    assert {type(one) for one in found} == {Record}
    assert (await desk.reads.standing(SVEN))[0] == Standing("p-anna", 1, 1, False, False)


class Model:
    """The rule, told once more: every read that was granted is remembered, and looked through each time."""

    def __init__(self) -> None:
        self.now = 0
        self.reads: list[tuple[int, str]] = []
        self.stopped = False

    def within(self, seconds: int, more: str | None = None) -> int:
        found = {ref for at, ref in self.reads if at > self.now - seconds}
        return len(found | ({more} if more else set()))

    def count(self, ref: str, hour: int, day: int) -> Counted | Stopped:
        if self.stopped:
            return Stopped(Notice(False, ""), self.within(HOUR), self.within(DAY))
        in_hour, in_day = self.within(HOUR, ref), self.within(DAY, ref)
        if in_hour > hour or in_day > day:
            self.stopped = True
            return Stopped(Notice(True, ""), in_hour, in_day)
        self.reads.append((self.now, ref))
        return Counted(in_hour, in_day)


steps = st.lists(
    st.one_of(st.sampled_from("abcdefghijkl"), st.sampled_from([600, 1800, 3000, HOUR + 60, 5 * HOUR, DAY + 60]), st.just(0)),
    max_size=40,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_any_order_of_reads_and_pauses(server: Server, steps: list[str | int]) -> None:
    """A letter reads that customer; 0 lifts a stop; any other number lets so many seconds pass."""
    server.client.flushall()
    model = Model()

    async def run() -> None:
        link = Link.of(server.settings())
        counts = RedisReads(link, "tillit")
        for step in steps:
            if isinstance(step, str):
                found = await counts.count("acme:p", step, hour=4, day=7)
                if isinstance(found, Stopped):
                    # which one it is, is not the model's matter
                    assert found.notice.untold
                    found = replace(found, notice=replace(found.notice, untold=""))
                assert found == model.count(step, 4, 7)
            elif step == 0:
                await counts.lift("acme:p")
                model.reads, model.stopped = [], False
            else:
                server.pass_time(step)
                model.now += step
            assert await counts.of(["acme:p"]) == [(model.within(HOUR), model.within(DAY), model.stopped, False)]
        await link.close()

    asyncio.run(run())


async def test_slowly_over_a_day(desk: Desk, server: Server) -> None:
    """As many in each hour as nobody notices: the day has an end as well."""
    found = []
    for number in range(36):
        found.append(await desk.reads.count(ANNA, f"ref-{number}"))
        if number % 4 == 3:
            server.pass_time(HOUR + 1)
    assert found == [None] * 30 + [denied(Reason.TOO_MANY_READS)] * 6
    first = desk.log.of("reads.unusual")[0]
    assert (first["hour"], first["day"]) == (1, 21)


# ---------------------------------------------------------------- against the peers


async def counted(desk: Desk, person: Any, times: int) -> None:
    for number in range(times):
        assert await desk.reads.count(person, f"{person.id}-{number}") is None


async def test_what_the_whole_team_does_is_usual(desk: Desk) -> None:
    """A busy hour: three times the median of the others is 12."""
    more = [replace(BO, id=f"p-{n}", login=f"b{n}", endpoints=frozenset()) for n in range(4)]
    for peer in more:
        desk.staff.change(peer)
    for peer in (BO, *more):
        await counted(desk, peer, 4)
    await counted(desk, ANNA, 8)
    assert desk.log.of("reads.unusual") == []


@pytest.mark.parametrize(
    ("peers", "expected"),
    [([1, 1, 1], {"usual_hour": 1.0}), ([1, 2, 4], None), ([0, 0, 0], {"usual_hour": 0.0}), ([0, 0, 2], None), ([1, 4], None),
     ([1, 1, 4], {"usual_hour": 1.0})],
)  # fmt: skip
async def test_far_more_than_the_others_of_the_team(
    desk: Desk, peers: list[int], expected: dict[str, float] | None
) -> None:
    """Five in an hour, against three times the median of those who have read anything."""
    for place, count in enumerate(peers):
        peer = replace(BO, id=f"p-{place}", endpoints=frozenset())
        desk.staff.change(peer)
        await counted(desk, peer, count)
    await counted(desk, ANNA, 5)
    lines = desk.log.of("reads.unusual")
    assert [line["usual_hour"] for line in lines] == ([] if expected is None else [expected["usual_hour"]])


async def test_other_teams_and_tenants_are_no_peers(desk: Desk) -> None:
    for place, changes in enumerate(({"team": "red"}, {"tenant": "other"})):
        peer = desk.staff.change(BO, id=f"p-{place}", endpoints=frozenset(), **changes)
        await counted(desk, peer, 4)
    await counted(desk, ANNA, 5)
    assert len(desk.log.of("reads.unusual")) == 1


async def test_a_supervisor_is_told_once_in_an_hour(desk: Desk, server: Server) -> None:
    await counted(desk, ANNA, 7)
    assert len(desk.log.of("reads.unusual")) == 1
    # and sees it for so long
    assert (await desk.reads.standing(SVEN))[0] == Standing("p-anna", 7, 7, False, True)
    server.pass_time(HOUR + 1)
    assert (await desk.reads.standing(SVEN))[0] == Standing("p-anna", 0, 7, False, False)
    await counted(desk, ANNA, 7)
    assert len(desk.log.of("reads.unusual")) == 2


# ---------------------------------------------------------------- the trail is told, now or later


class Down:
    """The trail as the desk has it, which takes no rows for a while."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self._append = desk.trail.append
        self.down = True
        self.asked = 0
        monkeypatch.setattr(desk.trail, "append", self.append)
        monkeypatch.setattr(reads_module, "_AGAIN_SECONDS", 0.02)

    async def append(self, entry: Any) -> str:
        if self.down:
            self.asked += 1
            raise StoreError("database: gone")
        return await self._append(entry)


async def told(desk: Desk, what: str) -> list[str]:
    return [outcome for _, action, outcome in await desk.rows() if action == what]


async def test_a_stop_of_which_the_trail_cannot_be_told_holds_and_is_told_of_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        await desk.reads.count(ANNA, f"ref-{number}")
    trail = Down(desk, monkeypatch)
    for number in range(8, 12):
        assert await desk.reads.count(ANNA, f"ref-{number}") == denied(Reason.TOO_MANY_READS)
    await wait_for(lambda: trail.asked > 8)
    assert len(desk.log.of("reads.stopped")) == 1
    trail.down = False
    # nobody has to do anything for it
    async with asyncio.timeout(10):
        while await told(desk, "reads.stopped") != ["stopped"]:
            await asyncio.sleep(0.02)
    assert await desk.reads.count(ANNA, "ref-20") == denied(Reason.TOO_MANY_READS)
    assert await told(desk, "reads.stopped") == ["stopped"]


async def test_another_desk_tells_of_what_one_that_has_died_could_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        await desk.reads.count(ANNA, f"ref-{number}")
    trail = Down(desk, monkeypatch)
    monkeypatch.setattr(reads_module, "_AGAIN_SECONDS", 3600)
    assert await desk.reads.count(ANNA, "ref-9") == denied(Reason.TOO_MANY_READS)
    trail.down = False
    for _ in range(2):
        assert await desk.reads.count(ANNA, "ref-9") == denied(Reason.TOO_MANY_READS)
        assert await told(desk, "reads.stopped") == ["stopped"]
    # the next stop is another one
    assert isinstance(await desk.reads.lift(SVEN, ANNA.id, "many calls after an outage"), Lifted)
    for number in range(9):
        await desk.reads.count(ANNA, f"ref-{number}")
    assert await told(desk, "reads.stopped") == ["stopped"] * 2


async def test_a_warning_of_which_the_trail_cannot_be_told_lets_nothing_be_read_and_is_told_of_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        await desk.reads.count(ANNA, f"ref-{number}")
    trail = Down(desk, monkeypatch)
    for _ in range(3):
        with pytest.raises(StoreError):
            await desk.reads.count(ANNA, "ref-4")
    assert len(desk.log.of("reads.unusual")) == 1
    trail.down = False
    async with asyncio.timeout(10):
        while await told(desk, "reads.unusual") != ["warned"]:
            await asyncio.sleep(0.02)
    assert await desk.reads.count(ANNA, "ref-4") is None
    assert await told(desk, "reads.unusual") == ["warned"]


# ---------------------------------------------------------------- lifting


async def stopped(desk: Desk) -> None:
    for number in range(9):
        await desk.reads.count(ANNA, f"ref-{number}")
    assert (await desk.reads.standing(SVEN))[0] == Standing("p-anna", 8, 8, True, True)


async def test_another_person_lifts_it_and_says_why(desk: Desk) -> None:
    await stopped(desk)
    assert await desk.reads.lift(SVEN, "p-anna", "a fault at the exchange, everybody calls") == Lifted("p-anna")
    actor, action, outcome, _, _, detail = await desk.last()
    assert (actor, action, outcome) == ("desk:sven", "reads.lifted", "done")
    assert (detail["whom"], detail["reason"]) == ("p-anna", "a fault at the exchange, everybody calls")
    assert (await desk.reads.standing(SVEN))[0] == Standing("p-anna", 0, 0, False, False)
    assert isinstance(await call_of(desk, 1), Record)


async def test_who_may_not_lift_it(desk: Desk) -> None:
    await stopped(desk)
    both = desk.staff.change(ANNA, granted=frozenset({Permission.APPROVE}))
    gone = desk.staff.change(replace(SVEN, id="p-gone", disabled=True))
    for by in (BO, RITA, ELSE, both, gone):
        assert await desk.reads.lift(by, "p-anna", "because I say so") == denied(Reason.NOT_PERMITTED)
        assert (await desk.last())[1:3] == ("reads.lifted", "refused")
    assert await desk.reads.lift(SVEN, "p-else", "because I say so") == denied(Reason.NOT_PERMITTED)
    assert await desk.reads.lift(SVEN, "nobody", "because I say so") == denied(Reason.NOT_PERMITTED)
    assert (await desk.reads.standing(SVEN))[0].stopped
    desk.staff.change(SVEN, role=Role.AGENT)
    assert await desk.reads.lift(SVEN, "p-anna", "because I say so") == denied(Reason.NOT_PERMITTED)


@pytest.mark.parametrize(
    "reason", ["", "why", "x" * 201, "a\x1b[2Jbcdef", "customer 1234567 asked", "call 070-123 45 67"]
)
async def test_a_reason_that_is_none(desk: Desk, reason: str) -> None:
    await stopped(desk)
    with pytest.raises(InputError, match="Nothing was done"):
        await desk.reads.lift(SVEN, "p-anna", reason)
    assert (await desk.reads.standing(SVEN))[0].stopped


async def test_what_is_not_stopped_is_not_begun_anew(desk: Desk) -> None:
    await counted(desk, ANNA, 5)
    with pytest.raises(InputError, match="is not stopped"):
        await desk.reads.lift(SVEN, "p-anna", "to be on the safe side")
    assert (await desk.reads.standing(SVEN))[0].hour == 5


async def test_where_the_counts_are_away_nothing_is_read(desk: Desk, server: Server) -> None:
    await stopped(desk)
    server.kill()
    assert await desk.reads.lift(SVEN, "p-anna", "because I say so") == denied(Reason.UNAVAILABLE)
    assert await desk.reads.standing(SVEN) == denied(Reason.UNAVAILABLE)


async def test_who_sees_the_counts(desk: Desk) -> None:
    assert await desk.reads.standing(ANNA) == denied(Reason.NOT_PERMITTED)
    red = desk.staff.change(replace(BO, id="p-red", team="red", endpoints=frozenset()))
    seen = await desk.reads.standing(SVEN)
    assert isinstance(seen, tuple)
    assert {one.person for one in seen} == {"p-anna", "p-bo", "p-sven"}
    owner = desk.staff.change(replace(SVEN, id="p-owner", role=Role.DATA_OWNER, team=""))
    seen = await desk.reads.standing(owner)
    assert isinstance(seen, tuple)
    assert {one.person for one in seen} == {"p-anna", "p-bo", "p-sven", "p-rita", "p-owner", red.id}


def test_a_warning_comes_before_the_end() -> None:
    for name in ("hour", "day"):
        with pytest.raises(ValidationError, match=f"warn_{name} is more than stop_{name}"):
            Limits.model_validate({f"warn_{name}": 500})
