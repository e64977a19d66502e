"""Proving at the desk, as a browser and a program have it: what is asked for, answered, shown and said aloud."""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from ivr.call.proof import Keyed, Stage, Way
from ivr.lock import Direction, Reason
from ivr.lock.proofwords import Choice, Proving, Speaking
from ivr.secret import Secret
from ivr.staff import Permission
from ivr.store.alarms import Alarm
from ivr.web.proofview import MENDED, abouts, shown, ways
from ivr.web.words import languages, words
from tests.browser_kit import PHONE, browser, window
from tests.contract.ari_log import wait_for
from tests.contract.live_server import Server
from tests.contract.test_desk_pages import sign_in
from tests.contract.web_kit import ANNA, CALL, REF, SUPERVISOR, Desk, desk

__all__ = ["browser"]

pytestmark = pytest.mark.servers

PATH = f"/api/v1/calls/{CALL.id}/proof"
WHOLE = {"way": "text", "about": "case"}
PHRASE = "green canoe"
PICTURES = Path(os.environ["DESK_PICTURES"]) if "DESK_PICTURES" in os.environ else None
SAID = replace(
    Proving("p" * 22, Way.SPOKEN, Stage.SENT, "", "your case", 1_900_000_000),
    digits=Secret("481650"),
    published="08-123 45 00",
)


def at(stage: Stage, speech: Speaking | None = None) -> Proving:
    return Proving("p" * 22, Way.TEXT, stage, PHRASE, "your case", 1_900_000_000, speech)


@pytest.fixture
async def open_desk(server: Server) -> AsyncIterator[Desk]:
    async with desk(server) as made:
        yield made


async def test_it_is_asked_for_said_again_and_taken_back(open_desk: Desk) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    open_desk.world.calls = (CALL,)
    offered = await (await open_desk.get("/api/v1/proof/ways")).json()
    assert offered == {"ways": ["text", "code"], "about": ["case", "invoice"]}
    answer = await open_desk.send("POST", PATH, json={**WHOLE, "customer": "10001"}, headers=csrf)
    assert (answer.status, await answer.json()) == (202, {"call": CALL.id, "phrase": PHRASE, "until": 1_900_000_000})
    answer = await open_desk.send("POST", f"{PATH}/speech", headers=csrf)
    assert (answer.status, await answer.json()) == (200, {"speech": "going_on"})
    answer = await open_desk.send("DELETE", PATH, headers=csrf)
    assert (answer.status, await answer.read()) == (204, b"")
    assert open_desk.proves.asked == [
        (CALL.id, "text", "case", "10001", "page"),
        (CALL.id, "again"),
        (CALL.id, "cancel"),
    ]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"way": "pigeon", "about": "case"},
        {"way": "text", "about": "click here at once"},
        {**WHOLE, "customer": ""},
        {**WHOLE, "keyed": "mouth"},
        {**WHOLE, "to": "+46701112233"},
    ],
)
async def test_nothing_else_is_taken(open_desk: Desk, given: dict[str, str]) -> None:
    """No words of one's own, and no number to send it to."""
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    open_desk.world.calls = (CALL,)
    answer = await open_desk.send("POST", PATH, json=given, headers=csrf)
    assert (answer.status, (await answer.json())["reason"]) == (422, "invalid")
    assert open_desk.proves.asked == []


@pytest.mark.parametrize(
    "reason", [Reason.NO_WAY, Reason.PROOF_UNDER_WAY, Reason.NO_PROOF, Reason.DENIED_LATELY, Reason.TOO_MANY_PROOFS]
)
async def test_what_is_refused_is_said_in_words(open_desk: Desk, reason: Reason) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    open_desk.world.calls, open_desk.proves.refusal = (CALL,), reason
    for method, path in (("POST", PATH), ("POST", f"{PATH}/speech"), ("DELETE", PATH)):
        answer = await open_desk.send(method, path, json=WHOLE, headers=csrf)
        told = await answer.json()
        assert (answer.status, told["reason"]) == (403, reason.value)
        assert told["detail"] == words("en")(f"reason.{reason.value}")


async def test_neither_without_the_permission_nor_from_another_site(open_desk: Desk) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    open_desk.world.calls = (CALL,)
    for method, path in (("POST", PATH), ("POST", f"{PATH}/speech"), ("DELETE", PATH)):
        assert (await open_desk.send(method, path, json=WHOLE)).status == 403
        elsewhere = await open_desk.send(method, path, json=WHOLE, headers=csrf, origin="https://elsewhere.example")
        assert (elsewhere.status, (await elsewhere.json())["reason"]) == (403, "cross_site")
    open_desk.world.people[ANNA.id] = replace(ANNA, denied=frozenset({Permission.PROVE}))
    for method, path in (("POST", PATH), ("POST", f"{PATH}/speech"), ("DELETE", PATH), ("GET", "/api/v1/proof/ways")):
        given = {} if method == "GET" else {"json": WHOLE, "headers": csrf}
        answer = await open_desk.send(method, path, **given)
        assert (answer.status, (await answer.json())["reason"]) == (403, "not_permitted")
    assert open_desk.proves.asked == []


async def test_without_a_public_page_there_is_nothing_to_choose(server: Server) -> None:
    async with desk(server, page=False) as made:
        csrf = {"CSRF-Token": await made.sign_in()}
        made.world.calls = (CALL,)
        assert await (await made.get("/api/v1/proof/ways")).json() == {"ways": [], "about": []}
        answer = await made.send("POST", PATH, json=WHOLE, headers=csrf)
        assert (answer.status, (await answer.json())["reason"]) == (403, "no_way")
        assert 'class="prove"' not in await (await made.get("/")).text()


async def test_the_api_tells_how_far_it_is(open_desk: Desk) -> None:
    await open_desk.sign_in()
    open_desk.world.calls = (replace(CALL, provable=True, proof=at(Stage.OPENED, Speaking.SILENT)),)
    (call,) = (await (await open_desk.get("/api/v1/calls/current")).json())["calls"]
    assert call["provable"] is True
    assert call["proof"] == {
        "way": "text", "stage": "opened", "phrase": PHRASE, "about": "your case", "keyed": "page", "until": 1_900_000_000,
        "digits": None, "published": "", "speech": "silent", "back": None,
    }  # fmt: skip


async def test_the_api_tells_until_when_the_published_number_is_closed(open_desk: Desk) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    open_desk.world.calls = (replace(CALL, provable=True, digits_closed=1_900_000_000),)
    (call,) = (await (await open_desk.get("/api/v1/calls/current")).json())["calls"]
    assert call["digits_closed"] == 1_900_000_000
    open_desk.proves.refusal = Reason.PUBLISHED_CLOSED
    answer = await open_desk.send("POST", PATH, json=WHOLE, headers=csrf)
    assert (answer.status, (await answer.json())["reason"]) == (403, "published_closed")


@pytest.mark.parametrize("language", languages())
def test_what_is_said_has_words_of_its_own(language: str) -> None:
    said, spoken = words(language), replace(at(Stage.SENT), way=Way.SPOKEN, published="08-123 456")
    opens, closed = shown(spoken, said), shown(replace(spoken, closed=True), said)
    assert "08-123 456" in opens["help"]
    assert closed["title"] != opens["title"] and "08-123 456" not in closed["help"]
    wrong = shown(replace(at(Stage.WRONG), way=Way.SPOKEN), said)
    assert wrong["help"] != shown(at(Stage.WRONG), said)["help"]


@pytest.mark.parametrize("language", languages())
def test_every_stage_is_told_in_words(language: str) -> None:
    said = words(language)
    titles = set()
    for stage in Stage:
        told = shown(at(stage), said)
        assert told["title"] and told["help"] and told["stage"] == stage
        titles.add(told["title"])
        # the phrase is for as long as it can be compared
        assert bool(told["phrase"]) is told["back"] is not stage.is_end
        assert told["again"] is (stage is Stage.OPENED)
        assert told["speech"] == ""
        # what stands on the page is never spoken
        phone = shown(replace(at(stage), keyed=Keyed.PHONE), said)
        assert (phone["help"] != told["help"]) is (stage is Stage.OPENED)
        assert not phone["again"]
    assert len(titles) == len(Stage)
    unknown = shown(None, said, known=False)
    assert unknown["title"] not in titles and unknown["help"] and unknown["stage"] == "unknown", (
        "which is not that there is none"
    )
    for speech in Speaking:
        assert bool(shown(at(Stage.OPENED, speech), said)["speech"]) is (speech in MENDED)
        assert shown(at(Stage.CONFIRMED, speech), said)["speech"] == ""
    choice = Choice((Way.TEXT, Way.CODE), ("invoice",))
    assert [name for name, _ in ways(choice, said)] == ["text", "code"]
    assert all(told for _, told in (*ways(choice, said), *abouts(choice, said)))


async def test_an_agent_proves_by_keyboard_alone_and_is_told_each_stage(server: Server, browser: Browser) -> None:
    async with desk(server) as opened, window(browser) as seen:
        page, world = seen.page, opened.world

        async def becomes(proof: Proving | None, *, provable: bool = False) -> None:
            world.calls = (replace(CALL, provable=provable, proof=proof),)
            opened.hub.changed(frozenset({"PJSIP/anna"}))

        await sign_in(seen, opened)
        await becomes(None, provable=True)
        button = page.get_by_role("button", name="Prove it is us")
        await expect(button).to_be_visible()
        await page.get_by_role("combobox", name="How", exact=True).select_option("code")
        await page.get_by_role("combobox", name="About", exact=True).select_option("invoice")
        await page.get_by_role("combobox", name="Digits", exact=True).select_option("phone")
        await page.get_by_role("textbox", name="Customer number").fill("10001")
        await button.focus()
        await page.keyboard.press("Enter")
        await until_asked(opened, (CALL.id, "code", "invoice", "10001", "phone"))
        for stage in (Stage.ASKED, Stage.SENT, Stage.DELIVERED, Stage.OPENED):
            await becomes(at(stage))
            await expect(page.get_by_role("heading", name=words("en")(f"proof.{stage}"), exact=True)).to_be_visible()
            await expect(page.locator('#calls [data-part="phrase"]')).to_have_text(PHRASE)
            await expect(page.get_by_role("status").first).to_contain_text(words("en")(f"proof.{stage}"))
            assert not await seen.cramped(), stage
        await expect(button).to_be_hidden()
        await expect(page.get_by_role("status").first).to_contain_text(f"Say these two words: {PHRASE}")
        await page.get_by_role("button", name="Say the digits again").focus()
        await page.keyboard.press("Enter")
        await until_asked(opened, (CALL.id, "again"))
        await becomes(at(Stage.OPENED, Speaking.SILENT))
        await expect(page.get_by_role("status").first).to_contain_text("Take it off mute")
        assert await seen.seen_by_all() == []
        await becomes(at(Stage.CONFIRMED), provable=True)
        await expect(page.get_by_role("heading", name="Confirmed: the person knows that it is us")).to_be_visible()
        await expect(page.get_by_role("button", name="Say the digits again")).to_be_hidden()
        # whoever was at the button that went away is at the call
        await expect(page.get_by_role("heading", name="Not verified")).to_be_focused()
        for stage in (Stage.DENIED, Stage.WRONG, Stage.EXPIRED, Stage.FAILED):
            await becomes(at(stage), provable=True)
            await expect(page.get_by_role("heading", name=words("en")(f"proof.{stage}"), exact=True)).to_be_visible()
            assert await seen.seen_by_all() == [], stage
        await expect(button).to_be_visible()


SIGNS = {Stage.SENT: '"…"', Stage.OPENED: '"…"', Stage.CONFIRMED: '"✓"', Stage.DENIED: '"✕"'}
SIGN = "sign => [getComputedStyle(sign).clipPath, getComputedStyle(sign, '::before').content]"


@pytest.mark.parametrize("language", languages())
async def test_everybody_can_use_each_card(server: Server, browser: Browser, language: str) -> None:
    """On a telephone, by night where the desk is by day, with letters twice as large: nothing is cut off."""
    said = words(language)
    called = replace(
        CALL,
        number=None,
        direction=Direction.OUTBOUND,
        dialled=REF,
        provable=True,
        verifiable=True,
        since=time.time() - 75,
    )
    cards = {
        "dialled": called,
        "confirmed": replace(called, proof=at(Stage.CONFIRMED)),
        "spoken": replace(called, provable=False, proof=SAID),
        "spoken-confirmed": replace(called, proof=replace(SAID, stage=Stage.CONFIRMED, digits=None)),
        "opened": replace(called, provable=False, proof=at(Stage.OPENED, Speaking.SILENT)),
        "denied": replace(called, proof=at(Stage.DENIED)),
    }
    async with (
        desk(server) as opened,
        window(browser, language=language, size=PHONE, dark=True) as small,
        window(browser, language=language, size={"width": 760, "height": 560}) as large,
    ):
        opened.proves.choice = Choice(tuple(Way), ("case", "invoice"))
        for seen in (small, large):
            await sign_in(seen, opened)
        for name, call in cards.items():
            opened.world.calls = (call,)
            opened.hub.changed(frozenset({"PJSIP/anna"}))
            for seen in (small, large):
                title = "" if call.proof is None else shown(call.proof, said)["title"]
                await expect(seen.page.locator('#calls [data-part="dialled"]')).to_have_text(REF)
                await expect(seen.page.locator('#calls [data-part="proof-title"]')).to_have_text(title)
                if call.proof is not None:
                    sign = await seen.page.locator("#calls .proof .sign").evaluate(SIGN)
                    assert sign == ["none", SIGNS[call.proof.stage]], "it has the shape of its own stage"
                assert await seen.seen_by_all() == [], name
                assert not await seen.cramped(), name
            if PICTURES is not None and name in ("dialled", "confirmed", "spoken"):
                await large.picture(PICTURES / f"{name}-{language}.png")
            await large.page.evaluate("document.documentElement.style.fontSize = '200%'")
            assert not await large.cramped(), name
            await large.page.evaluate("document.documentElement.style.fontSize = ''")


async def test_a_way_that_is_closed_is_not_chosen_until_it_opens(server: Server, browser: Browser) -> None:
    async with desk(server) as opened, window(browser) as seen:
        opened.proves.choice = Choice((Way.SPOKEN, Way.TEXT), ("case",))
        opened.world.calls = (replace(CALL, provable=True),)
        await sign_in(seen, opened)
        how = seen.page.get_by_role("combobox", name="How", exact=True)
        spoken = how.locator('option[value="spoken"]')
        await expect(how).to_have_value("spoken")
        opened.world.calls = (replace(CALL, provable=True, digits_closed=int(time.time()) + 3600),)
        opened.hub.changed(frozenset({"PJSIP/anna"}))
        await expect(spoken).to_have_text(re.compile(r"and keys them \(closed until \d+.\d\d.*\)$"))
        await expect(spoken).to_be_disabled()
        await expect(how).to_have_value("text")
        opened.world.calls = (replace(CALL, provable=True),)
        opened.hub.changed(frozenset({"PJSIP/anna"}))
        await expect(spoken).to_be_enabled()
        await expect(spoken).to_have_text(re.compile("and keys them$"))


async def test_a_refusal_is_told_on_the_page(server: Server, browser: Browser) -> None:
    async with desk(server) as opened, window(browser) as seen:
        opened.world.calls = (replace(CALL, provable=True),)
        opened.proves.refusal = Reason.NO_WAY
        await sign_in(seen, opened)
        await seen.page.get_by_role("button", name="Prove it is us").click()
        await expect(seen.page.locator('#calls [data-part="fault"]')).to_contain_text(
            "There is no way to reach this person"
        )


async def test_supervisors_see_alarms_of_their_own_team(server: Server, browser: Browser) -> None:
    async with desk(server) as opened, window(browser) as seen:
        opened.world.people["p-else"] = replace(ANNA, id="p-else", login="else", name="Else Where", team="other")
        now = int(time.time())
        opened.proves.alarms = (
            Alarm("1", ANNA.id, Stage.DENIED, "node", "17.1", now),
            Alarm("2", "p-else", Stage.WRONG, "node", "17.2", now),
            Alarm("3", "p-gone", Stage.WRONG, "node", "17.3", now),
        )
        await sign_in(seen, opened, SUPERVISOR.login)
        await seen.page.goto(opened.url("/team"))
        alarms = seen.page.locator("#alarms li")
        await expect(alarms).to_have_count(2)
        await expect(alarms.first).to_contain_text("Anna Ek said: I am not talking to you")
        await expect(alarms.last).to_contain_text("Somebody who was removed keyed wrong digits")
        await expect(seen.page.get_by_role("status").first).to_contain_text("Anna Ek")
        assert await seen.seen_by_all() == []


async def test_a_redis_that_is_away_is_not_that_there_are_no_alarms(server: Server, browser: Browser) -> None:
    async with desk(server) as opened, window(browser) as seen:
        opened.proves.alarms = None
        await sign_in(seen, opened, SUPERVISOR.login)
        await seen.page.goto(opened.url("/team"))
        await expect(seen.page.locator("#alarms")).to_contain_text("It is not known whether there are alarms")
        assert await seen.seen_by_all() == []


async def until_asked(opened: Desk, what: tuple[str, ...]) -> None:
    """Wait until this is the last that the desk was asked for."""
    await wait_for(lambda: opened.proves.asked[-1:] == [what])
