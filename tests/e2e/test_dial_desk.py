"""A customer is called from the desk in a browser: the agent's phone, the customer's, a proof of who calls, and the record."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect
from rig.desk import Desk
from rig.phone import Event
from rig.ports import Ports
from rig.stage import ANNA
from rig.visitor import handing

from tests.browser_kit import browser, window
from tests.e2e.scene import Scene
from tests.e2e.test_prove import Once

__all__ = ["browser"]

OURS = "+46812345678"
NUMBER = ANNA.phones.removeprefix("+")
STAGE = {
    "dialplan": "\n[callers]\nexten => 1,1,NoOp()\n[agents]\nexten => _X.,1,Congestion()\n",
    "customers": (ANNA,),
    "desk": True,
    "page": True,
    # the phone of agent 3 is the customer's, behind a trunk whose names are trusted
    "overrides": {"pjsip.conf": "\n[agent3](+)\ntrust_id_inbound = yes\n"},
}
SETTINGS = {"calls": {"dial": "PJSIP/{number}@agent3", "number": OURS}}


@pytest.fixture
async def page(scene: Scene, browser: Browser) -> AsyncIterator[Page]:
    """The desk as its agent sees it. At no time it was told a number of the customer's."""
    stage = scene.stage
    with stage.desk() as desk, stage.page():
        agda = await signed_up(scene, desk)
        ports = Ports()
        async with handing(ports.take()) as handed, window(browser) as seen:
            told: list[str] = []
            seen.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: told.append(str(frame))))
            await seen.page.goto(handed.link(agda))
            await seen.page.wait_for_url(f"{desk.url}/")
            yield seen.page
            told.append(await seen.page.content())
            assert len(told) > 1
            assert NUMBER[2:] not in "".join(told)
        ports.close()


async def test_from_the_button_to_the_record(scene: Scene, page: Page) -> None:
    agent, customer = await scene.phone("agent1"), await scene.phone("agent3")
    await page.get_by_label("Customer number or reference").fill(ANNA.number)
    await page.get_by_role("button", name="Call", exact=True).click()
    offer = await agent.incoming()
    await expect(page.locator("#dialling")).to_contain_text("Your phone rings")
    assert offer["number"] == "anonymous"
    unmarked(offer)
    ref = offer["name"]
    assert NUMBER[2:] not in str(offer["headers"])
    await agent.answer()
    offer = await customer.incoming()
    await expect(page.locator("#dialling")).to_contain_text("The customer's phone is called")
    assert (offer["name"], offer["number"]) == ("Example Telecom", OURS)
    unmarked(offer)
    assert ref not in str(offer["headers"])
    await customer.answer()

    call = page.locator(".call")
    await expect(call).to_contain_text("Number not shown")
    await expect(call.locator('[data-part="dialled"]')).to_have_text(ref)
    await expect(call.locator("h2")).to_have_text("Not verified")
    # nobody types whom: it goes to who was called, where they were called
    await page.get_by_role("button", name="Prove it is us").click()
    await expect(page.locator('[data-part="phrase"]')).to_have_text(re.compile(r"\w+ \w+"))
    await scene.until(lambda: len(scene.stage.texts(ANNA.phones)) == 1, "the text")
    assert "Agda" in scene.stage.texts(ANNA.phones)[0]

    await page.get_by_role("button", name="Verify now").click()
    # no number is on the line, and who was called is known: no customer number is asked for
    await scene.key_pin(customer)
    await scene.key_code(customer, text=2)
    await expect(call.locator("h2")).to_have_text("Verified at level 2")
    await page.get_by_role("button", name="Open the record").click()
    await expect(page.locator('[data-field="number"] dd')).to_have_text(ANNA.number)
    # the two are joined again: what a trunk tells now does not reach the agent's phone either
    await customer.resume(headers={"P-Asserted-Identity": f'"\u2714 Anna A." <sip:{NUMBER}@127.0.0.1>'})
    # what comes behind it is told behind it
    await agent.hold()
    await agent.resume()
    await customer.hang_up()
    await expect(page.locator("#dial")).to_be_visible()
    await agent.until("disconnected")
    shown = [(event["name"], event["number"]) for event in agent.events if event.kind == "connected_line"]
    assert all(name in ("", ref) and number in ("", "anonymous") for name, number in shown), shown
    rows = [(row["actor"].partition(":")[0], row["outcome"], row["subject"]) for row in scene.audit("dial")]
    assert rows == [("desk", "asked", ref), ("desk", "answered", ref)]


async def test_hung_up_at_the_desk_while_it_rings(scene: Scene, page: Page) -> None:
    agent, customer = await scene.phone("agent1"), await scene.phone("agent3")
    await page.get_by_label("Customer number or reference").fill(ANNA.number)
    await page.get_by_role("button", name="Call", exact=True).click()
    await agent.incoming()
    await agent.answer()
    await customer.incoming()
    await customer.ring()
    await page.locator("#dialling").get_by_role("button", name="Hang up").click()
    for phone in (agent, customer):
        await phone.until("disconnected")
    await expect(page.locator("#dialling").get_by_role("heading")).to_have_text("Hung up")
    await expect(page.locator("#dial")).to_be_visible()


def unmarked(offer: Event) -> None:
    """Nobody is verified, and nobody is told that somebody is."""
    assert not [name for name, _ in offer["headers"] if name.lower().startswith("x-")], offer["headers"]


async def signed_up(scene: Scene, desk: Desk) -> Once:
    """The one agent of this file."""
    stage = scene.stage
    if not _AGENT:
        words = ("agent", "add", "agda", "--name", "Agda Alm", "--role", "agent", "--endpoint", "PJSIP/agent1")
        agda = Once(desk.url, "agda")
        await agda.enrol(stage.command(*words).splitlines()[-1])
        _AGENT.append(agda)
    return _AGENT[0]


_AGENT: list[Once] = []
