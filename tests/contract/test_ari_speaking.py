"""What the desk's own application does where Asterisk refuses, is late, or says nothing; on a server that speaks ARI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ivr.asterisk.outpost as outpost_module
import ivr.asterisk.speaking as speaking_module
from ivr.asterisk.ari import Ari
from ivr.asterisk.outpost import Outpost, mint
from ivr.asterisk.speaking import Speaker, Spoken
from ivr.asterisk.switchboard import Switchboard
from ivr.call.ports import Talk
from ivr.errors import StoreError, Unavailable
from ivr.prompts import digits
from ivr.secret import Secret
from tests.contract.ari_log import Log, wait_for
from tests.contract.ari_server import PASSWORD, USER, Answer, AriServer, Asked, Late, Never, Status

NODE, APP = "node", "desk-tillit-w1"
PERSON, AGENT = "pbx-1.1", "pbx-1.2"
NUMBER = digits("4812")
SNOOP = f"channels/{PERSON}/snoop"


class Told:
    """Who talks with whom, as events tell it: a real board, fed by the test."""

    def __init__(self) -> None:
        self.board = Switchboard()
        self.known = True
        self._told: list[Callable[[frozenset[str]], None]] = []

    def on_change(self, told: Callable[[frozenset[str]], None]) -> None:
        self._told.append(told)

    def told_of(self, node: str, channel: str) -> Talk | None:
        if not self.known:
            raise Unavailable("not known")
        return self.board.talk(node, channel)

    def event(self, event: str, name: str, channel: str, **fields: str) -> None:
        message = {"Event": event, "Channel": name, "Uniqueid": channel, "BridgeUniqueid": "b", **fields}
        changed, _ = self.board.feed(message, 0.0)
        for told in self._told:
            told(changed)

    def come(self, name: str, channel: str) -> None:
        self.event("BridgeEnter", name, channel)

    def forget(self) -> None:
        self.known = False
        for told in self._told:
            told(frozenset({"PJSIP/caller"}))


class Ours:
    """Which channels are ours; fails where it is told to."""

    def __init__(self, server: AriServer) -> None:
        self._server = server
        self.down = False
        self.now: set[str] = set()
        self.asked_before = 0

    async def add(self, node: str, channel: str) -> None:
        if self.down:
            raise StoreError("Redis did not answer in time")
        self.asked_before = len(self._server.requests("POST", "*"))
        self.now.add(channel)

    async def drop(self, node: str, channel: str) -> None:
        if self.down:
            raise StoreError("Redis did not answer in time")
        self.now.remove(channel)


class Pbx:
    """As much of an Asterisk as speaks: channels by their ids, each with what is told of it."""

    def __init__(self, server: AriServer) -> None:
        self.server = server
        self.left: list[str] = []
        self.shown: Answer = 200, {"state": "Up", "dialplan": {"app_name": "Stasis"}}
        self.sent = 0
        self.statistics: Callable[[], Answer] = self.sending
        self.starts = self.ends = True
        self.state = "done"

    def sending(self) -> Answer:
        self.sent += 7
        return 200, {"txcount": self.sent, "rxcount": 1}

    async def handle(self, asked: Asked) -> Answer:
        match asked.method, asked.path.split("/"):
            case "GET", ["channels", _, "rtp_statistics"]:
                return self.statistics()
            case "GET", ["channels", _]:
                return self.shown
            case "GET", ["applications", app]:
                return 200, {"name": app, "channel_ids": self.left}
            case "POST", ["channels", _, "snoop"]:
                if self.starts:
                    await self.start(asked.fields["snoopId"])
                return 200, {"id": asked.fields["snoopId"]}
            case "POST", ["channels", snoop, "play", playback]:
                if self.ends:
                    target = {"id": playback, "target_uri": f"channel:{snoop}", "state": self.state}
                    await self.server.emit({"type": "PlaybackFinished", "playback": target})
                return 201, {"id": playback}
            case _:
                return 204, None

    async def start(self, channel: str) -> None:
        shown = {"id": channel, "caller": {"name": "", "number": ""}, "language": "en"}
        await self.server.emit({"type": "StasisStart", "args": [], "channel": shown})

    def deleted(self) -> list[str]:
        return [asked.path.removeprefix("channels/") for asked in self.server.requests("DELETE", "channels/*")]

    def played(self) -> list[Asked]:
        return self.server.requests("POST", "channels/*/play/*")


class World:
    """A speaker with its application on that server, and two who talk."""

    def __init__(self, server: AriServer) -> None:
        self.server, self.log, self.talks, self.ours = server, Log(), Told(), Ours(server)
        self.pbx = Pbx(server)
        server.handle = self.pbx.handle
        ari = Ari(
            url=server.url, username=USER, password=Secret(PASSWORD), app=APP, seconds=1.0, log=self.log.logger
        )  # fmt: skip
        self.outpost = Outpost(NODE, ari, self.log.logger)
        talks: Any = self.talks
        self.speaker = Speaker({NODE: self.outpost}, talks, self.ours, self.log.logger)
        self.talks.come("PJSIP/caller-01", PERSON)
        self.talks.come("PJSIP/agent1-02", AGENT)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        serving = asyncio.create_task(self.outpost.serve())
        try:
            await wait_for(lambda: self.outpost.is_connected, "the application")
            await self.server.until_asked("GET", f"applications/{APP}")
            yield
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def speak(self, **how: Any) -> Spoken:
        return await self.speaker.speak(NODE, PERSON, NUMBER, language="sv", **how)

    def nothing_left(self) -> bool:
        """Whether what was made is gone, and nothing tells of digits."""
        made = [asked.fields["snoopId"] for asked in self.server.requests("POST", SNOOP)]
        assert not self.ours.now
        assert "digit" not in str(self.log.lines)
        return set(made) <= set(self.pbx.deleted())


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for what takes long."""
    monkeypatch.setattr(speaking_module, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(speaking_module, "_HANG_UP_SECONDS", 0.05)
    monkeypatch.setattr(speaking_module, "START_SECONDS", 0.2)
    monkeypatch.setattr(outpost_module, "_AGAIN", (0.01, 0.01))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with AriServer() as server:
        made = World(server)
        async with made.serving():
            yield made


async def test_what_is_asked_of_asterisk(world: World) -> None:
    assert await world.speak(agent=AGENT) is Spoken.SAID
    (snoop,) = world.server.requests("POST", SNOOP)
    name = snoop.fields["snoopId"]
    assert snoop.fields == {"spy": "none", "whisper": "both", "app": APP, "snoopId": name}
    (play,) = world.pbx.played()
    assert play.path.startswith(f"channels/{name}/play/")
    assert play.fields == {"media": [f"sound:tillit/digit-{digit}" for digit in "4812"], "lang": "sv"}
    assert world.ours.asked_before == 0, "it is ours before it is there"
    assert world.pbx.deleted() == [name]
    assert world.nothing_left()


async def test_to_the_person_alone(world: World) -> None:
    assert await world.speak(both=False) is Spoken.SAID
    assert world.server.requests("POST", SNOOP)[0].fields["whisper"] == "out"


async def test_names_are_never_the_same(world: World) -> None:
    for _ in range(3):
        await world.speak()
    assert len({asked.fields["snoopId"] for asked in world.server.requests("POST", SNOOP)}) == 3


# ---------------------------------------------------------------- to whom


async def test_another_than_this_agent(world: World) -> None:
    assert await world.speak(agent="pbx-1.9") is Spoken.CUT
    world.talks.come("PJSIP/agent2-03", "pbx-1.3")
    assert await world.speak(agent=AGENT) is Spoken.CUT, "one more listens"
    assert not world.server.requests("POST", "*")


async def test_nobody(world: World) -> None:
    world.talks.event("BridgeLeave", "PJSIP/agent1-02", AGENT)
    assert await world.speak() is Spoken.GONE
    assert not world.server.requests("POST", "*")


async def test_who_it_is_is_not_known(world: World) -> None:
    world.talks.forget()
    with pytest.raises(Unavailable):
        await world.speak()
    assert not world.server.requests("POST", "*")


async def test_a_node_that_is_none(world: World) -> None:
    with pytest.raises(Unavailable):
        await world.speaker.speak("other", PERSON, NUMBER, language="sv")


@pytest.mark.parametrize("what", ["somebody comes", "a hang-up", "hold", "nothing is known"])
async def test_it_is_cut(world: World, what: str) -> None:
    world.pbx.ends = False
    speaking = asyncio.create_task(world.speak())
    await world.server.until(lambda: bool(world.pbx.played()))
    match what:
        case "somebody comes":
            world.talks.come("PJSIP/agent2-03", "pbx-1.3")
        case "a hang-up":
            world.talks.event("Hangup", "PJSIP/agent1-02", AGENT)
        case "hold":
            world.talks.event("Hold", "PJSIP/caller-01", PERSON)
        case _:
            world.talks.forget()
    assert await asyncio.wait_for(speaking, 2) is Spoken.CUT
    assert world.nothing_left()


async def test_it_goes_on_where_nobody_comes(world: World) -> None:
    """Of another call, and where the agent holds: the person hears it over the music."""
    world.pbx.ends = False
    speaking = asyncio.create_task(world.speak())
    await world.server.until(lambda: bool(world.pbx.played()))
    world.talks.event("BridgeEnter", "PJSIP/agent3-07", "pbx-1.7", BridgeUniqueid="c")
    world.talks.event("Hold", "PJSIP/agent1-02", AGENT)
    await asyncio.sleep(0.05)
    assert not speaking.done()
    world.speaker.hush(NODE, PERSON)
    assert await speaking is Spoken.CUT


async def test_somebody_comes_while_it_is_being_made(world: World) -> None:
    late = Late()
    world.server.rule("POST", SNOOP, late)
    speaking = asyncio.create_task(world.speak())
    await world.server.until_asked("POST", SNOOP)
    world.talks.come("PJSIP/agent2-03", "pbx-1.3")
    await asyncio.sleep(0.05)
    assert not world.pbx.deleted(), "it would be made behind its end"
    late.now.set()
    assert await asyncio.wait_for(speaking, 2) is Spoken.CUT
    assert not world.pbx.played()
    assert world.nothing_left()


async def test_somebody_comes_while_the_answer_to_play_is_under_way(world: World) -> None:
    world.server.rule("POST", "channels/*/play/*", Never(done=True))
    world.pbx.ends = False
    speaking = asyncio.create_task(world.speak())
    await world.server.until(lambda: bool(world.pbx.played()))
    world.talks.come("PJSIP/agent2-03", "pbx-1.3")
    assert await asyncio.wait_for(speaking, 0.5) is Spoken.CUT, "it is not waited for"
    assert world.nothing_left()


async def test_a_request_that_is_given_up_ends_it(world: World) -> None:
    world.pbx.ends = False
    speaking = asyncio.create_task(world.speak())
    await world.server.until(lambda: bool(world.pbx.played()))
    speaking.cancel()
    await asyncio.gather(speaking, return_exceptions=True)
    assert world.nothing_left()


# ---------------------------------------------------------------- what Asterisk says


@pytest.mark.parametrize("path", [SNOOP, "channels/*/play/*"])
@pytest.mark.parametrize("status", [404, 409, 412])
async def test_the_call_is_over(world: World, path: str, status: int) -> None:
    world.server.rule("POST", path, Status(status))
    assert await world.speak() is Spoken.GONE
    assert world.nothing_left()


@pytest.mark.parametrize("path", [SNOOP, "channels/*/play/*"])
@pytest.mark.parametrize("rule", [Status(500), Never()])
async def test_asterisk_does_not_do_it(world: World, path: str, rule: Any) -> None:
    world.server.rule("POST", path, rule)
    with pytest.raises(Unavailable):
        await world.speak()
    assert world.nothing_left()


async def test_no_channel_comes(world: World) -> None:
    world.pbx.starts = False
    with pytest.raises(Unavailable):
        await world.speak()
    assert not world.pbx.played()
    assert world.nothing_left()


async def test_a_prompt_is_missing(world: World) -> None:
    world.pbx.state = "failed"
    with pytest.raises(Unavailable):
        await world.speak()
    assert [line["language"] for line in world.log.of("speech.failed")] == ["sv"]
    assert world.nothing_left()


@pytest.mark.parametrize("told", [(200, {}), (200, []), (404, {"message": "no"}), (500, None)])
async def test_what_is_not_told_of_the_sound_counts_as_sound(world: World, told: Answer) -> None:
    world.pbx.statistics = lambda: told
    assert await world.speak() is Spoken.SAID


async def test_no_sound_goes_to_the_person(world: World) -> None:
    world.pbx.statistics = lambda: (200, {"txcount": 5})
    assert await world.speak() is Spoken.SILENT
    assert not world.pbx.played()
    assert world.nothing_left()


async def test_an_end_that_is_refused_is_tried_again(world: World) -> None:
    world.server.rule("DELETE", "channels/*", Status(500), Status(503))
    assert await world.speak() is Spoken.SAID
    assert len(world.pbx.deleted()) == 3
    assert not world.log.of("outpost.left_over")
    world.server.rule("DELETE", "channels/*", *[Status(500)] * 3)
    assert await world.speak() is Spoken.SAID
    assert len(world.log.of("outpost.left_over")) == 1


async def test_redis_is_down(world: World) -> None:
    """Nothing is spoken that could not be told from a listener."""
    world.ours.down = True
    with pytest.raises(Unavailable):
        await world.speak()
    assert not world.server.requests("POST", "*")
    world.ours.down = False
    world.pbx.ends = False
    speaking = asyncio.create_task(world.speak())
    await world.server.until(lambda: bool(world.pbx.played()))
    world.ours.down = True
    world.speaker.hush(NODE, PERSON)
    assert await speaking is Spoken.CUT, "what is said is said"


# ---------------------------------------------------------------- what is left


async def test_what_comes_late_is_sent_away_and_nothing_else(world: World) -> None:
    ours, others = mint("dial"), "pbx-1.77"
    await world.pbx.start(others)
    await world.pbx.start(f"{ours}0")
    await world.pbx.start(ours)
    await wait_for(lambda: bool(world.pbx.deleted()), "its end")
    assert world.pbx.deleted() == [ours]


async def test_what_a_connection_before_has_left_is_swept() -> None:
    async with AriServer() as server:
        world = World(server)
        left = [mint("speech"), mint("dial")]
        world.pbx.left = [PERSON, *left, "tillit-agent-tillit-0123456789abcdef"]
        server.rule("GET", f"applications/{APP}", Status(500))
        async with world.serving():
            await wait_for(lambda: world.pbx.deleted() == left, "the sweep")
            assert [line["channel"] for line in world.log.of("outpost.swept")] == left


@pytest.mark.parametrize(
    ("told", "ended"),
    [
        ((200, {"state": "Up", "dialplan": {"app_name": "Bridge"}}), False),
        ((200, {"state": "Up", "dialplan": {"app_name": ""}}), False),
        ((200, {"state": "Up", "dialplan": {"app_name": "Stasis"}}), True),
        ((200, {"state": "Ringing", "dialplan": {"app_name": "AppDial2"}}), True),
        ((500, None), False),
        ((404, None), True),
    ],
)
async def test_of_calls_that_a_desk_began_those_are_swept_that_are_not_joined(told: Answer, ended: bool) -> None:
    async with AriServer() as server:
        world = World(server)
        called, speech = mint("dial"), mint("speech")
        world.pbx.left, world.pbx.shown = [called, speech], told
        async with world.serving():
            await wait_for(lambda: speech in world.pbx.deleted(), "the sweep")
        assert (called in world.pbx.deleted()) is ended
        dropped = [
            asked.fields["eventSource"] for asked in server.requests("DELETE", f"applications/{APP}/subscription")
        ]
        assert dropped == ([] if ended else [f"channel:{called}"])


async def test_lost_in_mid_speech_and_back(world: World) -> None:
    world.pbx.ends = False
    speaking = asyncio.create_task(world.speak())
    await world.server.until(lambda: bool(world.pbx.played()))
    world.server.socket.cut()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(speaking, 2)
    assert world.nothing_left(), "it is ended by another connection"
    await wait_for(lambda: world.outpost.is_connected, "the application again")
    world.pbx.ends = True
    assert await world.speak() is Spoken.SAID


async def test_not_connected() -> None:
    async with AriServer() as server:
        world = World(server)
        with pytest.raises(Unavailable):
            await world.speak()
        assert not server.asked
