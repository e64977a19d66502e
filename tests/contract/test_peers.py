"""Company to company, by two instances with everything of their own: each proves itself to the other; and every way of lying."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from ivr.call.ports import Party
from ivr.call.ports.peers import Pin
from ivr.errors import InputError, PeerError, StoreError
from ivr.lock import Reason
from ivr.lock.peering import Arrived, Proven, Unproven
from ivr.peers import keys, letter, wellknown
from ivr.peers.directory import Standing
from ivr.peers.keys import OwnKeys
from ivr.peers.letter import Ends, Forged, Letter
from ivr.secret import Secret
from ivr.store.peers import agree, forget
from tests.contract.lock_kit import ANNA, denied
from tests.contract.peers_kit import NOON, Internet, Organisation, organisation
from tests.unit.database_kit import tamper

pytestmark = pytest.mark.servers

WARD, OFFICE = "+46812345678", "+46831112222"


@pytest.fixture
def internet(tmp_path: Path) -> Internet:
    return Internet(tmp_path)


@pytest.fixture
async def both(internet: Internet) -> AsyncIterator[tuple[Organisation, Organisation]]:
    """A hospital and a social services office, which know nothing of each other yet; the hospital calls."""
    async with AsyncExitStack() as stack:
        hospital = await stack.enter_async_context(organisation(internet, "hospital.example", WARD))
        office = await stack.enter_async_context(organisation(internet, "office.example", OFFICE))
        hospital.call(OFFICE, outbound=True, began=NOON - 20)
        office.call(WARD, outbound=False, began=NOON - 17)
        yield hospital, office


def stranger(one: Organisation, **more: Any) -> Letter:
    """A letter as this one would write it to the office."""
    made = Letter.new(
        one.domain, "office.example", Ends(outbound=True, began=NOON - 20, dialled=OFFICE), one.internet.clock(),
        organisation="The hospital", department="Ward 4", person="Anna", about="",
    )  # fmt: skip
    return replace(made, **more)


def rows_of(row: tuple[Any, ...]) -> tuple[str, str, str]:
    return row[1], row[2], row[5].get("domain", "")


# ---------------------------------------------------------------- as it is meant


async def test_each_proves_itself_to_the_others_desk(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    sent = await hospital.prove("Office.Example", department="Ward 4", about="a patient")
    assert sent.domain == "office.example" and sent.until == NOON + letter.LIFE
    assert rows_of(await hospital.desk.last()) == ("peer.prove", "sent", "office.example")
    assert await office.shown(sent.code) == Proven(
        "hospital.example", "The hospital.example", "Ward 4", "Anna", "a patient", NOON, False, None, True
    )
    assert rows_of(await office.desk.last()) == ("peer.read", "proven", "hospital.example")
    assert (await office.desk.last())[5]["bound"] == "call"

    back = await office.prove("hospital.example")
    assert (await hospital.shown(back.code)).domain == "office.example"
    # each was asked for its document once, in both directions
    assert (hospital.asked, office.asked) == (1, 1)
    assert hospital.arrived == office.arrived == [Arrived.TAKEN]


async def test_the_code_is_in_no_log_row_redis_or_database(both: tuple[Organisation, Organisation]) -> None:
    hospital, _ = both
    codes: list[str] = []
    for _ in range(3):
        sent = await hospital.prove("office.example")
        codes.append(sent.code.reveal())
    kept = str([one.desk.log.lines for one in both])
    for one in both:
        kept += "".join(file.read_bytes().decode("latin-1") for file in one.settings.file.parent.glob("tillit.db*"))
        keys_of = await one.desk.link.ask("KEYS", "*")
        assert isinstance(keys_of, list)
        kept += str(keys_of)
        kept += str([await one.desk.link.ask("GET", key) for key in keys_of if b":letter:" in key])
    assert ":letter:" in kept
    assert not [code for code in codes if code in kept]


async def test_a_letter_is_read_once_and_in_its_time(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    sent = await hospital.prove("office.example")
    first, second = await asyncio.gather(office.read(sent.code), office.read(sent.code))
    assert {type(first), type(second)} == {Proven, Unproven}
    assert await office.read(sent.code) is Unproven.NO_LETTER


async def test_nothing_is_sent_or_shown_without_its_row(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    sent = await hospital.prove("office.example")
    for one in both:
        await tamper(one.desk.database, "ALTER TABLE audit RENAME TO elsewhere")
    assert await office.read(sent.code) == denied(Reason.UNAVAILABLE)
    prove = hospital.peering.prove(ANNA, hospital.desk.id(hospital.channel), "office.example")
    assert await prove == denied(Reason.UNAVAILABLE)
    assert len(office.letters) == 1
    for one in both:
        await tamper(one.desk.database, "ALTER TABLE elsewhere RENAME TO audit")


# ---------------------------------------------------------------- who says it is


async def test_a_forged_domain(both: tuple[Organisation, Organisation]) -> None:
    """Somebody signs with a key of his own, and writes the hospital's domain."""
    _, office = both
    thief = OwnKeys.open(office.settings)
    forged = letter.sign(stranger(both[0]), thief.key)
    assert await office.peering.arrived(forged) is Arrived.FORGED
    # and with the hospital's name for his key
    head, body, mark = forged.reveal().split(".")
    kid = json.dumps({"alg": "EdDSA", "kid": both[0].own.key.id, "typ": letter.KIND}).encode()
    head = base64.urlsafe_b64encode(kid).rstrip(b"=").decode()
    assert await office.peering.arrived(Secret(f"{head}.{body}.{mark}")) is Arrived.FORGED


async def test_the_key_of_another_domain(both: tuple[Organisation, Organisation], internet: Internet) -> None:
    """A real organisation signs a letter in the name of another: by its own key, which is good for its own domain."""
    hospital, office = both
    async with organisation(internet, "evil.example", "+46839998888") as evil:
        text = letter.sign(replace(stranger(hospital)), evil.own.key)
        assert await office.peering.arrived(text) is Arrived.FORGED
        peer = await office.directory.look("evil.example")
        assert letter.read(text, peer.published, "office.example", NOON) is Forged.ISSUER


async def test_a_server_that_answers_for_a_domain_without_its_certificate(
    both: tuple[Organisation, Organisation], internet: Internet
) -> None:
    """Somebody has turned the name, but has no certificate of it."""
    hospital, office = both
    app = web.Application()
    app.router.add_get(wellknown.PATH, hospital.document)
    async with internet.served(app, "evil.example", named=False) as port:
        internet.names.leads["hospital.example"] = ("127.0.0.1", port)
        with pytest.raises(PeerError, match="its certificate is not good"):
            await office.directory.look("hospital.example")


async def test_the_document_of_another_domain(both: tuple[Organisation, Organisation]) -> None:
    """A domain shows what another has signed, so that its letters would count."""
    hospital, office = both
    hospital.body = wellknown.document(office.settings, office.own, NOON)
    with pytest.raises(PeerError, match="it is the document of another domain"):
        await office.directory.look("hospital.example")


async def test_a_domain_that_is_not_allowed_is_not_even_asked(internet: Internet) -> None:
    async with (
        organisation(internet, "hospital.example", WARD) as hospital,
        organisation(internet, "office.example", OFFICE, allow='["region.example"]') as office,
    ):
        hospital.call(OFFICE, outbound=True)
        await hospital.prove("office.example")
        assert office.arrived == [Arrived.NOT_ALLOWED]
        assert hospital.asked == 0


async def test_our_own_letter_sent_back(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    await hospital.prove("office.example")
    assert await hospital.peering.arrived(office.letters[0]) is Arrived.NOT_ALLOWED
    with pytest.raises(InputError):
        await hospital.prove("hospital.example")


async def test_one_that_looks_like_a_known_one_is_told_of(internet: Internet) -> None:
    """`hospitаl.example` with a Cyrillic letter: a real domain, with a real certificate, of somebody else."""
    other = "xn--hospitl-7fg.example"
    async with (
        organisation(internet, "hospital.example", WARD) as hospital,
        organisation(internet, "office.example", OFFICE) as office,
        organisation(internet, other, "+46839998888") as evil,
    ):
        for one in (hospital, evil):
            one.call(OFFICE, outbound=True)
        office.call(WARD, outbound=False)
        assert (await office.shown((await hospital.prove("office.example")).code)).like is None
        internet.clock.now += 60
        for one in (evil, office):
            one.call(OFFICE if one is evil else WARD, outbound=one is evil, began=NOON)
        found = await office.shown((await evil.prove("office.example")).code)
        assert found.domain == "xn--hospitl-7fg.example (hospitаl.example)"
        assert found.like == "hospital.example"
        assert found.first_seen == NOON + 60


# ---------------------------------------------------------------- keys


async def test_a_swapped_key_is_told_of_and_not_taken(both: tuple[Organisation, Organisation]) -> None:
    """Whoever answers for the domain has another key, and the one before has not named it."""
    hospital, office = both
    assert (await office.directory.look("hospital.example")).standing is Standing.NEW
    (hospital.settings.file.parent / "peers.key").unlink()
    keys.create(hospital.settings)
    hospital.anew()
    office.anew()
    await hospital.prove("office.example")
    assert office.arrived == [Arrived.CHANGED]
    assert [line["domain"] for line in office.desk.log.of("peer.changed")] == ["hospital.example"]
    # and it goes on being told: to have looked is not to have agreed
    assert (await office.directory.look("hospital.example")).standing is Standing.CHANGED
    with pytest.raises(PeerError, match="another key than before"):
        await office.prove("hospital.example")
    # somebody has rung the hospital up, and compared
    now = Pin("hospital.example", hospital.own.key.id, hospital.own.key.public, NOON + 1, NOON + 1)
    async with office.desk.database.write() as connection:
        await connection.run_sync(agree, now)
    found = await office.directory.look("hospital.example")
    assert (found.standing, found.first_seen, found.agreed) == (Standing.KNOWN, NOON, True)
    async with office.desk.database.write() as connection:
        assert await connection.run_sync(forget, "hospital.example")
        assert not await connection.run_sync(forget, "hospital.example")
    assert (await office.directory.look("hospital.example")).standing is Standing.NEW


async def test_a_key_that_the_one_before_has_named_is_followed(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    first = await office.directory.look("hospital.example")
    for _ in range(3):
        keys.turn(hospital.settings, NOON)
    hospital.anew()
    office.anew()
    sent = await hospital.prove("office.example")
    found = await office.directory.look("hospital.example")
    assert found.standing is Standing.KNOWN and found.published.key["kid"] != first.published.key["kid"]
    assert (await office.shown(sent.code)).first_seen == first.first_seen
    pin = await office.stored.of("hospital.example")
    assert pin is not None and pin.key == hospital.own.key.id
    assert not office.desk.log.of("peer.changed")


async def test_a_new_key_is_found_without_waiting_for_the_document_to_end(
    both: tuple[Organisation, Organisation], internet: Internet
) -> None:
    hospital, office = both
    await office.directory.look("hospital.example")
    internet.clock.now += 31
    keys.turn(hospital.settings, internet.clock.now)
    hospital.anew()
    await hospital.prove("office.example")
    assert office.arrived == [Arrived.TAKEN]
    # who makes keys up does not have us ask each time
    made_up = letter.sign(stranger(hospital), OwnKeys.open(office.settings).key)
    for _ in range(5):
        assert await office.peering.arrived(made_up) is Arrived.FORGED
    assert hospital.asked == 2


async def test_a_former_key_is_good_until_it_ends(both: tuple[Organisation, Organisation], internet: Internet) -> None:
    hospital, office = both
    old = hospital.own.key
    keys.turn(hospital.settings, NOON)
    hospital.anew()
    assert await office.peering.arrived(letter.sign(stranger(hospital), old)) is Arrived.TAKEN
    internet.clock.now += 24 * 3600 - 1
    # as the document said that was read meanwhile: it has the end of that key in it
    hospital.body = wellknown.document(hospital.settings, hospital.own, internet.clock.now)
    office.anew()
    assert await office.peering.arrived(letter.sign(stranger(hospital), old)) is Arrived.TAKEN
    internet.clock.now += 1
    assert await office.peering.arrived(letter.sign(stranger(hospital), old)) is Arrived.FORGED
    assert office.desk.log.of("peer.refused")[-1]["reason"] == Forged.KEY.value


async def test_an_old_key_publishes_nothing(both: tuple[Organisation, Organisation]) -> None:
    """Somebody has found a key that was in force once, and answers for the domain."""
    hospital, office = both
    old = hospital.own
    keys.turn(hospital.settings, NOON)
    hospital.anew()
    assert (await office.directory.look("hospital.example")).standing is Standing.NEW
    hospital.body = wellknown.document(hospital.settings, old, NOON)
    office.anew()
    assert (await office.directory.look("hospital.example")).standing is Standing.CHANGED


async def test_a_succession_of_another_domain_leads_nowhere(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    before = hospital.own.key
    await office.directory.look("hospital.example")
    # the same key signs for another domain: what it says there is nothing here
    named = before.sign(
        {"iss": "other.example", "iat": NOON, "next": dict(office.own.key.public)}, kind=keys.SUCCESSION
    )
    assert keys.led_to(before.public, [named], "hospital.example") == before.id
    named = before.sign({"iss": "hospital.example", "iat": NOON, "next": dict(office.own.key.public)}, kind="letter")
    assert keys.led_to(before.public, [named], "hospital.example") == before.id


# ---------------------------------------------------------------- which letter, which call


async def test_a_letter_for_another_audience(both: tuple[Organisation, Organisation]) -> None:
    """The office passes on what it has got: to somebody else's desk."""
    hospital, office = both
    text = letter.sign(stranger(hospital, audience="other.example"), hospital.own.key)
    assert await office.peering.arrived(text) is Arrived.FORGED
    assert office.desk.log.of("peer.refused")[-1]["reason"] == Forged.AUDIENCE.value


async def test_a_replay(both: tuple[Organisation, Organisation], internet: Internet) -> None:
    hospital, office = both
    sent = await hospital.prove("office.example")
    text = office.letters[0]
    assert await office.peering.arrived(text) is Arrived.AGAIN
    await office.shown(sent.code)
    # also where Redis has forgotten, and another desk takes it
    await office.desk.link.ask("FLUSHALL")
    office.anew()
    assert await office.peering.arrived(text) is Arrived.AGAIN
    internet.clock.now += letter.LIFE
    assert await office.peering.arrived(text) is Arrived.FORGED


async def test_what_else_our_key_signs_is_no_letter(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    claims = orjson.loads(base64.urlsafe_b64decode(_signed(hospital).split(".")[1] + "=="))
    for kind in ("JWT", wellknown.KIND, keys.SUCCESSION, "tillit-mark+jwt"):
        assert await office.peering.arrived(Secret(hospital.own.key.sign(claims, kind=kind))) is Arrived.FORGED
    assert await office.peering.arrived(Secret(hospital.own.key.sign(claims, kind=letter.KIND))) is Arrived.TAKEN


def _signed(one: Organisation) -> str:
    return letter.sign(stranger(one), one.own.key).reveal()


async def test_a_relay(both: tuple[Organisation, Organisation]) -> None:
    """A swindler has called both, asks the hospital to prove itself to the office, and says to the office what it hears."""
    hospital, office = both
    hospital.call("+46700000001", outbound=False, began=NOON - 20)
    office.call(WARD, outbound=False, began=NOON - 20)
    sent = await hospital.prove("office.example")
    assert await office.read(sent.code) is Unproven.OTHER_CALL
    assert rows_of(await office.desk.last()) == ("peer.read", "refused", "hospital.example")
    assert [line["domain"] for line in office.desk.log.of("peer.other_call")] == ["hospital.example"]
    # it is gone, whatever is keyed now
    office.call(WARD, outbound=True, began=NOON - 20)
    assert await office.read(sent.code) is Unproven.NO_LETTER


async def test_a_relay_to_whom_the_hospital_has_called_back(both: tuple[Organisation, Organisation]) -> None:
    """The swindler has given the hospital a number of his own as the office's."""
    hospital, office = both
    hospital.call("+46700000001", outbound=True, began=NOON - 20)
    sent = await hospital.prove("office.example")
    assert await office.read(sent.code) is Unproven.OTHER_CALL


async def test_a_relay_to_whom_the_office_has_called_back(both: tuple[Organisation, Organisation]) -> None:
    """The same the other way round: he has called the hospital, and the office has called him."""
    hospital, office = both
    hospital.call("+46700000001", outbound=False, began=NOON - 20)
    office.call("+46700000001", outbound=True, began=NOON - 20)
    sent = await hospital.prove("office.example")
    assert await office.read(sent.code) is Unproven.OTHER_CALL


@pytest.mark.parametrize("called_by_us", [False, True])
async def test_where_whoever_was_called_has_no_numbers_it_is_said(internet: Internet, called_by_us: bool) -> None:
    """A swindler between the two is not seen then: the hospital talks with him, and so does the office."""
    async with AsyncExitStack() as stack:
        hospital = await stack.enter_async_context(
            organisation(internet, "hospital.example", "" if called_by_us else WARD)
        )
        office = await stack.enter_async_context(
            organisation(internet, "office.example", OFFICE if called_by_us else "")
        )
        hospital.call("+46700000001", outbound=not called_by_us, began=NOON - 20)
        office.call("+46700000001", outbound=called_by_us, began=NOON - 20)
        proven = await office.shown((await hospital.prove("office.example")).code)
        assert (proven.domain, proven.numbered) == ("hospital.example", False)
        assert (await office.desk.last())[5]["bound"] == "time"


async def test_one_who_was_called_proves_itself(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    hospital.call(OFFICE, outbound=False, began=NOON - 17)
    office.call(WARD, outbound=True, began=NOON - 20)
    assert (await office.shown((await hospital.prove("office.example")).code)).domain == "hospital.example"


async def test_a_letter_of_another_call(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    hospital.call(OFFICE, outbound=True, began=NOON - 3600)
    sent = await hospital.prove("office.example")
    assert await office.read(sent.code) is Unproven.OTHER_CALL


async def test_a_call_whose_beginning_is_not_known_goes_by_the_rest(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    hospital.call(OFFICE, outbound=True, channel="tillit-dial-1")
    assert (await office.shown((await hospital.prove("office.example")).code)).domain == "hospital.example"


async def test_guessing_codes(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    sent = await hospital.prove("office.example")
    wrong = [Secret(str(number)) for number in range(200000, 200100) if Secret(str(number)) != sent.code]
    found = await asyncio.gather(*(office.read(code) for code in wrong))
    assert found.count(Unproven.NO_LETTER) == 5
    assert set(found) == {Unproven.NO_LETTER, Unproven.TOO_MANY}
    assert await office.read(sent.code) is Unproven.TOO_MANY
    # on another call it is another matter
    office.call(WARD, outbound=False, began=NOON - 16)
    assert isinstance(await office.read(sent.code), Proven)


async def test_letters_that_would_fill_the_box(both: tuple[Organisation, Organisation]) -> None:
    """One that may write cannot see to it that whatever is keyed is his."""
    hospital, office = both
    first = stranger(hospital)
    assert await office.peering.arrived(letter.sign(first, hospital.own.key)) is Arrived.TAKEN
    again = stranger(hospital, code=first.code)
    assert await office.peering.arrived(letter.sign(again, hospital.own.key)) is Arrived.FULL
    outcomes = [
        await office.peering.arrived(letter.sign(stranger(hospital), hospital.own.key)) for _ in range(201)
    ]  # fmt: skip
    assert outcomes.count(Arrived.TAKEN) <= 199 and outcomes[-1] is Arrived.FULL


async def test_who_is_taken_elsewhere_meanwhile_is_shown_nothing(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    sent = await hospital.prove("office.example")
    talks, begun = office.desk.talks, office.desk.talks.asked

    async def gone(asked: int) -> None:
        # it was asked twice at the first look
        if asked - begun > 2:
            talks.talks.clear()

    talks.meanwhile = gone
    assert await office.read(sent.code) == denied(Reason.NO_CALL)
    assert rows_of(await office.desk.last()) == ("peer.read", "withheld", "hospital.example")


async def test_nobody_is_on_the_line(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    hospital.desk.talks.talks.clear()
    gone = denied(Reason.NO_CALL)
    assert await hospital.peering.prove(ANNA, hospital.desk.id(hospital.channel), "office.example") == gone
    assert not office.letters and not office.asked
    hospital.call(OFFICE, outbound=True)
    assert await hospital.peering.prove(ANNA, hospital.desk.id("another"), "office.example") == gone
    office.desk.joined(ANNA, "1.1", "1.2")
    third = denied(Reason.THIRD_PARTY)
    assert await office.peering.read(ANNA, office.desk.id("1.1"), Secret("123456")) == third


async def test_a_colleague_in_the_talk_is_a_third(both: tuple[Organisation, Organisation]) -> None:
    """Whoever else is there may be the one who says the digits, or hears them."""
    hospital, office = both
    sent = await hospital.prove("office.example")
    (talk,) = office.desk.talks.talks["PJSIP/anna"]
    bo = Party("bo", "PJSIP/bo", None, False, 1.0)
    office.desk.talks.talks["PJSIP/anna"] = (replace(talk, others=(*talk.others, bo)),)
    assert await office.read(sent.code) == denied(Reason.THIRD_PARTY)
    office.desk.talks.talks["PJSIP/anna"] = (talk,)
    assert isinstance(await office.read(sent.code), Proven)


# ---------------------------------------------------------------- the way there


@pytest.mark.parametrize(
    "address", ["10.0.0.5", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0"]
)  # fmt: skip
async def test_a_domain_that_leads_inside(
    both: tuple[Organisation, Organisation], internet: Internet, address: str
) -> None:
    _, office = both
    internet.names.leads["inside.example"] = (address, 443)
    with pytest.raises(PeerError, match="leads to a private address"):
        await office.directory.look("inside.example")


async def test_nobody_has_us_knock_at_a_door_all_the_time(
    both: tuple[Organisation, Organisation], internet: Internet
) -> None:
    hospital, office = both
    hospital.body = "{}"
    for _ in range(3):
        with pytest.raises(PeerError, match="no document of a Tillit"):
            await office.directory.look("hospital.example")
    assert hospital.asked == 1
    hospital.body = None
    internet.clock.now += 30
    assert (await office.directory.look("hospital.example")).standing is Standing.NEW


async def test_a_look_that_fails_takes_nothing_from_what_was_good(
    both: tuple[Organisation, Organisation], internet: Internet
) -> None:
    """Anybody may have us look anew, by a key that he makes up, while the other is away."""
    hospital, office = both
    assert (await office.directory.look("hospital.example")).standing is Standing.NEW
    internet.clock.now += 31
    hospital.body = "{}"
    made_up = letter.sign(stranger(hospital), OwnKeys.open(office.settings).key)
    for _ in range(3):
        assert await office.peering.arrived(made_up) is Arrived.FORGED
    assert hospital.asked == 2, "and no more often than before"
    assert (await office.directory.look("hospital.example")).standing is Standing.KNOWN
    # an hour later it is old
    internet.clock.now += 3600
    with pytest.raises(PeerError, match="no document of a Tillit"):
        await office.directory.look("hospital.example")


async def test_a_redirect_too_much_and_too_slow(both: tuple[Organisation, Organisation], internet: Internet) -> None:
    _, office = both
    hang = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        match request.host:
            case "turned.example":
                raise web.HTTPFound("https://hospital.example/.well-known/tillit.json")
            case "large.example":
                return web.Response(body=b"x" * 70_000)
            case "missing.example":
                raise web.HTTPNotFound
            case _:
                await hang.wait()
                return web.Response()

    office.fetcher._seconds = 0.3
    app = web.Application()
    app.router.add_get(wellknown.PATH, answer)
    names = ("turned.example", "large.example", "missing.example", "slow.example")
    async with internet.served(app, *names):
        for name, why in zip(
            names, ("redirects are not followed", "too long", r"status 404", "not answer in time"), strict=True
        ):
            with pytest.raises(PeerError, match=why):
                await office.directory.look(name)
        hang.set()


async def test_so_many_new_domains_in_a_minute(both: tuple[Organisation, Organisation], internet: Internet) -> None:
    _, office = both
    # no address that is asked
    internet.names.leads = dict.fromkeys((*(f"d{at}.example" for at in range(40)), "e.example"), ("10.0.0.5", 443))
    found = []
    for at in range(40):
        with pytest.raises(PeerError) as caught:
            await office.directory.look(f"d{at}.example", key="")
        found.append("too many new domains" in str(caught.value))
    assert found == [False] * 30 + [True] * 10
    # an agent asks for one
    with pytest.raises(PeerError, match="private address"):
        await office.directory.look("d39.example")
    internet.clock.now += 60
    with pytest.raises(PeerError, match="private address"):
        await office.directory.look("e.example", key="")


async def test_two_desks_that_see_a_domain_first_at_once_keep_one_key(
    both: tuple[Organisation, Organisation],
) -> None:
    hospital, office = both
    pins = await asyncio.gather(*(office.stored.first(_pin(one)) for one in (hospital, office)))
    assert pins[0] == pins[1] == await office.stored.of("hospital.example")


def _pin(one: Organisation) -> Pin:
    return Pin("hospital.example", one.own.key.id, one.own.key.public, NOON, NOON)


async def test_the_store_is_down(both: tuple[Organisation, Organisation]) -> None:
    hospital, office = both
    text = letter.sign(stranger(hospital), hospital.own.key)
    office.stored.take = _down  # type: ignore[method-assign]
    assert await office.peering.arrived(text) is Arrived.UNAVAILABLE


async def _down(*_: object) -> bool:
    raise StoreError("database: busy")
