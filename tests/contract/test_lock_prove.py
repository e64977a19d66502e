"""The company proves who it is: what an agent asks for, what goes out, and how it comes back. Real Redis, database and gateway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from ivr.asterisk.speaking import Spoken
from ivr.call.dial import Called
from ivr.call.ports import Delivery, Party, Talk
from ivr.call.proof import Keyed, Proof, Stage, Way
from ivr.errors import InputError, StoreError, Unavailable
from ivr.hooks.outbox import Outbox
from ivr.lock import Reason
from ivr.lock.course import Course
from ivr.lock.proofwords import Speaking
from ivr.prompts.phrases import words
from ivr.secret import Secret
from ivr.staff import Permission
from ivr.store.answered import Confirmed, Over, Wrong
from ivr.store.dials import RedisDials
from ivr.store.turn import Turn
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, BO, NODE, SVEN, denied
from tests.contract.prove_kit import CALL, CALLER, Hearing, Proved, Speech, proving_in, until
from tests.contract.texts_server import Status

pytestmark = pytest.mark.servers

WRONG = Secret("000000")


@pytest.fixture
async def here(tmp_path: Path, server: Server) -> AsyncIterator[Proved]:
    async with proving_in(tmp_path, server) as made:
        yield made


async def test_from_the_press_to_the_digits(here: Proved) -> None:
    proof, link = await here.begun()
    text = await here.text()
    assert text["to"] == CALLER
    assert text["message"] == (
        f"Example: Du ringde oss och talar med Anna om en faktura. Stämmer det? https://id.example.com/p/{link.reveal()}"
    )
    await here.stage("sent")
    await here.report(Delivery.DELIVERED)
    shown = await here.stage("delivered")
    first, second = shown.phrase.split(" ")
    assert first in words("sv")[0] and second in words("sv")[1]
    assert (shown.id, shown.about, shown.way, shown.until) == (proof.id, "en faktura", Way.TEXT, proof.until)
    # to look at it changes nothing, and nothing is said
    seen = await here.page.look(link)
    assert seen is not None and seen.stage is Stage.DELIVERED and seen.shown.phrase == shown.phrase
    assert here.speech.said == []
    await here.page.opened(link)
    await here.stage("opened")
    await until(lambda: asyncio.sleep(0, here.speech.said))
    assert here.speech.to == [(NODE, CALL, "sv", True, "own-p-anna")]
    assert await here.page.key(link, Secret(here.speech.said[0])) == Confirmed()
    await here.stage("confirmed")
    assert await here.rows() == [
        ("desk:anna", "asked", CALL, proof.subject,
            {"person": "p-anna", "tenant": "acme", "node": NODE, "proof": proof.id, "way": "text", "keyed": "page", "about": "en faktura"}),
        ("page", "confirmed", CALL, proof.subject,
            {"person": "p-anna", "tenant": "acme", "node": NODE, "proof": proof.id, "way": "text", "keyed": "page"}),
    ]  # fmt: skip
    assert here.desk.switch.done == [], "nobody is alarmed"
    assert "PJSIP/anna" in here.changed
    # it is over: none of it goes twice
    assert await here.page.key(link, Secret(here.speech.said[0])) == Over(Stage.CONFIRMED)
    (current,) = await here.desk.lock.current(ANNA)
    assert current.provable


async def test_what_the_page_shows_is_who_speaks_and_nothing_of_the_customer(tmp_path: Path, server: Server) -> None:
    more = '[prove]\ndepartments = { blue = "Kundtjänst" }\ntitles = { agent = "Handläggare" }\n'
    async with proving_in(tmp_path, server, more) as here:
        here.desk.staff.change(ANNA, name="Anna Svensson Ek")
        anna = here.desk.staff.persons["p-anna"]
        await here.desk.customer("10001", "Xenia Ask", CALLER)
        here.with_caller(CALLER)
        proof = await here.press(anna)
        assert isinstance(proof, Proof)
        shown = proof.shown
        assert (shown.company, shown.department, shown.agent, shown.title) == (
            "Example",
            "Kundtjänst",
            "Anna",
            "Handläggare",
        )
        assert (shown.about, shown.number, shown.since, shown.language) == ("en faktura", "+46…33", 1, "sv")
        message = (await here.text())["message"]
        assert "Anna, Kundtjänst" in message and "Svensson" not in message
        assert not re.search("Xenia|Ask|10001|1112233", f"{shown} {message}")


@pytest.mark.parametrize("outbound", [False, True])
async def test_the_page_says_who_called_whom(here: Proved, outbound: bool) -> None:
    """Whoever is called by a fraudster, who calls us meanwhile, reads that they have called."""
    await here.desk.customer("10001", "Xenia Ask", CALLER)
    here.with_caller(CALLER, outbound=outbound)
    proof = await here.press()
    assert isinstance(proof, Proof)
    assert proof.shown.outbound is outbound
    assert ("Vi ringde dig" if outbound else "Du ringde oss") in (await here.text())["message"]


@pytest.mark.parametrize("tenant", ["acme", "other"])
async def test_whom_the_desk_has_called_gets_it(tmp_path: Path, server: Server, tenant: str) -> None:
    """At the telephone that was called, whatever number the agent types; and nobody where another tenant has called."""
    more = '[calls]\ndial = "PJSIP/{number}@trunk"\nnumber = "+46812345678"\n'
    async with proving_in(tmp_path, server, more) as here:
        ref = await here.desk.customer("10001", "Xenia Ask", "+46701234560", CALLER)
        await here.desk.customer("20002", "Orvar Ek", "+46709998877")
        channel = f"tillit-dial-{'a' * 32}"
        dials = RedisDials(here.desk.link, here.desk.settings.redis.prefix)
        await dials.answered(NODE, channel, Called(tenant, ref, 2))
        own = Party("own-p-anna", "PJSIP/anna", None, False, 1.0, first=True)
        other = Party(channel, "PJSIP/trunk", None, False, 1.0)
        here.desk.talks.talks["PJSIP/anna"] = (Talk(NODE, own, (other,)),)
        if tenant == "other":
            assert await here.press(call=channel) == denied(Reason.NO_WAY)
            return
        proof = await here.press(call=channel, customer="20002")
        assert isinstance(proof, Proof)
        assert (proof.subject, proof.shown.number, proof.shown.outbound) == (ref, "+46…33", True)
        assert (await here.text())["to"] == CALLER


async def test_a_code_in_place_of_a_link(here: Proved) -> None:
    _, _ = (await here.desk.customer("10001", "Xenia Ask", CALLER)), here.desk.joined(ANNA, CALL)
    proof = await here.press(way=Way.CODE)
    assert isinstance(proof, Proof)
    message = (await here.text())["message"]
    found = re.search(r"sida id\.example\.com: skriv (\d{8}) där", message)
    assert found is not None and "http" not in message
    link = await here.page.exchange(Secret(found[1]))
    assert link is not None
    await here.page.opened(link)
    await until(lambda: asyncio.sleep(0, here.speech.said))
    assert await here.page.key(link, Secret(here.speech.said[0])) == Confirmed()
    await here.stage("confirmed")


async def test_wrong_digits_too_often_raise_an_alarm(here: Proved) -> None:
    proof, link = await here.begun()
    await here.page.opened(link)
    for left in (2, 1, 0):
        assert await here.page.key(link, WRONG) == Wrong(left)
    await here.stage("wrong")
    await until(lambda: asyncio.sleep(0, here.desk.switch.done))
    assert here.desk.switch.done == [("event", NODE, "CallerKeysWrongDigits", CALL, proof.subject, "p-anna")]
    assert await here.outcomes() == ["asked", "wrong"]
    assert [one["proof"] for one in here.desk.log.of("proof.wrong")] == [proof.id]


async def test_i_am_not_talking_to_them(here: Proved) -> None:
    proof, link = await here.begun()
    assert await here.page.deny(link) is True
    await here.stage("denied")
    await until(lambda: asyncio.sleep(0, here.desk.switch.done))
    assert here.desk.switch.done == [("event", NODE, "CallerDeniesUs", CALL, proof.subject, "p-anna")]
    assert here.desk.prover is not None
    (alarm,) = await here.desk.prover.alarms.of("acme")
    assert (alarm.id, alarm.person, alarm.stage, alarm.channel) == (proof.id, "p-anna", Stage.DENIED, CALL)
    assert await here.desk.prover.alarms.of("other") == []
    assert await here.outcomes() == ["asked", "denied"]


async def test_a_denial_behind_the_confirmation_raises_the_alarm_too(here: Proved) -> None:
    proof, link = await here.begun()
    await here.page.opened(link)
    await until(lambda: asyncio.sleep(0, here.speech.said))
    assert await here.page.key(link, Secret(here.speech.said[0])) == Confirmed()
    await here.stage("confirmed")
    assert here.desk.switch.done == []
    assert await here.page.deny(link) is False
    await until(lambda: asyncio.sleep(0, here.desk.switch.done))
    assert here.desk.switch.done == [("event", NODE, "CallerDeniesUs", CALL, proof.subject, "p-anna")]
    assert here.desk.prover is not None
    (alarm,) = await here.desk.prover.alarms.of("acme")
    assert (alarm.id, alarm.stage) == (proof.id, Stage.DENIED)
    assert await here.outcomes() == ["asked", "confirmed", "denied"], "the one does not replace the other"
    assert await here.press() == denied(Reason.DENIED_LATELY)


async def test_what_no_desk_lived_to_tell_is_told_by_the_next(here: Proved, server: Server) -> None:
    proof, link = await here.begun()
    assert here.desk.prover is not None
    pages = here.desk.prover.pages
    here.desk.prover.pages.due, due = _nothing, pages.due  # type: ignore[method-assign]
    assert await here.page.deny(link) is True
    # another desk takes it, and dies
    assert [each.id for each in await due()] == [proof.id]
    pages.due = due  # type: ignore[method-assign]
    server.pass_time(31)
    await until(lambda: asyncio.sleep(0, here.desk.switch.done))
    (alarm,) = await here.desk.prover.alarms.of("acme")
    assert (alarm.id, alarm.stage) == (proof.id, Stage.DENIED)
    await until(lambda: _ended(here, "denied"))


async def test_an_alarm_that_could_not_be_told_is_told_later(
    here: Proved, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, link = await here.begun()
    assert here.desk.prover is not None
    alarms = here.desk.prover.alarms
    keep, tried = alarms.keep, []

    async def away(*_: object) -> None:
        tried.append(1)
        raise StoreError("Redis is away")

    monkeypatch.setattr(alarms, "keep", away)
    assert await here.page.deny(link) is True
    await until(lambda: _ended(here, "denied"))
    await until(lambda: asyncio.sleep(0, tried))
    monkeypatch.setattr(alarms, "keep", keep)
    server.pass_time(31)
    await until(lambda: alarms.of("acme"))
    assert len(here.desk.switch.done) == 1, "who was told is not told again"
    assert await here.outcomes() == ["asked", "denied"]
    assert len(here.desk.log.of("proof.denied")) == 1


async def test_a_late_denial_leaves_the_next_proof_its_digits(here: Proved) -> None:
    _, link = await here.begun()
    await here.page.opened(link)
    await until(lambda: asyncio.sleep(0, here.speech.said))
    assert await here.page.key(link, Secret(here.speech.said[0])) == Confirmed()
    await here.stage("confirmed")
    here.speech.hold = asyncio.Event()
    await here.press()
    await here.page.opened(await here.link(2))
    await until(lambda: asyncio.sleep(0, len(here.speech.said) == 2))
    here.speech.hushed.clear()
    assert await here.page.deny(link) is False
    await until(lambda: asyncio.sleep(0, here.desk.switch.done))
    assert here.speech.hushed == []
    here.speech.hold.set()


@pytest.mark.parametrize("stage", ["confirmed", "denied", "expired"])
async def test_programs_are_told_of_what_the_person_has_said(here: Proved, stage: str) -> None:
    """Those of this tenant alone; that nobody has answered is told to nobody."""
    kinds = ("proof.confirmed", "proof.denied")
    outbox = Outbox(here.desk.database, {"crm": kinds, "theirs": kinds}, {"crm": ("acme",), "theirs": ("main",)})
    await outbox.read(0, here.desk.vault.index)
    proof, link = await here.begun()
    match stage:
        case "denied":
            await here.page.deny(link)
        case "confirmed":
            await here.page.opened(link)
            await until(lambda: asyncio.sleep(0, here.speech.said))
            assert await here.page.key(link, Secret(here.speech.said[0])) == Confirmed()
        case _:
            assert await here.prove.cancel(ANNA, here.desk.id(CALL)) is True
    await here.stage(stage)
    assert await outbox.read(0, here.desk.vault.index) == 2
    told = [orjson.loads(one.body) for one in await outbox.due("crm", None, 10)]
    assert [one["type"] for one in told] == [f"proof.{stage}"] * (stage != "expired")
    assert [one["data"] for one in told] == [
        {"call": here.desk.id(CALL), "node": NODE, "channel": CALL, "customer": proof.subject, "proof": proof.id,
         "way": "text", "person": "p-anna"}
    ] * (stage != "expired")  # fmt: skip
    assert await outbox.due("theirs", None, 10) == []


async def test_the_person_keys_on_the_phone_what_the_page_shows(here: Proved) -> None:
    _, link = await here.begun(keyed=Keyed.PHONE)
    assert await here.page.look(link) is not None
    assert here.hearing.to == [], "nobody listens before it is opened"
    seen = await here.page.opened(link)
    assert seen is not None and seen.digits is not None
    await until(lambda: asyncio.sleep(0, here.hearing.listening))
    assert here.hearing.to == [(NODE, CALL, 6)]
    assert here.speech.said == [], "what stands on the page is never spoken"
    assert await here.prove.again(ANNA, here.desk.id(CALL)) == denied(Reason.NO_PROOF)
    here.hearing.key("000000")
    await until(lambda: asyncio.sleep(0, here.speech.to))
    assert (await here.stage("opened")).keyed is Keyed.PHONE
    here.hearing.key(Unavailable("the connection to Asterisk was lost"))
    await until(lambda: asyncio.sleep(0, len(here.hearing.to) == 2))
    here.hearing.key(seen.digits.reveal())
    await here.stage("confirmed")
    await until(lambda: asyncio.sleep(0, not here.hearing.listening))
    assert [(row[0], row[1], row[4]["keyed"]) for row in await here.rows()] == [
        ("desk:anna", "asked", "phone"), ("page", "confirmed", "phone"),
    ]  # fmt: skip
    again = await here.page.opened(link)
    assert again is not None and again.stage is Stage.CONFIRMED and again.digits is None


async def test_wrong_keys_too_often_raise_an_alarm(here: Proved) -> None:
    proof, link = await here.begun(keyed=Keyed.PHONE)
    await here.page.opened(link)
    for _ in range(4):
        here.hearing.key("000000")
    await here.stage("wrong")
    await until(lambda: asyncio.sleep(0, here.desk.switch.done))
    assert here.desk.switch.done == [("event", NODE, "CallerKeysWrongDigits", CALL, proof.subject, "p-anna")]
    await until(lambda: asyncio.sleep(0, not here.hearing.listening))


async def test_nobody_listens_while_they_are_parted(tmp_path: Path, server: Server) -> None:
    """What the person keys then may be a PIN."""
    async with proving_in(tmp_path, server, gone=0.5) as here:
        _, link = await here.begun(keyed=Keyed.PHONE)
        await here.page.opened(link)
        await until(lambda: asyncio.sleep(0, here.hearing.listening))
        together = here.desk.talks.talks.pop("PJSIP/anna")
        here.course.moved(frozenset({"PJSIP/anna"}))
        await until(lambda: asyncio.sleep(0, not here.hearing.listening))
        here.desk.talks.talks["PJSIP/anna"] = together
        here.course.moved(frozenset({"PJSIP/anna"}))
        await until(lambda: asyncio.sleep(0, here.hearing.listening))
        assert (await here.stage("opened")).keyed is Keyed.PHONE


async def test_another_desk_listens_where_one_dies(
    here: Proved, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof, link = await here.begun(keyed=Keyed.PHONE)
    assert here.desk.prover is not None
    hearing = Hearing()
    other = here.desk.prover.course(Speech(), hearing, lambda _: None, turn=0.1)
    seen = await here.page.opened(link)
    assert seen is not None and seen.digits is not None
    await until(lambda: asyncio.sleep(0, here.hearing.listening))
    other.told(proof.id)
    await until(lambda: asyncio.sleep(0, other._listening.ids))

    async def nothing(_: Turn) -> None:
        """Who dies gives nothing back."""

    monkeypatch.setattr(Turn, "give_back", nothing)
    await here.course._listening.close()
    assert not hearing.listening, "one at a time"
    server.pass_time(5)
    await until(lambda: asyncio.sleep(0, hearing.listening))
    hearing.key(seen.digits.reveal())
    await here.stage("confirmed")
    await other.close()


async def test_a_desk_that_comes_listens_to_what_none_listens_to(here: Proved) -> None:
    _, link = await here.begun(keyed=Keyed.PHONE)
    seen = await here.page.opened(link)
    assert seen is not None and seen.digits is not None
    await until(lambda: asyncio.sleep(0, here.hearing.listening))
    await here.course.close()
    assert here.desk.prover is not None
    hearing = Hearing()
    anew = here.desk.prover.course(Speech(), hearing, lambda _: None, turn=0.1)
    anew.came()
    await until(lambda: asyncio.sleep(0, hearing.listening))
    hearing.key(seen.digits.reveal())
    await here.stage("confirmed")
    await anew.close()


async def test_a_desk_that_ends_before_it_has_looked_leaves_nothing_behind(here: Proved) -> None:
    proof, _ = await here.begun()
    here.course.told(proof.id)
    await here.course.close()


async def test_a_desk_that_comes_ends_what_was_begun_in_a_call_that_is_over(here: Proved) -> None:
    await here.begun()
    await here.course.close()
    here.desk.talks.talks = {}
    assert here.desk.prover is not None
    anew = here.desk.prover.course(Speech(), Hearing(), lambda _: None, gone=0.05)
    anew.came()
    await until(lambda: _ended(here, "expired"))
    assert (await here.rows())[-1][4]["why"] == "call_ended"
    await anew.close()


@asynccontextmanager
async def beside(here: Proved) -> AsyncIterator[Course]:
    """Another desk, which runs before there is anything."""
    assert here.desk.prover is not None
    other = here.desk.prover.course(Speech(), Hearing(), lambda _: None, look=0.05, gone=0.05, beside=0.05)
    other.came()
    await until(lambda: asyncio.sleep(0, not other._tasks))
    running = asyncio.create_task(other.run())
    try:
        yield other
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await other.close()


async def test_where_a_desk_dies_one_that_runs_ends_what_was_begun_in_a_call_that_is_over(here: Proved) -> None:
    """Digits that were spoken are good for nothing behind the end of the call."""
    async with beside(here) as other:
        _, link = await here.begun()
        await here.page.opened(link)
        await until(lambda: asyncio.sleep(0, here.speech.said))
        await until(lambda: asyncio.sleep(0.01, other._begun))
        await here.died()
        here.desk.talks.talks = {}
        other.moved(frozenset({"PJSIP/anna"}))
        await until(lambda: _ended(here, "expired"))
    assert (await here.rows())[-1][4]["why"] == "call_ended"
    assert await here.page.key(link, Secret(here.speech.said[0])) == Over(Stage.EXPIRED)


@pytest.mark.parametrize("end", ["denied", "expired"])
async def test_nobody_listens_behind_its_end(here: Proved, end: str) -> None:
    _, link = await here.begun(keyed=Keyed.PHONE)
    await here.page.opened(link)
    await until(lambda: asyncio.sleep(0, here.hearing.listening))
    if end == "denied":
        await here.page.deny(link)
    else:
        assert await here.prove.cancel(ANNA, here.desk.id(CALL)) is True
    await here.stage(end)
    await until(lambda: asyncio.sleep(0, not here.hearing.listening))


async def test_digits_are_said_again_when_asked_for(here: Proved) -> None:
    _, link = await here.begun()
    call = here.desk.id(CALL)
    assert await here.prove.again(ANNA, call) == denied(Reason.NO_PROOF), "nobody looks at the page yet"
    await here.page.opened(link)
    await until(lambda: asyncio.sleep(0, here.speech.said))
    assert await here.prove.again(ANNA, call) is Speaking.SAID
    assert here.speech.said == [here.speech.said[0]] * 2, "the same digits"
    for spoken in (Spoken.SILENT, Spoken.HELD, Spoken.CUT, Spoken.GONE):
        here.speech.answer = spoken
        assert (await here.prove.again(ANNA, call)).value == spoken.value  # type: ignore[union-attr]
    here.speech.down = True
    assert await here.prove.again(ANNA, call) is Speaking.FAILED
    shown = await here.shown()
    assert shown is not None and shown.speech is Speaking.FAILED
    assert await here.prove.again(BO, call) == denied(Reason.NO_CALL)


async def test_a_long_sentence_is_not_waited_for(here: Proved) -> None:
    here.speech.hold = asyncio.Event()
    _, link = await here.begun()
    await here.page.opened(link)
    await here.stage("opened")
    assert await here.prove.again(ANNA, here.desk.id(CALL)) is Speaking.GOING_ON
    here.speech.hold.set()


async def test_no_digits_are_said_where_somebody_else_is_there(here: Proved) -> None:
    _, link = await here.begun()
    (talk,) = here.desk.talks.talks["PJSIP/anna"]
    third = Party("c.2", "PJSIP/trunk", None, False, 1.0)
    here.desk.talks.talks["PJSIP/anna"] = (replace(talk, others=(*talk.others, third)),)
    await here.page.opened(link)
    await until(lambda: asyncio.sleep(0, here.desk.log.of("proof.spoken")))
    assert await here.prove.again(ANNA, here.desk.id(CALL)) is Speaking.GONE
    assert here.speech.said == []


async def test_it_ends_with_the_call(here: Proved) -> None:
    proof, link = await here.begun()
    here.desk.talks.talks = {}
    here.course.moved(frozenset({"PJSIP/anna"}))
    await until(lambda: _ended(here, "expired"))
    assert (await here.rows())[-1][4]["why"] == "call_ended"
    assert await here.page.key(link, WRONG) == Over(Stage.EXPIRED)
    assert set(here.speech.hushed) == {(NODE, proof.channel)}


@pytest.mark.parametrize("known", [True, False])
async def test_what_another_desk_settles_is_over_here_too(here: Proved, server: Server, known: bool) -> None:
    proof, link = await here.begun()
    assert here.desk.prover is not None
    speech = Speech()
    other = here.desk.prover.course(speech, Hearing(), lambda _: None)
    other.carry(proof, asyncio.sleep(0))
    if known:
        assert await here.page.deny(link) is True
        await here.stage("denied")
    else:
        server.client.flushdb()
    other.told(proof.id)
    await until(lambda: asyncio.sleep(0, speech.hushed == [(NODE, proof.channel)]))
    assert not other._begun
    other.told(proof.id)
    assert await here.desk.prover.pages.of("another") is None
    assert len(speech.hushed) == 1, "told twice, it cuts nothing that is said for another one"
    await other.close()


async def test_of_two_desks_that_hear_of_it_one_says_the_digits(here: Proved) -> None:
    proof, link = await here.begun()
    assert here.desk.prover is not None
    speech = Speech()
    other = here.desk.prover.course(speech, Hearing(), lambda _: None)
    await here.page.opened(link)
    for course in (other, here.course):
        course.told(proof.id)
    await until(lambda: asyncio.sleep(0, not other._tasks and not here.course._tasks))
    assert len(here.speech.said) + len(speech.said) == 1
    await other.close()


async def test_nobody_listens_behind_an_end_that_another_desk_settles(here: Proved) -> None:
    proof, link = await here.begun(keyed=Keyed.PHONE)
    await here.page.opened(link)
    assert here.desk.prover is not None
    hearing = Hearing()
    other = here.desk.prover.course(Speech(), hearing, lambda _: None, turn=0.1)
    other.told(proof.id)
    await until(lambda: asyncio.sleep(0, here.course._listening.ids and other._listening.ids))
    here.course._listening.end(proof.id)
    await until(lambda: asyncio.sleep(0, hearing.listening))
    await here.page.deny(link)
    await here.stage("denied")
    other.told(proof.id)
    await until(lambda: asyncio.sleep(0, not hearing.listening))
    await other.close()


async def test_a_moment_apart_is_no_end(tmp_path: Path, server: Server) -> None:
    async with proving_in(tmp_path, server, gone=0.2) as here:
        proof, _ = await here.begun()
        talks, here.desk.talks.talks = here.desk.talks.talks, {}
        here.course.moved(frozenset({"PJSIP/anna"}))
        here.desk.talks.talks = talks
        await until(lambda: asyncio.sleep(0.05, not [one for one in here.course._tasks if "_left" in str(one)]))
        assert here.desk.prover is not None
        found = await here.desk.prover.pages.of(proof.id)
        assert found is not None and not found.stage.is_end


async def unknown_for_a_while(here: Proved) -> None:
    """Asterisk's manager interface does not answer, for longer than two may be parted."""
    looked, told_of = 0, here.desk.talks.told_of

    def looks(node: str, channel: str) -> Talk | None:
        nonlocal looked
        looked += 1
        return told_of(node, channel)

    here.desk.talks.told_of = looks  # type: ignore[method-assign]
    here.desk.talks.down = True
    here.course.moved(frozenset({"PJSIP/anna"}))
    await until(lambda: asyncio.sleep(0, looked > 6))


async def test_that_nobody_knows_who_talks_is_no_end(here: Proved) -> None:
    proof, link = await here.begun()
    await unknown_for_a_while(here)
    here.desk.talks.down = False
    await until(lambda: asyncio.sleep(0.01, not [one for one in here.course._tasks if "_left" in str(one)]))
    assert await here.outcomes() == ["asked"]
    await here.page.opened(link)
    assert (await here.stage("opened")).id == proof.id


async def test_a_call_that_has_ended_while_nobody_knew_is_an_end(here: Proved) -> None:
    """Nothing is told of a phone that talks with nobody when it is known again."""
    await here.begun()
    await unknown_for_a_while(here)
    here.desk.talks.talks, here.desk.talks.down = {}, False
    await until(lambda: _ended(here, "expired"))
    assert (await here.rows())[-1][4]["why"] == "call_ended"


async def test_keys_are_listened_for_again_when_it_is_known_who_talks(here: Proved) -> None:
    _, link = await here.begun(keyed=Keyed.PHONE)
    seen = await here.page.opened(link)
    assert seen is not None and seen.digits is not None
    await until(lambda: asyncio.sleep(0, here.hearing.listening))
    await unknown_for_a_while(here)
    assert not here.hearing.listening, "who knows for whom the keys are"
    here.desk.talks.down = False
    await until(lambda: asyncio.sleep(0, here.hearing.listening))
    here.hearing.key(seen.digits.reveal())
    await here.stage("confirmed")


async def test_it_expires(here: Proved, server: Server) -> None:
    await here.begun()
    server.pass_time(301)
    await until(lambda: _ended(here, "expired"))
    assert (await here.rows())[-1][4]["why"] == "late"


async def test_it_is_taken_back(here: Proved) -> None:
    _, link = await here.begun()
    call = here.desk.id(CALL)
    assert await here.prove.cancel(BO, call) == denied(Reason.NO_CALL)
    assert await here.prove.cancel(ANNA, call) is True
    await here.stage("expired")
    assert (await here.rows())[-1][4]["why"] == "cancelled"
    assert await here.page.key(link, WRONG) == Over(Stage.EXPIRED)
    assert await here.prove.cancel(ANNA, call) == denied(Reason.NO_PROOF)


@pytest.mark.parametrize("delivery", [Delivery.UNDELIVERED, Delivery.FAILED, Delivery.EXPIRED])
async def test_a_message_that_does_not_arrive(here: Proved, delivery: Delivery) -> None:
    await here.begun()
    await here.stage("sent")
    await here.report(delivery)
    await here.stage("failed")
    assert await here.outcomes() == ["asked", "failed"]


async def test_a_message_that_is_lost_goes_out_by_the_next_gateway(tmp_path: Path, server: Server) -> None:
    async with proving_in(tmp_path, server, fallback=True) as here:
        assert here.other is not None
        _, link = await here.begun()
        await here.stage("sent")
        await here.report(Delivery.UNDELIVERED)
        again = await here.other.until_asked(1)
        assert again.form["Body"] == (await here.text())["message"], "the same link"
        await here.page.opened(link)
        await here.stage("opened")


async def test_a_message_that_is_late_goes_out_by_the_next_gateway(tmp_path: Path, server: Server) -> None:
    async with proving_in(tmp_path, server, fallback=True, second=0.01) as here:
        assert here.other is not None
        await here.begun()
        await here.other.until_asked(1)
        await here.report(Delivery.DELIVERED)
        await here.stage("delivered")


@pytest.mark.parametrize("how", ["opened", "denied", "cancelled"])
async def test_whoever_needs_no_second_message_gets_none(tmp_path: Path, server: Server, how: str) -> None:
    async with proving_in(tmp_path, server, fallback=True) as here:
        assert here.other is not None
        _, link = await here.begun()
        await until(lambda: asyncio.sleep(0, here.deliveries._waiting))
        match how:
            case "opened":
                await here.page.opened(link)
            case "denied":
                await here.page.deny(link)
            case _:
                await here.prove.cancel(ANNA, here.desk.id(CALL))
        # nobody waits for the gateway's word any more
        await until(lambda: asyncio.sleep(0, not here.deliveries._waiting))
        await here.report(Delivery.UNDELIVERED)
        assert here.other.connections == 0


async def test_a_late_report_takes_nothing_from_who_has_opened_it(here: Proved) -> None:
    _, link = await here.begun()
    await here.stage("sent")
    await here.page.opened(link)
    await here.stage("opened")
    await here.report(Delivery.UNDELIVERED)
    await until(lambda: asyncio.sleep(0.01, not here.deliveries._waiting))
    shown = await here.shown()
    assert shown is not None and shown.stage is Stage.OPENED


async def test_no_gateway_takes_it(here: Proved) -> None:
    here.gateway.always(Status(403, "Not enough credits"))
    await here.desk.customer("10001", "Xenia Ask", CALLER)
    here.desk.joined(ANNA, CALL)
    assert isinstance(await here.press(), Proof)
    await here.stage("failed")
    assert here.desk.log.of("proof.failed")


# ---------------------------------------------------------------- the trail


async def test_asked_is_durable_before_anything_is_sent(here: Proved, monkeypatch: pytest.MonkeyPatch) -> None:
    await here.desk.customer("10001", "Xenia Ask", CALLER)
    here.desk.joined(ANNA, CALL)

    async def full(*_: object, **__: object) -> str:
        raise StoreError("audit: the database is full")

    monkeypatch.setattr(here.desk.trail, "append", full)
    assert await here.press() == denied(Reason.UNAVAILABLE)
    monkeypatch.undo()
    assert here.gateway.asked == []
    # and it stands in nobody's way
    assert isinstance(await here.press(), Proof)


async def test_an_end_is_shown_when_the_trail_has_it(here: Proved, monkeypatch: pytest.MonkeyPatch) -> None:
    proof, link = await here.begun()
    await here.page.opened(link)
    await until(lambda: asyncio.sleep(0, here.speech.said))
    append = here.desk.trail.append

    async def full(*_: object, **__: object) -> str:
        raise StoreError("audit: the database is full")

    monkeypatch.setattr(here.desk.trail, "append", full)
    assert await here.page.deny(link) is True
    # alarms wait for no row
    await until(lambda: asyncio.sleep(0, here.desk.switch.done))
    (current,) = await here.desk.lock.current(ANNA)
    assert (current.proof, current.proof_known, current.provable) == (None, False, False), (
        "which is not that there is none"
    )
    monkeypatch.setattr(here.desk.trail, "append", append)
    await until(lambda: _ended(here, "denied"))
    assert await here.outcomes() == ["asked", "denied"]
    assert (await here.stage("denied")).id == proof.id


async def test_whoever_hung_up_meanwhile_is_sent_nothing(here: Proved) -> None:
    await here.desk.customer("10001", "Xenia Ask", CALLER)
    here.desk.joined(ANNA, CALL)

    async def hung_up(asked: int) -> None:
        if asked == 3:
            here.desk.talks.talks = {}

    here.desk.talks.meanwhile = hung_up
    assert await here.press() == denied(Reason.NO_CALL)
    assert here.gateway.asked == []


# ---------------------------------------------------------------- who may, and to whom


async def test_who_may_not_sees_no_button_and_presses_none(here: Proved) -> None:
    await here.desk.customer("10001", "Xenia Ask", CALLER)
    here.desk.joined(ANNA, CALL)
    (current,) = await here.desk.lock.current(ANNA)
    assert current.provable
    here.desk.staff.change(ANNA, denied=frozenset({Permission.PROVE}))
    (current,) = await here.desk.lock.current(ANNA)
    assert not current.provable
    assert await here.press() == denied(Reason.NOT_PERMITTED)
    assert here.gateway.asked == []


async def test_nobody_proves_in_anothers_call_or_before_others(here: Proved) -> None:
    await here.desk.customer("10001", "Xenia Ask", CALLER)
    here.desk.joined(ANNA, CALL)
    assert await here.press(BO) == denied(Reason.NO_CALL)
    assert await here.press(call="c.9") == denied(Reason.NO_CALL)
    here.desk.joined(ANNA, CALL, "c.2")
    assert await here.press() == denied(Reason.THIRD_PARTY)
    assert here.gateway.asked == []


async def test_what_is_not_of_the_settings_is_not_taken(tmp_path: Path, server: Server) -> None:
    async with proving_in(tmp_path, server, '[prove]\nways = ["text"]\nabout = ["case"]\n') as here:
        await here.desk.customer("10001", "Xenia Ask", CALLER)
        here.desk.joined(ANNA, CALL)
        assert [one.value for one in here.prove.offered().ways] == ["text"]
        with pytest.raises(InputError, match="^way: may not be chosen here"):
            await here.press(way=Way.CODE, about="case")
        with pytest.raises(InputError, match="^about: may not be chosen here"):
            await here.press(about="Click here at once")
        assert here.gateway.asked == []


async def test_the_verified_customer_whoever_calls_and_whatever_is_typed(here: Proved) -> None:
    verified = await here.desk.customer("10001", "Xenia Ask", "+46701234567")
    await here.desk.customer("10002", "Yrsa Bo", CALLER)
    await here.desk.marked(verified, CALL)
    here.desk.joined(ANNA, CALL)
    proof = await here.press(customer="10002")
    assert isinstance(proof, Proof) and proof.subject == verified
    assert (await here.text())["to"] == "+46701234567"


async def test_the_customer_whom_the_agent_names_at_the_number_on_record(here: Proved) -> None:
    ref = await here.desk.customer("10002", "Yrsa Bo", "+46701234567")
    here.with_caller(None)
    proof = await here.press(customer="10002")
    assert isinstance(proof, Proof) and (proof.subject, proof.shown.number) == (ref, "")
    assert (await here.text())["to"] == "+46701234567"


async def test_the_telephone_at_hand_comes_first(here: Proved) -> None:
    await here.begun("+46701234567", CALLER)
    assert (await here.text())["to"] == CALLER


@pytest.mark.parametrize(
    "case", ["nobody", "unknown number", "no text goes there", "two have it", "another tenant's", "locked"]
)
async def test_an_unknown_number_and_no_way_sound_alike(here: Proved, case: str) -> None:
    """Whoever asks learns neither whether there is such a customer, nor what is on record."""
    here.with_caller(CALLER if case != "nobody" else None)
    customer = None
    match case:
        case "unknown number":
            customer = "99999"
        case "no text goes there":
            # another country's
            await here.desk.customer("10001", "Xenia Ask", "+12025550123")
            customer = "10001"
        case "two have it":
            await here.desk.customer("10001", "Xenia Ask", CALLER)
            await here.desk.customer("10002", "Yrsa Bo", CALLER)
        case "another tenant's":
            await here.desk.customer("10001", "Xenia Ask", CALLER, tenant="other")
            customer = "10001"
        case "locked":
            await here.desk.customer("10001", "Xenia Ask", CALLER)
            async with here.desk.database.write() as connection:
                found = await here.desk.register.find(connection, Secret("10001"), "acme")
                assert found is not None
                await here.desk.register.set_locked(connection, found, locked=True)
        case _:
            pass
    assert await here.press(customer=customer) == denied(Reason.NO_WAY)
    rows = await here.rows()
    assert [(row[1], row[3], row[4]["reason"]) for row in rows] == [("refused", "", "no_way")]
    assert here.gateway.asked == []


async def test_a_supervisor_proves_as_well(here: Proved) -> None:
    await here.desk.customer("10001", "Xenia Ask", CALLER)
    here.desk.joined(SVEN, CALL)
    assert isinstance(await here.press(SVEN), Proof)
    assert (await here.stage("sent", SVEN)).about == "en faktura"
    # whoever gets the call later sees nothing of it
    here.desk.talks.talks = {}
    here.desk.joined(ANNA, CALL)
    assert await here.shown(ANNA) is None


async def _nothing() -> list[Proof]:
    return []


async def _ended(here: Proved, outcome: str) -> bool:
    return (await here.outcomes())[-1:] == [outcome]
