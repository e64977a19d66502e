"""Company to company at the desk, as a browser and a program have it: the domain first, digits to be said, and who is on the line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from playwright.async_api import Browser, expect

from ivr.errors import PeerError, PeerKeyError
from ivr.lock import Reason
from ivr.lock.peering import Unproven
from ivr.staff import Permission
from ivr.web.words import words
from tests.browser_kit import PHONE, browser, window
from tests.contract.live_server import Server
from tests.contract.test_desk_pages import sign_in
from tests.contract.web_kit import ANNA, CALL, Desk, desk

__all__ = ["browser"]

pytestmark = pytest.mark.servers

PROVE = f"/api/v1/calls/{CALL.id}/peer"
READ = f"{PROVE}/read"
DEPARTMENTS = '[peers]\ndomain = "us.example"\ndepartments = ["Casualty", "Ward 4"]\n'


@pytest.fixture
async def open_desk(server: Server) -> AsyncIterator[Desk]:
    async with desk(server) as made:
        made.world.calls = (CALL,)
        yield made


async def test_each_side_by_the_api(open_desk: Desk) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    given = {"domain": "office.example", "department": "Ward 4", "about": "a patient"}
    answer = await open_desk.send("POST", PROVE, json=given, headers=csrf)
    told = await answer.json()
    assert (answer.status, told["domain"], told["code"]) == (200, "office.example", "481650")
    answer = await open_desk.send("POST", READ, json={"code": "481650"}, headers=csrf)
    assert (answer.status, await answer.json()) == (200, {
        "domain": "hospital.example", "like": None, "first_seen": 1_700_000_000, "agreed": False, "numbered": True, "organisation": "The hospital",
        "department": "Ward 4", "person": "Agda", "about": "a patient",
    })  # fmt: skip
    assert open_desk.peers.asked == [(CALL.id, "office.example", "Ward 4", "a patient"), (CALL.id, "481650")]
    assert "481650" not in str(open_desk.log.lines)


@pytest.mark.parametrize(
    ("path", "given"),
    [
        (PROVE, {}),
        (PROVE, {"domain": ""}),
        (PROVE, {"domain": "localhost"}),
        (PROVE, {"domain": "office.example", "to": "https://127.0.0.1/"}),
        (PROVE, {"domain": "office.example", "about": "x" * 81}),
        (READ, {}),
        (READ, {"code": "48165"}),
        (READ, {"code": "48165x"}),
        (READ, {"code": "４８１６５０"}),
        (READ, {"code": 481650}),
    ],
)
async def test_nothing_else_is_taken(open_desk: Desk, path: str, given: dict[str, str]) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    answer = await open_desk.send("POST", path, json=given, headers=csrf)
    assert (answer.status, (await answer.json())["reason"]) == (422, "invalid")
    assert open_desk.peers.asked == []


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Unproven.NO_LETTER, "no_letter"),
        (Unproven.OTHER_CALL, "other_call"),
        (Unproven.TOO_MANY, "too_many_digits"),
    ],
)
async def test_what_is_not_proven_is_said_in_words(open_desk: Desk, found: Unproven, reason: str) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    open_desk.peers.found = found
    answer = await open_desk.send("POST", READ, json={"code": "481650"}, headers=csrf)
    told = await answer.json()
    assert (answer.status, told["reason"], told["detail"]) == (403, reason, words("en")(f"reason.{reason}"))


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (PeerError("peers: office.example did not answer in time"), 502, "peer_away"),
        (PeerKeyError("peers: office.example has another key than before"), 403, "peer_changed"),
    ],
)
async def test_why_nothing_was_sent(open_desk: Desk, error: Exception, status: int, reason: str) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    open_desk.peers.answer = error
    answer = await open_desk.send("POST", PROVE, json={"domain": "office.example"}, headers=csrf)
    assert (answer.status, (await answer.json())["reason"]) == (status, reason)
    (line,) = [line for line in open_desk.log.lines if line["event"] == "peer.unsent"]
    assert (line["person"], line["error"]) == (ANNA.id, str(error))


async def test_neither_without_the_permission_nor_from_another_site(open_desk: Desk) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    asked = ((PROVE, {"domain": "office.example"}), (READ, {"code": "481650"}))
    for path, given in asked:
        assert (await open_desk.send("POST", path, json=given)).status == 403
        elsewhere = await open_desk.send("POST", path, json=given, headers=csrf, origin="https://elsewhere.example")
        assert (elsewhere.status, (await elsewhere.json())["reason"]) == (403, "cross_site")
    open_desk.peers.refusal = Reason.THIRD_PARTY
    for path, given in asked:
        answer = await open_desk.send("POST", path, json=given, headers=csrf)
        assert (answer.status, (await answer.json())["reason"]) == (403, "third_party")
    open_desk.world.people[ANNA.id] = replace(ANNA, denied=frozenset({Permission.PROVE}))
    for path, given in asked:
        answer = await open_desk.send("POST", path, json=given, headers=csrf)
        assert (answer.status, (await answer.json())["reason"]) == (403, "not_permitted")
    assert open_desk.peers.asked == []


async def test_without_a_domain_of_ours_there_is_no_place_for_it(server: Server) -> None:
    async with desk(server, domain=False) as made:
        csrf = {"CSRF-Token": await made.sign_in()}
        made.world.calls = (CALL,)
        for path, given in ((PROVE, {"domain": "office.example"}), (READ, {"code": "481650"})):
            answer = await made.send("POST", path, json=given, headers=csrf)
            assert (answer.status, (await answer.json())["reason"]) == (403, "no_peers")
        assert "data-peer" not in await (await made.get("/")).text()


async def test_the_api_tells_whether_it_can_be_now(open_desk: Desk) -> None:
    await open_desk.sign_in()
    for can in (True, False):
        open_desk.world.calls = (replace(CALL, peerable=can),)
        (call,) = (await (await open_desk.get("/api/v1/calls/current")).json())["calls"]
        assert call["peerable"] is can


async def test_an_agent_does_both_by_keyboard_and_sees_the_domain_first(server: Server, browser: Browser) -> None:
    async with desk(server, DEPARTMENTS) as opened, window(browser) as seen:
        page, world = seen.page, opened.world
        world.calls = (replace(CALL, peerable=True),)
        await sign_in(seen, opened)
        button = page.get_by_role("button", name="Prove us to them")
        await page.get_by_role("textbox", name="Their domain").fill("Office.example")
        await page.get_by_role("combobox", name="Our department").select_option("Ward 4")
        await page.get_by_role("textbox", name="About (they are shown it)").fill("a patient")
        await button.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#calls [data-peer-code]")).to_have_text("481 650")
        await expect(page.locator("#calls [data-peer-to]")).to_have_text("office.example")
        await expect(page.locator("#calls [data-peer-sent]")).to_be_focused()
        assert opened.peers.asked == [(CALL.id, "Office.example", "Ward 4", "a patient")]

        opened.peers.found = replace(opened.peers.found, like="hospitals.example", about="")  # type: ignore[type-var]
        await page.get_by_role("textbox", name="The six digits that they say").fill("481 650")
        await page.keyboard.press("Enter")
        proven = page.locator("#calls [data-peer-proven]")
        await expect(proven).to_be_focused()
        # the domain stands before all that is their own word
        said = await proven.inner_text()
        assert said.index("hospital.example") < said.index("The hospital") < said.index("Agda")
        await expect(proven.get_by_text("It looks like hospitals.example, and is another one")).to_be_visible()
        await expect(
            proven.get_by_text("Known since November 14, 2023. Nobody has compared its key yet.")
        ).to_be_visible()
        warned = proven.get_by_text("Which number was called could not be checked")
        await expect(warned).to_be_hidden()
        # what they have not said has no row
        await expect(page.locator("#calls [data-peer-their-about]")).to_be_hidden()
        assert opened.peers.asked[-1] == (CALL.id, "481650")

        opened.peers.found = replace(opened.peers.found, numbered=False)  # type: ignore[type-var]
        await page.get_by_role("textbox", name="The six digits that they say").fill("481 650")
        await page.keyboard.press("Enter")
        await expect(warned).to_be_visible()
        assert await seen.seen_by_all() == []
        assert not await seen.cramped()


async def test_it_goes_where_somebody_else_comes_in_and_is_there_again_when_they_go(
    server: Server, browser: Browser
) -> None:
    async with desk(server) as opened, window(browser, size=PHONE) as seen:
        page = seen.page

        async def becomes(*calls: object) -> None:
            opened.world.calls = calls  # type: ignore[assignment]
            opened.hub.changed(frozenset({"PJSIP/anna"}))

        opened.world.calls = (replace(CALL, peerable=True),)
        await sign_in(seen, opened)
        await page.get_by_role("textbox", name="The six digits that they say").fill("481650")
        await page.get_by_role("button", name="See who they are").click()
        proven = page.locator("#calls [data-peer-domain]")
        await expect(proven).to_have_text("hospital.example")
        await expect(proven).to_be_visible()
        assert not await seen.cramped()
        await becomes(replace(CALL, peerable=False))
        await expect(proven).to_be_hidden()
        await becomes(replace(CALL, peerable=True))
        await expect(proven).to_be_visible()
        # digits are good once: what was shown is there when the card is drawn anew
        await becomes()
        await expect(page.locator("#calls .call")).to_have_count(0)
        await becomes(replace(CALL, peerable=True))
        await expect(proven).to_be_visible()
        # of another call nothing is known
        await becomes(replace(CALL, id="b" * 22, peerable=True))
        await expect(page.get_by_role("button", name="See who they are")).to_be_visible()
        await expect(proven).to_be_hidden()


async def test_a_refusal_is_told_and_takes_away_what_was_proven_before(server: Server, browser: Browser) -> None:
    async with desk(server) as opened, window(browser) as seen:
        page = seen.page
        opened.world.calls = (replace(CALL, peerable=True),)
        await sign_in(seen, opened)
        for found, shown in ((opened.peers.found, True), (Unproven.OTHER_CALL, False)):
            opened.peers.found = found
            await page.get_by_role("textbox", name="The six digits that they say").fill("481650")
            await page.get_by_role("button", name="See who they are").click()
            await expect(page.locator("#calls [data-peer-domain]")).to_be_visible(visible=shown)
            await expect(page.locator("#calls [data-peer-refused]")).to_be_visible(visible=not shown)
        await expect(page.locator("#calls [data-peer-refused]")).to_contain_text("These digits are of another call")
        assert await seen.seen_by_all() == []
