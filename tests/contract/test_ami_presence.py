"""Presence from a server that speaks AMI: lists, events that overtake them, refusals, lost connections."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import ivr.asterisk.presence as presence_module
from ivr.asterisk.ami import Ami
from ivr.asterisk.presence import Member, Presence, State
from ivr.config import AmiSettings
from ivr.secret import Secret
from tests.contract.ami_server import PASSWORD, AmiServer, Fields, Rule, message
from tests.contract.ari_log import Log, wait_for


def member(name: str, status: int, **fields: str) -> bytes:
    whole = {"Event": "QueueMemberStatus", "Queue": "support", "Interface": name, "Status": str(status), "Paused": "0"}
    return message(**(whole | fields))


def listed(*entries: bytes) -> Rule:
    """A rule that answers with this list."""

    def rule(asked: Fields) -> bytes:
        own = f"\r\nActionID: {asked['ActionID']}\r\n\r\n".encode()
        start = b"Response: Success\r\nEventList: start\r\nMessage: will follow" + own
        return start + b"".join(entry[:-4] + own for entry in entries) + b"Event: ListComplete" + own

    return rule


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def server() -> AsyncIterator[AmiServer]:
    async with AmiServer() as running:
        running.rules["QueueStatus"] = listed(
            message(Event="QueueParams", Queue="support", Max="0"),
            message(Event="QueueMember", Queue="support", Location="PJSIP/anna", Name="Anna", Status="1", Paused="0"),
            message(Event="QueueMember", Queue="support", Location="PJSIP/bo", Name="Bo", Status="2", Paused="1"),
            message(Event="QueueMember", Queue="sales", Location="PJSIP/anna", Name="Anna", Status="1", Paused="1"),
        )
        running.rules["DeviceStateList"] = listed(
            message(Event="DeviceStateChange", Device="PJSIP/anna", State="NOT_INUSE"),
            message(Event="DeviceStateChange", Device="Queue:support_pause_PJSIP/anna", State="INUSE"),
        )
        running.rules["ExtensionStateList"] = listed(
            message(Event="ExtensionStatus", Exten="201", Context="agents", Hint="PJSIP/anna", Status="0")
        )
        yield running


@pytest.fixture
async def presence(server: AmiServer, log: Log) -> AsyncIterator[Presence]:
    ami = Ami(AmiSettings(port=server.port), Secret(PASSWORD), log=log.logger)
    made = Presence(ami, log.logger)
    await ami.open()
    await made.until_known()
    yield made
    await ami.close()
    await made.close()


async def test_what_is_there_at_the_beginning(server: AmiServer, presence: Presence) -> None:
    assert server.of("Login")[0]["Events"] == "agent,call"
    assert presence.members("support") == [
        Member("support", "PJSIP/anna", State.IDLE, paused=False),
        Member("support", "PJSIP/bo", State.BUSY, paused=True),
    ]
    assert [one.free for one in (*presence.members("support"), *presence.members("sales"))] == [True, False, False]
    assert presence.endpoints == {"PJSIP/anna": State.IDLE}
    assert presence.extensions == {"201@agents": State.IDLE}
    assert presence.members("nobody") == []


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0, State.UNKNOWN),
        (1, State.IDLE),
        (2, State.BUSY),
        (3, State.BUSY),
        (4, State.OFFLINE),
        (5, State.OFFLINE),
        (6, State.RINGING),
        (7, State.BUSY),
        (8, State.ON_HOLD),
        (99, State.UNKNOWN),
    ],
)
async def test_a_members_state(server: AmiServer, presence: Presence, status: int, state: State) -> None:
    server.send(member("PJSIP/cecilia", status))
    await wait_for(lambda: len(presence.members("support")) == 3, "the member")
    assert presence.members("support")[2].state is state


async def test_events_change_it(server: AmiServer, presence: Presence) -> None:
    server.send(member("PJSIP/anna", 6))
    server.send(message(Event="QueueMemberPause", Queue="sales", Interface="PJSIP/anna", Status="1", Paused="0"))
    server.send(message(Event="QueueMemberRemoved", Queue="support", Interface="PJSIP/bo", Status="2", Paused="1"))
    server.send(message(Event="QueueMemberAdded", Queue="support", Interface="PJSIP/david", Status="5", Paused="0"))
    server.send(message(Event="DeviceStateChange", Device="PJSIP/anna", State="RINGING"))
    server.send(message(Event="ExtensionStatus", Exten="201", Context="agents", Status="8"))
    await wait_for(lambda: presence.extensions["201@agents"] is State.RINGING, "the last event")
    assert presence.members("support") == [
        Member("support", "PJSIP/anna", State.RINGING, paused=False),
        Member("support", "PJSIP/david", State.OFFLINE, paused=False),
    ]
    assert presence.members("sales")[0].free
    assert presence.endpoints == {"PJSIP/anna": State.RINGING}


@pytest.mark.parametrize(
    "odd",
    [
        message(Event="QueueMemberStatus"),
        message(Event="QueueMemberStatus", Queue="support", Interface="PJSIP/anna"),
        message(Event="QueueMemberRemoved"),
        message(Event="DeviceStateChange", Device="PJSIP/anna"),
        message(Event="ExtensionStatus", Exten="201"),
    ],
)
async def test_what_lacks_a_field_changes_nothing(server: AmiServer, presence: Presence, odd: bytes) -> None:
    before = presence.members("support"), dict(presence.endpoints), dict(presence.extensions)
    server.send(odd + message(Event="DeviceStateChange", Device="PJSIP/last", State="NOT_INUSE"))
    await wait_for(lambda: "PJSIP/last" in presence.endpoints, "what came behind it")
    assert (presence.members("support"), {"PJSIP/last": State.IDLE} | before[1], before[2]) == (
        before[0], dict(presence.endpoints), dict(presence.extensions)
    )  # fmt: skip


@pytest.mark.parametrize(
    "device", ["Local/46701740601@dialled", "Snoop/1764000000.7", "Queue:support", "Custom:lamp", ""]
)
async def test_what_is_no_phone_is_not_kept(server: AmiServer, presence: Presence, device: str) -> None:
    """Each number that is dialled by way of Local has a device of its own, and nothing tells of its end."""
    server.send(message(Event="DeviceStateChange", Device=device, State="INUSE"))
    server.send(message(Event="DeviceStateChange", Device="PJSIP/cesar", State="INUSE"))
    await wait_for(lambda: "PJSIP/cesar" in presence.endpoints)
    assert set(presence.endpoints) == {"PJSIP/anna", "PJSIP/cesar"}


async def test_an_event_that_overtakes_the_list_counts(server: AmiServer, presence: Presence, log: Log) -> None:
    inner = server.rules["QueueStatus"]

    def rule(asked: Fields) -> bytes | None:
        whole = inner(asked)
        assert whole is not None
        # the list says that Anna is idle and Bo is there; what happened since stands in its middle
        middle = whole.index(b"Event: ListComplete")
        gone = message(Event="QueueMemberRemoved", Queue="support", Interface="PJSIP/bo", Status="2", Paused="1")
        return whole[:middle] + member("PJSIP/anna", 2) + gone + whole[middle:]

    server.rules["QueueStatus"] = rule
    server.drop()
    await wait_for(lambda: len(server.of("ExtensionStateList")) == 2 and presence.known, "the second asking")
    assert presence.members("support") == [Member("support", "PJSIP/anna", State.BUSY, paused=False)]


async def test_without_a_connection_nothing_is_known(server: AmiServer, presence: Presence, log: Log) -> None:
    await server.stop()
    await wait_for(lambda: not presence.known, "it to be noticed")
    assert (presence.members("support"), dict(presence.endpoints), dict(presence.extensions)) == ([], {}, {})
    server.rules["QueueStatus"] = listed()
    await server.start()
    await wait_for(lambda: presence.known, "the second asking")
    assert presence.members("support") == []
    assert presence.endpoints == {"PJSIP/anna": State.IDLE}


async def test_what_the_user_may_not_ask_is_missing(server: AmiServer, log: Log) -> None:
    server.rule(
        "DeviceStateList",
        lambda asked: message(Response="Error", ActionID=asked["ActionID"], Message="Permission denied"),
    )
    ami = Ami(AmiSettings(port=server.port), Secret(PASSWORD), log=log.logger)
    presence = Presence(ami, log.logger)
    await ami.open()
    await presence.until_known()
    assert dict(presence.endpoints) == {}
    assert len(presence.members("support")) == 2
    assert [line["action"] for line in log.of("presence.denied")] == ["DeviceStateList"]
    await ami.close()
    await presence.close()


async def test_an_asterisk_that_is_starting_is_asked_again(
    server: AmiServer, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_module, "_WAITS", (0.01,))
    inner = server.rules["QueueStatus"]

    def rule(asked: Fields) -> bytes | None:
        if len(server.of("QueueStatus")) < 3:
            return message(Response="Error", ActionID=asked["ActionID"], Message="Invalid/unknown command")
        return inner(asked)

    server.rules["QueueStatus"] = rule
    ami = Ami(AmiSettings(port=server.port), Secret(PASSWORD), log=log.logger)
    presence = Presence(ami, log.logger)
    await ami.open()
    await presence.until_known()
    assert len(presence.members("support")) == 2
    assert not log.of("presence.denied")
    await ami.close()
    await presence.close()
