"""The page of the audit trail and the API for the same: who may, what is asked for, in words, in pieces, and in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, expect

from ivr.lock import Kind, Noted, Place, Question
from ivr.staff import Role
from ivr.web.words import languages, words
from tests.browser_kit import PHONE, browser, window
from tests.contract.live_server import Server
from tests.contract.test_desk_pages import signed_in
from tests.contract.web_kit import ANNA, AUDITOR, REF, Desk, desk

__all__ = ["browser"]
pytestmark = pytest.mark.servers

AT = "2026-11-23T10:00:00.123456Z"
READ = Noted(
    Place(AT, "desk", 9), "desk:anna", "record.read", "granted", "pbx-1795318424.31", REF,
    {"tenant": "main", "person": "p-anna", "level": "2", "fields": "name,phones"}, True,
)  # fmt: skip
ROWS = (
    READ,
    replace(READ, actor="caller", action="verify", outcome="locked", detail={"number": "+46…01", "policy": "main"}),
    replace(READ, actor="cli:root", action="customer.lock", outcome="done", call="", detail={}),
    replace(READ, actor="program:crm", action="desk.element", outcome="granted", subject="abcdefghijkl", detail={"origin": "https://crm"}),
    replace(READ, actor="desk:?", action="desk.sign_in", outcome="refused", subject="", call="", detail={"from": "10.0.*"}),
    replace(READ, actor="worker", action="audit.clock", outcome="held", subject="", call="", sound=False),
    replace(READ, actor="<b>x</b>", action="of.tomorrow", outcome="odd<i>", subject="", call="", detail={"<u>": "<script>alert(1)</script>"}),
)  # fmt: skip


@pytest.fixture
async def trail(server: Server) -> AsyncIterator[Desk]:
    async with desk(server) as made:
        made.reviewed.noted = ROWS
        yield made


async def told(made: Desk, place: str) -> tuple[int, dict[str, object]]:
    answer = await made.get(f"/api/v1/trail{place}")
    return answer.status, await answer.json()


# ---------------------------------------------------------------- the API


@pytest.mark.parametrize("login", ["anna", "siv"])
async def test_who_may_not_is_refused_and_told_of(trail: Desk, login: str) -> None:
    await trail.sign_in(login)
    for place in ("/trail", "/api/v1/trail", "/trail?kind=none", "/api/v1/trail?kind=none"):
        answer = await trail.get(place)
        assert answer.status == 403, place
        assert trail.world.refused[-1] == (f"p-{login}", "trail", place.partition("?")[0])
    assert trail.reviewed.asked == []


async def test_what_is_asked_for_is_looked_for(trail: Desk) -> None:
    await trail.sign_in("rut")
    _, found = await told(
        trail, f"?kind=reads&actor=anna&call=17.1&ref={REF}&since=2026-11-01&until=2026-11-02T10:30&limit=2"
    )
    assert trail.reviewed.asked == [(
        Question(Kind.READS, "anna", "17.1", REF, "2026-11-01T00:00:00.000000Z", "2026-11-02T10:30:00.000000Z"), None, 2,
    )]  # fmt: skip
    assert found["rows"][0] == {  # type: ignore[index]
        "at": AT, "chain": "desk", "seq": 9, "actor": "desk:anna", "action": "record.read", "outcome": "granted",
        "call": "pbx-1795318424.31", "subject": REF, "detail": dict(READ.detail), "sound": True,
    }  # fmt: skip


async def test_the_next_piece_begins_where_this_one_ends(trail: Desk) -> None:
    await trail.sign_in("rut")
    assert (await told(trail, ""))[1]["next"] is None
    trail.reviewed.behind = READ.place
    _, first = await told(trail, "")
    await told(trail, f"?cursor={first['next']}")
    assert trail.reviewed.asked[-1][1] == READ.place


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kind=all", "kind"), ("kind=", "kind"), ("actor=a%20b", "actor"), ("actor=", "actor"), ("call=%00", "call"), ("ref=x", "ref"),
        ("ref=ABCDEFGHIJKL", "ref"), ("since=yesterday", "since"), ("since=2026-13-01", "since"), ("until=2026-11-01T25:00", "until"),
        ("until=2026-11-01T10", "until"), ("limit=0", "limit"), ("cursor=YQ", "cursor"), ("cursor=%C3%A5", "cursor"), ("sort=at", "query"),
        ("since=%D9%A2026-11-01", "since"),
    ],
)  # fmt: skip
async def test_what_is_no_question_is_said_to_be_none(trail: Desk, query: str, field: str) -> None:
    await trail.sign_in("rut")
    status, problem = await told(trail, f"?{query}")
    assert (status, problem["reason"], problem["errors"][0]["field"]) == (422, "invalid", field)  # type: ignore[index]
    answer = await trail.get(f"/trail?{query}")
    # a field that is left empty is not filled in
    assert answer.status == (200 if query in ("kind=", "actor=") else 422)
    if answer.status == 422:
        assert words("en")(f"trail.fault_{field}") in (await answer.text()).replace("&#39;", "'")


async def test_a_part_that_is_down_shows_nothing(trail: Desk) -> None:
    await trail.sign_in("rut")
    behind, trail.world.down = trail.reviewed, False
    behind.world = replace(trail.world, down=True)
    assert (await trail.get("/trail")).status == (await trail.get("/api/v1/trail")).status == 503


# ---------------------------------------------------------------- the page


async def test_where_somebody_begins_who_has_no_calls(trail: Desk) -> None:
    for role, login, place in (
        (Role.AUDITOR, "rut", "/trail"),
        (Role.DATA_OWNER, "rut", "/trail"),
        (Role.AGENT, "anna", None),
    ):
        trail.world.people[AUDITOR.id] = replace(AUDITOR, role=role) if login == "rut" else AUDITOR
        await trail.sign_in(login)
        answer = await trail.get("/")
        assert (answer.status, answer.headers.get("Location")) == ((200, None) if place is None else (303, place))
    # and comes back to it, signed out meanwhile
    trail.browser.cookie_jar.clear()
    assert (await trail.get("/trail")).headers["Location"] == "/sign-in?for=trail"


async def test_a_data_owner_is_offered_what_a_data_owner_sees(trail: Desk) -> None:
    trail.world.people[AUDITOR.id] = replace(AUDITOR, role=Role.DATA_OWNER)
    await trail.sign_in("rut")
    page = await (await trail.get("/trail")).text()
    assert words("en")("trail.title_reads").replace("'", "&#39;") in page
    assert 'name="kind"' not in page


@pytest.mark.parametrize("language", languages())
async def test_an_auditor_can_use_the_page(trail: Desk, browser: Browser, language: str, tmp_path: Path) -> None:
    said = words(language)
    small, dark = language in ("en", "de"), language in ("sv", "de")
    trail.reviewed.behind = READ.place
    async with window(browser, language=language, dark=dark, **({"size": PHONE} if small else {})) as seen:  # type: ignore[arg-type]
        page = seen.page
        await signed_in(seen, trail, "rut", "/trail")
        await expect(page.get_by_role("heading", level=1)).to_have_text(said("trail.title"))
        await expect(page.locator("tbody tr")).to_have_count(len(ROWS))
        await expect(page.get_by_text(said("trail.through", when=AT[:19].replace("T", " ")))).to_have_count(0)
        await expect(page.locator("tbody tr").first).to_contain_text(
            f"{said('event.record_read')}: {said('outcome.granted')}"
        )
        await expect(page.locator("tbody tr").nth(2)).to_contain_text(said("trail.by_command", who="root"))
        await expect(page.locator(".unsound")).to_contain_text(said("trail.unsound"))
        await expect(page.get_by_role("alert")).to_have_text(said("trail.unsound_help"))
        # what a row of a changed trail holds is text
        await expect(page.locator("tbody tr").last).to_contain_text("<script>alert(1)</script>")
        assert await seen.seen_by_all() == []
        assert not await seen.cramped()
        await seen.picture(tmp_path / f"trail-{language}.png")

        # by keyboard alone
        await page.locator("#actor").focus()
        await page.keyboard.type("anna")
        await page.keyboard.press("Enter")
        await expect(page.locator("#actor")).to_have_value("anna")
        assert trail.reviewed.asked[-1][0] == Question(actor="anna")
        await page.get_by_role("link", name=said("trail.older")).press("Enter")
        await page.wait_for_url("**cursor=**")
        assert parse_qs(urlsplit(page.url).query)["actor"] == ["anna"]
        assert trail.reviewed.asked[-1][1] == READ.place
        await page.locator("tbody a").first.press("Enter")
        await expect(page.locator("#ref")).to_have_value(REF)
        # looked for to a certain time alone
        trail.reviewed.noted, trail.reviewed.short = ROWS[:2], True
        await page.reload()
        await expect(page.get_by_text(said("trail.through", when=AT[:19].replace("T", " ")))).to_be_visible()
        await expect(page.get_by_role("link", name=said("trail.older"), exact=True)).to_have_count(0)
        assert await seen.seen_by_all() == []
        assert not await seen.cramped()
        await seen.picture(tmp_path / f"trail-short-{language}.png")
        trail.reviewed.noted = ()
        await page.reload()
        await expect(page.get_by_text(said("trail.none_yet"))).to_be_visible()
        assert await seen.seen_by_all() == []
        await page.get_by_role("link", name=said("trail.on")).press("Enter")
        await expect(page.locator("#ref")).to_have_value(REF)
        assert trail.reviewed.asked[-1][:2] == (Question(ref=REF), READ.place)
        await page.locator("#ref").fill("x")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text(said("trail.fault_ref"))
        assert ANNA.name not in await page.content()
