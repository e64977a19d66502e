"""Whom each phone talks with, in every shape that a call can take on a real Asterisk: before, after, and never anybody else."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from rig.asterisk import Pbx
from rig.desk import manager_user
from rig.phone import Phone
from rig.state import wait_until

from ivr.errors import Unavailable
from tests.contract.ari_log import wait_for
from tests.e2e.floor import Floor, opened, replaces

DIALPLAN = """
[callers]
exten => 100,1,Dial(PJSIP/agent1,30,tTkK)
exten => 101,1,Dial(Local/anna@desk,30,tTkK)
exten => 102,1,Dial(Local/anna@desk/n,30,tTkK)
exten => 103,1,Answer()
 same => n,Queue(phones,tTkK)
exten => 104,1,Answer()
 same => n,Queue(locals,tTkK)
exten => 105,1,Answer()
 same => n,Queue(lasting,tTkK)
; through two Local channels, one behind the other, that both stay
exten => 106,1,Dial(Local/far@desk/n,30)
exten => 600,1,ConfBridge(room)
exten => 601,1,Answer()
 same => n,MusicOnHold(default,120)
exten => 602,1,BridgeWait(lounge)
[desk]
exten => anna,1,Dial(PJSIP/agent1,20,tTkK)
exten => far,1,Dial(Local/anna@desk/n,20)
[agents]
exten => 202,1,Dial(PJSIP/agent2,30,tTkK)
exten => 203,1,Dial(PJSIP/agent3,30)
exten => 212,1,Dial(Local/202@agents,30)
exten => 222,1,Dial(Local/202@agents/n,30)
exten => 600,1,ConfBridge(room)
exten => 601,1,Answer()
 same => n,MusicOnHold(default,120)
exten => 602,1,BridgeWait(lounge)
exten => 700,1,Park()
exten => 701,1,ParkedCall(default,701)
exten => 801,1,PickupChan(PJSIP/agent1)
"""
OVERRIDES = {
    "queues.conf": "\n[phones]\nmember => PJSIP/agent1\n[locals]\nmember => Local/anna@desk\n[lasting]\nmember => Local/anna@desk/n\n",
    "features.conf": "\n[general]\n[featuremap]\nblindxfer => #1\natxfer => *2\n",
    "res_parking.conf": "\n[general]\n[default]\nparkext => 700\nparkpos => 701-720\ncontext => parked\n",
    "confbridge.conf": "\n[general]\n[default_bridge]\ntype = bridge\n[default_user]\ntype = user\nannounce_only_user = no\n",
}
SECRET = secrets.token_urlsafe(16)
WAYS = ("100", "101", "102", "103", "104", "105", "106")


@pytest.fixture(scope="module")
def pbx() -> Iterator[Pbx]:
    overrides = OVERRIDES | {"manager.conf": manager_user(SECRET)}
    with Pbx(dialplan=(DIALPLAN,), overrides=overrides, name="talks", ports=200) as made:
        for module in ("res_parking.so", "app_confbridge.so"):
            made.cli(f"module load {module}")
        yield made


class Room:
    """The floor, and phones until the test ends."""

    def __init__(self, pbx: Pbx, floor: Floor, stack: AsyncExitStack) -> None:
        self.pbx = pbx
        self.floor = floor
        self._stack = stack

    async def phone(self, endpoint: str) -> Phone:
        return await self._stack.enter_async_context(Phone(self.pbx.line(endpoint)))

    async def calling(self, extension: str, endpoint: str = "caller") -> Phone:
        phone = await self.phone(endpoint)
        await phone.call(extension)
        return phone

    async def talking(self, extension: str = "103") -> tuple[Phone, Phone]:
        """A caller and agent 1."""
        agent = await self.phone("agent1")
        caller = await self.calling(extension)
        await agent.incoming()
        assert await self.floor.whom() == {}
        await agent.answer()
        await caller.until("confirmed")
        await self.floor.two("agent1", "caller")
        return caller, agent

    async def enquiring(self, agent: Phone, extension: str) -> tuple[Phone, int | None, int]:
        """Agent 1 has agent 2 on a second line."""
        colleague = await self.phone("agent2")
        first = agent.current
        second = await agent.call(extension)
        await colleague.incoming()
        await colleague.answer()
        await agent.until("confirmed", call=second)
        await self.floor.until(
            {"agent1": [("agent2",), ("caller",)], "agent2": [("agent1",)], "caller": [("agent1",)]}
        )  # fmt: skip
        return colleague, first, second

    async def consulting(self, agent: Phone) -> Phone:
        """The same by the feature code: the caller waits."""
        colleague = await self.phone("agent2")
        await agent.send_digits("*2")
        await agent.hears()
        await agent.send_digits("202")
        await colleague.incoming()
        await colleague.answer()
        await self.floor.two("agent1", "agent2")
        return colleague

    async def passed_on(self, caller: Phone) -> None:
        """Agent 2 has the caller, who hangs up; nobody but the two agents ever had."""
        await self.floor.two("agent2", "caller")
        await caller.hang_up()
        await self.floor.nobody()
        assert self.floor.had("caller") == {"agent1", "agent2"}


@pytest.fixture
async def room(pbx: Pbx) -> AsyncIterator[Room]:
    async with AsyncExitStack() as stack:
        floor = await stack.enter_async_context(opened(pbx, SECRET))
        yield Room(pbx, floor, stack)
        await stack.aclose()
    await asyncio.to_thread(wait_until, lambda: not pbx.channels(), 10, "all channels to end")
    assert not [line for line in floor.log.lines if line["event"] == "task.failed"]


# ---------------------------------------------------------------- ways to an agent


@pytest.mark.parametrize("who", ["caller", "agent"])
@pytest.mark.parametrize("extension", WAYS)
async def test_a_caller_and_an_agent(room: Room, extension: str, who: str) -> None:
    caller, agent = await room.talking(extension)
    talk = await room.floor.talk("agent1")
    (other,) = talk.others
    channels = {channel["name"].rpartition("-")[0]: channel["id"] for channel in room.pbx.ari("GET", "channels")}
    assert (talk.own.channel, other.channel) == (channels["PJSIP/agent1"], channels["PJSIP/caller"])
    await (caller if who == "caller" else agent).hang_up()
    await room.floor.nobody()
    assert room.floor.had("caller") == {"agent1"}


async def test_hold_is_told_and_ends_nothing(room: Room) -> None:
    _, agent = await room.talking()

    async def held() -> tuple[bool, bool]:
        talk = await room.floor.talk("agent1")
        return talk.own.held, (await room.floor.talk("caller")).others[0].held

    assert await held() == (False, False)
    await agent.hold()
    for wanted in (True, False):
        async with asyncio.timeout(10):
            while await held() != (wanted, wanted):
                await asyncio.sleep(0.02)
        if wanted:
            await agent.resume()
    await room.floor.two("agent1", "caller")


async def test_a_second_call_is_a_second_talk(room: Room) -> None:
    _, agent = await room.talking()
    first = agent.current
    await agent.hold()
    second = await room.calling("100", "caller-info")
    await agent.incoming()
    await agent.answer()
    await room.floor.until(
        {"agent1": [("caller",), ("caller-info",)], "caller": [("agent1",)], "caller-info": [("agent1",)]}
    )  # fmt: skip
    await second.hang_up()
    await room.floor.two("agent1", "caller")
    await agent.hang_up(first)
    await room.floor.nobody()
    assert room.floor.had("caller") == room.floor.had("caller-info") == {"agent1"}


async def test_a_ringing_phone_is_picked_up_by_another(room: Room) -> None:
    agent, colleague = await room.phone("agent1"), await room.phone("agent2")
    caller = await room.calling("103")
    await agent.incoming()
    await agent.ring()
    await colleague.call("801")
    await colleague.until("confirmed")
    await room.floor.two("agent2", "caller")
    await caller.hang_up()
    await room.floor.nobody()
    assert room.floor.had("caller") == {"agent2"}


# ---------------------------------------------------------------- transfers


@pytest.mark.parametrize("extension", WAYS)
async def test_a_blind_transfer(room: Room, extension: str) -> None:
    caller, agent = await room.talking(extension)
    colleague = await room.phone("agent2")
    await agent.transfer("202")
    await colleague.incoming()
    await room.floor.nobody()
    await colleague.answer()
    await room.passed_on(caller)


@pytest.mark.parametrize("second", ["202", "212", "222"])
@pytest.mark.parametrize("first", ["100", "103", "104", "105"])
async def test_an_attended_transfer(room: Room, first: str, second: str) -> None:
    """Asterisk merges, swaps, or joins by Local channels, as each call is made up."""
    caller, agent = await room.talking(first)
    before = (await room.floor.talk("agent1")).others[0].channel
    _, one, other = await room.enquiring(agent, second)
    await agent.transfer(to_call=other, call=one)
    await room.floor.two("agent2", "caller")
    assert (await room.floor.talk("agent2")).others[0].channel == before
    await room.passed_on(caller)


async def test_an_attended_transfer_into_an_application(room: Room) -> None:
    caller, agent = await room.talking()
    first = agent.current
    second = await agent.call("601")
    await agent.until("confirmed", call=second)
    await agent.transfer(to_call=second, call=first)
    await room.floor.nobody()
    await caller.hang_up()
    assert room.floor.had("caller") == {"agent1"}


async def test_an_attended_transfer_into_a_conference(room: Room) -> None:
    """The caller takes the place of the agent's second channel, and no event says so."""
    two, three = await room.phone("agent2"), await room.phone("agent3")
    await two.call("600")
    await three.call("600")
    await room.floor.two("agent2", "agent3")
    agent = await room.phone("agent1")
    caller = await room.calling("103")
    await agent.incoming()
    await agent.answer()
    first = agent.current
    second = await agent.call("600")
    await room.floor.until({
        "agent1": [("agent2", "agent3"), ("caller",)], "agent2": [("agent1", "agent3")],
        "agent3": [("agent1", "agent2")], "caller": [("agent1",)],
    })  # fmt: skip
    await agent.transfer(to_call=second, call=first)
    await room.floor.until(
        {"agent2": [("agent3", "caller")], "agent3": [("agent2", "caller")], "caller": [("agent2", "agent3")]}
    )  # fmt: skip
    await three.hang_up()
    await room.floor.two("agent2", "caller")
    await caller.hang_up()
    await room.floor.nobody()
    assert room.floor.had("caller") == {"agent1", "agent2", "agent3"}


@pytest.mark.parametrize("ending", ["transfer", "back"])
async def test_an_attended_transfer_by_feature_code(room: Room, ending: str) -> None:
    caller, agent = await room.talking()
    colleague = await room.consulting(agent)
    await (agent if ending == "transfer" else colleague).hang_up()
    await room.floor.two("agent2" if ending == "transfer" else "agent1", "caller")
    await caller.hang_up()
    await room.floor.nobody()
    assert room.floor.had("caller") == ({"agent1", "agent2"} if ending == "transfer" else {"agent1"})


async def test_a_blind_transfer_by_feature_code(room: Room) -> None:
    caller, agent = await room.talking()
    colleague = await room.phone("agent2")
    await agent.send_digits("#1")
    await agent.hears()
    await agent.send_digits("202")
    await colleague.incoming()
    await colleague.answer()
    await room.passed_on(caller)


@pytest.mark.parametrize("extension", ["103", "105"])
async def test_a_caller_is_parked_and_another_takes_the_call_up(room: Room, extension: str) -> None:
    caller, agent = await room.talking(extension)
    colleague = await room.phone("agent2")
    await agent.transfer("700")
    await room.floor.nobody()
    await colleague.call("701")
    await room.passed_on(caller)


# ---------------------------------------------------------------- many


async def test_in_a_conference_all_are_parties_of_all(room: Room) -> None:
    agent, colleague = await room.phone("agent1"), await room.phone("agent2")
    caller = await room.calling("600")
    await agent.call("600")
    await room.floor.two("agent1", "caller")
    await colleague.call("600")
    await room.floor.until(
        {"agent1": [("agent2", "caller")], "agent2": [("agent1", "caller")], "caller": [("agent1", "agent2")]}
    )  # fmt: skip
    await agent.hang_up()
    await room.floor.two("agent2", "caller")
    await caller.hang_up()
    await room.floor.nobody()


async def test_who_waits_in_the_same_place_does_not_talk(room: Room) -> None:
    caller = await room.calling("602")
    agent = await room.phone("agent1")
    await agent.call("602")
    for phone in (caller, agent):
        await phone.until("confirmed")

    def waiting() -> bool:
        return any(
            one["bridge_type"] == "holding" and len(one["channels"]) == 2 for one in room.pbx.ari("GET", "bridges")
        )

    await asyncio.to_thread(wait_until, waiting, 5, "both to wait")
    assert await room.floor.whom() == {}
    assert not room.floor.history


THREE = {
    "agent1": [("agent2", "caller")], "agent2": [("agent1", "caller")], "caller": [("agent1", "agent2")],
}  # fmt: skip


async def three(room: Room) -> tuple[Phone, Phone, Phone]:
    """Caller, agent 1 and agent 2 in one bridge: by the code that makes three of an enquiry."""
    caller, agent = await room.talking()
    colleague = await room.consulting(agent)
    await agent.send_digits("*3")
    await room.floor.until(THREE)
    return caller, agent, colleague


async def test_of_an_enquiry_three_are_made(room: Room) -> None:
    caller, agent, _ = await three(room)
    await agent.hang_up()
    await room.floor.two("agent2", "caller")
    await caller.hang_up()
    await room.floor.nobody()


async def test_an_agent_swaps_between_the_two(room: Room) -> None:
    caller, agent = await room.talking()
    await room.consulting(agent)
    await agent.send_digits("*4")
    await room.floor.two("agent1", "caller")
    await agent.send_digits("*4")
    await room.floor.two("agent1", "agent2")
    await caller.hang_up()
    await room.floor.two("agent1", "agent2")
    await agent.hang_up()
    await room.floor.nobody()
    assert room.floor.had("caller") == {"agent1"}


async def test_two_are_transferred_into_a_conference(room: Room) -> None:
    """A half of a Local channel takes the place of the agent's second channel, and no event says so."""
    guest = await room.phone("agent3")
    await guest.call("600")
    caller, agent, _ = await three(room)
    first = agent.current
    second = await agent.call("600")
    await room.floor.until(THREE | {"agent1": [("agent2", "caller"), ("agent3",)], "agent3": [("agent1",)]})
    await agent.transfer(to_call=second, call=first)
    await room.floor.until({
        "agent2": [("agent3", "caller")], "agent3": [("agent2", "caller")], "caller": [("agent2", "agent3")]
    })  # fmt: skip
    await caller.hang_up()
    await guest.hang_up()
    await room.floor.nobody()


# ---------------------------------------------------------------- somebody else in the caller's place


@pytest.mark.parametrize("extension", ["100", "103", "105"])
async def test_another_phone_takes_the_callers_place(room: Room, extension: str) -> None:
    """An INVITE with Replaces: it is another channel, so no mark of the caller's is on it."""
    await room.talking(extension)
    before = (await room.floor.talk("agent1")).others[0].channel
    stranger = await room.phone("agent3")
    await stranger.call("601", headers=replaces(room.pbx, "caller"))
    await room.floor.two("agent1", "agent3")
    assert (await room.floor.talk("agent1")).others[0].channel != before
    await stranger.hang_up()
    await room.floor.nobody()
    assert room.floor.had("caller") == {"agent1"}


async def test_another_phone_takes_the_callers_place_in_a_conference(room: Room) -> None:
    agent = await room.phone("agent1")
    caller = await room.calling("600")
    await agent.call("600")
    await room.floor.two("agent1", "caller")
    stranger = await room.phone("agent3")
    await stranger.call("601", headers=replaces(room.pbx, "caller"))
    await caller.until("disconnected")
    await room.floor.two("agent1", "agent3")
    await stranger.hang_up()
    await room.floor.nobody()
    assert room.floor.had("caller") == {"agent1"}


async def test_another_phone_takes_a_waiting_callers_place(room: Room) -> None:
    """In a queue, before anybody answers: the place is another channel's by a masquerade."""
    agent = await room.phone("agent1")
    caller = await room.calling("103")
    await agent.incoming()
    before = next(one["id"] for one in room.pbx.ari("GET", "channels") if "caller" in one["name"])
    stranger = await room.phone("agent3")
    await stranger.call("601", headers=replaces(room.pbx, "caller"))
    await caller.until("disconnected")
    await agent.answer()
    await room.floor.two("agent1", "agent3")
    assert (await room.floor.talk("agent1")).others[0].channel != before
    assert room.floor.had("caller") == set()
    await stranger.hang_up()


# ---------------------------------------------------------------- the link


async def test_the_link_is_cut_and_the_call_goes_on(room: Room) -> None:
    _, agent = await room.talking("105")
    wire = room.floor.ami._wire
    assert wire is not None
    wire.transport.abort()
    await wait_for(lambda: not room.floor.talks.known, "it to be noticed")
    with pytest.raises(Unavailable):
        await room.floor.talks.of("PJSIP/agent1")
    await room.floor.two("agent1", "caller")
    await agent.hang_up()
    await room.floor.nobody()


async def test_what_happens_while_the_link_is_cut(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    caller, agent = await room.talking()
    colleague = await room.phone("agent2")
    monkeypatch.setattr("ivr.asterisk.ami._WAITS", (3600.0,))
    assert room.floor.ami._wire is not None
    room.floor.ami._wire.transport.abort()
    await agent.transfer("202")
    await colleague.incoming()
    await colleague.answer()
    await colleague.play_tone(700)
    await caller.hears(700)
    with pytest.raises(Unavailable):
        await room.floor.talks.of("PJSIP/agent2")
    async with opened(room.pbx, SECRET) as anew:
        await anew.two("agent2", "caller")
        await caller.hang_up()
        await anew.nobody()


async def asks_in_vain(room: Room, endpoint: str) -> str | None:
    """Why it is not known, where it is not."""
    try:
        await room.floor.talks.of(endpoint)
    except Unavailable as error:
        return str(error)
    return None


async def test_an_asterisk_that_hangs_is_not_believed(room: Room) -> None:
    await room.talking()
    room.pbx.child.pause()
    try:
        # a proof is good for a second, and one is waited for as long
        async with asyncio.timeout(3):
            while await asks_in_vain(room, "PJSIP/agent1") is None:
                await asyncio.sleep(0.02)
        assert await asks_in_vain(room, "PJSIP/agent3")
    finally:
        room.pbx.child.resume()
    await room.floor.two("agent1", "caller")


async def test_many_who_ask_at_once_ask_asterisk_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    await room.talking()
    asked: list[str] = []
    inner = room.floor.ami.action

    async def counted(name: str, **fields: str | int) -> object:
        asked.append(name)
        return await inner(name, **fields)

    monkeypatch.setattr(room.floor.ami, "action", counted)
    room.floor.talks._exchanges[room.floor.node]._looks.forget_all()
    found = await asyncio.gather(*(room.floor.talks.of("PJSIP/agent1") for _ in range(200)))
    assert len({talks[0].others[0].channel for talks in found}) == 1
    assert sorted(asked) == ["BridgeInfo", "Getvar"]


async def test_asterisk_restarts(room: Room) -> None:
    """What was there before is not there any more."""
    await room.talking()
    await asyncio.to_thread(room.pbx.stop)
    await wait_for(lambda: not room.floor.talks.known, "it to be noticed")
    with pytest.raises(Unavailable):
        await room.floor.talks.of("PJSIP/agent1")
    await asyncio.to_thread(room.pbx.start)
    await wait_for(lambda: room.floor.talks.known, "the link", 30)
    assert await room.floor.whom() == {}
