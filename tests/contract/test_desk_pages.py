"""The pages as people see them, in a real browser: each language, light and dark, on a desk and on a phone, by keyboard and by ear."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.async_api import Browser, expect

from ivr.lock import Reason, State
from ivr.web.words import languages, words
from tests.browser_kit import PHONE, Window, browser, window
from tests.contract.live_server import Server
from tests.contract.web_kit import CALL, CODE, LINK, PASSWORD, VERIFIED, Desk, desk

__all__ = ["browser"]
pytestmark = pytest.mark.servers

STATES = (
    VERIFIED,
    CALL,
    replace(CALL, state=State.VERIFYING),
    replace(CALL, state=State.REFUSED, held=True),
    replace(VERIFIED, shut=Reason.THIRD_PARTY, name=None, held=True),
)


async def sign_in(seen: Window, opened: Desk, login: str = "anna") -> None:
    page = seen.page
    await page.goto(opened.url("/sign-in"))
    await page.fill("#login", login)
    await page.fill("#password", PASSWORD)
    await page.fill("#code", CODE)
    await page.press("#code", "Enter")
    await page.wait_for_url(opened.url("/"))


@pytest.mark.parametrize("language", languages())
async def test_everybody_can_use_every_page(server: Server, browser: Browser, language: str) -> None:
    said = words(language)
    small, dark = language in ("de", "pl"), language in ("de", "sv")
    size = {"size": PHONE} if small else {}
    async with desk(server) as opened, window(browser, language=language, dark=dark, **size) as seen:
        for place in ("/sign-in", f"/welcome/{LINK}", "/problems", "/nothing"):
            await seen.page.goto(opened.url(place))
            assert await seen.seen_by_all() == [], place
            assert not await seen.cramped(), place
        await sign_in(seen, opened)
        await expect(seen.page.locator("#none")).to_be_visible()
        for call in STATES:
            opened.world.calls = (call,)
            opened.hub.changed(frozenset({"PJSIP/anna"}))
            await expect(seen.page.locator("#calls h2")).to_have_text(
                said(f"desk.{call.state.value}", level=call.level)
            )
            assert await seen.seen_by_all() == [], call.state
            assert not await seen.cramped(), call.state
