"""Calling from the desk, as a browser and a program have it: what is asked for, answered, shown and said aloud."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from playwright.async_api import Browser, expect

from ivr.call.dial import DialStage
from ivr.lock import Reason
from ivr.staff import Permission
from ivr.web.dialview import NO_DIAL, shown
from ivr.web.words import languages, words
from tests.browser_kit import browser, window
from tests.contract.ari_log import wait_for
from tests.contract.live_server import Server
from tests.contract.test_desk_pages import sign_in
from tests.contract.web_kit import ANNA, CALL, DIALLING, REF, Desk, desk

__all__ = ["browser"]

pytestmark = pytest.mark.servers

PATH = "/api/v1/dials"


@pytest.fixture
async def open_desk(server: Server) -> AsyncIterator[Desk]:
    async with desk(server) as made:
        yield made


async def test_it_is_asked_for_looked_at_and_called_off(open_desk: Desk) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    assert await (await open_desk.get(PATH)).json() == {"dials": []}
    answer = await open_desk.send("POST", PATH, json={"customer": "10001", "phone": 2}, headers=csrf)
    begun = {"id": DIALLING.id, "ref": REF, "stage": "asked"}
    assert (answer.status, await answer.json()) == (202, begun)
    assert await (await open_desk.get(PATH)).json() == {"dials": [begun]}
    answer = await open_desk.send("DELETE", f"{PATH}/{DIALLING.id}", headers=csrf)
    assert (answer.status, await answer.read()) == (204, b"")
    answer = await open_desk.send("DELETE", f"{PATH}/{'x' * 22}", headers=csrf)
    assert (answer.status, (await answer.json())["reason"]) == (404, "not_found")
    assert open_desk.dials.asked == [("number", "10001", 2), (DIALLING.id, "off")]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"ref": REF, "customer": "10001"},
        {"customer": 10001},
        {"customer": ""},
        {"customer": "10001", "phone": 0},
        {"customer": "10001", "phone": "1"},
        {"number": "+46701234567"},
        {"customer": "10001", "number": "+46701234567"},
        {"customer": "10001", "dial": "PJSIP/x@trunk"},
    ],
)
async def test_nothing_else_is_taken(open_desk: Desk, given: dict[str, object]) -> None:
    """No number of one's own, and no way of one's own."""
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    answer = await open_desk.send("POST", PATH, json=given, headers=csrf)
    assert (answer.status, (await answer.json())["reason"]) == (422, "invalid")
    assert open_desk.dials.begun is None


@pytest.mark.parametrize(
    "reason", [Reason.IN_CALL, Reason.DIALLING, Reason.PHONE_AWAY, Reason.NO_TELEPHONE, Reason.TOO_MANY_CALLS]
)
async def test_what_is_refused_is_said_in_words(open_desk: Desk, reason: Reason) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    open_desk.dials.refuses = reason
    answer = await open_desk.send("POST", PATH, json={"customer": "10001"}, headers=csrf)
    told = await answer.json()
    assert (answer.status, told["reason"]) == (403, reason.value)
    assert told["detail"] == words("en")(f"reason.{reason.value}")


async def test_who_may_not(open_desk: Desk) -> None:
    open_desk.world.people["p-anna"] = replace(ANNA, denied=frozenset({Permission.DIAL}))
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    answer = await open_desk.send("POST", PATH, json={"customer": "10001"}, headers=csrf)
    assert (answer.status, (await answer.json())["reason"]) == (403, "not_permitted")
    assert 'id="dial"' not in await (await open_desk.get("/")).text()


async def test_where_nobody_calls(server: Server) -> None:
    async with desk(server, calls=False) as made:
        csrf = {"CSRF-Token": await made.sign_in()}
        assert await (await made.get(PATH)).json() == {"dials": []}
        answer = await made.send("POST", PATH, json={"customer": "10001"}, headers=csrf)
        assert (answer.status, (await answer.json())["reason"]) == (403, "no_trunk")
        assert 'id="dial"' not in await (await made.get("/")).text()


@pytest.mark.parametrize("language", languages())
def test_every_stage_has_words(language: str) -> None:
    assert shown(None, words(language)) == NO_DIAL
    told = [
        shown(replace(DIALLING, stage=stage), words(language)) for stage in DialStage if stage is not DialStage.ANSWERED
    ]
    assert all(one["title"] and one["help"] for one in told)
    assert [one["back"] for one in told] == [True] * 3 + [False] * (len(told) - 3)


async def test_on_the_page(open_desk: Desk, browser: Browser) -> None:
    """From the form to the call: the page follows each stage, and has no number at any time."""
    async with window(browser) as seen:
        page = seen.page
        await sign_in(seen, open_desk)
        form, going = page.locator("#dial"), page.locator("#dialling")
        await expect(form).to_be_visible()
        await expect(going).to_be_hidden()
        await form.get_by_label("Customer number or reference").fill("10001")
        await form.get_by_label("Telephone").select_option("2")
        await form.get_by_role("button", name="Call").click()
        await expect(going).to_contain_text("Your phone is called")
        await expect(going).to_contain_text(REF)
        await expect(form).to_be_hidden()
        assert await seen.seen_by_all() == [] and not await seen.cramped()
        assert open_desk.dials.asked == [("number", "10001", 2)]
        open_desk.dials.now(DialStage.CUSTOMER)
        await expect(going).to_contain_text("The customer's phone is called")
        await expect(page.locator("#said")).to_contain_text("The customer's phone is called")
        await going.get_by_role("button", name="Hang up").click()
        await wait_for(lambda: open_desk.dials.asked[-1] == (DIALLING.id, "off"), "the press")
        open_desk.dials.now(DialStage.CANCELLED)
        await expect(going.get_by_role("heading")).to_have_text("Hung up")
        await expect(form).to_be_visible()
        await form.get_by_label("Customer number or reference").fill(REF)
        await form.get_by_role("button", name="Call").click()
        await wait_for(lambda: open_desk.dials.asked[-1] == ("ref", REF, 1), "the press")
        # it is answered
        open_desk.world.calls = (replace(CALL, number=None, dialled=REF),)
        open_desk.dials.now(None)
        await expect(page.locator(".call")).to_contain_text(REF)
        await expect(page.locator(".call")).to_contain_text("Number not shown")
        await expect(form).to_be_hidden()
        await expect(going).to_be_hidden()
        open_desk.world.calls = ()
        open_desk.dials.now(None)
        await expect(form).to_be_visible()


async def test_why_not_is_said_beside_the_form(open_desk: Desk, browser: Browser) -> None:
    open_desk.dials.refuses = Reason.PHONE_AWAY
    async with window(browser) as seen:
        page = seen.page
        await sign_in(seen, open_desk)
        form = page.locator("#dial")
        await form.get_by_label("Customer number or reference").fill("10001")
        await form.get_by_role("button", name="Call").click()
        await expect(form.get_by_role("alert")).to_have_text(words("en")("reason.phone_away"))
        await expect(form.get_by_label("Customer number or reference")).to_have_value("10001")
