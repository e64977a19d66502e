"""Who would know that it is the company hangs up, calls the published number, keys what the agent has said, and meets the same agent."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, Page, expect
from rig.desk import Desk
from rig.phone import Phone
from rig.ports import Ports
from rig.stage import ANNA, BO, Stage
from rig.visitor import handing

from tests.browser_kit import browser, window
from tests.e2e.scene import Scene
from tests.e2e.test_prove import Once

__all__ = ["browser"]

STAGE = {
    "dialplan": """
[globals]
TILLIT_UNVERIFIED=lost,s,1

[callers]
exten => 300,1,Answer()
 same => n,Queue(support)
exten => 500,1,Dial(PJSIP/agent1,30,b(tillit-badge^s^1))
exten => 700,1,Goto(tillit-published,s,1)

[lost]
exten => s,1,UserEvent(Reached,Path: unverified)
 same => n,MusicOnHold(default,60)
 same => n,Hangup()

[agents]
exten => _X.,1,Congestion()
""",
    "customers": (ANNA, BO),
    "desk": True,
    "page": True,
}
SETTINGS = {"prove": {"ways": ["text", "spoken"], "published": "08-123 456"}}
CONFIRMED = "Confirmed: the person has called us and keyed your digits"
_SIGNED_IN: dict[str, Once] = {}


@dataclass
class Floor:
    """An agent at the desk who talks with somebody."""

    scene: Scene
    seen: Page
    agent: Phone
    caller: Phone

    async def said(self) -> str:
        """The digits that the agent is shown, once they count."""
        await self.seen.get_by_role("combobox", name="How", exact=True).select_option("spoken")
        await self.seen.get_by_role("button", name="Prove it is us").click()
        await self.titled("The person calls us")
        await expect(self.seen.locator('[data-part="proof-help"]')).to_contain_text("08-123 456")
        shown = self.seen.locator('[data-part="digits"]')
        await expect(shown).to_have_text(re.compile(r"^\d{3}\s\d{3}$"))
        return "".join((await shown.inner_text()).split())

    async def titled(self, title: str) -> None:
        await expect(self.seen.locator('[data-part="proof-title"]')).to_have_text(title)

    async def hangs_up(self) -> None:
        await self.caller.hang_up()
        await expect(self.seen.locator("#none")).to_be_visible()

    async def calls_us(self, *keyed: str, count: int = 1) -> Phone:
        """The person dials the published number, and keys these where they are asked for digits."""
        phone = await self.scene.caller("700")
        for turn, digits in enumerate(keyed, count):
            await self.scene.asked("published", turn)
            await phone.send_digits(digits)
        return phone

    def outcomes(self) -> list[str]:
        return [row["outcome"] for row in self.scene.audit("proof")]


@pytest.fixture
async def floor(stage: Stage, scene: Scene, browser: Browser) -> AsyncIterator[Floor]:
    async with AsyncExitStack() as stack:
        desk: Desk = stack.enter_context(stage.desk())
        if str(stage.folder) not in _SIGNED_IN:
            link = stage.command(
                "agent", "add", "agda", "--name", "Agda Alm", "--role", "agent", "--endpoint", "PJSIP/agent1"
            ).splitlines()[-1]
            visitor = _SIGNED_IN[str(stage.folder)] = Once(desk.url, "agda")
            await visitor.enrol(link)
        visitor = _SIGNED_IN[str(stage.folder)]
        ports = Ports()
        stack.callback(ports.close)
        handed = await stack.enter_async_context(handing(ports.take()))
        seen = await stack.enter_async_context(window(browser))
        await seen.page.goto(handed.link(visitor))
        await seen.page.wait_for_url(f"{desk.url}/")
        agent, caller = await scene.phone("agent1"), await scene.phone("caller")
        await caller.call("300", number=ANNA.phones)
        await agent.incoming()
        await agent.answer()
        await caller.until("confirmed")
        await expect(seen.page.get_by_role("button", name="Prove it is us")).to_be_visible()
        yield Floor(scene, seen.page, agent, caller)


async def test_the_person_meets_the_same_agent(floor: Floor) -> None:
    digits = await floor.said()
    await floor.hangs_up()
    wrong = f"{(int(digits) + 1) % 1_000_000:06}"
    person = await floor.calls_us(wrong, digits)
    invite = await floor.agent.incoming()
    assert invite.header("X-Caller-Auth") is None
    await floor.agent.answer()
    await floor.titled(CONFIRMED)
    assert floor.outcomes()[-2:] == ["asked", "confirmed"]
    row = floor.scene.audit("proof")[-1]
    assert row["actor"].partition(":")[0] == "desk"
    await expect(floor.seen.locator('[data-part="title"]')).to_have_text("Not verified")
    # what was said is good once
    second = await floor.calls_us(digits, digits, digits, count=3)
    await floor.scene.reached("unverified")
    await second.hang_up()
    await person.hang_up()
    for text in (floor.scene.worker.log_file.read_text(), floor.scene.stage.pbx.said()):
        assert digits not in text and wrong not in text


async def test_an_agent_who_is_busy_is_waited_for_and_not_rung(floor: Floor) -> None:
    digits = await floor.said()
    await floor.hangs_up()
    other = await floor.scene.phone("caller")
    await other.call("500", number=BO.phones)
    await floor.agent.incoming()
    await floor.agent.answer()
    await other.until("confirmed")
    person = await floor.calls_us(digits)
    await floor.scene.logged("published.found")
    await floor.scene.until(lambda: "published-busy" in floor.scene.stage.pbx.said(), "the sentence")
    rung = floor.scene.stage.pbx.cli("core show channels concise").count("PJSIP/agent1-")
    assert rung == 1, "a busy phone has no second call"
    await other.hang_up()
    await floor.agent.incoming()
    await floor.agent.answer()
    await floor.titled(CONFIRMED)
    await person.hang_up()


async def test_an_agent_who_does_not_take_it_and_who_keys_what_nobody_has_said(floor: Floor) -> None:
    digits = await floor.said()
    await floor.hangs_up()
    person = await floor.calls_us(digits)
    await floor.agent.incoming()
    await floor.agent.decline()
    await floor.scene.reached("unverified")
    await person.hang_up()
    guess = await floor.calls_us("000000", "000000", "000000", count=2)
    await floor.scene.reached("unverified")
    await guess.hang_up()
    assert floor.outcomes()[-1] == "asked"


async def test_a_worker_dies_while_the_digits_are_keyed(floor: Floor) -> None:
    scene, digits = floor.scene, await floor.said()
    await floor.hangs_up()
    person = await floor.calls_us(digits[:3])
    scene.worker.kill()
    heir = scene.another()
    heir.start()
    try:
        await scene.logged("published.called", of=heir)
        await scene.logged("entry.asked", of=heir, entry="published")
        await person.send_digits(digits)
        await floor.agent.incoming()
        await floor.agent.answer()
        await floor.titled(CONFIRMED)
        await person.hang_up()
    finally:
        heir.stop()
    # without any worker nobody is kept
    alone = await scene.caller("700")
    await scene.reached("unverified")
    await alone.hang_up()
