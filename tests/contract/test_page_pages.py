"""The public page in a real browser, on a phone, with scripts off: one screen, four languages, for whoever cannot see it, too."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from ivr.call.ports import Asking
from ivr.call.proof import Keyed, Shown, Stage
from ivr.page.words import languages, words
from ivr.secret import Secret
from ivr.store.callers import CallerLinks
from ivr.store.opened import new_link
from tests.browser_kit import PHONE, browser, window
from tests.contract.live_server import Server
from tests.contract.page_kit import DIGITS, OTHER, SHOWN, House, at, page, proof

__all__ = ["browser"]
pytestmark = pytest.mark.servers

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"

PICTURED = ("first", "who", "denied", "code", "caller", "confirmed", "was", "check", "checked")

# As long as such things are.
SHOWN_IN = {
    "en": SHOWN,
    "sv": replace(SHOWN, language="sv", department="Kundtjänst", title="Handläggare", about="Din faktura", phrase="grön kanot"),
    "de": replace(SHOWN, language="de", department="Kundenbetreuung", title="Sachbearbeiterin", about="Ihre Rechnung", phrase="grünes Kanu"),
    "pl": replace(SHOWN, language="pl", department="Obsługa klienta", title="Specjalistka", about="Twoja faktura", phrase="zielony kajak"),
}  # fmt: skip


@pytest.fixture
async def house(server: Server) -> AsyncIterator[House]:
    lines = 'timezone = "Europe/Stockholm"\nper_address_minute = 10000\n'
    async with page(server, lines, brand='phone = "08-123 45 00"\nsite = "example.com"\n') as made:
        yield made


def test_there_is_every_language() -> None:
    assert set(SHOWN_IN) == set(languages())


async def height(seen: Page) -> int:
    """Of all that there is, in pixels."""
    found = await seen.evaluate("document.documentElement.scrollHeight")
    assert isinstance(found, int)
    return found


async def asked(house: House, language: str) -> Secret:
    """The end of a link that a caller was sent."""
    worker, link = (CallerLinks(house.both.links[0], house.both.prefix, house.both.key), new_link())
    await worker.ask("one", link, Asking(SHOWN.company, SHOWN.number, language), seconds=180, answers=5)
    return link


@pytest.mark.parametrize("language", sorted(SHOWN_IN))
async def test_a_person_confirms_with_scripts_off(house: House, browser: Browser, language: str) -> None:
    text = words(language)
    one, link = await house.both.begin(proof(shown=SHOWN_IN[language]))
    async with window(browser, language="ja", size=PHONE, scripts=False) as seen:
        await seen.page.goto(house.url + at(link))
        await seen.page.get_by_role("button", name=text("first.show"), exact=True).click()
        await expect(seen.page.get_by_text(SHOWN_IN[language].phrase)).to_be_visible()
        field = seen.page.get_by_label(text("who.digits"))
        await field.fill("000000")
        await seen.page.get_by_role("button", name=text("who.confirm"), exact=True).click()
        await expect(seen.page.get_by_role("alert")).to_contain_text(text("fault.wrong_many", left=2))
        await field.fill(DIGITS.reveal())
        await seen.page.get_by_role("button", name=text("who.confirm"), exact=True).click()
        await expect(seen.page.get_by_role("heading", name=text("confirmed.title"))).to_be_visible()
    assert await house.stage(one) == Stage.CONFIRMED


@pytest.mark.parametrize(("language", "dark"), [*((language, False) for language in sorted(SHOWN_IN)), ("en", True)])
async def test_one_screen_for_everybody(house: House, browser: Browser, language: str, dark: bool) -> None:
    """All of it is seen without scrolling, the deny button too; axe finds nothing, by day and by night."""
    text = words(language)
    one, link = await house.both.begin(proof(shown=SHOWN_IN[language]))
    async with window(browser, language=language, size=PHONE, dark=dark) as seen:

        async def fits(name: str) -> None:
            assert await seen.seen_by_all() == [], name
            assert not await seen.cramped(), name
            assert await height(seen.page) <= PHONE["height"], f"{name} is {await height(seen.page)} pixels high"
            if os.environ.get("PAGE_PICTURES") == "write" and not dark and name in PICTURED:
                await seen.picture(PICTURES / f"page-{name}-{language}.png")

        await seen.page.goto(house.url + at(link))
        await fits("first")
        await seen.page.get_by_role("button", name=text("first.show"), exact=True).click()
        await fits("who")
        deny = seen.page.get_by_role("button", name=text("who.deny"), exact=True)
        await expect(deny).to_be_in_viewport(ratio=1)
        await deny.click()
        await expect(seen.page.get_by_role("heading", name=text("denied.title"))).to_be_visible()
        await fits("denied")
        await seen.page.goto(house.url + "/")
        await fits("code")
        # another proof, whose digits are keyed; and what its link says from then on
        _, link = await house.both.begin(proof(channel="1712.6", subject="main:bo", shown=SHOWN_IN[language]))
        await house.open(link)
        await seen.page.goto(house.url + at(link))
        await seen.page.get_by_role("button", name=text("first.show"), exact=True).click()
        await seen.page.get_by_label(text("who.digits")).fill(DIGITS.reveal())
        await seen.page.get_by_role("button", name=text("who.confirm"), exact=True).click()
        await expect(seen.page.get_by_role("heading", name=text("confirmed.title"))).to_be_visible()
        await expect(seen.page.get_by_text(text("confirmed.close"))).to_be_visible()
        await fits("confirmed")
        await seen.page.goto(house.url + at(link))
        await expect(seen.page.get_by_role("heading", name=text("was.title"))).to_be_visible()
        await fits("was")
        number = await seen.page.get_by_text("08-123 45 00", exact=True).bounding_box()
        assert number is not None and number["height"] < 30, "a number to be dialled stands in one line"
        await expect(seen.page.get_by_role("listitem")).to_have_count(0)
        # whether it was us, who called a while ago
        await seen.page.goto(f"{house.url}/check")
        await seen.page.fill("#day", "2026-11-20")
        await seen.page.locator("#day").blur()
        await fits("check")
        await seen.page.fill("#number", "070-174 06 01")
        await seen.page.fill("#calling", "08-123 456 78")
        await seen.page.fill("#time", "10:02")
        await seen.page.get_by_role("button", name=text("check.ask"), exact=True).click()
        await expect(seen.page.get_by_role("heading", name=text("checked.title"))).to_be_visible()
        await fits("checked")
        # who calls us, and is asked for what the own call says
        called = f"/c/{(await asked(house, language)).reveal()}"
        await seen.page.goto(house.url + called)
        await fits("caller")
        await seen.page.get_by_label(text("caller.digits")).fill("12")
        await seen.page.get_by_role("button", name=text("who.confirm"), exact=True).click()
        await expect(seen.page.get_by_role("alert")).to_be_visible()
        await fits("caller-fault")
        await seen.page.get_by_label(text("caller.digits")).fill(DIGITS.reveal())
        await seen.page.get_by_role("button", name=text("who.confirm"), exact=True).click()
        await expect(seen.page.get_by_role("status")).to_be_visible()
        await fits("caller-passed-on")
        deny = seen.page.get_by_role("button", name=text("caller.deny"), exact=True)
        await expect(deny).to_be_in_viewport(ratio=1)
        await deny.click()
        await expect(seen.page.get_by_role("heading", name=text("not_me.title"))).to_be_visible()
        await fits("caller-denied")
    assert await house.stage(one) == Stage.DENIED


async def test_what_else_there_is_to_be_read(house: House, browser: Browser) -> None:
    text = words("en")
    one, link = await house.both.begin(proof(keyed=Keyed.PHONE))
    async with window(browser, size=PHONE) as seen:
        await seen.page.goto(house.url + at(link))
        await seen.page.get_by_role("button", name=text("first.show"), exact=True).click()
        await expect(seen.page.get_by_text(DIGITS.reveal())).to_be_visible()
        assert await seen.seen_by_all() == []
        assert await height(seen.page) <= PHONE["height"]
        await seen.page.get_by_role("button", name=text("who.again"), exact=True).click()
        await expect(seen.page.get_by_text(DIGITS.reveal())).to_be_visible()
        await house.both.pages.end(one.id, Stage.CONFIRMED)
        for path in (at(link), "/p/nobody"):
            await seen.page.goto(house.url + path)
            assert await seen.seen_by_all() == []
            assert not await seen.cramped()


@pytest.mark.parametrize(
    ("language", "stage"), [("de", Stage.WRONG), ("sv", Stage.EXPIRED), ("pl", Stage.EXPIRED), ("en", Stage.CONFIRMED)]
)
async def test_behind_each_end_one_screen_and_the_button_that_denies(
    house: House, browser: Browser, language: str, stage: Stage
) -> None:
    text = words(language)
    one, link = await house.both.begin(proof(shown=replace(SHOWN, language=language)))
    await house.open(link)
    if stage is Stage.EXPIRED:
        await house.both.pages.end(one.id, stage)
    elif stage is Stage.CONFIRMED:
        await house.key(link, DIGITS.reveal())
    async with window(browser, language=language, size=PHONE, scripts=False) as seen:
        await seen.page.goto(house.url + at(link))
        if stage is Stage.WRONG:
            await seen.page.get_by_role("button", name=text("first.show"), exact=True).click()
            for _ in range(3):
                await seen.page.get_by_label(text("who.digits")).fill(OTHER.reveal())
                await seen.page.keyboard.press("Enter")
        said = {Stage.CONFIRMED: "was.title", Stage.WRONG: "wrong.title", Stage.EXPIRED: "expired.title"}[stage]
        await expect(seen.page.get_by_role("heading", name=text(said))).to_be_visible()
        assert await height(seen.page) <= PHONE["height"]
        assert not await seen.cramped()
    async with window(browser, language=language, size=PHONE) as seen:
        await seen.page.goto(house.url + at(link))
        await expect(seen.page.get_by_role("heading", name=text(said))).to_be_visible()
        assert await seen.seen_by_all() == []
        await seen.page.get_by_role("button", name=text("who.deny"), exact=True).click()
        await expect(seen.page.get_by_role("heading", name=text("denied.title"))).to_be_visible()
    assert [each.stage for each in await house.both.pages.due()][-1] is Stage.DENIED


async def test_long_words_and_large_letters_break_nothing(house: House, browser: Browser) -> None:
    long = Shown(
        company="Donaudampfschifffahrtsgesellschaft", department="Rindfleischetikettierungsüberwachung", agent="Wilhelmina-Charlotta",
        title="Versicherungsfachangestellte", about="Grundstücksverkehrsgenehmigungszuständigkeit", number="+46…67", outbound=False,
        since=1_790_000_000, phrase="donnerstäglich Straßenbahn", language="de",
    )  # fmt: skip
    _, link = await house.both.begin(proof(shown=long))
    async with window(browser, language="de", size={"width": 320, "height": 568}) as seen:
        await seen.page.goto(house.url + at(link))
        await seen.page.get_by_role("button", name=words("de")("first.show"), exact=True).click()
        assert not await seen.cramped()
        assert await seen.seen_by_all() == []


@pytest.mark.parametrize("language", sorted(SHOWN_IN))
async def test_letters_twice_as_large_on_a_telephone(house: House, browser: Browser, language: str) -> None:
    """Half the width is left: what stood side by side stands below each other, and no column is too narrow for a word."""
    text = words(language)
    _, link = await house.both.begin(proof(shown=SHOWN_IN[language]))
    async with window(
        browser, language=language, size={"width": PHONE["width"] // 2, "height": PHONE["height"] // 2}
    ) as seen:
        await seen.page.goto(house.url + at(link))
        await seen.page.get_by_role("button", name=text("first.show"), exact=True).click()
        for part in ("dt", "dd"):
            places = await seen.page.locator(part).evaluate_all(
                "all => all.map(one => [one.offsetLeft, one.offsetWidth])"
            )
            assert places and all(place == places[0] for place in places) and places[0][1] > 140, places
        assert not await seen.cramped()
        await seen.page.goto(f"{house.url}/check")
        assert not await seen.cramped()


async def test_whoever_uses_the_keyboard_comes_to_everything(house: House, browser: Browser) -> None:
    one, link = await house.both.begin()
    text = words("en")
    async with window(browser, size=PHONE, scripts=False) as seen:
        await seen.page.goto(house.url + at(link))
        await seen.page.keyboard.press("Tab")
        await seen.page.keyboard.press("Enter")
        await expect(seen.page.get_by_label(text("who.digits"))).to_be_visible()
        await seen.page.keyboard.press("Tab")
        await seen.page.keyboard.type(DIGITS.reveal())
        await seen.page.keyboard.press("Enter")
        await expect(seen.page.get_by_role("heading", name=text("confirmed.title"))).to_be_visible()
    assert await house.stage(one) == Stage.CONFIRMED


async def test_back_and_again_show_what_became_of_it(house: House, browser: Browser) -> None:
    """The page before is not kept by the browser: whoever goes back asks anew."""
    one, link = await house.both.begin()
    text = words("en")
    async with window(browser, size=PHONE, scripts=False) as seen:
        await seen.page.goto(house.url + at(link))
        await seen.page.get_by_role("button", name=text("who.deny"), exact=True).click()
        await expect(seen.page.get_by_role("heading", name=text("denied.title"))).to_be_visible()
        await seen.page.go_back()
        await expect(seen.page.get_by_role("heading", name=text("denied.title"))).to_be_visible()
    assert await house.stage(one) == Stage.DENIED
