"""What people, customers, policies and passkeys are called is text on every page: looked at in a real browser, which would run it if it were more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from playwright.async_api import Browser, Dialog, expect

from ivr.lock import Barred, Ended, Held, Offered, Statistics
from ivr.secret import Personal
from tests.browser_kit import Window, browser, window
from tests.contract.element_kit import OPEN_ROOT, crm_server
from tests.contract.live_server import Server
from tests.contract.test_desk_pages import sign_in
from tests.contract.test_desk_team import TALK, WISH
from tests.contract.web_kit import ANNA, LINK, REF, VERIFIED, WHOM, crm, desk

__all__ = ["browser"]
pytestmark = pytest.mark.servers

NAME = (
    "javascript:alert(0)//\"'`></template></textarea></title></script><img src=x onerror=alert(1)><script>alert(2)</script>"
    "&lt;b&gt;\u202egnp.\u2028{minutes}{level}{{ 7 * 7 }}${7*7}"
)
"""Gets out of text, of attributes and of what is not read as markup; and what is filled in must be filled in once."""


@asynccontextmanager
async def _watched(browser: Browser) -> AsyncIterator[Window]:
    """A window in which nothing of a name becomes a part of the page. What the page's policy stops is a fault, too."""
    async with window(browser) as seen:
        opened: list[str] = []

        async def note(dialog: Dialog) -> None:
            opened.append(dialog.message)
            await dialog.dismiss()

        seen.page.on("dialog", note)
        yield seen
        await _is_text(seen)
        assert opened == []


async def _is_text(seen: Window) -> None:
    """No element and no address of a name's."""
    found = await seen.page.evaluate(
        """() => {
            const all = (root) => [...root.querySelectorAll("*")].flatMap((one) => [one, ...(one.shadowRoot ? all(one.shadowRoot) : [])]);
            return all(document)
                .filter((one) => one.matches("img:not([src^='/static/']), b, [onerror], script:not([src]), [href^='javascript:']"))
                .map((one) => one.outerHTML);
        }"""
    )
    assert found == []


async def test_on_the_agents_page(server: Server, browser: Browser) -> None:
    async with desk(server) as made, _watched(browser) as seen:
        made.world.people[ANNA.id] = replace(ANNA, name=NAME)
        made.world.choices = (Offered("main", 2, ("pin", NAME)), Offered(NAME, 1, ()))
        call = replace(VERIFIED, name=Personal(NAME), number=NAME, methods=(NAME,), verifiable=True, droppable=True)
        made.world.calls = (call,)
        texts = {"number": Personal(NAME), "name": Personal(NAME), "language": NAME, "policy": NAME}
        made.world.record_of = {**texts, "phones": (Personal(NAME),), "has_pin": True, "locked": False}
        await sign_in(seen, made)
        page = seen.page
        await expect(page.locator('#calls [data-part="name"]')).to_have_text(NAME)
        await expect(page.locator(".who")).to_contain_text(NAME[:5])
        await _is_text(seen)
        # and as the script draws it anew
        made.world.calls = (replace(call, held=True),)
        made.hub.changed(frozenset({"PJSIP/anna"}))
        await expect(page.locator('[data-row="held"]')).to_be_visible()
        for part in ("name", "number"):
            assert await page.locator(f'#calls [data-part="{part}"]').text_content() == NAME
        assert NAME in str(await page.locator("#said").text_content())
        await page.get_by_role("button", name="Open the record").click()
        await expect(page.locator('[data-field="has_pin"] dd')).to_have_text("yes")
        for field in (*texts, "phones"):
            assert await page.locator(f'[data-field="{field}"] dd').text_content() == NAME


async def test_on_the_supervisors_page(server: Server, browser: Browser) -> None:
    async with desk(server) as made, _watched(browser) as seen:
        made.watched.calls_of = (replace(TALK, agent=NAME, number=NAME),)
        made.watched.ended = Statistics((), (Ended(NAME, 1),))
        made.watched.locks = (Barred(Held.NUMBER, NAME, None), Barred(Held.BY_HAND, REF, None))
        made.world.people[WHOM] = replace(ANNA, id=WHOM, login="bo", name=NAME)
        wished = {**WISH, "reason": NAME}
        await made.send("POST", "/api/v1/openings", json=wished, headers={"CSRF-Token": await made.sign_in("anna")})
        (wish,) = made.second.wishes.values()
        made.second.wishes[wish.id] = replace(wish, login=NAME)
        await sign_in(seen, made, "siv")
        page = seen.page
        await page.get_by_role("link", name="Team").click()
        await expect(page.locator("#talks tbody th")).to_have_text(NAME)
        shown = [
            await page.locator(f"[data-part='{part}']").all_text_contents()
            for part in ("agent", "policy", "what", "name", "login", "reason")
        ]
        assert all(NAME in texts for texts in shown), shown
        await page.locator('[data-do="approve"]').click()
        assert await page.locator("#ask-about").text_content() == f"{NAME}: {NAME}"


async def test_where_somebody_is_let_in(server: Server, browser: Browser) -> None:
    async with desk(server) as made, _watched(browser) as seen:
        made.world.welcome_name = NAME
        await seen.page.goto(made.url(f"/welcome/{LINK}"))
        await expect(seen.page.locator("main")).to_contain_text(NAME[:5])
        await _is_text(seen)
        await seen.page.goto(made.url("/sign-in"))
        for field in ("login", "password"):
            await seen.page.fill(f"#{field}", NAME)
        await seen.page.fill("#code", "123456")
        await seen.page.press("#code", "Enter")
        await expect(seen.page.get_by_role("alert")).to_be_visible()
        assert await seen.page.input_value("#login") == NAME[:64]


async def test_in_the_element_on_another_page(
    server: Server, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        crm_server() as crms,
        desk(server, crm(monkeypatch, 'may = ["calls", "verify", "record"]', origin=crms.origin)) as made,
    ):
        crms.desk = made
        made.world.choices = (Offered(NAME, 1, (NAME,)),)
        made.world.calls = (replace(VERIFIED, name=Personal(NAME), number=NAME, methods=(NAME,), verifiable=True),)
        await made.sign_in()
        async with _watched(browser) as seen:
            await seen.context.add_init_script(OPEN_ROOT)
            await seen.page.goto(crms.origin)
            inside = seen.page.locator("caller-auth")
            await expect(inside.get_by_role("heading", level=2)).to_have_text("Verified at level 2")
            for part in ("name", "number"):
                assert await inside.locator(f'dd[data-part="{part}"]').text_content() == NAME
