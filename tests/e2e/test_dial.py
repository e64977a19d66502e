"""Calls that the desk begins, on a real Asterisk: the agent's phone, then the customer's behind a trunk, and the number nowhere else."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from rig.asterisk import Pbx
from rig.desk import manager_user
from rig.phone import Phone
from rig.state import CHECKOUT, wait_until

import ivr.asterisk.dialling as dialling_module
from ivr.asterisk.ari import Ari
from ivr.asterisk.dialling import Dialled, Dialler, Outgoing
from ivr.asterisk.outpost import Outpost
from ivr.errors import Unavailable
from ivr.secret import Personal, Secret
from tests.contract.ari_log import Log, wait_for
from tests.e2e.floor import Floor, opened

NUMBER = "46701740601"
OURS, DISPLAY = "+46812345678", "Customer p2kq"
SECRET = secrets.token_urlsafe(16)
DIALPLAN = "\n[callers]\nexten => 1,1,NoOp()\n[agents]\nexten => _X.,1,Congestion()\n"
# The phone of agent 3 is the customer's, behind a trunk whose names are trusted.
OVERRIDES = {"pjsip.conf": "\n[agent3](+)\ntrust_id_inbound = yes\n"}
CALL = Outgoing(
    agent="PJSIP/agent1", number=Personal(f"+{NUMBER}"), shown=OURS, shown_name="Example Telecom", display=DISPLAY,
    dial="PJSIP/{number}@agent3", ring_agent=10, ring=10, language="en",
)  # fmt: skip


class Line:
    """A dialler on this Asterisk, an agent's phone and a customer's."""

    def __init__(self, pbx: Pbx, floor: Floor, stack: AsyncExitStack) -> None:
        self.pbx, self.floor, self._phones = pbx, floor, AsyncExitStack()
        stack.push_async_callback(self._phones.aclose)
        self.log = Log()
        ari = Ari(
            url=pbx.ari_url, username="tillit", password=Secret(pbx.ari_password), app="desk-tillit-test", seconds=5.0,
            log=self.log.logger,
        )  # fmt: skip
        self.outpost = Outpost(floor.node, ari, self.log.logger)
        self.dialler = Dialler({floor.node: self.outpost}, self.log.logger)
        self.serving = asyncio.create_task(self.outpost.serve())
        self.told: list[str] = []

    async def phone(self, endpoint: str) -> Phone:
        return await self._phones.enter_async_context(Phone(self.pbx.line(endpoint)))

    async def seen_by(self, phone: Phone) -> str:
        """Each message that this phone has had or sent. All phones leave: the last of it is written then."""
        await self._phones.aclose()
        return (phone._stem.parent / f"{phone._stem.name}.log").read_text(errors="replace")

    async def phones(self) -> tuple[Phone, Phone]:
        return await self.phone("agent1"), await self.phone("agent3")

    async def _told(self, stage: str) -> None:
        self.told.append(stage)

    def dial(self, call: Outgoing = CALL) -> asyncio.Task[tuple[Dialled, str]]:
        return asyncio.create_task(self.dialler.dial(self.floor.node, call, self._told))

    async def joined(self, agent: Phone, customer: Phone) -> None:
        dialling = self.dial()
        await agent.incoming()
        await agent.answer()
        await customer.incoming()
        await customer.answer()
        how, channel = await asyncio.wait_for(dialling, 5)
        assert (how, self.told) == (Dialled.JOINED, ["agent", "customer"])
        await self.floor.two("agent1", "agent3")
        assert (await self.floor.talk("agent1")).others[0].channel == channel


@pytest.fixture(scope="module")
def pbx() -> Iterator[Pbx]:
    overrides = OVERRIDES | {"manager.conf": manager_user(SECRET)}
    dialplan = (CHECKOUT / "dialplan" / "tillit.conf", DIALPLAN)
    with Pbx(dialplan=dialplan, overrides=overrides, name="dial", ports=200) as made:
        yield made


@pytest.fixture
async def line(pbx: Pbx) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        floor = await stack.enter_async_context(opened(pbx, SECRET))
        made = Line(pbx, floor, stack)
        await wait_for(lambda: made.outpost.is_connected, "the application")
        yield made
        made.serving.cancel()
        await asyncio.gather(made.serving, return_exceptions=True)
    await asyncio.to_thread(wait_until, lambda: not pbx.channels(), 10, "all channels to end")


@pytest.mark.parametrize("who", ["agent", "customer"])
async def test_both_are_joined_and_whoever_hangs_up_ends_it(line: Line, who: str) -> None:
    agent, customer = await line.phones()
    await line.joined(agent, customer)
    # the desk is not needed for the conversation
    line.serving.cancel()
    await asyncio.gather(line.serving, return_exceptions=True)
    await agent.play_tone(620)
    await customer.play_tone(440)
    await agent.hears(440)
    await customer.hears(620)
    talk = await line.floor.talk("agent1")
    assert talk.own.first
    assert talk.others[0].number is None
    await (agent if who == "agent" else customer).hang_up()
    await line.floor.nobody()


async def test_the_number_is_nowhere_but_on_the_wire_to_the_trunk(line: Line) -> None:
    agent, customer = await line.phones()
    dialling = line.dial()
    offer = await agent.incoming()
    assert (offer["name"], offer["number"]) == (DISPLAY, "anonymous")
    await agent.answer()
    offer = await customer.incoming()
    assert (offer["name"], offer["number"]) == ("Example Telecom", OURS)
    await customer.answer()
    assert (await dialling)[0] is Dialled.JOINED
    await line.floor.two("agent1", "agent3")
    await agent.hold()
    await agent.resume()
    await agent.hang_up()
    await line.floor.nobody()
    told = [(event["name"], event["number"]) for event in agent.events if event.kind == "connected_line"]
    assert all(name in ("", DISPLAY) and number in ("", "anonymous") for name, number in told), told
    seen = await line.seen_by(agent)
    assert "\nBYE sip:" in seen
    assert OURS not in seen
    assert NUMBER not in seen
    for file in (line.pbx.cdr_file, line.pbx.cel_file):
        assert NUMBER not in (file.read_text() if file.exists() else ""), file.name
    # at the level verbose Asterisk says whom it calls, once; no file should have that level
    assert [said for said in line.pbx.said().splitlines() if NUMBER in said and "Called" not in said] == []
    assert NUMBER not in str(line.log.lines)


@pytest.mark.parametrize(
    ("does", "how"), [("busy", Dialled.BUSY), ("decline", Dialled.DECLINED), ("", Dialled.NO_ANSWER)]
)
async def test_the_customer_does_not_answer(line: Line, does: str, how: Dialled) -> None:
    agent, customer = await line.phones()
    dialling = line.dial(CALL if does else replace(CALL, ring=1))
    await agent.incoming()
    await agent.answer()
    await customer.incoming()
    if does:
        await getattr(customer, does)()
    else:
        await customer.ring()
    assert await asyncio.wait_for(dialling, 5) == (how, "")
    await agent.until("disconnected")


async def test_a_trunk_that_tells_the_number(line: Line) -> None:
    """In mid-call, with a name like a mark: the agent's phone has neither. The CDR has them; no agent reads it."""
    agent, customer = await line.phones()
    await line.joined(agent, customer)
    await customer.resume(headers={"P-Asserted-Identity": f'"\u2714 Anna A." <sip:+{NUMBER}@127.0.0.1>'})
    # what comes behind it is told behind it
    await agent.hold()
    await agent.resume()
    await agent.hang_up()
    await line.floor.nobody()
    told = [(event["name"], event["number"]) for event in agent.events if event.kind == "connected_line"]
    assert told
    assert all(name in ("", DISPLAY) and number in ("", "anonymous") for name, number in told), told
    assert NUMBER not in await line.seen_by(agent)


async def test_a_phone_is_looked_for_that_can_ring(line: Line) -> None:
    """Not one that is away, in a call, or not there at all."""
    agent, customer = await line.phones()
    mine = {"PJSIP/agent2", "PJSIP/agent1", "PJSIP/nobody", "Nothing/agent1"}
    assert await line.dialler.place(mine) == (line.floor.node, "PJSIP/agent1")
    assert await line.dialler.place(mine - {"PJSIP/agent1"}) is None
    await line.joined(agent, customer)
    assert await line.dialler.place(mine) is None


async def test_a_trunk_that_takes_no_plus(line: Line) -> None:
    agent, customer = await line.phones()
    dialling = line.dial(replace(CALL, plus=False))
    await agent.incoming()
    await agent.answer()
    offer = await customer.incoming()
    assert f"sip:{NUMBER}@" in str(offer["headers"]), offer["headers"]
    assert f"+{NUMBER}" not in str(offer["headers"])
    dialling.cancel()
    await agent.until("disconnected")


async def test_no_such_phone(line: Line) -> None:
    assert await line.dial() == (Dialled.AGENT_AWAY, "")
    assert line.told == []


async def test_the_agent_is_busy(line: Line) -> None:
    agent = await line.phone("agent1")
    dialling = line.dial()
    await agent.incoming()
    await agent.busy()
    assert await asyncio.wait_for(dialling, 5) == (Dialled.AGENT_AWAY, "")


@pytest.mark.parametrize("how", ["gives up", "is called off"])
async def test_the_customers_phone_rings_no_longer_than_somebody_waits(line: Line, how: str) -> None:
    agent, customer = await line.phones()
    dialling = line.dial()
    await agent.incoming()
    await agent.answer()
    await customer.incoming()
    await customer.ring()
    if how == "gives up":
        await agent.hang_up()
        assert await asyncio.wait_for(dialling, 5) == (Dialled.AGENT_GAVE_UP, "")
    else:
        dialling.cancel()
        await agent.until("disconnected")
    await customer.until("disconnected")


async def test_the_desk_dies_while_it_dials_and_nobody_hangs(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling_module, "_GRACE", 1)
    agent, customer = await line.phones()
    dialling = line.dial(replace(CALL, ring=1, ring_agent=1))
    await agent.incoming()
    await agent.answer()
    await customer.incoming()
    # as if the process were gone: nothing is said to Asterisk any more
    line.outpost._open = False
    line.serving.cancel()
    await asyncio.gather(line.serving, return_exceptions=True)
    with pytest.raises(Unavailable):
        await dialling
    await customer.answer()
    await agent.until("disconnected")
    await customer.until("disconnected")
