"""Tokens at the desk's door: the published keys, the mark of a call, and programs that ask whether one still holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ivr.config import Settings
from ivr.errors import ConfigError
from ivr.web.programs import Programs
from tests.contract.live_server import Server
from tests.contract.web_kit import (
    AUDIENCE,
    CRM_NEXT,
    CRM_SECRET,
    REF,
    TOKEN_KEY,
    VERIFIED,
    Desk,
    as_crm,
    crm,
    desk,
)

pytestmark = pytest.mark.servers

ASK = "/api/v1/tokens/introspect"


@pytest.fixture
async def open_desk(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with desk(server, crm(monkeypatch)) as made:
        yield made


async def ask(desk: Desk, headers: dict[str, str] | None = None, **form: Any) -> aiohttp.ClientResponse:
    """As a server does it: no cookie, no origin."""
    async with aiohttp.ClientSession() as program:
        answer = await program.post(desk.url(ASK), data=form or {"token": "a.b.c"}, headers=as_crm() if headers is None else headers)  # fmt: skip
        await answer.read()
        return answer


async def test_the_keys_are_open_to_all_and_may_be_kept_for_some_minutes(open_desk: Desk) -> None:
    place = "/.well-known/jwks.json"
    answer = await open_desk.get(place)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert (await answer.json()) == {"keys": [dict(TOKEN_KEY.public)]}
    assert set(TOKEN_KEY.public) == {"kid", "kty", "crv", "x", "alg", "use"}
    again = await open_desk.get(place, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.headers["ETag"]) == (304, answer.headers["ETag"])
    assert (await open_desk.browser.head(open_desk.url(place))).status == 200
    open_desk.world.down = True
    failed = await open_desk.get(place)
    assert failed.status == 503 and failed.content_type == "application/problem+json"


async def test_an_agent_gets_a_token_of_the_own_call(open_desk: Desk) -> None:
    place = f"/api/v1/calls/{VERIFIED.id}/token"
    refused = await open_desk.send("POST", place, json={"audience": AUDIENCE})
    assert refused.status == 401
    csrf = {"CSRF-Token": await open_desk.sign_in()}
    assert (await open_desk.send("POST", place, json={"audience": AUDIENCE})).status == 403
    no_call = await open_desk.send("POST", place, json={"audience": AUDIENCE}, headers=csrf)
    assert (no_call.status, (await no_call.json())["reason"]) == (403, "no_call")
    open_desk.world.calls = (VERIFIED,)
    listed = await (await open_desk.get("/api/v1/calls/current")).json()
    assert listed["calls"][0]["id"] == VERIFIED.id
    given = await open_desk.send("POST", place, json={"audience": AUDIENCE}, headers=csrf)
    assert given.status == 201
    told = await given.json()
    assert told["expires_in"] == 120 and told["token"].count(".") == 2
    other = await open_desk.send("POST", place, json={"audience": "https://evil.example.com"}, headers=csrf)
    assert (other.status, (await other.json())["errors"][0]["field"]) == (422, "audience")
    for strange in ("x", "17.1", f"{VERIFIED.id}x"):
        answer = await open_desk.send(
            "POST", f"/api/v1/calls/{strange}/token", json={"audience": AUDIENCE}, headers=csrf
        )
        assert answer.status == 403
    assert told["token"] not in str(open_desk.log.lines)


async def test_a_program_asks_and_is_told_what_holds_and_nothing_else(open_desk: Desk) -> None:
    answer = await ask(open_desk)
    assert (answer.status, await answer.json()) == (200, {"active": False})
    open_desk.world.calls = (VERIFIED,)
    for secret in (CRM_SECRET, CRM_NEXT):
        answer = await ask(open_desk, as_crm(secret), token="a.b.c", token_type_hint="access_token", strange="1")
        assert await answer.json() == {"active": True, "sub": REF, "level": 2}
    assert answer.headers["Cache-Control"] == "no-store"
    open_desk.world.down = True
    assert (await ask(open_desk)).status == 503


@pytest.mark.parametrize(
    "headers",
    [
        {}, as_crm("x" * 40), as_crm(""), as_crm(CRM_SECRET, "crn"), as_crm(CRM_SECRET, ""), as_crm(f"{CRM_SECRET}\n{CRM_NEXT}"),
        {"Authorization": "Basic"}, {"Authorization": "Basic %%%"}, {"Authorization": "Basic /w=="},
        {"Authorization": f"Bearer {CRM_SECRET}"}, {"Authorization": f"Basic {'A' * 2000}"},
    ],
)  # fmt: skip
async def test_who_is_no_program_is_told_nothing(open_desk: Desk, headers: dict[str, str]) -> None:
    open_desk.world.calls = (VERIFIED,)
    answer = await ask(open_desk, headers)
    assert answer.status == 401 and "active" not in await answer.text()
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert (await answer.json())["reason"] == "program_refused"
    assert CRM_SECRET not in str(open_desk.log.lines)


async def test_a_session_is_no_program_and_no_browser_is_one(open_desk: Desk) -> None:
    csrf = await open_desk.sign_in()
    answer = await open_desk.send("POST", ASK, data={"token": "a.b.c"}, headers={"CSRF-Token": csrf}, origin=None)
    assert answer.status == 401
    for headers in ({"Origin": open_desk.origin}, {"Sec-Fetch-Site": "same-origin"}):
        answer = await ask(open_desk, {**as_crm(), **headers})
        assert (answer.status, (await answer.json())["reason"]) == (403, "cross_site")
    # nor is a program anybody who is signed in
    async with aiohttp.ClientSession() as program:
        assert (await program.get(open_desk.url("/api/v1/calls/current"), headers=as_crm())).status == 401


async def test_what_is_asked_must_be_a_form_with_a_token(open_desk: Desk) -> None:
    assert (await ask(open_desk, hint="x")).status == 422
    assert (await ask(open_desk, token="")).status == 422
    assert (await ask(open_desk, token="x" * 20_000)).status == 413
    async with aiohttp.ClientSession() as program:
        answer = await program.post(open_desk.url(ASK), json={"token": "x"}, headers=as_crm())
        assert answer.status == 415


async def test_tries_are_held_back_and_a_program_that_asks_without_end(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = "[desk.requests]\nstrangers_per_minute = 5\n"
    async with desk(server, limits + crm(monkeypatch, "per_minute = 10")) as made:
        tried = [(await ask(made, as_crm("x" * 40))).status for _ in range(7)]
        assert tried[0] == 401 and tried[-1] == 429
        # who has the secret is not kept from asking by those who have not
        asked = [(await ask(made)).status for _ in range(12)]
        assert asked[0] == 200 and asked[-1] == 429


def settings_of(server: Server, tmp_path: Path, secret: str, more: str = "") -> Settings:
    file = tmp_path / "crm.secret"
    file.touch(mode=0o600)
    file.write_text(secret)
    return server.settings(f'[clients.crm]\nsecret_file = "{file}"\n{more}')


@pytest.mark.parametrize("secret", ["short", "s" * 31, f"{'s' * 40}\n{'t' * 40}\n{'u' * 40}", f"{'s' * 40}\nshort"])
def test_a_secret_that_could_be_guessed_is_refused(server: Server, tmp_path: Path, secret: str) -> None:
    with pytest.raises(ConfigError, match="of 32 characters at least") as refused:
        Programs.of(settings_of(server, tmp_path, secret))
    assert "sssss" not in str(refused.value) and "short" not in str(refused.value)


def test_a_program_without_a_secret_is_refused(server: Server) -> None:
    with pytest.raises(ConfigError, match="names no file"):
        Programs.of(server.settings("[clients.crm]\n"))


def test_what_a_program_may_ask_about_stands_in_both_places(server: Server) -> None:
    with pytest.raises(ConfigError, match=r"\[clients.crm\] audiences names one that"):
        server.settings('[clients.crm]\nsecret_env = "X"\naudiences = ["https://a.example.com"]\n')
