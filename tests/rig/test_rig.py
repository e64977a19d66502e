"""The rig itself: a private Asterisk, Redis and phones work together and leave nothing behind."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis as Client
from rig.asterisk import Pbx
from rig.phone import Method, Phone
from rig.redis_server import Redis
from rig.state import RigError

pytestmark = [pytest.mark.servers, pytest.mark.asyncio]

DIALPLAN = """
[callers]
exten => prompt,1,Answer()
 same => n,Playback(beep&demo-congrats)
 same => n,Hangup()
exten => _keypad.,1,Answer()
 same => n,Stasis(${EXTEN})
 same => n,Hangup()
exten => _age[n]tX,1,Set(CALLERID(name)=✔ Anna A.)
 same => n,Dial(PJSIP/${EXTEN},10,b(tell^mark^1))
 same => n,Hangup(${HANGUPCAUSE})
exten => music,1,Answer()
 same => n,MusicOnHold()
[tell]
exten => mark,1,Set(PJSIP_HEADER(add,X-Tillit)=level=2)
 same => n,Return()
[agents]
exten => agent2,1,Dial(PJSIP/agent2,10)
"""


@pytest.fixture(scope="module")
def pbx() -> Iterator[Pbx]:
    with Pbx(dialplan=[DIALPLAN], caller_context="callers") as running:
        yield running


@contextlib.asynccontextmanager
async def ari_events(pbx: Pbx, app: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    login = base64.b64encode(f"tillit:{pbx.ari_password}".encode()).decode()
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Basic {login}"}) as session,
        session.ws_connect(f"{pbx.ari_url}/events?app={app}") as socket,
    ):
        yield socket


async def test_boots_without_a_complaint(pbx: Pbx) -> None:
    assert pbx.problems() == []
    assert pbx.channels() == pbx.bridges() == 0


async def test_a_caller_hears_a_prompt(pbx: Pbx) -> None:
    async with Phone(pbx.line("caller")) as caller:
        await caller.call("prompt")
        await caller.until("confirmed")
        await caller.hears(seconds=0.5)
        await caller.hang_up()
    pbx.wait_idle()


async def test_a_caller_hears_music(pbx: Pbx) -> None:
    async with Phone(pbx.line("caller")) as caller:
        await caller.call("music")
        await caller.hears(seconds=0.5)


async def test_agent_sees_mark_and_both_hear_each_other(pbx: Pbx) -> None:
    async with Phone(pbx.line("agent1")) as agent, Phone(pbx.line("caller")) as caller:
        await caller.call("agent1", number="+46701740605", headers={"X-Look-Alike": "level=3"})
        offer = await agent.incoming()
        assert (offer["name"], offer["number"]) == ("✔ Anna A.", "+46701740605")
        assert offer.headers("X-Tillit") == ["level=2"]
        assert offer.header("X-Look-Alike") is None
        await agent.ring()
        await caller.until("ringing")
        await agent.answer()
        await caller.until("confirmed")
        await caller.play_tone(440)
        await agent.play_tone(1000)
        await asyncio.gather(agent.hears(440), caller.hears(1000))
        assert not agent.heard(1000)
        await caller.hang_up()
        await agent.until("disconnected")
    pbx.wait_idle()


async def test_agent_is_busy_or_ignores(pbx: Pbx) -> None:
    async with Phone(pbx.line("agent2")) as agent, Phone(pbx.line("caller")) as caller:
        await caller.call("agent2", anonymous=True)
        assert (await agent.incoming())["name"] == "✔ Anna A."
        await agent.busy()
        await caller.until("disconnected", code=486)
        await caller.call("agent2")
        await agent.incoming()
        await caller.hang_up()
        await agent.until("disconnected")


async def test_agent_sees_a_new_name_holds_and_transfers(pbx: Pbx) -> None:
    async with (
        Phone(pbx.line("agent1")) as agent,
        Phone(pbx.line("agent2")) as other,
        Phone(pbx.line("caller")) as caller,
    ):
        await caller.call("agent1", number="0701740605")
        first = (await agent.incoming()).call
        await agent.answer()
        channel = next(row["name"] for row in pbx.ari("GET", "channels") if "agent1" in row["name"])
        pbx.cli(f'dialplan set chanvar {channel} CONNECTEDLINE(name) "✔ Bo B."')
        assert (await agent.until("connected_line", name="✔ Bo B."))["number"] == "0701740605"
        await agent.hold()
        await caller.hears(seconds=0.5)
        second = await agent.call("agent2")
        await other.incoming()
        await other.answer()
        await agent.until("confirmed")
        await other.play_tone(700)
        # A transfer within milliseconds of the answer leaves Asterisk's native bridge one-way.
        await agent.hears(700)
        await agent.transfer(to_call=second, call=first)
        await agent.until("disconnected", call=first)
        await caller.hears(700)
        await caller.hang_up()
        await other.until("disconnected")
    pbx.wait_idle()


@pytest.mark.parametrize(
    ("endpoint", "method"), [("caller", "rfc4733"), ("caller-info", "info"), ("caller-inband", "inband")]
)
async def test_digits_arrive(pbx: Pbx, endpoint: str, method: Method) -> None:
    app = f"keypad-{method}"
    async with ari_events(pbx, app) as events, Phone(pbx.line(endpoint)) as caller:
        await caller.call(app)
        await caller.until("confirmed")
        await caller.until("media")
        sent = await caller.send_digits("1907#", method)
        seen = ""
        async with asyncio.timeout(5):
            while len(seen) < 5:
                event = await events.receive_json()
                seen += event["digit"] if event["type"] == "ChannelDtmfReceived" else ""
        assert seen == sent["digits"] == "1907#"


async def test_a_wait_in_vain_says_what_for(pbx: Pbx) -> None:
    async with Phone(pbx.line("agent3")) as agent:
        with pytest.raises(TimeoutError, match=r"agent3 waited 0\.1 s in vain for an incoming call; last seen: regist"):
            await agent.incoming(timeout=0.1)


async def test_redis_comes_back_with_its_data() -> None:
    with Redis(persist=True) as redis:
        async with Client.from_url(redis.url) as client:
            await client.set("a", "1")
        redis.kill()
        redis.start()
        async with Client.from_url(redis.url) as client:
            assert await client.get("a") == b"1"


async def test_nothing_is_left_behind() -> None:
    with Pbx(dialplan=[DIALPLAN]) as pbx, Redis() as redis:
        async with Phone(pbx.line("agent1")):
            pids = [pbx.child.pid, redis.child.pid]
            folders = [pbx.folder, redis.folder]
    assert not any(Path("/proc", str(pid)).exists() for pid in pids)
    assert not any(folder.exists() for folder in folders)
    ours = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    assert not [pid for pid in ours if b"rig.softphone" in Path("/proc", pid, "cmdline").read_bytes()]


async def test_a_broken_dialplan_file_is_named() -> None:
    with pytest.raises(RigError, match="no dialplan file"):
        Pbx(dialplan=[Path("/nowhere.conf")])
