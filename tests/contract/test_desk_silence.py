"""Pages whose way to the desk falls silent without being closed, by a relay that stops, and marks that end meanwhile: in a real browser."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from ivr.lock import Current
from ivr.secret import Personal
from ivr.store.openings import Opening
from ivr.web.live import Hub
from ivr.web.words import words
from tests.browser_kit import Window, browser, window
from tests.contract.element_kit import OPEN_ROOT, crm_server
from tests.contract.live_server import Server
from tests.contract.test_desk_live import idle, page, seen
from tests.contract.test_desk_team import TALK
from tests.contract.web_kit import ANNA, CODE, PASSWORD, REF, VERIFIED, Desk, crm, desk

__all__ = ["browser"]
pytestmark = pytest.mark.servers

SAID = words("en")
NAME = "Anna Andersson"


@dataclass
class Relay:
    """A way to the desk. While it is not `open` it takes all and hands on nothing, and nobody is told."""

    to: int
    open: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Relay]:
        self.open.set()
        ways: set[asyncio.Task[None]] = set()

        async def way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
            both = self._hand_on(reader, back), self._hand_on(there, writer)
            ways.update(made := [asyncio.create_task(one) for one in both])
            await asyncio.wait(made)

        server = await asyncio.start_server(way, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for one in ways:
                one.cancel()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self.open.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def quick(server: Server, settings: str = "") -> AsyncIterator[tuple[Desk, Relay]]:
    """A desk of which more is heard, and whose pages wait less long; and a way to it."""
    async with desk(server, settings) as made:
        made.hub._look = made.hub._idle = 0.2
        made.hub._silent, made.hub.lost = 0.3, 2.0
        async with Relay(made.server.port).up() as relay:
            yield made, relay


@asynccontextmanager
async def at(browser: Browser, relay: Relay, login: str, place: str = "/") -> AsyncIterator[Window]:
    """Somebody who has signed in through it."""
    async with window(browser) as seen:
        await seen.page.goto(f"http://localhost:{relay.port}/sign-in")
        for named, given in {"login": login, "password": PASSWORD, "code": CODE}.items():
            await seen.page.locator(f"#{named}").fill(given)
        await seen.page.locator("#code").press("Enter")
        await seen.page.wait_for_url(f"http://localhost:{relay.port}/")
        if place != "/":
            await seen.page.goto(f"http://localhost:{relay.port}{place}")
        yield seen
        # that a connection comes to nothing, the browser says by itself
        seen.faults[:] = [fault for fault in seen.faults if "WebSocket connection to" not in fault]


async def told(page: Page) -> str:
    """All that stands in the page, seen or not."""
    return str(await page.evaluate("document.documentElement.textContent"))


async def test_nothing_stays_where_the_way_falls_silent(server: Server, browser: Browser) -> None:
    async with quick(server) as (made, relay), at(browser, relay, "anna") as seen:
        page, lost = seen.page, seen.page.locator("#lost")
        made.world.calls, made.world.record_of = (VERIFIED,), {"name": Personal(NAME), "number": "10001"}
        await page.get_by_role("button", name=SAID("record.open")).click()
        await expect(page.locator('[data-field="number"] dd')).to_have_text("10001")
        relay.open.clear()
        made.world.calls = ()
        await expect(lost).to_be_visible()
        await expect(page.locator("#calls > li")).to_have_count(0)
        text = await told(page)
        assert NAME not in text and "10001" not in text and REF not in text
        # what comes late is of before; a new way tells what is so
        relay.open.set()
        await expect(page.locator("#none")).to_be_visible()
        await expect(lost).to_be_hidden()


async def test_what_a_cut_way_delivers_late_is_not_shown(server: Server, browser: Browser) -> None:
    async with quick(server) as (made, relay), at(browser, relay, "anna") as seen:
        made.world.calls = (VERIFIED,)
        await expect(seen.page.locator('[data-part="name"]')).to_have_text(NAME)
        await seen.page.evaluate(
            """() => { window.names = 0; new MutationObserver((all) => {
                for (const one of all) for (const node of one.addedNodes) if (node.textContent.includes("Andersson")) window.names += 1;
            }).observe(document.body, {childList: true, subtree: true}); }"""
        )
        relay.open.clear()
        await expect(seen.page.locator("#lost")).to_be_visible()
        made.world.calls = ()
        relay.open.set()
        await expect(seen.page.locator("#none")).to_be_visible()
        assert await seen.page.evaluate("window.names") == 0


async def test_nor_on_a_supervisors_page(server: Server, browser: Browser) -> None:
    async with quick(server) as (made, relay), at(browser, relay, "siv", "/team") as seen:
        made.watched.calls_of = (TALK,)
        await expect(seen.page.locator("#talks tbody tr")).to_have_count(1)
        relay.open.clear()
        await expect(seen.page.locator("#lost")).to_be_visible()
        assert TALK.agent not in await told(seen.page)
        relay.open.set()
        await expect(seen.page.locator("#talks tbody tr")).to_have_count(1)


async def test_nor_of_a_record_that_is_open_without_a_call(server: Server, browser: Browser) -> None:
    async with quick(server) as (made, relay), at(browser, relay, "anna", "/openings") as seen:
        made.second.wishes["w"] = Opening(
            "w", "main", ANNA.id, "anna", REF, ("name",), "must be called back", 1_900_000_000, "p-siv"
        )
        await expect(seen.page.locator("#own li")).to_have_count(1)
        await seen.page.get_by_role("button", name=SAID("openings.read")).click()
        await expect(seen.page.locator("#record")).to_contain_text(NAME)
        relay.open.clear()
        await expect(seen.page.locator("#lost")).to_be_visible()
        assert NAME not in await told(seen.page)


@asynccontextmanager
async def on_a_page(
    server: Server, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Desk, Relay, Window, Callable[[], Awaitable[Locator]]]]:
    """A window, and how the element is opened in it on a CRM's page."""
    async with crm_server() as there:
        settings = crm(monkeypatch, 'may = ["calls", "record"]', origin=there.origin)
        async with quick(server, settings) as (made, relay), window(browser) as seen:
            await made.sign_in()
            there.desk = replace(made, origin=f"http://127.0.0.1:{relay.port}")
            await seen.context.add_init_script(OPEN_ROOT)

            async def opened() -> Locator:
                await seen.page.goto(there.origin)
                return seen.page.locator("caller-auth")

            yield made, relay, seen, opened


async def test_nor_in_the_element(server: Server, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_a_page(server, browser, monkeypatch) as (made, relay, _, opened):
        made.world.calls = (VERIFIED,)
        inside = await opened()
        await expect(inside.get_by_text(NAME)).to_be_visible()
        relay.open.clear()
        await expect(inside.get_by_text(SAID("desk.lost"))).to_be_visible()
        assert NAME not in await inside.evaluate("element => element.shadowRoot.textContent")


# As a machine that has slept: the clock has gone on, and no timer has.
_SLEPT = "Date.now = (real => () => real() + 600_000)(Date.now.bind(Date))"
_NO_TIMERS = "window.setInterval = () => 0;"


def slow(made: Desk) -> None:
    """Have its pages wait for longer than any test does."""
    made.hub.lost = 120.0


async def test_a_page_that_wakes_shows_nothing_of_before(server: Server, browser: Browser) -> None:
    async with quick(server) as (made, relay):
        slow(made)
        async with at(browser, relay, "anna") as seen:
            made.world.calls = (VERIFIED,)
            await expect(seen.page.locator('[data-part="name"]')).to_have_text(NAME)
            relay.open.clear()
            made.world.calls = ()
            await seen.page.evaluate(_SLEPT)
            await expect(seen.page.locator("#lost")).to_be_visible()
            assert NAME not in await told(seen.page)
            relay.open.set()


async def test_nor_does_an_element_that_wakes(
    server: Server, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_a_page(server, browser, monkeypatch) as (made, relay, seen, opened):
        slow(made)
        made.world.calls = (VERIFIED,)
        inside = await opened()
        await expect(inside.get_by_text(NAME)).to_be_visible()
        relay.open.clear()
        made.world.calls = ()
        await seen.page.evaluate(_SLEPT)
        await expect(inside.get_by_text(SAID("desk.lost"))).to_be_visible()
        assert NAME not in await inside.evaluate("element => element.shadowRoot.textContent")


async def test_what_comes_before_a_page_that_wakes_has_looked_at_the_clock_is_not_shown(
    server: Server, browser: Browser
) -> None:
    async with quick(server) as (made, relay):
        slow(made)
        async with at(browser, relay, "anna") as seen:
            page = seen.page
            await page.add_init_script(_NO_TIMERS)
            await page.reload()
            await expect(page.locator("#none")).to_be_visible()
            await page.evaluate(
                """() => { const lost = document.getElementById("lost"); window.wasLost = false;
                    new MutationObserver(() => { window.wasLost ||= !lost.hidden; }).observe(lost, {attributes: true}); }"""
            )
            await page.evaluate(_SLEPT)
            made.world.calls = (VERIFIED,)
            await expect(page.locator('[data-part="name"]')).to_have_text(NAME)
            assert await page.evaluate("window.wasLost"), "by a new way"


async def test_nor_in_the_element_either(server: Server, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_a_page(server, browser, monkeypatch) as (made, _, seen, opened):
        slow(made)
        await seen.context.add_init_script(
            _NO_TIMERS
            + "window.known = []; addEventListener('caller-auth', (event) => known.push(event.detail.known));"
        )
        inside = await opened()
        await expect(inside.get_by_text(SAID("desk.none"), exact=True)).to_be_visible()
        await seen.page.evaluate("known.length = 0;" + _SLEPT)
        made.world.calls = (VERIFIED,)
        await expect(inside.get_by_text(NAME)).to_be_visible()
        assert not await seen.page.evaluate("known[0]"), "by a new way"


def ending(seconds: float) -> Current:
    return replace(VERIFIED, until=int(time.time() + seconds))


async def test_a_mark_that_ends_ends_on_the_page_whoever_tells(server: Server, browser: Browser) -> None:
    """The desk says for ever that the caller is verified."""
    async with quick(server) as (made, relay), at(browser, relay, "anna") as seen:
        page = seen.page
        made.world.record_of = {"name": Personal(NAME), "number": "10001"}
        made.world.calls = (ending(60),)
        await page.get_by_role("button", name=SAID("record.open")).click()
        await expect(page.locator('[data-field="number"] dd')).to_have_text("10001")
        await expect(page.locator('[data-part="left"]')).to_have_text(SAID("desk.left_one"))
        made.world.calls = (ending(2),)
        await expect(page.locator("#calls h2")).to_have_text(SAID("desk.not_verified"))
        await expect(page.locator("#said")).to_contain_text(SAID("reason.expired"))
        text = await told(page)
        assert NAME not in text and "10001" not in text and REF not in text
        assert await seen.seen_by_all() == []


async def test_so_it_does_on_a_supervisors_page(server: Server, browser: Browser) -> None:
    async with quick(server) as (made, relay), at(browser, relay, "siv", "/team") as seen:
        made.watched.calls_of = (replace(TALK, until=int(time.time() + 60)),)
        title = seen.page.locator("#talks [data-part=title]")
        await expect(title).to_have_text(SAID("desk.verified", level=2))
        made.watched.calls_of = (replace(TALK, until=int(time.time() + 2)),)
        await expect(title).to_have_text(SAID("desk.not_verified"))


async def test_so_it_does_in_the_element(server: Server, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    async with crm_server() as there:
        settings = crm(monkeypatch, 'may = ["calls", "record"]', origin=there.origin)
        async with quick(server, settings) as (made, _), window(browser) as seen:
            there.desk = made
            await made.sign_in()
            made.world.calls = (ending(60),)
            await seen.context.add_init_script(
                OPEN_ROOT + "addEventListener('caller-auth', (event) => { window.heard = event.detail; });"
            )
            await seen.page.goto(there.origin)
            inside = seen.page.locator("caller-auth")
            await expect(inside.get_by_text(NAME)).to_be_visible()
            made.world.calls = (ending(2),)
            await expect(inside.get_by_role("heading", level=2)).to_have_text(SAID("desk.not_verified"))
            assert NAME not in await inside.evaluate("element => element.shadowRoot.textContent")
            (heard,) = (await seen.page.evaluate("window.heard"))["calls"]
            assert (heard["sign"], heard["ref"]) == ("not_verified", "")


async def test_who_is_told_the_same_again_is_no_longer_signed_in_for_it(server: Server) -> None:
    async with quick(server) as (made, _):
        await made.sign_in()
        async with await page(made) as socket:
            first = await socket.receive_json()
            idle(server, 14)
            for _ in range(5):
                assert await socket.receive_json(timeout=10) == first
            assert seen(server) == 14


def test_so_often_that_a_look_may_take_its_time() -> None:
    """At whatever pace it looks, a page hears something well before it takes the way as cut."""
    for look, quiet in itertools.product((0.5, 1.0, 4.0, 5.0, 7.0), (2.0, 10.0)):
        hub = Hub(None, look=look, idle=quiet)  # type: ignore[arg-type]
        for calls in ([], [{"until": None}]):
            now, when, gaps = 0.0, 0.0, []
            while now < 120:
                now += hub.until({"calls": calls})
                if hub.due(time.monotonic() - (now - when), {"calls": calls}):
                    gaps.append(now - when)
                    when = now
            assert max(gaps) <= 15 and hub.lost - max(gaps) >= 10
