"""Digits spoken into a call that goes on: heard by the two who talk, on a real Asterisk with real phones, and by nobody else."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from urllib.parse import quote

import aiohttp
import pytest
from rig import audio
from rig.ami import Ami
from rig.asterisk import Pbx
from rig.desk import manager_user
from rig.ear import TONES, toned, traces, understood
from rig.phone import Phone
from rig.proxy import Wire
from rig.stage import PROMPTS
from rig.state import wait_until

from ivr.asterisk.ari import Ari
from ivr.asterisk.hearing import Hearer
from ivr.asterisk.outpost import Outpost, mint
from ivr.asterisk.speaking import Speaker, Spoken
from ivr.errors import Unavailable
from ivr.prompts import Prompt, digits
from ivr.secret import Secret
from tests.contract.ari_log import Log, wait_for
from tests.e2e.floor import Floor, opened

DIALPLAN = """
[callers]
exten => 100,1,Dial(PJSIP/agent1,30,tTkK)
exten => 103,1,Answer()
 same => n,Queue(phones,tTkK)
exten => 105,1,Answer()
 same => n,Queue(lasting,tTkK)
exten => 106,1,Dial(Local/far@desk/n,30)
; past Asterisk
exten => 110,1,Dial(PJSIP/agent3,30)
[desk]
exten => anna,1,Dial(PJSIP/agent1,20,tTkK)
exten => far,1,Dial(Local/anna@desk/n,20)
[agents]
exten => 202,1,Dial(PJSIP/agent2,30,tTkK)
exten => 203,1,Dial(PJSIP/agent3,30)
"""
OVERRIDES = {
    "queues.conf": "\n[phones]\nmember => PJSIP/agent1\n[lasting]\nmember => Local/anna@desk/n\n",
    "pjsip.conf": "".join(f"\n[{one}](+)\ndirect_media = yes\n" for one in ("agent2", "agent3", "caller-info")),
}
SECRET = secrets.token_urlsafe(16)
# What is said where something comes between: long enough for that.
LONG = digits("0123456789")
# What the phones send, in Hz.
CALLERS, AGENTS = 2000, 2600
APP = "desk-tillit-test"


class Ours:
    """Which channels are ours, and which were."""

    def __init__(self) -> None:
        self.now: set[tuple[str, str]] = set()
        self.ever: set[tuple[str, str]] = set()

    async def add(self, node: str, channel: str) -> None:
        self.now.add((node, channel))
        self.ever.add((node, channel))

    async def drop(self, node: str, channel: str) -> None:
        self.now.remove((node, channel))


class Booth:
    """A speaker on this Asterisk, and phones until the test ends."""

    def __init__(self, pbx: Pbx, wire: Wire, floor: Floor, log: Log, stack: AsyncExitStack) -> None:
        self.pbx, self.wire, self.floor, self.log, self._stack = pbx, wire, floor, log, stack
        self.ours = Ours()
        self.outpost = self.another()
        self.speaker = Speaker({floor.node: self.outpost}, floor.talks, self.ours, log.logger)
        self.hearer = Hearer({floor.node: self.outpost}, self.ours)

    def another(self) -> Outpost:
        """The desk's application, of another run of it."""
        ari = Ari(
            url=f"http://127.0.0.1:{self.wire.port}/ari", username="tillit", password=Secret(self.pbx.ari_password),
            app=APP, seconds=2.0, log=self.log.logger,
        )  # fmt: skip
        return Outpost(self.floor.node, ari, self.log.logger)

    @asynccontextmanager
    async def serving(self, outpost: Outpost) -> AsyncIterator[None]:
        serving = asyncio.create_task(outpost.serve())
        try:
            await wait_for(lambda: outpost.is_connected, "the application")
            yield
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def phone(self, endpoint: str) -> Phone:
        return await self._stack.enter_async_context(Phone(self.pbx.line(endpoint)))

    async def talking(self, extension: str = "103", *, of: str = "caller", to: str = "agent1") -> tuple[Phone, Phone]:
        """A caller and an agent."""
        agent, caller = await self.phone(to), await self.phone(of)
        await caller.call(extension)
        await agent.incoming()
        await agent.answer()
        await caller.until("confirmed")
        await self.floor.two(to, of)
        for phone in (caller, agent):
            await wait_for(lambda phone=phone: phone.recording().exists(), "its sound")
        return caller, agent

    def channel(self, endpoint: str) -> str:
        found = [one["id"] for one in self.pbx.ari("GET", "channels") if one["name"].startswith(f"PJSIP/{endpoint}-")]
        (only,) = found
        return str(only)

    async def speak(self, *prompts: Prompt, to: str = "caller", both: bool = True, agent: str | None = None) -> Spoken:
        spoken = await self.speaker.speak(
            self.floor.node, self.channel(to), prompts, language="en", both=both, agent=agent
        )
        assert not self.ours.now
        return spoken

    def begin(self, *prompts: Prompt) -> asyncio.Task[Spoken]:
        return asyncio.create_task(self.speak(*(prompts or LONG)))

    def subscribed(self, endpoint: str) -> bool:
        """Whether the application is told of keys of this one."""
        found = self.pbx.ari("GET", f"applications/{APP}")
        return self.channel(endpoint) in found["channel_ids"]

    @asynccontextmanager
    async def hearing(self, endpoint: str = "caller", count: int = 4) -> AsyncIterator[AsyncIterator[Secret]]:
        """Entries that are keyed there."""
        heard: asyncio.Queue[Secret] = asyncio.Queue()

        async def listen() -> None:
            async with aclosing(self.hearer.entries(self.floor.node, self.channel(endpoint), count)) as entries:
                async for entry in entries:
                    heard.put_nowait(entry)

        async def entries() -> AsyncIterator[Secret]:
            while True:
                async with asyncio.timeout(10):
                    entry = await heard.get()
                yield entry

        listening = asyncio.create_task(listen())
        try:
            await wait_for(lambda: self.subscribed(endpoint), "somebody to listen")
            yield entries()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def snoops(self) -> list[str]:
        return [one["id"] for one in self.pbx.ari("GET", "channels") if one["name"].startswith("Snoop/")]


@pytest.fixture(scope="module")
def pbx() -> Iterator[Pbx]:
    overrides = OVERRIDES | {"manager.conf": manager_user(SECRET)}
    prompts = {"en": toned(PROMPTS) / "en" / "tillit"}
    with Pbx(dialplan=(DIALPLAN,), overrides=overrides, prompts=prompts, name="speaking", ports=200) as made:
        yield made


@pytest.fixture
async def booth(pbx: Pbx) -> AsyncIterator[Booth]:
    with Wire(pbx.http_port) as wire:
        async with AsyncExitStack() as stack:
            floor = await stack.enter_async_context(opened(pbx, SECRET))
            made = Booth(pbx, wire, floor, Log(), stack)
            await stack.enter_async_context(made.serving(made.outpost))
            yield made
            assert not made.ours.now
    await asyncio.to_thread(wait_until, lambda: not pbx.channels(), 10, "all channels to end")
    assert not [
        line for line in (*made.log.lines, *floor.log.lines) if line["event"] in ("task.failed", "speech.failed")
    ]


async def heard(phone: Phone, since: int, number: str, limit: float = 5.0) -> None:
    """Wait until these digits have been heard, and no others."""
    found = ""
    try:
        async with asyncio.timeout(limit):
            while found != number:
                await asyncio.sleep(0.1)
                found = understood(audio.samples(phone.recording())[since:])
    except TimeoutError:
        raise AssertionError(f"{phone.line.user} heard {found!r}, and not {number!r}") from None


def nothing(phone: Phone, since: int = 0) -> bool:
    """Whether nothing at all was heard."""
    return not any(level > 200 for level in audio.levels(audio.samples(phone.recording())[since:]))


# ---------------------------------------------------------------- heard


@pytest.mark.parametrize(("extension", "number"), [("100", "4815"), ("103", "9026"), ("105", "337"), ("106", "60")])
async def test_both_ends_hear_every_digit(booth: Booth, extension: str, number: str) -> None:
    caller, agent = await booth.talking(extension)
    changes = len(booth.floor.history)
    places = caller.mark(), agent.mark()
    assert await booth.speak(*digits(number), agent=booth.channel("agent1")) is Spoken.SAID
    for phone, place in zip((caller, agent), places, strict=True):
        await heard(phone, place, number)
    assert len(booth.floor.history) == changes, "a sentence is no change of who talks with whom"
    assert not booth.snoops()


async def test_the_conversation_goes_on_under_it(booth: Booth) -> None:
    caller, agent = await booth.talking()
    await caller.play_tone(CALLERS)
    await agent.play_tone(AGENTS)
    await agent.hears(CALLERS)
    await caller.hears(AGENTS)
    places = caller.mark(), agent.mark()
    assert await booth.speak(*digits("4812")) is Spoken.SAID
    for phone, place, tone in zip((caller, agent), places, (AGENTS, CALLERS), strict=True):
        during = audio.samples(phone.recording())[place:]
        assert len(during) > 1.5 * audio.RATE
        assert audio.presence(during, tone) == 1.0
        assert not audio.has_tone(during, tone, seconds=len(during) / audio.RATE), "something was spoken over it"


async def test_the_person_alone_hears_it_where_that_is_wanted(booth: Booth) -> None:
    caller, agent = await booth.talking()
    place = caller.mark()
    assert await booth.speak(*digits("38"), both=False) is Spoken.SAID
    await heard(caller, place, "38")
    assert nothing(agent)


async def past_asterisk(booth: Booth, extension: str = "110", of: str = "caller-info") -> tuple[Phone, Phone]:
    """Two between whom nothing goes by way of Asterisk."""
    caller, agent = await booth.talking(extension, of=of, to="agent3")

    def sent() -> int:
        found = booth.pbx.ari("GET", f"channels/{booth.channel(of)}/rtp_statistics")
        return int(found.get("txcount", 0))

    async def direct() -> bool:
        """Whether nothing goes by way of Asterisk any more; it asks both phones for that as the call begins, or does not."""
        for _ in range(8):
            before = await asyncio.to_thread(sent)
            await asyncio.sleep(0.2)
            if await asyncio.to_thread(sent) == before:
                return True
        return False

    while not await direct():
        await caller.hang_up()
        await booth.floor.nobody()
        await caller.call(extension)
        await agent.incoming()
        await agent.answer()
        await booth.floor.two("agent3", of)
        await wait_for(lambda: caller.recording().exists() and agent.recording().exists(), "its sound")
    return caller, agent


async def test_direct_media_comes_back_for_it(booth: Booth) -> None:
    caller, agent = await past_asterisk(booth)
    places = caller.mark(), agent.mark()
    assert await booth.speak(*digits("72"), to="caller-info") is Spoken.SAID
    for phone, place in zip((caller, agent), places, strict=True):
        await heard(phone, place, "72")
    # whichever way it goes then: Asterisk does not always ask both phones again
    await agent.play_tone(AGENTS)
    await caller.hears(AGENTS)


async def test_what_is_said_anew_cuts_what_was_being_said(booth: Booth) -> None:
    caller, _ = await booth.talking()
    first = booth.begin()
    await caller.hears()
    assert await booth.speak(*digits("66")) is Spoken.SAID
    assert await first is Spoken.CUT

    def number() -> str:
        return understood(audio.samples(caller.recording()))

    await wait_for(lambda: number().endswith("66"), "what was said last")
    # of the other no more than its beginning
    assert number() in ("66", "066", "0166", "01266")


# ---------------------------------------------------------------- not heard by others


@pytest.mark.parametrize("way", ["blind", "attended"])
@pytest.mark.parametrize("extension", ["103", "105"])
async def test_a_new_agent_hears_nothing_of_it(booth: Booth, extension: str, way: str) -> None:
    caller, agent = await booth.talking(extension)
    colleague = await booth.phone("agent2")
    first = agent.current
    if way == "attended":
        second = await agent.call("202")
        await colleague.incoming()
        await colleague.answer()
        await agent.until("confirmed", call=second)
    speaking = booth.begin(*LONG, *LONG)
    await caller.hears(since=caller.mark())
    if way == "attended":
        await agent.transfer(to_call=second, call=first)
    else:
        await agent.transfer("202")
        await colleague.incoming()
        await colleague.answer()
    await booth.floor.two("agent2", "caller")
    assert await asyncio.wait_for(speaking, 5) is Spoken.CUT
    # what was heard until then is in the recording as soon as this is
    await caller.play_tone(CALLERS)
    await colleague.hears(CALLERS)
    assert not traces(audio.samples(colleague.recording()))
    assert not booth.snoops()


async def test_nothing_is_said_to_who_talks_with_another_than_this_agent(booth: Booth) -> None:
    caller, agent = await booth.talking()
    assert await booth.speak(*LONG, agent="1.1") is Spoken.CUT
    assert nothing(caller)
    assert nothing(agent)


async def test_hold(booth: Booth) -> None:
    caller, agent = await booth.talking()
    await agent.hold()
    await caller.hears()
    place = caller.mark()
    assert await booth.speak(*digits("2")) is Spoken.SAID
    during = audio.samples(caller.recording())[place:]
    assert audio.presence(during, TONES[2], level=3000) > 0, "over the music"
    assert nothing(agent)
    await agent.resume()

    def held() -> bool:
        talk = booth.floor.talks.told_of(booth.floor.node, booth.channel("agent1"))
        return talk is not None and talk.own.held

    await wait_for(lambda: not held(), "the end of hold")
    speaking = booth.begin()
    await agent.hears()
    await caller.hold()
    assert await asyncio.wait_for(speaking, 5) is Spoken.CUT
    assert await booth.speak(*LONG) is Spoken.HELD


@pytest.mark.parametrize("who", ["caller", "agent"])
async def test_a_hang_up_leaves_nothing(booth: Booth, who: str) -> None:
    caller, agent = await booth.talking()
    speaking = booth.begin()
    await caller.hears()
    await (caller if who == "caller" else agent).hang_up()
    assert await asyncio.wait_for(speaking, 5) in (Spoken.CUT, Spoken.GONE)
    await booth.floor.nobody()
    assert not booth.snoops()
    gone = await booth.speaker.speak(booth.floor.node, "1.1", LONG, language="en")
    assert gone is Spoken.GONE


async def test_nobody_sends(booth: Booth) -> None:
    """Asterisk mixes into what goes to the person, and nothing does."""
    caller, agent = await booth.talking()
    agent.freeze()
    try:
        assert await booth.speak(*LONG) is Spoken.SILENT
    finally:
        agent.thaw()
    place = caller.mark()
    assert await booth.speak(*digits("19")) is Spoken.SAID
    await heard(caller, place, "19")


# ---------------------------------------------------------------- what others see, and what is left


async def test_ours_is_known_by_its_id(booth: Booth) -> None:
    """Who looks for listeners is told of it as of any, with an id that is ours and that nobody can name beforehand."""
    async with Ami(booth.pbx) as ami:
        await booth.talking()
        speaking = booth.begin()
        began = await ami.until("Event", "ChanSpyStart")
        assert (booth.floor.node, began["SpyerUniqueid"]) in booth.ours.now
        assert began["SpyeeUniqueid"] == booth.channel("caller")
        booth.speaker.hush(booth.floor.node, booth.channel("caller"))
        assert await speaking is Spoken.CUT


async def test_the_websocket_dies_in_mid_speech(booth: Booth) -> None:
    caller, _ = await booth.talking()
    speaking = booth.begin()
    await caller.hears()
    booth.wire.drop()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(speaking, 5)
    await wait_for(lambda: not booth.snoops(), "what spoke to be gone")
    await wait_for(lambda: booth.outpost.is_connected, "the application again")
    assert await booth.speak(*digits("3")) is Spoken.SAID


async def test_asterisk_out_of_reach_in_mid_speech(booth: Booth) -> None:
    caller, _ = await booth.talking()
    speaking = booth.begin()
    await caller.hears()
    booth.wire.cut()
    try:
        with pytest.raises(Unavailable):
            await asyncio.wait_for(speaking, 10)
        with pytest.raises(Unavailable):
            await booth.speak(*LONG)
        assert len(booth.snoops()) == 1
    finally:
        booth.wire.mend()
    await wait_for(lambda: not booth.snoops(), "what was left to be swept")
    assert [line["channel"] for line in booth.log.of("outpost.swept")]


async def test_what_a_dead_desk_has_left_is_swept(booth: Booth) -> None:
    """And nothing else: not the call, nor a channel of another's."""
    await booth.talking()
    person, ours, others = booth.channel("caller"), mint("speech"), f"{mint('speech')}-x"
    auth = {"Authorization": aiohttp.encode_basic_auth("tillit", booth.pbx.ari_password)}
    another = "desk-tillit-dead"
    async with (
        aiohttp.ClientSession(headers=auth) as session,
        session.ws_connect(f"{booth.pbx.ari_url}/events?app={another}"),
    ):

        async def post(path: str, body: dict[str, str] | None = None) -> None:
            async with session.post(f"{booth.pbx.ari_url}/{path}", json=body) as answer:
                assert answer.status == 200, await answer.text()

        for snoop in (ours, others):
            how = {"spy": "none", "whisper": "both", "app": another, "snoopId": snoop}
            await post(f"channels/{person}/snoop", how)
        # the call itself is known to the application, too
        await post(f"applications/{another}/subscription?eventSource={quote(f'channel:{person}')}")
    assert sorted(booth.snoops()) == sorted((ours, others))
    ari = Ari(
        url=booth.pbx.ari_url, username="tillit", password=Secret(booth.pbx.ari_password), app=another, seconds=2.0,
        log=booth.log.logger,
    )  # fmt: skip
    async with booth.serving(Outpost(booth.floor.node, ari, booth.log.logger)):
        await wait_for(lambda: booth.snoops() == [others], "the one to be swept")
    assert [line["channel"] for line in booth.log.of("outpost.swept")] == [ours]
    await booth.floor.two("agent1", "caller")
    booth.pbx.ari("DELETE", f"channels/{others}")


async def test_another_desk_of_the_same_name_takes_it_over(booth: Booth) -> None:
    await booth.talking()
    async with booth.serving(booth.another()):
        await wait_for(lambda: booth.log.of("outpost.replaced"), "the first to give way")
        assert not booth.outpost.is_connected
        with pytest.raises(Unavailable):
            await booth.speak(*LONG)


# ---------------------------------------------------------------- keys


async def test_keys_of_one_of_the_two_are_heard_and_the_talk_goes_on(booth: Booth) -> None:
    caller, agent = await booth.talking()
    async with booth.hearing() as entries:
        await agent.send_digits("9999")
        for number in ("1570", "4815"):
            await caller.send_digits(number)
            assert (await anext(entries)).reveal() == number
        await agent.play_tone(AGENTS)
        await caller.hears(AGENTS)
    assert not booth.subscribed("caller")
    await wait_for(lambda: not booth.snoops(), "the end of what was made")


async def test_keys_that_go_past_asterisk_come_by(booth: Booth) -> None:
    caller, _ = await past_asterisk(booth, "203", "agent2")
    async with booth.hearing("agent2") as entries:
        await caller.send_digits("3071")
        assert (await anext(entries)).reveal() == "3071"
    assert not booth.subscribed("agent2")


async def test_nobody_listens_to_a_call_that_is_over(booth: Booth) -> None:
    caller, _ = await booth.talking()
    entries = booth.hearer.entries(booth.floor.node, booth.channel("caller"), 4)
    first = asyncio.ensure_future(anext(entries, None))
    await wait_for(lambda: booth.subscribed("caller"), "somebody to listen")
    await caller.hang_up()
    assert await first is None
    await booth.floor.nobody()
    await wait_for(lambda: not booth.snoops(), "the end of what was made")
