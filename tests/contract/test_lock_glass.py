"""A record without a call: a reason, another person, a short time, and each step in the trail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from ivr.errors import InputError
from ivr.lock import Denied, Reason, Record
from ivr.staff import Permission, Role
from ivr.store.openings import Opening, RedisOpenings
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, BO, ELSE, HANGS, PHONE, RITA, SVEN, Desk, denied, desk_of, given
from tests.unit.conftest import Either
from tests.unit.database_kit import asked as asked_of
from tests.unit.database_kit import held

pytestmark = pytest.mark.servers

WHY = "the fire brigade asks whom to call"


@pytest.fixture
async def desk(request: pytest.FixtureRequest, either: Either, server: Server) -> AsyncIterator[Desk]:
    async with desk_of(
        either(seconds=getattr(request, "param", 10.0)), server, {"reads": {"warn_hour": 2, "stop_hour": 3}}
    ) as made:
        yield made


async def asked(desk: Desk, ref: str, *fields: str, by: Any = ANNA) -> Opening:
    wish = await desk.glass.ask(by, ref, WHY, fields or ("name", "phones"))
    assert isinstance(wish, Opening)
    return wish


async def opened(desk: Desk, ref: str) -> Opening:
    wish = await desk.glass.approve(SVEN, (await asked(desk, ref)).id)
    assert isinstance(wish, Opening)
    return wish


async def test_two_persons_open_one_record_for_one_of_them(desk: Desk) -> None:
    ref = await desk.customer()
    wish = await asked(desk, ref)
    assert await desk.glass.record(ANNA, wish.id) == denied(Reason.NOT_OPEN)
    assert await desk.glass.waiting(SVEN) == (wish,)
    approved = await desk.glass.approve(SVEN, wish.id)
    assert isinstance(approved, Opening)
    assert approved.approved and abs(approved.until - time.time() - 600) < 5
    record = await desk.glass.record(ANNA, wish.id)
    assert given(record) == {"name": "Xenia Ask", "phones": [PHONE]}
    assert isinstance(record, Record)
    assert (record.call, record.until) == (None, approved.until)
    assert await desk.glass.waiting(SVEN) == ()
    rows = await desk.rows()
    assert rows == [
        ("desk:anna", "glass.ask", "asked"),
        ("desk:anna", "glass.read", "refused"),
        ("desk:sven", "glass.approve", "approved"),
        ("desk:anna", "glass.read", "granted"),
    ]
    *_, subject, detail = await desk.last()
    assert (subject, detail["fields"], detail["approved_by"]) == (ref, "name,phones", "p-sven")
    # loudly
    assert [level for level, event, _ in desk.log.lines if event.startswith("glass.")] == ["warning"] * 3
    # and each further time
    await desk.glass.record(ANNA, wish.id)
    assert (await desk.rows())[-1] == ("desk:anna", "glass.read", "granted")


async def test_who_has_asked_sees_what_became_of_it_and_nobody_else_does(desk: Desk) -> None:
    ref = await desk.customer()
    assert await desk.glass.own(ANNA) == ()
    waits = await asked(desk, ref)
    other = await asked(desk, ref, "phones")
    approved = await desk.glass.approve(SVEN, other.id)
    found = await desk.glass.own(ANNA)
    assert not isinstance(found, Denied) and set(found) == {waits, approved}
    for person in (BO, SVEN, ELSE):
        assert await desk.glass.own(person) == ()
    await desk.glass.decline(ANNA, waits.id)
    assert await desk.glass.own(ANNA) == (approved,)
    desk.staff.change(ANNA, denied=frozenset({Permission.CALL}))
    assert await desk.glass.own(ANNA) == denied(Reason.NOT_PERMITTED)


async def test_the_reason_is_in_the_trail_with_both_persons(desk: Desk) -> None:
    await opened(desk, await desk.customer())
    detail = (await desk.last())[5]
    assert (detail["reason"], detail["asked_by"], detail["person"]) == (WHY, "p-anna", "p-sven")


async def test_it_is_nobody_elses(desk: Desk) -> None:
    wish = await opened(desk, await desk.customer())
    for other in (BO, SVEN, RITA, ELSE, replace(ANNA, id="p-other"), replace(ANNA, tenant="other")):
        assert await desk.glass.record(other, wish.id) == denied(Reason.NOT_OPEN)
    for other_id in (wish.id[:-1], "", "\ud800", "\0", "x" * 100_000, f"{wish.id} ", f"../{wish.id}", "*"):
        assert await desk.glass.record(ANNA, other_id) == denied(Reason.NOT_OPEN)
        assert await desk.glass.approve(SVEN, other_id) == denied(Reason.NOT_OPEN)


async def test_it_opens_nothing_by_the_other_way(desk: Desk) -> None:
    ref = await desk.customer()
    await opened(desk, ref)
    assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.NO_CALL)
    assert await desk.lock.act(ANNA, ref, "lock", {}) == denied(Reason.NO_CALL)


async def test_who_is_not_the_second_person(desk: Desk) -> None:
    wish = await asked(desk, await desk.customer())
    both = desk.staff.change(ANNA, granted=frozenset({Permission.APPROVE}))
    for by in (both, BO, RITA):
        assert await desk.glass.approve(by, wish.id) == denied(Reason.NOT_PERMITTED)
    # of another tenant: there is no such wish there
    assert await desk.glass.approve(ELSE, wish.id) == denied(Reason.NOT_OPEN)
    assert await desk.glass.waiting(ELSE) == await desk.glass.waiting(both) == ()
    assert await desk.glass.waiting(BO) == denied(Reason.NOT_PERMITTED)
    desk.staff.change(SVEN, disabled=True)
    assert await desk.glass.approve(SVEN, wish.id) == denied(Reason.NOT_PERMITTED)
    assert await desk.glass.record(ANNA, wish.id) == denied(Reason.NOT_OPEN)
    assert {row[2] for row in (await desk.rows())[1:]} == {"refused"}


async def test_who_may_not_ask(desk: Desk) -> None:
    ref = await desk.customer()
    assert await desk.glass.ask(RITA, ref, WHY, ["name"]) == denied(Reason.NOT_PERMITTED)
    desk.staff.change(ANNA, disabled=True)
    assert await desk.glass.ask(ANNA, ref, WHY, ["name"]) == denied(Reason.NOT_PERMITTED)
    assert [row[1:] for row in await desk.rows()] == [("glass.ask", "refused")] * 2


async def test_it_lapses_and_shuts(desk: Desk, server: Server) -> None:
    ref = await desk.customer()
    wish = await asked(desk, ref)
    server.pass_time(15 * 60)
    assert await desk.glass.approve(SVEN, wish.id) == denied(Reason.NOT_OPEN)
    assert await desk.glass.waiting(SVEN) == ()
    wish = await opened(desk, ref)
    server.pass_time(10 * 60)
    assert await desk.glass.record(ANNA, wish.id) == denied(Reason.NOT_OPEN)
    assert server.client.keys("tillit:opening:one:*") == []


async def test_it_is_approved_once(desk: Desk) -> None:
    second = desk.staff.change(replace(SVEN, id="p-two", login="two", endpoints=frozenset()))
    wish = await asked(desk, await desk.customer())
    found = await asyncio.gather(*(desk.glass.approve(by, wish.id) for by in (SVEN, second) * 5))
    assert [isinstance(one, Opening) for one in found].count(True) == 1
    assert {one.reason for one in found if isinstance(one, Denied)} == {Reason.NOT_OPEN}
    # time that is over is not begun anew
    (approved,) = [one for one in found if isinstance(one, Opening)]
    assert await desk.glass.approve(second, wish.id) == denied(Reason.NOT_OPEN)
    again = await desk.glass.record(ANNA, wish.id)
    assert isinstance(again, Record) and again.until == approved.until


async def test_it_is_declined_or_taken_back(desk: Desk) -> None:
    ref = await desk.customer()
    wish = await asked(desk, ref)
    for other in (BO, RITA, ELSE):
        assert await desk.glass.decline(other, wish.id) == denied(Reason.NOT_OPEN)
    assert await desk.glass.decline(SVEN, wish.id) is True
    assert await desk.glass.approve(SVEN, wish.id) == denied(Reason.NOT_OPEN)
    approved = await opened(desk, ref)
    assert await desk.glass.decline(SVEN, approved.id) is True
    assert await desk.glass.record(ANNA, approved.id) == denied(Reason.NOT_OPEN)
    mine = await asked(desk, ref)
    assert await desk.glass.decline(ANNA, mine.id) is True
    assert await desk.glass.waiting(SVEN) == ()


async def test_no_more_wishes_at_once_than_may_be(desk: Desk) -> None:
    """Nobody wears a second person out."""
    ref = await desk.customer()
    found = await asyncio.gather(*(desk.glass.ask(ANNA, ref, WHY, ["name"]) for _ in range(10)))
    assert [isinstance(one, Opening) for one in found].count(True) == 2
    assert denied(Reason.TOO_MANY_WISHES) in found
    assert isinstance(await desk.glass.ask(BO, ref, WHY, ["name"]), Opening)


async def test_whoever_asks_or_agrees_and_is_disabled_shuts_it(desk: Desk) -> None:
    ref = await desk.customer()
    wish = await asked(desk, ref)
    desk.staff.change(ANNA, disabled=True)
    assert await desk.glass.approve(SVEN, wish.id) == denied(Reason.NOT_OPEN)
    desk.staff.change(ANNA)
    wish = await opened(desk, ref)
    desk.staff.change(SVEN, role=Role.AGENT)
    assert await desk.glass.record(ANNA, wish.id) == denied(Reason.NOT_OPEN)
    desk.staff.change(SVEN)
    desk.staff.change(ANNA, denied=frozenset({Permission.CALL}))
    assert await desk.glass.record(ANNA, wish.id) == denied(Reason.NOT_OPEN)
    desk.staff.change(ANNA)
    assert isinstance(await desk.glass.record(ANNA, wish.id), Record)


async def test_who_is_disabled_while_it_is_read_reads_nothing(desk: Desk) -> None:
    """Both are looked up before it is read, and again before it is given."""
    wish = await opened(desk, await desk.customer())
    first = desk.staff.asked

    def disable(asked: int) -> None:
        if asked == first + 3:
            desk.staff.change(ANNA, disabled=True)

    desk.staff.meanwhile = disable
    assert await desk.glass.record(ANNA, wish.id) == denied(Reason.NOT_OPEN)
    assert (await desk.last())[2] == "withheld"


async def test_asking_tells_nothing_of_a_customer(desk: Desk) -> None:
    """Whether there is one, and whether a reason names the one: both are as for any other."""
    ref = await desk.customer("10001", "Xenia Ask")
    for about, why in (
        (ref, "Xenia Ask is in danger"),
        (ref, "Nobody is in danger"),
        ("aaaaaaaaaaaa", "Xenia Ask is in danger"),
    ):
        wish = await desk.glass.ask(ANNA, about, why, ["name"])
        assert isinstance(wish, Opening)
        await desk.glass.decline(ANNA, wish.id)
    wish = await desk.glass.ask(ANNA, "aaaaaaaaaaaa", WHY, ["name"])
    assert isinstance(wish, Opening)
    assert isinstance(await desk.glass.approve(SVEN, wish.id), Opening)
    assert await desk.glass.record(ANNA, wish.id) == denied(Reason.NOT_OPEN)
    assert (await desk.last())[2] == "withheld"


@pytest.mark.parametrize(
    ("ref", "reason", "fields"),
    [("10001", WHY, ["name"]), ("", WHY, ["name"]), ("aaaaaaaaaaaa", "so", ["name"]), ("aaaaaaaaaaaa", "call +46701234567", ["name"]),
     ("aaaaaaaaaaaa", WHY, []), ("aaaaaaaaaaaa", WHY, ["pin"]), ("AAAAAAAAAAAA", WHY, ["name"]), ("aaaaaaaaaaaa\n", WHY, ["name"])],
)  # fmt: skip
async def test_what_is_no_wish(desk: Desk, ref: str, reason: str, fields: list[str]) -> None:
    with pytest.raises(InputError):
        await desk.glass.ask(ANNA, ref, reason, fields)
    assert await desk.rows() == []


async def test_these_reads_are_counted_too(desk: Desk) -> None:
    found = []
    for number in range(4):
        wish = await opened(desk, await desk.customer(str(10001 + number)))
        found.append(type(await desk.glass.record(ANNA, wish.id)))
        await desk.glass.decline(ANNA, wish.id)
    assert found == [Record] * 3 + [Denied]


async def test_whoever_is_stopped_reads_nothing_this_way_either(desk: Desk) -> None:
    for number in range(4):
        await desk.reads.count(ANNA, f"ref-{number}")
    wish = await opened(desk, await desk.customer())
    assert await desk.glass.record(ANNA, wish.id) == denied(Reason.TOO_MANY_READS)
    assert (await desk.last())[1:3] == ("glass.read", "refused")


async def test_identifiers_are_not_to_be_guessed(desk: Desk) -> None:
    found = set()
    for _ in range(20):
        wish = await asked(desk, "aaaaaaaaaaaa")
        found.add(wish.id)
        await desk.glass.decline(ANNA, wish.id)
    assert len(found) == 20 and {len(one) for one in found} == {22}
    # nor do trail and log have them whole
    assert not any(one in str(desk.log.lines) for one in found)
    written = str(await asked_of(desk.database, "SELECT * FROM audit"))
    assert not any(one in written for one in found)


@HANGS
async def test_where_a_part_is_down_nothing_is_opened(desk: Desk, server: Server) -> None:
    ref = await desk.customer()
    wish = await asked(desk, ref)
    async with held(desk.settings):
        assert await desk.glass.approve(SVEN, wish.id) == denied(Reason.UNAVAILABLE)
        assert await desk.glass.ask(ANNA, ref, WHY, ["name"]) == denied(Reason.UNAVAILABLE)
    assert await desk.glass.record(ANNA, wish.id) == denied(Reason.NOT_OPEN)
    approved = await desk.glass.approve(SVEN, wish.id)
    assert isinstance(approved, Opening)
    async with held(desk.settings):
        assert await desk.glass.record(ANNA, wish.id) == denied(Reason.UNAVAILABLE)
    server.kill()
    for answer in (
        await desk.glass.record(ANNA, wish.id), await desk.glass.ask(ANNA, ref, WHY, ["name"]), await desk.glass.waiting(SVEN),
        await desk.glass.approve(SVEN, wish.id), await desk.glass.decline(SVEN, wish.id), await desk.glass.own(ANNA),
    ):  # fmt: skip
        assert answer == denied(Reason.UNAVAILABLE)


async def test_what_stands_in_redis_and_is_no_wish(desk: Desk, server: Server) -> None:
    openings = RedisOpenings(desk.link, "tillit")
    wish = await asked(desk, "aaaaaaaaaaaa")
    # somebody else's, under this one's name
    server.client.set(
        "tillit:opening:one:other:" + wish.id, server.client.get("tillit:opening:one:acme:" + wish.id), ex=60
    )
    assert await openings.of("other", wish.id) is None
    server.client.set("tillit:opening:one:acme:" + wish.id, "{}", ex=60)
    assert await desk.glass.approve(SVEN, wish.id) == denied(Reason.UNAVAILABLE)
