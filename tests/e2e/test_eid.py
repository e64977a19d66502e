"""A caller who identifies by BankID, which is a local server that speaks its published form, on a real call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from rig.bankid import BankIdServer, Placed
from rig.phone import Phone
from rig.stage import ANNA, Stage
from rig.worker import Worker

from tests.contract.eid_kit import ANOTHER, WHO, Ends
from tests.contract.texts_server import TextsServer
from tests.e2e.scene import Scene

# ANOTHER is Anna here: the check digit of WHO is none, and what is entered is looked at
OURS, SOMEBODY = ANOTHER, WHO

STAGE = {
    "dialplan": """
[callers]
exten => 300,1,Gosub(tillit-verify,s,1(strict))
 same => n,GotoIf($["${CALLER_AUTH_STATUS}" = "verified"]?verified,s,1:unverified,s,1)

[verified]
exten => s,1,UserEvent(Reached,Path: verified,Status: ${CALLER_AUTH_STATUS},Level: ${CALLER_AUTH_LEVEL})
 same => n,Queue(support,b(tillit-badge^s^1),,,60)

[unverified]
exten => s,1,UserEvent(Reached,Path: unverified,Status: ${CALLER_AUTH_STATUS},Level: ${CALLER_AUTH_LEVEL})
 same => n,Hangup()

; An agent calls a customer, and both are parted when the customer has answered: as by Verify now.
[agents]
exten => 500,1,Set(__OF=${CHANNEL(name)})
 same => n,Answer()
 same => n,Dial(PJSIP/agent2,30,G(parted,s,1))

[parted]
exten => s,1,MusicOnHold(,60)
exten => s,2,Set(TILLIT_POLICY=strict)
 same => 3,Goto(tillit-again,${OF},1)
""",
    "customers": (ANNA,),
}


@pytest.fixture(scope="module")
def ends(stage: Stage) -> Ends:
    return Ends(stage.folder)


@pytest.fixture
async def bankid(ends: Ends) -> AsyncIterator[TextsServer]:
    async with TextsServer(BankIdServer(), ends.tls()) as server:
        yield server


@pytest.fixture
def worker(stage: Stage, ends: Ends, bankid: TextsServer, request: pytest.FixtureRequest) -> Iterator[Worker]:
    table = {
        "url": f"{bankid.url}/rp/v6.0",
        "certificate_file": str(ends.client.chain),
        "key_file": str(ends.client.key),
        "ca_file": str(ends.theirs.file),
        "allow_private": ["127.0.0.1"],
    }
    stage.write_config({"eid.bankid": table, "policies.strict": {"steps": ["bankid"], "level": 3}})
    stage.command("customer", "identity", "add", ANNA.number, given=f"{OURS}\n")
    with stage.worker(request.node.name[:40]) as running:
        yield running


async def ordered(scene: Scene, bankid: TextsServer, phone: Phone) -> Placed:
    """The caller has pressed a key, and BankID has the order."""
    await scene.asked("bankid")
    await phone.send_digits("1")
    await scene.logged("eid.asked")
    assert isinstance(bankid.api, BankIdServer)
    return bankid.api.last


def rows(scene: Scene) -> list[str]:
    """What the trail says of this test's order."""
    found = scene.audit("eid")
    call = found[-1]["call"]
    return [row["outcome"] for row in found if row["call"] == call]


async def test_who_identifies_reaches_an_agent_at_level_3(scene: Scene, bankid: TextsServer) -> None:
    agent = await scene.phone("agent1")
    caller = await scene.caller("300")
    order = await ordered(scene, bankid, caller)
    assert (order.person, order.body["callInitiator"]) == (OURS, "user")
    assert order.visible.startswith("You called Example Telecom.")
    order.status, order.user = "complete", OURS
    await scene.reached("verified", Status="verified", Level="3")
    invite = await agent.incoming()
    assert (invite.header("X-Caller-Auth") or "").startswith("verified; level=3; methods=bankid; ref=")
    assert rows(scene) == ["asked", "identified"]
    exported = json.loads(await asyncio.to_thread(scene.stage.command, "customer", "export", ANNA.number))
    [kept] = exported["identifications"]
    assert kept["id"] == json.loads(scene.audit("eid")[-1]["detail"])["evidence"]
    assert json.loads(kept["said"])["user"]["personalNumber"] == OURS
    assert OURS.encode() not in scene.stage.database.read_bytes()
    for said in (str(scene.worker.log()), scene.stage.pbx.said()):
        assert OURS not in said and order.ref not in said
    await caller.hang_up()


async def test_whoever_is_not_in_the_call_says_so_and_it_is_told_while_the_caller_waits(
    scene: Scene, bankid: TextsServer
) -> None:
    caller = await scene.caller("300")
    order = await ordered(scene, bankid, caller)
    order.status, order.hint = "failed", "userDeclinedCall"
    told = await scene.ami.user_event("CallerDeclinesCall", timeout=10)
    assert told["Subject"] == scene.audit("eid")[-1]["subject"] != ""
    assert scene.log("call.refused") == []
    assert rows(scene) == ["asked", "declined_call"]
    await caller.send_digits("*")
    await scene.reached("unverified", Status="refused", Level="0")
    assert scene.marks() == []


async def test_somebody_elses_identity_is_nothing(scene: Scene, bankid: TextsServer) -> None:
    caller = await scene.caller("300")
    order = await ordered(scene, bankid, caller)
    order.status, order.user = "complete", SOMEBODY
    await scene.logged("eid.ended", why="wrong_person")
    await caller.send_digits("*")
    await scene.reached("unverified", Status="refused")
    assert scene.marks() == []


async def test_hanging_up_takes_the_order_back(scene: Scene, bankid: TextsServer) -> None:
    caller = await scene.caller("300")
    order = await ordered(scene, bankid, caller)
    await caller.hang_up()
    await scene.until(lambda: order.status == "collected", "the order to be cancelled")


async def test_whom_we_have_called_the_app_asks_whether_we_have(scene: Scene, bankid: TextsServer) -> None:
    agent = await scene.phone("agent1")
    person = await scene.phone("agent2")
    await agent.call("500")
    await person.incoming()
    await person.answer()
    await agent.until("media")
    await scene.asked("customer_number")
    await person.send_digits(f"{ANNA.number}#")
    order = await ordered(scene, bankid, person)
    assert order.body["callInitiator"] == "RP"
    assert order.visible.startswith("Example Telecom called you.")
    order.status, order.user = "complete", OURS
    await scene.logged("call.verified", assurance=3)
    await agent.play_tone(700)
    await person.hears(700)
    await agent.hang_up()
