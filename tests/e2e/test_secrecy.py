"""A canary PIN and a code are keyed with the log at DEBUG, and then looked for everywhere."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.ami import Ami
from rig.stage import ANNA, BO, Customer, Stage

from tests.e2e.scene import Scene

EVA = Customer("83926", "Eva Falk", "+46701740605", "83926174")
FRED = Customer("83927", "Fred Gran", "+46701740606", "50917362")
STAGE = {"customers": (ANNA, BO, EVA, FRED)}


@pytest.fixture
def monitored(stage: Stage) -> Iterator[Path]:
    """Everything that Redis is told."""
    file = stage.folder / "monitor.txt"
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


async def test_a_canary_is_found_nowhere(scene: Scene, monitored: Path) -> None:
    scene.stage.pbx.cli("core set verbose 5")
    agent = await scene.phone("agent1")
    async with Ami(scene.stage.pbx) as everything:
        caller = await scene.caller("100", who=EVA)
        # once wrong, so that what is wrong is looked for too
        await scene.asked("pin")
        await caller.send_digits("71604928")
        await scene.asked("pin", 2)
        await caller.send_digits(EVA.pin)
        await scene.key_code(caller, EVA)
        code = await scene.code(EVA)
        await agent.incoming()
        await agent.answer()
        await caller.hang_up()
        await scene.logged("mark.dropped")
        await scene.idle()
        told = bytes(everything.raw)

    with scene.redis as client:
        client.save()
    places = _files(scene.stage) | {"AMI": told, "MONITOR": monitored.read_bytes()}
    assert len(places["MONITOR"]) > 1000, "MONITOR saw nothing: this test would find nothing"
    for place, content in places.items():
        for canary in (EVA.pin, "71604928"):
            assert canary.encode() not in content, f"the canary is in {place}"
        # six digits are found by chance in fractions of seconds and in hexadecimal numbers
        assert not re.search(rb"(?<![0-9a-f.])" + code.encode() + rb"(?![0-9a-f])", content), f"the code is in {place}"
    assert not re.search(rb"(?im)^(digit:|event: dtmf)", told), "AMI tells of single digits"
    for place in ("full.log", "Master.csv"):
        assert not any(re.search(rb"(?i)dtmf", c) for p, c in places.items() if p.endswith(place)), f"{place}: digits"


async def test_the_log_does_not_depend_on_what_is_keyed(scene: Scene) -> None:
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
        await caller.send_digits(await scene.code(who))
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


def _files(stage: Stage) -> dict[str, bytes]:
    """Every file that anybody wrote on this stage, but for the outbox and the phones' own recordings."""
    stage.pbx.said()  # its logs are written to the end
    found = {}
    for root in (stage.pbx.folder, stage.redis.folder):
        for file in root.rglob("*"):
            name = file.relative_to(root)
            left_out = (
                name.parts[0] in ("phones", "data", "etc") or "outbox" in name.parts or name.name == "monitor.txt"
            )
            if file.is_file() and not file.is_symlink() and not left_out:
                found[f"{root.name}/{name}"] = file.read_bytes()
    assert any(name.endswith("tillit.db") for name in found)
    assert any(name.endswith(".jsonl") for name in found)
    assert any(name.endswith("full.log") for name in found)
    assert any("aof" in name for name in found)
    return found
