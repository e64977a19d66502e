"""The desk in a real browser, with a real call on a real Asterisk behind it.

`TILLIT_PICTURES=docs/pictures scripts/test tests/e2e/test_desk_browser.py` makes the pictures of the documentation anew.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from playwright.async_api import Browser, expect
from rig.desk import Desk
from rig.stage import ANNA, Stage

from tests.browser_kit import Window, browser, window
from tests.e2e.scene import Scene

__all__ = ["browser"]

STAGE = {
    "dialplan": """
[callers]
exten => 100,1,Gosub(tillit-verify,s,1(main))
 same => n,Queue(support,b(tillit-badge^s^1))
; to the same queue, without being verified
exten => 300,1,Answer()
 same => n,Queue(support)
[agents]
exten => 999,1,Answer()
 same => n,Echo()
""",
    "customers": (ANNA,),
    "desk": True,
    "settings_of_company": "Example Telecom",
}
del STAGE["settings_of_company"]
PASSWORD = secrets.token_urlsafe(18)
PICTURES = Path(os.environ["TILLIT_PICTURES"]) if "TILLIT_PICTURES" in os.environ else None


class Person:
    """Somebody at a browser."""

    def __init__(self, desk: Desk, seen: Window, login: str) -> None:
        self.desk = desk
        self.seen = seen
        self.page = seen.page
        self.login = login
        self._key = ""
        self._used = -1

    def code(self) -> str:
        """The next code that was not used: a code a step ahead counts too."""
        now = int(time.time()) // 30
        step = max(now - 1, self._used + 1)
        assert step <= now + 1, "no code is left: the test has used three in half a minute"
        self._used = step
        return pyotp.TOTP(self._key).generate_otp(step)

    async def enrol(self, link: str) -> None:
        """Open the one-time link, and do what it asks for."""
        await self.page.goto(link)
        self._key = await self.page.locator("code.key").inner_text()
        await self.page.fill("#password", PASSWORD)
        await self.page.fill("#again", PASSWORD)
        await self.page.fill("#code", self.code())
        await self.page.get_by_role("button", name="Finish").click()
        await self.page.wait_for_url(f"{self.desk.url}/sign-in?welcome_done")

    async def sign_in(self) -> None:
        """By password and code."""
        await self.page.fill("#login", self.login)
        await self.page.fill("#password", PASSWORD)
        await self.picture("sign-in")
        await self.page.fill("#code", self.code())
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

        caller = await scene.caller("100")
        await scene.key_pin(caller)
        await scene.key_code(caller)
        await phone.incoming()
        await phone.answer()
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
