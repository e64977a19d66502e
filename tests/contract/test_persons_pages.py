"""The pages of people who show each other who they are, in a real browser on a phone: scripts off, one screen, four languages, axe."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from ivr.page.words import languages, words
from tests.browser_kit import PHONE, browser, window
from tests.contract.broker_kit import RealBroker, real_broker
from tests.contract.live_server import Server
from tests.contract.persons_kit import (
    ASKER,
    KARIN,
    KARL,
    LABEL,
    OTHER,
    People,
    broker_table,
    code_of,
    link_of,
    people,
    with_broker,
)  # fmt: skip
from tests.contract.test_page_pages import PICTURES, height

__all__ = ["browser"]
pytestmark = pytest.mark.servers

PICTURED = ("first", "picture", "who", "met", "choose")


@pytest.fixture
async def there(server: Server, tmp_path: Path) -> AsyncIterator[People]:
    async with people(server, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    """Of another site than the page, as a browser sees it."""
    with real_broker(back="http://127.0.0.1/back", host="localhost") as found:
        yield found


@pytest.fixture
async def several(server: Server, tmp_path: Path, broker: RealBroker) -> AsyncIterator[People]:
    """With three to choose from."""
    tables = broker_table(broker.issuer, scopes=["profile"])
    async with people(server, tmp_path, eids=with_broker("bankid", "freja"), tables=tables) as made:
        yield made


async def identify(there: People, seen: Page, who: str, name: str) -> None:
    """By the app on the same device: it opens where the order says."""
    await expect(seen.locator('a[href^="https://app.bankid.com/"]')).to_be_visible()
    back = there.identify(who, name=name)
    await seen.goto(there.url + back)
    await seen.locator("main form button").click()


@pytest.mark.parametrize("language", ["sv"])
async def test_two_people_with_scripts_off(there: People, browser: Browser, language: str) -> None:
    text = words(language)

    async with (
        window(browser, language=language, size=PHONE, scripts=False) as karl,
        window(browser, language=language, size=PHONE, scripts=False) as karin,
    ):
        await karl.page.goto(f"{there.url}/person")
        await karl.page.get_by_label(text("person.own")).fill(ASKER)
        await karl.page.get_by_label(text("person.other")).fill(OTHER)
        await karl.page.get_by_role("button", name=text("person.here", eid="BankID"), exact=True).click()
        await identify(there, karl.page, KARL, "Karl Canaryson")
        field = karl.page.get_by_label(text("person_code.code", count=6))
        await field.fill(code_of((await there.text(1))["message"]))
        await karl.page.get_by_role("button", name=text("person_code.send"), exact=True).click()
        await expect(karl.page.get_by_role("heading", name=text("person_wait.title"))).to_be_visible()
        await karin.page.goto(there.url + link_of((await there.text(2))["message"]))
        await karin.page.get_by_role("button", name=text("first.show"), exact=True).click()
        await expect(karin.page.get_by_text("Karl Canaryson")).to_be_visible()
        await karin.page.get_by_role("button", name=text("person.here", eid="BankID"), exact=True).click()
        await identify(there, karin.page, KARIN, "Karin Svar")
        await expect(karin.page.get_by_role("heading", name=text("person_met.title"))).to_be_visible()
        # the asker's renews itself
        await expect(karl.page.get_by_text("Karin Svar")).to_be_visible()
        await expect(karl.page.get_by_text(OTHER)).to_be_visible()


@pytest.mark.parametrize("language", ["sv"])
async def test_two_people_by_a_broker_with_scripts_off(
    several: People, broker: RealBroker, browser: Browser, language: str
) -> None:
    """There and back are two sites: the cookie comes along, and nothing of what came back stays in the address."""
    text, there = words(language), several

    async def there_and_back(seen: Page, who: str, name: str) -> None:
        await seen.get_by_role("button", name=text("person.site", eid=LABEL), exact=True).click()
        broker.next(page=True, how="approve", acr="urn:level:high", sub=f"user-{who}", name=name)
        await seen.get_by_role("link", name=text("person_app.go", eid=LABEL), exact=True).click()

    async with (
        window(browser, language=language, size=PHONE, scripts=False) as karl,
        window(browser, language=language, size=PHONE, scripts=False) as karin,
    ):
        await karl.page.goto(f"{there.url}/person")
        await karl.page.get_by_label(text("person.own")).fill(ASKER)
        await karl.page.get_by_label(text("person.other")).fill(OTHER)
        await there_and_back(karl.page, KARL, "Karl Canaryson")
        field = karl.page.get_by_label(text("person_code.code", count=6))
        await field.fill(code_of((await there.text(1))["message"]))
        assert karl.page.url == f"{there.url}/person/now"
        await karl.page.get_by_role("button", name=text("person_code.send"), exact=True).click()
        await expect(karl.page.get_by_role("heading", name=text("person_wait.title"))).to_be_visible()
        await karin.page.goto(there.url + link_of((await there.text(2))["message"]))
        await karin.page.get_by_role("button", name=text("first.show"), exact=True).click()
        await expect(karin.page.get_by_text(LABEL, exact=True)).to_be_visible()
        await there_and_back(karin.page, KARIN, "Karin Svar")
        await expect(karin.page.get_by_role("heading", name=text("person_met.title"))).to_be_visible()
        await expect(karl.page.get_by_text("Karin Svar")).to_be_visible()
        assert karl.faults == []
        assert karin.faults == []


@pytest.mark.parametrize("language", sorted(languages()))
async def test_one_screen_where_there_are_several(
    several: People, browser: Browser, broker: RealBroker, language: str
) -> None:
    text, there = words(language), several
    async with window(browser, language=language, size=PHONE) as seen:

        async def fits(name: str) -> None:
            assert await seen.seen_by_all() == [], name
            assert not await seen.cramped(), name
            assert await height(seen.page) <= PHONE["height"], f"{name} is {await height(seen.page)} pixels high"
            if os.environ.get("PAGE_PICTURES") == "write" and name in PICTURED:
                await seen.picture(PICTURES / f"person-{name}-{language}.png")

        await seen.page.goto(f"{there.url}/person")
        await fits("choose")
        await seen.page.get_by_label(text("person.own")).fill(ASKER)
        await seen.page.get_by_label(text("person.other")).fill(OTHER)
        await seen.page.get_by_role("button", name=text("person.site", eid=LABEL), exact=True).click()
        await expect(seen.page.get_by_role("link", name=text("person_app.go", eid=LABEL), exact=True)).to_be_visible()
        await fits("site")
        await seen.page.goto(f"{there.url}/back")
        await expect(seen.page.get_by_role("heading", name=text("person_elsewhere.title"))).to_be_visible()
        await fits("elsewhere")
        picture = await (await there.browser()).begin(start="freja.other", language=language)
        await seen.page.set_content(picture.text)
        await expect(seen.page.get_by_role("img", name=text("person_app.picture", eid="Freja"))).to_be_visible()
        await fits("freja")
        _, link = await there.asked()
        await seen.page.goto(there.url + link)
        await seen.page.get_by_role("button", name=text("first.show"), exact=True).click()
        await expect(seen.page.get_by_role("button", name=text("person.site", eid=LABEL), exact=True)).to_be_visible()
        # four buttons and who asks are more than one screen in some languages: the denial is behind them
        assert await seen.seen_by_all() == []
        assert not await seen.cramped()


@pytest.mark.parametrize("language", sorted(languages()))
async def test_one_screen_for_everybody(there: People, browser: Browser, language: str) -> None:
    """All of it is seen without scrolling; axe finds nothing, and each page weighs little."""
    text = words(language)
    async with window(browser, language=language, size=PHONE) as seen:

        async def fits(name: str) -> None:
            assert await seen.seen_by_all() == [], name
            assert not await seen.cramped(), name
            assert await height(seen.page) <= PHONE["height"], f"{name} is {await height(seen.page)} pixels high"
            assert len((await seen.page.content()).encode()) < 30_000, name
            if os.environ.get("PAGE_PICTURES") == "write" and name in PICTURED:
                await seen.picture(PICTURES / f"person-{name}-{language}.png")

        async def press(name: str, **fields: str) -> None:
            await seen.page.get_by_role("button", name=text(name, **fields), exact=True).click()

        async def begin(start: str) -> None:
            await seen.page.goto(f"{there.url}/person")
            await seen.page.get_by_label(text("person.own")).fill(ASKER)
            await seen.page.get_by_label(text("person.other")).fill(OTHER)
            await press(start, eid="BankID")

        await seen.page.goto(f"{there.url}/person")
        await fits("first")
        # what renews itself would go away under whoever looks at it for long
        picture = await (await there.browser()).begin(start="bankid.other", language=language)
        await seen.page.set_content(picture.text)
        await expect(seen.page.get_by_role("img", name=text("person_app.picture", eid="BankID"))).to_be_visible()
        await fits("picture")
        await begin("person.here")
        await fits("app")
        await seen.page.goto(there.url + there.identify(KARL, name="Karl Canaryson"))
        await fits("back")
        await press("person_back.go_on")
        field = seen.page.get_by_label(text("person_code.code", count=6))
        await expect(field).to_be_visible()
        await fits("code")
        await field.fill("1")
        await press("person_code.send")
        await expect(seen.page.get_by_role("alert")).to_be_visible()
        await fits("code-wrong")
        await field.fill(code_of((await there.text(1))["message"]))
        await press("person_code.send")
        await expect(seen.page.get_by_role("status")).to_be_visible()
        content = await seen.page.content()
        await seen.page.goto("about:blank")
        await seen.page.set_content(content)
        await fits("wait")
        link = link_of((await there.text(2))["message"])
        await seen.page.goto(there.url + link)
        await fits("letter")
        await press("first.show")
        await fits("who")
        await expect(seen.page.get_by_role("button", name=text("person_who.deny"), exact=True)).to_be_in_viewport(
            ratio=1
        )
        await press("person.here", eid="BankID")
        await identify(there, seen.page, KARIN, "Karin Svar")
        await expect(seen.page.get_by_role("heading", name=text("person_met.title"))).to_be_visible()
        await fits("met")
        await seen.page.goto(there.url + link)
        await fits("answered")
        await seen.page.goto(f"{there.url}/person/back/{'a' * 22}")
        await fits("back-again")
        await seen.context.clear_cookies()
        await seen.page.goto(f"{there.url}/person/back/{'a' * 22}")
        await expect(seen.page.get_by_role("heading", name=re.compile(text("person_elsewhere.title")))).to_be_visible()
        await fits("elsewhere")
