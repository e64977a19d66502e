"""<caller-auth>: its token, who may use it for what, and the element itself on a page of another origin in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import orjson
import pytest
from playwright.async_api import Browser, expect

from ivr.lock import Reason, State
from ivr.secret import Personal
from ivr.staff import Role
from ivr.web.live import Hub
from ivr.web.words import languages, words
from tests.browser_kit import PHONE, browser, window
from tests.contract.element_kit import ASK, LIVE, OPEN_ROOT, ORIGIN, ask, crm_server, followed, token, use
from tests.contract.live_server import Server
from tests.contract.test_desk_live import idle, seen
from tests.contract.web_kit import ANNA, CALL, CODE, PASSWORD, REF, VERIFIED, Desk, as_crm, crm, desk

__all__ = ["browser"]
pytestmark = pytest.mark.servers

PRESSABLE = replace(CALL, verifiable=True)
DROPPABLE = replace(VERIFIED, verifiable=True, droppable=True)


@pytest.fixture
async def open_desk(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with desk(server, crm(monkeypatch)) as made:
        yield made


# ---------------------------------------------------------------- the token


async def test_for_an_agent_who_is_signed_in_alone(open_desk: Desk) -> None:
    assert (await ask(open_desk))[1]["reason"] == "agent_away"
    csrf = await open_desk.sign_in()
    status, told = await ask(open_desk)
    assert (status, told["expires_in"], told["may"]) == (201, 1800, ["calls", "verify", "drop"])
    assert open_desk.world.lent_to == [(ANNA.id, "crm", ORIGIN)]
    assert told["token"] not in str(open_desk.log.lines)
    for given in ({"login": "nobody"}, {"login": "rut"}, {"tenant": "other"}):
        assert (await ask(open_desk, **given))[0] == 404
    assert (await ask(open_desk, origin="https://evil.example.com"))[0] == 422
    assert (await ask(open_desk, as_crm("x" * 40)))[0] == 401
    assert (await ask(open_desk, {}))[0] == 401
    # an agent who may not take calls
    await open_desk.sign_in("rut")
    assert (await ask(open_desk, login="rut"))[0] == 404
    del csrf


@pytest.mark.parametrize(("tenants", "good"), [("", False), ('tenants = ["north"]', True)])
async def test_a_program_gets_none_for_an_agent_of_another_tenant(
    server: Server, monkeypatch: pytest.MonkeyPatch, tenants: str, good: bool
) -> None:
    async with desk(server, crm(monkeypatch, tenants)) as made:
        nora = replace(ANNA, id="p-nora", login="nora", tenant="north")
        made.world.people[nora.id] = nora
        given = {"tenant": "north", "login": "nora"}
        answer = await made.send("POST", "/api/v1/session", json={**given, "password": PASSWORD, "code": CODE})
        assert answer.status == 201
        status, told = await ask(made, **given)
        assert (status, made.world.lent_to != []) == ((201, True) if good else (404, False))
        if good:
            assert (await use(made, told["token"]))[0] == 200
            # the settings are others: what was given before is not good any more
            program = made.settings.clients["crm"].model_copy(update={"tenants": ("main",)})
            monkeypatch.setitem(made.settings.clients, "crm", program)
            assert (await use(made, told["token"]))[0] == 401


async def test_it_ends_with_the_session_at_once(open_desk: Desk) -> None:
    csrf = await open_desk.sign_in()
    mine = await token(open_desk)
    assert (await use(open_desk, mine))[0] == 200
    assert (await open_desk.send("DELETE", "/api/v1/session", headers={"CSRF-Token": csrf})).status == 204
    assert (await use(open_desk, mine))[0] == 401
    # another session of the same agent is another matter
    await open_desk.sign_in()
    assert (await use(open_desk, mine))[0] == 401
    mine = await token(open_desk)
    open_desk.world.people[ANNA.id] = replace(ANNA, disabled=True)
    assert (await use(open_desk, mine))[0] == 401


async def test_it_ends_in_its_time(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(server, crm(monkeypatch, "element_minutes = 1")) as made:
        await made.sign_in()
        mine = await token(made)
        assert (await use(made, mine))[0] == 200
        server.pass_time(59)
        assert (await use(made, mine))[0] == 200
        server.pass_time(2)
        assert (await use(made, mine))[0] == 401


async def test_it_is_good_for_its_own_pages_alone(open_desk: Desk) -> None:
    await open_desk.sign_in()
    mine = await token(open_desk)
    for origin in (None, "https://evil.example.com", f"{ORIGIN}.evil.example.com", open_desk.origin, "null"):
        status, headers, _ = await use(open_desk, mine, origin=origin)
        assert status == 403 and "Access-Control-Allow-Origin" not in headers
    status, headers, _ = await use(open_desk, mine)
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    assert "Origin" in headers["Vary"] and "Access-Control-Allow-Credentials" not in headers
    for no_token in ("", "x", "main." + "0" * 64, f"{mine}x", mine.replace("main.", "other.")):
        status, headers, _ = await use(open_desk, no_token)
        assert (status, headers["Access-Control-Allow-Origin"]) == (401, ORIGIN)


async def test_it_does_what_the_settings_say_and_reads_no_record(open_desk: Desk) -> None:
    await open_desk.sign_in()
    mine = await token(open_desk)
    open_desk.world.calls = (DROPPABLE,)
    open_desk.world.record_of = {"name": Personal("Anna Andersson")}
    status, _, said = await use(open_desk, mine)
    (call,) = orjson.loads(said)["calls"]
    assert (call["ref"], call["name"], call["id"]) == (REF, None, VERIFIED.id)
    status, headers, said = await use(open_desk, mine, f"/api/v1/customers/{REF}/record")
    assert (status, orjson.loads(said)["reason"]) == (403, "insufficient_scope") and b"Andersson" not in said
    # it is in the trail, as each refusal is
    assert open_desk.world.refused == [(ANNA.id, "scope record", "/api/v1/customers/{ref}/record")]
    open_desk.world.people[ANNA.id] = replace(ANNA, role=Role.AUDITOR)
    assert (await use(open_desk, mine))[0] == 403
    assert open_desk.world.refused[1:] == [(ANNA.id, "call", "/api/v1/calls/current")]
    open_desk.world.people[ANNA.id] = ANNA
    place = f"/api/v1/calls/{VERIFIED.id}"
    assert (await use(open_desk, mine, f"{place}/verification", "POST", json={"policy": "main"}))[0] == 202
    assert (await use(open_desk, mine, f"{place}/mark", "DELETE", json={"why": "over"}))[0] == 204
    assert open_desk.world.pressed == [(VERIFIED.id, "main"), (VERIFIED.id, "over")]
    # no other route knows it
    for method, path in (
        ("GET", "/api/v1/session"), ("DELETE", "/api/v1/session"), ("POST", f"{place}/token"), ("GET", "/api/v1/reads"),
        ("POST", "/api/v1/openings"), ("POST", f"/api/v1/customers/{REF}/actions/lock"), ("GET", "/live"),
        ("POST", ASK), ("POST", "/api/v1/tokens/introspect"), ("GET", "/api/v1/policies"),
    ):  # fmt: skip
        status, headers, _ = await use(open_desk, mine, path, method, json={})
        assert status in (401, 403) and "Access-Control-Allow-Origin" not in headers, path


async def test_less_or_more_where_the_settings_say_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(server, crm(monkeypatch, 'may = ["calls", "record"]')) as made:
        await made.sign_in()
        mine = await token(made)
        made.world.calls, made.world.record_of = (DROPPABLE,), {"name": Personal("Anna Andersson")}
        assert orjson.loads((await use(made, mine))[2])["calls"][0]["name"] == "Anna Andersson"
        assert b"Andersson" in (await use(made, mine, f"/api/v1/customers/{REF}/record"))[2]
        place = f"/api/v1/calls/{VERIFIED.id}/verification"
        assert (await use(made, mine, place, "POST", json={"policy": "main"}))[0] == 403
        assert not made.world.pressed


async def test_a_browser_may_ask_before(open_desk: Desk) -> None:
    async def before(path: str, origin: str) -> aiohttp.ClientResponse:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        return await open_desk.browser.options(open_desk.url(path), headers=headers)

    place = f"/api/v1/calls/{CALL.id}/verification"
    answer = await before(place, ORIGIN)
    assert (answer.status, answer.headers["Access-Control-Allow-Methods"]) == (204, "POST")
    assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert (await before(place, "https://evil.example.com")).status == 403
    for path in ("/api/v1/session", "/api/v1/openings", ASK):
        answer = await before(path, ORIGIN)
        assert answer.status == 405 and "Access-Control-Allow-Origin" not in answer.headers


# ---------------------------------------------------------------- what it follows


async def test_it_is_told_of_changes_and_of_the_end(open_desk: Desk) -> None:
    csrf = await open_desk.sign_in()
    mine = await token(open_desk)
    async with followed(open_desk, mine) as line:
        first = await line()
        assert first["words"]["verify"] == "Verify now" and first["language"] == "en"
        assert (first["may"], [name for name, _ in first["policies"]]) == (
            ["calls", "verify", "drop"],
            ["main", "quick"],
        )
        assert (await line())["view"] == {"known": True, "calls": []}
        open_desk.world.calls = (DROPPABLE,)
        open_desk.hub.changed(frozenset({"PJSIP/anna"}))
        (call,) = (await line())["view"]["calls"]
        assert (call["sign"], call["ref"], call["name"]) == ("verified", REF, "")
        open_desk.world.down = True
        open_desk.hub.changed(frozenset({"PJSIP/anna"}))
        assert (await line())["view"] == {"known": False, "calls": []}
        open_desk.world.down = False
        await open_desk.send("DELETE", "/api/v1/session", headers={"CSRF-Token": csrf})
        said = await line()
        while "over" not in said:
            said = await line()


async def test_who_talks_stays_signed_in_by_the_element_too(open_desk: Desk, server: Server) -> None:
    await open_desk.sign_in()
    async with followed(open_desk, await token(open_desk)) as line:
        assert "words" in await line() and "view" in await line()
        idle(server, 14)
        open_desk.world.calls = (replace(DROPPABLE, held=True),)
        open_desk.hub.changed(frozenset({"PJSIP/anna"}))
        assert (await line())["view"]["calls"]
        assert seen(server) == 14
        open_desk.world.calls = (DROPPABLE,)
        open_desk.hub.changed(frozenset({"PJSIP/anna"}))
        assert (await line())["view"]["calls"]
        assert seen(server) == 0


async def test_it_is_told_no_more_when_its_token_has_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk(server, crm(monkeypatch, "element_minutes = 1")) as made:
        await made.sign_in()
        async with followed(made, await token(made)) as line:
            assert "words" in await line() and "view" in await line()
            server.pass_time(61)
            made.world.calls = (DROPPABLE,)
            made.hub.changed(frozenset({"PJSIP/anna"}))
            assert await line() == {"over": True}


async def test_pages_that_were_left_make_room_at_once(open_desk: Desk) -> None:
    """Each page of a CRM that holds the element is another one, and somebody who works goes from page to page."""
    await open_desk.sign_in()
    mine = await token(open_desk)
    for _ in range(25):
        async with followed(open_desk, mine) as line:
            assert "words" in await line()


async def test_it_hears_that_the_desk_is_there(open_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "until", lambda *_: 0.05)
    open_desk.hub._silent = 0.1
    await open_desk.sign_in()
    async with followed(open_desk, await token(open_desk)) as line:
        assert "words" in await line() and "view" in await line()
        assert await line() == {}


async def test_what_is_no_grant_of_ours_is_told_of(open_desk: Desk, server: Server) -> None:
    await open_desk.sign_in()
    mine = await token(open_desk)
    (key,) = server.client.keys("*:element:*")
    server.client.set(key, b"[]")
    assert (await use(open_desk, mine))[0] == 503


async def test_one_session_has_no_more_pages_than_a_person_can_want(open_desk: Desk) -> None:
    await open_desk.sign_in()
    mine = await token(open_desk)
    async with aiohttp.ClientSession() as page:
        headers = {"Authorization": f"Bearer {mine}", "Origin": ORIGIN}
        opened = [await page.get(open_desk.url(LIVE), headers=headers) for _ in range(11)]
        assert [one.status for one in opened] == [200] * 10 + [429]
        for one in opened:
            one.close()
    assert (await open_desk.get(LIVE)).status == 401


# ---------------------------------------------------------------- on a page of another origin


@pytest.mark.parametrize("language", languages())
async def test_a_page_of_another_origin_shows_the_call(
    server: Server, browser: Browser, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    said = words(language)
    async with crm_server() as page, desk(server, crm(monkeypatch, origin=page.origin)) as made:
        page.desk = made
        made.world.people[ANNA.id] = replace(ANNA, language=language)
        csrf = await made.sign_in()
        size = {"size": PHONE} if language in ("de", "pl") else {}
        async with window(browser, dark=language == "sv", **size) as seen:
            await seen.context.add_init_script(OPEN_ROOT)
            elsewhere: list[str] = []
            seen.page.on("request", lambda request: elsewhere.append(request.url))
            await seen.page.goto(page.origin)
            inside = seen.page.locator("caller-auth")
            await expect(inside.get_by_role("heading", level=2)).to_have_text(said("desk.none"))
            for call in (PRESSABLE, replace(CALL, state=State.VERIFYING), replace(CALL, state=State.REFUSED), DROPPABLE,
                         replace(VERIFIED, shut=Reason.THIRD_PARTY, name=None, held=True)):  # fmt: skip
                made.world.calls = (call,)
                made.hub.changed(frozenset({"PJSIP/anna"}))
                title = said(f"desk.{call.state.value}", level=call.level)
                await expect(inside.get_by_role("heading", level=2)).to_have_text(title)
                assert await seen.seen_by_all() == [], call.state
                assert not await seen.cramped(), call.state
            # no name without the record's scope, nor a third site
            assert "Andersson" not in await seen.page.content()
            assert {url.split("/")[2] for url in elsewhere} == {page.origin.split("/")[2], made.origin.split("/")[2]}
            # by the keyboard alone
            made.world.calls = (DROPPABLE,)
            made.hub.changed(frozenset({"PJSIP/anna"}))
            await inside.get_by_role("button", name=said("desk.verify")).press("Enter")
            await _pressed(made, (VERIFIED.id, "main"))
            # a button that was pressed is none until it is answered, nor are those beside it
            drop, wrong = (
                inside.get_by_role("button", name=said("desk.drop")),
                inside.locator("li .acts > button.grave"),
            )
            await expect(drop).to_be_enabled()
            await drop.press("Enter")
            await _pressed(made, (VERIFIED.id, "over"))
            await expect(wrong).to_be_enabled()
            await wrong.press("Enter")
            await expect(inside.get_by_role("dialog")).to_be_visible()
            assert await seen.seen_by_all() == []
            await inside.get_by_role("dialog").get_by_role("button", name=said("desk.cancel")).press("Enter")
            await expect(inside.get_by_role("dialog")).to_be_hidden()
            assert len(made.world.pressed) == 2
            await wrong.press("Enter")
            await inside.get_by_role("dialog").get_by_role("button", name=said("desk.wrong_person")).press("Enter")
            await _pressed(made, (VERIFIED.id, "wrong_person"))
            # the agent signs out at the desk: nothing of the call stays on the page
            await made.send("DELETE", "/api/v1/session", headers={"CSRF-Token": csrf})
            await expect(inside.get_by_text(said("desk.lost"))).to_be_visible()
            assert REF not in await inside.evaluate("element => element.shadowRoot.textContent")
            # and in again
            await made.sign_in()
            await expect(inside.get_by_text(REF)).to_be_visible(timeout=30_000)
        assert page.asked.count("201") == 2


async def test_what_is_refused_is_said_and_the_page_hears_of_the_call(
    server: Server, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with crm_server() as page, desk(server, crm(monkeypatch, origin=page.origin)) as made:
        page.desk = made
        await made.sign_in()
        made.world.calls = (PRESSABLE,)
        async with window(browser) as seen:
            await seen.context.add_init_script(
                OPEN_ROOT + "addEventListener('caller-auth', (event) => { window.heard = event.detail; });"
            )
            await seen.page.goto(page.origin)
            inside = seen.page.locator("caller-auth")
            button = inside.get_by_role("button", name=words("en")("desk.verify"))
            await expect(button).to_be_visible()
            heard = await seen.page.evaluate("window.heard")
            assert heard == {"known": True, "calls": [{"id": CALL.id, "sign": "not_verified", "ref": ""}]}
            # the caller hangs up just now
            made.world.calls = ()
            await button.press("Enter")
            await expect(inside.get_by_role("alert")).to_have_text(words("en")("reason.no_call"))


async def _pressed(desk: Desk, what: tuple[str, str]) -> None:
    async with asyncio.timeout(10):
        while what not in desk.world.pressed:
            await asyncio.sleep(0.01)


# asked, no, and asked anew before the browser tells that the first dialog is closed: so it is on a machine under load
_QUICK = """async (root) => {
    const press = (which) => root.querySelector(which).click();
    press('li .acts > button.grave, .call [data-drop="wrong_person"]');
    press('dialog[open] button:not(.grave)');
    press('li .acts > button.grave, .call [data-drop="wrong_person"]');
    await new Promise((go) => setTimeout(go, 50));
    press('dialog[open] button.grave');
}"""


async def test_whoever_says_no_and_then_yes_is_taken_by_the_last_word(
    server: Server, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = words("en")
    async with crm_server() as page, desk(server, crm(monkeypatch, origin=page.origin)) as made:
        page.desk = made
        await made.sign_in()
        made.world.calls = (DROPPABLE,)
        async with window(browser) as seen:
            await seen.context.add_init_script(OPEN_ROOT)
            await seen.page.goto(page.origin)
            inside = seen.page.locator("caller-auth")
            await expect(inside.get_by_role("button", name=said("desk.wrong_person"))).to_be_visible()
            await inside.evaluate(f"element => ({_QUICK})(element.shadowRoot)")
            await _pressed(made, (VERIFIED.id, "wrong_person"))
            assert len(made.world.pressed) == 1
        async with window(browser) as seen:
            await seen.page.goto(f"{made.origin}/sign-in")
            for field, given in {"login": "anna", "password": PASSWORD, "code": CODE}.items():
                await seen.page.locator(f"#{field}").fill(given)
            await seen.page.locator("#code").press("Enter")
            await expect(seen.page.get_by_role("button", name=said("desk.wrong_person"))).to_be_visible()
            made.world.pressed.clear()
            await seen.page.evaluate(f"() => ({_QUICK})(document)")
            await _pressed(made, (VERIFIED.id, "wrong_person"))
        assert len(made.world.pressed) == 1
