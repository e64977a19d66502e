"""The pages on which somebody identifies back, in a real browser on a phone: scripts off, one screen, four languages, axe."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import time

import pytest
from playwright.async_api import Browser, Page, expect

from ivr.call.proof import Proof
from ivr.page.back_sheets import TOLD
from ivr.page.words import languages, words
from ivr.secret import Secret
from ivr.store.introduction import Act, Shows, View, Wish
from ivr.store.opened import new_link
from ivr.store.wishes import BACK, DeskWishes
from tests.browser_kit import PHONE, Window, browser, window
from tests.contract.live_server import Server
from tests.contract.page_kit import DIGITS, OTHER, House, at, page, proof
from tests.contract.test_page_pages import PICTURES, SHOWN_IN, height

__all__ = ["browser"]
pytestmark = pytest.mark.servers

WAYS = ("bankid", "freja", "totp")
PICTURED = ("offer", "totp", "known")
QR = Secret(
    "bankid.67df3917-fa0d-44e5-b327-edcc928297f8.0.dc69358e712458a66a7525beef148ae8526b1c71610eff2c16cdffb4cdac9bf8"
)


@pytest.fixture
async def house(server: Server) -> AsyncIterator[House]:
    lines = 'timezone = "Europe/Stockholm"\nper_address_minute = 10000\n'
    async with page(server, lines, brand='phone = "08-123 45 00"\nsite = "example.com"\n') as made:
        yield made


def desk(house: House) -> DeskWishes:
    """Where the desk says what is shown."""
    return DeskWishes(house.both.links[0], house.both.prefix, house.both.key, BACK)


def view(shows: Shows, language: str, **more: object) -> View:
    fields: dict[str, object] = {"eid": "bankid", "link": Secret(""), "qr": Secret(""), **more}
    return View(shows, language, int(time()) + 300, **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def answering(house: House, language: str) -> AsyncIterator[None]:
    """A desk that asks for codes, of which one is the right one."""
    store = desk(house)

    def shown(wish: Wish) -> View:
        if wish.act is Act.BEGIN:
            return view(Shows.TOTP, language, eid="totp", left=3)
        if wish.field("digits") == DIGITS:
            return view(Shows.KNOWN, language, eid="totp")
        return view(Shows.TOTP, language, eid="totp", left=2, why="wrong")

    async def forever() -> None:
        while True:
            if (wish := await store.take()) is not None:
                await store.show(wish.session, shown(wish))
                await store.done(wish)

    running = asyncio.create_task(forever())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def confirmed(house: House, seen: Page, language: str) -> tuple[Proof, Secret]:
    """Somebody has keyed the digits in this browser."""
    one, link = await house.both.begin(proof(shown=replace(SHOWN_IN[language], back=WAYS)))
    await house.open(link)
    await seen.goto(house.url + at(link))
    await seen.locator('form[action$="/open"] button').click()
    await seen.fill("#digits", DIGITS.reveal())
    await seen.locator('form[action$="/confirm"] button').click()
    await expect(seen.get_by_role("heading", name=words(language)("confirmed.title"))).to_be_visible()
    return one, link


async def states(house: House, seen: Window, language: str) -> AsyncIterator[str]:
    """Everything that this browser can be shown, one after another; each lies still: what renews itself would go away."""
    one, link = await confirmed(house, seen.page, language)
    await expect(seen.page.get_by_text(words(language)("confirmed.close"))).to_have_count(0)
    yield "offer"
    name, store = await house.both.pages.answered_by(one.id), desk(house)
    (cookie,) = [each for each in await seen.context.cookies() if each.get("name") == "__Host-back"]

    async def still(path: str) -> None:
        while (answer := await house.ask(at(link, path), Cookie=f"__Host-back={cookie.get('value')}")).status == 429:
            # more states in a second than anybody is shown: the page says when to come again
            await asyncio.sleep(int(answer.headers["Retry-After"]))
        assert answer.status < 429 and len(answer.text.encode()) < 30_000, (path, answer.status, answer.text)
        await seen.page.goto("about:blank")
        await seen.page.set_content(answer.text)

    for shows, more in (
        (Shows.TOTP, {"eid": "totp", "left": 3}),
        (Shows.TOTP, {"eid": "totp", "left": 2, "why": "wrong"}),
        (Shows.APP, {"link": Secret("https://app.bankid.com/?autostarttoken=a&redirect=null")}),
        (Shows.APP, {"qr": QR}),
        (Shows.ASKED, {"eid": "freja"}),
        (Shows.MOMENT, {}),
        (Shows.BACK, {}),
        (Shows.KNOWN, {}),
        *((Shows.REFUSED, {"why": why}) for why in (*sorted(TOLD), "failed")),
    ):  # fmt: skip
        await store.show(name, view(shows, language, **more))
        await still("/me")
        what = "picture" if "qr" in more else shows.value
        yield f"{what}-{more['why']}" if "why" in more else what
    await still(f"/me/app/{new_link().reveal()}")
    yield "back-again"
    await seen.context.clear_cookies()
    await seen.page.goto(house.url + at(link, f"/me/app/{new_link().reveal()}"))
    yield "elsewhere"


@pytest.mark.parametrize(("language", "dark"), [*((language, False) for language in sorted(languages())), ("en", True)])
async def test_one_screen_for_everybody(house: House, browser: Browser, language: str, dark: bool) -> None:
    """All of it is seen without scrolling; axe finds nothing, by day and by night."""
    seen_at_all = set()
    async with window(browser, language=language, size=PHONE, dark=dark) as seen:
        async for name in states(house, seen, language):
            seen_at_all.add(name)
            assert await seen.seen_by_all() == [], name
            assert not await seen.cramped(), name
            deny = seen.page.get_by_role("button", name=words(language)("who.deny"), exact=True)
            # of the two that the app opens, one has its own button alone, and one is somebody's who has begun nothing
            await expect(deny).to_have_count(int(name not in ("back-again", "elsewhere")))
            assert await height(seen.page) <= PHONE["height"], f"{name} is {await height(seen.page)} pixels high"
            if os.environ.get("PAGE_PICTURES") == "write" and not dark and name in PICTURED:
                await seen.picture(PICTURES / f"page-back-{name}-{language}.png")
    assert {"offer", "totp", "totp-wrong", "app", "picture", "asked", "known", "refused-over"} <= seen_at_all


@pytest.mark.parametrize("language", sorted(languages()))
async def test_letters_twice_as_large_on_a_telephone(house: House, browser: Browser, language: str) -> None:
    async with window(
        browser, language=language, size={"width": PHONE["width"] // 2, "height": PHONE["height"] // 2}
    ) as seen:
        async for name in states(house, seen, language):
            assert not await seen.cramped(), name


@pytest.mark.parametrize("language", sorted(languages()))
async def test_an_authenticator_apps_code_with_scripts_off(house: House, browser: Browser, language: str) -> None:
    text = words(language)
    async with (
        answering(house, language),
        window(browser, language="ja", size=PHONE, scripts=False) as seen,
    ):
        await confirmed(house, seen.page, language)
        await seen.page.get_by_role("button", name=text("back.totp"), exact=True).click()
        field = seen.page.get_by_label(text("back_totp.code", count=6))
        for said, fault in (
            ("12 34", text("back_totp.form", count=6)),
            (OTHER.reveal(), text("fault.left_many", left=2)),
        ):
            await field.fill(said)
            await seen.page.get_by_role("button", name=text("back_totp.send"), exact=True).click()
            await expect(seen.page.get_by_role("alert")).to_contain_text(fault)
        # as apps show it
        await field.fill(f"{DIGITS.reveal()[:3]} {DIGITS.reveal()[3:]}")
        await seen.page.get_by_role("button", name=text("back_totp.send"), exact=True).click()
        agent = SHOWN_IN[language].agent
        await expect(seen.page.get_by_role("heading", name=text("back_known.title", agent=agent))).to_be_visible()
