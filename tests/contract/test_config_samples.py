"""The samples of config/asterisk in a real Asterisk: they work, and unchanged they let nobody in."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.ami import Ami
from rig.asterisk import Pbx
from rig.phone import Phone
from rig.ports import HOST
from rig.stage import PROMPTS
from rig.state import CHECKOUT, RigError, wait_until

from ivr.asterisk.ami import Ami as Manager
from ivr.asterisk.exchange import EVENTS
from ivr.asterisk.presence import Presence, State
from ivr.asterisk.talks import Talks
from ivr.config import AmiSettings
from ivr.errors import AmiError
from ivr.secret import Secret
from tests.contract.ari_log import Log, wait_for

pytestmark = pytest.mark.servers

CONFIG = CHECKOUT / "config"
FILES = ("http.conf", "tillit-ari.conf", "manager.conf", "logger.conf", "cel.conf", "extensions.conf", "features.conf")
DIALPLAN = CHECKOUT / "dialplan" / "tillit.conf"

# Not of the samples: somebody who hears everything, to know that there was something to be heard.
WATCH = """
[watch]
secret = @
read = all
write = reporting
"""
AMI_USERS = ("tillit-events", "tillit", "tillit-desk")
QUEUES = "\n[front-desk]\nmember => PJSIP/agent3\n"


def laid_over(pbx: Pbx) -> None:
    """Put the samples in the place of the rig's own files; ports alone are others."""
    etc = pbx.folder / "etc"
    for name in FILES:
        text = (CONFIG / "asterisk" / name).read_text()
        text = text.replace("bindport = 8088", f"bindport = {pbx.http_port}")
        text = text.replace("port = 5038", f"port = {pbx.ami_port}")
        (etc / name).write_text(text)
    (etc / "ari.conf").write_text('[general]\n#include "tillit-ari.conf"\n')
    shutil.copy(DIALPLAN, etc / "tillit.conf")
    with (etc / "manager.conf").open("a") as opened:
        opened.write(WATCH.replace("@", pbx.watch_password))


def replace(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert text.count(before) == 1, f"{file.name} has {before!r} {text.count(before)} times"
    file.write_text(text.replace(before, after))


def fill_in(pbx: Pbx) -> None:
    """What the samples tell the administrator to do."""
    etc = pbx.folder / "etc"
    replace(etc / "tillit-ari.conf", "\n;password =", f"\npassword = {pbx.ari_password}")
    manager = etc / "manager.conf"
    assert manager.read_text().count("\n;secret =") == len(AMI_USERS)
    manager.write_text(manager.read_text().replace("\n;secret =", f"\nsecret = {pbx.ami_password}"))


def made(name: str) -> Pbx:
    pbx = Pbx(
        name=name,
        caller_context="from-trunk",
        prompts={"en": PROMPTS / "en" / "tillit"},
        overrides={"queues.conf": QUEUES},
        ports=100,
    )
    laid_over(pbx)
    return pbx


@pytest.fixture(scope="module")
def pbx() -> Iterator[Pbx]:
    made_pbx = made("samples")
    fill_in(made_pbx)
    with made_pbx:
        yield made_pbx


def messages(pbx: Pbx) -> str:
    return pbx.said(log="messages.log")


# ---------------------------------------------------------------- unchanged


async def test_unchanged_they_let_nobody_in() -> None:
    with made("unchanged") as pbx:
        own = pbx.ari_password
        for pbx.ari_password in ("", "password", ";", own):
            with pytest.raises(RigError, match="401"):
                pbx.ari("GET", "asterisk/info")
        for secret in ("", ";", "secret"):
            for user in AMI_USERS:
                assert await answer_to_login(pbx, secret, user) == "Error"

        fill_in(pbx)
        for name in FILES:
            command = re.search(r"Takes effect with: asterisk -rx '(.+)'", (CONFIG / "asterisk" / name).read_text())
            assert command is not None, f"{name} does not say how it takes effect"
            answer = pbx.cli(command[1])
            assert not re.search(r"(?i)no such|not support|unable|not found", answer), answer
        assert pbx.ari("GET", "asterisk/info")
        for user in AMI_USERS:
            assert await answer_to_login(pbx, pbx.ami_password, user) == "Success"


async def test_an_empty_secret_would_let_everybody_in() -> None:
    """What the sample warns of is so."""
    pbx = made("empty")
    manager = pbx.folder / "etc" / "manager.conf"
    manager.write_text(manager.read_text().replace("\n;secret =", "\nsecret ="))
    with pbx:
        for user in AMI_USERS:
            assert await answer_to_login(pbx, "", user) == "Success"


async def answer_to_login(pbx: Pbx, secret: str, user: str) -> str:
    reader, writer = await asyncio.open_connection(HOST, pbx.ami_port)
    try:
        writer.write(f"Action: Login\r\nUsername: {user}\r\nSecret: {secret}\r\n\r\n".encode())
        async with asyncio.timeout(5):
            async for line in reader:
                if line.startswith(b"Response: "):
                    return line.decode().split(": ")[1].strip()
    finally:
        writer.close()
    return "nothing"


# ---------------------------------------------------------------- filled in


def test_nothing_in_them_is_complained_about(pbx: Pbx) -> None:
    bad = [line for line in messages(pbx).splitlines() if "] WARNING[" in line or "] ERROR[" in line]
    assert bad == []


def test_the_ari_user_can_log_in(pbx: Pbx) -> None:
    assert pbx.ari("GET", "asterisk/info")["system"]["version"]
    shown = pbx.cli("ari show user tillit")
    assert re.search(r"Read only\?:\s+No", shown), shown
    assert pbx.cli("http show status").count(f"{HOST}:{pbx.http_port}") == 1


def test_every_line_of_the_dialplan_is_there(pbx: Pbx) -> None:
    for context, count in lines_of(DIALPLAN).items():
        shown = pbx.cli(f"dialplan show {context}")
        assert len(re.findall(r"\d+\. \w+\(", shown)) == count, shown
    for context, count in lines_of(CONFIG / "asterisk" / "extensions.conf").items():
        assert len(re.findall(r"\d+\. \w+\(", pbx.cli(f"dialplan show {context}"))) == count


def lines_of(file: Path) -> dict[str, int]:
    """How many priorities each context of a dialplan file has."""
    counts: dict[str, int] = {}
    for line in file.read_text().splitlines():
        if head := re.match(r"\[([\w-]+)\]", line):
            counts[head[1]] = 0
        elif re.match(r"\s*(exten|same)\s*=>", line):
            counts[list(counts)[-1]] += 1
    assert counts
    return counts


def test_every_module_is_there(pbx: Pbx) -> None:
    modules = re.findall(r"(?m)^load = (\S+)$", (CONFIG / "asterisk" / "modules.conf").read_text())
    assert "app_stasis.so" in modules
    running = re.findall(r"(?m)^(\S+\.so) .* Running ", pbx.cli("module show"))
    assert set(modules) <= set(running)


def test_the_modules_are_all_that_the_dialplan_and_ari_need() -> None:
    """With autoload = no, these alone and what they need of the SIP stack."""
    pbx = made("modules")
    fill_in(pbx)
    text = (CONFIG / "asterisk" / "modules.conf").read_text()
    sip = (
        "res_sorcery_config",
        "res_sorcery_memory",
        "res_sorcery_astdb",
        "res_pjproject",
        "res_pjsip",
        "res_pjsip_session",
        "app_queue",
    )
    more = "".join(f"load = {module}.so\n" for module in sip)
    (pbx.folder / "etc" / "modules.conf").write_text(text.replace("[modules]", "[modules]\nautoload = no") + more)
    with pbx:
        loaded = pbx.cli("module show")
        assert "app_voicemail" not in loaded
        for context in lines_of(DIALPLAN):
            for application in set(re.findall(r"\d+\. (\w+)\(", pbx.cli(f"dialplan show {context}"))):
                assert "-= Info" in pbx.cli(f"core show application {application}"), application
        # STIR_SHAKEN is asked where TILLIT_ATTESTATION says so alone
        for function in {"IF", *re.findall(r"\b([A-Z][A-Z_]{2,})\(", DIALPLAN.read_text())} - {"STIR_SHAKEN"}:
            assert "-= Info" in pbx.cli(f"core show function {function}"), function
        for path in ("asterisk/info", "channels", "bridges", "applications", "sounds"):
            pbx.ari("GET", path)
        assert not [line for line in messages(pbx).splitlines() if "] ERROR[" in line]


def test_cel_tells_of_no_keys(pbx: Pbx) -> None:
    shown = pbx.cli("cel show status")
    assert "CEL Logging: Enabled" in shown
    assert "CEL Tracking Event: HANGUP" in shown
    assert "DTMF" not in shown
    assert "ALL" not in shown


def test_no_log_file_gets_keys(pbx: Pbx) -> None:
    shown = pbx.cli("logger show channels")
    assert "NOTICE WARNING ERROR" in shown
    levels = shown.partition("Configuration")[2].upper()
    for level in ("DTMF", "DEBUG", "*"):
        assert level not in levels


async def test_a_caller_without_a_worker_reaches_the_front_desk_and_nobody_sees_the_keys(pbx: Pbx) -> None:
    async with Ami(pbx) as everything, Listener(pbx) as listener, Phone(pbx.line("caller")) as caller:
        await caller.call("100")
        await caller.until("confirmed")
        await caller.send_digits("83926174#")
        await asyncio.to_thread(
            wait_until, lambda: "PJSIP/caller" in pbx.cli("queue show front-desk"), 20, "the caller in the queue"
        )
        heard = await everything.until("Event", "DTMFEnd")
        assert heard["Digit"] == "8"
        for name in ("CallerAuthenticated", "CallerLockedOut", "SomethingElse"):
            pbx.cli(f"dialplan add extension {name},1,UserEvent,{name} into told")
            pbx.cli(f"channel originate Local/{name}@told application Wait 0.1")
            await everything.user_event(name)
        told = await listener.until(b"CallerLockedOut")
        await caller.hang_up()
    assert b"CallerAuthenticated" in told
    assert set(re.findall(rb"(?m)^Event: (\w+)", told)) <= {b"UserEvent", b"FullyBooted"}
    for secret in (b"DTMF", b"Digit", b"SomethingElse", b"83926174"):
        assert secret not in told
    assert "DTMF" not in messages(pbx)
    assert "83926174" not in messages(pbx)


async def test_the_worker_follows_the_queue_and_is_told_nothing_else(pbx: Pbx) -> None:
    log = Log()
    ami = Manager(AmiSettings(port=pbx.ami_port), Secret(pbx.ami_password), log=log.logger)
    presence = Presence(ami, log.logger)
    async with Ami(pbx) as everything, Listener(pbx, "tillit") as listener, Phone(pbx.line("caller")) as caller:
        await ami.open()
        await presence.until_known()
        assert [member.interface for member in presence.members("front-desk")] == ["PJSIP/agent3"]
        assert presence.endpoints["PJSIP/agent3"] is State.OFFLINE
        await caller.call("100")
        await wait_for(lambda: presence.endpoints["PJSIP/caller"] is State.BUSY, "the caller to be busy")
        await caller.until("confirmed")
        await caller.send_digits("8392#")
        await everything.until("Event", "DTMFEnd", Digit="#")
        pbx.cli("queue pause member PJSIP/agent3 queue front-desk")
        await wait_for(lambda: presence.members("front-desk")[0].paused, "the pause")
        pbx.cli("queue unpause member PJSIP/agent3 queue front-desk")
        await wait_for(lambda: not presence.members("front-desk")[0].paused, "its end")
        told = await listener.until(b"QueueMemberPause")
        for action in ("Originate", "Redirect", "Command", "Setvar", "UserEvent", "GetConfig", "Hangup", "Filter"):
            with pytest.raises(AmiError, match="Permission denied"):
                await ami.action(action)
        await ami.close()
        await presence.close()
        await caller.hang_up()
    names = set(re.findall(rb"(?m)^Event: (\w+)", told)) - {b"FullyBooted"}
    assert names <= {b"DeviceStateChange", b"QueueMemberPause", b"QueueMemberStatus"}
    assert b"Digit" not in told
    # of three lists none was refused
    assert not log.of("presence.denied")


async def test_the_desk_follows_a_call_and_is_told_nothing_else(pbx: Pbx) -> None:
    """And its filters are for just those events that the program listens to."""
    sample = (CONFIG / "asterisk" / "manager.conf").read_text()
    desk = re.search(r"(?ms)^\[tillit-desk\]\n(.*?)^; For every", sample)
    assert desk is not None
    assert set(re.findall(r"(?m)^eventfilter\(action\(include\),name\((\w+)\)\) =$", desk[1])) == set(EVENTS)
    assert desk[1].count("eventfilter") == len(EVENTS)

    log = Log()
    ami = Manager(AmiSettings(port=pbx.ami_port, username="tillit-desk"), Secret(pbx.ami_password), log=log.logger)
    talks = Talks({pbx.ari("GET", "asterisk/info")["system"]["entity_id"]: ami}, log.logger)
    # with the option t keys go through Asterisk's hands, and not from phone to phone
    pbx.cli('dialplan add extension talk,1,Dial,"PJSIP/agent3,30,t" into from-trunk')
    async with (
        Ami(pbx) as everything, Listener(pbx, "tillit-desk") as listener, Phone(pbx.line("agent3")) as agent,
        Phone(pbx.line("caller")) as caller,
    ):  # fmt: skip
        await ami.open()
        await talks.until_known()
        await caller.call("talk")
        await agent.incoming()
        await agent.answer()
        await caller.until("confirmed")
        async with asyncio.timeout(10):
            while not (found := await talks.of("PJSIP/agent3")):
                await asyncio.sleep(0.02)
        assert [other.endpoint for other in found[0].others] == ["PJSIP/caller"]
        await caller.send_digits("8392#")
        await everything.until("Event", "DTMFEnd", Digit="#")
        for action in ("Originate", "Command", "GetConfig", "Filter", "QueuePause", "MixMonitor"):
            with pytest.raises(AmiError, match="Permission denied"):
                await ami.action(action)
        # what the buttons need; Asterisk knows no narrower rights
        for action in ("Redirect", "Setvar"):
            with pytest.raises(AmiError, match="specified"):
                await ami.action(action)
        await ami.user_event("CallerWrongPerson", Subject="nobody")
        await caller.hang_up()
        told = await listener.until(b"Event: Hangup")
        async with asyncio.timeout(10):
            while await talks.of("PJSIP/agent3"):
                await asyncio.sleep(0.02)
        await ami.close()
        await talks.close()
    assert set(re.findall(rb"(?m)^Event: (\w+)", told)) - {b"FullyBooted"} <= {event.encode() for event in EVENTS}
    assert b"Digit" not in told
    assert b"8392" not in told
    assert not log.of("talks.denied")


class Listener:
    """A user of manager.conf: whoever wants to hear of marks, or the worker."""

    def __init__(self, pbx: Pbx, user: str = "tillit-events") -> None:
        self._pbx = pbx
        self._user = user
        self._told = bytearray()

    async def __aenter__(self) -> Listener:
        self._reader, self._writer = await asyncio.open_connection(HOST, self._pbx.ami_port)
        login = f"Action: Login\r\nUsername: {self._user}\r\nSecret: {self._pbx.ami_password}\r\nEvents: on\r\n\r\n"
        self._writer.write(login.encode())
        assert b"Response: Success" in await self.until(b"Authentication accepted")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def until(self, text: bytes) -> bytes:
        async with asyncio.timeout(10):
            while text not in self._told:
                self._told += await self._reader.read(4096)
        return bytes(self._told)
