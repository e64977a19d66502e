"""Signing in with a real browser: passkeys of Chromium's own authenticator, under the desk's content security policy."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from playwright.async_api import Browser, BrowserContext, Page

from ivr.staff import Person
from tests.contract.desk_kit import PASSWORD
from tests.contract.live_server import Server
from tests.contract.openid_provider import CLIENT, SECRET, provider
from tests.contract.signin_kit import CHROMIUM, Site, chromium, free_port, page_of, shot, site, with_device
from tests.unit.conftest import Either

pytestmark = [pytest.mark.servers, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")]

LANGUAGES = ("en", "sv", "de", "pl")
PICTURES = Path(os.environ["DESK_PICTURES"]) if "DESK_PICTURES" in os.environ else None


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


@pytest.fixture
async def desk(tmp_path: Path, server: Server, sqlite: Either) -> AsyncIterator[Site]:
    async with site(sqlite(), server) as made:
        yield made


async def visitor(browser: Browser, language: str = "en") -> BrowserContext:
    return await browser.new_context(locale=language, viewport={"width": 900, "height": 1000})


async def test_from_the_link_to_the_last_passkey(desk: Site, browser: Browser) -> None:
    """The one-time link, a sign-in by the key alone, a second key, and taking the first away; by keyboard alone."""
    faults: list[str] = []
    house = desk.house
    anna = await house.add("anna")
    token = await house.invite(anna)
    page = await page_of(await visitor(browser), faults)
    device, named = await with_device(page)

    await page.goto(f"{desk.url}/welcome/{token.reveal()}")
    await page.get_by_role("button", name="Finish with a passkey").press("Enter")
    assert await page.locator("#password").evaluate("field => !field.validity.valid"), "a password is needed as well"
    await page.locator("#password").fill(PASSWORD)
    await page.locator("#again").fill(PASSWORD)
    await shot(page, PICTURES, "welcome")
    await page.get_by_role("button", name="Finish with a passkey").press("Enter")
    await page.get_by_text("Sign in with the passkey.").wait_for()
    (kept,) = (await device.send("WebAuthn.getCredentials", {"authenticatorId": named}))["credentials"]
    assert kept["isResidentCredential"] and kept["rpId"] == "localhost"

    await shot(page, PICTURES, "sign_in")
    await page.get_by_role("button", name="Sign in with a passkey").press("Enter")
    await page.get_by_text("Signed in as Name of anna").wait_for()
    assert page.url == f"{desk.url}/"

    await page.get_by_role("link", name="Signed in as").press("Enter")
    await page.get_by_role("heading", name="How you sign in").wait_for()
    await page.get_by_text("First passkey", exact=True).wait_for()
    other, _ = await with_device(page, transport="usb")
    await device.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": named})
    await page.get_by_label("Name", exact=True).fill("Key on the ring")
    await page.get_by_role("button", name="Make a passkey").press("Enter")
    await page.get_by_text("The passkey is set.").wait_for()
    await shot(page, PICTURES, "account")
    assert [one.passkey.name for one in await house.passkeys.of(anna)] == ["First passkey", "Key on the ring"]
    assert other

    await page.get_by_label("Name of First passkey").fill("Old laptop")
    await page.get_by_label("Name of First passkey").press("Enter")
    await page.get_by_text("has its new name").wait_for()
    await page.get_by_role("button", name="Remove Old laptop").press("Enter")
    await page.get_by_text("is gone").wait_for()
    await page.get_by_role("button", name="Remove Key on the ring").press("Enter")
    await page.get_by_role("alert").get_by_text("last second factor").wait_for()
    assert [one.passkey.name for one in await house.passkeys.of(anna)] == ["Key on the ring"]
    assert faults == []
    actions = [row[1:] for row in await house.rows()]
    assert actions == [
        ("agent.enrol", "done"), ("desk.sign_in", "done"), ("passkey.add", "done"), ("passkey.remove", "done"),
        ("passkey.remove", "done"), ("passkey.remove", "refused"),
    ]  # fmt: skip


async def test_removing_a_key_ends_every_other_session(desk: Site, browser: Browser) -> None:
    faults: list[str] = []
    anna = await desk.house.enrolled("anna")
    first, second = [await page_of(await visitor(browser), faults) for _ in range(2)]
    for page in (first, second):
        await signs_in(desk, page, anna)
    await with_device(first)
    await first.goto(f"{desk.url}/account")
    await first.get_by_label("Name", exact=True).fill("Laptop")
    await first.get_by_role("button", name="Make a passkey").click()
    await first.get_by_text("The passkey is set.").wait_for()
    await first.get_by_role("button", name="Remove Laptop").click()
    await first.get_by_text("is gone").wait_for()
    await second.goto(f"{desk.url}/account")
    assert second.url == f"{desk.url}/sign-in?for=account"
    assert faults == []


async def test_it_takes_a_fresh_sign_in(desk: Site, browser: Browser) -> None:
    faults: list[str] = []
    house = desk.house
    anna = await house.enrolled("anna")
    page = await page_of(await visitor(browser), faults)
    await with_device(page)
    await signs_in(desk, page, anna)
    late = house.settings.desk.fresh_minutes * 60 + 1
    object.__setattr__(desk.web, "wall", lambda: time.time() + late)
    csrf = await page.locator("input[name=csrf]").first.get_attribute("value")
    for path in ("/account/passkey", "/account/passkeys", "/account/passkeys/x"):
        answer = await page.request.post(
            f"{desk.url}{path}", form={"csrf": csrf or "", "do": "remove"},
            headers={"Sec-Fetch-Site": "same-origin", "Origin": desk.url},
        )  # fmt: skip
        assert answer.status == 403, path
        assert "Sign in again" in await answer.text()
    await page.goto(f"{desk.url}/account")
    assert await page.get_by_role("button", name="Make a passkey").count() == 0
    await shot(page, PICTURES, "account_stale")
    await page.get_by_role("button", name="Sign in again").press("Enter")
    await page.wait_for_url("**/sign-in?for=account")
    object.__setattr__(desk.web, "wall", time.time)
    house.now += 30
    await typed(desk, page, anna)
    await page.wait_for_url("**/account")
    assert await page.get_by_role("button", name="Make a passkey").is_visible()
    assert faults == []


async def test_what_is_not_there_is_not_changed(desk: Site, browser: Browser) -> None:
    faults: list[str] = []
    page = await page_of(await visitor(browser), faults)
    await signs_in(desk, page, await desk.house.enrolled("anna"))
    await page.goto(f"{desk.url}/account")
    csrf = await page.locator("input[name=csrf]").first.get_attribute("value") or ""
    own = {"Sec-Fetch-Site": "same-origin", "Origin": desk.url}
    for path, form in (("s", {"passkey": "{}"}), ("s/x", {"do": "rename"}), ("s/x", {"do": "remove"})):
        where = f"{desk.url}/account/passkey{path}"
        answer = await page.request.post(where, form={"csrf": csrf, **form}, headers=own, max_redirects=0)
        assert (answer.status, answer.headers["location"]) == (303, "/account?failed")
    # without the session's token nothing is asked, or made
    for path in ("", "s", "s/x"):
        answer = await page.request.post(f"{desk.url}/account/passkey{path}", form={"csrf": "x"}, headers=own)
        assert answer.status == 403
    object.__setattr__(desk.web, "passkeys", None)
    await page.goto(f"{desk.url}/account")
    await page.get_by_text("The desk has no name").wait_for()
    answer = await page.request.post(f"{desk.url}/account/passkey", form={"csrf": csrf}, headers=own)
    assert answer.status == 404
    await page.get_by_role("button", name="Sign out", exact=True).click()
    await page.wait_for_url("**/sign-in?signed_out")
    assert await page.locator("#passkey").count() == 0
    csrf = await page.locator("input[name=csrf]").first.get_attribute("value") or ""
    asked = await page.request.post(f"{desk.url}/welcome/{'x' * 43}/passkey", headers={**own, "CSRF-Token": csrf})
    assert asked.status == 404
    await page.goto(f"{desk.url}/welcome/{'x' * 43}")
    assert "does not work" in await page.locator("main").inner_text()
    assert faults == []


async def test_a_person_who_changes_their_mind_and_a_device_without_a_key(desk: Site, browser: Browser) -> None:
    faults: list[str] = []
    page = await page_of(await visitor(browser), faults)
    await with_device(page)
    await page.goto(f"{desk.url}/sign-in")
    button = page.get_by_role("button", name="Sign in with a passkey")
    await button.click()
    await page.get_by_text("No passkey was used.").wait_for()
    await shot(page, PICTURES, "sign_in_none")
    assert await button.is_enabled()
    # one of another desk's, or of somebody who was reset
    anna = await desk.house.enrolled("anna")
    await signs_in(desk, page, anna)
    await page.goto(f"{desk.url}/account")
    await page.get_by_label("Name", exact=True).fill("Laptop")
    await page.get_by_role("button", name="Make a passkey").click()
    await page.get_by_text("The passkey is set.").wait_for()
    await desk.house.invite(anna)
    await page.get_by_role("button", name="Sign out", exact=True).click()
    await button.click()
    await page.get_by_role("alert").get_by_text("The passkey is not one of this desk").wait_for()
    assert faults == []


async def test_beside_a_password_it_stands_in_the_stead_of_a_code(
    tmp_path: Path, server: Server, sqlite: Either, browser: Browser
) -> None:
    faults: list[str] = []
    async with site(sqlite(), server) as desk:
        desk.house.passkeys.alone = False
        anna = await desk.house.enrolled("anna")
        page = await page_of(await visitor(browser), faults)
        await with_device(page)
        await signs_in(desk, page, anna)
        await page.goto(f"{desk.url}/account")
        await page.get_by_label("Name", exact=True).fill("Laptop")
        await page.get_by_role("button", name="Make a passkey").click()
        await page.get_by_text("The passkey is set.").wait_for()
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await page.get_by_label("User name").fill("anna")
        await page.get_by_label("Password", exact=True).fill("another")
        await shot(page, PICTURES, "sign_in_beside")
        await page.get_by_role("button", name="Use a passkey").click()
        await page.get_by_role("alert").wait_for()
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Use a passkey").click()
        await page.get_by_text("Signed in as").wait_for()
    assert faults == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_in_every_language(language: str, desk: Site, browser: Browser) -> None:
    faults: list[str] = []
    anna = await desk.house.enrolled("anna")
    page = await page_of(await visitor(browser, language), faults)
    await page.set_viewport_size({"width": 360, "height": 740})
    await with_device(page)
    token = await desk.house.invite(await desk.house.add("bo"))
    for name, path in (("sign_in", "/sign-in"), ("welcome", f"/welcome/{token.reveal()}")):
        await page.goto(f"{desk.url}{path}")
        await shot(page, PICTURES, f"{name}_{language}")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    await page.goto(f"{desk.url}/sign-in")
    await typed(desk, page, anna)
    await page.goto(f"{desk.url}/account")
    await page.locator("#name").fill("Nyckelknippan")
    await page.locator("#passkey button").click()
    await page.locator(".keys li").wait_for()
    await shot(page, PICTURES, f"account_{language}")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert await page.evaluate("document.documentElement.lang") == language
    assert faults == []


async def test_by_a_provider_on_another_site(tmp_path: Path, server: Server, sqlite: Either, browser: Browser) -> None:
    """There and back as a browser goes: the cookie that says who began comes along, and the new session's is sent."""
    faults: list[str] = []
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    port, theirs = free_port(), free_port()
    base = sqlite()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "oidc.secret").touch(mode=0o600)
    (tmp_path / "oidc.secret").write_text(SECRET)
    text = (
        f'[desk.oidc]\nca_file = "ca.pem"\nissuer = "https://127.0.0.1:{theirs}"\nname = "Exempel AB"\n'
        f'client_id = "{CLIENT}"\nclient_secret_file = "oidc.secret"\n'
    )
    async with (
        provider(theirs, f"http://localhost:{port}/sign-in/provider", authority) as op,
        site(base, server, text, port=port) as desk,
    ):
        anna = await desk.house.enrolled("anna")
        assert desk.web.elsewhere is not None
        context = await browser.new_context(locale="sv", ignore_https_errors=True)
        page = await page_of(context, faults)
        await page.goto(f"{desk.url}/sign-in")
        await shot(page, PICTURES, "sign_in_provider")
        button = page.get_by_role("button", name="Logga in med Exempel AB")
        await button.press("Enter")
        await page.get_by_text("ingen här hör ihop med det kontot").wait_for()
        await shot(page, PICTURES, "sign_in_unlinked")
        assert await desk.web.elsewhere.identities.link(anna, op.issuer, op.subject())
        await button.press("Enter")
        await page.get_by_text("Inloggad som Name of anna").wait_for()
        assert page.url == f"{desk.url}/"
        cookies = {cookie["name"]: cookie for cookie in await context.cookies()}
        assert cookies["__Host-desk"]["sameSite"] == "Strict" and "__Host-elsewhere" not in cookies
        await page.goto(f"{desk.url}/account")
        await page.get_by_text("Organisationens egen inloggning").wait_for()
    assert faults == []


async def signs_in(desk: Site, page: Page, person: Person) -> None:
    await page.goto(f"{desk.url}/sign-in")
    desk.house.now += 30
    await typed(desk, page, person)
    await page.wait_for_url(f"{desk.url}/")


async def typed(desk: Site, page: Page, person: Person) -> None:
    await page.locator("#login").fill(person.login)
    await page.locator("#password").fill(PASSWORD)
    await page.locator("#code").fill(desk.house.code(person.login).reveal())
    await page.locator("#code").press("Enter")
