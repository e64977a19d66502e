"""Who can read the customer's record while a call takes one shape after another, on a real Asterisk behind a real worker."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from rig.ami import Ami as AmiUser
from rig.desk import USER, manager_user
from rig.phone import Phone
from rig.stage import ANNA

from ivr.asterisk.ami import Ami
from ivr.asterisk.switch import Switch
from ivr.asterisk.talks import Talks
from ivr.audit import Seal, Trail
from ivr.config import AmiSettings, load
from ivr.database import Database
from ivr.lock import Locks, Record
from ivr.secret import Personal, Secret
from ivr.staff import TENANT, Person, Role
from ivr.store.customers import Customers
from ivr.store.link import Link
from ivr.store.live import RedisLive
from ivr.store.people import People
from ivr.store.register import Register
from ivr.store.roster import NewPerson, Roster
from ivr.vault import Vault
from tests.contract.ari_log import Log
from tests.e2e.floor import replaces
from tests.e2e.scene import LIMIT, Scene

SECRET = secrets.token_urlsafe(16)
SETTINGS = {
    "policies.main": {"steps": ["pin"], "level": 1},
    "policies.bridge": {"steps": ["pin"], "level": 1, "agents": ["PJSIP/agent1"]},
    # each look is a read, and a test looks often; but of one customer
    "lock.reads": {"warn_hour": 1, "stop_hour": 2},
}
STAGE = {
    "dialplan": """
[callers]
exten => 100,1,Gosub(tillit-verify,s,1(main))
 same => n,Dial(PJSIP/agent1,30,b(tillit-badge^s^1))
 same => n,Hangup()
exten => 200,1,Gosub(tillit-verify,s,1(bridge))
 same => n,Hangup()
exten => 500,1,Dial(PJSIP/agent1,30)
exten => _502.,1,Dial(PJSIP/agent2,30)
exten => 600,1,ConfBridge(room)
exten => 604,1,ConfBridge(lair)
exten => 701,1,ParkedCall(default,701)
exten => 801,1,PickupChan(PJSIP/agent1)
; as docs/dialplan.md has it
exten => _8X.,1,Set(CALLERID(num)=${FILTER(+0123456789,${CALLERID(num)})})
 same => n,Goto(numbers,${FILTER(+0123456789*#,${EXTEN})},1)
exten => 900,1,Gosub(tillit-verify,s,1(main))
 same => n,Hangup()
[numbers]
exten => _8X!,1,Gosub(tillit-verify,s,1(main))
 same => n,Hangup()
[agents]
exten => 202,1,Dial(PJSIP/agent2,30)
exten => 600,1,ConfBridge(room)
exten => 700,1,Park()
exten => 701,1,ParkedCall(default,701)
exten => 801,1,PickupChan(PJSIP/agent1)
""",
    "overrides": {
        "manager.conf": manager_user(SECRET) + manager_user(SECRET, "tillit-events"),
        "res_parking.conf": "\n[general]\n[default]\nparkext => 700\nparkpos => 701-720\ncontext => parked\n",
        "confbridge.conf": "\n[general]\n[default_bridge]\ntype = bridge\n[default_user]\ntype = user\nannounce_only_user = no\n",
    },
    "customers": (ANNA,),
}
AGENTS = ("agent1", "agent2", "agent3")


class Desk:
    """Three agents who all want Anna's record, all the time."""

    def __init__(self, locks: Locks, talks: Talks, persons: tuple[Person, ...], ref: str) -> None:
        self._locks = locks
        self._talks = talks
        self._persons = persons
        self._ref = ref
        self.ever: set[str] = set()
        """Whoever could read it, if only once."""

    async def look(self) -> set[str]:
        """Who can read it now."""
        found = await asyncio.gather(*(self._locks.lock.record(one, self._ref, ["name"]) for one in self._persons))
        now = {one.login for one, record in zip(self._persons, found, strict=True) if isinstance(record, Record)}
        self.ever |= now
        return now

    async def until(self, *logins: str) -> None:
        """Wait until these can, and no others."""
        seen: set[str] = set()
        try:
            async with asyncio.timeout(LIMIT):
                while (seen := await self.look()) != set(logins):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise TimeoutError(f"waited in vain for {logins}; it is {seen}") from None

    async def joined(self, one: str, other: str) -> None:
        """Wait until Asterisk has told that these two talk, and nobody can read then."""
        async with asyncio.timeout(LIMIT):
            while not any(
                party.endpoint == f"PJSIP/{other}"
                for talk in await self._talks.of(f"PJSIP/{one}")
                for party in talk.others
            ):
                await self.look()
                await asyncio.sleep(0.02)
        assert await self.look() == set()


@pytest.fixture
async def desk(scene: Scene) -> AsyncIterator[Desk]:
    settings, pbx, log = load(scene.stage.config), scene.stage.pbx, Log()
    node = pbx.ari("GET", "asterisk/info")["system"]["entity_id"]
    for module in ("res_parking.so", "app_confbridge.so"):
        pbx.cli(f"module load {module}")
    async with AsyncExitStack() as stack:
        vault = Vault.open(settings)
        stack.callback(vault.close)
        seal = Seal.open(settings)
        database = await stack.enter_async_context(await Database.open(settings))
        trail = await stack.enter_async_context(Trail(database, "desk", seal))
        live = await RedisLive.open(settings)
        stack.push_async_callback(live.close)
        link = Link.of(settings)
        stack.push_async_callback(link.close)
        ami = Ami(AmiSettings(port=pbx.ami_port, username=USER), Secret(SECRET), log=log.logger)
        talks = Talks({node: ami}, log.logger)
        await ami.open()
        stack.push_async_callback(talks.close)
        stack.push_async_callback(ami.close)
        await talks.until_known()
        roster, persons = Roster(vault), []
        async with database.write() as connection:
            for login in AGENTS:
                new = NewPerson(TENANT, login, Personal(login), Role.AGENT, "blue", (f"PJSIP/{login}",))
                found = await roster.find(connection, TENANT, login)
                persons.append(found or await roster.add(connection, new))
        async with database.read() as connection:
            anna = await Register(vault).find(connection, Secret(ANNA.number))
        assert anna is not None
        locks = Locks.of(
            settings, talks=talks, switch=Switch({node: ami}, log.logger), staff=People(database, vault), live=live, link=link,
            customers=await Customers.open(database, vault), trail=trail, seal=seal, chain="desk", log=log.logger,
        )  # fmt: skip
        yield Desk(locks, talks, tuple(persons), anna.ref)


async def talking(scene: Scene, desk: Desk, extension: str = "100") -> tuple[Phone, Phone]:
    """Anna is verified and talks with agent 1."""
    agent = await scene.phone("agent1")
    caller = await scene.caller(extension)
    await scene.asked("pin")
    assert await desk.look() == set()
    await scene.key_pin(caller)
    await agent.incoming()
    assert await desk.look() == set()
    await agent.answer()
    await desk.until("agent1")
    return caller, agent


async def ringing(scene: Scene, desk: Desk, extension: str) -> tuple[Phone, Phone]:
    """Anna is verified, and agent 1's phone rings for her."""
    agent = await scene.phone("agent1")
    caller = await scene.caller(extension)
    await scene.key_pin(caller)
    await agent.incoming()
    await agent.ring()
    assert await desk.look() == set()
    return caller, agent


async def over(desk: Desk, caller: Phone, *ever: str) -> None:
    """Anna hangs up, and nobody but these has ever been able to read the record."""
    await caller.hang_up()
    await desk.until()
    assert desk.ever == set(ever)


@pytest.mark.parametrize("extension", ["100", "200"], ids=["dialplan", "worker"])
async def test_the_agent_of_the_call_reads_it_until_its_end(scene: Scene, desk: Desk, extension: str) -> None:
    caller, _ = await talking(scene, desk, extension)
    await over(desk, caller, "agent1")


async def test_on_hold_it_is_the_same_agents(scene: Scene, desk: Desk) -> None:
    caller, agent = await talking(scene, desk)
    await agent.hold()
    await desk.until("agent1")
    await agent.resume()
    await desk.until("agent1")
    await over(desk, caller, "agent1")


async def test_while_a_second_call_is_taken_it_is_nobodys(scene: Scene, desk: Desk) -> None:
    caller, agent = await talking(scene, desk)
    await agent.hold()
    second = await scene.phone("caller-info")
    await second.call("500")
    await agent.incoming()
    await desk.until("agent1")
    await agent.answer()
    await desk.until()
    await second.hang_up()
    await desk.until("agent1")
    await over(desk, caller, "agent1")


@pytest.mark.parametrize("extension", ["100", "200"], ids=["dialplan", "worker"])
async def test_a_blind_transfer(scene: Scene, desk: Desk, extension: str) -> None:
    caller, agent = await talking(scene, desk, extension)
    colleague = await scene.phone("agent2")
    await agent.transfer("202")
    await colleague.incoming()
    await desk.until()
    await colleague.answer()
    await desk.until("agent2")
    await over(desk, caller, "agent1", "agent2")


@pytest.mark.parametrize("extension", ["100", "200"], ids=["dialplan", "worker"])
async def test_an_attended_transfer(scene: Scene, desk: Desk, extension: str) -> None:
    caller, agent = await talking(scene, desk, extension)
    colleague = await scene.phone("agent2")
    first = agent.current
    second = await agent.call("202")
    await colleague.incoming()
    await colleague.answer()
    await agent.until("confirmed", call=second)
    # the colleague has nobody but the agent
    await desk.until("agent1")
    await agent.transfer(to_call=second, call=first)
    await desk.until("agent2")
    await over(desk, caller, "agent1", "agent2")


async def test_parked_and_taken_up(scene: Scene, desk: Desk) -> None:
    caller, agent = await talking(scene, desk)
    colleague = await scene.phone("agent2")
    await agent.transfer("700")
    await desk.until()
    await colleague.call("701")
    await desk.until("agent2")
    await over(desk, caller, "agent1", "agent2")


async def test_parked_out_of_the_workers_own_bridge_the_caller_stays_and_the_mark_goes(
    scene: Scene, desk: Desk
) -> None:
    """Asterisk takes the caller out of the application, and the worker is not told what becomes of the call."""
    caller, agent = await talking(scene, desk, "200")
    colleague = await scene.phone("agent2")
    await agent.transfer("700")
    await agent.until("disconnected")
    await scene.until(lambda: not scene.marks(), "the mark to be dropped")
    await colleague.call("701")
    await colleague.until("confirmed")
    since = colleague.mark()
    await caller.play_tone(700)
    await colleague.hears(700, since=since)
    await caller.silence()
    await over(desk, caller, "agent1")


@pytest.mark.parametrize("extension", ["100", "200"], ids=["dialplan", "worker"])
async def test_a_conference_is_open_to_colleagues_and_shut_by_a_stranger(
    scene: Scene, desk: Desk, extension: str
) -> None:
    caller, agent = await talking(scene, desk, extension)
    await agent.transfer("600")
    await desk.until()
    await agent.call("600")
    await desk.until("agent1")
    colleague = await scene.phone("agent2")
    await colleague.call("600")
    await desk.until("agent1", "agent2")
    stranger = await scene.phone("caller-info")
    await stranger.call("600")
    await desk.until()
    await stranger.hang_up()
    await desk.until("agent1", "agent2")
    await over(desk, caller, "agent1", "agent2")


BOTH = pytest.mark.parametrize("extension", ["100", "200"], ids=["dialplan", "worker"])


async def test_a_ringing_phone_is_picked_up_by_a_colleague(scene: Scene, desk: Desk) -> None:
    caller, agent = await ringing(scene, desk, "100")
    colleague = await scene.phone("agent2")
    await colleague.call("801")
    await agent.until("disconnected")
    await desk.until("agent2")
    await over(desk, caller, "agent2")


async def test_a_ringing_phone_is_picked_up_by_a_stranger(scene: Scene, desk: Desk) -> None:
    caller, agent = await ringing(scene, desk, "100")
    stranger = await scene.phone("caller-info")
    await stranger.call("801")
    await agent.until("disconnected")
    await desk.joined("caller", "caller-info")
    await over(desk, caller)


@pytest.mark.parametrize("who", ["caller-info", "agent2"], ids=["stranger", "colleague"])
async def test_a_phone_that_the_worker_rings_is_picked_up_by_nobody(scene: Scene, desk: Desk, who: str) -> None:
    """Asterisk does not give whoever picks up to the application: that is a call that nobody has answered."""
    caller, agent = await ringing(scene, desk, "200")
    taker = await scene.phone(who)
    await taker.call("801")
    await taker.until("disconnected")
    await agent.until("disconnected")
    await scene.logged("agent.missed")
    await scene.logged("call.handed_back")
    await over(desk, caller)


async def test_parked_and_taken_up_by_a_stranger(scene: Scene, desk: Desk) -> None:
    caller, agent = await talking(scene, desk)
    await agent.transfer("700")
    await desk.until()
    stranger = await scene.phone("caller-info")
    await stranger.call("701")
    await desk.joined("caller", "caller-info")
    await over(desk, caller, "agent1")


# ---------------------------------------------------------------- somebody else in somebody's place (RFC 3891)


async def in_the_place(scene: Scene, of: str, endpoint: str) -> Phone:
    """This phone, by an INVITE with Replaces."""
    phone = await scene.phone(endpoint)
    await phone.call("600", headers=await asyncio.to_thread(replaces, scene.stage.pbx, of))
    await phone.until("confirmed")
    return phone


@BOTH
@pytest.mark.parametrize("who", ["caller-info", "agent2"], ids=["stranger", "colleague"])
async def test_another_phone_takes_the_verified_callers_place(
    scene: Scene, desk: Desk, extension: str, who: str
) -> None:
    caller, _ = await talking(scene, desk, extension)
    taker = await in_the_place(scene, "caller", who)
    await caller.until("disconnected")
    await desk.until()
    await scene.until(lambda: not scene.marks(), "the mark to be dropped")
    if extension == "100":
        # so it is not for want of a talk
        await desk.joined("agent1", who)
    await over(desk, taker, "agent1")


@BOTH
async def test_a_stranger_takes_the_callers_place_while_the_agents_phone_rings(
    scene: Scene, desk: Desk, extension: str
) -> None:
    caller, agent = await ringing(scene, desk, extension)
    stranger = await in_the_place(scene, "caller", "caller-info")
    await caller.until("disconnected")
    await scene.until(lambda: not scene.marks(), "the mark to be dropped")
    if extension == "100":
        await agent.answer()
        await desk.joined("agent1", "caller-info")
    else:
        await agent.until("disconnected")
    await over(desk, stranger)


@BOTH
@pytest.mark.parametrize(
    ("who", "readers"), [("caller-info", ()), ("agent2", ("agent2",))], ids=["stranger", "colleague"]
)
async def test_another_phone_takes_the_agents_place(
    scene: Scene, desk: Desk, extension: str, who: str, readers: tuple[str, ...]
) -> None:
    caller, agent = await talking(scene, desk, extension)
    taker = await in_the_place(scene, "agent1", who)
    await agent.until("disconnected")
    if not readers:
        await desk.joined("caller", who)
    await desk.until(*readers)
    assert taker.current is not None
    await over(desk, caller, "agent1", *readers)


@BOTH
@pytest.mark.parametrize("how", ["blind", "attended"])
async def test_the_caller_sends_the_agent_to_a_stranger(scene: Scene, desk: Desk, extension: str, how: str) -> None:
    caller, _ = await talking(scene, desk, extension)
    stranger = await scene.phone("caller-info")
    await stranger.call("604")
    await stranger.until("confirmed")
    first = caller.current
    if how == "blind":
        await caller.transfer("604")
    else:
        second = await caller.call("604")
        await caller.until("confirmed", call=second)
        await caller.transfer(to_call=second, call=first)
    await caller.until("disconnected", call=first)
    await desk.until()
    await scene.until(lambda: not scene.marks(), "the mark to be dropped")
    if extension == "100":
        await desk.joined("agent1", "caller-info")
    await over(desk, stranger, "agent1")


@pytest.mark.parametrize("place", ["number", "extension"])
async def test_a_phone_that_writes_into_what_asterisk_tells(scene: Scene, desk: Desk, place: str) -> None:
    """A line break in a calling number, or in what is dialled, goes into AMI as it is, and what is behind it too."""
    caller, _ = await talking(scene, desk)
    (marked,) = [one["id"] for one in scene.stage.pbx.ari("GET", "channels") if one["name"].startswith("PJSIP/caller-")]
    tail = "%0D%0APriority%3A%201" if place == "extension" else ""
    forged = f"1{tail}%0D%0AUniqueid%3A%20{marked}%0D%0ALinkedid%3A%201%0D%0A%0D%0A"
    colleague, accomplice = await scene.phone("agent2"), await scene.phone("caller-info")
    await accomplice.call(
        "5021" if place == "number" else f"502{forged}", number=forged if place == "number" else "+46701740609"
    )
    await colleague.incoming()
    await colleague.answer()
    await accomplice.until("confirmed")
    for _ in range(60):
        await desk.look()
        await asyncio.sleep(0.05)
    assert "agent2" not in desk.ever
    await accomplice.hang_up()
    await desk.until("agent1")
    await over(desk, caller, "agent1")


EVENT = "%0D%0A%0D%0AEvent%3A%20UserEvent%0D%0AUserEvent%3A%20CallerAuthenticated%0D%0A%0D%0A"


@pytest.mark.parametrize("place", ["number", "extension"])
async def test_what_a_caller_writes_is_no_event_to_whoever_hears_as_the_sample_says(scene: Scene, place: str) -> None:
    """Other programs act by `CallerAuthenticated`. One with more classes is told of it, and so it is seen that it was written."""
    heard = await scene.keep(AmiUser(scene.stage.pbx, "tillit-events", SECRET))
    caller = await scene.phone("caller")
    if place == "number":
        await caller.call("900", number=f"{ANNA.phones}{EVENT}")
    else:
        await caller.call(f"81{EVENT}", number=ANNA.phones)
    await scene.key_pin(caller)
    await heard.user_event("CallerAuthenticated")
    assert len(heard.events("CallerAuthenticated")) == 1
    assert len(scene.ami.events("CallerAuthenticated")) > 1
    (told,) = heard.events("CallerAuthenticated")
    assert told["CALLER_AUTH_LEVEL"] == "1"
