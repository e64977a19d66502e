"""One worker on two Asterisks: what happens on one is nothing to the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from rig.ami import Ami
from rig.asterisk import Pbx
from rig.phone import Phone
from rig.stage import ANNA, BO, DIALPLAN, Customer, Stage, code_in
from rig.worker import Worker

from tests.e2e.scene import LIMIT, Scene

SETTINGS = {"asterisk": {"request_seconds": 2.0}}
STAGE = {
    "nodes": ("south",),
    "dialplan": DIALPLAN
    + """
; the far end of a Local channel: it keys what the test writes into KEYS
[far]
exten => s,1,Answer()
 same => n(wait),Wait(0.05)
 same => n,GotoIf($["${KEYS}" = ""]?wait)
 same => n,Set(KEYED=${KEYS})
 same => n,Set(GLOBAL(KEYS)=)
 same => n,SendDTMF(${KEYED},100,100)
 same => n,Goto(wait)
""",
}
NORTH, SOUTH = "[asterisk]", "[nodes.south]"
# The channel that calls of the same name have, on each node.
# (Asterisk refuses a name that another one begins with.)
SAME, FAR = "same", "far-end"
_serial = count(1)


class Site:
    """One of the two nodes, as callers, administrators and the stores see it."""

    def __init__(self, scene: Scene, pbx: Pbx, place: str) -> None:
        self.scene = scene
        self.pbx = pbx
        self.place = place
        self.entity = ""
        self._ami: Ami | None = None

    async def here(self, connections: int = 1) -> None:
        """Wait until the worker serves this node, for the so-many-th time."""
        await self.logged("ari.connected", connections)
        await self.logged("reconciled", connections)
        info = await asyncio.to_thread(self.pbx.ari, "GET", "asterisk/info")
        self.entity = str(info["system"]["entity_id"])
        self._ami = await self.scene.keep(Ami(self.pbx))

    async def phone(self, endpoint: str) -> Phone:
        """A phone of this node, until the test ends."""
        return await self.scene.keep(Phone(self.pbx.line(endpoint)))

    async def caller(self, who: Customer = ANNA, extension: str = "100") -> Phone:
        """A phone that is in a call to the extension."""
        phone = await self.phone("caller")
        await phone.call(extension, number=who.phones.split(";")[0])
        await phone.until("confirmed")
        return phone

    async def same_caller(self, who: Customer) -> None:
        """A call whose channel has the same name on both nodes."""
        await asyncio.to_thread(
            self.pbx.ari,
            "POST",
            "channels",
            {
                "endpoint": "Local/100@callers/n",
                "context": "far",
                "extension": "s",
                "callerId": f"<{who.phones.split(';')[0]}>",
                "channelId": FAR,
                "otherChannelId": SAME,
            },
        )
        await self.logged("call.started", call=SAME)

    async def key_same(self, digits: str) -> None:
        """Key these in that call."""
        await asyncio.to_thread(self.pbx.cli, f"dialplan set global KEYS {digits}")

    async def hang_up_same(self) -> None:
        """End that call."""
        await asyncio.to_thread(self.pbx.ari, "DELETE", f"channels/{FAR}")

    async def asked(self, entry: str, count: int = 1) -> None:
        """Wait until a caller on this node has been asked for this entry so often."""
        await self.logged("entry.asked", count, entry=entry)

    async def logged(self, event: str, count: int = 1, **fields: object) -> dict[str, Any]:
        """Wait until the worker has logged this of this node."""
        return await self.scene.logged(event, count, place=self.place, **fields)

    def log(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """What it has logged of this node."""
        return self.scene.log(event, place=self.place, **fields)

    async def code(self, who: Customer) -> str:
        """The code that was sent to the customer."""
        return code_in(await asyncio.to_thread(self.scene.stage.wait_text, who.phones.split(";")[0]))

    async def verify(self, phone: Phone, who: Customer = ANNA) -> None:
        """Key the PIN and the code when they are asked for."""
        await self.asked("pin")
        await phone.send_digits(f"{who.pin}#")
        await self.asked("sms_code")
        await phone.send_digits(await self.code(who))

    async def reached(self, path: str, **fields: str) -> None:
        """Wait until the dialplan's branch was reached."""
        assert self._ami is not None
        await self._ami.user_event("Reached", Path=path, timeout=LIMIT, **fields)

    def marks(self) -> list[str]:
        """The keys of this node's marks."""
        return [key for key in self.scene.marks() if f":mark:{self.entity}:" in key]

    async def idle(self) -> None:
        """Wait until no channel and no bridge is left."""
        await asyncio.to_thread(self.pbx.wait_idle, LIMIT)


@pytest.fixture
def worker(stage: Stage, request: pytest.FixtureRequest) -> Iterator[Worker]:
    """Here it may end in mid-test, or find only one of the two nodes."""
    running = stage.worker(f"{request.function.__name__[:40]}-{next(_serial)}")
    running.start()
    try:
        yield running
    finally:
        if running.child.alive:
            running.stop()


@pytest.fixture
def absent(stage: Stage) -> Iterator[Pbx]:
    """The second node, which is down."""
    pbx = stage.nodes["south"]
    pbx.stop()
    yield pbx
    if not pbx.child.alive:
        pbx.start()


@pytest.fixture
async def north(scene: Scene) -> Site:
    site = Site(scene, scene.stage.pbx, NORTH)
    await site.here()
    return site


@pytest.fixture
async def south(scene: Scene, request: pytest.FixtureRequest) -> Site:
    site = Site(scene, scene.stage.nodes["south"], SOUTH)
    if "absent" not in request.fixturenames:
        await site.here()
    return site


async def test_callers_on_both_nodes_are_verified_at_the_same_time(north: Site, south: Site) -> None:
    anna, bo = await asyncio.gather(north.caller(ANNA), south.caller(BO))
    await asyncio.gather(north.verify(anna, ANNA), south.verify(bo, BO))
    await asyncio.gather(north.reached("verified", Level="2"), south.reached("verified", Level="2"))
    assert (len(north.marks()), len(south.marks())) == (1, 1)
    # their channels may bear the same name: Asterisk makes it of the second and a number that counts up from 0
    calls = {(line["call"], line["place"]) for line in north.scene.log("call.verified")}
    assert sorted(place for _, place in calls) == [NORTH, SOUTH]
    # every line of a call says which, and where: those of the gateway too
    kinds = ("call.", "step.", "entry.", "text.", "gateway.")
    of_calls = [line for line in north.scene.log() if line["event"].startswith(kinds)]
    assert {"gateway.took", "text.sent"} <= {line["event"] for line in of_calls}
    assert {(line["call"], line["place"]) for line in of_calls} == calls
    nodes = {json.loads(row["detail"])["node"] for row in north.scene.audit()[-2:]}
    assert nodes == {north.entity, south.entity}

    await anna.hang_up()
    await north.logged("mark.dropped")
    assert (len(north.marks()), len(south.marks())) == (0, 1)
    await bo.hang_up()
    await south.logged("mark.dropped")
    await south.idle()


async def test_channels_of_the_same_name_have_nothing_in_common(north: Site, south: Site) -> None:
    await north.same_caller(ANNA)
    await south.same_caller(BO)
    # what is wrong on one is not counted for the other: five wrong tries would end a call
    for n in (1, 2):
        await south.asked("pin", n)
        await south.key_same("9999#")
    await south.asked("pin", 3)
    await north.asked("pin")
    await north.key_same(f"{ANNA.pin}#")
    await asyncio.gather(north.asked("sms_code"), south.asked("pin", 3))
    await north.key_same(await north.code(ANNA))
    await north.reached("verified")

    assert [key.endswith(f":{SAME}") for key in north.marks()] == [True]
    assert south.marks() == [], "a mark of one node is a mark on the other"
    assert south.log("entry.key", entry="sms_code") == []
    await south.key_same("9999#")
    await south.reached("unverified", Status="refused")
    assert len(north.marks()) == 1
    await south.hang_up_same()
    await south.logged("call.ended")
    await south.idle()
    assert len(north.marks()) == 1, "the end of one node's call took the other's mark"
    await north.hang_up_same()
    await north.logged("mark.dropped")


async def test_a_node_that_dies_in_mid_call_is_nothing_to_the_other_and_is_served_again(
    north: Site, south: Site
) -> None:
    anna, bo = await asyncio.gather(north.caller(ANNA), south.caller(BO))
    await asyncio.gather(north.asked("pin"), south.asked("pin"))
    await asyncio.to_thread(south.pbx.kill)
    try:
        await south.logged("ari.disconnected")
        await south.logged("ari.unreachable")
        await north.verify(anna)
        await north.reached("verified")
        assert north.log("ari.disconnected") == []
    finally:
        await asyncio.to_thread(south.pbx.start)
    await south.here(2)
    await south.logged("call.ended")
    assert south.log("call.hung_up")
    del bo
    again = await south.caller(BO)
    await south.asked("pin", 2)
    await again.send_digits(f"{BO.pin}#")
    await south.asked("sms_code")
    await again.send_digits(await south.code(BO))
    await south.reached("verified")
    assert (len(north.marks()), len(south.marks())) == (1, 1)
    await again.hang_up()
    await south.logged("mark.dropped")
    await south.idle()
    await anna.hang_up()


async def test_a_mark_on_a_node_that_died_goes_when_it_is_back(north: Site, south: Site) -> None:
    anna, bo = await asyncio.gather(north.caller(ANNA), south.caller(BO))
    await asyncio.gather(north.verify(anna, ANNA), south.verify(bo, BO))
    await asyncio.gather(north.reached("verified"), south.reached("verified"))
    await asyncio.to_thread(south.pbx.kill)
    try:
        await south.logged("ari.disconnected")
        assert (len(north.marks()), len(south.marks())) == (1, 1)
    finally:
        await asyncio.to_thread(south.pbx.start)
    await south.here(2)
    await south.scene.until(lambda: south.marks() == [], "the mark to go")
    assert len(north.marks()) == 1
    await anna.hang_up()


async def test_a_node_that_is_not_there_at_the_start_is_served_when_it_comes(
    absent: Pbx, north: Site, south: Site
) -> None:
    line = await south.logged("node.unreachable", 2)
    assert "[nodes.south] url: no answer from" in line["error"]
    assert [line["seconds"] for line in south.log("node.unreachable")[:2]] == [1.0, 2.0]
    anna = await north.caller()
    await north.verify(anna)
    await north.reached("verified")
    await asyncio.to_thread(absent.start)
    await south.here()
    bo = await south.caller(BO)
    await south.verify(bo, BO)
    await south.reached("verified")
    await bo.hang_up()
    await south.idle()
    await anna.hang_up()


async def test_a_node_that_comes_without_prompts_is_refused_until_it_has_them(
    absent: Pbx, north: Site, south: Site
) -> None:
    prompts = absent.folder / "data" / "sounds" / "en" / "tillit"
    away = prompts.with_name("away")
    prompts.rename(away)
    try:
        await asyncio.to_thread(absent.start)
        line = await south.logged("node.refused")
        assert "the Asterisk of [nodes.south] lacks all prompts of 'en'" in line["error"]
        assert south.log("ari.connected") == []
        anna = await north.caller()
        await north.verify(anna)
        await north.reached("verified")
    finally:
        away.rename(prompts)
    await asyncio.to_thread(absent.cli, "module reload sounds")
    await south.here()
    bo = await south.caller(BO)
    await south.asked("pin")
    await bo.hang_up()
    await south.idle()
    await anna.hang_up()


async def test_sigterm_hands_back_the_calls_of_all_nodes(north: Site, south: Site) -> None:
    anna, bo = await asyncio.gather(north.caller(ANNA), south.caller(BO))
    await asyncio.gather(north.asked("pin"), south.asked("pin"))
    assert await asyncio.to_thread(north.scene.worker.stop) == 0
    await asyncio.gather(
        north.reached("unverified", Status="unavailable"), south.reached("unverified", Status="unavailable")
    )
    (stopping,) = north.scene.log("worker.stopping")
    assert stopping["calls"] == 2
    await asyncio.gather(anna.hang_up(), bo.hang_up())
    await south.idle()


async def test_sigterm_while_a_node_is_down(absent: Pbx, north: Site, south: Site) -> None:
    anna = await north.caller()
    await north.asked("pin")
    await south.logged("node.unreachable")
    assert await asyncio.to_thread(north.scene.worker.stop) == 0
    await north.reached("unverified", Status="unavailable")
    await anna.hang_up()


async def test_a_worker_that_is_replaced_on_one_node_goes_on_with_the_other(north: Site, south: Site) -> None:
    scene = north.scene
    anna, bo = await asyncio.gather(north.caller(ANNA), south.caller(BO))
    await asyncio.gather(north.asked("pin"), south.asked("pin"))
    config = scene.stage.folder / "south.toml"
    south_alone = {"url": south.pbx.ari_url, "password_file": "south.password"}
    config.write_text(_alone(scene.stage, south_alone))
    with Worker(south.pbx, config, name=f"south-alone-{next(_serial)}"):
        await south.logged("worker.replaced")
        await south.logged("call.left")
        released = await south.logged("node.released")
        assert released["served"] == [NORTH]
        # the other worker found the call that is nobody's any more, and sent it on
        await south.reached("unverified", Status="unavailable")
        await north.verify(anna)
        await north.reached("verified")
        assert scene.worker.child.alive
        await bo.hang_up()
        await south.idle()
    await anna.hang_up()
    await north.logged("mark.dropped")
    # and where it is replaced on the last one, it ends
    config.write_text(_alone(scene.stage, {"url": north.pbx.ari_url, "password_file": "ari.password"}))
    with Worker(north.pbx, config, name=f"north-alone-{next(_serial)}"):
        assert await asyncio.to_thread(scene.worker.child.exit_code) == 0
        assert scene.log("worker.stopped")


def _alone(stage: Stage, asterisk: dict[str, str]) -> str:
    """The settings of a worker that serves this node alone, and knows nothing of others: on their Redis it would stand by."""
    kept = [
        table for table in stage.config.read_text().split("\n[") if not table.startswith(("asterisk]", "nodes.south]"))
    ]
    elsewhere = "\n[".join(kept).replace("[redis]\n", '[redis]\nprefix = "elsewhere"\n')
    return elsewhere + "\n[asterisk]\n" + "".join(f'{name} = "{value}"\n' for name, value in asterisk.items())
