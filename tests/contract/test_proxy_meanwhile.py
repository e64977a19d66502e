"""What goes through the proxy where somebody hangs up, is disabled or signs out while the request, or its answer, is under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import aiohttp
import pytest
from aiohttp import web

from ivr.errors import StoreError
from ivr.lock import Denied, Granted, Reason
from ivr.proxy import bodies
from ivr.secret import Secret
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, BO, NODE, Somebody
from tests.contract.proxy_kit import PATTERNS, XENIA, Door, proxied
from tests.unit.database_kit import settings_in

pytestmark = pytest.mark.servers

CUSTOMER = "/api/customers/10001"
LONG = "/customers/10001/long"
CHANGING = ("PUT", "PATCH", "DELETE", "POST")
CHANGEABLE = {**PATTERNS, "customer": {**PATTERNS["customer"], "methods": ["GET", *CHANGING]}}
FIRST, REST = b'{"phones": ["', b'+46700000666"]}'
WHOLE = len(FIRST + REST)


def deep() -> web.Response:
    return web.Response(body=b"[" * 400 + b"]" * 400, content_type="application/json")


# Longer than what was read of a person or a session is taken for what is so.
LONGER = 0.3

Then = Callable[[Door, Secret], Awaitable[None]]


async def hangs_up(door: Door, _: Secret) -> None:
    door.desk.talks.talks.clear()


async def is_disabled(door: Door, _: Secret) -> None:
    door.desk.staff.change(ANNA, disabled=True)


async def loses_the_calls(door: Door, _: Secret) -> None:
    door.desk.staff.change(ANNA, denied=frozenset(ANNA.permissions))


async def signs_out(door: Door, session: Secret) -> None:
    assert await door.sessions.end(session)


async def wrong_person(door: Door, _: Secret) -> None:
    mark = await door.desk.live.mark(NODE, "c.1")
    assert mark is not None and await door.desk.live.take_away(mark)


@dataclass
class Open:
    """A proxy, and an agent's session with a verified caller."""

    door: Door
    session: Secret
    ref: str


@pytest.fixture
async def open_(tmp_path: Path, server: Server) -> AsyncIterator[Open]:
    async with proxied(settings_in(tmp_path), server, patterns=CHANGEABLE, change_kilobytes=1) as door:
        yield Open(door, await door.enter(), await door.desk.call())


async def outcomes(door: Door) -> list[tuple[str, str]]:
    return [row[1:] for row in await door.desk.rows() if row[1].startswith("proxy.")]


async def longer() -> None:
    """Until what was read before is not taken for what is so any more."""
    begun = monotonic()
    while monotonic() - begun < LONGER:
        await asyncio.sleep(0.02)


# ---------------------------------------------------------------- while a body comes


@pytest.mark.parametrize("method", CHANGING)
@pytest.mark.parametrize("length", [WHOLE, None], ids=["whole", "in chunks"])
async def test_a_change_goes_on_when_all_of_it_has_come(open_: Open, method: str, length: int | None) -> None:
    door = open_.door
    async with door.begun(method, CUSTOMER, FIRST, length) as begun:
        assert await outcomes(door) == []
        assert await begun.ended(REST) == (200, "")
    assert door.crm.bodies == [FIRST + REST]
    assert door.crm.last.headers.getall("Content-Length") == [str(WHOLE)]
    assert "Transfer-Encoding" not in door.crm.last.headers


@pytest.mark.parametrize("method", CHANGING)
@pytest.mark.parametrize(
    ("then", "told"),
    [
        (hangs_up, (403, "no_call")), (wrong_person, (403, "not_verified")), (is_disabled, (401, "not_signed_in")),
        (loses_the_calls, (403, "not_permitted")), (signs_out, (401, "not_signed_in")),
    ],
)  # fmt: skip
async def test_a_change_whose_ground_is_gone_before_its_last_byte_comes_to_nobody(
    open_: Open, method: str, then: Then, told: tuple[int, str]
) -> None:
    door = open_.door
    async with door.begun(method, CUSTOMER, FIRST, WHOLE) as begun:
        await then(door, open_.session)
        assert await begun.ended(REST) == told
    assert door.crm.asked == []
    assert ("proxy.change", "granted") not in await outcomes(door)


@pytest.mark.parametrize("length", [WHOLE, None], ids=["whole", "in chunks"])
async def test_a_body_that_does_not_come_to_its_end_is_given_up(
    open_: Open, length: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "REQUEST_SECONDS", 0.05)
    async with open_.door.begun("PUT", CUSTOMER, FIRST, length) as begun:
        assert await begun.told() == (408, "request_timeout")
    assert open_.door.crm.asked == [] and await outcomes(open_.door) == []


@pytest.mark.parametrize("length", [1025, None], ids=["whole", "in chunks"])
async def test_a_body_about_a_customer_has_its_own_limit(open_: Open, length: int | None) -> None:
    door = open_.door
    async with door.begun("PUT", CUSTOMER, b" " * 1000, length) as begun:
        assert await begun.ended(b" " * 25) == (413, "too_large")
    assert door.crm.asked == []
    # of what is about nobody it is another
    assert (await door.ask("/login", "POST", data=b" " * 2000)).status == 200


async def test_a_client_that_goes_in_the_midst_of_its_body_has_changed_nothing(open_: Open) -> None:
    door = open_.door
    async with door.begun("PUT", CUSTOMER, FIRST, WHOLE):
        pass
    async with asyncio.timeout(5):
        while not door.desk.log.of("proxy.request"):
            await asyncio.sleep(0.01)
    assert door.crm.asked == [] and await outcomes(door) == []
    assert not door.desk.log.of("proxy.failed")


# ---------------------------------------------------------------- while it waits for its turn


@pytest.mark.parametrize("method", CHANGING)
async def test_a_change_that_has_waited_for_a_connection_is_judged_behind_that(
    tmp_path: Path, server: Server, method: str
) -> None:
    """A CRM takes so many requests at once; whoever wants to can see to it that there are."""
    async with proxied(settings_in(tmp_path), server, patterns=CHANGEABLE, upstream_connections=1) as door:
        await door.enter()
        await door.desk.call()
        over = asyncio.Event()

        async def slow(_: web.BaseRequest) -> web.StreamResponse:
            await over.wait()
            return web.Response()

        door.crm.answers["/assets/slow"] = slow
        # somebody else: one person waits for the own first
        await door.enter(BO)
        first = asyncio.create_task(door.ask("/assets/slow"))
        async with asyncio.timeout(10):
            while not door.crm.asked:
                await asyncio.sleep(0.01)
            await door.enter()
            # without a body, too
            change = asyncio.create_task(door.ask(CUSTOMER, method))
            while ("proxy.change", "granted") not in await outcomes(door):
                await asyncio.sleep(0.01)
        door.desk.talks.talks.clear()
        over.set()
        assert (await first).status == 200
        assert (await change).reason == "no_call"
        assert len(door.crm.asked) == 1
        assert await outcomes(door) == [("proxy.change", "granted"), ("proxy.change", "withheld")]
        # the place is free again
        door.desk.joined(ANNA, "c.1")
        assert (await door.ask(CUSTOMER, method)).status == 200


async def test_a_change_is_made_at_the_level_that_the_crm_is_told(open_: Open) -> None:
    door = open_.door
    await door.desk.marked(open_.ref, level=3)
    asked = door.desk.talks.asked

    async def lower(count: int) -> None:
        # before and after the marks: it is weighed
        if count == asked + 3:
            await door.desk.marked(open_.ref, level=2)

    door.desk.talks.meanwhile = lower
    answer = await door.ask(CUSTOMER, "PUT", json={})
    assert (answer.status, answer.reason, answer.json["needs"]) == (403, "level", 3)
    assert door.crm.asked == []
    assert (await outcomes(door))[-1] == ("proxy.change", "withheld")


@pytest.mark.parametrize("method", CHANGING)
async def test_a_change_is_sent_once_whatever_becomes_of_the_connection(open_: Open, method: str) -> None:
    door = open_.door
    # on a connection that lay idle the library tries again
    assert (await door.ask(CUSTOMER)).status == 200

    async def cut(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    door.crm.answers[CUSTOMER] = cut
    answer = await door.ask(CUSTOMER, method, json={})
    assert (answer.status, answer.reason) == (502, "unanswered")
    assert [one.method for one in door.crm.asked] == ["GET", method]
    assert await outcomes(door) == [("proxy.read", "granted"), ("proxy.change", "granted"), ("proxy.change", "unshown")]


@pytest.mark.parametrize("method", CHANGING)
async def test_a_change_that_is_about_no_customer_is_sent_once_as_well(
    tmp_path: Path, server: Server, method: str
) -> None:
    async with proxied(settings_in(tmp_path), server, free=["/assets/**", f"{method} /basket"]) as door:
        await door.enter()
        assert (await door.ask("/assets/x")).status == 200

        async def cut(request: web.BaseRequest) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        door.crm.answers["/basket"] = cut
        answer = await door.ask("/basket", method)
        assert (answer.status, answer.reason) == (502, "unanswered")
        assert [one.method for one in door.crm.asked] == ["GET", method]


# ---------------------------------------------------------------- while the CRM works


@pytest.mark.parametrize("path", [CUSTOMER, "/customers/10001/page"])
@pytest.mark.parametrize(
    ("then", "told"),
    [
        (is_disabled, (403, "not_permitted")), (loses_the_calls, (403, "not_permitted")), (signs_out, (401, "not_signed_in")),
    ],
)  # fmt: skip
async def test_what_a_slow_crm_answers_is_kept_from_whom_it_is_not_for_any_more(
    open_: Open, path: str, then: Then, told: tuple[int, str]
) -> None:
    door = open_.door

    async def meanwhile() -> None:
        await then(door, open_.session)
        await longer()

    door.crm.meanwhile = meanwhile
    answer = await door.ask(path)
    assert (answer.status, answer.reason) == told
    assert b"Xenia" not in answer.body
    *_, last = await door.desk.rows()
    assert last == ("desk:anna", "proxy.read", "withheld")
    assert (await door.desk.last())[5]["reason"] == told[1]


@pytest.mark.parametrize(("method", "status"), [("PUT", 200), ("DELETE", 404), ("PATCH", 500)])
async def test_of_a_change_that_was_passed_on_trail_and_agent_know_that_it_was(
    open_: Open, method: str, status: int
) -> None:
    door = open_.door
    door.crm.meanwhile = lambda: hangs_up(door, open_.session)
    door.crm.says(CUSTOMER, lambda: web.json_response(XENIA, status=status))
    answer = await door.ask(CUSTOMER, method, json={"name": "New"})
    assert (answer.status, answer.reason) == (403, "unshown")
    assert answer.json["errors"] == [{"field": "no_call", "fault": "is why its answer is not shown"}]
    assert "has answered" in answer.json["detail"] and b"Xenia" not in answer.body
    assert await outcomes(door) == [("proxy.change", "granted"), ("proxy.change", "unshown")]
    actor, _, _, call, subject, detail = await door.desk.last()
    assert (actor, call, subject) == ("desk:anna", "c.1", open_.ref)
    assert (detail["status"], detail["reason"], detail["method"]) == (str(status), "no_call", method)


@pytest.mark.parametrize(
    ("says", "told", "why", "status"),
    [
        (lambda: web.Response(text="<p>done</p>", content_type="text/html"), (403, "unshown"), "upstream_unreadable", "200"),
        (lambda: web.json_response({"id": "10001"}, status=206), (403, "unshown"), "upstream_unreadable", "206"),
        (deep, (403, "unshown"), "upstream_unreadable", "200"),
        (None, (502, "unanswered"), "upstream_away", "none"),
    ],
)  # fmt: skip
async def test_what_goes_wrong_behind_a_change_bids_nobody_to_make_it_again(
    open_: Open, says: Callable[[], web.Response] | None, told: tuple[int, str], why: str, status: str
) -> None:
    door = open_.door
    if says is None:

        async def cut(request: web.BaseRequest) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        door.crm.answers[CUSTOMER] = cut
    else:
        door.crm.says(CUSTOMER, says)
    answer = await door.ask(CUSTOMER, "PUT", json={"name": "New"})
    assert (answer.status, answer.reason) == told
    assert answer.json["errors"] == [{"field": why, "fault": "is why its answer is not shown"}]
    assert "Do not send it again" in answer.json["detail"]
    assert await outcomes(door) == [("proxy.change", "granted"), ("proxy.change", "unshown")]
    assert (await door.desk.last())[5]["status"] == status


async def test_a_crm_that_does_not_answer_a_change_in_time_may_have_made_it(tmp_path: Path, server: Server) -> None:
    async with proxied(settings_in(tmp_path), server, patterns=CHANGEABLE, answer_seconds=1) as door:
        await door.enter()
        await door.desk.call()
        over = asyncio.Event()
        door.crm.meanwhile = over.wait
        answer = await door.ask(CUSTOMER, "PUT", json={"name": "New"})
        over.set()
        assert (answer.status, answer.reason) == (502, "unanswered")
        assert answer.json["errors"][0]["field"] == "upstream_slow"
        assert await outcomes(door) == [("proxy.change", "granted"), ("proxy.change", "unshown")]


async def test_of_a_change_whose_client_has_gone_the_trail_tells_what_the_crm_said(open_: Open) -> None:
    door = open_.door
    over = asyncio.Event()
    door.crm.meanwhile = over.wait
    async with door.begun("PUT", CUSTOMER, FIRST, WHOLE) as begun:
        begun.writer.write(REST)
        async with asyncio.timeout(10):
            while not door.crm.asked:
                await asyncio.sleep(0.005)
    await begun.writer.wait_closed()
    over.set()
    async with asyncio.timeout(10):
        while ("proxy.change", "unshown") not in await outcomes(door):
            await asyncio.sleep(0.01)
    assert (await door.desk.last())[5]["status"] == "200"


async def test_of_a_change_that_is_under_way_when_the_proxy_stops_the_trail_tells(
    tmp_path: Path, server: Server
) -> None:
    async with proxied(settings_in(tmp_path), server, patterns=CHANGEABLE, shutdown_seconds=1) as door:
        await door.enter()
        await door.desk.call()
        over = asyncio.Event()
        door.crm.meanwhile = over.wait
        change = asyncio.create_task(door.ask(CUSTOMER, "PUT", json={"name": "New"}))
        async with asyncio.timeout(10):
            while not door.crm.asked:
                await asyncio.sleep(0.005)
            await door.server.close()
            while ("proxy.change", "unshown") not in await outcomes(door):
                await asyncio.sleep(0.01)
        assert (await door.desk.last())[5]["status"] == "none"
        over.set()
        with pytest.raises(aiohttp.ClientError):
            await change
        assert door.desk.log.of("proxy.failed") == []


async def test_a_change_that_never_came_to_the_crm_may_be_made_again(tmp_path: Path, server: Server) -> None:
    async with proxied(settings_in(tmp_path), server, patterns=CHANGEABLE, upstream="http://127.0.0.1:9") as door:
        await door.enter()
        await door.desk.call()
        answer = await door.ask(CUSTOMER, "PUT", json={"name": "New"})
    assert (answer.status, answer.reason) == (502, "upstream_away")


# ---------------------------------------------------------------- whoever is slow on purpose


async def test_who_sends_by_drops_is_let_go(open_: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "REQUEST_SECONDS", 0.5)
    async with open_.door.begun("POST", "/login", b"x", 1000) as begun:

        async def drip() -> None:
            while True:
                begun.writer.write(b"x")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert await begun.told() == (408, "request_timeout")
        dripping.cancel()


async def test_what_comes_slowly_and_comes_goes_on(open_: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has as much longer as there is more of it."""
    monkeypatch.setattr(bodies, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(bodies, "_SLOWEST", 1)
    async with open_.door.begun("POST", "/login", FIRST, WHOLE) as begun:
        await longer()
        assert await begun.ended(REST) == (200, "")


# ---------------------------------------------------------------- while a long answer is given


@pytest.mark.parametrize(
    ("path", "then"),
    [(LONG, hangs_up), (LONG, wrong_person), (LONG, is_disabled), (LONG, signs_out), ("/assets/long", signs_out)],
)
async def test_a_long_answer_is_cut_off(open_: Open, path: str, then: Then) -> None:
    door = open_.door
    gone = asyncio.Event()

    async def long(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"beginning")
        await gone.wait()
        while request.transport is not None:
            await asyncio.sleep(0.02)
            await answer.write(b"secret")
        return answer

    door.crm.answers[path] = long
    async with door.opened(path) as answer:
        assert await answer.content.readexactly(9) == b"beginning"
        await then(door, open_.session)
        gone.set()
        with pytest.raises((aiohttp.ClientPayloadError, ConnectionError)):
            async with asyncio.timeout(10):
                await answer.read()
    if path == LONG:
        assert (await outcomes(door))[-1] == ("proxy.read", "withheld")


# ---------------------------------------------------------------- who asks


async def test_what_was_read_of_a_person_a_while_ago_is_read_again(open_: Open) -> None:
    desk = open_.door.desk
    desk.staff.change(ANNA, disabled=True)
    # as of a moment ago
    young = desk.lock.matter(Somebody(ANNA, monotonic()), "proxy.read")
    assert isinstance(await young.weigh(open_.ref, 2), Granted)
    old = desk.lock.matter(Somebody(ANNA, monotonic() - LONGER), "proxy.read")
    assert await old.weigh(open_.ref, 2) == Denied(Reason.NOT_PERMITTED)


@pytest.mark.parametrize(
    ("alive", "reason"), [(False, Reason.NOT_SIGNED_IN), (StoreError("Redis is away"), Reason.UNAVAILABLE)]
)
async def test_a_session_of_which_it_is_not_known_that_it_lives_is_given_nothing(
    open_: Open, alive: bool | StoreError, reason: Reason
) -> None:
    lock = open_.door.desk.lock
    somebody = Somebody(ANNA, monotonic() - LONGER)
    matter = lock.matter(somebody, "proxy.read")
    assert isinstance(await matter.weigh(open_.ref, 2), Granted)
    assert isinstance(await matter.note(), Granted)
    assert isinstance(await matter.still(), Granted)
    # a moment later it is known yet
    assert isinstance(await matter.still(), Granted)
    assert somebody.asked == 1
    await longer()
    somebody.alive = alive
    assert await matter.still() == Denied(reason)
    assert (await outcomes(open_.door))[-1] == ("proxy.read", "withheld")


async def test_to_look_whether_a_session_lives_keeps_none_alive(open_: Open, server: Server) -> None:
    door = open_.door
    token = Secret(door.cookie)
    minutes = door.settings.desk.idle_minutes
    assert await door.handovers.lives(token)
    server.pass_time(minutes * 60 - 30)
    for _ in range(3):
        assert await door.handovers.lives(token)
    server.pass_time(60)
    assert not await door.handovers.lives(token)
    for strange in ("", "x", f"{token.reveal()[:-1]}{'0' if token.reveal()[-1] != '0' else '1'}"):
        assert not await door.handovers.lives(Secret(strange))
