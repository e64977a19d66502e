"""The buttons as a browser and a program have them: what is asked for, what is answered, what the page shows meanwhile."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from ivr.call.outcome import Status
from ivr.lock import Keying, Reason, State
from ivr.staff import Permission
from ivr.web.view import view
from ivr.web.words import languages, words
from tests.contract.live_server import Server
from tests.contract.test_desk_live import page
from tests.contract.web_kit import ANNA, CALL, VERIFIED, Desk, desk

pytestmark = pytest.mark.servers

PATH = f"/api/v1/calls/{CALL.id}"
KEYING = replace(CALL, state=State.VERIFYING, shut=Reason.NO_CALL, keying=Keying("sms_code", 3, 6, 6))


@pytest.fixture
async def open_desk(server: Server) -> AsyncIterator[Desk]:
    async with desk(server) as made:
        yield made


async def test_verify_now(open_desk: Desk) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    open_desk.world.calls = (CALL,)
    offered = await (await open_desk.get("/api/v1/policies")).json()
    assert offered["policies"][0] == {"name": "main", "level": 2, "steps": ["pin", "sms_code"]}
    answer = await open_desk.send("POST", f"{PATH}/verification", json={"policy": "main"}, headers=csrf)
    assert (answer.status, await answer.json()) == (202, {"call": CALL.id, "policy": "main"})
    assert open_desk.world.pressed == [(CALL.id, "main")]
    for given, status, reason in (
        ({"policy": "nobody-wrote-this"}, 422, "invalid"), ({}, 422, "invalid"), ({"policy": "a b"}, 422, "invalid"),
    ):  # fmt: skip
        answer = await open_desk.send("POST", f"{PATH}/verification", json=given, headers=csrf)
        assert (answer.status, (await answer.json())["reason"]) == (status, reason)
    other = await open_desk.send(
        "POST", f"/api/v1/calls/{'a' * 22}/verification", json={"policy": "main"}, headers=csrf
    )
    assert (other.status, (await other.json())["reason"]) == (403, "no_call")
    assert len(open_desk.world.pressed) == 1


@pytest.mark.parametrize("why", ["over", "wrong_person"])
async def test_the_mark_goes(open_desk: Desk, why: str) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    open_desk.world.calls = (VERIFIED,)
    answer = await open_desk.send("DELETE", f"{PATH}/mark", json={"why": why}, headers=csrf)
    assert (answer.status, await answer.read()) == (204, b"")
    assert open_desk.world.pressed == [(CALL.id, why)]
    assert (await open_desk.send("DELETE", f"{PATH}/mark", json={"why": "bored"}, headers=csrf)).status == 422
    open_desk.world.calls = (CALL,)
    answer = await open_desk.send("DELETE", f"{PATH}/mark", json={"why": why}, headers=csrf)
    assert (answer.status, (await answer.json())["reason"]) == (403, "not_verified")


@pytest.mark.parametrize(
    ("method", "path", "given"), [("POST", "verification", {"policy": "main"}), ("DELETE", "mark", {"why": "over"})]
)
async def test_neither_without_the_permission_nor_from_another_site(
    open_desk: Desk, method: str, path: str, given: dict[str, str]
) -> None:
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    open_desk.world.calls = (VERIFIED,)
    assert (await open_desk.send(method, f"{PATH}/{path}", json=given)).status == 403
    elsewhere = await open_desk.send(
        method, f"{PATH}/{path}", json=given, headers=csrf, origin="https://elsewhere.example"
    )
    assert (elsewhere.status, (await elsewhere.json())["reason"]) == (403, "cross_site")
    open_desk.world.people[ANNA.id] = replace(ANNA, denied=frozenset({Permission.VERIFY}))
    answer = await open_desk.send(method, f"{PATH}/{path}", json=given, headers=csrf)
    assert (answer.status, (await answer.json())["reason"]) == (403, "not_permitted")
    assert open_desk.world.pressed == []


async def test_the_api_tells_how_far_a_caller_is(open_desk: Desk) -> None:
    await open_desk.sign_in()
    open_desk.world.calls = (KEYING,)
    (call,) = (await (await open_desk.get("/api/v1/calls/current")).json())["calls"]
    assert (call["id"], call["state"], call["shut"]) == (CALL.id, "verifying", "no_call")
    assert call["keying"] == {"step": "sms_code", "keyed": 3, "least": 6, "most": 6}


async def test_the_page_has_its_buttons_and_what_they_offer(open_desk: Desk) -> None:
    csrf = await open_desk.sign_in()
    text = await (await open_desk.get("/", headers={"Accept-Language": "de"})).text()
    assert '<option value="main">Stufe 2: ' in text
    assert f'data-csrf="{csrf}"' in text
    assert text.count('data-drop="wrong_person"') == 1, "in the pattern alone: no call is there"


async def test_a_page_is_stirred_by_hand_and_by_a_mark_s_end(open_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # longer than anything here is waited for
    monkeypatch.setattr(open_desk.hub, "_look", 60.0)
    await open_desk.sign_in()
    open_desk.world.calls = (CALL,)
    async with await page(open_desk) as socket:
        await socket.receive_json()
        open_desk.world.calls = (KEYING,)
        open_desk.hub.stir()
        (call,) = (await socket.receive_json(timeout=10))["calls"]
        assert (call["sign"], call["keyed"], call["dots"]) == ("verifying", "Keyed 3 of 6", [3, 6])
        ends = time.time() + 0.3
        open_desk.world.calls = (replace(VERIFIED, until=ends),)  # type: ignore[arg-type]  # whole seconds otherwise
        open_desk.hub.stir()
        await socket.receive_json(timeout=10)
        open_desk.world.calls = (CALL,)
        (call,) = (await socket.receive_json(timeout=10))["calls"]
        assert call["sign"] == "not_verified" and time.time() >= ends


@pytest.mark.parametrize("language", languages())
def test_what_a_page_says_of_each_state(language: str) -> None:
    def shown(**fields: object) -> tuple[str, str, str, tuple[int, int]]:
        (call,) = view([replace(KEYING, **fields)], words(language))["calls"]  # type: ignore[arg-type]  # fields of it
        assert call["title"] and call["help"]
        return call["sign"], call["help"], call["keyed"], call["dots"]

    _, told, keyed, dots = shown()
    assert words(language)("method.sms_code") in told and "3" in keyed and "6" in keyed and dots == (3, 6)
    _, told, keyed, dots = shown(keying=Keying("pin", 3, 4, 8))
    assert "3" in keyed and "8" not in keyed and dots == (3, 3)
    _, told, keyed, dots = shown(keying=Keying("", 0, 0, 0))
    assert (told, keyed, dots) == (words(language)("desk.waits_help"), "", (0, 0))
    _, told, keyed, dots = shown(ended=Status.VERIFIED, keying=Keying("", 0, 0, 0))
    assert (told, keyed, dots) == (words(language)("desk.returning_help"), "", (0, 0))
    assert shown(state=State.GONE, keying=None)[0] == "gone"
    for status in (Status.REFUSED, Status.LOCKED, Status.TIMEOUT, Status.UNAVAILABLE):
        sign, told, *_ = shown(state=State.REFUSED, keying=None, ended=status)
        assert (sign, told) == ("refused", words(language)(f"desk.ended_{status}"))
