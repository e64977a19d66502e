"""The desk's buttons with a real call behind them: verified in mid-call, the mark taken away, the wrong person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from time import time as now
from typing import Any

import pytest
from rig.desk import Desk
from rig.phone import Phone
from rig.proxy import Wire
from rig.stage import ANNA, Stage
from rig.state import CHECKOUT
from rig.worker import Worker

from ivr.web.words import words
from tests.e2e.scene import LIMIT, Scene
from tests.e2e.test_desk import Agent, at_work
from tests.e2e.test_midcall import AGENT, CALLER, CODE, shown, together

DIALPLAN = """
[globals]
TILLIT_LOST=lost,s,1

[callers]
exten => 100,1,Gosub(tillit-verify,s,1(quick))
 same => n,Dial(PJSIP/agent1,30,b(tillit-badge^s^1))
 same => n,Hangup()
; the worker calls the agents itself
exten => 200,1,Gosub(tillit-verify,s,1(bridged))
 same => n,Goto(lost,s,1)
exten => 300,1,Queue(support,b(tillit-badge^s^1))
 same => n,Hangup()
exten => 400,1,Dial(PJSIP/agent1,30)
 same => n,Hangup()
exten => 500,1,Dial(Local/anna@desk,30)
 same => n,Hangup()
exten => 501,1,Dial(Local/anna@desk/n,30)
 same => n,Hangup()
exten => 502,1,Dial(Local/far@desk/n,30)
 same => n,Hangup()
exten => 600,1,ConfBridge(room)
; by the feature code, as without a desk
exten => 700,1,Gosub(tillit-offer,s,1(quick))
 same => n,Dial(PJSIP/agent1,30,b(tillit-badge^s^1))
 same => n,Hangup()

[desk]
exten => anna,1,Dial(PJSIP/agent1,20,b(tillit-badge^s^1))
exten => far,1,Dial(Local/anna@desk/n,20)

[lost]
exten => s,1,UserEvent(Lost,Status: ${CALLER_AUTH_STATUS})
 same => n,Dial(PJSIP/agent3,30,b(tillit-badge^s^1))
 same => n,Hangup()

[agents]
exten => 600,1,ConfBridge(room)
exten => _0X.,1,Dial(PJSIP/agent2,20)
"""
CONFBRIDGE = "\n[general]\n[default_bridge]\ntype = bridge\n[default_user]\ntype = user\nannounce_only_user = no\n"
STAGE = {
    "dialplan": DIALPLAN,
    "customers": (ANNA,),
    "desk": True,
    "overrides": {
        "features.conf": (CHECKOUT / "config" / "asterisk" / "features.conf").read_text(),
        "confbridge.conf": CONFBRIDGE,
    },
}
SETTINGS = {
    "policies.quick": {"steps": ["pin"], "level": 1},
    "policies.bridged": {"steps": ["pin"], "level": 1, "hand_over": "bridge", "agents": ["PJSIP/agent1"]},
    "desk": {"policies": ["quick", "main"]},
}
ENDED = {status: words("en")(f"desk.ended_{status}") for status in ("refused", "unavailable")}
# Seconds after which a page looks by itself: what it shows sooner, it was told.
LOOKS = 5.0


class Some(dict[str, Any]):
    """Equal to whatever has these fields, among others."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and self.items() <= other.items()

    __hash__ = None  # type: ignore[assignment]


class Board:
    """What an agent's open page is told, as it comes."""

    def __init__(self, agent: Agent, worker: Worker) -> None:
        self.agent = agent
        self.worker = worker
        self.views: list[tuple[float, dict[str, Any]]] = []
        self._news = asyncio.Event()

    async def follow(self) -> None:
        async with self.agent.browser.ws_connect(
            f"{self.agent.desk.url}/live", headers={"Origin": self.agent.desk.url}
        ) as live:
            async for message in live:
                self.views.append((now(), message.json()))
                self._news.set()

    @property
    def call(self) -> dict[str, Any]:
        calls = self.views[-1][1]["calls"] if self.views else []
        return calls[0] if calls else {}

    async def until(self, **fields: object) -> dict[str, Any]:
        """Wait until the one call is shown so; with none: until no call is."""
        try:
            async with asyncio.timeout(LIMIT):
                while not self._shows(fields):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(f"the page never showed {fields}: {self.views[-8:]}") from None
        return self.call

    def _shows(self, fields: dict[str, object]) -> bool:
        if not self.views:
            return False
        if not fields:
            return self.views[-1][1] == {"known": True, "calls": []}
        return bool(self.call) and all(self.call[name] == value for name, value in fields.items())

    def lag(self) -> float:
        """Seconds from a key to the page, at most."""
        keys = [
            datetime.fromisoformat(line["at"]).timestamp() for line in self.worker.log() if line["event"] == "entry.key"
        ]
        told = [at for at, view in self.views if view["calls"] and view["calls"][0]["dots"][0]]
        return max(min(abs(at - key) for at in told) for key in keys)

    def seen(self, **fields: object) -> bool:
        """Whether it was ever shown so."""
        return any(
            all(call[name] == value for name, value in fields.items())
            for _, view in self.views
            for call in view["calls"]
        )


class Floor:
    """An agent with a page, and everything else of the test."""

    def __init__(self, scene: Scene, desk: Desk, agda: Agent, board: Board) -> None:
        self.scene, self.desk, self.agda, self.board = scene, desk, agda, board

    async def talking(self, extension: str = "400", **how: Any) -> tuple[Phone, Phone]:
        """A caller and the agent who hear each other."""
        agent = await self.scene.phone("agent1")
        caller = await self.scene.phone("caller")
        await caller.call(extension, **{"number": ANNA.phones, **how})
        await agent.incoming()
        await agent.answer()
        await caller.until("confirmed")
        await self.board.until(sign="not_verified")
        await together(caller, agent)
        return caller, agent

    async def verified(self, extension: str = "100") -> tuple[Phone, Phone]:
        """The same, verified in front."""
        agent = await self.scene.phone("agent1")
        caller = await self.scene.caller(extension)
        await self.scene.key_pin(caller)
        await agent.incoming()
        await agent.answer()
        await self.board.until(sign="verified")
        await together(caller, agent)
        return caller, agent

    async def press(self, policy: str = "quick", *, by: Agent | None = None) -> tuple[int, dict[str, Any]]:
        """Verify now."""
        return await (by or self.agda).send(
            "POST", f"/api/v1/calls/{self.board.call['id']}/verification", {"policy": policy}
        )

    async def drop(self, why: str) -> tuple[int, dict[str, Any]]:
        return await self.agda.send("DELETE", f"/api/v1/calls/{self.board.call['id']}/mark", {"why": why})

    def channel(self, endpoint: str) -> dict[str, Any]:
        """The one channel of this endpoint."""
        (found,) = (one for one in self.scene.stage.pbx.ari("GET", "channels") if endpoint in one["name"])
        return dict(found)

    def variable(self, endpoint: str, name: str) -> str:
        """A variable of its channel."""
        found = self.scene.stage.pbx.ari("GET", f"channels/{self.channel(endpoint)['id']}/variable?variable={name}")
        return str(found["value"])


@pytest.fixture(scope="module")
def desk(stage: Stage) -> Any:
    stage.pbx.cli("module load app_confbridge.so")
    with stage.desk() as running:
        yield running


@pytest.fixture(scope="module")
def agda(desk: Desk, stage: Stage) -> Agent:
    """Who has the first phone. She signs in once: how that is done is tested elsewhere."""

    async def signed_in() -> Agent:
        async with at_work(desk, stage, "agda", "agent1", leaves=False) as agent:
            await agent.leave()
            return agent

    return asyncio.run(signed_in())


@pytest.fixture
async def floor(scene: Scene, desk: Desk, agda: Agent) -> AsyncIterator[Floor]:
    agda.come_back()
    board = Board(agda, scene.worker)
    following = asyncio.create_task(board.follow())
    await board.until()
    yield Floor(scene, desk, agda, board)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await agda.leave()


# ---------------------------------------------------------------- verify now


async def test_through_a_queue_the_page_follows_and_the_mark_is_taken_away(floor: Floor) -> None:
    caller, agent = await floor.talking("300")
    before = floor.channel("caller")["id"]
    assert await floor.press("bridged") == (422, Some(reason="invalid"))
    parted = agent.mark()
    assert (await floor.press())[0] == 202
    await floor.board.until(sign="verifying", keyed="Keyed: 0")
    await floor.scene.asked("pin")
    await agent.hears(since=parted)
    # a page that is loaded anew shows it as well
    (call,) = await floor.agda.calls()
    assert (call["state"], call["keying"]["step"], call["shut"]) == ("verifying", "pin", "no_call")
    # the tone sounds all the time: what the agent hears of it begins when they are together again
    await caller.play_tone(CALLER)
    await floor.scene.key_pin(caller)
    shown_now = await floor.board.until(sign="verified", title="Verified at level 1")
    assert (shown_now["name"], shown_now["verifiable"], shown_now["droppable"]) == ("Anna Andersson", True, True)
    for count in range(5):
        assert floor.board.seen(keyed=f"Keyed: {count}", dots=[count, count])
    await agent.until("connected_line", name="✔ Anna A.")
    await caller.silence()
    await together(caller, agent)
    assert not [event for event in agent.events if event.kind == "heard_digit"]
    assert [key.rpartition(":")[2] for key in floor.scene.marks()] == [before]
    assert floor.variable("caller", "CALLER_AUTH_STATUS") == "verified"
    assert await floor.agda.record(shown_now["ref"]) == (200, "Anna Andersson")
    print(f"the page showed a key after {floor.board.lag():.3f} s at most")  # noqa: T201 (for the reader: pytest -s)
    assert floor.board.lag() < LOOKS

    assert (await floor.drop("over"))[0] == 204
    await floor.board.until(sign="not_verified", droppable=False)
    assert floor.scene.marks() == []
    assert floor.variable("caller", "CALLER_AUTH_STATUS") == "refused"
    assert floor.variable("caller", "CALLER_AUTH_LEVEL") == "0"
    assert await floor.agda.record(shown_now["ref"]) == (403, "not_verified")
    assert await floor.drop("over") == (403, Some(reason="not_verified"))
    await floor.scene.until(lambda: shown(agent)[-1] == "", "the agent's display to be empty")
    await together(caller, agent)
    await agent.hang_up()
    await caller.until("disconnected")
    await floor.board.until()
    rows = [row for name in ("call.verify", "mark.drop") for row in floor.scene.audit(name) if row["call"] == before]
    assert [(row["actor"], row["outcome"]) for row in rows] == [
        ("desk:agda", outcome) for outcome in ("asked", "over", "refused")
    ]


async def test_on_hold_behind_two_local_channels_and_the_wrong_person(floor: Floor) -> None:
    caller, agent = await floor.talking("502")
    await agent.hold()
    await floor.board.until(held=True)
    assert (await floor.press())[0] == 202
    await floor.scene.key_pin(caller)
    await floor.board.until(sign="verified")
    await agent.resume()
    await together(caller, agent)

    subject = floor.board.call["ref"]
    assert (await floor.drop("wrong_person"))[0] == 204
    await floor.board.until(sign="not_verified")
    told = await floor.scene.ami.user_event("CallerWrongPerson")
    assert (told["Subject"], told["Uniqueid"]) == (subject, floor.channel("caller")["id"])
    (line,) = [line for line in floor.desk.log() if line["event"] == "mark.wrong_person" and line["subject"] == subject]
    assert line["level"] == "warning"
    await together(caller, agent)
    await caller.hang_up()
    await agent.until("disconnected")
    await floor.board.until()


async def test_the_worker_had_bridged_them_itself(floor: Floor) -> None:
    """Neither end is hung up, whichever the worker is told of first, and the mark of before is void."""
    caller, agent = await floor.verified("200")
    assert (await floor.press())[0] == 202
    await floor.scene.asked("pin", 2)
    assert floor.scene.marks() == []
    await caller.send_digits(f"{ANNA.pin}#")
    await floor.board.until(sign="verified")
    await together(caller, agent)
    # and once more, out of the bridge that is Asterisk's own now
    assert (await floor.press())[0] == 202
    await floor.scene.asked("pin", 3)
    await agent.hang_up()
    await caller.send_digits(f"{ANNA.pin}#")
    second = await floor.scene.phone("agent3")
    invite = await second.incoming()
    assert (invite.header("X-Caller-Auth") or "").startswith("verified; level=1")
    await second.answer()
    await together(caller, second)
    await floor.board.until()
    await caller.hang_up()
    # the first round is told of once, as what it was
    assert [row["outcome"] for row in floor.scene.audit()][-3:] == ["verified"] * 3
    assert not floor.scene.audit("mark.void")


@pytest.mark.parametrize("extension", ["100", "200"], ids=["dialplan", "worker"])
async def test_the_check_mark_goes_off_the_agents_display_while_the_caller_keys(floor: Floor, extension: str) -> None:
    """The mark of before is void by then, and only this round's outcome says what the display says next."""
    caller, agent = await floor.verified(extension)

    def is_shown(name: str) -> bool:
        return shown(agent)[-1:] == [name]

    await floor.scene.until(lambda: not shown(agent) or is_shown("✔ Anna A."), "the mark to be on the display")
    assert (await floor.press())[0] == 202
    await floor.scene.until(lambda: is_shown(""), "the check mark to go")
    await floor.scene.asked("pin", 2)
    assert is_shown("")
    await caller.send_digits(f"{ANNA.pin}#")
    await floor.scene.until(lambda: is_shown("✔ Anna A."), "the mark to come back")
    await together(caller, agent)

    assert (await floor.press())[0] == 202
    await floor.scene.until(lambda: is_shown(""), "the check mark to go again")
    for time in range(3):
        await floor.scene.asked("pin", 3 + time)
        await caller.send_digits("9999#")
    await floor.board.until(sign="refused")
    await together(caller, agent)
    assert is_shown("")
    await caller.hang_up()
    await agent.until("disconnected")


@pytest.mark.parametrize("who", ["caller", "agent"])
async def test_bridged_by_the_worker_and_one_hangs_up_while_keys_are_waited_for(floor: Floor, who: str) -> None:
    caller, agent = await floor.verified("200")
    assert (await floor.press())[0] == 202
    await floor.board.until(sign="verifying")
    await floor.scene.asked("pin", 2)
    if who == "caller":
        await caller.hang_up()
        await floor.board.until(sign="gone", title="The caller has hung up")
        await agent.until("disconnected")
        return
    await agent.hang_up()
    await caller.send_digits(f"{ANNA.pin}#")
    assert (await floor.scene.ami.user_event("Lost", timeout=15))["Status"] == "verified"
    await floor.board.until()
    await caller.hang_up()


async def test_a_customer_whom_the_agent_has_called(floor: Floor) -> None:
    agent, customer = await floor.scene.phone("agent1"), await floor.scene.phone("agent2")
    await agent.call(f"0{ANNA.phones[3:]}")
    await customer.incoming()
    await customer.answer()
    await agent.until("confirmed")
    await floor.board.until(sign="not_verified")
    await together(customer, agent)
    assert (await floor.press())[0] == 202
    await floor.scene.asked("customer_number")
    await floor.board.until(sign="verifying")
    await customer.send_digits(f"{ANNA.number}#")
    await floor.scene.key_pin(customer)
    await floor.board.until(sign="verified", name="Anna Andersson")
    await together(customer, agent)
    assert (await floor.press())[0] == 202
    await floor.board.until(sign="verifying")
    await customer.hang_up()
    await floor.board.until(sign="gone")
    await agent.until("disconnected")


async def test_refused_and_pressed_twice_and_by_somebody_else(floor: Floor) -> None:
    scene, stage = floor.scene, floor.scene.stage
    async with at_work(floor.desk, stage, f"bror{id(floor)}", "agent2") as bror:
        caller, agent = await floor.talking()
        assert await floor.press(by=bror) == (403, Some(reason="no_call"))
        answers = await asyncio.gather(*(floor.press() for _ in range(4)))
        assert sorted(status for status, _ in answers) == [202, 403, 403, 403]
        assert {told["reason"] for status, told in answers if status == 403} <= {"under_way", "no_call"}
        for time in range(3):
            await scene.asked("pin", time + 1)
            await caller.send_digits("9999#")
        await floor.board.until(sign="refused", help=ENDED["refused"], verifiable=True)
        await together(caller, agent)
        assert scene.marks() == []
        assert not any(shown(agent))
        assert len(scene.log("call.started")) == 1
        await caller.hang_up()
        await agent.until("disconnected")


async def test_nothing_happens_where_somebody_else_is_there(floor: Floor) -> None:
    agent, caller, third = [await floor.scene.phone(name) for name in ("agent1", "caller", "agent2")]
    for phone in (agent, caller):
        await phone.call("600")
        await phone.until("confirmed")
    await floor.board.until(verifiable=True)
    async with at_work(floor.desk, floor.scene.stage, f"bror{id(floor)}", "agent2"):
        await third.call("600")
        await third.until("confirmed")
        await floor.board.until(verifiable=False)
        assert await floor.press() == (403, Some(reason="third_party"))
        assert not floor.scene.log("call.started")
        await third.hang_up()
        await floor.board.until(verifiable=True)
    await caller.hang_up()
    await agent.hang_up()


async def test_by_the_feature_code_and_the_worker_dies(floor: Floor) -> None:
    """The page shows the same, and no more waits for ever than a phone does."""
    scene = floor.scene
    caller, agent = await floor.talking("700")
    await agent.send_digits(CODE)
    await floor.board.until(sign="verifying", keyed="Keyed: 0")
    parted = caller.mark()
    # what the worker has set is longer than a test may wait
    path = f"channels/{floor.channel('caller')['id']}/variable"
    await asyncio.to_thread(scene.stage.pbx.ari, "POST", path, {"variable": "TIMEOUT(absolute)", "value": "2"})
    scene.worker.kill()
    await agent.play_tone(AGENT)
    await caller.hears(AGENT, since=parted)
    await agent.silence()
    await floor.board.until(sign="refused", help=ENDED["unavailable"])
    # there is no worker now
    assert (await floor.press())[0] == 202
    await scene.ami.until("Event", "MusicOnHoldStart")
    await together(caller, agent)
    await floor.board.until(sign="refused", help=ENDED["unavailable"])
    await caller.hang_up()
    await agent.until("disconnected")


@pytest.fixture
def cut_off(stage: Stage, scene: Scene) -> Iterator[Wire]:
    """Between a worker, which takes the other one's place, and Redis; the desk has its own way there."""
    assert scene.worker.stop() == 0
    with Wire(stage.redis.port) as wire:
        stage.write_config({"redis": {"url": f"redis://127.0.0.1:{wire.port}/0", "request_seconds": 1.0}})
        scene.worker = scene.another()
        try:
            scene.worker.start()
        finally:
            stage.write_config()
        yield wire
        wire.mend()
        scene.worker.stop()


async def test_redis_goes_away_before_the_worker_has_begun(cut_off: Wire, floor: Floor) -> None:
    """The caller hears so, and comes back; and a mark of before opens nothing, also when Redis is there again."""
    scene = floor.scene
    caller, agent = await floor.verified()
    ref = floor.board.call["ref"]
    assert await floor.agda.record(ref) == (200, "Anna Andersson")
    cut_off.trap(b'"again":true', cut_off.swallow)
    assert (await floor.press())[0] == 202
    await scene.logged("call.handed_back", status="unavailable")
    await together(caller, agent)
    await floor.board.until(sign="refused", help=ENDED["unavailable"])
    assert scene.marks() == []
    assert await floor.agda.record(ref) == (403, "not_verified")
    assert floor.variable("caller", "CALLER_AUTH_STATUS") == "unavailable"
    assert not any(shown(agent))
    cut_off.mend()
    assert (await floor.press())[0] == 202
    await scene.key_pin(caller)
    await floor.board.until(sign="verified")
    await together(caller, agent)
    await caller.hang_up()
    await agent.until("disconnected")


@pytest.mark.parametrize("milliseconds", [0, 5, 20])
async def test_pressed_while_the_caller_is_transferred(floor: Floor, milliseconds: int) -> None:
    """One of the two happens, whole: nobody is lost, or stays in silence."""
    scene = floor.scene
    second = await scene.phone("agent2")
    caller, agent = await floor.talking()
    pressing = asyncio.create_task(floor.press())
    await asyncio.sleep(milliseconds / 1000)
    await agent.transfer("0123")
    status, told = await pressing
    if status == 202:
        await scene.asked("pin")
        await caller.send_digits(f"{ANNA.pin}#")
        await together(caller, agent)
    else:
        assert (status, told["reason"]) == (403, "no_call")
        await second.incoming()
        await second.answer()
        await together(caller, second)
    await caller.hang_up()
    await floor.board.until()
