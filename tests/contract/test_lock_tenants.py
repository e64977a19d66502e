"""Two organisations on one system: nobody of the one reads, changes or opens a record of the other's customers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ivr.config import load
from ivr.lock import Denied, Reason, Record, State
from ivr.secret import Secret
from ivr.staff import Person, Role
from ivr.store.openings import Opening
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, SVEN, Desk, denied, desk_of, given
from tests.unit.cli_kit import typed
from tests.unit.conftest import Either
from tests.unit.database_kit import empty_database, on_postgresql

pytestmark = pytest.mark.servers

NILS = replace(ANNA, id="p-nils", login="nils", tenant="north", endpoints=frozenset({"PJSIP/nils"}))
NORA = Person("p-nora", "north", "nora", "Nora", Role.SUPERVISOR)


@pytest.fixture
async def desk(request: pytest.FixtureRequest, either: Either, server: Server) -> AsyncIterator[Desk]:
    async with desk_of(either(seconds=getattr(request, "param", 10.0)), server) as made:
        made.staff.persons |= {person.id: person for person in (NILS, NORA)}
        yield made


async def test_a_verified_caller_of_another_tenant_is_read_by_nobody_here(desk: Desk) -> None:
    ref = await desk.call(NILS, level=3)
    before = await desk.read(ref)
    assert await desk.lock.record(NILS, ref, ["name"]) == denied(Reason.NOT_IN_FORCE)
    assert await desk.lock.act(NILS, ref, "set_language", {"language": Secret("en")}) == denied(Reason.NOT_IN_FORCE)
    assert await desk.lock.demand(NILS, ref, 1, "proxy") == denied(Reason.NOT_IN_FORCE)
    assert await desk.read(ref) == before
    (shown,) = await desk.lock.current(NILS)
    assert (shown.state, shown.shut, shown.name, shown.ref) == (State.VERIFIED, Reason.NOT_IN_FORCE, None, None)
    # the policies verify the other tenant's customers: there is none that could be chosen
    assert (shown.verifiable, shown.droppable) == (False, True)
    # the own tenant's person on the same call does
    desk.joined(ANNA, "c.1")
    assert [one.verifiable for one in await desk.lock.current(ANNA)] == [True]
    assert given(await desk.lock.record(ANNA, ref, ["name"])) == {"name": "Xenia Ask"}


async def test_nothing_tells_another_tenant_whose_mark_it_is(desk: Desk) -> None:
    """Whatever else keeps it shut: somebody else in the talk, a second call, the customer's being on hold meanwhile."""
    ref = await desk.call(NILS, level=3)
    (talk,) = desk.talks.talks["PJSIP/nils"]
    stranger = replace(talk, own=replace(talk.own, channel="own-2"), others=(replace(talk.others[0], channel="c.2"),))
    held = replace(talk, own=replace(talk.own, held=True))
    for talks in (
        (replace(talk, others=talk.others + stranger.others),), (talk, stranger), (held, stranger), (held,),
    ):  # fmt: skip
        desk.talks.talks["PJSIP/nils"] = talks
        (shown, *_) = await desk.lock.current(NILS)
        assert (shown.state, shown.ref, shown.methods, shown.name) == (State.VERIFIED, None, (), None)
        # of the own customers it is told whose mark it is
        desk.talks.talks["PJSIP/anna"] = tuple(
            replace(one, own=replace(one.own, endpoint="PJSIP/anna")) for one in talks
        )
        (shown, *_) = await desk.lock.current(ANNA)
        assert (shown.ref, shown.methods) == (ref, ("pin", "sms_code"))


async def test_two_persons_of_another_tenant_open_nothing_together(desk: Desk) -> None:
    ref = await desk.customer()
    wish = await desk.glass.ask(NILS, ref, "the fire brigade asks whom to call", ("name",))
    assert isinstance(wish, Opening)
    # nobody of the other tenant sees it, or may agree
    assert await desk.glass.waiting(SVEN) == ()
    assert isinstance(await desk.glass.approve(SVEN, wish.id), Denied)
    assert isinstance(await desk.glass.approve(NORA, wish.id), Opening)
    assert await desk.glass.record(NILS, wish.id) == denied(Reason.NOT_OPEN)
    assert (await desk.rows())[-1] == ("desk:nils", "glass.read", "withheld")
    # of their own they do
    async with desk.database.write() as connection:
        await connection.exec_driver_sql(f"UPDATE customers SET tenant = 'north' WHERE ref = '{ref}'")
    assert isinstance(await desk.glass.record(NILS, wish.id), Record)


async def test_whose_customers_are_added_imported_and_shown(either: Either) -> None:
    settings = load(either().file)
    if on_postgresql(settings):
        await empty_database(settings)
    file = settings.file

    def well(*words: str) -> str:
        ended = typed(*words, "--config", str(file))
        assert ended.code == 0, ended
        return ended.out

    await asyncio.to_thread(well, "init")
    await asyncio.to_thread(well, "customer", "add", "10001", "--name", "Xenia", "--no-pin")
    told = "No policy verifies customers of north: write tenant into one of [policies.NAME]\n"
    nisse = ("customer", "add", "10002", "--name", "Nisse", "--no-pin", "--tenant", "north", "--config", str(file))
    assert (await asyncio.to_thread(typed, *nisse)).err == told
    table = file.parent / "customers.csv"
    table.write_text("number,name,phones,pin,language,policy\n10003,Nadia,,,,\n")
    ended = await asyncio.to_thread(typed, "customer", "import", str(table), "--tenant", "north", "--config", str(file))
    assert (ended.code, ended.err) == (0, told)
    shown = [await asyncio.to_thread(well, "customer", "show", number) for number in ("10001", "10002", "10003")]
    assert [text.split("tenant")[1].split()[0] for text in shown] == ["main", "north", "north"]
    # the same number is another customer's in another tenant; whose is meant must be said then
    await asyncio.to_thread(well, "customer", "add", "10001", "--name", "Nora", "--no-pin", "--tenant", "north")
    table.write_text("number,name,phones,pin,language,policy\n10002,Maja,,,,\n")
    await asyncio.to_thread(well, "customer", "import", str(table))

    async def refused(*words: str) -> str:
        ended = await asyncio.to_thread(typed, *words, "--config", str(file))
        assert ended.code == 2, ended
        return ended.err

    for command in (
        ("customer", "show"), ("customer", "lock"), ("customer", "remove", "--yes"), ("customer", "export"),
        ("customer", "set-pin", "--pin-stdin"), ("audit", "show", "--customer"),
    ):  # fmt: skip
        assert (await refused(*command, "10001")) == (
            "number: a customer of each of these tenants has it: main, north. Name one with --tenant. Nothing was done\n"
        )
    for tenant, name in (("main", "Xenia"), ("north", "Nora")):
        shown = await asyncio.to_thread(well, "customer", "show", "10001", "--reveal", "--tenant", tenant)
        assert name in shown and tenant in shown
    await asyncio.to_thread(well, "customer", "lock", "10001", "--tenant", "north")
    assert "locked     no" in await asyncio.to_thread(well, "customer", "show", "10001", "--tenant", "main")
    await asyncio.to_thread(well, "customer", "remove", "10001", "--tenant", "north", "--yes")
    assert "Xenia" in await asyncio.to_thread(well, "customer", "show", "10001", "--reveal")
    assert (await refused("customer", "show", "10001", "--tenant", "north")).startswith("number: no customer has it")
    assert (await refused("customer", "add", "10002", "--name", "X", "--no-pin", "--tenant", "north")).startswith(
        "number: another customer of north has it"
    )
    assert (await refused("customer", "show", "10001", "--tenant", "a b")).startswith("--tenant: is not 1 to 40")
    ended = await asyncio.to_thread(
        typed, "customer", "add", "10004", "--name", "X", "--no-pin", "--tenant", "a b", "--config", str(file)
    )
    assert (ended.code, ended.err.startswith("--tenant: is not 1 to 40")) == (2, True)
