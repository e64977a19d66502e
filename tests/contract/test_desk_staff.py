"""The administrator's pages and the API for the same: who may, with a fresh sign-in alone, and in a browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from ivr.staff import Role
from ivr.web.words import languages, words
from tests.browser_kit import PHONE, browser, window
from tests.contract.live_server import Server
from tests.contract.test_desk_pages import signed_in
from tests.contract.web_kit import ADMINISTRATOR, ANNA, LINK, SUPERVISOR, Desk, desk

__all__ = ["browser"]
pytestmark = pytest.mark.servers

ACTS = ("disable", "enable", "reset")


@pytest.fixture
async def staff(server: Server) -> AsyncIterator[Desk]:
    async with desk(server) as made:
        yield made


def stale(made: Desk) -> None:
    """It is long ago that anybody signed in."""
    made.world.later = 3600.0


@pytest.mark.parametrize("login", ["anna", "siv", "rut"])
async def test_all_others_are_refused(staff: Desk, login: str) -> None:
    csrf = {"CSRF-Token": await staff.sign_in(login)}
    for place in ("/staff", f"/staff/{ANNA.id}", "/api/v1/people"):
        assert (await staff.get(place)).status == 403, place
    for place in (f"/staff/{ANNA.id}", *(f"/api/v1/people/{ANNA.id}/{act}" for act in ACTS)):
        assert (await staff.send("POST", place, headers=csrf)).status == 403, place
    assert staff.administered.linked == () and staff.world.people[ANNA.id] == ANNA


async def test_the_api_lists_changes_and_gives_a_link(staff: Desk) -> None:
    csrf = {"CSRF-Token": await staff.sign_in("ada")}
    told = await (await staff.get("/api/v1/people?limit=2")).json()
    assert [one["login"] for one in told["people"]] == ["ada", "anna"]
    assert told["people"][1] == {
        "person": "p-anna", "login": "anna", "name": "Anna Ek", "role": "agent", "team": "", "endpoints": ["PJSIP/anna"],
        "ways": ["password", "totp"], "linked": False, "signed_in": None, "disabled": False,
    }  # fmt: skip
    told = await (await staff.get(f"/api/v1/people?cursor={told['next']}")).json()
    assert ([one["login"] for one in told["people"]], told["next"]) == (["rut", "siv"], None)
    told = await (await staff.get("/api/v1/people?login=A&limit=1")).json()
    assert [one["login"] for one in told["people"]] == ["ada"]
    told = await (await staff.get(f"/api/v1/people?login=A&limit=1&cursor={told['next']}")).json()
    assert ([one["login"] for one in told["people"]], told["next"]) == (["anna"], None)

    async def do(act: str, whom: str = ANNA.id) -> tuple[int, str | None]:
        answer = await staff.send("POST", f"/api/v1/people/{whom}/{act}", headers=csrf)
        return answer.status, None if answer.status == 204 else (await answer.json()).get("reason")

    answer = await staff.send("POST", f"/api/v1/people/{ANNA.id}/reset", headers=csrf)
    assert await answer.json() == {"link": f"{staff.origin}/welcome/{LINK}", "hours": 24}
    assert answer.headers["Cache-Control"] == "no-store"
    assert await do("disable") == (204, None)
    assert staff.world.people[ANNA.id].disabled
    assert await do("reset") == (403, "disabled")
    assert await do("enable") == (204, None)
    assert await do("reset", SUPERVISOR.id) == (403, "by_command")
    assert await do("disable", ADMINISTRATOR.id) == (403, "oneself")
    assert await do("disable", "nobody") == (404, "not_found")
    staff.world.down = True
    for place in ("/api/v1/people", "/staff", f"/staff/{ANNA.id}"):
        assert (await staff.get(place)).status == 503, place


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("login=a%20b", "login"), ("login=", "login"), ("login=%C3%A5", "login"), ("login=" + "a" * 65, "login"), ("limit=0", "limit"),
        ("limit=501", "limit"), ("cursor=AA", "cursor"), ("cursor=w6U", "cursor"), ("cursor=%C3%A5", "cursor"), ("sort=name", "query"),
    ],
)  # fmt: skip
async def test_what_is_no_question_is_said_to_be_none(staff: Desk, query: str, field: str) -> None:
    await staff.sign_in("ada")
    answer = await staff.get(f"/api/v1/people?{query}")
    problem = await answer.json()
    assert (answer.status, problem["reason"], problem["errors"][0]["field"]) == (422, "invalid", field)
    answer = await staff.get(f"/staff?{query}")
    # a field that is left empty is not filled in
    assert answer.status == (200 if query == "login=" else 422)
    if answer.status == 422:
        assert words("en")(f"staff.fault_{field}") in await answer.text()


async def test_the_page_has_a_hundred_and_the_way_to_the_next_ones(staff: Desk) -> None:
    await staff.sign_in("ada")
    for number in range(100):
        named = f"p-bo-{number}"
        staff.world.people[named] = replace(ANNA, id=named, login=f"bo{number:03}", name=f"Bo {number}")
    first = await (await staff.get("/staff")).text()
    assert first.count('<a href="/staff/p-') == 99 and ">bo097<" in first and ">bo098<" not in first
    (place,) = re.findall(r'href="(/staff\?[^"]*)" rel="next"', first)
    second = await (await staff.get(place)).text()
    assert re.findall(r'<span class="more">(\w+)</span></th>', second) == ["bo098", "bo099", "rut", "siv"]
    assert 'rel="next"' not in second and words("en")("staff.first") in second
    # what was searched for goes with it
    found = await (await staff.get("/staff?login=o")).text()
    assert 'rel="next"' not in found and ">bo099<" in found
    staff.world.people["p-bo-x"] = replace(ANNA, id="p-bo-x", login="bo100", name="Bo X")
    found = await (await staff.get("/staff?login=o")).text()
    (place,) = re.findall(r'href="(/staff\?[^"]*)" rel="next"', found)
    second = await (await staff.get(place.replace("&amp;", "&"))).text()
    assert re.findall(r'<span class="more">(\w+)</span></th>', second) == ["bo100"]
    assert words("en")("staff.nobody") in await (await staff.get("/staff?login=zz")).text()


async def test_with_a_sign_in_of_long_ago_nobody_is_changed(staff: Desk) -> None:
    csrf = await staff.sign_in("ada")
    stale(staff)
    for act in ACTS:
        answer = await staff.send("POST", f"/api/v1/people/{ANNA.id}/{act}", headers={"CSRF-Token": csrf})
        assert (answer.status, (await answer.json())["reason"]) == (403, "not_fresh")
        answer = await staff.send("POST", f"/staff/{ANNA.id}", data={"do": act, "csrf": csrf})
        assert answer.status == 403 and words("en")("reason.not_fresh") in await answer.text()
    assert staff.administered.linked == () and staff.world.people[ANNA.id] == ANNA
    # each of them is in the trail
    assert staff.world.refused == [(ADMINISTRATOR.id, act, ANNA.id) for act in ACTS for _ in range(2)]
    # the way there and back
    answer = await staff.send("POST", "/sign-out", data={"for": "staff", "csrf": csrf})
    assert answer.headers["Location"] == "/sign-in?for=staff"


async def test_what_the_page_says_of_what_it_does_not_do(staff: Desk) -> None:
    csrf = await staff.sign_in("ada")
    for whom, do, reason in ((SUPERVISOR.id, "reset", "by_command"), (ADMINISTRATOR.id, "disable", "oneself")):
        answer = await staff.send("POST", f"/staff/{whom}", data={"do": do, "csrf": csrf})
        assert answer.status == 403 and words("en")(f"reason.{reason}") in await answer.text()
    assert (await staff.get("/staff/nobody")).status == 404
    assert (await staff.send("POST", "/staff/nobody", data={"do": "disable", "csrf": csrf})).status == 404
    assert (await staff.send("POST", f"/staff/{ANNA.id}", data={"do": "erase", "csrf": csrf})).status == 400
    assert (await staff.send("POST", f"/staff/{ANNA.id}", data={"do": "disable"})).status == 403
    assert staff.world.people[ANNA.id] == ANNA
    # a link that somebody sends says nothing that is not so
    for done in ("disable", "reset", "%3Cb%3E"):
        answer = await staff.get(f"/staff/{ANNA.id}?done={done}")
        assert answer.status == 200 and 'role="status"' not in await answer.text(), done


@pytest.mark.parametrize("language", languages())
async def test_an_administrator_can_use_the_pages(staff: Desk, browser: Browser, language: str, tmp_path: Path) -> None:
    said = words(language)
    small, dark = language in ("sv", "pl"), language in ("en", "pl")
    staff.world.people["p-bo"] = replace(
        ANNA, id="p-bo", login="bo", name="Bo <b>Berg</b>", disabled=True, endpoints=frozenset({"PJSIP/bo", "SIP/bo"})
    )
    staff.world.people["p-dora"] = replace(
        ANNA, id="p-dora", login="dora", name="Dora Data", role=Role.DATA_OWNER, team="north", endpoints=frozenset()
    )
    async with window(browser, language=language, dark=dark, **({"size": PHONE} if small else {})) as seen:  # type: ignore[arg-type]
        page = seen.page
        await signed_in(seen, staff, "ada", "/staff")
        await expect(page.locator("tbody tr")).to_have_count(6)
        await expect(page.locator("tbody tr").nth(2)).to_contain_text("Bo <b>Berg</b>")
        assert await seen.seen_by_all() == []
        assert not await seen.cramped()
        await seen.picture(tmp_path / f"staff-{language}.png")

        # by keyboard alone
        await page.goto(staff.url("/staff?limit=2"))
        await page.get_by_role("link", name=said("staff.next"), exact=True).press("Enter")
        await page.wait_for_url("**cursor=**")
        await expect(page.get_by_role("link", name=said("staff.first"))).to_be_visible()
        assert await seen.seen_by_all() == []
        assert not await seen.cramped()
        await page.locator("#login").focus()
        await page.keyboard.type("ann")
        await page.keyboard.press("Enter")
        await expect(page.locator("#login")).to_have_value("ann")
        await expect(page.locator("tbody tr")).to_have_count(1)
        assert await seen.seen_by_all() == []
        await seen.picture(tmp_path / f"search-{language}.png")
        await page.get_by_role("link", name=said("staff.change_one", name=ANNA.name)).press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text(ANNA.name)
        assert await seen.seen_by_all() == []
        await seen.picture(tmp_path / f"person-{language}.png")
        await page.get_by_role("button", name=said("staff.reset")).press("Enter")
        await expect(page.locator("#link")).to_have_text(f"{staff.origin}/welcome/{LINK}")
        await expect(page.get_by_role("status")).to_have_text(said("staff.done_reset", name=ANNA.name))
        assert await seen.seen_by_all() == []
        assert not await seen.cramped()
        await seen.picture(tmp_path / f"link-{language}.png")
        await page.get_by_role("link", name=said("staff.back")).press("Enter")
        await page.wait_for_url("**/staff")
        # it is shown once
        assert LINK not in await page.content()
        await page.get_by_role("link", name=said("staff.change_one", name=ANNA.name)).press("Enter")
        await page.get_by_role("button", name=said("staff.disable")).press("Enter")
        await expect(page.get_by_role("status")).to_have_text(said("staff.done_disable", name=ANNA.name))
        assert await seen.seen_by_all() == []
        await page.get_by_role("button", name=said("staff.enable")).press("Enter")
        await expect(page.get_by_role("status")).to_have_text(said("staff.done_enable", name=ANNA.name))
        await page.goto(staff.url(f"/staff/{SUPERVISOR.id}"))
        await expect(page.get_by_text(said("staff.by_command"))).to_be_visible()
        await expect(page.get_by_role("button", name=said("staff.reset"))).to_have_count(0)
        stale(staff)
        await page.reload()
        await expect(page.get_by_text(said("staff.stale"))).to_be_visible()
        await expect(page.get_by_role("button", name=said("staff.disable"))).to_have_count(0)
        assert await seen.seen_by_all() == []
