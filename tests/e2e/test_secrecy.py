"""A canary PIN and a code are keyed in each way that there is, with the log at DEBUG, and then looked for everywhere."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from rig.ami import Ami
from rig.ports import HOST, Ports
from rig.stage import ANNA, BO, DIALPLAN, Customer, Stage, code_in
from rig.state import wait_until
from rig.worker import Worker

from tests.contract.texts_kit import tables
from tests.contract.texts_server import PASSWORD, TextsServer, elks
from tests.e2e.scene import Scene
from tests.e2e.searched import Application, Canaries, core, customers, files, keys_in, memory, opened
from tests.e2e.wire import Wire

EVA = Customer("83926", "Eva Falk", "+46701740605", "83926174")
FRED = Customer("83927", "Fred Gran", "+46701740606", "50917362")
GRETA = Customer("83928", "Greta Hav", "+46701740607", "46180295")
WRONG = "71604928"
# Keyed by nobody, and put into every place that is searched: what is not found there would have been.
PLANTED = "59281736"

DIALPLANS = """
; recorded before and while the caller keys: what both say, and what the caller's side says
[callers]
exten => _7XX,1,MixMonitor(both-${EXTEN}.wav,r(heard-${EXTEN}.wav))
 same => n,Gosub(planted,s,1)
 same => n,Goto(callers,100,1)
; the way in by AGI, and the mark told of by AGI
exten => 705,1,MixMonitor(both-${EXTEN}.wav,r(heard-${EXTEN}.wav))
 same => n,Gosub(planted,s,1)
 same => n,AGI(agi://{agi}/verify,main)
 same => n,AGI(agi://{agi}/mark)
 same => n,Goto(${IF($["${CALLER_AUTH_STATUS}" = "verified"]?verified:unverified)},s,1)

[planted]
exten => s,1,Verbose(5,at the level of five)
 same => n,UserEvent(Planted,Word: {word})
 same => n,CELGenUserEvent(PLANTED,{word})
 same => n,Set(CDR(userfield)={word})
 same => n,QueueLog(support,${UNIQUEID},NONE,PLANTED,{word})
 same => n,AGI(agi://{agi}/{word})
 same => n,Return()
"""
# all that Asterisk can tell short of keys
OVERRIDES = {
    "asterisk.conf": "\nverbose = 5\n",
    "logger.conf": "\nsecurity.log => security\n",
    "cdr_manager.conf": "[general]\nenabled = yes\n",
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where the worker speaks AGI."""
    with closing(Ports()) as ports:
        yield ports.take()


@pytest.fixture(scope="module")
def stage(port: int) -> Iterator[Stage]:
    planted = DIALPLANS.replace("{agi}", f"{HOST}:{port}").replace("{word}", PLANTED)
    who = (ANNA, BO, EVA, FRED, GRETA)
    with Stage(customers=who, dialplan=DIALPLAN + planted, overrides=OVERRIDES, name="secrecy", brisk=True) as made:
        made.pbx.cli("module load cdr_manager.so")
        made.pbx.cli("agi set debug on")
        made.command("keys", "backup", str(identity(made)))
        yield made


def identity(stage: Stage) -> Path:
    """What opens back-ups."""
    return stage.folder / "identity"


@pytest.fixture
async def gateway() -> AsyncIterator[TextsServer]:
    async with TextsServer(elks) as running:
        yield running


@pytest.fixture
def started() -> Iterator[Path]:
    """Where the worker is started, and its core file comes: in memory, for on a disk it would hold up all that is written beside it."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="tillit-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def worker(
    stage: Stage, gateway: TextsServer, port: int, started: Path, request: pytest.FixtureRequest
) -> Iterator[Worker]:
    """A worker that sends texts as a customer's would: the outbox keeps them in clear. It is started in a folder of its own."""
    (recipient,) = re.findall(r"age1\w+", identity(stage).read_text())
    more = {"agi": {"listen": f"{HOST}:{port}"}, "backup": {"recipients": [recipient]}}
    stage.write_config({"texts": {"gateway": "46elks"}, **tables("46elks", gateway.url), **more})
    (stage.folder / "password").touch(0o600)
    (stage.folder / "password").write_text(PASSWORD)
    with Worker(stage.pbx, stage.config, name=request.node.name, env={"PLANTED": PLANTED}, folder=started) as running:
        yield running


@pytest.fixture
def monitored(stage: Stage) -> Iterator[Path]:
    """Everything that Redis is told."""
    file = stage.folder / "outbox" / "monitor.txt"
    file.parent.mkdir(mode=0o700, exist_ok=True)
    with file.open("wb") as opened:
        command = ["redis-cli", "-p", str(stage.redis.port), "monitor"]
        environment = dict(os.environ, REDISCLI_AUTH=stage.redis.password)
        running = subprocess.Popen(command, stdout=opened, env=environment)
        try:
            wait_until(lambda: file.stat().st_size > 0, 10, "Redis to be listened to")
            yield file
        finally:
            running.terminate()
            running.wait()
    file.unlink()


@pytest.mark.parametrize(
    ("extension", "endpoint", "method"),
    [
        ("701", "caller", "rfc4733"),
        ("702", "caller-info", "info"),
        ("703", "caller-inband", "inband"),
        ("705", "caller", "rfc4733"),
    ],
    ids=["rfc4733", "info", "inband", "agi"],
)
async def test_a_canary_is_found_nowhere(
    scene: Scene, monitored: Path, gateway: TextsServer, port: int, started: Path,
    extension: str, endpoint: str, method: str, record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    stage, pbx = scene.stage, scene.stage.pbx
    agent = await scene.phone("agent1")
    ports = (pbx.sip_port, pbx.http_port, pbx.ami_port, stage.redis.port, gateway.port, port)
    with Wire(*ports) as wire:
        async with (
            Ami(pbx) as everything,
            Application(pbx, "other", subscribe=False) as other,
            Application(pbx, "nosy", subscribe=True) as nosy,
        ):
            await other.say(PLANTED)
            # a wish to unlock stands in Redis, and in the audit trail
            wish = ("customer", "unlock", BO.number, "--reason", f"made up {PLANTED}")
            assert (await asyncio.to_thread(stage.attempt, *wish, by="rita")).returncode == 0
            caller = await scene.caller(extension, who=EVA, endpoint=endpoint, headers={"X-Planted": PLANTED})
            # once wrong, so that what is wrong is looked for too
            await scene.asked("pin")
            await caller.send_digits(WRONG, method=method)
            await scene.asked("pin", 2)
            await caller.send_digits(EVA.pin, method=method)
            await scene.asked("sms_code")
            code = code_in((await gateway.until_asked(1)).form["message"])
            await caller.send_digits(code, method=method)
            await agent.incoming()
            await agent.answer()
            await caller.hang_up()
            await scene.logged("mark.dropped")
            await scene.idle()
            # its last event is Asterisk's news of a call that all three knew of
            await scene.until(lambda: b"ChannelDestroyed" in nosy.told, "the end of the call")
    canaries = Canaries((EVA.pin, WRONG), code)
    assert not wire.lost, "the wire was not read to its end"

    with scene.redis as client:
        # what is compressed there is not found
        client.config_set("rdbcompression", "no")
        client.save()
        client.get("the end")
    await scene.until(lambda: b'"the end"' in monitored.read_bytes(), "MONITOR to be written to its end")
    copy = stage.folder / "copy.db"
    with closing(sqlite3.connect(stage.database)) as database, closing(sqlite3.connect(copy)) as target:
        database.backup(target)
    backup = stage.folder / f"{extension}.age"
    await asyncio.to_thread(stage.command, "backup", str(backup))
    data, keys = (opened(file, identity(stage)) for file in (backup, backup.with_name("data-keys.age")))
    told = bytes(everything.raw)
    # what this test says to its gateway and hears from it is there to be keyed
    planted = files(stage) | {
        "AMI": told,
        "another application": bytes(other.told),
        "another application that asks for everybody's events": bytes(nosy.told),
        "MONITOR": monitored.read_bytes(),
        "SIP": wire.said(pbx.sip_port),
        "Redis": wire.said(stage.redis.port),
        "ARI": wire.said(pbx.http_port),
        "AMI on the wire": wire.said(pbx.ami_port),
        "AGI": wire.said(port),
        "back-up, opened": data,
    }
    places = planted | {"its data keys": keys, "its customers, opened": customers(stage, data, keys)}
    canaries.assert_in_none(places)
    assert canaries.found(wire.said(gateway.port)) == [code], "the wire is deaf"
    _assert_planted(planted, f"{scene.worker.log_file.name}")
    assert all(part.encode() in places["its customers, opened"] for part in (EVA.name, EVA.number, EVA.phones))

    # not one at a time either
    assert not re.search(rb"(?im)^(digit:|event: dtmf)", told), "AMI tells of single digits"
    for place, content in places.items():
        if place.endswith((".log", "Master.csv", "queue_log")):
            # but for modules that have it in their names
            assert not re.findall(rb"(?im)^(?!.*(?: loader\.c: | Registered )).*dtmf.*$", content), f"{place}: digits"
    assert b"ChannelDtmf" not in other.told
    agents = b"\n".join(packet.payload for packet in wire.of(pbx.sip_port) if b"agent1" in packet.payload)
    assert b"INVITE sip:agent1" in agents and b"dtmf-relay" not in agents and b"Signal=" not in agents
    # what stays open, and is written down in docs/security.md: whoever may log in at ARI
    assert WRONG + EVA.pin + code in nosy.digits()
    # tones that it takes for keys Asterisk blanks, but for a moment at their beginning
    for side in ("heard", "both"):
        recorded = keys_in(pbx.folder / "spool" / "monitor" / f"{side}-{extension}.wav")
        assert len(recorded) <= (4 if method == "inband" else 0), f"{side}: {recorded}"

    # it is not kept, but what was freed stays in a process's memory until it is used for something else
    pid = scene.worker.child.pid
    assert Canaries((PLANTED,), code).found(memory(pid)), "the memory cannot be read"
    await scene.until(lambda: not canaries.found(memory(pid)), "the worker's memory to be clean")
    dump = await asyncio.to_thread(core, scene.worker, started)
    record_property("core_megabytes", None if dump is None else len(dump) >> 20)
    if dump is not None:
        canaries.assert_in_none({"core file": dump})
        assert PLANTED.encode() in dump, "the core file has nothing of the worker's memory"
    with scene.redis as client:
        client.flushdb()  # its lease, too: the next worker need not wait


# The ends of the names of files that have the word, too.
_FILES = ("full.log", "cdr-csv/Master.csv", "cel-custom/Master.csv", "queue_log", "copy.db", "dump.rdb")


def _assert_planted(places: Mapping[str, bytes], log: str) -> None:
    """The word is in all of them, but for files that this call leaves alone."""
    for place, content in places.items():
        if "/" not in place or place.endswith((*_FILES, log)):
            assert PLANTED.encode() in content, f"{place} would not have had it"
    written = b"".join(content for place, content in places.items() if "tillit.db" in place)
    appended = b"".join(content for place, content in places.items() if ".aof" in place)
    assert PLANTED.encode() in written and PLANTED.encode() in appended
    # not the command of it, which stands there at the level of three
    (full,) = (content for place, content in places.items() if place.endswith("full.log"))
    assert re.search(rb"[^,]at the level of five", full), "Asterisk is not as verbose as that"


async def test_log_and_redis_do_not_depend_on_what_is_keyed(
    scene: Scene, gateway: TextsServer, monitored: Path
) -> None:
    """Line for line the same, but for ids and times, whatever the digits are, and by whichever way they come."""
    lines: list[list[dict[str, object]]] = []
    texts: list[list[dict[str, object]]] = []
    told: list[dict[str, None]] = []
    await scene.logged("reconciled")
    for who, endpoint, method in (
        (EVA, "caller", "rfc4733"),
        (FRED, "caller-info", "info"),
        (GRETA, "caller-inband", "inband"),
    ):
        begun = len(scene.log())
        caller = await scene.caller("100", who=who, endpoint=endpoint)
        await scene.asked("pin", 1 + len(lines))
        await caller.send_digits(who.pin, method=method)
        await scene.asked("sms_code", 1 + len(lines))
        code = code_in((await gateway.until_asked(1 + len(lines))).form["message"])
        await caller.send_digits(code, method=method)
        await scene.logged("call.handed_back", 1 + len(lines))
        await caller.hang_up()
        await scene.logged("mark.dropped", 1 + len(lines))
        await scene.idle()
        logged = [_without_ids(line) for line in scene.log()[begun:]]
        # the text goes out beside the call: where its lines stand among the others is chance
        lines.append([line for line in logged if line["event"] not in _OF_THE_TEXT])
        texts.append([line for line in logged if line["event"] in _OF_THE_TEXT])
        call = str(scene.log("call.started")[-1]["call"])
        with scene.redis as client:
            client.get(f"the end of {call}")
        await scene.until(lambda end=f"the end of {call}": end in monitored.read_text(), "MONITOR to be written")  # type: ignore[misc]
        commands = (line.partition("] ")[2] for line in monitored.read_text().splitlines())
        of_this = re.compile(rf"{re.escape(call)}(?!\d)")
        told.append(
            # once each: a hang-up that comes as the mark is dropped has it dropped twice
            dict.fromkeys(
                re.sub(r"[\w-]{12,}|\d{5,}", "…", of_this.sub("CALL", line))
                for line in commands
                if of_this.search(line)
            )
        )
    assert lines[0] == lines[1] == lines[2]
    assert texts[0] == texts[1] == texts[2] and len(texts[0]) == len(_OF_THE_TEXT)
    assert list(told[0]) == list(told[1]) == list(told[2]) and len(told[0]) > 8


_OF_THE_TEXT = ("gateway.took", "text.sent")


def _without_ids(line: dict[str, object]) -> dict[str, object]:
    left_out = ("call", "at", "subject", "number", "seconds")
    return {name: value for name, value in line.items() if name not in left_out}


async def test_tones_that_are_not_taken_for_keys_stand_in_a_recording(scene: Scene) -> None:
    """The control of the one above, and what docs/security.md says of tones in the sound."""
    caller = await scene.caller("704", who=EVA)
    await scene.asked("pin")
    await caller.send_digits(WRONG, method="inband")
    # on the same way behind them: when it has come, they have
    await caller.send_digits("#")
    await scene.asked("pin", 2)
    await caller.hang_up()
    await scene.idle()
    assert keys_in(scene.stage.pbx.folder / "spool" / "monitor" / "heard-704.wav") == WRONG


_FAULT = """
import builtins, sys
real = builtins.__import__

def importing(*words, **more):
    module = real(*words, **more)
    pins, codes = sys.modules.get("ivr.vault.pin"), sys.modules.get("ivr.vault.codes")
    if hasattr(pins, "PinHasher") and not hasattr(pins, "broken"):
        pins.broken = pins.PinHasher.matches
        async def matches(self, pin, record):
            digits = pin.reveal()
            if digits == "EVAS":
                raise ValueError(f"no {digits}", digits, pin)
            return await pins.broken(self, pin, record)
        pins.PinHasher.matches = matches
    if hasattr(codes, "CodeMacs") and not hasattr(codes, "broken"):
        codes.broken, codes.sent = codes.CodeMacs.mac, set()
        def mac(self, code, **more):
            digits = code.reveal()
            if digits in codes.sent:
                raise ValueError(f"no {digits}", digits, code)
            codes.sent.add(digits)
            return codes.broken(self, code, **more)
        codes.CodeMacs.mac = mac
    return module

builtins.__import__ = importing
"""


async def test_a_fault_with_the_pin_or_the_code_in_its_words_tells_nobody(
    scene: Scene, gateway: TextsServer, tmp_path: Path
) -> None:
    """Exceptions that nobody expects, whose texts, arguments and frames hold what was keyed."""
    scene.worker.stop()
    (tmp_path / "sitecustomize.py").write_text(_FAULT.replace("EVAS", EVA.pin))
    with Worker(scene.stage.pbx, scene.stage.config, name="broken", env={"PYTHONPATH": str(tmp_path)}) as broken:
        caller = await scene.caller("100", who=EVA)
        await scene.logged("entry.asked", of=broken, entry="pin")
        await caller.send_digits(EVA.pin)
        await scene.logged("task.failed", of=broken)
        await scene.reached("unverified", Status="unavailable")
        await caller.hang_up()
        other = await scene.caller("100", who=FRED)
        await scene.logged("entry.asked", 2, of=broken, entry="pin")
        await other.send_digits(FRED.pin)
        await scene.logged("entry.asked", of=broken, entry="sms_code")
        code = code_in((await gateway.until_asked(1)).form["message"])
        await other.send_digits(code)
        await scene.logged("task.failed", 2, of=broken)
        await scene.until(lambda: len(scene.ami.events("Reached")) == 2, "the unverified branch")
        await other.hang_up()
        for line in scene.log("task.failed", of=broken):
            assert line["error"] == "ValueError" and "sitecustomize" in line["code"]
        broken.stop()
        said = broken.log_file.read_bytes()
    canaries = Canaries((EVA.pin, FRED.pin), code)
    canaries.assert_in_none({"what the worker has printed": said, **_logs(scene.stage)})


def _logs(stage: Stage) -> dict[str, bytes]:
    stage.pbx.said()
    return {file.name: content for file in (stage.pbx.folder / "log").iterdir() if file.is_file() and (content := file.read_bytes())}  # fmt: skip
