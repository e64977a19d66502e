"""The way `spoken`: an agent says digits, the person calls the published number, and the two meet again. Real Redis and database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ivr.call.ports import Party, Talk
from ivr.call.ports.published import BOUND_TO, Taken
from ivr.call.proof import Keyed, Proof, Stage, Way
from ivr.lock import Denied, Reason
from ivr.lock.course import Course
from ivr.secret import Personal, Secret
from ivr.vault.codes import CodeMacs
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, NODE, denied
from tests.contract.prove_kit import CALL, CALLER, Hearing, Proved, Speech, proving_in, until

pytestmark = pytest.mark.servers

SETTINGS = '[prove]\nways = ["text", "spoken"]\npublished = "08-123 456"\n'
NEW = "c.2"


@pytest.fixture
async def here(tmp_path: Path, server: Server) -> AsyncIterator[Proved]:
    async with proving_in(tmp_path, server, SETTINGS) as made:
        yield made


async def said(here: Proved, **how: object) -> tuple[Proof, Secret]:
    """Anna has been shown digits."""
    here.desk.joined(ANNA, CALL)
    proof = await here.press(way=Way.SPOKEN)
    assert isinstance(proof, Proof), proof
    shown = await here.stage("sent")
    assert shown.digits is not None
    return proof, shown.digits


async def keyed(here: Proved, digits: Secret, channel: str = NEW, number: str | None = None) -> object:
    """What the worker does with what somebody keys at the published number."""
    codes: CodeMacs = here.desk.vault.codes
    index = None if number is None else here.desk.vault.index.phone(Personal(number))
    return await here.published.take(codes.mac(digits, bound_to=BOUND_TO), index, NODE, channel)


def wrong(digits: Secret) -> Secret:
    return Secret(f"{(int(digits.reveal()) + 1) % 1_000_000:06}")


def alone(here: Proved) -> None:
    here.desk.talks.talks.clear()
    here.course.moved(frozenset({"PJSIP/anna"}))


def met(here: Proved, channel: str = NEW, *more: Party, course: Course | None = None) -> None:
    own = Party("own-2", "PJSIP/anna", None, False, 1.0, first=False)
    other = Party(channel, "PJSIP/trunk", Personal("+46701112233"), False, 1.0, first=True)
    here.desk.talks.talks["PJSIP/anna"] = (Talk(NODE, own, (other, *more)),)
    (course or here.course).moved(frozenset({"PJSIP/anna"}))


async def test_from_the_press_to_the_call_to_the_published_number(here: Proved) -> None:
    proof, digits = await said(here)
    assert (proof.subject, proof.keyed, proof.shown.phrase) == ("", Keyed.PAGE, "")
    shown = await here.shown()
    assert shown is not None and shown.published == "08-123 456"
    # the person hangs up, and the proof waits
    alone(here)
    await asyncio.sleep(0.2)
    assert await keyed(here, digits) == Taken("PJSIP/anna")
    met(here)
    now = await here.stage("confirmed")
    assert now.digits is None
    assert [(row[0], row[1], row[2]) for row in await here.rows()] == [
        ("desk:anna", "asked", CALL), ("desk", "confirmed", NEW),
    ]  # fmt: skip
    assert here.speech.said == [], "nothing is spoken by us"
    assert await keyed(here, digits, "c.3") is None, "once"
    (current,) = await here.desk.lock.current(ANNA)
    assert current.ref is None and current.provable


async def test_it_is_confirmed_where_they_have_met_before_it_is_told(here: Proved) -> None:
    _, digits = await said(here)
    met(here)
    assert await keyed(here, digits) == Taken("PJSIP/anna")
    await here.stage("confirmed")


async def test_with_somebody_else_in_the_call_it_is_not(here: Proved) -> None:
    proof, digits = await said(here)
    assert await keyed(here, digits) == Taken("PJSIP/anna")
    met(here, NEW, Party("c.9", "PJSIP/trunk", None, False, 1.0, first=True))
    await asyncio.sleep(0.2)
    assert await here.outcomes() == ["asked"]
    met(here, "c.8")
    await asyncio.sleep(0.2)
    assert await here.outcomes() == ["asked"], "another caller of hers"
    met(here)
    await until(lambda: _is(here, ["asked", "confirmed"]))
    found = await here.course._pages.of(proof.id)
    assert found is not None and found.stage is Stage.CONFIRMED


async def test_a_desk_that_comes_takes_up_what_waits_for_the_two_to_meet(here: Proved) -> None:
    _, digits = await said(here)
    assert await keyed(here, digits) == Taken("PJSIP/anna")
    await here_opened(here)
    await here.course.close()
    assert here.desk.prover is not None
    anew = here.desk.prover.course(Speech(), Hearing(), lambda _: None)
    anew.came()
    await until(lambda: asyncio.sleep(0, anew._begun))
    met(here, course=anew)
    await until(lambda: _is(here, ["asked", "confirmed"]))
    await anew.close()


async def test_wrong_ones_from_the_persons_telephone_raise_an_alarm(here: Proved) -> None:
    proof, digits = await said(here)
    for _ in range(3):
        assert await keyed(here, wrong(digits), number=CALLER) is None
    assert (await here.stage("wrong")).digits is None
    await until(lambda: asyncio.sleep(0, here.desk.switch.done))
    assert here.desk.switch.done == [("event", NODE, "CallerKeysWrongDigits", CALL, "", "p-anna")]
    assert here.desk.prover is not None
    (alarm,) = await here.desk.prover.alarms.of("acme")
    assert (alarm.id, alarm.person, alarm.stage, alarm.channel) == (proof.id, "p-anna", Stage.WRONG, CALL)
    assert await here.outcomes() == ["asked", "wrong"]
    assert [one["proof"] for one in here.desk.log.of("proof.wrong")] == [proof.id]
    assert await keyed(here, digits) is None


async def test_wrong_ones_from_elsewhere_raise_none(here: Proved) -> None:
    _, digits = await said(here)
    for number in (None, "+46709998877"):
        for _ in range(4):
            assert await keyed(here, wrong(digits), number=number) is None
    assert (await here.stage("sent")).digits == digits
    assert here.desk.switch.done == []


async def test_where_the_number_is_closed_nobody_says_digits(tmp_path: Path, server: Server) -> None:
    async with proving_in(tmp_path, server, f"{SETTINGS}[limits]\npublished_per_hour = 4\n") as here:
        _, digits = await said(here)
        (current,) = await here.desk.lock.current(ANNA)
        assert current.digits_closed is None
        for _ in range(5):
            assert await keyed(here, wrong(digits)) is None
        shown = await here.stage("sent")
        assert shown.closed and shown.digits is None, "they are good for nothing"
        (current,) = await here.desk.lock.current(ANNA)
        assert current.digits_closed is not None
        assert await here.prove.cancel(ANNA, here.desk.id(CALL)) is True
        assert await here.press(way=Way.SPOKEN) == denied(Reason.PUBLISHED_CLOSED)
        await here.desk.customer("10001", "Xenia Ask", CALLER)
        assert isinstance(await here.press(), Proof), "other ways go on"
        server.pass_time(3600 + 300)
        (current,) = await here.desk.lock.current(ANNA)
        assert current.digits_closed is None


async def _is(here: Proved, outcomes: list[str]) -> bool:
    return await here.outcomes() == outcomes


async def test_nothing_goes_to_anybody_and_nobody_is_looked_for(here: Proved) -> None:
    await here.desk.customer("10001", "Xenia Ask", "+46701112233")
    here.desk.joined(ANNA, CALL)
    proof = await here.press(way=Way.SPOKEN, customer="10001")
    assert isinstance(proof, Proof)
    assert proof.subject == ""
    await here.stage("sent")
    assert here.gateway.asked == []


async def test_it_is_taken_back(here: Proved) -> None:
    _, digits = await said(here)
    assert await here.prove.cancel(ANNA, here.desk.id(CALL)) is True
    assert await keyed(here, digits) is None
    assert await here.outcomes() == ["asked", "expired"]
    shown = await here.shown()
    assert shown is not None and shown.digits is None


async def test_nobody_speaks_them_into_the_call(here: Proved) -> None:
    _, digits = await said(here)
    assert await keyed(here, digits) == Taken("PJSIP/anna")
    met(here, NEW, Party("c.9", "PJSIP/trunk", None, False, 1.0, first=True))
    await here_opened(here)
    assert await here.prove.again(ANNA, here.desk.id(NEW)) == denied(Reason.NO_PROOF)
    assert here.speech.said == []


async def here_opened(here: Proved) -> None:
    async def there() -> bool:
        found = await here.course._pages.of_call(NODE, NEW)
        return found is not None and found.stage is Stage.OPENED

    await until(there)


async def test_they_are_good_for_ten_minutes_at_most(tmp_path: Path, server: Server) -> None:
    async with proving_in(tmp_path, server, f"{SETTINGS}minutes = 15\n") as here:
        proof, digits = await said(here)
        # the end is rounded down, and the key's life with it
        (key,) = server.client.keys("*:published:digits:*")
        assert 595_000 < server.client.pttl(key) <= 600_000
        server.pass_time(601)
        assert await keyed(here, digits) is None
        await here.stage("expired")
        assert proof.way is Way.SPOKEN


async def test_redis_has_nothing_that_tells_them(here: Proved, server: Server) -> None:
    _, digits = await said(here)
    for key in server.client.keys("*"):
        kind = server.client.type(key)
        held = {"string": server.client.get, "hash": server.client.hgetall}.get(str(kind), lambda _: "")(key)
        assert digits.reveal() not in f"{key} {held}"


async def test_the_way_is_there_where_the_settings_name_it(tmp_path: Path, server: Server) -> None:
    async with proving_in(tmp_path, server, '[prove]\nways = ["text"]\n') as here:
        assert Way.SPOKEN not in here.prove.offered().ways


async def test_one_at_once_on_a_call(here: Proved) -> None:
    await said(here)
    answer = await here.press(way=Way.SPOKEN)
    assert isinstance(answer, Denied) and answer.reason is Reason.PROOF_UNDER_WAY
