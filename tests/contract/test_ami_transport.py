"""`Ami` against a server that misbehaves: time limits, drops, rubbish, floods, and what errors and logs carry."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rig.certificates import Authority

import ivr.asterisk.ami as ami_module
from ivr.asterisk.ami import Ami
from ivr.asterisk.wire import Message
from ivr.config import AmiSettings, load
from ivr.errors import AmiError, ConfigError, Unreachable
from ivr.secret import Secret
from tests.contract.ami_server import PASSWORD, USER, AmiServer, Fields, message
from tests.contract.ari_log import Log, texts, wait_for

CANARY = "canary-value"
SHORT = 0.6


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def server() -> AsyncIterator[AmiServer]:
    async with AmiServer() as running:
        yield running


def made(server: AmiServer, log: Log, *, seconds: float = 5.0, password: str = PASSWORD) -> Ami:
    return Ami(AmiSettings(port=server.port, seconds=seconds), Secret(password), log=log.logger)


@pytest.fixture
async def ami(server: AmiServer, log: Log) -> AsyncIterator[Ami]:
    opened = made(server, log)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def hasty(server: AmiServer, log: Log) -> AsyncIterator[Ami]:
    """One whose time limit is short, for what is never answered."""
    opened = made(server, log, seconds=SHORT)
    await opened.open()
    yield opened
    await opened.close()


def nothing(_: Fields) -> None:
    return None


# ---------------------------------------------------------------- TLS


@pytest.mark.parametrize("ours", [True, False])
async def test_a_certificate_with_another_name_is_told_nothing(tmp_path: Path, log: Log, *, ours: bool) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue("127.0.0.1" if ours else "pbx.example")
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text(PASSWORD)
    async with AmiServer(certificate) as server:
        (tmp_path / "tillit.toml").write_text(
            '[company]\nname = "Acme"\ncountry = "SE"\n[policies.usual]\nsteps = ["pin"]\nlevel = 1\n'
            f'[asterisk.ami]\nport = {server.port}\ntls = true\npassword_file = "password"\nca_file = "{authority.file}"\n'
        )
        ami = Ami.of(load(tmp_path / "tillit.toml"), "[asterisk]", log=log.logger)
        if ours:
            await ami.open()
            assert ami.connected
        else:
            with pytest.raises(Unreachable, match="its certificate is not trusted: IP address mismatch"):
                await ami.open()
            assert server.received == b""
        await ami.close()


# ---------------------------------------------------------------- login


async def test_the_password_is_not_sent(server: AmiServer, ami: Ami, log: Log) -> None:
    assert ami.connected
    login = server.of("Login")[0]
    assert login["Username"] == USER
    assert login["Events"] == "off"
    assert PASSWORD.encode() not in server.received
    assert [line["event"] for line in log.lines] == ["ami.connected"]


async def test_a_wrong_login_names_place_and_cure(server: AmiServer, log: Log) -> None:
    with pytest.raises(ConfigError) as raised:
        await made(server, log, password="canary-wrong").open()
    error = raised.value
    assert not isinstance(error, Unreachable)
    assert error.place == "[asterisk.ami] username, password_file"
    assert "manager.conf" in error.cure
    assert not [text for text in texts(error) if "canary" in text]


async def test_a_wrong_login_is_one_even_when_it_may_be_patient(server: AmiServer, log: Log) -> None:
    with pytest.raises(ConfigError):
        await made(server, log, password="canary-wrong").open(patient=True)


async def test_nobody_there(server: AmiServer, log: Log) -> None:
    await server.stop()
    with pytest.raises(Unreachable, match="host, port: no answer"):
        await made(server, log).open()


@pytest.mark.parametrize(
    ("greeting", "problem"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is not AMI"),
        (b"SSH-2.0-OpenSSH\r\n", "is not AMI"),
        (bytes(range(256)) * 64, "is not AMI"),
        (b"", "no answer"),
        (b"Asterisk Call", "no answer"),
    ],
)
async def test_something_else_is_there(server: AmiServer, log: Log, greeting: bytes, problem: str) -> None:
    server.greeting = greeting
    with pytest.raises(Unreachable, match=problem):
        await made(server, log, seconds=SHORT).open()


@pytest.mark.parametrize("action", ["Challenge", "Login"])
async def test_a_login_that_is_never_answered(server: AmiServer, log: Log, action: str) -> None:
    server.rule(action, nothing)
    with pytest.raises(Unreachable, match="no answer in time"):
        await made(server, log, seconds=SHORT).open()


async def test_it_may_be_patient(server: AmiServer, log: Log) -> None:
    await server.stop()
    ami = made(server, log)
    await ami.open(patient=True)
    assert not ami.connected
    with pytest.raises(AmiError, match="^CoreSettings: not connected$"):
        await ami.action("CoreSettings")
    await server.start()
    await wait_for(lambda: ami.connected, "the connection")
    await ami.close()
    assert [line["event"] for line in log.lines] == ["ami.unreachable", "ami.connected"]


# ---------------------------------------------------------------- actions


async def test_an_answer(server: AmiServer, ami: Ami) -> None:
    server.rule("CoreSettings", lambda asked: message(Response="Success", ActionID=asked["ActionID"], AMIversion="11"))
    assert [{**one, "ActionID": ""} for one in await ami.action("CoreSettings")] == [
        {"Response": "Success", "ActionID": "", "AMIversion": "11"}
    ]


async def test_a_list_comes_whole_and_in_pieces(server: AmiServer, ami: Ami) -> None:
    """Each byte may come alone; a letter of several bytes is not lost."""

    def listed(asked: Fields) -> None:
        own = {"ActionID": asked["ActionID"]}
        whole = (
            message(Response="Success", **own, EventList="start", Message="Queue status will follow")
            + message(Event="QueueMember", **own, Name="✔ Åsa Öberg")
            + message(Event="QueueStatusComplete", **own, EventList="Complete", ListItems="1")
        )

        async def slowly() -> None:
            for byte in whole:
                server.send(bytes([byte]))
                await asyncio.sleep(0)

        sending.append(asyncio.create_task(slowly()))

    sending: list[asyncio.Task[None]] = []
    server.rule("QueueStatus", listed)
    answer = await ami.action("QueueStatus")
    assert [one.get("Event") for one in answer] == [None, "QueueMember", "QueueStatusComplete"]
    assert answer[1]["Name"] == "✔ Åsa Öberg"
    await sending[0]


async def test_a_name_that_comes_twice_has_both_values(server: AmiServer, ami: Ami) -> None:
    server.rule(
        "Status",
        lambda asked: f"Response: Success\r\nActionID: {asked['ActionID']}\r\nVar: a=1\r\nVar: b=2\r\n\r\n".encode(),
    )
    assert (await ami.action("Status"))[0]["Var"] == "a=1,b=2"


async def test_many_at_once_get_their_own_answers(server: AmiServer, ami: Ami) -> None:
    server.rule("Echo", lambda asked: message(Response="Success", ActionID=asked["ActionID"], Said=asked["Say"]))
    answers = await asyncio.gather(*(ami.action("Echo", Say=number) for number in range(100)))
    assert [answer[0]["Said"] for answer in answers] == [str(number) for number in range(100)]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("UserEvent", {"UserEvent": "a\r\nAction: Originate"}),
        ("UserEvent", {"UserEvent": "a\nAction: Originate"}),
        ("UserEvent", {"UserEvent": "a\rAction: Originate"}),
        ("UserEvent", {"UserEvent": "a\r\n\r\nAction: Originate\r\n\r\n"}),
        ("UserEvent", {"UserEvent": "a\0Action: Originate"}),
        ("UserEvent", {"UserEvent": "a\x7f"}),
        ("UserEvent", {"UserEvent": "a" * 1100}),
        ("UserEvent", {"UserEvent": "å" * 600}),
        ("UserEvent", {"UserEvent": "\ud800"}),
        ("UserEvent", {"A: b\r\nAction": "Originate"}),
        ("UserEvent", {"Action: x": "a"}),
        ("UserEvent", {"": "a"}),
        ("UserEvent", {"Action": "Originate"}),
        ("UserEvent", {"actionid": "a"}),
        ("UserEvent\r\nAction: Originate", {}),
        ("Originate: x", {}),
        ("", {}),
    ],
)
async def test_what_would_not_arrive_as_it_is_meant_is_not_sent(
    server: AmiServer, ami: Ami, name: str, fields: dict[str, str]
) -> None:
    with pytest.raises(AmiError) as raised:
        await ami.action(name, **fields)
    assert "Originate" not in str(raised.value)
    # what is asked next comes next: nothing stands before it
    await ami.action("Next")
    assert [asked["Action"] for asked in server.actions] == ["Challenge", "Login", "Next"]
    assert b"Originate" not in server.received


async def test_what_goes_is_what_was_meant(server: AmiServer, ami: Ami) -> None:
    await ami.user_event("Mark", Name="✔ Anna: A.", Level=2)
    sent = server.of("UserEvent")[0]
    assert {**sent, "ActionID": ""} == {
        "Action": "UserEvent", "ActionID": "", "UserEvent": "Mark", "Name": "✔ Anna: A.", "Level": "2"
    }  # fmt: skip


async def test_a_refusal_has_action_and_short_status(server: AmiServer, ami: Ami) -> None:
    server.rule(
        "Redirect",
        lambda asked: message(Response="Error", ActionID=asked["ActionID"], Message="Channel does not exist"),
    )
    with pytest.raises(AmiError) as raised:
        await ami.action("Redirect", Channel=CANARY)
    assert (raised.value.action, raised.value.status, raised.value.refused) == (
        "Redirect", "Channel does not exist", True
    )  # fmt: skip


@pytest.mark.parametrize("said", [CANARY, f"No such channel {CANARY}", "12 is no number", "x" * 200, "a\x1b[31mb"])
async def test_a_refusal_shows_nothing_that_was_sent(server: AmiServer, ami: Ami, said: str) -> None:
    server.rule("Redirect", lambda asked: message(Response="Error", ActionID=asked["ActionID"], Message=said))
    with pytest.raises(AmiError, match="^Redirect: refused$") as raised:
        await ami.action("Redirect", Channel=CANARY)
    assert not [text for text in texts(raised.value) if CANARY in text]


async def test_an_answer_that_never_comes(server: AmiServer, hasty: Ami) -> None:
    server.rule("Status", nothing)
    with pytest.raises(AmiError, match="^Status: no answer in time$") as raised:
        await hasty.action("Status", Channel=CANARY)
    assert not raised.value.refused
    assert not [text for text in texts(raised.value) if CANARY in text]


async def test_an_answer_that_is_half_sent(server: AmiServer, hasty: Ami) -> None:
    server.rule("Status", lambda asked: f"Response: Success\r\nActionID: {asked['ActionID']}\r\n".encode())
    with pytest.raises(AmiError, match="^Status: no answer in time$"):
        await hasty.action("Status")


async def test_a_list_that_never_ends(server: AmiServer, hasty: Ami) -> None:
    server.rule(
        "QueueStatus",
        lambda asked: message(Response="Success", ActionID=asked["ActionID"], EventList="start", Message="will follow"),
    )
    with pytest.raises(AmiError, match="^QueueStatus: no answer in time$"):
        await hasty.action("QueueStatus")


async def test_a_late_answer_is_nobodys(server: AmiServer, hasty: Ami) -> None:
    server.rule("Status", nothing)
    with pytest.raises(AmiError):
        await hasty.action("Status")
    server.send(message(Response="Success", ActionID=server.of("Status")[0]["ActionID"], Late="yes"))
    assert "Late" not in (await hasty.action("Next"))[0]


# ---------------------------------------------------------------- the link


async def test_a_lost_connection_fails_what_waits_and_nothing_is_asked_twice(
    server: AmiServer, ami: Ami, log: Log
) -> None:
    server.rule("Redirect", nothing)
    asking = asyncio.create_task(ami.action("Redirect", Channel=CANARY))
    await wait_for(lambda: server.of("Redirect"), "the action")
    server.drop()
    with pytest.raises(AmiError, match="^Redirect: connection lost$"):
        await asking
    await wait_for(lambda: len(server.of("Login")) == 2 and ami.connected, "the next login")
    await ami.action("Next")
    assert len(server.of("Redirect")) == 1
    assert [line["event"] for line in log.lines] == ["ami.connected", "ami.disconnected", "ami.connected"]


async def test_waits_grow_and_the_log_tells_once(
    server: AmiServer, ami: Ami, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def counted(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    await server.stop()
    monkeypatch.setattr(ami_module.asyncio, "sleep", counted)
    while len(waits) < 12:
        await sleep(0.001)
    monkeypatch.undo()
    assert waits[:12] == [*ami_module._WAITS, *(ami_module._WAITS[-1],) * (12 - len(ami_module._WAITS))]
    assert len(log.of("ami.unreachable")) == 1
    assert ami.connected is False


async def test_one_that_is_silent_counts_as_gone(server: AmiServer, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-open: the connection stands, and nobody is behind it."""
    monkeypatch.setattr(ami_module, "_PING", 0.05)
    ami = made(server, log, seconds=SHORT)
    await ami.open()
    await wait_for(lambda: server.of("Ping"), "a Ping")
    assert not log.of("ami.disconnected")
    server.rule("Ping", nothing)
    await wait_for(lambda: log.of("ami.disconnected"), "it to be noticed")
    await wait_for(lambda: server.connections > 1, "the next connection")
    await ami.close()


async def test_a_password_that_was_changed_meanwhile(server: AmiServer, ami: Ami, log: Log) -> None:
    server.rule(
        "Login", lambda asked: message(Response="Error", ActionID=asked["ActionID"], Message="Authentication failed")
    )
    server.drop()
    await wait_for(lambda: len(server.of("Login")) > 3, "some tries")
    assert len(log.of("ami.refused")) == 1
    assert "manager.conf" in log.of("ami.refused")[0]["cure"]
    del server.rules["Login"]
    await wait_for(lambda: ami.connected, "the login")


async def test_closing_ends_it(server: AmiServer, log: Log) -> None:
    ami = made(server, log)
    await ami.open()
    await ami.close()
    assert not ami.connected
    with pytest.raises(AmiError, match="not connected"):
        await ami.action("CoreSettings")
    assert server.connections == 1


# ---------------------------------------------------------------- events


@pytest.fixture
async def heard(server: AmiServer, log: Log) -> AsyncIterator[list[Message]]:
    told: list[Message] = []
    ami = made(server, log)
    ami.on("QueueMemberStatus", told.append)
    ami.on("UserEvent", told.append)
    await ami.open()
    yield told
    await ami.close()


async def test_only_the_classes_that_are_used_are_asked_for(server: AmiServer, heard: list[Message]) -> None:
    assert server.of("Login")[0]["Events"] == "agent,user"
    assert heard == []


@pytest.mark.parametrize("event", ["DTMFBegin", "DTMFEnd", "CEL", "VarSet", "Newexten", "*", ""])
async def test_what_shows_keys_cannot_be_listened_for(server: AmiServer, log: Log, event: str) -> None:
    with pytest.raises(ValueError, match="cannot be listened for"):
        made(server, log).on(event, print)


async def test_events_are_told_and_others_are_not(server: AmiServer, heard: list[Message]) -> None:
    server.send(message(Event="DTMFEnd", Digit="7") + message(Event="CEL", Extra="{}"))
    server.send(message(Event="QueueMemberStatus", Queue="support"))
    await wait_for(lambda: heard, "the event")
    assert [event["Event"] for event in heard] == ["QueueMemberStatus"]


async def test_a_listeners_fault_is_its_own(server: AmiServer, log: Log) -> None:
    told: list[Message] = []

    def faulty(_: Message) -> None:
        raise ValueError(CANARY)

    ami = made(server, log)
    ami.on("UserEvent", faulty)
    ami.on("UserEvent", told.append)
    await ami.open()
    server.send(message(Event="UserEvent", UserEvent=CANARY))
    await wait_for(lambda: told, "the other listener")
    assert log.of("task.failed") == [
        {"event": "task.failed", "error": "ValueError", "code": "UserEvent"} | log.of("task.failed")[0]
    ]
    assert CANARY not in str(log.lines)
    await ami.close()


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\r\n\r\n\r\n\r\n",
        b"no colon\r\n\r\n",
        b": \r\n\r\n",
        b"Event: \r\n\r\n",
        b"Event\r\n\r\n",
        b"\xff\xfe\x00\xc3\r\n\r\n",
        b"Response: Success\r\n\r\n",
        b"Response: Success\r\nActionID: nobody\r\n\r\n",
        b"Response: Follows\r\n\r\n",
        b"Event: UserEvent\r\nEvent: QueueMemberStatus\r\n\r\n",
        b"Event: Shutdown\r\nEvent: Shutdown\r\n\r\n",
        b"Result: %ff%00\r\n\r\n",
        b"x" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_rubbish_does_no_harm(server: AmiServer, heard: list[Message], log: Log, rubbish: bytes) -> None:
    server.send(rubbish)

    def told() -> bool:
        server.send(message(Event="UserEvent", UserEvent="After"))
        return any(event.get("UserEvent") == "After" for event in heard)

    # where the library trips, the connection is made anew
    await wait_for(told, "the next event")
    assert not log.of("task.failed")


async def test_a_message_without_end_ends_the_connection(server: AmiServer, ami: Ami, log: Log) -> None:
    def flood() -> bool:
        server.send(b"x" * 65536)
        return bool(log.of("ami.disconnected"))

    await wait_for(flood, "the end of the connection")
    await wait_for(lambda: ami.connected, "the next one")


# ---------------------------------------------------------------- the log


async def test_nothing_of_it_is_found_in_any_log(
    server: AmiServer, log: Log, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """The library writes whole messages at DEBUG, and whole actions at INFO."""
    caplog.set_level(logging.DEBUG)
    ami = made(server, log)
    ami.on("UserEvent", lambda _: None)
    await ami.open()
    server.send(message(Event="UserEvent", UserEvent=CANARY))
    server.rule("Redirect", nothing)
    asking = asyncio.create_task(ami.action("Redirect", Channel=CANARY))
    await wait_for(lambda: server.of("Redirect"), "the action")
    server.drop()
    with pytest.raises(AmiError):
        await asking
    await wait_for(lambda: len(server.of("Login")) == 2 and ami.connected, "the next login")
    await ami.close()
    said = capfd.readouterr()
    shown = [*(record.getMessage() for record in caplog.records if record.name != "asyncio"), said.out, said.err]
    assert not [text for text in (*shown, str(log.lines)) if "canary" in text]
    assert not [record for record in caplog.records if record.name.startswith("panoramisk")]


# ---------------------------------------------------------------- the settings


def test_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "tillit.toml"
    text = '[company]\nname = "x"\ncountry = "SE"\n[policies.main]\nsteps = ["pin"]\nlevel = 1\n'
    file.write_text(text)
    assert load(file).asterisk.ami is None
    file.write_text(f"{text}[asterisk.ami]\n")
    assert load(file).asterisk.ami == AmiSettings(host="127.0.0.1", port=5038, username="tillit", seconds=5.0)
    for line, place in (
        ('host = "192.0.2.1"', r"\[asterisk\.ami\]: would go in clear to another machine"),
        ("port = 0", r"\[asterisk\.ami\] port"),
        ("prot = 5038", r"\[asterisk\.ami\] prot: there is no such setting\. Did you mean port\?"),
    ):
        file.write_text(f"{text}[asterisk.ami]\n{line}\n")
        with pytest.raises(ConfigError, match=place):
            load(file)
