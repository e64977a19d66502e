"""Messages in a real browser: the button that switches them on, and what the worker shows of them.

No browser subscribes without its maker's push service on the internet: in its stead the test hands the page a subscription at a
push service of its own, which decrypts what we send; and hands that to the browser as its maker's service would.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.async_api import Browser, expect

from ivr.call.proof import Stage
from ivr.lock.enrolling import WAY
from ivr.page.words import languages, words
from ivr.push.web import Subscription
from ivr.secret import Secret
from ivr.store.opened import new_link
from ivr.store.posted import PUSH, PostBox
from tests.browser_kit import PHONE, Window, browser, window
from tests.contract.live_server import Server
from tests.contract.page_kit import DIGITS, SHOWN, House, at, page, proof
from tests.contract.peers_kit import Internet
from tests.contract.prove_kit import until
from tests.contract.test_push import HOST, internet, made, service, settings_of, subscription
from tests.contract.test_push import browser as pushed_to

__all__ = ["browser", "internet", "service"]
pytestmark = pytest.mark.servers

# What only the maker's own push service can give.
SUBSCRIBED = """(made) => {
  PushManager.prototype.subscribe = async function (asked) {
    if (!asked.userVisibleOnly) throw new Error("what is not shown may not be sent");
    window.asked = Array.from(asked.applicationServerKey);
    return { toJSON: () => made };
  };
}"""


@pytest.fixture
async def house(server: Server) -> AsyncIterator[House]:
    async with page(server, "per_address_minute = 10000\n") as made_here:
        yield made_here


async def confirmed(house: House, there: Window, key: str, language: str = "en") -> Secret:
    """The person has keyed the digits; the end of the link."""
    text = words(language)
    _, link = await house.both.begin(proof(shown=replace(SHOWN, push=key, language=language)))
    await there.page.goto(house.url + at(link))
    await there.page.get_by_role("button", name=text("first.show"), exact=True).click()
    await there.page.get_by_label(text("who.digits")).fill(DIGITS.reveal())
    await there.page.get_by_role("button", name=text("who.confirm"), exact=True).click()
    await expect(there.page.get_by_role("heading", name=text("confirmed.title"))).to_be_visible()
    return link


async def deliver(there: Window, origin: str, message: str) -> None:
    """As the browser's maker does."""
    devtools = await there.context.new_cdp_session(there.page)
    found: dict[str, str] = {}
    devtools.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: found.update({one["scopeURL"]: one["registrationId"] for one in event["registrations"]}),
    )
    await devtools.send("ServiceWorker.enable")
    await there.page.wait_for_function("navigator.serviceWorker.ready.then((one) => one.active.state === 'activated')")
    # the devtools tell of it in their own time
    await until(lambda: asyncio.sleep(0, f"{origin}/" in found))
    sent = {"origin": origin, "registrationId": found[f"{origin}/"], "data": message}
    await devtools.send("ServiceWorker.deliverPushMessage", sent)


async def test_from_the_button_to_the_page(
    house: House, browser: Browser, internet: Internet, service: str, tmp_path: Path
) -> None:
    push = made(settings_of(tmp_path), internet)
    box = PostBox(house.both.links[0], house.both.prefix, house.both.key)
    async with pushed_to(internet, service) as maker, window(browser, size=PHONE) as there:
        await there.context.grant_permissions(["notifications"], origin=house.url)
        said = json.loads((await maker.subscribe(push.public)).reveal())
        link = await confirmed(house, there, push.public)
        await there.page.evaluate(SUBSCRIBED, said)
        button = there.page.get_by_role("button", name=words("en")("push.switch"), exact=True)
        await expect(button).to_be_visible()
        assert await there.seen_by_all() == []
        await button.click()
        await expect(there.page.get_by_role("status")).to_have_text(words("en")("push.done"))
        await expect(button).to_be_hidden()
        # our public key, and nobody else's
        assert len(await there.page.evaluate("window.asked")) == 65
        posted = await box.take()
        assert posted is not None
        assert (posted.way, posted.secret.reveal()) == (PUSH, link.reveal())
        to = Subscription.read(posted.body, [HOST])
        assert to is not None
        # what goes out is what the browser gets
        another = new_link()
        message = orjson.dumps({"title": "Acme", "body": "Är det så?", "language": "sv", "link": another.reveal()})
        await push.send(to, Secret(message.decode()), seconds=60)
        (received,) = await maker.received()
        await deliver(there, house.url, received)
        shown, opened = await pressed(there)
        assert shown == [["Acme", "Är det så?", "sv", another.reveal()]]
        assert opened == [f"/p/{another.reveal()}"]


async def pressed(there: Window) -> tuple[list[list[str]], list[str]]:
    """Wait for a notice. What is shown, and what the worker opens when it is pressed: a browser opens that for a person's press alone.

    A browser that has no desktop to show it on takes it away again by itself: it is pressed in the moment that it is found.
    """
    worker = there.context.service_workers[0]
    shown, opened = await worker.evaluate("""async () => {
      const opened = [];
      self.clients.openWindow = async (to) => { opened.push(to); };
      for (;;) {
        const all = await self.registration.getNotifications();
        for (const notification of all) {
          self.dispatchEvent(new NotificationEvent("notificationclick", { notification }));
        }
        if (all.length !== 0) return [all.map((one) => [one.title, one.body, one.lang, one.data]), opened];
        await new Promise((on) => setTimeout(on, 10));
      }
    }""")
    return shown, opened


@pytest.mark.parametrize(
    "message", ["", "x", "null", '{"title": "Acme", "link": "https://evil.example/"}', '{"link": "../evil"}']
)
async def test_what_nobody_of_ours_has_written_opens_nothing(house: House, browser: Browser, message: str) -> None:
    async with window(browser, size=PHONE) as there:
        await there.context.grant_permissions(["notifications"], origin=house.url)
        await confirmed(house, there, "B" + "A" * 86)
        await there.page.evaluate("navigator.serviceWorker.register('/sw.js')")
        await deliver(there, house.url, message)
        _, opened = await pressed(there)
        assert opened == []


async def test_a_browser_that_does_not_let_us(house: House, browser: Browser) -> None:
    async with window(browser, size=PHONE) as there:
        await there.context.clear_permissions()
        await confirmed(house, there, "B" + "A" * 86)
        await there.page.evaluate("Notification.requestPermission = async () => 'denied'")
        button = there.page.get_by_role("button", name=words("en")("push.switch"), exact=True)
        await button.click()
        await expect(there.page.get_by_role("status")).to_have_text(words("en")("push.refused"))
        await expect(button).to_be_enabled()
        assert await there.seen_by_all() == []


@pytest.mark.parametrize("language", sorted(languages()))
async def test_one_screen_in_every_language(house: House, browser: Browser, language: str) -> None:
    async with window(browser, size=PHONE, language=language) as there:
        await confirmed(house, there, "B" + "A" * 86, language)
        await expect(there.page.locator("#push")).to_be_visible()
        assert await there.seen_by_all() == []
        assert not await there.cramped()
        assert await there.page.evaluate("document.documentElement.scrollHeight") <= PHONE["height"]


async def test_nobody_is_asked_without_scripts_or_without_a_key(house: House, browser: Browser) -> None:
    async with window(browser, size=PHONE, scripts=False) as there:
        await confirmed(house, there, "B" + "A" * 86)
        await expect(there.page.locator("#push")).to_be_hidden()
    async with window(browser, size=PHONE) as there:
        await confirmed(house, there, "")
        await expect(there.page.locator("#push")).to_have_count(0)


async def posted_to(house: House, link: Secret, body: Any, once: str = "") -> int:
    async with house.browser.post(
        f"{house.url}{at(link, '/push')}", json=body, headers={"X-Push-Once": once}
    ) as answer:
        return answer.status


async def test_it_is_taken_behind_the_digits_alone(house: House) -> None:
    """And only where the page was to ask."""
    one, link = await house.both.begin(proof(shown=replace(SHOWN, push="B" + "A" * 86)))
    assert await posted_to(house, link, subscription()) == 404
    await house.open(link)
    assert await posted_to(house, link, subscription()) == 404
    assert "script-src" not in (await house.open(link)).headers["Content-Security-Policy"]
    answer = await house.key(link, DIGITS.reveal())
    assert "; script-src 'self'; connect-src 'self'" in answer.headers["Content-Security-Policy"]
    once = once_in(answer.text)
    for wrong in ("", new_link().reveal(), "x", once[:-1], link.reveal()):
        assert await posted_to(house, link, subscription(), wrong) == 404
    assert await posted_to(house, new_link(), subscription(), once) == 404
    # whoever opens it later, too, is given none
    assert once not in (await house.open(link)).text + (await house.ask(at(link))).text
    # however many come at once, one of them is taken
    statuses = await asyncio.gather(*(posted_to(house, link, subscription(), once) for _ in range(5)))
    assert sorted(statuses) == [204, 404, 404, 404, 404]
    assert await house.stage(one) == Stage.CONFIRMED
    _, silent = await house.both.begin()
    await house.open(silent)
    assert "data-once" not in (await house.key(silent, DIGITS.reveal())).text
    assert await posted_to(house, silent, subscription()) == 404


async def test_a_token_is_of_one_proof_and_its_body_is_limited(house: House) -> None:
    tokens = []
    for _ in range(2):
        _, link = await house.both.begin(proof(shown=replace(SHOWN, push="B" + "A" * 86)))
        await house.open(link)
        tokens.append((link, once_in((await house.key(link, DIGITS.reveal())).text)))
    (one, first), (other, second) = tokens
    assert await posted_to(house, one, subscription(), second) == 404
    assert await posted_to(house, other, subscription(), first) == 404
    assert await posted_to(house, one, "x" * 9000, first) == 413
    assert await posted_to(house, other, subscription(), second) == 204


async def test_nobody_gets_past_the_page(house: House) -> None:
    """What anybody posts as if to a gateway's address is none of what the page lets in."""
    async with house.browser.post(f"{house.url}/in/push/{new_link().reveal()}", data=b"x") as answer:
        assert answer.status == 204
    posted = await PostBox(house.both.links[0], house.both.prefix, house.both.key).take()
    assert posted is not None and posted.way != WAY


def once_in(text: str) -> str:
    found = re.search(r'data-once="([\w-]{22})"', text)
    assert found is not None
    return found[1]
