"""The desk in a real browser, with a real call on a real Asterisk behind it.

`DESK_PICTURES=docs/pictures scripts/test tests/e2e/test_desk_browser.py` makes the pictures of the documentation anew.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect
from rig.desk import Desk
from rig.phone import Phone
from rig.ports import Ports
from rig.stage import ANNA, Customer, Stage
from rig.totp import App
from rig.visitor import Visitor, handing

from tests.browser_kit import Window, browser, window
from tests.e2e.scene import Scene

__all__ = ["browser"]

MARKUP = "<img src=x onerror=alert(1)>'\"</template><script>alert(2)</script>"
# imported from a CSV file, as all of them are
NASTY = Customer("10666", f"{MARKUP} Nasty", "+46701740666", "3571")

STAGE = {
    "dialplan": """
[callers]
; verified in front
exten => 100,1,Gosub(tillit-verify,s,1(main))
 same => n,Dial(PJSIP/agent3,20,b(tillit-badge^s^1))
; to the queue, without being verified
exten => 300,1,Answer()
 same => n,Queue(support)
[agents]
; a customer's telephone
exten => caller3,1,Dial(PJSIP/agent3,20)
""",
    "customers": (ANNA, NASTY),
    "desk": True,
}
PASSWORD = secrets.token_urlsafe(18)
PICTURES = Path(os.environ["DESK_PICTURES"]) if "DESK_PICTURES" in os.environ else None


class Person:
    """Somebody at a browser."""

    def __init__(self, desk: Desk, seen: Window, login: str) -> None:
        self.desk = desk
        self.seen = seen
        self.page = seen.page
        self.login = login
        self._app: App | None = None

    async def enrol(self, link: str) -> None:
        """Open the one-time link, and do what it asks for."""
        await self.page.goto(link)
        self._app = App(await self.page.locator("code.key").inner_text())
        await self.page.fill("#password", PASSWORD)
        await self.page.fill("#again", PASSWORD)
        await self.page.fill("#code", await self._app.code())
        await self.page.get_by_role("button", name="Finish").click()
        await self.page.wait_for_url(f"{self.desk.url}/sign-in?welcome_done")

    async def sign_in(self) -> None:
        """By password and code."""
        assert self._app is not None
        await self.page.fill("#login", self.login)
        await self.page.fill("#password", PASSWORD)
        await self.picture("sign-in")
        await self.page.fill("#code", await self._app.code())
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url(f"{self.desk.url}/")

    async def record(self, ref: str) -> tuple[int, str]:
        """What the API answers to this page: status, and the reason or the name."""
        status, told = await self.page.evaluate(
            """async (ref) => {
                const answer = await fetch(`/api/v1/customers/${ref}/record`);
                return [answer.status, await answer.json()];
            }""",
            ref,
        )
        return status, told.get("reason") or told["fields"]["name"]

    async def shows(self, title: str) -> None:
        """Wait until the page says this of the one call."""
        await expect(self.page.locator("#calls h2")).to_have_text(title)

    async def picture(self, name: str) -> None:
        """Into the documentation, where that is wanted."""
        if PICTURES is not None:
            PICTURES.mkdir(exist_ok=True)
            await self.page.evaluate("document.activeElement.blur()")
            await self.page.set_viewport_size({"width": 760, "height": 560})
            await self.seen.picture(PICTURES / f"{name}.png")


@pytest.fixture
async def desk(stage: Stage, scene: Scene) -> AsyncIterator[Desk]:
    with stage.desk() as running:
        yield running


def reference(stage: Stage, number: str) -> str:
    """The customer's."""
    found = re.search(r"reference +([a-z2-7]{12})", stage.command("customer", "show", number))
    assert found is not None
    return found[1]


def link_of(stage: Stage, login: str, *more: str) -> str:
    """Somebody is added; the one-time link."""
    return stage.command("agent", "add", login, *more).splitlines()[-1]


async def test_an_agent_has_a_caller_verified_and_opens_the_record(scene: Scene, desk: Desk, browser: Browser) -> None:
    stage = scene.stage
    ref = reference(stage, ANNA.number)
    link = link_of(stage, "agda", "--name", "Agda Alm", "--role", "agent", "--endpoint", "PJSIP/agent1")
    phone = await scene.phone("agent1")
    async with window(browser) as seen:
        agda = Person(desk, seen, "agda")
        await agda.enrol(link)
        await agda.sign_in()
        await expect(agda.page.locator("#none")).to_be_visible()
        assert await agda.record(ref) == (403, "no_call")
        await agda.picture("no-call")

        caller = await scene.caller("300")
        await phone.incoming()
        await phone.answer()
        await agda.shows("Not verified")
        assert await agda.record(ref) == (403, "not_verified")
        await expect(agda.page.get_by_role("button", name="Open the record")).to_be_hidden()
        await agda.picture("not-verified")

        await agda.page.get_by_role("button", name="Verify now").click()
        await agda.shows("Verifying")
        await scene.asked("pin")
        await caller.send_digits(ANNA.pin[:2])
        await expect(agda.page.locator('[data-part="keyed"]')).to_contain_text("2")
        await agda.picture("verifying")
        assert (await agda.record(ref))[0] == 403
        await caller.send_digits(f"{ANNA.pin[2:]}#")
        await scene.key_code(caller)
        await agda.shows("Verified at level 2")
        await agda.picture("verified")

        await agda.page.get_by_role("button", name="Open the record").click()
        row: Any = agda.page.locator('[data-field="number"] dd')
        await expect(row).to_have_text("10001")
        await agda.picture("record")
        assert await agda.record(ref) == (200, "Anna Andersson")

        await caller.hang_up()
        await expect(agda.page.locator("#none")).to_be_visible()
        assert "Andersson" not in await agda.page.content()
        assert await agda.record(ref) == (403, "no_call")


async def test_what_a_caller_and_a_customer_are_called_is_text(scene: Scene, desk: Desk, browser: Browser) -> None:
    """The name in the SIP header, and the one in the file that the customers came from."""
    dan = Visitor(desk.url, "dan")
    await dan.enrol(
        link_of(scene.stage, "dan", "--name", f"{MARKUP} Dan", "--role", "agent", "--endpoint", "PJSIP/agent3")
    )
    phone = await scene.phone("agent3")
    ports = await scene.keep(_ports())
    async with handing(ports.take()) as handed, window(browser) as seen:
        await seen.page.goto(handed.link(dan))
        await expect(seen.page.locator(".who")).to_contain_text(MARKUP)
        caller = await scene.caller("100", who=NASTY, name=MARKUP)
        await scene.key_pin(caller, NASTY)
        await scene.key_code(caller, NASTY)
        await phone.incoming()
        await phone.answer()
        await expect(seen.page.locator('[data-part="name"]')).to_have_text(NASTY.name)
        await seen.page.get_by_role("button", name="Open the record").click()
        await expect(seen.page.locator('[data-field="name"] dd')).to_have_text(NASTY.name)
        await expect(seen.page.locator("img[src='x'], [onerror], script:not([src])")).to_have_count(0)
        await caller.hang_up()
        await expect(seen.page.locator("#none")).to_be_visible()
    scene.stage.command("agent", "endpoints", "dan", "--remove", "PJSIP/agent3")


async def test_a_supervisor_sees_the_team_and_the_demo_its_link(scene: Scene, desk: Desk, browser: Browser) -> None:
    """Signed in as `scripts/demo --keep` hands a browser over: by a link that is good once."""
    stage = scene.stage
    link_of(stage, "berit", "--name", "Berit Bo", "--role", "agent", "--endpoint", "PJSIP/agent2", "--team", "support")
    siv = Visitor(desk.url, "siv")
    await siv.enrol(link_of(stage, "siv", "--name", "Siv Sander", "--role", "supervisor", "--team", "support"))
    phone, other = await scene.phone("agent2"), await scene.phone("agent3")
    ports = await scene.keep(_ports())
    async with handing(ports.take()) as handed, window(browser) as seen:
        link = handed.link(siv)
        await seen.page.goto(link)
        await seen.page.wait_for_url(f"{desk.url}/")
        answer = await seen.page.request.get(link)
        assert answer.status == 404
        await seen.page.get_by_role("link", name="Team").click()
        await expect(seen.page.locator("#talks [data-empty]")).to_be_visible()
        caller = await scene.caller("300")
        await phone.incoming()
        await phone.answer()
        row = seen.page.locator("#talks tbody tr")
        await expect(row).to_contain_text("Berit Bo")
        await expect(row).to_contain_text("Not verified")
        await expect(row).to_contain_text("incoming")
        assert "Anna" not in await seen.page.content()
        if PICTURES is not None:
            await _picture_of_the_team(scene, seen, other)
        await caller.hang_up()
        await expect(row).to_have_count(0)

        # an agent who calls out
        await phone.call("caller3")
        await other.incoming()
        await other.answer()
        await expect(row).to_contain_text("outgoing")
        await phone.hang_up()
        await expect(row).to_have_count(0)
        assert await seen.seen_by_all() == []


@asynccontextmanager
async def _ports() -> AsyncIterator[Ports]:
    with closing(Ports()) as made:
        yield made


async def _picture_of_the_team(scene: Scene, seen: Window, phone: Phone) -> None:
    """With a second call, whose caller is verified."""
    link_of(
        scene.stage,
        "anton",
        "--name",
        "Anton Ask",
        "--role",
        "agent",
        "--endpoint",
        "PJSIP/agent3",
        "--team",
        "support",
    )
    caller = await scene.caller("100")
    await scene.key_pin(caller)
    await scene.key_code(caller)
    await phone.incoming()
    await phone.answer()
    await expect(seen.page.locator("#talks tbody tr")).to_have_count(2)
    await expect(seen.page.locator("#hour tbody tr")).to_have_count(1)
    await expect(seen.page.locator("#talks")).to_contain_text("Verified at level 2")
    await seen.page.set_viewport_size({"width": 1000, "height": 640})
    await seen.picture(PICTURES / "team.png")  # type: ignore[operator]
    await caller.hang_up()
    await expect(seen.page.locator("#talks tbody tr")).to_have_count(1)
    await asyncio.to_thread(scene.stage.command, "agent", "endpoints", "anton", "--remove", "PJSIP/agent3")
