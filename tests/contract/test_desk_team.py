"""The supervisor's page and the API for the same: who may, what it shows, in pieces, live, and in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from playwright.async_api import Browser, expect

from ivr.lock import Barred, Channel, Direction, Ended, Held, State, Statistics, Watched
from ivr.staff import Permission
from ivr.web import live
from ivr.web.live import OVER
from ivr.web.words import languages, words
from tests.browser_kit import PHONE, browser, window
from tests.contract.live_server import Server
from tests.contract.test_desk_live import idle, seen
from tests.contract.test_desk_pages import sign_in
from tests.contract.web_kit import ANNA, REF, SUPERVISOR, Desk, desk

__all__ = ["browser"]
pytestmark = pytest.mark.servers

NOW = 1_700_000_000.0
TALK = Watched(
    ANNA.id, ANNA.name, Channel("node", "17.1"), "+46…01", Direction.INBOUND, False, NOW, State.VERIFIED, 2, 1_900_000_000
)  # fmt: skip
TALKS = (
    TALK,
    replace(TALK, agent="Bo Berg", call=Channel("node", "17.2"), state=State.NOT_VERIFIED, level=0, until=None, held=True),
    replace(TALK, agent="Cilla Dal", call=Channel("node", "17.3"), state=State.VERIFYING, level=0, until=None, number=None),
    replace(TALK, agent="David Ek", call=Channel("node", "17.4"), state=State.REFUSED, level=0, until=None,
            direction=Direction.OUTBOUND),
)  # fmt: skip
ENDED = Statistics((Ended("main", 8, 1, 1),), (Ended("main", 80, 10, 10, 2), Ended("vip", 0, 0, 0, 3)))
LOCKS = (
    Barred(Held.NUMBER, "+46…09", 1_800_000_000), Barred(Held.CUSTOMER, REF, None), Barred(Held.BY_HAND, "a" * 12, None),
)  # fmt: skip
WISH = {"ref": REF, "reason": "must be called back at once", "fields": ["name", "phones"]}


@pytest.fixture
async def team(server: Server) -> AsyncIterator[Desk]:
    async with desk(server) as made:
        made.watched.calls_of, made.watched.ended, made.watched.locks = TALKS, ENDED, LOCKS
        yield made


async def _get(made: Desk, place: str) -> tuple[int, dict[str, object]]:
    answer = await made.get(f"/api/v1{place}")
    return answer.status, await answer.json()


async def test_that_others_talk_keeps_no_supervisor_signed_in(
    team: Desk, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "KEEP_SECONDS", 0.0)
    await team.sign_in("siv")
    async with team.browser.ws_connect(team.url("/team/live"), headers={"Origin": team.origin}) as socket:
        assert (await socket.receive_json())["calls"]
        idle(server, 14)
        # what follows from a look is done before the next one begins
        for count in (1, 2):
            team.watched.calls_of = TALKS[:count]
            team.hub.changed(frozenset({"PJSIP/whoever"}))
            assert len((await socket.receive_json(timeout=10))["calls"]) == count
        assert seen(server) == 14
        idle(server, 1)
        assert (await socket.receive(timeout=10)).data == OVER


# ---------------------------------------------------------------- the API


@pytest.mark.parametrize("place", ["/calls", "/statistics", "/locks"])
@pytest.mark.parametrize("login", ["anna", "rut"])
async def test_who_watches_no_team_is_refused(team: Desk, place: str, login: str) -> None:
    await team.sign_in(login)
    status, told = await _get(team, place)
    assert (status, told["reason"]) == (403, "not_permitted")


async def test_the_teams_calls_come_in_pieces(team: Desk) -> None:
    await team.sign_in("siv")
    status, first = await _get(team, "/calls?limit=3")
    assert status == 200
    assert [call["agent"] for call in first["calls"]] == ["Anna Ek", "Bo Berg", "Cilla Dal"]  # type: ignore[attr-defined]
    _, second = await _get(team, f"/calls?limit=3&cursor={first['next']}")
    assert ([call["state"] for call in second["calls"]], second["next"]) == (["refused"], None)  # type: ignore[attr-defined]
    _, every = await _get(team, "/calls")
    assert every["next"] is None
    assert every["calls"][0] == {  # type: ignore[index]
        "person": "p-anna", "agent": "Anna Ek", "node": "node", "channel": "17.1", "number": "+46…01", "direction": "inbound",
        "held": False, "since": NOW, "state": "verified", "level": 2, "until": 1_900_000_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "limit=-1", "cursor=", "cursor=%C3%A5", "cursor=_w", "sort=agent"]
)
async def test_pieces_that_are_none(team: Desk, query: str) -> None:
    await team.sign_in("siv")
    for place in ("/calls", "/locks"):
        status, told = await _get(team, f"{place}?{query}")
        assert (status, told["reason"]) == (422, "invalid")
    status, told = await _get(team, f"/statistics?{query}")
    assert (status, told["reason"]) == (422, "invalid")


async def test_rates_and_locks(team: Desk) -> None:
    await team.sign_in("siv")
    _, told = await _get(team, "/statistics")
    assert told["hour"] == [{"policy": "main", "verified": 8, "refused": 1, "abandoned": 1, "failed": 0}]
    assert [one["policy"] for one in told["day"]] == ["main", "vip"]  # type: ignore[attr-defined]
    _, told = await _get(team, "/locks")
    assert told == {"next": None, "locks": [
        {"kind": "number", "what": "+46…09", "until": 1_800_000_000},
        {"kind": "by_hand", "what": "a" * 12, "until": None}, {"kind": "customer", "what": REF, "until": None},
    ]}  # fmt: skip


# ---------------------------------------------------------------- live


async def test_the_page_follows_every_phone_of_the_team(team: Desk) -> None:
    await team.sign_in("siv")
    team.watched.calls_of = ()
    async with team.browser.ws_connect(team.url("/team/live"), headers={"Origin": team.origin}) as socket:
        told = await socket.receive_json()
        assert (told["known"], told["calls"], told["hour"][0]["share"], told["day"][1]["share"]) == (True, [], 80, None)
        assert [one["name"] for one in told["stopped"]] == ["abcdefghijkl"], "somebody who is not there any more"
        team.watched.calls_of = TALKS[:1]
        team.hub.changed(frozenset({"PJSIP/whoever"}))
        (call,) = (await socket.receive_json())["calls"]
        assert (call["agent"], call["title"], call["direction"]) == ("Anna Ek", "Verified at level 2", "incoming")
        # figures that are not known now are left out, and the calls stay
        team.watched.figures_down = True
        told = await socket.receive_json()
        assert (told["known"], len(told["calls"]), told["hour"], told["locks"]) == (True, 1, None, None)
        team.world.down = True
        assert (await socket.receive_json())["known"] is False
        # who may not any more
        team.world.down = False
        team.world.people[SUPERVISOR.id] = replace(SUPERVISOR, denied=frozenset({Permission.WATCH}))
        assert (await socket.receive()).data == 4401


async def test_of_another_tenant_and_without_the_right_to_agree(team: Desk) -> None:
    await team.sign_in("anna")
    team.second.stopped = False
    await team.send("POST", "/api/v1/openings", json=WISH, headers={"CSRF-Token": await team.sign_in("anna")})
    for change, shown in (({"tenant": "acme"}, 1), ({"denied": frozenset({Permission.APPROVE})}, 0)):
        await team.sign_in("siv")
        team.world.people[SUPERVISOR.id] = replace(SUPERVISOR, **change)  # type: ignore[arg-type]
        async with team.browser.ws_connect(team.url("/team/live"), headers={"Origin": team.origin}) as socket:
            told = await socket.receive_json()
            assert (len(told["wishes"]), told["hour"] is None) == (shown, "tenant" in change)
        team.world.people[SUPERVISOR.id] = SUPERVISOR


async def test_who_may_no_longer_is_told_nothing(team: Desk) -> None:
    """Between the look at the person and the look at the calls somebody may have taken it away."""
    await team.sign_in("siv")

    async def refused(_: object) -> object:
        from ivr.lock import Denied, Reason

        return Denied(Reason.NOT_PERMITTED)

    team.watched.calls = refused  # type: ignore[method-assign, assignment]
    async with team.browser.ws_connect(team.url("/team/live"), headers={"Origin": team.origin}) as socket:
        assert (await socket.receive_json())["known"] is False


# ---------------------------------------------------------------- in a browser


@pytest.mark.parametrize("language", languages())
async def test_a_supervisor_can_use_the_page(team: Desk, browser: Browser, language: str) -> None:
    said = words(language)
    small, dark = language in ("sv", "pl"), language in ("en", "pl")
    team.world.people["abcdefghijkl"] = replace(ANNA, id="abcdefghijkl", login="bo", name="Bo Berg")
    await team.send("POST", "/api/v1/openings", json=WISH, headers={"CSRF-Token": await team.sign_in("anna")})
    size = {"size": PHONE} if small else {}
    async with window(browser, language=language, dark=dark, **size) as seen:  # type: ignore[arg-type]
        page = seen.page
        await sign_in(seen, team, "siv")
        await page.get_by_role("link", name=said("page.team"), exact=True).click()
        await expect(page.locator("#talks tbody tr")).to_have_count(4)
        await expect(page.locator("#count")).to_have_text("4")
        assert await seen.seen_by_all() == []
        assert not await seen.cramped()

        # by keyboard alone
        await page.locator('[data-do="lift"]').focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#why")).to_be_focused()
        assert await seen.seen_by_all() == []
        await page.keyboard.type("looked at it together")
        await page.keyboard.press("Enter")
        await expect(page.locator("#stopped")).to_be_hidden()
        await expect(page.locator("#warned")).to_contain_text(said("team.warned_help"))
        assert await seen.seen_by_all() == []
        await page.locator('[data-do="approve"]').focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("dialog").get_by_role("button", name=said("team.approve")).press("Enter")
        await expect(page.locator("#wishes")).to_be_hidden()


async def test_no_is_carried_out_too_and_what_is_refused_is_said(team: Desk, browser: Browser) -> None:
    await team.send("POST", "/api/v1/openings", json=WISH, headers={"CSRF-Token": await team.sign_in("anna")})
    async with window(browser) as seen:
        page = seen.page
        await sign_in(seen, team, "siv")
        await page.goto(team.url("/team"))
        await page.locator('[data-do="lift"]').click()
        team.second.stopped = False
        await page.fill("#why", "looked at it")
        await page.get_by_role("dialog").get_by_role("button", name="Let read again").click()
        await expect(page.locator("#ask-fault")).to_contain_text("is not stopped")
        await page.get_by_role("button", name="Cancel").click()
        await page.locator('[data-do="decline"]').click()
        await page.get_by_role("dialog").get_by_role("button", name="Decline").click()
        await expect(page.locator("#wishes")).to_be_hidden()
        assert team.second.wishes == {}
