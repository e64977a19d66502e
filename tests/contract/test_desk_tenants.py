"""Signing in on the page as somebody of another tenant than `main`: nobody of `main` sees that there are any."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pyotp
import pytest
from playwright.async_api import Browser

from ivr.secret import Secret
from ivr.web import tenants
from tests.browser_kit import browser, window
from tests.contract.desk_kit import PASSWORD
from tests.contract.live_server import Server
from tests.contract.signin_kit import Site, site
from tests.unit.conftest import Either

__all__ = ["browser"]
pytestmark = pytest.mark.servers


@pytest.fixture
async def desk(server: Server, sqlite: Either) -> AsyncIterator[Site]:
    async with site(sqlite(), server) as made:
        yield made


async def test_from_the_link_to_the_next_sign_in(desk: Site, browser: Browser) -> None:
    house = desk.house
    anna = await house.enrolled("anna", tenant="south")
    token = await house.invite(await house.add("bo", tenant="south"))
    await house.enrolled("cilla")
    async with window(browser) as seen:
        page = seen.page
        await page.goto(f"{desk.url}/sign-in")
        assert await page.locator("#tenant").count() == 0, "those of main are not asked"
        # the one-time link leads to the page of its own tenant
        await page.goto(f"{desk.url}/welcome/{token.reveal()}")
        key = await page.locator("code.key").inner_text()
        house.keys["bo"] = Secret(key)
        await page.fill("#password", PASSWORD)
        await page.fill("#again", PASSWORD)
        await page.fill("#code", pyotp.TOTP(key).now())
        await page.press("#code", "Enter")
        await page.wait_for_url("**/sign-in?welcome_done&tenant=south")
        assert await page.input_value("#tenant") == "south"
        assert await seen.seen_by_all() == []

        async def signs_in(login: str) -> None:
            house.now += 30
            await page.fill("#login", login)
            await page.fill("#password", PASSWORD)
            await page.fill("#code", house.code(login).reveal())
            await page.press("#code", "Enter")

        # what is wrong stays to be corrected, and is refused in the same words
        for wrong in ("north", "sö der", "<b>", ""):
            await page.fill("#tenant", wrong)
            await signs_in(anna.login)
            await page.locator("#fault").wait_for()
            assert await page.input_value("#tenant") == wrong
        await page.fill("#tenant", " south ")
        await signs_in(anna.login)
        await page.get_by_text("Signed in as Name of anna").wait_for()
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await page.wait_for_url("**/sign-in?signed_out")
        assert await page.input_value("#tenant") == "south", "this browser is asked for it from now on"
        # somebody of main at the same browser, who then is not asked any more
        await page.fill("#tenant", "")
        await signs_in("cilla")
        await page.get_by_text("Signed in as Name of cilla").wait_for()
        await page.get_by_role("button", name="Sign out", exact=True).click()
        assert await page.locator("#tenant").count() == 0
        await page.goto(f"{desk.url}/sign-in?tenant")
        assert await page.input_value("#tenant") == ""


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (None, "main"),
        ("", "main"),
        (" ", "main"),
        ("south", "south"),
        (" S_1-x ", "S_1-x"),
        ("a b", "?"),
        ("é", "?"),
        ("x" * 41, "?"),
    ],
)
def test_what_is_typed_is_a_name_or_nobodys(typed: str | None, found: str) -> None:
    assert tenants.read(typed) == found
