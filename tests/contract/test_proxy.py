"""The proxy before a CRM: what goes through, what is taken out, and what does not go through. The CRM is a real server."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from ivr.audit.chain import lock_of
from ivr.lock import Reason
from ivr.proxy import fields
from ivr.secret import Secret
from ivr.store.handovers import Untaken
from ivr.store.sessions import Sessions
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, BO, NODE, RITA
from tests.contract.proxy_kit import DESK, NAME, PATTERNS, PUBLIC, XENIA, Answer, Door, proxied, said
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers

CUSTOMER = "/api/customers/10001"
NILS = replace(ANNA, id="p-nils", login="nils", tenant="north", endpoints=frozenset({"PJSIP/nils"}))
LEFT = {"id": "10001", "name": "Xenia Ask", "cards": [{"name": "gold"}]}


@pytest.fixture
async def door(tmp_path: Path, server: Server) -> AsyncIterator[Door]:
    async with proxied(settings_in(tmp_path), server) as made:
        await made.enter()
        yield made


async def refused(
    door: Door, path: str, reason: str, method: str = "GET", status: int | None = None, **options: Any
) -> None:
    """It is refused for this reason, and the CRM is not asked."""
    count = len(door.crm.asked)
    answer = await door.ask(path, method, **options)
    assert answer.reason == reason, f"{method} {path}: {answer.body!r}"
    assert status is None or answer.status == status
    assert len(door.crm.asked) == count, f"{method} {path}: the CRM was asked"
    assert b"Xenia" not in answer.body


# ---------------------------------------------------------------- the rule


async def test_a_verified_customers_page_goes_through_without_what_the_mark_does_not_cover(door: Door) -> None:
    ref = await door.desk.call()
    answer = await door.ask(CUSTOMER)
    assert (answer.status, answer.json) == (200, LEFT)
    assert answer.headers["Cache-Control"] == "no-store"
    actor, action, outcome, call, subject, detail = await door.desk.last()
    assert (actor, action, outcome, call, subject) == ("desk:anna", "proxy.read", "granted", "c.1", ref)
    assert (detail["pattern"], detail["method"], detail["needs"]) == ("customer", "GET", "2")
    await door.desk.marked(ref, level=3)
    assert (await door.ask(CUSTOMER)).json == XENIA


async def test_without_a_verified_caller_nothing_goes_through(door: Door) -> None:
    await refused(door, CUSTOMER, "no_call", status=403)
    ref = await door.desk.customer()
    door.desk.joined(ANNA, "c.1")
    await refused(door, CUSTOMER, "not_verified")
    await door.desk.marked(ref, level=1)
    await refused(door, CUSTOMER, "level")
    await door.desk.marked(ref, level=2)
    await refused(door, "/api/customers/10002", "other_customer")
    door.desk.joined(ANNA, "c.1", "c.2")
    await refused(door, CUSTOMER, "third_party")
    door.desk.talks.down = True
    await refused(door, CUSTOMER, "unknown_bridges")
    outcomes = {outcome for _, action, outcome in await door.desk.rows() if action == "proxy.read"}
    assert outcomes == {"refused"}


async def test_another_agent_gets_nothing_and_who_is_disabled_is_nobody(door: Door) -> None:
    await door.desk.call()
    await door.enter(BO)
    await refused(door, CUSTOMER, "no_call")
    door.desk.staff.change(BO, disabled=True)
    await refused(door, CUSTOMER, "not_signed_in", status=401)
    await door.enter(RITA)
    await refused(door, "/assets/a.css", "not_permitted")


async def test_the_caller_hangs_up_while_the_crm_is_asked(door: Door) -> None:
    await door.desk.call()

    async def hang_up() -> None:
        door.desk.talks.talks.clear()

    door.crm.meanwhile = hang_up
    for path in (CUSTOMER, "/customers/10001/page"):
        door.desk.joined(ANNA, "c.1")
        answer = await door.ask(path)
        assert (answer.status, answer.reason) == (403, "no_call")
    assert (await door.desk.last())[2] == "withheld"


async def test_the_caller_hangs_up_while_the_row_is_written(door: Door) -> None:
    """The judgement that was made meanwhile is too old by then."""
    await door.desk.call()
    asking: asyncio.Task[Answer] | None = None
    async with door.desk.database.write(lock=lock_of("desk")):
        asked = door.desk.talks.asked
        asking = asyncio.create_task(door.ask(CUSTOMER))
        # before and after the marks, twice: it waits for the row alone
        while door.desk.talks.asked < asked + 4:
            await asyncio.sleep(0.01)
        begun = monotonic()
        while monotonic() - begun < 0.15:
            await asyncio.sleep(0.01)
        door.desk.talks.talks.clear()
    answer = await asking
    assert (answer.status, answer.reason) == (403, "no_call")
    assert (await door.desk.last())[2] == "withheld"


async def test_the_caller_hangs_up_in_the_midst_of_a_long_answer(door: Door) -> None:
    await door.desk.call()
    seen = asyncio.Event()

    async def long(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"beginning")
        await seen.wait()
        door.desk.talks.talks.clear()
        while request.transport is not None:
            await asyncio.sleep(0.02)
            await answer.write(b"secret")
        return answer

    door.crm.answers["/customers/10001/long"] = long
    async with door.opened("/customers/10001/long") as answer:
        assert answer.status == 200
        assert await answer.content.readexactly(9) == b"beginning"
        seen.set()
        with pytest.raises((aiohttp.ClientPayloadError, ConnectionError)):
            await answer.read()
    assert (await door.desk.last())[2] == "withheld"


async def test_nothing_is_given_without_its_row_and_nothing_is_changed(door: Door) -> None:
    await door.desk.call()
    async with door.desk.database.write(lock=lock_of("desk")):
        answer = await door.ask(CUSTOMER)
        assert (answer.status, answer.reason) == (503, "unavailable")
        door.crm.asked.clear()
        await refused(door, CUSTOMER, "unavailable", "PUT", json={"name": "x"})


async def test_a_change_is_written_down_before_the_crm_is_asked(door: Door) -> None:
    await door.desk.call()
    rows: list[tuple[str, str, str]] = []

    async def look() -> None:
        rows.extend(await door.desk.rows())

    door.crm.meanwhile = look
    answer = await door.ask(CUSTOMER, "PUT", json={"name": "New"})
    assert (answer.status, answer.json) == (200, LEFT)
    assert rows[-1] == ("desk:anna", "proxy.change", "granted")
    assert door.crm.bodies[-1] == b'{"name": "New"}'


async def test_the_caller_hangs_up_while_the_row_of_a_change_is_written(door: Door) -> None:
    """Nothing is changed then."""
    await door.desk.call()
    async with door.desk.database.write(lock=lock_of("desk")):
        asked = door.desk.talks.asked
        asking = asyncio.create_task(refused(door, CUSTOMER, "no_call", "PUT", json={"name": "x"}))
        # before and after the marks: it is weighed, and waits for the row
        while door.desk.talks.asked < asked + 2:
            await asyncio.sleep(0.01)
        door.desk.talks.talks.clear()
    await asking
    assert (await door.desk.last())[2] == "withheld"


async def test_who_reads_too_many_customers_is_stopped_here_too(tmp_path: Path, server: Server) -> None:
    limits = {"reads": {"stop_hour": 1, "stop_day": 1, "warn_hour": 1, "warn_day": 1}}
    async with proxied(settings_in(tmp_path), server, rules=limits) as door:
        await door.enter()
        await door.desk.call()
        assert (await door.ask(CUSTOMER)).status == 200
        await door.desk.call(channel="c.2", number="10002")
        # the one too many, and all behind it
        for _ in range(3):
            await refused(door, "/api/customers/10002", "too_many_reads", status=403)
            assert (await door.desk.last())[5]["reason"] == "too_many_reads"
        told = [outcome for _, action, outcome in await door.desk.rows() if action == "proxy.read"]
        assert told == ["granted", *["refused"] * 3]
        await refused(door, "/api/customers/10002", "too_many_reads", "PUT", json={})


async def test_people_of_another_tenant_are_let_through_to_nothing(door: Door) -> None:
    """Their customer of the same number is another one than the CRM's."""
    door.desk.staff.persons[NILS.id] = NILS
    await verified_in_both(door)
    await door.enter(NILS)
    for path in (CUSTOMER, "/assets/x.js", "/api/search?q=a", "/elsewhere"):
        await refused(door, path, "not_permitted", status=403)


async def test_where_the_crm_tells_tenants_apart_a_number_is_one_of_the_agents_own(
    tmp_path: Path, server: Server
) -> None:
    async with proxied(settings_in(tmp_path), server, tenants=[ANNA.tenant, NILS.tenant]) as door:
        door.desk.staff.persons[NILS.id] = NILS
        refs = await verified_in_both(door)
        door.crm.says("/api/list/10001", lambda: said([{"id": "10001"}]))
        for person in (ANNA, NILS):
            await door.enter(person)
            # in the path alone; and in path and answer, where all are looked up
            for path in (CUSTOMER, "/api/list/10001"):
                assert (await door.ask(path)).status == 200, (person.tenant, path)
                told = decoded(door.crm.last.headers[fields.MARK])
                assert (told["tenant"], told["sub"]) == (person.tenant, refs[person.tenant])
                assert (await door.desk.last())[4] == refs[person.tenant]
            # one that only the other tenant has is nobody's
            await refused(door, f"/api/customers/{10002 if person is NILS else 10003}", "other_customer")
            assert (await door.desk.last())[4] == ""


async def verified_in_both(door: Door) -> dict[str, str]:
    """Each talks with the own tenant's customer 10001, verified; the references."""
    refs = {}
    for person, other in ((ANNA, "10002"), (NILS, "10003")):
        await door.desk.customer(other, tenant=person.tenant)
        refs[person.tenant] = await door.desk.customer("10001", tenant=person.tenant)
        await door.desk.marked(refs[person.tenant], f"c.{person.login}")
        door.desk.joined(person, f"c.{person.login}")
    return refs


def decoded(token: str) -> dict[str, Any]:
    """What it says."""
    said: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return said


# ---------------------------------------------------------------- where the number stands


async def test_a_number_in_the_query(door: Door) -> None:
    await door.desk.call()
    assert (await door.ask("/api/orders?customer=10001&page=2")).status == 200
    assert door.crm.last.raw_path == "/api/orders?customer=10001&page=2"
    await refused(door, "/api/orders", "no_number")
    await refused(door, "/api/orders?customer=10002", "other_customer")
    await refused(door, "/api/orders?customer=10001%20", "other_customer")
    for query in (
        "customer=10001&customer=10002", "customer=10001&customer=10001", "customer=10001&Customer=10002",
        "customer=10001&customer[]=10002", "customer=10001&customer%5B%5D=10002", "customer=10001;customer=10002",
        "customer=10001&c%75stomer=10002", "cust%6fmer=10001", "customer=10001&page=1%26customer%3D10002",
        "customer=10001&page=1%2526customer%253D10002", "customer=10001&other=1", "customer=10001&_method=DELETE",
        "customer=10001&page=%zz", "customer=10001&page=%E4", "customer=10001&CUSTOMER%00=1",
    ):  # fmt: skip
        await refused(door, f"/api/orders?{query}", "ambiguous", status=400)


async def test_numbers_in_the_body_must_all_be_the_callers(door: Door) -> None:
    await door.desk.call()
    merge = "/api/merge"
    sent = b'{"from": {"id": "10001"}, "to": [10001, "10001"], "note": "\xc3\xa5"}'
    json = {"Content-Type": "application/json"}
    assert (await door.ask(merge, "POST", data=sent, headers=json)).status == 200
    assert door.crm.bodies[-1] == sent
    for reason, body in (
        ("other_customer", '{"from": {"id": "10001"}, "to": ["10001", "10002"]}'),
        ("other_customer", '{"from": {"id": "10001"}, "to": ["10001", {"id": "10002"}]}'),
        ("other_customer", '{"from": {"id": true}, "to": ["10001"]}'),
        ("other_customer", '{"from": {"id": 10001.0}, "to": ["10001"]}'),
        ("other_customer", '{"from": {}, "to": ["10001"]}'),
        ("no_number", '{"from": {"id": "10001"}, "to": []}'),
        ("ambiguous", '{"from": {"id": "10001", "id": "10002"}, "to": ["10001"]}'),
        ("ambiguous", '{"from": {"id": "10001", "ID": "10002"}, "to": ["10001"]}'),
        ("ambiguous", '{"from": {"id": "10001", "\\u0131d": "10002"}, "to": ["10001"]}'),
        ("ambiguous", '{"from": {"id": "10001", "id\\u0000": "10002"}, "to": ["10001"]}'),
        ("bad_request", '\ufeff{"from": {"id": "10001"}, "to": ["10001"]}'),
        ("bad_request", '{"from": {"id": "10001"}, "to": ["10001"], "x": NaN}'),
        ("bad_request", '{"from": {"id": "10001"}, "to": ["10001"]} {}'),
        ("bad_request", "[" * 100_000),
    ):
        await refused(door, merge, reason, "POST", data=body.encode(), headers=json)
    await refused(door, merge, "no_number", "POST")
    await refused(door, merge, "too_large", "POST", data=b" " * 300_000, headers=json)
    await refused(door, merge, "unsupported_media_type", "POST", data=sent, headers={"Content-Type": "text/plain"})
    await refused(
        door, merge, "unsupported_media_type", "POST", data=sent, headers={**json, "Content-Encoding": "gzip"}
    )


async def test_a_search_gives_nothing_of_others_and_tells_not_whom_there_is(door: Door) -> None:
    await door.desk.call()
    path = "/api/search"
    for status, document in (
        (200, {"items": [{"id": "10001"}]}),
        (403, {"items": [{"id": "10001"}, {"id": "10002"}]}),
        (403, {"items": [{"id": "10001"}, {"name": "Bo"}]}),
        (403, {"items": []}),
        (403, {"things": []}),
        (403, []),
    ):
        door.crm.says(path, lambda document=document: said(document))  # type: ignore[misc]
        answer = await door.ask(f"{path}?q=anything")
        assert answer.status == status, document
        assert status == 200 or answer.reason == "other_customer"
    door.crm.says(path, lambda: web.Response(status=404))
    assert (await door.ask(path)).reason == "other_customer"
    assert (await door.ask(path, "HEAD")).status == 405
    door.desk.joined(ANNA)
    await refused(door, path, "no_call")
    door.desk.talks.down = True
    await refused(door, path, "unknown_bridges")


async def test_an_answer_about_the_callers_may_be_empty_where_the_request_names_the_caller(door: Door) -> None:
    await door.desk.call()
    door.crm.says("/api/list/10001", lambda: said([]))
    assert (await door.ask("/api/list/10001")).json == []
    door.crm.says("/api/list/10001", lambda: said([{"id": 10001}, {"id": "10002"}]))
    assert (await door.ask("/api/list/10001")).reason == "other_customer"


async def test_by_reference(door: Door) -> None:
    ref = await door.desk.call()
    assert (await door.ask(f"/by-ref/{ref}")).status == 200
    await refused(door, "/by-ref/aaaaaaaaaaaa", "other_customer")
    await refused(door, f"/by-ref/{ref.upper()}", "other_customer")


# ---------------------------------------------------------------- paths


async def test_a_path_that_could_be_read_in_two_ways_is_refused(door: Door) -> None:
    await door.desk.call()
    for path in (
        "/api/customers/10001/../10002", "/api/customers/./10002", "/api//customers/10002", "//api/customers/10002",
        "/api/customers;x/10002", "/api/customers/10002;x=1", "/api\\customers\\10002", "/assets/..%2fapi/customers/10002",
        "/assets/%2e%2e/api/customers/10002", "/assets/..;/api/customers/10002", "/assets/%252e%252e/x", "/assets/%5c..%5capi",
        "/api/%63ustomers/10002", "/api/customers%2f10002", "/api/customers/10002%00", "/api/customers/10002%3f",
        "/api/customers/10002%23", "/api/customers./10002", "/api/customers%20/10002", "/assets/x%0a", "/assets/%c0%ae",
        "/assets/%ef%bc%8e%ef%bc%8e", "/assets/%e2%84%aa", "/assets/a::$DATA", "/assets/CUSTOM~1", "/assets/%zz", "/assets/x?a=%",
    ):  # fmt: skip
        await refused(door, path, "ambiguous", status=400)
    for path in (b"/assets/x?a=b#c", "/assets/ä".encode(), b"/assets/x?a=\"b\" c", b"http://crm.example.com/api/customers/10001", b"*", b"/assets/a|b"):  # fmt: skip
        said_ = await door.raw(b"GET " + path + b" HTTP/1.1\r\nHost: crm.example.com\r\nCookie: %s=%s\r\n\r\n" % (fields.COOKIE.encode(), door.cookie.encode()))  # fmt: skip
        assert b" 400 " in said_.partition(b"\r\n")[0], path
    assert door.crm.asked == []


async def test_what_a_careless_server_takes_for_the_same_is_protected_too(door: Door) -> None:
    await door.desk.call()
    for path in ("/API/Customers/10002", "/api/customers/10002/", "/Api/CUSTOMERS/10002/"):
        await refused(door, path, "other_customer")
    assert (await door.ask("/API/customers/10001/")).json == LEFT
    assert door.crm.last.raw_path == "/API/customers/10001/"


async def test_what_is_in_no_pattern_is_shut(door: Door) -> None:
    await door.desk.call()
    for path in ("/api", "/api/customers", "/nothing", "/api/customers/10001/orders", "/ASSETS/x", "/api/orders/1"):
        await refused(door, path, "unlisted", status=403)
    for method, path in (("DELETE", CUSTOMER), ("POST", CUSTOMER), ("OPTIONS", CUSTOMER), ("PROPFIND", CUSTOMER), ("TRACE", "/"), ("PUT", "/customers/10001/page")):  # fmt: skip
        await refused(door, path, "method_not_allowed", method, status=405)
    await refused(door, "/login", "unlisted")


async def test_what_is_free_goes_through_for_who_is_signed_in(door: Door) -> None:
    for method, path in (("GET", "/"), ("GET", "/assets/a/b.css?v=1"), ("HEAD", "/assets/x"), ("POST", "/login"), ("GET", "/api/customers/new")):  # fmt: skip
        answer = await door.ask(path, method, **({"data": b"user=x"} if method == "POST" else {}))
        assert answer.status == 200, (path, answer.body)
        assert door.crm.last.raw_path == path
    assert door.crm.bodies[-2] == b"user=x"
    await refused(door, "/api/customers/NEW", "no_call")
    assert not [row for row in await door.desk.rows() if row[1].startswith("proxy.") and row[2] == "granted"]


async def test_what_is_free_frees_no_customer_who_stands_beside_the_path(tmp_path: Path, server: Server) -> None:
    """A CRM may show everything at one address, and say in the query, in a body or in the answer of whom."""
    patterns = {
        "start": {"path": "/", "query": ["customer"]},
        "index": {"path": "/index.php", "query": ["record"], "parameters": ["*"]},
        "search": {"path": "/search", "answer": ["/items/*/id"], "parameters": ["q"]},
        "merge": {"path": "/merge", "methods": ["POST"], "body": ["/id"]},
    }
    free = ("/", "/index.php", "/search", "POST /merge", "POST /index.php")
    async with proxied(settings_in(tmp_path), server, patterns=patterns, free=free) as door:
        await door.enter()
        for path in ("/?customer=10001", "/index.php?module=Contacts&record=10001", "/search?q=a"):
            await refused(door, path, "no_call")
            assert (await door.ask(path, "HEAD")).status in (403, 405)
        await refused(door, "/merge", "no_call", "POST", json={"id": "10001"})
        await refused(door, "/index.php", "no_number")
        # what is sent there is in no pattern, and somebody has said that it is free
        assert (await door.ask("/index.php", "POST", data=b"user=x")).status == 200
        assert len(door.crm.asked) == 1


async def test_passing_all_others_protects_what_is_listed_and_what_lies_below(tmp_path: Path, server: Server) -> None:
    async with proxied(settings_in(tmp_path), server, others="pass") as door:
        await door.enter()
        assert (await door.ask("/anything/at/all")).status == 200
        assert (await door.ask("/anything", "OPTIONS")).status == 200
        await refused(door, CUSTOMER, "no_call")
        await refused(door, f"{CUSTOMER}/orders", "unlisted")
        await refused(door, CUSTOMER, "method_not_allowed", "DELETE")


async def test_several_patterns_hold_together(tmp_path: Path, server: Server) -> None:
    patterns = {
        "one": {"path": "/c/{number}", "level": 1, "parameters": ["also"], "fields": {"/phones": 2}},
        "other": {"path": "/c/*", "query": ["also"], "level": 2, "fields": {"/name": 3}},
    }
    async with proxied(settings_in(tmp_path), server, patterns=patterns) as door:
        await door.enter()
        ref = await door.desk.call(level=1)
        await refused(door, "/c/10001?also=10001", "level")
        await door.desk.marked(ref, level=2)
        assert (await door.ask("/c/10001?also=10001")).json == {name: XENIA[name] for name in ("id", "phones", "cards")}
        await refused(door, "/c/10001?also=10002", "other_customer")
        await refused(door, "/c/10001", "no_number")
        assert (await door.desk.last())[5]["pattern"] == "one+other"


@pytest.mark.parametrize(("forms", "status"), [(True, 200), (False, 415)])
async def test_a_form_goes_on_where_all_patterns_let_it(
    tmp_path: Path, server: Server, *, forms: bool, status: int
) -> None:
    patterns = {
        "one": {"path": "/f/{number}", "methods": ["POST"], "forms": True},
        "other": {"path": "/*/{number}", "methods": ["POST"], "forms": forms},
    }
    async with proxied(settings_in(tmp_path), server, patterns=patterns) as door:
        await door.enter()
        await door.desk.call()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await door.ask("/f/10001", "POST", data=b"a=1", headers=form)).status == status


# ---------------------------------------------------------------- how it is asked


async def test_what_would_be_framed_or_asked_in_two_ways_is_refused(door: Door) -> None:
    await door.desk.call()
    cookie = f"Cookie: {fields.COOKIE}={door.cookie}\r\nOrigin: {PUBLIC}\r\n".encode()
    for head in (
        b"PUT /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"PUT /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nTransfer-Encoding: xchunked\r\n",
        b"PUT /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nTransfer-Encoding: chunked, identity\r\n",
        b"PUT /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nContent-Length: 4\r\nContent-Length: 5\r\n",
        b"PUT /api/customers/10001 HTTP/1.0\r\nHost: crm.example.com\r\nTransfer-Encoding: chunked\r\n",
        b"GET /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nContent-Length: 4\r\n",
        b"GET /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nTransfer-Encoding: chunked\r\n",
        b"GET /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nHost: other.example.com\r\n",
        b"GET /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nX-HTTP-Method-Override: DELETE\r\n",
        b"GET /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nX_HTTP_Method-Override: DELETE\r\n",
        b"GET /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        b"GET /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n",
        b"GET /api/customers/10001 HTTP/2.0\r\nHost: crm.example.com\r\n",
        b"GET /api/customers/10001\r\n",
        b"GET /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nCo okie: x\r\n",
        b"GET /api/customers/10001 HTTP/1.1\r\nHost: crm.example.com\r\nX: y\r\n folded\r\n",
    ):
        told = await door.raw(head + cookie + b"\r\n0\r\n\r\n")
        assert b" 400 " in told.partition(b"\r\n")[0], (head, told)
    told = await door.raw(b"GET /api/customers/10001 HTTP/1.1\r\nHost: evil.example.com\r\n" + cookie + b"\r\n")
    assert b" 421 " in told.partition(b"\r\n")[0]
    assert door.crm.asked == []


async def test_the_crm_is_told_for_whom_by_us_alone(door: Door) -> None:
    ref = await door.desk.call()
    false = {
        "X-Tillit-Mark": "forged", "x_tillit_mark": "forged", "X-Tillit_Mark": "forged", "X-Tillit-Other": "forged", "X-Forwarded-For": "1.2.3.4",
        "Forwarded": "for=1.2.3.4", "X-Original-URL": "/api/customers/10002", "X-Rewrite-URL": "/api/customers/10002", "X_Forwarded_Host": "evil",
        "X-Forwarded-Prefix": "/x", "Range": "bytes=0-9", "If-None-Match": '"x"', "Connection": "X-Tillit-Mark, X-Secret", "X-Secret": "hop",
        "TE": "trailers", "X-Real-IP": "1.2.3.4", "X-Remote-User": "root", "Authorization": "Basic own", "User-Agent": "agent",
    }  # fmt: skip
    cookies = f"a=1; {fields.COOKIE}={door.cookie}; __Host-desk=secret; b=2"
    answer = await door.ask(CUSTOMER, headers={**false, "Cookie": cookies, "Accept-Encoding": "gzip"})
    assert answer.status == 200
    sent = door.crm.last.headers
    assert {name.lower() for name in sent} == {
        "host", "authorization", "user-agent", "cookie", "accept-encoding", "accept", "x-tillit-mark", "x-forwarded-for", "x-forwarded-proto",
        "x-forwarded-host",
    }  # fmt: skip
    assert sent.getall("X-Tillit-Mark") == [sent["X-Tillit-Mark"]]
    assert (sent["Cookie"], sent["Accept-Encoding"]) == ("a=1; b=2", "identity")
    assert (sent["X-Forwarded-For"], sent["X-Forwarded-Proto"], sent["X-Forwarded-Host"]) == (
        "127.0.0.1",
        "https",
        NAME,
    )
    assert sent["Host"] == door.crm.origin.partition("://")[2]
    claims = door.signer.read(sent["X-Tillit-Mark"], fields.KIND)
    assert claims is not None
    assert {name: claims[name] for name in ("sub", "level", "call", "node", "channel", "agent", "login", "tenant", "aud", "iss")} == {
        "sub": ref, "level": 2, "call": door.desk.vault.index.call(NODE, "c.1"), "node": NODE, "channel": "c.1", "agent": "p-anna", "login": "anna", "tenant": "acme", "aud": door.crm.origin,
        "iss": DESK,
    }  # fmt: skip
    assert claims["exp"] - claims["iat"] <= 60
    await door.ask("/assets/x", headers={"X-Tillit-Mark": "forged", "Accept-Encoding": "gzip"})
    free = door.signer.read(door.crm.last.headers["X-Tillit-Mark"], fields.KIND)
    assert free is not None
    assert (free["login"], "sub" in free, "level" in free) == ("anna", False, False)
    assert door.crm.last.headers["Accept-Encoding"] == "gzip"


async def test_no_header_says_another_address_method_or_person(door: Door) -> None:
    await door.desk.call()
    for name in (
        "X-Request-URI", "Request-URI", "X-HTTP-DestinationURL", "Destination", "X-Proxy-URL", "Base-Url", "Http-Url", "Url", "Uri", "Proxy-Host", "Proxy",
        "X-Url-Scheme", "X-Scheme", "Front-End-Https", "CF-Connecting-IP", "Fastly-Client-IP", "X-Azure-ClientIP", "X-SSL-Client-DN", "SSL-Client-Cert",
        "X-Client-Cert", "X-User", "X-WebAuth-User", "X-Authenticated-User", "X-Middleware-Subrequest", "A-IM",
    ):  # fmt: skip
        assert (await door.ask(CUSTOMER, headers={name: "x"})).status == 200, name
        assert name not in door.crm.last.headers
    for name in ("X-Method", "X-Tunnel-Method", "X-HTTP-Method"):
        await refused(door, CUSTOMER, "ambiguous", headers={name: "DELETE"})


async def test_a_compressed_body_goes_on_as_it_came(door: Door) -> None:
    sent = gzip.compress(b"user=" + b"x" * 5000)
    kinds = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    assert (await door.ask("/login", "POST", data=sent, headers=kinds)).status == 200
    assert door.crm.last.headers["Content-Encoding"] == "gzip"
    assert door.crm.last.headers["Content-Length"] == str(len(sent))
    # this CRM unpacks it
    assert door.crm.bodies[-1] == b"user=" + b"x" * 5000


async def test_what_json_of_a_post_says_of_the_method_is_refused(door: Door) -> None:
    await door.desk.call()
    json = {"Content-Type": "application/json"}
    for body in (b'{"_method": "DELETE"}', b'{"X-HTTP-Method-Override": "DELETE"}', b'{"_Method": "DELETE"}'):
        await refused(door, "/forms/10001", "ambiguous", "POST", data=body, headers=json)
    await refused(door, "/forms/10001", "ambiguous", "POST", data=b'{"a": 1, "A": 2}', headers=json)
    await refused(door, "/forms/10001", "bad_request", "POST", data=b'{"a": 1} {}', headers=json)
    assert (await door.ask("/forms/10001", "POST", data=b'{"method": "x"}', headers=json)).status == 200


async def test_an_address_of_the_crm_with_a_name_in_it_is_the_proxys_too(door: Door) -> None:
    place = door.crm.origin.replace("http://", "http://user:secret@")
    door.crm.says("/assets/x", lambda: web.Response(status=302, headers={"Location": f"{place}/next"}))
    assert (await door.ask("/assets/x")).headers["Location"] == f"{PUBLIC}/next"


async def test_another_sites_page_does_nothing_here(door: Door) -> None:
    await door.desk.call()
    for headers in (
        {"Origin": "https://evil.example.com"},
        {"Origin": "https://crm.example.com.evil.com", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        await refused(door, CUSTOMER, "cross_site", "PUT", json={}, headers={"Origin": "", **headers}, status=403)
    await refused(door, CUSTOMER, "cross_site", headers={"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"})
    for site, mode in (("none", "navigate"), ("cross-site", "navigate"), ("same-origin", "cors")):
        assert (await door.ask(CUSTOMER, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode})).status == 200


async def test_one_person_asks_so_much_and_no_more(tmp_path: Path, server: Server) -> None:
    async with proxied(settings_in(tmp_path), server, per_minute=10) as door:
        await door.enter()
        found = [(await door.ask("/assets/x")).status for _ in range(7)]
        assert found[0] == 200
        assert found[-1] == 429
        assert door.desk.log.of("proxy.paced")


# ---------------------------------------------------------------- what comes back


async def test_what_cannot_be_looked_through_is_not_given(door: Door) -> None:
    await door.desk.call()
    json = {"Content-Type": "application/json"}
    for answer in (
        lambda: web.Response(text="Xenia", content_type="text/html"),
        lambda: web.Response(body=b"\x1f\x8bXenia", headers={**json, "Content-Encoding": "gzip"}),
        # what it says of itself counts: a browser goes by it too
        lambda: web.Response(body=b'{"name": "Xenia"}', headers={**json, "Content-Encoding": "br"}),
        lambda: web.Response(body=b'{"name": "Xenia"} {}', headers=json),
        lambda: web.Response(body=b'{"name": "Xenia"', headers=json),
        lambda: web.Response(body=b"\xff\xfe", headers=json),
        lambda: web.Response(
            body=b'{"name": "Xenia"}\n{"name": "Bo"}', headers={"Content-Type": "application/x-ndjson"}
        ),
        lambda: web.Response(status=206, body=b'{"name": "Xenia"}', headers={**json, "Content-Range": "bytes 0-1/2"}),
        lambda: web.Response(body=b'{"name": "' + b"x" * 2_000_000 + b'"}', headers=json),
    ):
        door.crm.says(CUSTOMER, answer)
        told = await door.ask(CUSTOMER)
        assert (told.status, told.reason) == (502, "upstream_unreadable")
    door.crm.says(CUSTOMER, lambda: web.Response(text="Xenia is not here", status=404))
    told = await door.ask(CUSTOMER)
    assert (told.status, told.body) == (404, b"")
    door.crm.says(CUSTOMER, lambda: web.json_response({"phones": "x", "fault": "locked"}, status=409))
    assert (await door.ask(CUSTOMER)).json == {"fault": "locked"}
    door.crm.says(CUSTOMER, lambda: web.Response(status=204))
    assert (await door.ask(CUSTOMER)).status == 204
    door.crm.says(CUSTOMER, lambda: web.Response(body=b'{"phones": 1, "phones": 2, "a": 1}', headers=json))
    assert (await door.ask(CUSTOMER)).json == {"a": 1}


async def test_of_an_answer_goes_back_what_belongs_to_it(door: Door) -> None:
    await door.desk.call()
    more = {
        "ETag": '"of the whole"', "Last-Modified": "x", "Cache-Control": "public", "Alt-Svc": 'h2=":9"', "Keep-Alive": "timeout=5", "X-Own": "kept",
        "Connection": "X-Hop", "X-Hop": "x", "X-Accel-Redirect": "/x", "X-Tillit-Mark": "echo", "Digest": "x", "Strict-Transport-Security": "max-age=0",
        "Location": f"{door.crm.origin}/next?a=1", "Server": "crm/1.0",
    }  # fmt: skip
    page = "/customers/10001/page"
    door.crm.says(page, lambda: said(XENIA, **more))
    answer = await door.ask(page)
    assert {name.lower() for name in answer.headers} == {
        "content-type", "content-length", "date", "x-own", "cache-control", "x-content-type-options", "x-frame-options", "referrer-policy",
        "server", "location", "strict-transport-security", "etag", "digest",
    }  # fmt: skip
    assert answer.headers["Location"] == f"{PUBLIC}/next?a=1"
    assert (answer.headers["Server"], answer.headers["X-Own"]) == ("proxy", "kept")

    def cookies() -> web.Response:
        made = web.Response()
        for cookie in (
            "sid=1; Domain=crm.internal; Path=/; HttpOnly",
            "__Host-proxy=evil; Path=/; Secure",
            "=__Host-proxy=evil",
            "a=2",
        ):
            made.headers.add("Set-Cookie", cookie)
        return made

    door.crm.says("/assets/x", cookies)
    given = (await door.ask("/assets/x")).headers.getall("Set-Cookie")
    assert given == ["sid=1; Path=/; HttpOnly", "a=2"]


async def test_of_an_answer_with_something_to_be_taken_out_no_header_tells_it(tmp_path: Path, server: Server) -> None:
    """A CRM may write what it knows of a customer into a header as well."""
    patterns = {
        "customer": {**PATTERNS["customer"], "headers": ["X-Total-Count", "x-page"]},
        "all": {"path": "/api/*/{number}", "fields": {"/phones": 3}, "headers": ["X-Page"]},
        "search": PATTERNS["search"],
    }
    async with proxied(settings_in(tmp_path), server, patterns=patterns) as door:
        await door.enter()
        await door.desk.call()
        telling = {
            "X-Phones": "+46701234567", "Link": "<tel:+46701234567>", "Content-Disposition": "attachment; filename=+46701234567", "Refresh": "0;tel:+46701234567",
            "Content-Location": "/+46701234567", "X-Total-Count": "+46701234567", "Warning": "+46701234567", "ETag": "+46701234567", "Location": "/+46701234567",
        }  # fmt: skip
        usual = {"content-type", "content-length", "date", "cache-control", "x-content-type-options", "x-frame-options", "referrer-policy", "server", "strict-transport-security"}  # fmt: skip
        more = {"X-Page": "1", "Retry-After": "9", "Content-Language": "sv", "Set-Cookie": "sid=1", **telling}
        door.crm.says(CUSTOMER, lambda: said(XENIA, **more))
        for method in ("GET", "HEAD", "PUT"):
            answer = await door.ask(CUSTOMER, method)
            assert answer.status == 200
            # of the second pattern none but this one, and it counts wherever it fits
            own = {"x-page"} if method != "PUT" else {"x-page", "x-total-count"}
            got = {name.lower() for name in answer.headers} - {"content-length"}
            assert got == usual - {"content-length"} | own | {"retry-after", "content-language", "set-cookie"}, method
        door.crm.says("/api/search", lambda: said({"items": [{"id": "10001"}]}, **more))
        answer = await door.ask("/api/search?q=a")
        assert {name.lower() for name in answer.headers} == usual | {"retry-after", "content-language", "set-cookie"}
        # who must sign in at the CRM is sent there
        door.crm.says(CUSTOMER, lambda: web.Response(status=302, headers={"Location": f"{door.crm.origin}/login"}))
        assert (await door.ask(CUSTOMER)).headers["Location"] == f"{PUBLIC}/login"


async def test_long_answers_and_bodies_are_passed_on_as_they_come(door: Door) -> None:
    await door.desk.call()
    whole = bytes(range(256)) * 4096
    door.crm.says("/customers/10001/file", lambda: web.Response(body=whole, content_type="application/pdf"))
    assert (await door.ask("/customers/10001/file")).body == whole
    assert (await door.ask("/customers/10001/file", "HEAD")).headers["Content-Length"] == str(len(whole))

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield whole

    assert (await door.ask("/login", "POST", data=parts())).status == 200
    assert door.crm.bodies[-1] == whole * 4
    assert (await door.ask("/login", "POST", data=whole)).status == 200
    assert door.crm.last.headers["Content-Length"] == str(len(whole))
    await refused(door, "/login", "too_large", "POST", data=io.BytesIO(whole * 11), status=413)
    head = await door.ask(CUSTOMER, "HEAD")
    assert (head.status, head.body, "Content-Length" in head.headers) == (200, b"", False)


async def test_a_crm_that_is_slow_away_or_speaks_something_else(tmp_path: Path, server: Server) -> None:
    async with proxied(settings_in(tmp_path), server, answer_seconds=1) as door:
        await door.enter()
        await door.desk.call()

        over = asyncio.Event()

        async def slow(_: web.BaseRequest) -> web.StreamResponse:
            await over.wait()
            return web.Response()

        async def cut(request: web.BaseRequest) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
            request.transport.close()
            return web.Response()

        async def switch(request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(status=101, headers={"Upgrade": "x", "Connection": "Upgrade"})

        door.crm.answers[CUSTOMER] = slow
        answer = await door.ask(CUSTOMER)
        assert (answer.status, answer.reason) == (504, "upstream_slow")
        over.set()
        door.crm.answers[CUSTOMER] = cut
        answer = await door.ask(CUSTOMER)
        assert (answer.status, answer.reason) == (502, "upstream_away")
        door.crm.answers["/assets/x"] = switch
        assert (await door.ask("/assets/x")).reason in ("upgrade", "upstream_away")
    async with proxied(settings_in(tmp_path), server, upstream="http://127.0.0.1:9", upstream_host="public") as door:
        await door.enter()
        assert (await door.ask("/assets/x")).reason == "upstream_away"
        ready = await door.ask("/.tillit/readyz")
        assert (ready.status, ready.json["parts"]) == (503, {"redis": True, "upstream": False})
        assert (await door.ask("/.tillit/healthz")).status == 200


# ---------------------------------------------------------------- who comes


async def test_a_browser_without_a_session_is_sent_to_the_desk_and_comes_back(door: Door) -> None:
    session, door.cookie = await door.session(), ""
    await refused(door, "/customers/10001/page", "not_signed_in", status=401)
    answer = await door.ask("/customers/10001/page?tab=2", headers={"Accept": "text/html"})
    assert answer.status == 303
    place, _, begun = answer.headers["Location"].partition("?begun=")
    assert place == f"{DESK}/crossing"
    (set_cookie,) = answer.headers.getall("Set-Cookie")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in set_cookie.split(";")}
    begin = set_cookie.partition(";")[0]
    code = await door.handovers.keep(session, NAME, begun)
    assert code is not None
    enter = f"/.tillit/enter?code={code.reveal()}"
    # another browser, to which somebody has sent the address
    assert (await door.ask(enter, headers={"Cookie": "other=1"})).status == 401
    # it is used up by that
    assert (await door.ask(enter, headers={"Cookie": begin})).status == 401

    code = await door.handovers.keep(session, NAME, begun)
    assert code is not None
    enter = f"/.tillit/enter?code={code.reveal()}"
    back = await door.ask(enter, headers={"Cookie": begin})
    assert (back.status, back.headers["Location"]) == (303, f"{PUBLIC}/customers/10001/page?tab=2")
    cookie = next(one for one in back.headers.getall("Set-Cookie") if one.startswith(fields.COOKIE + "="))
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    door.cookie = cookie.partition(";")[0].partition("=")[2]
    assert (await door.ask("/assets/x")).status == 200
    assert (await door.ask(enter, headers={"Cookie": begin})).status == 401
    assert door.desk.log.lines
    told = str(door.desk.log.lines)
    assert all(secret not in told for secret in (code.reveal(), door.cookie, "10001"))


async def test_the_session_is_the_desks_and_ends_with_it_at_once(door: Door) -> None:
    session = await door.enter()
    assert (await door.ask("/assets/x")).status == 200
    # what the proxy has given is nothing at the desk
    assert await door.sessions.of(Secret(door.cookie)) is None
    assert isinstance(door.sessions, Sessions)
    await door.sessions.end(session)
    await refused(door, "/assets/x", "not_signed_in")
    assert await door.handovers.keep(session, NAME, "a" * 64) is None
    assert await door.handovers.keep(Secret("nonsense"), NAME, "a" * 64) is None


async def test_a_code_is_for_one_host_for_a_moment(door: Door, server: Server) -> None:
    session, begun = await door.session(), hashlib.sha256(b"bits").hexdigest()
    code = await door.handovers.keep(session, "other.example.com", begun)
    assert code is not None
    assert await door.handovers.take(code, NAME, Secret("bits")) is Untaken.OVER
    code = await door.handovers.keep(session, NAME, begun)
    assert code is not None
    server.pass_time(31)
    assert await door.handovers.take(code, NAME, Secret("bits")) is Untaken.OVER
    late = await door.handovers.keep(session, NAME, begun)
    assert late is not None
    await door.sessions.end(session)
    assert await door.handovers.take(late, NAME, Secret("bits")) is Untaken.OVER
    assert await door.handovers.take(Secret("x"), NAME, Secret("bits")) is Untaken.OVER
    for token in ("", "x", door.cookie[:-1] + ("0" if door.cookie[-1] != "0" else "1")):
        assert await door.handovers.of(Secret(token), per_minute=600, used=True) is None


async def test_two_cookies_of_ours_are_none(door: Door) -> None:
    await refused(
        door, "/assets/x", "not_signed_in", headers={"Cookie": f"{fields.COOKIE}={door.cookie}; {fields.COOKIE}=evil"}
    )
    for path in ("/.tillit/enter", "/.tillit/other", "/.tillit/enter?code=%41"):
        await refused(door, path, "not_found", status=404)


async def test_a_person_reads_a_page_and_a_program_problem_details(door: Door) -> None:
    answer = await door.ask(
        CUSTOMER, headers={"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Accept-Language": "sv"}
    )
    assert (answer.status, answer.headers.getone("Content-Type")) == (403, "text/html; charset=utf-8")
    assert "Ingen av dina telefoner" in answer.body.decode() or "<p>" in answer.body.decode()
    answer = await door.ask(CUSTOMER)
    assert answer.json["type"] == f"{DESK}/problems#no_call"
    assert answer.headers["Strict-Transport-Security"]


async def test_a_fault_of_ours_is_answered_and_written_down(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("hidden 10001")

    monkeypatch.setattr(door.server._passage, "free", broken)
    answer = await door.ask("/assets/x")
    assert (answer.status, answer.reason) == (500, "internal")
    assert door.desk.log.of("proxy.failed") == [
        {"error": "RuntimeError", "pattern": "free", "cure": "please report this line"}
    ]
    assert "hidden" not in str(door.desk.log.lines)


def test_every_reason_of_the_lock_has_its_status() -> None:
    from ivr.web.problems import STATUSES

    assert {reason.value for reason in Reason} - {"no_such_value"} <= set(STATUSES)
