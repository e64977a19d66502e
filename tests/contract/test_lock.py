"""The lock on a real Redis and both databases: what is given, what is refused, and what the trail says of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from ivr.audit import verify
from ivr.audit.chain import lock_of
from ivr.call.outcome import Refused, Status
from ivr.call.ports import Party, Talk
from ivr.config import Lock as Rules
from ivr.errors import InputError, Unavailable
from ivr.lock import Channel, Denied, Done, Granted, Reason, Record, State, StoredRecords
from ivr.lock.actions import checked
from ivr.lock.lock import FIELDS
from ivr.lock.rows import entry
from ivr.secret import Personal, Secret
from ivr.staff import Permission, Person, Role
from ivr.store.customers import Customers
from ivr.store.roster import NewPerson, Roster
from tests.contract.live_server import Server, round_of
from tests.contract.lock_kit import ANNA, BO, ELSE, HANGS, NODE, PHONE, RITA, SVEN, Desk, denied, desk_of, given
from tests.unit.conftest import Either
from tests.unit.database_kit import SEAL, held, tamper

pytestmark = pytest.mark.servers

CALL = Channel(NODE, "c.1")


@pytest.fixture
async def desk(request: pytest.FixtureRequest, either: Either, server: Server) -> AsyncIterator[Desk]:
    async with desk_of(either(seconds=getattr(request, "param", 10.0)), server) as made:
        yield made


# ---------------------------------------------------------------- reading


async def test_the_record_of_a_verified_caller_is_read(desk: Desk) -> None:
    ref = await desk.call()
    record = await desk.lock.record(ANNA, ref, FIELDS)
    assert given(record) == {
        "number": "10001", "name": "Xenia Ask", "phones": [PHONE], "language": "sv", "policy": None, "has_pin": True,
        "locked": False,
    }  # fmt: skip
    assert isinstance(record, Record)
    assert (record.call, record.level) == (CALL, 2)
    actor, action, outcome, call, subject, detail = await desk.last()
    assert (actor, action, outcome, call, subject) == ("desk:anna", "record.read", "granted", "c.1", ref)
    assert detail == {
        "fields": ",".join(FIELDS), "level": "2", "needs": "2", "node": NODE, "person": "p-anna", "tenant": "acme",
    }  # fmt: skip


async def test_only_what_is_named_is_given(desk: Desk) -> None:
    ref = await desk.call()
    assert given(await desk.lock.record(ANNA, ref, ["language", "name"])) == {"name": "Xenia Ask", "language": "sv"}
    assert (await desk.last())[5]["fields"] == "name,language"


async def test_without_names_what_the_mark_covers(desk: Desk) -> None:
    ref = await desk.call(level=1)
    record = await desk.lock.record(ANNA, ref)
    assert given(record) == {"name": "Xenia Ask", "language": "sv"}
    assert (await desk.last())[5]["fields"] == "name,language"
    await desk.marked(ref, level=2)
    assert set(given(await desk.lock.record(ANNA, ref))) == set(FIELDS)


async def test_a_field_that_needs_more_refuses_all_that_were_named(desk: Desk) -> None:
    ref = await desk.call(level=1)
    assert await desk.lock.record(ANNA, ref, ["name", "phones"]) == denied(Reason.LEVEL, 2)
    *_, outcome, call, subject, detail = await desk.last()
    assert (outcome, call, subject, detail["reason"], detail["fields"]) == (
        "refused",
        "c.1",
        ref,
        "level",
        "name,phones",
    )


@pytest.mark.parametrize("fields", [["name", "secret"], ["Name"], [], ["__class__"], ["key"], ["ref"]])
async def test_what_is_no_field_is_none(desk: Desk, fields: list[str]) -> None:
    ref = await desk.call()
    with pytest.raises(InputError, match="Here belong: number, name"):
        await desk.lock.record(ANNA, ref, fields)
    assert await desk.rows() == []


async def test_nobody_else_reads_it(desk: Desk) -> None:
    ref = await desk.call()
    assert await desk.lock.record(BO, ref) == denied(Reason.NO_CALL)
    desk.joined(BO, "c.2")
    assert await desk.lock.record(BO, ref) == denied(Reason.NOT_VERIFIED)
    other = await desk.customer("10002", "Ylva")
    await desk.marked(other, "c.2")
    assert await desk.lock.record(BO, ref) == denied(Reason.OTHER_CUSTOMER)
    assert await desk.lock.record(SVEN, ref) == denied(Reason.NO_CALL)
    assert await desk.lock.record(ELSE, ref) == denied(Reason.NO_CALL)
    rows = await desk.rows()
    assert [row[1:] for row in rows] == [("record.read", "refused")] * 5
    assert [row[0] for row in rows] == ["desk:bo"] * 3 + ["desk:sven"] * 2


async def test_who_was_disabled_or_moved_a_moment_ago(desk: Desk) -> None:
    """The session may remember somebody else."""
    ref = await desk.call()
    for changed in (
        {"disabled": True}, {"denied": frozenset({Permission.CALL})}, {"tenant": "other"},
    ):  # fmt: skip
        desk.staff.change(ANNA, **changed)
        assert await desk.lock.record(ANNA, ref) == denied(Reason.NOT_PERMITTED)
    del desk.staff.persons[ANNA.id]
    assert await desk.lock.record(ANNA, ref) == denied(Reason.NOT_PERMITTED)
    desk.staff.change(ANNA, endpoints=frozenset({"PJSIP/anna-2"}))
    assert await desk.lock.record(ANNA, ref) == denied(Reason.NO_CALL)


async def test_whoever_may_not_even_ask_is_in_the_trail(desk: Desk) -> None:
    await desk.lock.not_permitted(RITA, Permission.CALL, "/api/v1/customers/{ref}/record")
    actor, action, outcome, call, subject, detail = await desk.last()
    assert (actor, action, outcome, call, subject) == ("desk:rita", "desk.request", "refused", "", "")
    assert (detail["reason"], detail["permission"], detail["person"]) == ("not_permitted", "call", "p-rita")
    assert detail["route"] == "/api/v1/customers/{ref}/record"
    await desk.lock.not_in_scope(RITA, "record", "/api/v1/customers/{ref}/record")
    *_, detail = await desk.last()
    assert (detail["reason"], detail["scope"], detail["person"]) == ("insufficient_scope", "record", "p-rita")


async def test_a_reference_that_nobody_has_is_as_one_that_somebody_has(desk: Desk) -> None:
    await desk.call()
    await desk.customer("10002", "Ylva")
    other = await desk.customer("10003", "Zoe")
    for ref in (other, "aaaaaaaaaaaa", "10001", "", "x' OR 1=1 --", "\0", "\ud800", "x" * 100_000, PHONE):
        assert await desk.lock.record(ANNA, ref) == denied(Reason.OTHER_CUSTOMER)
        # what is no reference may be a number that somebody has typed
        assert (await desk.last())[4] == (ref if ref in (other, "aaaaaaaaaaaa") else "")


async def test_a_customer_who_was_locked_or_erased_meanwhile(desk: Desk) -> None:
    ref = await desk.call()
    async with desk.database.write() as connection:
        found = await desk.register.by_ref(connection, ref)
        assert found is not None
        await desk.register.set_locked(connection, found, locked=True)
    assert await desk.lock.record(ANNA, ref) == denied(Reason.NOT_IN_FORCE)
    async with desk.database.write() as connection:
        await desk.register.remove(connection, found)
    assert await desk.lock.record(ANNA, ref) == denied(Reason.NOT_IN_FORCE)


async def test_the_mark_ends(desk: Desk, server: Server) -> None:
    ref = await desk.call()
    server.pass_time(600)
    assert await desk.lock.record(ANNA, ref) == denied(Reason.NOT_VERIFIED)
    await desk.marked(ref)
    await desk.live.disown(NODE, "c.1")
    assert await desk.lock.record(ANNA, ref) == denied(Reason.NOT_VERIFIED)


async def test_a_mark_of_a_lower_level_than_before(desk: Desk) -> None:
    ref = await desk.call()
    assert isinstance(await desk.lock.record(ANNA, ref, ["phones"]), Record)
    await desk.marked(ref, level=1)
    assert await desk.lock.record(ANNA, ref, ["phones"]) == denied(Reason.LEVEL, 2)


async def test_another_nodes_channel_of_that_name(desk: Desk) -> None:
    ref = await desk.call()
    (talk,) = desk.talks.talks["PJSIP/anna"]
    desk.talks.talks["PJSIP/anna"] = (replace(talk, node="node-b"),)
    assert await desk.lock.record(ANNA, ref) == denied(Reason.NOT_VERIFIED)


async def test_a_stranger_comes_to_the_talk(desk: Desk) -> None:
    ref = await desk.call()
    desk.joined(ANNA, "c.1", "c.2")
    assert await desk.lock.record(ANNA, ref) == denied(Reason.THIRD_PARTY)
    assert (await desk.last())[3] == ""


# ---------------------------------------------------------------- while it is read


@pytest.mark.parametrize("at", [3, 4], ids=["is given", "is about to be given"])
async def test_who_hangs_up_while_it_is_read_is_not_read(desk: Desk, at: int) -> None:
    """The talks are looked at twice in each judgement: at the first, and again when the marks are there."""
    ref = await desk.call()

    async def hang_up(asked: int) -> None:
        if asked == at:
            desk.joined(ANNA)

    desk.talks.meanwhile = hang_up
    assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.NO_CALL)
    rows = [row[1:] for row in await desk.rows()]
    assert rows == [("record.read", "granted"), ("record.read", "withheld")]


async def test_who_hangs_up_before_anything_is_read(desk: Desk) -> None:
    ref = await desk.call()

    async def hang_up(asked: int) -> None:
        if asked == 2:
            desk.joined(ANNA)

    desk.talks.meanwhile = hang_up
    assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.NO_CALL)
    assert [row[2] for row in await desk.rows()] == ["refused"]


async def test_another_call_of_the_same_customer_is_another_matter(desk: Desk) -> None:
    ref = await desk.call()
    await desk.marked(ref, "c.2")

    async def swapped(asked: int) -> None:
        if asked == 3:
            desk.joined(ANNA, "c.2")

    desk.talks.meanwhile = swapped
    assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.NO_CALL)


async def test_the_mark_goes_while_it_is_read(desk: Desk) -> None:
    ref = await desk.call()

    async def dropped(asked: int) -> None:
        if asked == 3:
            await desk.live.disown(NODE, "c.1")

    desk.talks.meanwhile = dropped
    assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.NOT_VERIFIED)


async def test_talks_that_change_all_the_time_are_not_known(desk: Desk) -> None:
    ref = await desk.call()

    async def turned(asked: int) -> None:
        desk.joined(ANNA, "c.1", *(f"c.{asked}" for _ in range(asked % 2)))

    desk.talks.meanwhile = turned
    assert await desk.lock.record(ANNA, ref) == denied(Reason.UNKNOWN_BRIDGES)


# ---------------------------------------------------------------- a part is down


async def test_it_is_not_known_who_talks_with_whom(desk: Desk) -> None:
    ref = await desk.call()
    desk.talks.down = True
    assert await desk.lock.record(ANNA, ref) == denied(Reason.UNKNOWN_BRIDGES)
    assert await desk.lock.demand(ANNA, ref, 1, "crm.read") == denied(Reason.UNKNOWN_BRIDGES)
    assert await desk.lock.act(ANNA, ref, "lock", {}) == denied(Reason.UNKNOWN_BRIDGES)
    assert [row[2] for row in await desk.rows()] == ["refused"] * 3
    with pytest.raises(Unavailable):
        await desk.lock.current(ANNA)


async def test_redis_is_away(desk: Desk, server: Server) -> None:
    ref = await desk.call()
    server.kill()
    assert await desk.lock.record(ANNA, ref) == denied(Reason.UNAVAILABLE)
    assert await desk.lock.act(ANNA, ref, "lock", {}) == denied(Reason.UNAVAILABLE)
    assert [row[2] for row in await desk.rows()] == ["refused"] * 2
    with pytest.raises(Unavailable):
        await desk.lock.current(ANNA)


async def test_where_the_counts_are_rubbish_nothing_is_given(desk: Desk, server: Server) -> None:
    ref = await desk.call()
    server.client.set("tillit:reads:of:acme:p-anna", "rubbish", ex=60)
    assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.UNAVAILABLE)
    assert await desk.lock.demand(ANNA, ref, 1, "crm.read") == denied(Reason.UNAVAILABLE)
    assert await desk.lock.act(ANNA, ref, "lock", {}) == denied(Reason.UNAVAILABLE)
    assert [row[2] for row in await desk.rows()] == ["refused"] * 3


@HANGS
async def test_where_the_row_cannot_be_written_nothing_is_given(desk: Desk) -> None:
    ref = await desk.call()
    # somebody else writes to this chain, and does not come to an end
    async with desk.database.write(lock=lock_of("desk")):
        assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.UNAVAILABLE)
        assert await desk.lock.demand(ANNA, ref, 1, "crm.read") == denied(Reason.UNAVAILABLE)
        assert await desk.lock.act(ANNA, ref, "lock", {}) == denied(Reason.UNAVAILABLE)
        # nor is a refusal anything else
        assert await desk.lock.record(BO, ref) == denied(Reason.NO_CALL)
        assert len(desk.log.of("lock.untold")) >= 1
        (one,) = await desk.lock.current(ANNA)
        assert (one.state, one.name) == (State.VERIFIED, None)
    assert isinstance(await desk.lock.record(ANNA, ref, ["name"]), Record)


@HANGS
async def test_where_the_database_hangs_nothing_is_given(desk: Desk) -> None:
    ref = await desk.call()
    async with held(desk.settings):
        for answer in (
            await desk.lock.record(ANNA, ref, ["name"]), await desk.lock.demand(ANNA, ref, 1, "crm.read"),
            await desk.lock.act(ANNA, ref, "lock", {}),
        ):  # fmt: skip
            assert answer == denied(Reason.UNAVAILABLE)


async def test_data_that_was_changed_is_not_given(desk: Desk) -> None:
    ref = await desk.call()
    other = await desk.customer("10002", "Ylva")
    await tamper(
        desk.database,
        f"UPDATE customers SET name = (SELECT name FROM customers WHERE ref = '{other}') WHERE ref = '{ref}'",
    )
    assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.UNAVAILABLE)
    assert [row[2] for row in await desk.rows()] == ["granted", "withheld"]


# ---------------------------------------------------------------- for whoever has the data elsewhere


async def test_a_demand_is_told_of_before_it_is_granted(desk: Desk) -> None:
    ref = await desk.call()
    granted = await desk.lock.demand(ANNA, ref, 2, "crm.read")
    assert isinstance(granted, Granted)
    assert (granted.call, granted.level) == (CALL, 2)
    actor, action, outcome, call, subject, detail = await desk.last()
    assert (actor, action, outcome, call, subject, detail["needs"]) == (
        "desk:anna",
        "crm.read",
        "granted",
        "c.1",
        ref,
        "2",
    )
    assert await desk.lock.still(ANNA, ref, 2, "crm.read", granted) == granted
    assert len(await desk.rows()) == 1
    desk.joined(ANNA)
    assert await desk.lock.still(ANNA, ref, 2, "crm.read", granted) == denied(Reason.NO_CALL)
    assert (await desk.last())[2] == "withheld"
    assert await desk.lock.demand(ANNA, ref, 3, "crm.read") == denied(Reason.NO_CALL)


# ---------------------------------------------------------------- changes


async def test_each_action_does_what_it_says(desk: Desk) -> None:
    ref = await desk.call(level=3)
    seen: list[tuple[Any, ...]] = []
    for action, arguments in (
        ("set_language", {"language": "en"}),
        ("add_phone", {"phone": "08-123 456 78"}),
        ("change_phone", {"phone": PHONE, "to": "+46709999999"}),
        ("remove_phone", {"phone": "0812345678"}),
        ("clear_pin", {}),
        ("lock", {}),
    ):
        done = await desk.lock.act(ANNA, ref, action, {name: Secret(text) for name, text in arguments.items()})
        assert done == Done(CALL, action)
        found = await desk.read(ref)
        assert found is not None
        seen.append((found.language, [phone.reveal() for phone in found.phones], found.has_pin, found.locked))
        actor, what, outcome, call, subject, detail = await desk.last()
        assert (actor, what, outcome, call, subject) == ("desk:anna", f"customer.{action}", "done", "c.1", ref)
        assert not {PHONE, "+46709999999", "+46812345678"} & set(detail.values())
    assert seen == [
        ("en", [PHONE], True, False),
        ("en", [PHONE, "+46812345678"], True, False),
        ("en", ["+46709999999", "+46812345678"], True, False),
        ("en", ["+46709999999"], True, False),
        ("en", ["+46709999999"], False, False),
        ("en", ["+46709999999"], False, True),
    ]
    # and that was the end of it
    assert await desk.lock.act(ANNA, ref, "lock", {}) == denied(Reason.NOT_IN_FORCE)
    assert await desk.lock.record(ANNA, ref) == denied(Reason.NOT_IN_FORCE)


@pytest.mark.parametrize(
    ("action", "arguments", "level"),
    [("lock", {}, 0), ("clear_pin", {}, 1), ("set_language", {"language": "en"}, 1), ("add_phone", {"phone": "+46709999999"}, 2),
     ("change_phone", {"phone": PHONE, "to": "+46709999999"}, 2), ("remove_phone", {"phone": PHONE}, 2),
     ("replace_sim", {"phone": PHONE}, 2)],
)  # fmt: skip
async def test_an_action_at_too_low_a_level_does_nothing(
    desk: Desk, action: str, arguments: dict[str, str], level: int
) -> None:
    ref = await desk.call(level=level)
    before = await desk.read(ref)
    found = await desk.lock.act(ANNA, ref, action, {name: Secret(text) for name, text in arguments.items()})
    assert found == denied(Reason.LEVEL, level + 1)
    assert await desk.read(ref) == before
    assert (await desk.last())[1:3] == (f"customer.{action}", "refused")


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("erase", {}), ("lock", {"phone": PHONE}), ("add_phone", {}), ("add_phone", {"phone": "12"}),
        ("add_phone", {"phone": "nobody's"}), ("add_phone", {"phone": "7" * 1000}), ("set_language", {"language": "xx"}),
        ("change_phone", {"phone": PHONE}), ("set_language", {"language": "EN"}), ("__init__", {}),
    ],
)  # fmt: skip
async def test_what_is_no_action_is_none(desk: Desk, action: str, arguments: dict[str, str]) -> None:
    ref = await desk.call(level=3)
    with pytest.raises(InputError) as error:
        await desk.lock.act(ANNA, ref, action, {name: Secret(text) for name, text in arguments.items()})
    assert not {text for text in arguments.values() if text in str(error.value)} - {PHONE, "12"}
    assert await desk.rows() == []


@pytest.mark.parametrize(
    ("action", "arguments"),
    [("add_phone", {"phone": PHONE}), ("remove_phone", {"phone": "+46709999999"}),
     ("change_phone", {"phone": "+46709999999", "to": "+46708888888"}), ("change_phone", {"phone": PHONE, "to": PHONE})],
)  # fmt: skip
async def test_what_does_not_fit_the_record_is_told_to_who_may_read_it_alone(
    desk: Desk, action: str, arguments: dict[str, str]
) -> None:
    ref = await desk.call(level=3)
    given_ = {name: Secret(text) for name, text in arguments.items()}
    with pytest.raises(InputError, match="Nothing was done"):
        await desk.lock.act(ANNA, ref, action, given_)
    assert (await desk.last())[5]["reason"] == "no_such_value"
    found = await desk.read(ref)
    assert found is not None and found.phones == (Personal(PHONE),)
    # who may not, learns nothing by trying
    assert await desk.lock.act(BO, ref, action, given_) == denied(Reason.NO_CALL)


async def test_ten_numbers_are_enough(desk: Desk) -> None:
    ref = await desk.customer("10001", "Xenia", *(f"+4670123456{n}" for n in range(10)))
    await desk.marked(ref, level=3)
    desk.joined(ANNA, "c.1")
    with pytest.raises(InputError, match="has 10 of them"):
        await desk.lock.act(ANNA, ref, "add_phone", {"phone": Secret("+46709999999")})


async def test_who_hangs_up_before_the_change_is_made_is_not_changed(desk: Desk) -> None:
    ref = await desk.call(level=3)
    before = await desk.read(ref)

    async def hang_up(asked: int) -> None:
        if asked == 3:
            desk.joined(ANNA)

    desk.talks.meanwhile = hang_up
    assert await desk.lock.act(ANNA, ref, "lock", {}) == denied(Reason.NO_CALL)
    assert await desk.read(ref) == before
    assert [row[1:] for row in await desk.rows()] == [("customer.lock", "refused")]


async def test_changes_at_the_same_time_are_one_after_another(desk: Desk) -> None:
    ref = await desk.call(level=3)
    phones = [f"+4670123457{n}" for n in range(9)]
    done = await asyncio.gather(*(desk.lock.act(ANNA, ref, "add_phone", {"phone": Secret(one)}) for one in phones))
    assert {type(one) for one in done} == {Done}
    found = await desk.read(ref)
    assert found is not None and {phone.reveal() for phone in found.phones} == {PHONE, *phones}


async def test_more_changes_at_once_than_there_are_connections(desk: Desk) -> None:
    """Each asks while it is made whether the customer is in force, and none waits for another's connection for ever."""
    ref = await desk.call(level=3)
    done = await asyncio.gather(*(desk.lock.act(ANNA, ref, "clear_pin", {}) for _ in range(25)))
    assert {type(one) for one in done} == {Done}


async def test_two_processes_change_one_record_one_after_another(desk: Desk) -> None:
    ref = await desk.call(level=3)
    customers = await Customers.open(desk.database, desk.vault)
    both = [StoredRecords(desk.database, desk.register, customers, SEAL, f"desk-{n}") for n in range(2)]
    phones = [f"+4670123457{n}" for n in range(8)]

    async def yes() -> bool:
        return True

    done = await asyncio.gather(
        *(
            both[n % 2].act(ANNA.tenant, ref, checked("add_phone", {"phone": Secret(one)}, "SE"), entry(ANNA, "customer.add_phone", "done"), yes)
            for n, one in enumerate(phones)
        )
    )  # fmt: skip
    assert done == [True] * 8
    found = await desk.read(ref)
    assert found is not None and {phone.reveal() for phone in found.phones} == {PHONE, *phones}


async def test_the_trail_is_whole_behind_changes_and_reads(desk: Desk) -> None:
    ref = await desk.call(level=3)
    for _ in range(3):
        await asyncio.gather(
            desk.lock.record(ANNA, ref), desk.lock.act(ANNA, ref, "clear_pin", {}), desk.lock.record(BO, ref),
            desk.lock.act(BO, ref, "clear_pin", {}),
        )  # fmt: skip
    report = await verify(desk.database, SEAL.verifier)
    assert (report.faults, report.rows) == ((), {"desk": 12})


async def test_behind_a_trail_that_was_changed_nothing_is_done(desk: Desk) -> None:
    ref = await desk.call(level=3)
    before = await desk.read(ref)
    assert isinstance(await desk.lock.record(ANNA, ref, ["name"]), Record)
    await tamper(desk.database, "UPDATE audit SET hash = 'x'")
    assert await desk.lock.act(ANNA, ref, "lock", {}) == denied(Reason.UNAVAILABLE)
    assert await desk.lock.record(ANNA, ref, ["name"]) == denied(Reason.UNAVAILABLE)
    assert await desk.read(ref) == before


# ---------------------------------------------------------------- who is on the line


async def test_nobody_is_on_the_line(desk: Desk) -> None:
    assert await desk.lock.current(ANNA) == ()


async def test_the_callers_of_a_phone_that_is_another_persons_by_now_are_not_shown(desk: Desk) -> None:
    await desk.call(BO)
    desk.staff.change(ANNA, endpoints=frozenset({"PJSIP/bo"}))
    desk.staff.persons[BO.id] = desk.staff.persons.pop(BO.id)
    assert await desk.staff.owners_of(["PJSIP/bo"]) == {"PJSIP/bo": BO}
    assert await desk.lock.current(ANNA) == ()
    assert len(await desk.lock.current(BO)) == 1


async def test_a_caller_who_is_not_verified(desk: Desk) -> None:
    desk.joined(ANNA, "c.1")
    (one,) = await desk.lock.current(ANNA)
    assert (one.call, one.number, one.state, one.shut) == (CALL, "+46…33", State.NOT_VERIFIED, Reason.NOT_VERIFIED)
    assert (one.name, one.ref, one.level) == (None, None, 0)


async def test_a_caller_who_is_being_verified_and_refused(desk: Desk) -> None:
    desk.joined(ANNA, "c.1")
    progress = round_of(NODE, "c.1")
    await desk.live.begin(progress)
    (one,) = await desk.lock.current(ANNA)
    assert one.state is State.VERIFYING
    await desk.live.note(progress.refused(Refused("usual", Status.REFUSED), []))
    (one,) = await desk.lock.current(ANNA)
    assert (one.state, one.shut) == (State.REFUSED, Reason.NOT_VERIFIED)


async def test_a_verified_caller_has_a_name_and_the_trail_tells_of_it_once(desk: Desk) -> None:
    ref = await desk.call()
    for _ in range(3):
        (one,) = await desk.lock.current(ANNA)
        assert one.name == Personal("Xenia Ask")
        assert (one.state, one.shut, one.level, one.ref) == (State.VERIFIED, None, 2, ref)
        assert one.until is not None and one.until > time.time()
    assert await desk.rows() == [("desk:anna", "record.name", "granted")]
    # anew for somebody else, and for another mark
    desk.joined(BO, "c.1")
    assert (await desk.lock.current(BO))[0].name == Personal("Xenia Ask")
    await desk.marked(ref, "c.2")
    desk.joined(ANNA, "c.2")
    await desk.lock.current(ANNA)
    assert len(await desk.rows()) == 3


async def test_with_a_stranger_in_the_talk_there_is_no_name(desk: Desk) -> None:
    await desk.call()
    desk.joined(ANNA, "c.1", "c.2")
    one, two = await desk.lock.current(ANNA)
    assert (one.state, one.shut, one.name) == (State.VERIFIED, Reason.THIRD_PARTY, None)
    assert (two.state, two.shut) == (State.NOT_VERIFIED, Reason.THIRD_PARTY)
    assert await desk.rows() == []


async def test_a_customer_on_hold_while_another_is_spoken_with(desk: Desk) -> None:
    await desk.call()
    desk.joined(ANNA, "c.1", held=True)
    (first,) = desk.talks.talks["PJSIP/anna"]
    second = Talk(
        NODE, Party("own-2", "PJSIP/anna", None, False, 2.0), (Party("c.2", "PJSIP/trunk", None, False, 2.0),)
    )
    desk.talks.talks["PJSIP/anna"] = (first, second)
    one, two = await desk.lock.current(ANNA)
    assert (one.held, one.state, one.shut, one.name) == (True, State.VERIFIED, Reason.NOT_VERIFIED, None)
    assert (two.held, two.number, two.shut) == (False, None, Reason.NOT_VERIFIED)


async def test_the_name_is_not_shown_where_it_needs_more_than_the_mark_has(either: Either, server: Server) -> None:
    async with desk_of(either(), server, {"fields": {"name": 2}}) as desk:
        await desk.call(level=1)
        (one,) = await desk.lock.current(ANNA)
        assert (one.state, one.level, one.shut, one.name) == (State.VERIFIED, 1, None, None)
        assert await desk.rows() == []


async def test_who_hangs_up_while_the_name_is_read_has_none(desk: Desk) -> None:
    await desk.call()

    async def hang_up(asked: int) -> None:
        if asked == 3:
            desk.joined(ANNA)

    desk.talks.meanwhile = hang_up
    (one,) = await desk.lock.current(ANNA)
    assert one.name is None


async def test_one_customer_on_two_channels_is_shown_on_the_one_that_is_spoken_with(desk: Desk) -> None:
    ref = await desk.call()
    await desk.marked(ref, "c.2")
    desk.joined(ANNA, "c.1", held=True)
    (first,) = desk.talks.talks["PJSIP/anna"]
    second = Talk(
        NODE, Party("own-2", "PJSIP/anna", None, False, 2.0), (Party("c.2", "PJSIP/trunk", None, False, 2.0),)
    )
    desk.talks.talks["PJSIP/anna"] = (first, second)
    one, two = await desk.lock.current(ANNA)
    assert (one.shut, one.name) == (Reason.THIRD_PARTY, None)
    assert (two.shut, two.name) == (None, Personal("Xenia Ask"))


async def test_of_a_locked_customer_there_is_no_name(desk: Desk) -> None:
    ref = await desk.call()
    assert isinstance(await desk.lock.act(ANNA, ref, "lock", {}), Done)
    (one,) = await desk.lock.current(ANNA)
    assert (one.state, one.shut, one.name) == (State.VERIFIED, Reason.NOT_IN_FORCE, None)


async def test_who_may_not_see_calls_sees_none(desk: Desk) -> None:
    await desk.call()
    desk.staff.change(ANNA, denied=frozenset({Permission.CALL}))
    assert await desk.lock.current(ANNA) == ()


# ---------------------------------------------------------------- those who sign in, as they stand in the database


async def test_who_works_there_is_asked_of_the_database_each_time(either: Either, server: Server) -> None:
    async with desk_of(either(), server, people=True) as desk:
        roster = Roster(desk.vault)

        async def added(login: str, tenant: str = "acme") -> Person:
            new = NewPerson(tenant, login, Personal(login), Role.AGENT, "blue", (f"PJSIP/{login}",))
            async with desk.database.write() as connection:
                return await roster.add(connection, new)

        anna, bo, cleo = await added("anna"), await added("bo"), await added("cleo", "other")
        ref = await desk.call(anna)

        async def read(person: Person = anna) -> Record | Denied:
            return await desk.lock.record(person, ref, ["name"])

        assert given(await read()) == {"name": "Xenia Ask"}
        assert await read(bo) == await read(cleo) == denied(Reason.NO_CALL)
        (talk,) = desk.talks.talks["PJSIP/anna"]
        for endpoint, expected in (
            ("PJSIP/BO", None),
            ("PJSIP/cleo", Reason.THIRD_PARTY),
            ("PJSIP/dan", Reason.THIRD_PARTY),
        ):
            other = Party("o.1", endpoint, None, False, 1.0)
            desk.talks.talks["PJSIP/anna"] = (replace(talk, others=(*talk.others, other)),)
            found = await read()
            assert isinstance(found, Record) if expected is None else found == denied(expected)
        desk.talks.talks["PJSIP/anna"] = (talk,)
        async with desk.database.write() as connection:
            await roster.take(connection, anna, ["PJSIP/anna"])
        assert await read() == denied(Reason.NO_CALL)
        async with desk.database.write() as connection:
            await roster.give(connection, bo, ["PJSIP/anna"])
        assert await read() == denied(Reason.NO_CALL)
        assert isinstance(await read(bo), Record)
        async with desk.database.write() as connection:
            await roster.disable(connection, bo)
        assert await read(bo) == denied(Reason.NOT_PERMITTED)


# ---------------------------------------------------------------- settings


def test_what_is_not_named_needs_level_2_or_more_but_for_what_a_phone_shows() -> None:
    rules = Rules()
    assert {name for name in FIELDS if getattr(rules.fields, name) < 2} == {"name", "language"}
    assert {name for name in type(rules.actions).model_fields if getattr(rules.actions, name) < 2} == {"lock"}


def test_each_refusal_has_its_word() -> None:
    assert {reason.value for reason in Reason} >= {
        "no_call", "not_verified", "other_customer", "level", "expired", "third_party", "unknown_bridges",
        "too_many_reads", "not_permitted",
    }  # fmt: skip
    assert Denied(Reason.LEVEL, 2) == denied(Reason.LEVEL, 2)
