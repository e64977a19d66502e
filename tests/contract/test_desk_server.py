"""The desk's server on a real port and a real Redis: what every answer carries, and what nobody gets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from ivr.secret import Personal
from ivr.staff import Permission
from ivr.web.guard import Open
from ivr.web.headers import HEADERS
from ivr.web.routes import ROUTES
from tests.contract.live_server import Server
from tests.contract.web_kit import ANNA, AUDITOR, CALL, CODE, LINK, PASSWORD, REF, VERIFIED, WHOM, Desk, desk

pytestmark = pytest.mark.servers


@pytest.fixture
async def open_desk(server: Server) -> AsyncIterator[Desk]:
    async with desk(server) as made:
        yield made


def path_of(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda found: {"ref": REF, "action": "lock", "token": LINK}.get(found[1], "x"), path)


# ---------------------------------------------------------------- every route


def test_every_route_says_what_it_needs(open_desk: Desk) -> None:
    registered = {
        (route.method, route.resource.canonical) for route in open_desk.server.app.router.routes() if route.resource
    }
    table = {(route.method, route.path) for route in ROUTES}
    table |= {("HEAD", route.path) for route in ROUTES if route.method == "GET" and not route.lasts}
    table |= {("OPTIONS", route.path) for route in ROUTES if route.scope is not None}
    monitoring = {(method, path) for method in ("GET", "HEAD") for path in ("/healthz", "/readyz")}
    assert registered == table | monitoring
    assert all(isinstance(route.needs, Permission | Open) for route in ROUTES)


async def test_every_operation_of_the_description_is_a_route_with_its_permission(open_desk: Desk) -> None:
    answer = await open_desk.get("/api/v1/openapi.json")
    document = await answer.json()
    described = {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    api = {(route.method, route.path): route for route in ROUTES if route.path.startswith(("/api/", "/.well"))}
    assert set(described) == {key for key in api if not key[1].endswith("openapi.json")}
    for key, operation in described.items():
        needs = api[key].needs
        assert operation.get("x-permission") == (needs.value if isinstance(needs, Permission) else None)
        assert bool(operation["security"]) is (needs is not Open.ANYONE)
    # a name with a path in it: two models have one name, and clients are made with it
    assert not [name for name in document["components"]["schemas"] if "__" in name]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_nobody_who_is_not_signed_in_gets_past(route: object, open_desk: Desk) -> None:
    method, path, needs = route.method, route.path, route.needs  # type: ignore[attr-defined]
    open_desk.world.calls, open_desk.world.record_of = (VERIFIED,), {"name": Personal("Anna Andersson")}
    answer = await open_desk.send(method, path_of(path))
    text = await answer.text()
    assert "Andersson" not in text
    if needs is Open.PROGRAM:
        # a page sends no program's secret: tests/contract/test_desk_tokens.py
        assert answer.status == 403
    elif needs is not Open.ANYONE and method == "GET" and not path.startswith("/api/") and not route.lasts:  # type: ignore[attr-defined]
        back = f"?for={path[1:]}" if path.count("/") == 1 else ""
        assert (answer.status, answer.headers["Location"]) == (303, f"/sign-in{back}")
    elif needs is not Open.ANYONE and not path.startswith("/api/") and not route.lasts:  # type: ignore[attr-defined]
        assert answer.status == 401
    elif needs is not Open.ANYONE:
        assert answer.status == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert (await answer.json())["reason"] == "not_signed_in"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [*((route.method, path_of(route.path), None) for route in ROUTES), ("GET", "/nothing", 404), ("GET", "/api/v1/nothing", 404),
     ("PUT", "/api/v1/session", 405), ("DELETE", "/", 405), ("GET", "/healthz", 200), ("GET", "/readyz", 200),
     ("GET", "/static/../../etc/passwd", 404), ("TRACE", "/", 405)],
)  # fmt: skip
async def test_every_answer_has_the_headers(method: str, path: str, status: int | None, open_desk: Desk) -> None:
    answer = await open_desk.send(method, path)
    assert status is None or answer.status == status
    # what other sites' pages load
    shared = {"Cross-Origin-Resource-Policy": "cross-origin"} if path.endswith("caller-auth.js") else {}
    for name, value in {**HEADERS, **shared}.items():
        assert answer.headers[name] == value
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "aiohttp" not in answer.headers["Server"].lower() + answer.headers.get("Via", "")
    if "static" not in path and "jwks" not in path and not shared:
        assert answer.headers["Cache-Control"] == "no-store"


async def test_what_is_no_http_is_answered_with_them_too(open_desk: Desk) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", open_desk.server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nsecret-canary")
    answer = (await reader.read()).decode()
    writer.close()
    assert answer.partition("\r\n")[0].endswith(" 400 Bad Request")
    assert "Content-Security-Policy: default-src 'none'" in answer
    assert "canary" not in answer


# ---------------------------------------------------------------- signing in


async def form(open_desk: Desk, path: str) -> str:
    answer = await open_desk.get(path)
    found = re.search(r'name="csrf" value="([^"]+)"', await answer.text())
    assert found is not None
    return found[1]


async def test_signing_in_by_the_page(open_desk: Desk) -> None:
    csrf = await form(open_desk, "/sign-in")
    given = {"csrf": csrf, "login": "anna", "password": PASSWORD, "code": "246 810"}
    answer = await open_desk.send("POST", "/sign-in", data=given)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = next(cookie for cookie in answer.headers.getall("Set-Cookie") if cookie.startswith("__Host-desk="))
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie and "Max-Age" not in cookie
    page = await (await open_desk.get("/")).text()
    assert "Anna Ek" in page and "2026-11-20 08:15 UTC, 10.0.*" in page
    assert "Failed tries to sign in since then: 1." in page
    left = await open_desk.send("POST", "/sign-out", data={"csrf": await form(open_desk, "/")})
    assert (left.status, left.headers["Location"]) == (303, "/sign-in?signed_out")
    assert (await open_desk.get("/")).headers["Location"] == "/sign-in"


@pytest.mark.parametrize(
    "wrong", [{"login": "bo"}, {"password": "x"}, {"code": "111111"}, {"code": ""}, {"login": "ännä\x00"}]
)
async def test_every_refusal_is_in_the_same_words(wrong: dict[str, str], open_desk: Desk) -> None:
    csrf = await form(open_desk, "/sign-in")
    given = {"csrf": csrf, "login": "anna", "password": PASSWORD, "code": CODE, **wrong}
    answer = await open_desk.send("POST", "/sign-in", data=given)
    assert answer.status == 401
    assert "Check the user name, the password and the code" in await answer.text()
    assert not [cookie for cookie in answer.headers.getall("Set-Cookie") if cookie.startswith("__Host-desk=")]


async def test_who_has_to_wait_is_told_how_long(open_desk: Desk) -> None:
    open_desk.world.waits = 42
    csrf = await form(open_desk, "/sign-in")
    page = await open_desk.send("POST", "/sign-in", data={"csrf": csrf, "login": "anna"})
    assert (page.status, page.headers["Retry-After"]) == (429, "42")
    answer = await open_desk.send("POST", "/api/v1/session", json={"login": "anna", "password": "x", "code": CODE})
    assert (answer.status, answer.headers["Retry-After"]) == (429, "42")


async def test_a_cookie_is_new_after_signing_in_and_worth_nothing_after_signing_out(open_desk: Desk) -> None:
    first = await open_desk.sign_in()
    token = open_desk.cookie()
    await open_desk.send("DELETE", "/api/v1/session", headers={"CSRF-Token": first})
    second = await open_desk.sign_in()
    assert first != second and token != open_desk.cookie()
    open_desk.browser.cookie_jar.clear()
    stolen = await open_desk.get("/api/v1/session", headers={"Cookie": f"__Host-desk={token}"})
    assert stolen.status == 401


async def test_who_signs_in_anew_ends_the_session_of_before(open_desk: Desk) -> None:
    """The browser forgets its token, and nobody would sign out of it."""
    await open_desk.sign_in()
    token = open_desk.cookie()
    await open_desk.sign_in("rut")
    open_desk.browser.cookie_jar.clear()
    stolen = await open_desk.get("/api/v1/session", headers={"Cookie": f"__Host-desk={token}"})
    assert stolen.status == 401


async def test_who_is_disabled_is_out_at_once(open_desk: Desk) -> None:
    await open_desk.sign_in()
    open_desk.world.people[ANNA.id] = replace(ANNA, disabled=True)
    assert (await open_desk.get("/api/v1/session")).status == 401


# ---------------------------------------------------------------- other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "OWN"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_another_site_changes_nothing(headers: dict[str, str], open_desk: Desk) -> None:
    csrf = await open_desk.sign_in()
    sent = {name: value.replace("OWN", open_desk.origin) for name, value in headers.items()}
    for method, path in (
        ("DELETE", "/api/v1/session"),
        ("POST", f"/api/v1/customers/{REF}/actions/lock"),
        ("POST", "/sign-out"),
    ):
        answer = await open_desk.send(method, path, origin=None, headers={**sent, "CSRF-Token": csrf})
        assert answer.status == 403
        assert "another site" in await answer.text()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await open_desk.browser.ws_connect(open_desk.url("/live"), headers=sent)
    assert refused.value.status == 403


@pytest.mark.parametrize("token", [None, "", "x", "0" * 64])
async def test_without_the_session_s_token_nothing_changes(token: str | None, open_desk: Desk) -> None:
    await open_desk.sign_in()
    open_desk.world.record_of = {}
    headers = {} if token is None else {"CSRF-Token": token}
    for method, path in (("DELETE", "/api/v1/session"), ("POST", f"/api/v1/customers/{REF}/actions/lock")):
        answer = await open_desk.send(method, path, headers=headers, json={})
        assert (answer.status, (await answer.json())["reason"]) == (403, "csrf")
    assert (await open_desk.get("/api/v1/session")).status == 200
    page = await open_desk.send("POST", "/sign-out", data={} if token is None else {"csrf": token})
    assert page.status == 403


async def test_a_form_from_elsewhere_signs_nobody_in(open_desk: Desk) -> None:
    given = {"login": "anna", "password": PASSWORD, "code": CODE}
    assert (await open_desk.send("POST", "/sign-in", data=given)).status == 403
    assert (await open_desk.send("POST", "/sign-in", data={**given, "csrf": ""})).status == 403
    await form(open_desk, "/sign-in")
    assert (await open_desk.send("POST", "/sign-in", data={**given, "csrf": "x"})).status == 403


async def test_another_name_that_leads_here_is_not_answered(server: Server) -> None:
    async with desk(server, '[desk]\nurl = "https://desk.example.com"\n') as made:
        assert (await made.get("/sign-in")).status == 421
        answer = await made.get("/sign-in", headers={"Host": "desk.example.com"})
        assert answer.status == 200
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
        assert (await made.get("/healthz")).status == 200


# ---------------------------------------------------------------- the API


async def test_the_own_calls_and_a_record_that_is_open(open_desk: Desk) -> None:
    await open_desk.sign_in()
    open_desk.world.calls = (VERIFIED,)
    open_desk.world.record_of = {
        "name": Personal("Anna Andersson"),
        "phones": (Personal("+46701740601"),),
        "has_pin": True,
    }
    calls = await (await open_desk.get("/api/v1/calls/current")).json()
    assert (
        calls["calls"][0] | {"state": "verified", "level": 2, "name": "Anna Andersson", "ref": REF} == calls["calls"][0]
    )
    record = await (await open_desk.get(f"/api/v1/customers/{REF}/record")).json()
    assert record["fields"] == {"name": "Anna Andersson", "phones": ["+46701740601"], "has_pin": True}
    some = await (await open_desk.get(f"/api/v1/customers/{REF}/record?fields=name,has_pin")).json()
    assert set(some["fields"]) == {"name", "has_pin"}


async def test_what_the_lock_refuses_is_said_with_its_reason(open_desk: Desk) -> None:
    csrf = await open_desk.sign_in()
    answer = await open_desk.get(f"/api/v1/customers/{REF}/record", headers={"Accept-Language": "sv"})
    told = await answer.json()
    assert answer.status == 403
    assert told == {
        "type": "/problems#no_call", "title": "Forbidden", "status": 403, "reason": "no_call",
        "detail": "Ingen av dina telefoner är ihopkopplad med någon som ringer. Det öppnas när kunden är på linjen.",
    }  # fmt: skip
    open_desk.world.calls = (CALL,)
    needs = await (await open_desk.get(f"/api/v1/customers/{REF}/record")).json()
    assert (needs["reason"], needs["needs"]) == ("level", 3)
    acted = await open_desk.send("POST", f"/api/v1/customers/{REF}/actions/lock", json={}, headers={"CSRF-Token": csrf})
    assert acted.status == 403


async def test_a_role_without_calls_gets_none(open_desk: Desk) -> None:
    csrf = await open_desk.sign_in("rut")
    open_desk.world.record_of = {"name": Personal("Anna Andersson")}
    for method, path in (
        ("GET", "/api/v1/calls/current"), ("GET", f"/api/v1/customers/{REF}/record"), ("POST", f"/api/v1/customers/{REF}/actions/lock"),
    ):  # fmt: skip
        answer = await open_desk.send(method, path, headers={"CSRF-Token": csrf}, json={} if method == "POST" else None)
        assert (answer.status, (await answer.json())["reason"]) == (403, "not_permitted")
    # the trail is told of each: by the route, for a path may hold what somebody has typed
    assert open_desk.world.refused == [
        ("p-rut", "call", f"/api/v1/{route}")
        for route in ("calls/current", "customers/{ref}/record", "customers/{ref}/actions/{action}")
    ]
    assert (await open_desk.get("/")).headers["Location"] == "/trail"
    open_desk.world.people[AUDITOR.id] = replace(AUDITOR, denied=frozenset(Permission))
    assert "Your role has other tasks" in await (await open_desk.get("/")).text()


async def test_two_persons_open_a_record_and_one_lets_another_read_again(open_desk: Desk) -> None:
    csrf = await open_desk.sign_in()
    wish = {"ref": REF, "reason": "must be called back at once", "fields": ["name"]}
    asked = await open_desk.send("POST", "/api/v1/openings", json=wish, headers={"CSRF-Token": csrf})
    opening = await asked.json()
    assert (asked.status, opening["open"], opening["login"]) == (201, False, "anna")
    place = f"/api/v1/openings/{opening['id']}"
    shut = await open_desk.get(f"{place}/record")
    assert (shut.status, (await shut.json())["reason"]) == (403, "not_open")
    for method, path in (("GET", "/api/v1/openings"), ("POST", f"{place}/approval"), ("GET", "/api/v1/reads")):
        refused = await open_desk.send(method, path, headers={"CSRF-Token": csrf})
        assert (refused.status, (await refused.json())["reason"]) == (403, "not_permitted")

    csrf = await open_desk.sign_in("siv")
    assert (await (await open_desk.get("/api/v1/openings")).json())["openings"] == [opening]
    agreed = await open_desk.send("POST", f"{place}/approval", headers={"CSRF-Token": csrf})
    assert (agreed.status, (await agreed.json())["open"]) == (200, True)
    assert (await (await open_desk.get("/api/v1/reads")).json())["persons"][0]["stopped"] is True
    lift, why = f"/api/v1/people/{WHOM}/reads/lift", {"reason": "a day with many callers"}
    lifted = await open_desk.send("POST", lift, json=why, headers={"CSRF-Token": csrf})
    assert (lifted.status, await lifted.json()) == (200, {"person": WHOM})
    again = await open_desk.send("POST", lift, json=why, headers={"CSRF-Token": csrf})
    assert (again.status, (await again.json())["errors"][0]["field"]) == (422, "reads")

    csrf = await open_desk.sign_in()
    assert (await (await open_desk.get(f"{place}/record")).json())["fields"] == {"name": "Anna Andersson"}
    assert (await open_desk.send("DELETE", place, headers={"CSRF-Token": csrf})).status == 204
    gone = await open_desk.send("DELETE", place, headers={"CSRF-Token": csrf})
    assert (gone.status, (await gone.json())["reason"]) == (403, "not_open")


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "bad_request"),
        ({"data": b"\xff", "headers": {"Content-Type": "application/json"}}, 400, "bad_request"),
        ({"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type"),
        ({"json": {"login": "anna"}}, 422, "invalid"),
        ({"json": {"login": "anna", "password": "p", "code": "canary-canary"}}, 422, "invalid"),
        ({"json": {"login": 5, "password": "p", "code": CODE, "canary": 1}}, 422, "invalid"),
        ({"json": ["canary"]}, 422, "invalid"),
        ({"data": b"x" * 20_000, "headers": {"Content-Type": "application/json"}}, 413, "too_large"),
    ],
)
async def test_what_cannot_be_taken_is_said_without_repeating_it(
    sent: dict, status: int, reason: str, open_desk: Desk
) -> None:
    answer = await open_desk.send("POST", "/api/v1/session", **sent)
    text = await answer.text()
    assert (answer.status, (await answer.json(content_type=None))["reason"]) == (status, reason), text
    assert "canary" not in text
    assert "canary" not in repr(open_desk.log.lines)


async def test_a_part_that_is_down_and_a_fault_of_ours(open_desk: Desk) -> None:
    await open_desk.sign_in()
    open_desk.world.broken = True
    answer = await open_desk.get(f"/api/v1/customers/{REF}/record")
    assert (answer.status, (await answer.json())["reason"]) == (500, "internal")
    assert "hidden" not in await answer.text()
    open_desk.world.down = True
    answer = await open_desk.get("/api/v1/calls/current")
    assert (answer.status, (await answer.json())["reason"]) == (503, "unavailable")
    ready = await open_desk.get("/readyz")
    assert (ready.status, await ready.json()) == (503, {"ready": False, "parts": {"redis": False}})
    assert (await open_desk.get("/healthz")).status == 200


@pytest.mark.parametrize("coding", ["none-such", "bz2", "punycode", "idna", "utf-16", "unicode_escape"])
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", f"/welcome/{LINK}"])
async def test_a_form_in_another_coding_is_refused_and_is_no_fault_of_ours(
    open_desk: Desk, path: str, coding: str
) -> None:
    headers = {"Content-Type": f"application/x-www-form-urlencoded; charset={coding}"}
    answer = await open_desk.send("POST", path, data=b"login=\\ud800&csrf=\\ud800", headers=headers)
    assert answer.status == 415
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await open_desk.send("POST", path, data=b"login=\xff", headers=headers)).status == 400
    assert not [line for line in open_desk.log.lines if line["event"] == "web.failed"]


async def test_too_many_requests_wait(server: Server) -> None:
    async with desk(server, "[desk.requests]\nper_minute = 60\nstrangers_per_minute = 5\n") as made:
        await made.sign_in()
        answers = [await made.get("/api/v1/session") for _ in range(8)]
        assert [answer.status for answer in answers] == [200] * 6 + [429] * 2
        assert answers[-1].headers["Retry-After"] == "1"
        assert (await answers[-1].json())["reason"] == "too_many_requests"
        (counted,) = server.client.keys("*:pace:person:*")
        assert counted.split(":")[-2:] == [ANNA.tenant, ANNA.id]
        made.browser.cookie_jar.clear()
        guesses = [await made.get("/api/v1/session", headers={"Cookie": f"__Host-desk={n}"}) for n in range(6)]
        assert [guess.status for guess in guesses] == [401] * 4 + [429] * 2


async def test_a_network_waits_as_one_address(server: Server) -> None:
    """Whoever has one address of an IPv6 network has all."""
    async with desk(
        server, '[desk]\nallow_proxies = ["127.0.0.1"]\n[desk.requests]\nstrangers_per_minute = 5\n'
    ) as made:
        told = [await made.get("/live", headers={"X-Forwarded-For": f"2001:db8::{host}"}) for host in range(7)]
        assert [answer.status for answer in told] == [401] * 5 + [429] * 2
        other = await made.get("/live", headers={"X-Forwarded-For": "2001:db8:0:1::1"})
        assert other.status == 401


# ---------------------------------------------------------------- what people are called


XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


async def test_names_are_never_markup(open_desk: Desk) -> None:
    open_desk.world.people[ANNA.id] = replace(ANNA, name=XSS)
    open_desk.world.calls = (replace(VERIFIED, name=Personal(XSS), number=XSS, methods=(XSS,), ref=XSS),)
    await open_desk.sign_in()
    page = await (await open_desk.get("/")).text()
    assert page.count("&lt;script&gt;alert(1)") >= 4
    assert "<script>alert" not in page and "<img src=x" not in page
    open_desk.world.welcome_name = XSS
    welcome = await (await open_desk.get(f"/welcome/{LINK}")).text()
    assert "<script>alert" not in welcome and "<img src=x" not in welcome


async def test_what_is_typed_is_never_markup(open_desk: Desk) -> None:
    csrf = await form(open_desk, "/sign-in")
    answer = await open_desk.send("POST", "/sign-in", data={"csrf": csrf, "login": XSS, "password": "p", "code": CODE})
    page = await answer.text()
    assert "&lt;script&gt;" in page and "<script>alert" not in page
    for path in ("/<script>alert(1)</script>", "/api/v1/<script>", "/?<script>alert(1)"):
        assert "<script>alert" not in await (await open_desk.get(path)).text()


async def test_no_page_has_a_script_or_a_style_within(open_desk: Desk) -> None:
    pages = [
        await (await open_desk.get(path)).text() for path in ("/sign-in", f"/welcome/{LINK}", "/problems", "/nothing")
    ]
    await open_desk.sign_in()
    pages.append(await (await open_desk.get("/")).text())
    for page in pages:
        assert not re.search(
            r"\son\w+=|\sstyle=|<style|<script(?! type=\"module\" src=\"/static/)|javascript:|https?://(?!www\.w3\.org/2000/svg)",
            page,
        )


# ---------------------------------------------------------------- the one-time link


async def test_looking_at_a_link_changes_nothing(open_desk: Desk) -> None:
    for _ in range(3):
        answer = await open_desk.get(f"/welcome/{LINK}")
        page = await answer.text()
        assert answer.status == 200
        assert "<svg" in page and "JBSWY3DPEHPK3PXP" in page
    assert (await open_desk.browser.head(open_desk.url(f"/welcome/{LINK}"))).status == 200
    assert open_desk.world.taken == 0
    assert LINK not in repr(open_desk.log.lines)


async def test_a_link_works_once(open_desk: Desk) -> None:
    csrf = await form(open_desk, f"/welcome/{LINK}")
    given = {"csrf": csrf, "password": PASSWORD, "again": PASSWORD, "code": CODE}
    differ = await open_desk.send("POST", f"/welcome/{LINK}", data={**given, "again": "x"})
    assert (differ.status, "not the same" in await differ.text()) == (422, True)
    wrong = await open_desk.send("POST", f"/welcome/{LINK}", data={**given, "code": "000000"})
    assert (wrong.status, PASSWORD in await wrong.text()) == (422, False)
    done = await open_desk.send("POST", f"/welcome/{LINK}", data=given)
    assert (done.status, done.headers["Location"]) == (303, "/sign-in?welcome_done")
    again = await open_desk.send("POST", f"/welcome/{LINK}", data=given)
    assert again.status == 404
    assert "does not work" in await again.text()


# ---------------------------------------------------------------- the log


async def test_the_log_has_neither_tokens_nor_queries(open_desk: Desk) -> None:
    csrf = await open_desk.sign_in()
    await open_desk.get(f"/api/v1/customers/{REF}/record?fields=canary")
    await open_desk.get("/welcome/" + "canary" * 8)
    said = repr(open_desk.log.lines)
    for hidden in ("canary", csrf, open_desk.cookie(), PASSWORD, CODE):
        assert hidden not in said
    assert {"event": "web.request", "route": "/welcome/{token}"}.items() <= next(
        line for line in open_desk.log.lines if line.get("route") == "/welcome/{token}"
    ).items()
