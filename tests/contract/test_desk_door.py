"""Signing in, on real parts: what is right and what is not, each code once, and a row before each effect."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets

import pyotp
import pytest

from ivr.errors import InputError, StoreError
from ivr.secret import Secret
from ivr.staff import Denial, Denied, Permission, Person, Role, SignedIn
from ivr.store import sealing
from ivr.store.roster import hashed
from ivr.store.welcome import Unfit
from ivr.vault import Envelope
from ivr.vault.password import Weak
from tests.contract.desk_kit import HERE, PASSWORD, House
from tests.contract.live_server import Server
from tests.unit.database_kit import asked

pytestmark = pytest.mark.servers

WRONG = Denied(Denial.WRONG)


async def test_password_and_code_let_somebody_in_and_each_of_them_alone_does_not(house: House) -> None:
    anna = await house.enrolled("anna", "PJSIP/anna")
    entered = await house.sign_in("anna")
    assert isinstance(entered, SignedIn)
    assert entered.person == anna and entered.last is None
    assert await house.sign_in("anna", password="another") == WRONG
    assert await house.sign_in("anna", code=Secret("000000")) == WRONG
    assert await house.sign_in("anna", code=Secret("")) == WRONG
    assert await house.sign_in("anna", password="x" * 5000) == WRONG
    assert await house.sign_in("bo") == WRONG
    assert (await house.rows(last=6))[0] == ("desk:anna", "desk.sign_in", "done")
    assert (await house.rows(last=5)) == [("desk:anna", "desk.sign_in", "refused")] * 4 + [
        ("desk:?", "desk.sign_in", "refused")
    ]
    again = await house.sign_in(" ANNA ")
    assert isinstance(again, SignedIn) and again.last is not None
    assert (again.last.place, again.last.failures) == ("203.0.113.*", 4)


async def test_a_code_is_accepted_once_also_by_two_at_once_and_a_step_early_or_late(house: House) -> None:
    await house.enrolled("anna")
    for early in (-1, 0, 1):
        house.now += 300
        code = house.code("anna", early)
        both = await asyncio.gather(*(house.sign_in("anna", code=code) for _ in range(4)))
        assert sum(isinstance(one, SignedIn) for one in both) == 1
        assert await house.sign_in("anna", code=code) == WRONG
        assert await house.throttle.forget("main", "anna")
    for late in (-2, 2):
        house.now += 300
        assert await house.sign_in("anna", code=house.code("anna", late)) == WRONG
    # what was shown before a code that was accepted is not accepted behind it
    house.now += 300
    assert isinstance(await house.sign_in("anna", code=house.code("anna", 1)), SignedIn)
    assert await house.sign_in("anna", code=house.code("anna", 0)) == WRONG


async def test_who_is_disabled_or_not_enrolled_or_of_another_tenant_is_nobody(house: House) -> None:
    anna = await house.enrolled("anna")
    await house.add("bo")
    await house.add("root", role=Role.ADMINISTRATOR)
    async with house.database.write() as connection:
        await house.roster.disable(connection, anna)
    assert await house.sign_in("anna") == WRONG
    assert await house.sign_in("bo") == WRONG
    async with house.database.write() as connection:
        await house.roster.enable(connection, anna)
    assert await house.sign_in("anna", tenant="other") == WRONG
    assert (await house.rows(last=3)) == [("desk:?", "desk.sign_in", "refused")] * 3
    assert isinstance(await house.sign_in("anna"), SignedIn)


async def test_no_row_no_sign_in(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.enrolled("anna")
    await house.trail.close()
    with pytest.raises(StoreError):
        await house.sign_in("anna")
    with pytest.raises(StoreError):
        await house.sign_in("anna", password="wrong")


async def test_a_lock_is_told_of_once_and_evaluates_nothing(house: House) -> None:
    await house.enrolled("anna")
    for _ in range(5):
        assert await house.sign_in("anna", password="wrong") == WRONG
    before = await house.rows()
    for _ in range(3):
        denied = await house.sign_in("anna")
        assert isinstance(denied, Denied) and denied.why is Denial.WAIT and denied.seconds is not None
        assert 25 <= denied.seconds <= 30
    assert await house.rows() == [*before, ("desk:?", "desk.sign_in", "locked")]
    # whoever nobody knows is told the same
    answers = [await house.sign_in("nobody", address="198.51.100.1") for _ in range(6)]
    assert answers[:5] == [WRONG] * 5
    assert isinstance(answers[5], Denied) and answers[5].why is Denial.WAIT


# ---------------------------------------------------------------- links


async def test_a_link_is_looked_at_as_often_as_one_likes_and_used_once(house: House) -> None:
    anna = await house.add("anna", "PJSIP/anna")
    token = await house.invite(anna)
    before = await dump(house)
    offers = [await house.welcome.offer(token) for _ in range(3)]
    assert await dump(house) == before, "to look at it changes nothing"
    first, _, offer = offers
    assert first is not None and offer is not None
    assert first.key != offer.key and offer.person == anna
    assert pyotp.parse_uri(offer.uri.reveal()).secret == offer.key.reveal()
    code = Secret(pyotp.TOTP(offer.key.reveal()).now())
    accept = house.welcome.accept
    assert await accept(token, Secret("short"), code, offer.sealed, HERE) is Weak.SHORT
    assert await accept(token, Secret("annasupport1"), code, offer.sealed, HERE) is Weak.GUESSABLE
    assert await accept(token, Secret(PASSWORD), Secret("000000"), offer.sealed, HERE) is Unfit.CODE
    assert await accept(token, Secret(PASSWORD), code, "rubbish", HERE) is Unfit.CODE
    assert await accept(token, Secret(PASSWORD), code, first.sealed, HERE) is Unfit.CODE
    assert await accept(Secret("x" * 43), Secret(PASSWORD), code, offer.sealed, HERE) is Unfit.LINK
    assert await dump(house) == before
    both = await asyncio.gather(*(accept(token, Secret(PASSWORD), code, offer.sealed, HERE) for _ in range(3)))
    assert sorted(map(str, both), key=len)[:2] == ["link", "link"]
    assert sum(isinstance(one, Person) for one in both) == 1
    assert await house.welcome.offer(token) is None
    assert (await house.rows()) == [("desk:anna", "agent.enrol", "done")]
    # the code that was shown is used up as well
    house.now -= 3600
    house.keys["anna"] = offer.key
    assert await house.sign_in("anna", code=code) == WRONG


async def test_what_is_offered_to_one_is_of_no_use_to_another(house: House) -> None:
    tokens = [await house.invite(await house.add(login)) for login in ("anna", "bo")]
    offers = [await house.welcome.offer(token) for token in tokens]
    assert offers[0] is not None and offers[1] is not None
    code = Secret(pyotp.TOTP(offers[0].key.reveal()).now())
    assert await house.welcome.accept(tokens[1], Secret(PASSWORD), code, offers[0].sealed, HERE) is Unfit.CODE


async def test_a_link_ends_with_its_hours_a_newer_one_and_its_person(house: House) -> None:
    anna = await house.add("anna")
    await house.add("root", role=Role.ADMINISTRATOR)
    old = await house.invite(anna, hours=0)
    assert await house.welcome.offer(old) is None
    older = await house.invite(anna)
    newer = await house.invite(anna)
    assert await house.welcome.offer(older) is None and await house.welcome.offer(newer) is not None
    async with house.database.write() as connection:
        await house.roster.disable(connection, anna)
    assert await house.welcome.offer(newer) is None


async def test_a_reset_takes_password_and_app_away(house: House) -> None:
    anna = await house.enrolled("anna")
    await house.invite(anna)
    assert await house.sign_in("anna") == WRONG


async def dump(house: House) -> list[object]:
    return [
        await asked(house.database, f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        for table in ("people", "credentials", "links", "audit", "people_endpoints")
    ]


# ---------------------------------------------------------------- sessions


async def test_all_sessions_end_also_of_a_sign_in_that_is_under_way(house: House) -> None:
    anna = await house.enrolled("anna")
    signed = [await house.sign_in("anna") for _ in range(3)]
    begun = [await house.sessions.begin(one) for one in signed[:2] if isinstance(one, SignedIn)]
    tokens = [one[0] for one in begun if not isinstance(one, Denied)]
    assert len(tokens) == 2
    session = await house.sessions.of(tokens[0])
    assert session is not None
    assert await house.door.sign_out_everywhere(session, anna.actor) == 2
    assert [await house.sessions.of(token) for token in tokens] == [None, None]
    late = signed[2]
    assert isinstance(late, SignedIn)
    assert await house.sessions.begin(late) == Denied(Denial.ENDED)
    entered = await house.sign_in("anna")
    assert isinstance(entered, SignedIn)
    fresh = await house.sessions.begin(entered)
    assert not isinstance(fresh, Denied)
    token, made = fresh
    found = await house.sessions.of(token)
    assert found is not None and found.seen >= made.seen
    assert dataclasses.replace(found, seen=made.seen) == made
    assert made.last is not None and made.last.place == "203.0.113.*"
    await house.door.sign_out(token, made, anna.actor)
    assert await house.sessions.of(token) is None
    assert (await house.rows())[-1] == ("desk:anna", "desk.sign_out", "done")


async def test_of_the_last_two_administrators_one_stays_whatever_both_do_at_once(house: House) -> None:
    first, second = [await house.add(login, role=Role.ADMINISTRATOR) for login in ("ada", "bea")]

    async def gone(person: Person, how: str) -> bool:
        try:
            async with house.database.write() as connection:
                match how:
                    case "disable":
                        await house.roster.disable(connection, person)
                    case "change":
                        await house.roster.change(connection, person, role=Role.AGENT)
                    case _:
                        await house.roster.permit(connection, person, Permission.STAFF, False)
                # so long that the other one has begun
                await asyncio.sleep(0.05)
        except InputError:
            return False
        return True

    for ways in (("disable", "disable"), ("change", "disable"), ("change", "change")):
        done = await asyncio.gather(*(gone(*one) for one in zip((first, second), ways, strict=True)))
        assert sorted(done) == [False, True], ways
        assert await house.people.administrators() == 1
        async with house.database.write() as connection:
            for person in (first, second):
                await house.roster.enable(connection, person)
                await house.roster.change(connection, person, role=Role.ADMINISTRATOR)


async def test_a_sign_in_without_a_session_is_told_of(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.enrolled("anna")
    entered = await house.sign_in("anna")
    assert isinstance(entered, SignedIn)

    async def away(_: SignedIn) -> None:
        raise StoreError("Redis did not answer in time")

    with monkeypatch.context() as patch:
        patch.setattr(house.sessions, "begin", away)
        with pytest.raises(StoreError):
            await house.door.begin(entered)
    assert (await house.rows(last=2)) == [
        ("desk:anna", "desk.sign_in", "done"),
        ("desk:anna", "desk.sign_in", "undone"),
    ]
    await house.sessions.end_all("main", entered.person.id)
    assert await house.door.begin(entered) == Denied(Denial.ENDED)
    assert (await house.rows())[-1] == ("desk:anna", "desk.sign_in", "undone")


# ---------------------------------------------------------------- secrecy


async def test_nothing_secret_is_kept_or_told(house: House, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A password, a link, an app's key, a token and codes; looked for in the log, Redis, the database and errors."""
    caplog.set_level(logging.DEBUG)
    canary = f"Canary {secrets.token_hex(8)} battery"
    anna = await house.enrolled("anna", password=canary)
    link = await house.invite(await house.add("bo"))
    entered = await house.sign_in("anna", password=canary)
    assert isinstance(entered, SignedIn), entered
    begun = await house.sessions.begin(entered)
    assert not isinstance(begun, Denied)
    token, session = begun
    await house.sign_in(canary, password=canary)
    key = house.keys["anna"]
    sought = [
        canary,
        canary.lower(),
        link.reveal(),
        key.reveal(),
        token.reveal(),
        token.reveal().split(".")[1],
        session.csrf.reveal(),
    ]
    written = [repr(one) for one in (entered, session, begun, anna, link, key)]
    kept = str(await dump(house))
    for table in ("audit_heads", "keys"):
        kept += str(await asked(house.database, f"SELECT * FROM {table}"))
    if (file := house.settings.file.parent / "tillit.db").exists():
        kept += "".join(
            one.read_bytes().decode("latin-1") for one in file.parent.iterdir() if one.name.startswith(file.name)
        )
    everything = "\n".join([caplog.text, *written, kept, str(redis_dump(server))])
    for secret in sought:
        assert secret not in everything
        assert secret.encode().hex() not in everything
    assert hashed(link) in kept
    assert len(link) >= 43, "256 bits"


def redis_dump(server: Server) -> list[object]:
    client = server.client
    read = {
        "string": client.get,
        "hash": client.hgetall,
        "zset": lambda key: client.zrange(key, 0, -1),
        "list": lambda key: client.lrange(key, 0, -1),
    }
    return [(key, read[client.type(key)](key)) for key in client.scan_iter()]


# ---------------------------------------------------------------- look-ups


async def test_an_endpoint_belongs_to_one(house: House) -> None:
    anna = await house.add("anna", "PJSIP/anna", "PJSIP/Anna-home")
    bo = await house.add("bo", "PJSIP/bo", tenant="other")
    owners = await house.people.owners_of(["PJSIP/anna", "PJSIP/BO", "PJSIP/trunk", "pjsip/anna-HOME"])
    assert owners == {"PJSIP/anna": anna, "PJSIP/BO": bo, "pjsip/anna-HOME": anna}
    assert await house.people.owners_of([]) == {}
    assert await house.people.by_id("main", anna.id) == anna
    assert await house.people.by_id("other", anna.id) is None
    assert await house.people.find("main", "bo") is None
    assert await house.people.colleagues("main") == (anna,)
    assert await house.people.colleagues() == (anna, bo)
    assert await house.people.teams("main") == {anna.id: anna.team}
    assert await house.people.administrators() == 0


async def test_who_signs_in_is_not_found_sooner_for_having_been_seen(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = await house.add("anna")
    opened: list[str] = []
    was = house.vault.envelopes.open

    def counted(record: str, key: str, wrapped: bytes) -> Envelope:
        opened.append(record)
        return was(record, key, wrapped)

    monkeypatch.setattr(house.vault.envelopes, "open", counted)
    for _ in range(2):
        assert await house.people.colleagues("main") == (anna,)
    assert len(opened) == 1, "the control: colleagues' names are kept"
    for _ in range(2):
        assert await house.people.find("main", "anna") == anna
    assert len(opened) == 3


async def test_what_stands_in_one_envelope_opens_in_no_other(house: House) -> None:
    anna, bo = await house.enrolled("anna"), await house.enrolled("bo")
    async with house.database.write() as connection:
        await connection.exec_driver_sql(
            f"UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE person = '{bo.id}' AND method = 'totp') "
            f"WHERE person = '{anna.id}' AND method = 'totp'"
        )
    with pytest.raises(Exception, match=f"{sealing.person(anna.id)}: the encrypted credential.totp was changed"):
        await house.sign_in("anna")
