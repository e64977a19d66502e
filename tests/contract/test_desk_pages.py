"""The pages as people see them, in a real browser: each language, light and dark, on a desk and on a phone, by keyboard and by ear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from ivr.lock import Current, Reason, State
from ivr.secret import Personal
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
    await signed_in(seen, opened, login, "/")


async def signed_in(seen: Window, opened: Desk, login: str, place: str) -> None:
    """And is led to this place."""
    page = seen.page
    await page.goto(opened.url("/sign-in"))
    await page.fill("#login", login)
    await page.fill("#password", PASSWORD)
    await page.fill("#code", CODE)
    await page.press("#code", "Enter")
    await page.wait_for_url(opened.url(place))


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


async def test_an_agent_works_by_keyboard_alone_and_is_told_what_is_there(server: Server, browser: Browser) -> None:
    async with desk(server) as opened, window(browser) as seen:
        page, keys, world = seen.page, seen.page.keyboard, opened.world

        async def shown(call: Current, title: str) -> None:
            world.calls = (call,)
            opened.hub.changed(frozenset({"PJSIP/anna"}))
            await expect(page.get_by_role("heading", name=title)).to_be_visible()

        async def pressed(role: Any, name: str) -> None:
            """Go on by Tab to this one, and press Enter."""
            wanted = page.get_by_role(role, name=name, exact=True)
            for _ in range(12):
                await keys.press("Tab")
                if await wanted.evaluate("one => one === document.activeElement"):
                    await keys.press("Enter")
                    return
            pytest.fail(f"Tab does not lead to {name}")

        await sign_in(seen, opened)
        await pressed("link", "To the content")
        await expect(page.locator("main")).to_be_focused()
        pressable = replace(CALL, verifiable=True)
        await shown(pressable, "Not verified")
        await expect(page.get_by_role("status").first).to_have_text("Not verified. Give out nothing, change nothing.")
        await pressed("button", "Verify now")
        await expect(page.get_by_role("button", name="Verify now")).to_be_focused()
        assert world.pressed == [(CALL.id, "main")]
        await shown(replace(CALL, state=State.VERIFYING), "Verifying")
        await expect(page.get_by_role("heading", name="Verifying")).to_be_focused()

        world.record_of = {"name": Personal("Anna Andersson")}
        verified = replace(VERIFIED, verifiable=True, droppable=True)
        await shown(verified, "Verified at level 2")
        await pressed("button", "Open the record")
        await expect(page.locator("[data-opened]")).to_be_focused()
        await pressed("button", "Close the record")
        await expect(page.get_by_role("button", name="Open the record")).to_be_focused()
        await keys.press("Enter")
        await expect(page.locator("[data-opened]")).to_be_focused()
        await pressed("button", "Wrong person")
        await expect(page.get_by_role("dialog", name="Wrong person")).to_be_visible()
        await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        await keys.press("Escape")
        await expect(page.locator("#calls").get_by_role("button", name="Wrong person")).to_be_focused()
        said = await page.locator("#calls").aria_snapshot()
        for what in (
            'heading "Verified at level 2" [level=2]',
            'combobox "By"',
            'button "Verify now"',
            "term: Customer",
        ):
            assert what in said, said
        assert "●" not in said and "✓" not in said, "what is drawn is for the eye"

        # what goes away under the focus
        await pressed_back(seen, "Close the record")
        await shown(replace(VERIFIED, shut=Reason.THIRD_PARTY, name=None), "Verified at level 2")
        await expect(page.get_by_role("heading", name="Verified at level 2")).to_be_focused()
        world.calls = ()
        opened.hub.changed(frozenset({"PJSIP/anna"}))
        await expect(page.locator("#none")).to_be_visible()
        await expect(page.locator("main")).to_be_focused()


async def pressed_back(seen: Window, name: str) -> None:
    """Back by Shift and Tab."""
    wanted = seen.page.get_by_role("button", name=name)
    for _ in range(12):
        await seen.page.keyboard.press("Shift+Tab")
        if await wanted.evaluate("one => one === document.activeElement"):
            return
    pytest.fail(f"Shift+Tab does not lead to {name}")
