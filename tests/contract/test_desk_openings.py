"""A record without a call, on the page: a wish, a second person, the record for its time, and gone. On the whole desk, in a browser."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace

import pytest
from playwright.async_api import Browser, expect
from rig.ports import Ports

from ivr.web import live
from ivr.web.visit import SESSION
from ivr.web.words import languages, words
from tests.browser_kit import PHONE, Window, browser, window
from tests.contract.live_server import Server
from tests.contract.matrix_calls import ANNA
from tests.contract.matrix_kit import Visitor, Whole, whole
from tests.contract.web_kit import desk
from tests.unit.conftest import Either

__all__ = ["browser"]
pytestmark = pytest.mark.servers

WHY = "the fire brigade asks whom to call"


@pytest.fixture
async def made(sqlite: Either, server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Whole]:
    for name in ("look", "idle"):
        monkeypatch.setitem(live.Hub.__init__.__kwdefaults__, name, 0.2)
    with closing(Ports()) as ports:
        async with whole(sqlite(), server, ports, monkeypatch) as made:
            yield made


@asynccontextmanager
async def seen_by(
    made: Whole, browser: Browser, role: str, *, scripts: bool = True
) -> AsyncIterator[tuple[Window, Visitor]]:
    """The page, open for somebody of this role who is signed in."""
    visitor = await made.visitor(role)
    async with window(browser, scripts=scripts) as seen:
        cookie = {
            "name": SESSION,
            "value": visitor.token,
            "domain": "localhost",
            "path": "/",
            "secure": True,
            "httpOnly": True,
        }
        await seen.context.add_cookies([{**cookie, "sameSite": "Strict"}])  # type: ignore[list-item]
        await seen.page.goto(f"{made.url}/openings")
        yield seen, visitor


async def asks(seen: Window, ref: str, *fields: str, why: str = WHY) -> None:
    """By keyboard alone."""
    page = seen.page
    await page.get_by_label("Reference").fill(ref)
    for field in fields:
        await page.get_by_label(field, exact=True).press("Space")
    await page.get_by_label("Reason").fill(why)
    await page.get_by_label("Reason").press("Enter")


async def wish_of(made: Whole) -> str:
    keys = await made.line.link.ask("KEYS", f"{made.line.prefix}:opening:one:*")
    assert isinstance(keys, list) and len(keys) == 1
    return str(keys[0].decode()).rpartition(":")[2]


async def approve(made: Whole, named: str, role: str = "supervisor") -> int:
    return (await made.ask(await made.visitor(role), "POST", f"/api/v1/openings/{named}/approval"))[0]


async def test_two_persons_and_one_reads(made: Whole, browser: Browser) -> None:
    async with seen_by(made, browser, "agent") as (seen, _):
        page = seen.page
        await expect(page.locator("#own")).to_be_hidden()
        await asks(seen, made.line.asked.ref, "Name", "Customer number")
        await expect(page.locator("#own")).to_contain_text("Waits for a second person")
        await expect(page.locator("#own")).to_contain_text("Customer number, Name")
        await expect(page.get_by_role("button", name="Read the record")).to_be_hidden()
        named = await wish_of(made)
        assert await seen.seen_by_all() == []
        # what is not open yet is read by nobody who presses all the same
        await page.locator('[data-row="open"]').first.evaluate("button => { button.hidden = false; button.click(); }")
        await expect(page.get_by_role("alert")).to_be_visible()
        assert ANNA.name not in await page.content()
        assert await approve(made, named) == 200
        # the page follows by itself, and says so
        await expect(page.locator("#own")).to_contain_text("Open to you")
        await expect(page.locator("#said")).to_contain_text("Open to you")
        await expect(page.locator('#own [data-part="left"]')).to_contain_text("min")
        await page.get_by_role("button", name="Read the record").press("Enter")
        await expect(page.locator("#record")).to_contain_text(ANNA.name)
        await expect(page.locator("#record")).to_contain_text(ANNA.number)
        await expect(page.locator("#record")).to_be_focused()
        assert await seen.seen_by_all() == []
        await page.get_by_role("link", name="Close the record").press("Enter")
        await expect(page.locator("#record")).to_have_count(0)
        # again, and gone as soon as it is shut
        await page.get_by_role("button", name="Read the record").press("Enter")
        await expect(page.locator("#record")).to_contain_text(ANNA.name)
        second = await made.visitor("supervisor")
        assert (await made.ask(second, "DELETE", f"/api/v1/openings/{named}"))[0] == 204
        await expect(page.locator("#record")).to_have_count(0)
        await expect(page.locator("#own")).to_be_hidden()
        assert ANNA.name not in await page.content()
    actions = [row[1:] for row in await made.house.rows() if row[1].startswith("glass.")]
    assert actions == [
        ("glass.ask", "asked"), ("glass.read", "refused"), ("glass.approve", "approved"), ("glass.read", "granted"),
        ("glass.read", "granted"), ("glass.decline", "declined"),
    ]  # fmt: skip


async def test_the_record_goes_with_its_time_and_with_its_session(made: Whole, browser: Browser) -> None:
    async with seen_by(made, browser, "agent") as (seen, visitor):
        page = seen.page
        await asks(seen, made.line.asked.ref, "Name")
        await approve(made, await wish_of(made))
        await page.get_by_role("button", name="Read the record").click()
        await expect(page.locator("#record")).to_contain_text(ANNA.name)
        await page.evaluate("document.getElementById('record').dataset.until = 1")
        await expect(page.locator("#record")).to_have_count(0)
        await page.get_by_role("button", name="Read the record").click()
        await expect(page.locator("#record")).to_contain_text(ANNA.name)
        assert visitor.person is not None
        await made.house.sessions.end_all("main", visitor.person.id)
        await page.wait_for_url("**/sign-in?ended&for=openings")
        assert await page.locator('input[name="for"]').first.get_attribute("value") == "openings"


async def test_without_a_script(made: Whole, browser: Browser) -> None:
    async with seen_by(made, browser, "agent", scripts=False) as (seen, _):
        page = seen.page
        await asks(seen, made.line.asked.ref, "Telephone")
        await expect(page.locator("#own")).to_contain_text("Waits for a second person")
        await approve(made, await wish_of(made))
        await page.reload()
        await page.get_by_role("button", name="Read the record").click()
        await expect(page.locator("#record")).to_contain_text("+46")
        await page.get_by_role("button", name="Take back").click()
        await expect(page.locator("#own")).to_be_hidden()
        await expect(page.locator("#record")).to_have_count(0)


async def test_what_cannot_be_asked_for_is_said_and_kept(made: Whole, browser: Browser) -> None:
    async with seen_by(made, browser, "agent") as (seen, visitor):
        page = seen.page
        await page.evaluate("document.querySelectorAll('form').forEach(form => { form.noValidate = true; })")
        for ref, why, fields, told in (
            ("x", WHY, ("Name",), "no reference"), (made.line.asked.ref, "why", ("Name",), "Give a reason"),
            (made.line.asked.ref, "he is 19640823-1234", ("Name",), "without numbers"), (made.line.asked.ref, WHY, (), "Choose what you need"),
        ):  # fmt: skip
            await asks(seen, ref, *fields, why=why)
            await expect(page.get_by_role("alert")).to_contain_text(told)
            assert await page.get_by_label("Reference").input_value() == ref
            assert await page.get_by_label("Reason").input_value() == why
            await page.goto(f"{made.url}/openings")
            await page.evaluate("document.querySelectorAll('form').forEach(form => { form.noValidate = true; })")
        given = {"ref": made.line.asked.ref, "reason": WHY, "field-name": "yes"}
        for _ in range(20):
            assert (await made.ask(visitor, "POST", "/openings", data=given))[0] == 303
        await asks(seen, made.line.asked.ref, "Name")
        await expect(page.get_by_role("alert")).to_be_visible()


async def test_it_is_the_own_ones_alone(made: Whole) -> None:
    """Another agent, and whoever has no calls, neither sees, reads nor takes back."""
    given = {"ref": made.line.asked.ref, "reason": WHY, "field-name": "yes"}
    status, _ = await made.ask(await made.visitor("agent"), "POST", "/openings", data=given)
    assert status == 303
    named = await wish_of(made)
    assert await approve(made, named) == 200
    for role in ("colleague", "supervisor", "other tenant", "administrator", "auditor", "nobody", "ended", "disabled"):
        visitor = await made.visitor(role)
        status, page = await made.ask(visitor, "GET", "/openings")
        assert named not in page and status in (200, 303, 403), role
        status, page = await made.ask(visitor, "POST", f"/openings/{named}", data={"do": "open"})
        assert status in (401, 403) and ANNA.name not in page, role
    for role in ("colleague", "other tenant", "nobody"):
        assert (await made.ask(await made.visitor(role), "POST", f"/openings/{named}", data={"do": "back"}))[0] in (
            401,
            403,
        )
    # no form of another site's
    agent = replace(await made.visitor("agent"), csrf="x")
    assert (await made.ask(agent, "POST", f"/openings/{named}", data={"do": "open"}))[0] == 403
    status, page = await made.ask(await made.visitor("agent"), "POST", f"/openings/{named}", data={"do": "open"})
    assert status == 200 and ANNA.name in page


async def test_a_part_that_is_down_shows_nothing(made: Whole, browser: Browser) -> None:
    async with seen_by(made, browser, "agent") as (seen, _):
        page = seen.page
        await asks(seen, made.line.asked.ref, "Name")
        named = await wish_of(made)
        await approve(made, named)
        await page.get_by_role("button", name="Read the record").click()
        await expect(page.locator("#record")).to_contain_text(ANNA.name)
        await made.line.link.ask("SET", f"{made.line.prefix}:opening:one:main:{named}", "rubbish")
        await expect(page.locator("#lost")).to_be_visible()
        await expect(page.locator("#record")).to_have_count(0)
        status, text = await made.ask(await made.visitor("agent"), "GET", "/openings")
        assert status == 503 and "rubbish" not in text


@pytest.mark.parametrize("language", languages())
async def test_everybody_can_use_it(server: Server, browser: Browser, language: str) -> None:
    said = words(language)
    async with (
        desk(server) as opened,
        window(browser, language=language, dark=language in ("de", "sv"), size=PHONE) as seen,
    ):
        await opened.sign_in()
        cookie = {"name": SESSION, "value": opened.cookie(), "domain": "127.0.0.1", "path": "/", "secure": True}
        await seen.context.add_cookies([cookie])  # type: ignore[list-item]
        page = seen.page
        await page.goto(opened.url("/openings"))
        await page.locator("#ref").fill("abcdefgh2345")
        await page.locator("#reason").fill("någon måste ringas upp")
        await page.locator('[name="field-name"]').check()
        await page.locator("#reason").press("Enter")
        await expect(page.locator('#own [data-part="title"]')).to_have_text(said("openings.waiting"))
        (wish,) = opened.second.wishes.values()
        opened.second.wishes[wish.id] = replace(wish, approved_by="p-siv", until=int(time.time()) + 600)
        opened.hub.stir()
        await page.get_by_role("button", name=said("openings.read")).click()
        await expect(page.locator("#record")).to_contain_text("Anna Andersson")
        assert await seen.seen_by_all() == []
        assert not await seen.cramped()
