"""What proofs may cost, and whom they may bother."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import time

import pytest

from ivr.call.proof import Proof
from ivr.lock import Reason
from ivr.secret import Personal, Secret
from ivr.store.answered import Confirmed, Wrong
from ivr.store.register import Register
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, BO, SVEN, denied
from tests.contract.prove_kit import CALL, CALLER, Proved, proving_in, until

pytestmark = pytest.mark.servers


@pytest.fixture
async def here(tmp_path: Path, server: Server) -> AsyncIterator[Proved]:
    async with proving_in(tmp_path, server) as made:
        yield made


async def test_one_pending(here: Proved) -> None:
    """On a call, and with a customer: a hundred presses are one message."""
    await here.desk.customer("10001", "Xenia Ask", CALLER)
    here.desk.joined(ANNA, CALL)
    here.desk.joined(BO, "c.2")
    begun = await asyncio.gather(*(here.press() for _ in range(20)), *(here.press(BO, call="c.2") for _ in range(20)))
    assert sum(isinstance(one, Proof) for one in begun) == 1
    assert {one.reason for one in begun if not isinstance(one, Proof)} == {Reason.PROOF_UNDER_WAY}
    await here.gateway.until_asked(1)
    (current,) = await here.desk.lock.current(ANNA)
    other = (await here.desk.lock.current(BO))[0]
    mine = current if current.proof is not None else other
    assert mine.proof is not None and not mine.provable
    assert len(here.gateway.asked) == 1


async def test_a_denial_bars(here: Proved, server: Server) -> None:
    _, link = await here.begun()
    assert await here.page.deny(link) is True
    await here.stage("denied")
    assert await here.press() == denied(Reason.DENIED_LATELY)
    # a supervisor may ask once more
    here.desk.talks.talks = {}
    here.desk.joined(SVEN, "c.2")
    proof = await here.press(SVEN, call="c.2")
    assert isinstance(proof, Proof)
    assert here.desk.prover is not None
    await here.prove.cancel(SVEN, here.desk.id("c.2"))
    here.desk.talks.talks = {}
    here.desk.joined(ANNA, CALL)
    assert await here.press() == denied(Reason.DENIED_LATELY)
    server.pass_time(601)
    assert isinstance(await here.press(), Proof)


async def test_so_many_to_one_customer(tmp_path: Path, server: Server) -> None:
    async with proving_in(tmp_path, server, "[prove]\nper_customer_hour = 2\n") as here:
        await here.begun()
        await here.prove.cancel(ANNA, here.desk.id(CALL))
        assert isinstance(await here.press(), Proof)
        await here.prove.cancel(ANNA, here.desk.id(CALL))
        assert await here.press() == denied(Reason.TOO_MANY_PROOFS)
        server.pass_time(3601)
        assert isinstance(await here.press(), Proof)


async def test_budgets_are_those_of_texts(tmp_path: Path, server: Server) -> None:
    """Whoever presses for many customers in turn spends what codes are sent by, and is stopped with them."""
    async with proving_in(tmp_path, server, "[limits]\ntexts_prefix_per_hour = 2\n") as here:
        for number in ("10001", "10002", "10003"):
            await here.desk.customer(number, "Xenia Ask", f"+4670111{number[1:]}")
        for number in ("10001", "10002"):
            here.with_caller(f"+4670111{number[1:]}")
            assert isinstance(await here.press(), Proof)
            assert await here.prove.cancel(ANNA, here.desk.id(CALL)) is True
        here.with_caller("+46701110003")
        assert await here.press() == denied(Reason.TOO_MANY_PROOFS)
        (told,) = here.desk.log.of("texts.closed")
        assert told == {"scope": "prefix", "range": "+467011", "limit": 2}
        assert await here.press() == denied(Reason.TOO_MANY_PROOFS)
        assert len(here.desk.log.of("texts.closed")) == 1, "told once"
        assert ("desk:anna", "texts.close", "closed") in await here.desk.rows()
        await here.gateway.until_asked(2)
        assert len(here.gateway.asked) == 2


async def test_few_numbers_are_typed_on_a_call(here: Proved) -> None:
    """Whoever takes each back, and types the next one, would learn who is a customer: found or not, it counts."""
    for number in ("10001", "10003"):
        await here.desk.customer(number, "Xenia Ask", f"+4670111{number[1:]}")
    here.with_caller(None)
    assert isinstance(await here.press(customer="10001"), Proof)
    assert await here.prove.cancel(ANNA, here.desk.id(CALL)) is True
    assert await here.press(customer="10002") == denied(Reason.NO_WAY)
    for number in ("10003", "10004"):
        assert await here.press(customer=number) == denied(Reason.TOO_MANY_PROOFS), (
            "the same for who is there and who is not"
        )
    await here.gateway.until_asked(1)
    assert len(here.gateway.asked) == 1
    rows = await here.rows()
    assert [row[4].get("reason") for row in rows if row[1] == "refused"] == ["no_way"] + ["too_many_proofs"] * 2


async def test_few_numbers_are_typed_by_one_person(here: Proved, server: Server) -> None:
    """On however many calls; what is not typed goes on."""
    for count in range(12):
        here.desk.joined(ANNA, f"c.{count}")
        assert await here.press(customer="99999", call=f"c.{count}") == denied(Reason.NO_WAY)
    here.desk.joined(ANNA, "c.20")
    assert await here.press(customer="99999", call="c.20") == denied(Reason.TOO_MANY_PROOFS)
    here.desk.joined(BO, "c.21")
    assert await here.press(BO, customer="99999", call="c.21") == denied(Reason.NO_WAY)
    await here.desk.customer("10001", "Xenia Ask", CALLER)
    assert isinstance(await here.press(call="c.20"), Proof)
    server.pass_time(3601)
    here.desk.joined(ANNA, "c.22")
    assert await here.press(customer="99999", call="c.22") == denied(Reason.NO_WAY)


async def test_who_reads_too_many_proves_nothing(here: Proved) -> None:
    await here.desk.customer("10001", "Xenia Ask", CALLER)
    here.desk.joined(ANNA, CALL)
    read = [await here.desk.reads.count(ANNA, f"acme:{n}") for n in range(41)]
    assert read == [None] * 40 + [denied(Reason.TOO_MANY_READS)]
    assert await here.press() == denied(Reason.TOO_MANY_READS)
    assert here.gateway.asked == []


async def test_never_to_a_number_that_is_not_on_record(here: Proved) -> None:
    """The number on the line may be anybody's."""
    await here.desk.customer("10001", "Xenia Ask", "+46701234567")
    here.with_caller(CALLER)
    assert await here.press() == denied(Reason.NO_WAY)
    assert isinstance(await here.press(customer="10001"), Proof)
    assert (await here.text())["to"] == "+46701234567"


async def test_never_to_a_number_that_was_changed_at_the_desk_a_moment_ago(here: Proved) -> None:
    """Whoever has talked an agent into another number is not proved to, and not verified by it, for a day."""
    await here.desk.customer("10001", "Xenia Ask", "+46701234567")
    here.with_caller(CALLER)
    vault = here.desk.vault
    async with here.desk.database.write() as connection:
        register = Register(vault)
        held = await register.find(connection, Secret("10001"), ANNA.tenant)
        assert held is not None
        await register.set_phones(connection, held, [Personal("+46701234599")], time())
    assert await here.press(customer="10001") == denied(Reason.NO_WAY)
    async with here.desk.database.write() as connection:
        held = await register.find(connection, Secret("10001"), ANNA.tenant)
        assert held is not None
        await register.set_phones(connection, held, [], 0)
        held = await register.find(connection, Secret("10001"), ANNA.tenant)
        assert held is not None
        await register.set_phones(connection, held, [Personal("+46701234599")], time() - 24 * 3600 - 1)
    assert isinstance(await here.press(customer="10001"), Proof)


@pytest.mark.parametrize(
    "phone", ["+46900123456", "+4520123456", "+18763123456"], ids=["premium", "abroad", "like home"]
)
async def test_pumping_by_numbers_that_somebody_is_paid_for(here: Proved, phone: str) -> None:
    """Also where they are on record: the agent hears what one hears of whom nobody knows."""
    await here.desk.customer("10001", "Xenia Ask", phone)
    here.with_caller(phone)
    assert await here.press() == denied(Reason.NO_WAY)
    assert await here.press(customer="10001") == await here.press(customer="99999") == denied(Reason.NO_WAY)
    assert here.gateway.connections == 0


async def test_pumping_by_long_texts(tmp_path: Path, server: Server) -> None:
    """Each message of a text is paid for, and counted."""
    # letters that are in no GSM alphabet: 67 to a message
    team = 'departments = { blue = "Обслуживание клиентов" }'
    async with proving_in(tmp_path, server, f"[prove]\n{team}\n[limits]\ntexts_prefix_per_hour = 2\n") as here:
        for number in ("10001", "10002"):
            await here.desk.customer(number, "Xenia Ask", f"+4670111{number[1:]}")
        here.with_caller(None)
        assert isinstance(await here.press(customer="10001"), Proof)
        assert await here.prove.cancel(ANNA, here.desk.id(CALL)) is True
        assert await here.press(customer="10002") == denied(Reason.TOO_MANY_PROOFS)
        assert here.desk.log.of("texts.closed")


async def test_bombing_by_all_agents_in_turn(tmp_path: Path, server: Server) -> None:
    """What a customer gets in an hour is the customer's, whoever presses and from whichever call."""
    async with proving_in(tmp_path, server, "[prove]\nper_customer_hour = 2\n") as here:
        await here.desk.customer("10001", "Xenia Ask", CALLER)
        went = 0
        for turn, person in enumerate((ANNA, BO, ANNA, BO, ANNA)):
            here.desk.talks.talks = {}
            here.desk.joined(person, f"c.{turn}")
            found = await here.press(person, call=f"c.{turn}")
            if isinstance(found, Proof):
                went += 1
                assert await here.prove.cancel(person, here.desk.id(f"c.{turn}")) is True
        assert went == 2
        await here.gateway.until_asked(2)
        assert len(here.gateway.asked) == 2


async def test_bombing_until_somebody_taps_confirms_nothing(here: Proved) -> None:
    """A tap opens it, and no more: nobody confirms without the digits of the call."""
    _, link = await here.begun()
    for _ in range(3):
        await here.page.opened(link)
    assert await here.page.key(link, Secret("")) == Wrong(2)
    await here.stage("opened")
    assert await here.outcomes() == ["asked"]


async def test_digits_are_no_other_calls(here: Proved) -> None:
    """What is said into one call confirms nothing in another one."""
    await here.desk.customer("10002", "Yrsa Bo", "+46701234567")
    _, link = await here.begun()
    here.desk.joined(BO, "c.2")
    other = await here.press(BO, call="c.2", customer="10002")
    assert isinstance(other, Proof)
    await here.page.opened(link)
    await until(lambda: asyncio.sleep(0, here.speech.said))
    link_of_other = await here.link(2)
    await here.page.opened(link_of_other)
    await until(lambda: asyncio.sleep(0, len(here.speech.said) > 1))
    assert here.speech.said[0] != here.speech.said[1]
    assert [one[1] for one in here.speech.to] == [CALL, "c.2"]
    for where, said in ((link, here.speech.said[1]), (link_of_other, here.speech.said[0])):
        assert await here.page.key(where, Secret(said)) == Wrong(2)
    assert await here.page.key(link, Secret(here.speech.said[0])) == Confirmed()
