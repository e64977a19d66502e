"""Calls that the desk begins, on a real Asterisk: the agent's phone, then the customer's behind a trunk, and the number nowhere else."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from rig.ami import Ami
from rig.asterisk import Pbx
from rig.desk import manager_user
from rig.phone import Phone
from rig.state import CHECKOUT, wait_until

import ivr.asterisk.dialling as dialling_module
from ivr.asterisk.ari import Ari
from ivr.asterisk.dialling import Dialled, Dialler, Outgoing
from ivr.asterisk.events import Digit, Event
from ivr.asterisk.outpost import Outpost
from ivr.errors import Unavailable
from ivr.secret import Personal, Secret
from tests.contract.ari_log import Log, wait_for
from tests.e2e.floor import Floor, opened

APP = "desk-tillit-test"
NUMBER = "46701740601"
OURS, DISPLAY = "+46812345678", "Customer p2kq"
SECRET = secrets.token_urlsafe(16)
DIALPLAN = "\n[callers]\nexten => 1,1,NoOp()\nexten => 9,1,Read(KEYED,,3)\n same => n,Wait(60)\n[agents]\nexten => _X.,1,Congestion()\n"
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
        self.told: list[str] = []
        self.begin()

    def begin(self) -> None:
        """A desk of this name, connected anew."""
        ari = Ari(
            url=self.pbx.ari_url, username="tillit", password=Secret(self.pbx.ari_password), app=APP, seconds=5.0,
            log=self.log.logger,
        )  # fmt: skip
        self.ari = ari
        self.outpost = Outpost(self.floor.node, ari, self.log.logger)
        self.dialler = Dialler({self.floor.node: self.outpost}, self.log.logger)
        self.serving = asyncio.create_task(self.outpost.serve())

    async def die(self) -> None:
        """As if the process were gone: nothing is said to Asterisk any more."""
        self.outpost._open = False
        self.serving.cancel()
        await asyncio.gather(self.serving, return_exceptions=True)

    async def swept(self) -> list[str]:
        """What the connection that is there now has ended: all of it is done."""
        await wait_for(lambda: self.outpost.is_connected, "the application")
        await wait_for(lambda: not self.outpost._ending, "the sweep")
        return [line["channel"] for line in self.log.of("outpost.swept")]

    def known(self) -> list[str]:
        """The channels of which Asterisk tells the application."""
        (channels,) = (one["channel_ids"] for one in self.pbx.ari("GET", "applications") if one["name"] == APP)
        return channels

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


async def test_the_customer_is_told_who_calls_and_never_of_whom(line: Line) -> None:
    """A trunk may show it, and write it down: what it is told as they are joined is what it was told as they were called."""
    agent, customer = await line.phones()
    await line.joined(agent, customer)
    await agent.hold()
    await agent.resume()
    await agent.hang_up()
    await line.floor.nobody()
    told = [(event["name"], event["number"]) for event in customer.events if event.kind == "connected_line"]
    assert all(one == ("Example Telecom", OURS) for one in told), told
    seen = await line.seen_by(customer)
    assert "\nBYE sip:" in seen
    assert DISPLAY not in seen
    assert "anonymous" not in seen


async def test_a_trunk_that_tells_the_number(line: Line) -> None:
    """In mid-call, with a name like a mark: the agent's phone has neither. The CDR has them; no agent reads it.

    Nor has the agent's channel, for a moment: what Asterisk writes to the phone just then has what the channel has.
    """
    agent, customer = await line.phones()
    async with Ami(line.pbx) as everything:
        await line.joined(agent, customer)
        await customer.resume(headers={"P-Asserted-Identity": f'"\u2714 Anna A." <sip:+{NUMBER}@127.0.0.1>'})
        await everything.until("Event", "NewCallerid", CallerIDNum=f"+{NUMBER}")
        # what comes behind it is told behind it
        await agent.hold()
        await agent.resume()
        await agent.hang_up()
        await line.floor.nobody()
        (channel,) = {
            one["Channel"] for one in everything.messages if one.get("Channel", "").startswith("PJSIP/agent1-")
        }
        await everything.until("Event", "Hangup", Channel=channel)
        states = [one for one in everything.messages if one.get("Channel") == channel and "ConnectedLineNum" in one]
    had = {(one["ConnectedLineName"], one["ConnectedLineNum"]) for one in states}
    assert had - {("<unknown>", "<unknown>")} == {(DISPLAY, "anonymous")}
    told = [(event["name"], event["number"]) for event in agent.events if event.kind == "connected_line"]
    assert told
    assert all(name in ("", DISPLAY) and number in ("", "anonymous") for name, number in told), told
    assert NUMBER not in await line.seen_by(agent)


async def test_nobody_is_called_where_asterisk_could_not_keep_it(line: Line) -> None:
    agent, customer = await line.phones()
    line.pbx.cli("module unload func_frame_drop.so")
    try:
        with pytest.raises(Unavailable, match=r"Asterisk does not run func_frame_drop\.so"):
            await line.dial()
    finally:
        line.pbx.cli("module load func_frame_drop.so")
    assert line.told == []
    assert not line.pbx.channels()
    await line.joined(agent, customer)
    await agent.hang_up()
    await line.floor.nobody()


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


@pytest.mark.parametrize("who", ["agent", "customer"])
async def test_who_hangs_up_while_the_two_are_joined(line: Line, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    agent, customer = await line.phones()
    leaving, stays = (agent, customer) if who == "agent" else (customer, agent)
    unsubscribe, left = line.outpost.unsubscribe, [leaving]

    async def hangs_up(channel: str) -> None:
        await unsubscribe(channel)
        if left:
            await left.pop().hang_up()
            await wait_for(lambda: len(line.pbx.ari("GET", "channels")) == 1, "one to be gone")

    monkeypatch.setattr(line.outpost, "unsubscribe", hangs_up)
    dialling = line.dial()
    await agent.incoming()
    await agent.answer()
    await customer.incoming()
    await customer.answer()
    ended = {"agent": Dialled.AGENT_GAVE_UP, "customer": Dialled.DECLINED}[who]
    assert await asyncio.wait_for(dialling, 10) == (ended, "")
    await stays.until("disconnected")


async def test_the_desk_dies_while_it_dials_and_nobody_hangs(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling_module, "_GRACE", 1)
    agent, customer = await line.phones()
    dialling = line.dial(replace(CALL, ring=1, ring_agent=1))
    await agent.incoming()
    await agent.answer()
    await customer.incoming()
    await line.die()
    with pytest.raises(Unavailable):
        await dialling
    await customer.answer()
    await agent.until("disconnected")
    await customer.until("disconnected")


@pytest.mark.parametrize("how", ["cut off", "started again"])
@pytest.mark.parametrize("told", [False, True])
async def test_who_talks_goes_on_when_the_desk_comes_back(line: Line, how: str, told: bool) -> None:
    """Also where the application is still told of them."""
    agent, customer = await line.phones()
    await line.joined(agent, customer)
    channels = sorted(one["id"] for one in line.pbx.ari("GET", "channels"))
    assert len(channels) == 2
    await wait_for(lambda: not line.known(), "the application to be told of neither")
    if told:
        for channel in channels:
            await line.outpost.subscribe(channel)
        assert sorted(line.known()) == channels
    if how == "cut off":
        line.ari.reconnect()
        await wait_for(lambda: not line.outpost.is_connected, "the connection to end")
    else:
        await line.die()
        line.begin()
    assert await line.swept() == []
    await wait_for(lambda: not line.known(), "the application to be told of neither")
    await agent.play_tone(620)
    await customer.hears(620)
    assert sorted(one["id"] for one in line.pbx.ari("GET", "channels")) == channels
    await agent.hang_up()
    await line.floor.nobody()


async def test_a_desk_that_comes_back_ends_what_it_was_dialling(line: Line) -> None:
    agent, customer = await line.phones()
    dialling = line.dial()
    await agent.incoming()
    await agent.answer()
    await customer.incoming()
    await customer.ring()
    await line.die()
    with pytest.raises(Unavailable):
        await dialling
    line.begin()
    assert len(await line.swept()) == 2
    await agent.until("disconnected")
    await customer.until("disconnected")


async def test_what_the_customer_keys_later_is_not_for_the_desk(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a card number, where the agent has sent the call on to a machine."""
    agent, customer = await line.phones()
    heard: list[Event] = []
    event = line.outpost.event

    def listen(one: Event) -> None:
        heard.append(one)
        event(one)

    monkeypatch.setattr(line.outpost, "event", listen)
    await line.joined(agent, customer)
    channel = (await line.floor.talk("agent1")).others[0].channel
    name = next(one["name"] for one in line.pbx.ari("GET", "channels") if one["id"] == channel)
    line.pbx.cli(f"channel redirect {name} callers,9,1")
    await agent.until("disconnected")
    await customer.send_digits("739")
    keyed = f"channels/{channel}/variable?variable=KEYED"
    await asyncio.to_thread(
        wait_until, lambda: line.pbx.ari("GET", keyed) == {"value": "739"}, 10, "the keys to have come"
    )
    assert not [one for one in heard if isinstance(one, Digit)]
    await customer.hang_up()
    await line.floor.nobody()
