"""Those who sign in, changed at the desk: by administrators, of their own tenant, never themselves, and never so that one becomes two."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ivr.lock import Administration, Denied, Reason
from ivr.lock.judge import Judge
from ivr.lock.rows import Rows
from ivr.secret import Personal, Secret
from ivr.staff import Denied as Shut
from ivr.staff import Permission, Person, Role, SignedIn
from ivr.store.credentials import Credentials
from ivr.store.members import Listed, Member, Members
from ivr.store.openings import Opening
from ivr.store.people import People
from ivr.store.roster import NewPerson, Roster, hashed
from tests.contract.live_server import Server
from tests.contract.lock_kit import Desk, denied, desk_of
from tests.unit.conftest import Either
from tests.unit.database_kit import SEAL, asked, held, tamper

pytestmark = pytest.mark.servers

MAIN = "main"


@dataclass
class Office:
    desk: Desk
    people: dict[str, Person]

    @property
    def administration(self) -> Administration:
        return self.desk.administration

    async def add(self, login: str, role: Role, *granted: Permission, tenant: str = MAIN) -> Person:
        roster = Roster(self.desk.vault)
        async with self.desk.database.write() as connection:
            new = NewPerson(tenant, login, Personal(f"Name of {login}"), role, "blue", (f"PJSIP/{login}",))
            person = await roster.add(connection, new)
            for permission in granted:
                await roster.permit(connection, person, permission, granted=True)
        self.people[login] = await self.now(person)
        return self.people[login]

    async def now(self, person: Person) -> Person:
        found = await People(self.desk.database, self.desk.vault).by_id(person.tenant, person.id)
        assert found is not None
        return found

    async def invited(self, token: Secret) -> Person | None:
        return await Credentials(self.desk.database, self.desk.vault).invited(hashed(token), 0)

    async def sign_in(self, person: Person) -> None:
        begun = await self.desk.sessions.begin(SignedIn(person, None, time.time_ns() // 1000))
        assert not isinstance(begun, Shut)

    async def signed_in(self, person: Person) -> bool:
        return await self.desk.sessions.latest_of(person.tenant, person.id) is not None

    def beside(self) -> Administration:
        """Another desk's."""
        desk, vault = self.desk, self.desk.vault
        people = People(desk.database, vault)
        judge = Judge(desk.talks, people, desk.live, None, desk.log)  # type: ignore[arg-type]
        failures = desk.live.throttle(desk.settings.desk, vault.index)
        return Administration(
            judge, desk.database, Roster(vault), Members(desk.database, vault), desk.sessions, failures, SEAL, "beside", 24, Rows(desk.trail, desk.log), desk.log  # type: ignore[arg-type]
        )  # fmt: skip


@pytest.fixture
async def office(either: Either, server: Server) -> AsyncIterator[Office]:
    async with desk_of(either(seconds=5.0), server, people=True) as desk:
        made = Office(desk, {})
        for login, role in (("ada", Role.ADMINISTRATOR), ("anna", Role.AGENT), ("siv", Role.SUPERVISOR)):
            await made.add(login, role)
        yield made


async def listed(office: Office, *given: Any) -> Listed:
    found = await office.administration.people(office.people["ada"], *given)
    assert isinstance(found, Listed), found
    return found


async def test_all_of_the_own_tenant_are_listed_and_nobody_else(office: Office) -> None:
    ada, anna = office.people["ada"], office.people["anna"]
    await office.add("nils", Role.AGENT, tenant="north")
    found = await listed(office, 10)
    assert [(one.person, one.person.name, one.ways, one.linked, one.signed_in) for one in found.members] == [
        (office.people[login], f"Name of {login}", (), False, None) for login in ("ada", "anna", "siv")
    ]
    assert found.behind is None
    assert (await office.desk.rows())[-1] == ("desk:ada", "agent.list", "done")
    token = await office.administration.reset(ada, anna.id)
    assert isinstance(token, tuple)
    await Credentials(office.desk.database, office.desk.vault).note(anna, "10.0.*", 0)
    members = (await listed(office, 10)).members
    assert (
        [one.person.login for one in members if one.linked]
        == [one.person.login for one in members if one.signed_in]
        == ["anna"]
    )
    assert await office.administration.person(ada, anna.id) == members[1]


async def test_they_come_in_pieces_by_their_logins_and_by_a_part_of_them(office: Office) -> None:
    for login in ("a_1", "ab1", "anna.b", "zoe"):
        await office.add(login, Role.AGENT)
    await office.add("nils", Role.AGENT, tenant="north")
    whole = [one.person.login for one in (await listed(office, 10)).members]
    assert sorted(whole) == ["a_1", "ab1", "ada", "anna", "anna.b", "siv", "zoe"]
    pieces = [await listed(office, 3)]
    while (behind := pieces[-1].behind) is not None:
        # who comes meanwhile moves no one else into another piece
        if len(pieces) == 1:
            await office.add("aa", Role.AGENT)
        pieces.append(await listed(office, 3, behind))
    assert [[one.person.login for one in piece.members] for piece in pieces] == [whole[:3], whole[3:6], whole[6:]]
    # as many as there are: nothing is behind them
    assert (await listed(office, 8)).behind is None
    for part, logins in (("nn", ["anna", "anna.b"]), ("_", ["a_1"]), ("%", []), ("Name", []), ("nils", [])):
        assert [one.person.login for one in (await listed(office, 10, None, part)).members] == logins
    # what was typed may be a name
    *_, detail = await office.desk.last()
    assert detail == {"person": office.people["ada"].id, "tenant": "main", "by": "login"}
    piece = await listed(office, 1, None, "nn")
    assert [one.person.login for one in (await listed(office, 1, piece.behind, "nn")).members] == ["anna.b"]


async def test_one_is_looked_at_and_nobody_of_another_tenant(office: Office) -> None:
    ada, anna = office.people["ada"], office.people["anna"]
    nils = await office.add("nils", Role.AGENT, tenant="north")
    found = await office.administration.person(ada, anna.id)
    assert isinstance(found, Member) and found.person == anna
    actor, action, outcome, _, subject, _ = await office.desk.last()
    assert (actor, action, outcome, subject) == ("desk:ada", "agent.show", "done", anna.id)
    for whom in (nils.id, "a" * 12, "", "\0", "x" * 1000):
        assert await office.administration.person(ada, whom) == denied(Reason.NOT_FOUND)
        assert (await office.desk.last())[:3] == ("desk:ada", "agent.show", "refused")
    assert await office.administration.person(office.people["siv"], anna.id) == denied(Reason.NOT_PERMITTED)
    assert (await office.desk.last())[:3] == ("desk:siv", "agent.show", "refused")


async def test_who_is_disabled_may_nothing_at_once_and_again_when_enabled(office: Office) -> None:
    ada, anna = office.people["ada"], office.people["anna"]
    await office.sign_in(anna)
    assert await office.administration.disable(ada, anna.id) == anna
    assert (await office.now(anna)).disabled and not await office.signed_in(anna)
    actor, action, outcome, _, subject, detail = await office.desk.last()
    assert (actor, action, outcome, subject) == ("desk:ada", "agent.disable", "done", anna.id)
    assert detail == {"person": ada.id, "tenant": "main", "login": "anna", "team": "blue", "role": "agent"}
    assert office.desk.log.of("staff.changed") == [{"action": "agent.disable", "person": anna.id, "by": ada.id}]
    # sessions that Redis has kept
    await office.sign_in(anna)
    assert isinstance(await office.administration.enable(ada, anna.id), Person)
    assert not (await office.now(anna)).disabled and not await office.signed_in(anna)
    assert (await office.desk.rows())[-1] == ("desk:ada", "agent.enable", "done")


async def test_a_reset_ends_all_and_gives_a_link_that_is_good_once(office: Office) -> None:
    ada, anna = office.people["ada"], office.people["anna"]
    failures = office.desk.live.throttle(office.desk.settings.desk, office.desk.vault.index)
    await failures.count(failures.of("main", "anna", "10.0.0.1"))
    await office.sign_in(anna)
    done = await office.administration.reset(ada, anna.id)
    assert isinstance(done, tuple)
    assert await office.invited(done[1]) == anna
    assert not await office.signed_in(anna)
    assert not await failures.forget("main", "anna"), "there were some yet"
    assert (await office.desk.rows())[-1] == ("desk:ada", "agent.reset", "done")
    # a newer one makes it void
    again = await office.administration.reset(ada, anna.id)
    assert isinstance(again, tuple)
    assert (await office.invited(done[1]), await office.invited(again[1])) == (None, anna)


ACTS = pytest.mark.parametrize("act", ["disable", "enable", "reset"])


@ACTS
async def test_nobody_changes_themselves_or_another_tenants_people(office: Office, act: str) -> None:
    ada = office.people["ada"]
    await office.add("bea", Role.ADMINISTRATOR)
    nils = await office.add("nils", Role.AGENT, tenant="north")
    do = getattr(office.administration, act)
    assert await do(ada, ada.id) == denied(Reason.ONESELF)
    for whom in (nils.id, "a" * 12, "", "\0", "x" * 1000):
        assert await do(ada, whom) == denied(Reason.NOT_FOUND)
    assert await office.now(nils) == nils and await office.now(ada) == ada
    assert {row for row in await office.desk.rows() if row[0] == "desk:ada"} == {
        ("desk:ada", f"agent.{act}", "refused")
    }


@ACTS
async def test_that_a_sign_in_was_too_long_ago_is_in_the_trail(office: Office, act: str) -> None:
    ada, anna = office.people["ada"], office.people["anna"]
    assert await office.administration.not_fresh(ada, anna.id, act) == denied(Reason.NOT_FRESH)
    actor, action, outcome, _, subject, detail = await office.desk.last()
    assert (actor, action, outcome, subject) == ("desk:ada", f"agent.{act}", "refused", anna.id)
    assert detail == {"person": ada.id, "tenant": "main", "reason": "not_fresh"}


@ACTS
async def test_who_is_no_administrator_any_more_changes_nobody(office: Office, act: str) -> None:
    anna = office.people["anna"]
    do = getattr(office.administration, act)
    # what a session remembers counts for nothing
    for by in (office.people["siv"], replace(office.people["siv"], role=Role.ADMINISTRATOR), replace(anna, id="gone")):
        assert await do(by, anna.id) == denied(Reason.NOT_PERMITTED)
    assert await office.administration.people(office.people["siv"], 10) == denied(Reason.NOT_PERMITTED)
    assert await office.now(anna) == anna


async def test_the_last_administrator_stays(office: Office) -> None:
    stan = await office.add("stan", Role.AGENT, Permission.STAFF)
    assert await office.administration.disable(stan, office.people["ada"].id) == denied(Reason.LAST_ADMINISTRATOR)
    assert (await office.desk.last())[1:3] == ("agent.disable", "refused")
    await office.add("bea", Role.ADMINISTRATOR)
    assert isinstance(await office.administration.disable(stan, office.people["ada"].id), Person)


async def test_of_two_who_disable_each_other_at_two_desks_one_stays(office: Office) -> None:
    ada, bea = office.people["ada"], await office.add("bea", Role.ADMINISTRATOR)
    await office.add("cia", Role.ADMINISTRATOR)
    for _ in range(5):
        done = await asyncio.gather(office.administration.disable(ada, bea.id), office.beside().disable(bea, ada.id))
        assert sorted(isinstance(one, Denied) for one in done) == [False, True], done
        async with office.desk.database.write() as connection:
            for person in (ada, bea):
                await Roster(office.desk.vault).enable(connection, person)


# ---------------------------------------------------------------- no administrator becomes two


async def test_no_link_is_had_of_somebody_who_may_agree_or_do_more_than_take_calls(office: Office) -> None:
    ada = office.people["ada"]
    others = [office.people["siv"]]
    others += [
        await office.add(role.value.replace("_", "-"), role)
        for role in (Role.ADMINISTRATOR, Role.AUDITOR, Role.DATA_OWNER)
    ]
    others += [
        await office.add(permission.value, Role.AGENT, permission)
        for permission in Permission
        if permission not in ("call", "dial", "prove", "verify")
    ]
    for person in others:
        assert await office.administration.reset(ada, person.id) == denied(Reason.BY_COMMAND), person
    assert await asked(office.desk.database, "SELECT count(*) FROM links") == [(0,)]
    # somebody who is disabled has no rights, but has them again when enabled
    assert isinstance(await office.administration.disable(ada, office.people["siv"].id), Person)
    assert await office.administration.reset(ada, office.people["siv"].id) == denied(Reason.DISABLED)


@pytest.mark.parametrize("how", ["role", "permission", "usual", "while disabled"])
async def test_a_link_had_at_the_desk_opens_nobody_who_may_do_more_by_now(office: Office, how: str) -> None:
    ada, anna = office.people["ada"], office.people["anna"]
    roster, database = Roster(office.desk.vault), office.desk.database
    async with database.write() as connection:
        await roster.permit(connection, anna, Permission.READS, granted=False)
    done = await office.administration.reset(ada, anna.id)
    assert not isinstance(done, Denied)
    async with database.write() as connection:
        # what is no more than before, or no more than calls need, leaves it as it is
        assert not await roster.change(connection, anna, team="red", role=Role.AGENT)
        assert not await roster.permit(connection, anna, Permission.VERIFY, granted=True)
        assert not await roster.permit(connection, anna, Permission.APPROVE, granted=False)
    assert await office.invited(done[1]) is not None
    async with database.write() as connection:
        if how == "role":
            assert await roster.change(connection, anna, role=Role.AUDITOR)
        elif how == "permission":
            assert await roster.permit(connection, anna, Permission.WATCH, granted=True)
        elif how == "usual":
            assert await roster.change(connection, anna, role=Role.SUPERVISOR)
            assert not await roster.permit(connection, anna, Permission.APPROVE, granted=None), "it is gone already"
        else:
            # a link is void when somebody is disabled; what this person may do when enabled counts all the same
            await connection.exec_driver_sql("UPDATE people SET disabled = true WHERE login = 'anna'")
            assert await roster.change(connection, anna, role=Role.SUPERVISOR)
    assert await office.invited(done[1]) is None


async def test_who_may_agree_has_nobodys_link(office: Office) -> None:
    """Else they would ask as that person, and agree as themselves."""
    both = await office.add("both", Role.SUPERVISOR, Permission.STAFF)
    assert await office.administration.reset(both, office.people["anna"].id) == denied(Reason.BY_COMMAND)
    assert isinstance(await office.administration.disable(both, office.people["anna"].id), Person)


async def test_whoever_an_administrator_becomes_reads_nobody_without_a_call(office: Office) -> None:
    ada, anna, desk = office.people["ada"], office.people["anna"], office.desk
    ref = await desk.customer(tenant="main")
    assert isinstance(await office.administration.reset(ada, anna.id), tuple)
    assert await desk.lock.record(anna, ref) == denied(Reason.NO_CALL)
    wish = await desk.glass.ask(anna, ref, "wants to see it without a call", ("name",))
    assert isinstance(wish, Opening)
    for by in (anna, ada):
        assert await desk.glass.approve(by, wish.id) == denied(Reason.NOT_PERMITTED)
    assert await desk.glass.record(anna, wish.id) == denied(Reason.NOT_OPEN)


# ---------------------------------------------------------------- what is down


@ACTS
async def test_without_its_row_nothing_is_done(office: Office, act: str) -> None:
    ada, anna = office.people["ada"], office.people["anna"]
    await tamper(office.desk.database, "UPDATE audit SET hash = 'x'")
    assert isinstance(await office.administration.people(ada, 10), Denied | Listed)
    await tamper(office.desk.database, "UPDATE audit SET hash = 'x'")
    assert await getattr(office.administration, act)(ada, anna.id) == denied(Reason.UNAVAILABLE)
    assert await office.now(anna) == anna
    assert await asked(office.desk.database, "SELECT count(*) FROM links") == [(0,)]


async def test_while_others_hold_the_database_nobody_is_listed_or_changed(office: Office) -> None:
    async with held(office.desk.settings):
        assert await office.administration.people(office.people["ada"], 10) == denied(Reason.UNAVAILABLE)
        assert await office.administration.person(office.people["ada"], office.people["anna"].id) == denied(
            Reason.UNAVAILABLE
        )


async def test_without_redis_no_link_is_given_and_who_is_disabled_is_disabled(office: Office, server: Server) -> None:
    ada, anna = office.people["ada"], office.people["anna"]
    server.kill()
    assert await office.administration.reset(ada, anna.id) == denied(Reason.UNAVAILABLE)
    assert await asked(office.desk.database, "SELECT count(*) FROM links") == [(0,)]
    assert await office.administration.disable(ada, anna.id) == denied(Reason.UNAVAILABLE)
    assert (await office.now(anna)).disabled
    assert await office.administration.enable(ada, anna.id) == denied(Reason.UNAVAILABLE)
    assert (await office.now(anna)).disabled
