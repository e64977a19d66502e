"""A canary PIN and a code are keyed in each way that there is, with the log at DEBUG, and then looked for everywhere."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rig.ami import Ami
from rig.stage import ANNA, BO, DIALPLAN, Customer, Stage, code_in
from rig.worker import Worker

from tests.contract.texts_kit import tables
from tests.contract.texts_server import PASSWORD, TextsServer, elks
from tests.e2e.scene import Scene
from tests.e2e.searched import Application, Canaries, Wire, files, keys_in, memory

EVA = Customer("83926", "Eva Falk", "+46701740605", "83926174")
FRED = Customer("83927", "Fred Gran", "+46701740606", "50917362")
WRONG = "71604928"
# In the worker's environment, and so in its memory for good: what is not found there would have been.
PLANTED = "59281736"

STAGE = {
    "customers": (ANNA, BO, EVA, FRED),
    "dialplan": DIALPLAN
    + """
; recorded before and while the caller keys: what both say, and what the caller's side says
[callers]
exten => _7XX,1,MixMonitor(both-${EXTEN}.wav,r(heard-${EXTEN}.wav))
 same => n,Goto(callers,100,1)
""",
}


@pytest.fixture
async def gateway() -> AsyncIterator[TextsServer]:
    async with TextsServer(elks) as running:
        yield running


@pytest.fixture
def worker(stage: Stage, gateway: TextsServer, request: pytest.FixtureRequest) -> Iterator[Worker]:
    """A worker that sends texts as a customer's would: the outbox keeps them in clear."""
    stage.write_config({"texts": {"gateway": "46elks"}, **tables("46elks", gateway.url)})
    (stage.folder / "password").touch(0o600)
    (stage.folder / "password").write_text(PASSWORD)
    with Worker(stage.pbx, stage.config, name=request.node.name, env={"PLANTED": PLANTED}) as running:
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
            yield file
        finally:
            running.terminate()
            running.wait()
    file.unlink()


@pytest.mark.parametrize(
    ("extension", "endpoint", "method"),
    [("701", "caller", "rfc4733"), ("702", "caller-info", "info"), ("703", "caller-inband", "inband")],
)
async def test_a_canary_is_found_nowhere(
    scene: Scene, monitored: Path, gateway: TextsServer, extension: str, endpoint: str, method: str
) -> None:
    pbx, pid = scene.stage.pbx, scene.worker.child.pid
    pbx.cli("core set verbose 5")
    agent = await scene.phone("agent1")
    ports = (pbx.sip_port, pbx.http_port, pbx.ami_port, scene.stage.redis.port, gateway.port)
    with Wire(*ports) as wire:
        async with (
            Ami(pbx) as everything,
            Application(pbx, "other", subscribe=False) as other,
            Application(pbx, "nosy", subscribe=True) as nosy,
        ):
            caller = await scene.caller(extension, who=EVA, endpoint=endpoint)
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
        client.save()
    copy = scene.stage.folder / "copy.db"
    with closing(sqlite3.connect(scene.stage.database)) as database, closing(sqlite3.connect(copy)) as target:
        database.backup(target)
    told = bytes(everything.raw)
    places = files(scene.stage) | {"AMI": told, "MONITOR": monitored.read_bytes()}
    # what this test says to its gateway and hears from it is there to be keyed
    traffic = {
        "SIP": b"\n".join(packet.payload for packet in wire.of(pbx.sip_port)),
        "Redis": b"\n".join(packet.payload for packet in wire.of(scene.stage.redis.port)),
        "ARI": b"\n".join(packet.payload for packet in wire.of(pbx.http_port)),
        "AMI on the wire": b"\n".join(packet.payload for packet in wire.of(pbx.ami_port)),
    }
    canaries.assert_in_none(places | traffic)
    assert canaries.found(b"\n".join(packet.payload for packet in wire.of(gateway.port))) == [code], "the wire is deaf"

    # not one at a time either
    assert not re.search(rb"(?im)^(digit:|event: dtmf)", told), "AMI tells of single digits"
    for place in ("full.log", "Master.csv", "queue_log"):
        assert not any(re.search(rb"(?i)dtmf", c) for p, c in places.items() if p.endswith(place)), f"{place}: digits"
    assert b"ChannelDtmf" not in other.told
    agents = b"\n".join(packet.payload for packet in wire.of(pbx.sip_port) if b"agent1" in packet.payload)
    assert b"INVITE sip:agent1" in agents and b"dtmf-relay" not in agents and b"Signal=" not in agents
    # what stays open, and is written down in docs/security.md: whoever may log in at ARI
    assert WRONG + EVA.pin + code in nosy.digits()
    # tones that it takes for keys Asterisk blanks, but for a moment at their beginning
    recorded = keys_in(pbx.folder / "spool" / "monitor" / f"heard-{extension}.wav")
    assert len(recorded) <= (4 if method == "inband" else 0), recorded

    # it is not kept, but what was freed stays in a process's memory until it is used for something else
    assert Canaries((PLANTED,), code).found(memory(pid)), "the memory cannot be read"
    await scene.until(lambda: not canaries.found(memory(pid)), "the worker's memory to be clean")


async def test_the_log_does_not_depend_on_what_is_keyed(scene: Scene, gateway: TextsServer) -> None:
    """Line for line the same, but for ids and times, whatever the digits are."""
    lines = []
    texts = []
    await scene.logged("reconciled")
    for who in (EVA, FRED):
        begun = len(scene.log())
        caller = await scene.caller("100", who=who)
        await scene.asked("pin", 1 + len(lines))
        await caller.send_digits(who.pin)
        await scene.asked("sms_code", 1 + len(lines))
        await caller.send_digits(code_in((await gateway.until_asked(1 + len(lines))).form["message"]))
        await scene.logged("call.handed_back", 1 + len(lines))
        await caller.hang_up()
        await scene.logged("mark.dropped", 1 + len(lines))
        await scene.idle()
        logged = [_without_ids(line) for line in scene.log()[begun:]]
        # the text goes out beside the call: where its lines stand among the others is chance
        lines.append([line for line in logged if line["event"] not in _OF_THE_TEXT])
        texts.append([line for line in logged if line["event"] in _OF_THE_TEXT])
    assert lines[0] == lines[1]
    assert texts[0] == texts[1] and len(texts[0]) == len(_OF_THE_TEXT)


_OF_THE_TEXT = ("gateway.took", "text.sent")


def _without_ids(line: dict[str, object]) -> dict[str, object]:
    left_out = ("call", "at", "subject", "number", "seconds")
    return {name: value for name, value in line.items() if name not in left_out}


async def test_tones_that_are_not_taken_for_keys_stand_in_a_recording(scene: Scene) -> None:
    """The control of the one above, and what docs/security.md says of tones in the sound."""
    caller = await scene.caller("704", who=EVA)
    await scene.asked("pin")
    await caller.send_digits(WRONG, method="inband")
    await caller.hang_up()
    await scene.idle()
    assert keys_in(scene.stage.pbx.folder / "spool" / "monitor" / "heard-704.wav") == WRONG


_FAULT = """
import builtins, sys
real = builtins.__import__

def importing(*words, **more):
    module = real(*words, **more)
    pins = sys.modules.get("ivr.vault.pin")
    if hasattr(pins, "PinHasher") and not hasattr(pins, "broken"):
        pins.broken = True
        async def matches(self, pin, record):
            digits = pin.reveal()
            raise ValueError(f"no {digits}", digits, pin)
        pins.PinHasher.matches = matches
    return module

builtins.__import__ = importing
"""


async def test_a_fault_with_the_pin_in_its_words_tells_nobody(scene: Scene, tmp_path: Path) -> None:
    """An exception that nobody expects, whose text, arguments and frames hold what was keyed."""
    scene.worker.stop()
    (tmp_path / "sitecustomize.py").write_text(_FAULT)
    with Worker(scene.stage.pbx, scene.stage.config, name="broken", env={"PYTHONPATH": str(tmp_path)}) as broken:
        caller = await scene.caller("100", who=EVA)
        await scene.logged("entry.asked", of=broken, entry="pin")
        await caller.send_digits(EVA.pin)
        line = await scene.logged("task.failed", of=broken)
        assert line["error"] == "ValueError" and "sitecustomize" in line["code"]
        await scene.reached("unverified", Status="unavailable")
        await caller.hang_up()
        broken.stop()
        said = broken.log_file.read_bytes()
    Canaries((EVA.pin,), "000000").assert_in_none({"what the worker has printed": said, **_logs(scene.stage)})


def _logs(stage: Stage) -> dict[str, bytes]:
    stage.pbx.said()
    return {file.name: content for file in (stage.pbx.folder / "log").iterdir() if file.is_file() and (content := file.read_bytes())}  # fmt: skip
