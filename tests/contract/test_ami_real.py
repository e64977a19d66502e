"""`Ami` and `Presence` on a real Asterisk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
from rig.ami import Ami as Watch
from rig.asterisk import Pbx
from rig.phone import Phone

from ivr.asterisk.ami import Ami
from ivr.asterisk.presence import Member, Presence, State
from ivr.config import AmiSettings
from ivr.errors import AmiError, ConfigError
from ivr.secret import Secret
from tests.contract.ari_log import Log, wait_for

pytestmark = pytest.mark.servers

DIALPLAN = """
[callers]
exten => 100,1,Dial(PJSIP/agent1,30)
exten => 200,1,Answer()
 same => n,UserEvent(Here)
 same => n,Wait(60)

[dialled]
exten => _X.,1,Answer()

[agents]
exten => 201,hint,PJSIP/agent1
"""
SUPPORT = ("PJSIP/agent1", "PJSIP/agent2")


@pytest.fixture(scope="module")
def pbx() -> Iterator[Pbx]:
    with Pbx(dialplan=(DIALPLAN,), name="ami", ports=100) as made:
        yield made


@pytest.fixture
def log() -> Log:
    return Log()


def made(pbx: Pbx, log: Log, **how: str) -> Ami:
    password = how.pop("password", pbx.ami_password)
    return Ami(AmiSettings(port=pbx.ami_port, **how), Secret(password), log=log.logger)


@pytest.fixture
async def ami(pbx: Pbx, log: Log) -> AsyncIterator[Ami]:
    opened = made(pbx, log)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def presence(pbx: Pbx, log: Log) -> AsyncIterator[Presence]:
    ami = made(pbx, log)
    known = Presence(ami, log.logger)
    await ami.open()
    await known.until_known()
    yield known
    await ami.close()
    await known.close()


def states(presence: Presence) -> tuple[State, State | None, State | None]:
    """Of agent 1, as member of the queue, as endpoint and as extension."""
    return (
        presence.members("support")[0].state,
        presence.endpoints.get("PJSIP/agent1"),
        presence.extensions.get("201@agents"),
    )


async def test_an_action(pbx: Pbx, ami: Ami) -> None:
    (answer,) = await ami.action("CoreSettings")
    assert answer["AsteriskVersion"].startswith(pbx.version)


async def test_a_list(ami: Ami) -> None:
    answer = await ami.action("QueueStatus")
    assert [one["Location"] for one in answer if one.get("Event") == "QueueMember"] == list(SUPPORT)
    assert answer[-1]["Event"] == "QueueStatusComplete"


@pytest.mark.parametrize("who", [{"password": "canary-wrong"}, {"username": "nobody"}])
async def test_a_wrong_login(pbx: Pbx, log: Log, who: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"\[asterisk\.ami\] username, password_file: Asterisk does not know"):
        await made(pbx, log, **who).open()
    # Asterisk remarks on it, and that is all
    assert not [line for line in pbx.problems() if "canary" in line]


@pytest.mark.parametrize(
    ("action", "status"), [("Command", "Permission denied"), ("Redirect", "Permission denied"), ("Nonsense", "refused")]
)
async def test_what_is_refused(ami: Ami, action: str, status: str) -> None:
    with pytest.raises(AmiError, match=f"^{action}: {status}$"):
        await ami.action(action, Command="core show version")


@pytest.mark.parametrize("injected", ["a\r\nUserEvent: Injected", "a\nUserEvent: Injected", "a\rUserEvent: Injected"])
async def test_an_injection_does_not_arrive(pbx: Pbx, ami: Ami, injected: str) -> None:
    async with Watch(pbx) as watch:
        with pytest.raises(AmiError, match="a line break or another control character in Name"):
            await ami.user_event("First", Name=injected)
        await ami.user_event("Second", Name="✔ Anna: A. \\r\\n")
        heard = await watch.user_event("Second")
        assert heard["Name"] == "✔ Anna: A. \\r\\n"
        assert not watch.events("First")
        assert b"Injected" not in watch.raw


async def test_the_longest_line_that_is_sent_arrives(pbx: Pbx, ami: Ami) -> None:
    async with Watch(pbx) as watch:
        await ami.user_event("Long", Name="x" * 990)
        assert (await watch.user_event("Long"))["Name"] == "x" * 990


async def test_a_channels_user_event_comes_in(pbx: Pbx, log: Log) -> None:
    heard = []
    ami = made(pbx, log)
    ami.on("UserEvent", heard.append)
    await ami.open()
    async with Phone(pbx.line("caller")) as caller:
        await caller.call("200")
        await wait_for(lambda: heard, "the event")
        assert heard[0]["UserEvent"] == "Here"
        assert heard[0]["Channel"].startswith("PJSIP/caller-")
    await ami.close()
    await asyncio.to_thread(pbx.wait_idle)


async def test_keys_are_not_told_of(pbx: Pbx, log: Log, presence: Presence) -> None:
    """Presence listens to the class that CEL is of, and the user's filter and ours let nothing of it through."""
    told: list[str] = []
    ami = made(pbx, log)
    for event in ("UserEvent", "DeviceStateChange"):
        ami.on(event, lambda heard: told.append(heard["Event"]))
    await ami.open()
    async with Phone(pbx.line("caller")) as caller:
        await caller.call("200")
        await caller.until("confirmed")
        await caller.send_digits("1357")
    await asyncio.to_thread(pbx.wait_idle)
    await wait_for(lambda: told[-1:] == ["DeviceStateChange"], "the end of the call")
    await ami.close()
    assert set(told) == {"UserEvent", "DeviceStateChange"}


async def test_presence_follows_a_phone(pbx: Pbx, presence: Presence) -> None:
    assert presence.members("support") == [Member("support", name, State.OFFLINE, paused=False) for name in SUPPORT]
    assert states(presence) == (State.OFFLINE,) * 3
    async with AsyncExitStack() as phones:
        agent = await phones.enter_async_context(Phone(pbx.line("agent1")))
        await wait_for(lambda: states(presence) == (State.IDLE,) * 3, "the agent to be idle")
        caller = await phones.enter_async_context(Phone(pbx.line("caller")))
        await caller.call("100")
        await agent.incoming()
        await agent.ring()
        await wait_for(lambda: states(presence) == (State.RINGING,) * 3, "the phone to ring")
        await agent.answer()
        await wait_for(lambda: states(presence) == (State.BUSY,) * 3, "the agent to be busy")
        await caller.hang_up()
        await wait_for(lambda: states(presence) == (State.IDLE,) * 3, "the agent to be idle again")
    await asyncio.to_thread(pbx.wait_idle)


async def test_a_number_that_is_dialled_is_not_kept(pbx: Pbx, log: Log) -> None:
    """By way of Local each has a device, that Asterisk tells of and does not list: without an end a worker would have them all."""
    told: list[str] = []
    ami = made(pbx, log)
    ami.on("DeviceStateChange", lambda event: told.append(event["Device"]))
    presence = Presence(ami, log.logger)
    await ami.open()
    await presence.until_known()
    pbx.cli("channel originate Local/46701740601@dialled application NoOp")
    await wait_for(lambda: "Local/46701740601@dialled" in told, "the device of the call")
    assert {name.partition("/")[0] for name in presence.endpoints} == {"PJSIP"}
    await asyncio.to_thread(pbx.wait_idle)
    await ami.close()
    await presence.close()


async def test_presence_follows_the_queue(pbx: Pbx, presence: Presence) -> None:
    def paused() -> list[bool]:
        return [member.paused for member in presence.members("support")]

    pbx.cli("queue pause member PJSIP/agent2 queue support")
    await wait_for(lambda: paused() == [False, True], "the pause")
    pbx.cli("queue unpause member PJSIP/agent2 queue support")
    await wait_for(lambda: paused() == [False, False], "its end")
    pbx.cli("queue add member PJSIP/agent3 to support")
    await wait_for(lambda: len(paused()) == 3, "the new member")
    pbx.cli("queue remove member PJSIP/agent3 from support")
    await wait_for(lambda: len(paused()) == 2, "its removal")


async def test_asterisk_restarts(pbx: Pbx, presence: Presence, log: Log) -> None:
    pbx.cli("queue pause member PJSIP/agent2 queue support")
    await wait_for(lambda: presence.members("support")[1].paused, "the pause")
    await asyncio.to_thread(pbx.stop)
    await wait_for(lambda: not presence.known, "it to be noticed")
    assert presence.members("support") == []
    await asyncio.to_thread(pbx.start)
    await wait_for(lambda: presence.known, "the link", 30)
    assert [member.paused for member in presence.members("support")] == [False, False]
    assert len(presence.endpoints) == 6
    assert [line["event"] for line in log.lines if line["event"] != "ami.unreachable"] == [
        "ami.connected", "ami.disconnected", "ami.connected"
    ]  # fmt: skip


async def test_asterisk_hangs(pbx: Pbx, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ivr.asterisk.ami._PING", 0.1)
    ami = made(pbx, log, seconds="0.5")
    await ami.open()
    pbx.child.pause()
    try:
        with pytest.raises(AmiError, match="no answer in time|not connected|connection lost"):
            await ami.action("CoreSettings")
        await wait_for(lambda: not ami.connected, "it to be noticed")
    finally:
        pbx.child.resume()
    await wait_for(lambda: ami.connected, "the link", 30)
    await ami.close()
