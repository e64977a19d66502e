"""The desk's websocket, and clients that are slow on purpose, on a real port and a real Redis."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp.test_utils import make_mocked_request

from ivr.errors import ConfigError, StoreError
from ivr.lock import Current, State
from ivr.secret import Secret
from ivr.store.sessions import Session
from ivr.web import connections, live
from ivr.web.certificate import tls_of
from ivr.web.live import FULL, OVER, OWN, Hub
from ivr.web.visit import SESSION
from tests.contract.element_kit import followed, token
from tests.contract.live_server import Server
from tests.contract.web_kit import ANNA, CALL, PASSWORD, SUPERVISOR, VERIFIED, Desk, crm, desk

pytestmark = pytest.mark.servers


@pytest.fixture
async def open_desk(server: Server) -> AsyncIterator[Desk]:
    async with desk(server) as made:
        yield made


async def page(made: Desk, **headers: str) -> aiohttp.ClientWebSocketResponse:
    return await made.browser.ws_connect(made.url("/live"), headers={"Origin": made.origin, **headers})


# ---------------------------------------------------------------- the open page


async def test_a_page_is_told_of_its_own_calls_as_they_change(open_desk: Desk) -> None:
    await open_desk.sign_in()
    async with await page(open_desk, **{"Accept-Language": "sv"}) as socket:
        began = await socket.receive_json()
        assert (began["known"], began["calls"]) == (True, [])
        open_desk.world.calls = (CALL,)
        open_desk.hub.changed(frozenset({"PJSIP/anna"}))
        (call,) = (await socket.receive_json())["calls"]
        assert (call["sign"], call["title"], call["name"]) == ("not_verified", "Inte bekräftad", "")
        open_desk.world.calls = (VERIFIED,)
        # nobody tells of a mark: it is looked for while there is a call
        (call,) = (await socket.receive_json())["calls"]
        assert (call["sign"], call["title"], call["name"]) == ("verified", "Bekräftad på nivå 2", "Anna Andersson")
        assert call["help"] == "med pinkod och sms"


async def test_a_phone_is_the_same_in_upper_and_lower_case(open_desk: Desk) -> None:
    await open_desk.sign_in()
    async with await page(open_desk) as socket:
        await socket.receive_json()
        open_desk.world.calls = (CALL,)
        open_desk.hub.changed(frozenset({"PJSIP/Anna"}))
        assert (await socket.receive_json(timeout=1))["calls"]


async def test_other_phones_stir_nothing(open_desk: Desk) -> None:
    await open_desk.sign_in()
    async with await page(open_desk) as socket:
        await socket.receive_json()
        open_desk.world.calls = (CALL,)
        open_desk.hub.changed(frozenset({"PJSIP/bo"}))
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.3)


async def test_where_it_is_not_known_whom_one_talks_with_no_name_stays(open_desk: Desk) -> None:
    await open_desk.sign_in()
    open_desk.world.calls = (VERIFIED,)
    async with await page(open_desk) as socket:
        assert (await socket.receive_json())["calls"][0]["name"] == "Anna Andersson"
        open_desk.world.down = True
        assert await socket.receive_json() == {"known": False, "calls": []}
        open_desk.world.down = False
        assert (await socket.receive_json(timeout=10))["known"]


async def test_it_ends_with_its_session_at_once(open_desk: Desk) -> None:
    csrf = await open_desk.sign_in()
    async with await page(open_desk) as socket:
        await socket.receive_json()
        await open_desk.send("DELETE", "/api/v1/session", headers={"CSRF-Token": csrf})
        ended = await socket.receive(timeout=1)
        assert (ended.type, ended.data) == (aiohttp.WSMsgType.CLOSE, OVER)


@pytest.mark.parametrize("do", ["disable", "reset"])
async def test_it_ends_at_once_for_who_is_disabled_or_reset(
    server: Server, do: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(server, crm(monkeypatch)) as made:
        # none of them looks by itself in the time of this test
        made.hub._look = made.hub._idle = 600.0
        made.world.people["p-bo"] = replace(ANNA, id="p-bo", login="bo")
        await made.sign_in()
        lent = await token(made)
        async with await page(made) as socket, followed(made, lent) as line:
            await socket.receive_json()
            assert "words" in await line() and "view" in await line()
            await made.another("bo")
            async with await page(made) as other:
                await other.receive_json()
                csrf = await made.another("ada")
                answer = await made.send("POST", f"/api/v1/people/{ANNA.id}/{do}", headers={"CSRF-Token": csrf})
                assert answer.status in (200, 204)
                assert (await socket.receive(timeout=5)).data == OVER
                assert await line() == {"over": True}
                with pytest.raises(TimeoutError):
                    await other.receive(timeout=0.3)


@pytest.mark.parametrize("where", ["here", "everywhere"])
async def test_who_signs_out_ends_the_element_at_once(
    server: Server, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk(server, crm(monkeypatch)) as made:
        made.hub._look = made.hub._idle = 600.0
        csrf = await made.sign_in()
        async with followed(made, await token(made)) as line:
            assert "words" in await line() and "view" in await line()
            if where == "here":
                await made.send("DELETE", "/api/v1/session", headers={"CSRF-Token": csrf})
            else:
                # from another session of the same person
                csrf = await made.another("anna")
                await made.send("POST", "/sign-out", data={"csrf": csrf, "everywhere": "1"})
            assert await line() == {"over": True}


def test_all_of_a_persons_pages_end_but_those_of_one_session() -> None:
    hub = Hub(None)  # type: ignore[arg-type]
    request = make_mocked_request("GET", "/live")
    with ExitStack() as stack:
        pages = {
            (session, person.id): stack.enter_context(hub.follow(request, session, person, OWN))
            for session, person in (
                ("own", ANNA),
                ("other", ANNA),
                ("hers", SUPERVISOR),
                ("there", replace(ANNA, tenant="north")),
            )
        }
        hub.end_all("main", ANNA.id, but="own")
        assert {which[0] for which, one in pages.items() if one is not None and one.over} == {"other"}


async def test_a_session_is_told_again_where_it_could_not_be(
    open_desk: Desk, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That somebody talks is not taken as told before it was."""
    sessions, of = open_desk.world.sessions, open_desk.world.sessions.of
    failed: list[bool] = []

    async def first_fails(token: Secret, *, used: bool = True) -> Session | None:
        if used and not failed:
            failed.append(True)
            raise StoreError("Redis: is away")
        return await of(token, used=used)

    await open_desk.sign_in()
    async with await page(open_desk) as socket:
        await socket.receive_json()
        idle(server, 14)
        monkeypatch.setattr(sessions, "of", first_fails)
        await shows(socket, open_desk, CALL)
        await shows(socket, open_desk, CALL)
        assert failed and seen(server) == 0


async def test_it_ends_where_another_process_has_ended_the_session(open_desk: Desk) -> None:
    await open_desk.sign_in()
    open_desk.world.calls = (CALL,)
    async with await page(open_desk) as socket:
        await socket.receive_json()
        await open_desk.world.sessions.end_all("main", ANNA.id)
        ended = await socket.receive(timeout=5)
        assert (ended.type, ended.data) == (aiohttp.WSMsgType.CLOSE, OVER)


async def test_it_ends_with_the_permission(open_desk: Desk) -> None:
    await open_desk.sign_in()
    open_desk.world.calls = (CALL,)
    async with await page(open_desk) as socket:
        await socket.receive_json()
        open_desk.world.people[ANNA.id] = replace(ANNA, disabled=True)
        assert (await socket.receive(timeout=5)).data == OVER


def idle(server: Server, minutes: int) -> None:
    """As if nobody had done anything for so long."""
    (key,) = server.client.keys("*:session:*")
    for field in ("begun", "seen", "until"):
        server.client.hincrby(key, field, -minutes * 60_000)
    server.client.pexpire(key, server.client.pttl(key) - minutes * 60_000)


def seen(server: Server) -> int:
    """Minutes for which the session has not been used; the whole ones."""
    (key,) = server.client.keys("*:session:*")
    return int(time.time() - int(server.client.hget(key, "seen")) / 1000) // 60


async def shows(socket: aiohttp.ClientWebSocketResponse, made: Desk, *calls: Current) -> None:
    """These, and what follows from them is done: each look ends before the next one begins."""
    for title in ("before", "then"):
        made.world.calls = tuple(replace(call, number=title) for call in calls)
        made.hub.changed(frozenset({"PJSIP/anna"}))
        told = (await socket.receive_json(timeout=10))["calls"]
        while [call["number"] for call in told] != [title] * len(calls):
            told = (await socket.receive_json(timeout=10))["calls"]


@pytest.mark.parametrize(
    "calls", [(replace(CALL, held=True),), (replace(CALL, state=State.GONE),), (replace(VERIFIED, held=True),)]
)
async def test_an_open_page_keeps_no_session_alive(
    open_desk: Desk, server: Server, calls: tuple[Current, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does somebody on hold: nobody need be there."""
    monkeypatch.setattr(live, "KEEP_SECONDS", 0.0)
    await open_desk.sign_in()
    async with await page(open_desk) as socket:
        await socket.receive_json()
        idle(server, 14)
        await shows(socket, open_desk, *calls)
        assert seen(server) == 14
        idle(server, 1)
        assert (await socket.receive(timeout=10)).data == OVER


async def test_whoever_listens_for_long_stays_signed_in_and_not_for_ever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Talking on the own phone with the page open is being there; the hours of a session end it all the same."""
    monkeypatch.setattr(live, "KEEP_SECONDS", 0.0)
    async with desk(server, "[desk]\nsession_hours = 1\n") as made:
        await made.sign_in()
        async with await page(made) as socket:
            await socket.receive_json()
            for call in (CALL, VERIFIED, replace(CALL, state=State.VERIFYING), CALL):
                idle(server, 14)
                await shows(socket, made, call)
                assert seen(server) == 0
            idle(server, 4)
            assert (await socket.receive(timeout=10)).data == OVER
        assert (await made.get("/")).status == 303


async def test_that_somebody_talks_is_told_to_the_session_now_and_then(open_desk: Desk, server: Server) -> None:
    """Not at each look: a page looks often."""
    await open_desk.sign_in()
    async with await page(open_desk) as socket:
        await socket.receive_json()
        idle(server, 14)
        await shows(socket, open_desk, CALL)
        assert seen(server) == 0
        idle(server, 14)
        await shows(socket, open_desk, VERIFIED)
        assert seen(server) == 14


async def test_a_page_that_opens_itself_again_keeps_no_session_alive_either(open_desk: Desk, server: Server) -> None:
    await open_desk.sign_in()
    (key,) = server.client.keys("*:session:*")
    server.client.hincrby(key, "seen", -5000)
    seen = server.client.hget(key, "seen")
    for _ in range(3):
        async with await page(open_desk) as socket:
            await socket.receive_json()
    assert server.client.hget(key, "seen") == seen
    await open_desk.get("/")
    assert server.client.hget(key, "seen") != seen


async def test_nobody_but_one_who_is_signed_in_opens_one(open_desk: Desk) -> None:
    for login in (None, "rut"):
        if login is not None:
            await open_desk.sign_in(login)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await page(open_desk)
        assert refused.value.status == (401 if login is None else 403)
    await open_desk.sign_in()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await open_desk.browser.ws_connect(open_desk.url("/live"))
    assert refused.value.status == 403
    assert (await open_desk.get("/live")).status == 400


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://elsewhere.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
     {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "same-origin"}],
)  # fmt: skip
async def test_no_other_site_opens_one_with_the_browsers_cookie(open_desk: Desk, headers: dict[str, str]) -> None:
    await open_desk.sign_in()
    open_desk.world.calls = (VERIFIED,)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await page(open_desk, **headers)
    assert refused.value.status == 403
    assert len(open_desk.hub) == 0


async def test_a_page_has_nothing_to_say(open_desk: Desk) -> None:
    await open_desk.sign_in()
    for said in ("hello", "x" * 1000, "x" * 10_000_000):
        async with await page(open_desk) as socket:
            await socket.receive_json()
            with suppress(ConnectionError):
                # it may be closed before all is sent
                await socket.send_str(said)
            closed = await socket.receive(timeout=5)
            if len(said) > 100_000 and closed.type is not aiohttp.WSMsgType.CLOSE:
                # the word was lost where the rest was still coming
                assert closed.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
                continue
            assert closed.type is aiohttp.WSMsgType.CLOSE
            assert closed.data in (aiohttp.WSCloseCode.POLICY_VIOLATION, aiohttp.WSCloseCode.MESSAGE_TOO_BIG)
    async with asyncio.timeout(5):
        while len(open_desk.hub):
            await asyncio.sleep(0.01)


async def test_a_page_that_takes_nothing_is_let_go_and_keeps_up_no_other(
    server: Server, brisk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ivr.web.live.TAKING_SECONDS", 0.5)
    async with desk(server) as made:
        await made.sign_in()
        async with await page(made) as other:
            await other.receive_json()
            _, writer = await asyncio.open_connection("127.0.0.1", made.server.port, limit=1024)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            asked = (
                f"GET /live HTTP/1.1\r\nHost: {made.origin[7:]}\r\nOrigin: {made.origin}\r\nCookie: {SESSION}={made.cookie()}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            writer.write(asked.encode())
            async with asyncio.timeout(20):
                while len(made.hub) < 2:
                    await asyncio.sleep(0.01)
                for count in itertools.count():
                    # more than any buffer between them holds
                    made.world.calls = (replace(CALL, number=f"{count}" + "x" * 100_000),)
                    made.hub.changed(frozenset({"PJSIP/anna"}))
                    assert (await other.receive_json())["calls"][0]["number"].startswith(f"{count}x")
                    if len(made.hub) < 2:
                        break
            writer.close()


async def test_one_session_has_so_many_pages_at_once(open_desk: Desk) -> None:
    await open_desk.sign_in()
    pages = [await page(open_desk) for _ in range(11)]
    assert (await pages[10].receive(timeout=5)).data == FULL
    for opened in pages:
        await opened.close()


async def test_a_desk_that_stops_tells_its_pages_and_ends_soon(server: Server) -> None:
    async with desk(server) as made:
        await made.sign_in()
        async with await page(made) as socket:
            await socket.receive_json()
            closing = asyncio.create_task(made.server.close())
            ended = await socket.receive(timeout=5)
            assert (ended.type, ended.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)
        async with asyncio.timeout(5):
            await closing
        with pytest.raises(aiohttp.ClientConnectorError):
            await made.get("/healthz")


async def test_a_request_that_runs_comes_to_its_end_when_the_desk_stops(server: Server) -> None:
    async with desk(server) as made:
        await made.sign_in()
        entered, go_on = asyncio.Event(), asyncio.Event()

        async def current(_: object) -> tuple[()]:
            entered.set()
            await go_on.wait()
            return ()

        made.world.current = current  # type: ignore[method-assign, assignment]
        asking = asyncio.create_task(made.get("/api/v1/calls/current"))
        await entered.wait()
        closing = asyncio.create_task(made.server.close())
        await asyncio.sleep(0)
        go_on.set()
        assert (await asking).status == 200
        await closing


# ---------------------------------------------------------------- slow clients


async def ends(reader: asyncio.StreamReader, limit: float) -> bytes:
    async with asyncio.timeout(limit):
        return await reader.read()


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, in less time."""
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.5)
    monkeypatch.setattr(connections, "_TAKING_SECONDS", 0.5)
    monkeypatch.setattr("ivr.web.server.REQUEST_SECONDS", 0.5)


@pytest.mark.parametrize("begins", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_who_does_not_finish_a_head_is_let_go(begins: bytes, server: Server, brisk: None) -> None:
    async with desk(server) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.server.port)
        writer.write(begins)
        await writer.drain()

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.1)
                writer.write(b"X-A: b\r\n")

        dripping = asyncio.create_task(drip()) if begins and b"\r\n\r\n" not in begins else None
        try:
            await ends(reader, 5)
        except ConnectionResetError:
            pass
        finally:
            if dripping is not None:
                dripping.cancel()
            writer.close()


async def test_who_does_not_finish_a_body_is_answered_and_let_go(server: Server, brisk: None) -> None:
    async with desk(server) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.server.port)
        head = (
            "POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        writer.write(head.encode())
        answer = await ends(reader, 5)
        assert answer.startswith(b"HTTP/1.1 408") and b"request_timeout" in answer
        writer.close()


async def test_who_takes_no_answers_is_let_go(server: Server, brisk: None) -> None:
    async with desk(server) as made:
        _, writer = await asyncio.open_connection("127.0.0.1", made.server.port, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        asked = b"GET /problems HTTP/1.1\r\nHost: x\r\n\r\n"

        async def ask() -> None:
            while True:
                writer.write(asked * 50)
                await writer.drain()
                await asyncio.sleep(0)

        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            async with asyncio.timeout(20):
                await ask()
        writer.close()


@pytest.mark.parametrize(
    "head",
    [b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"a" * 10_000 + b"\r\n\r\n",
     b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(200)) + b"\r\n"],
)  # fmt: skip
async def test_a_head_that_is_too_long_is_refused(head: bytes, open_desk: Desk) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", open_desk.server.port)
    writer.write(head)
    assert b" 400 " in (await ends(reader, 5)).partition(b"\r\n")[0]
    writer.close()


async def test_one_address_has_so_many_connections_and_others_come_in(server: Server) -> None:
    async with desk(server, "[desk.requests]\nconnections = 10\nconnections_of_one = 3\n") as made:
        port = made.server.port
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        over, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await ends(over, 5) == b""
        writer.close()
        other, speaks = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        speaks.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in await ends(other, 5)
        for _, opened in (*held, (other, speaks)):
            opened.close()


def test_who_has_a_network_has_one_address() -> None:
    room = connections.Room(most=100, each=2, free=("2001:db8:7::1",))
    assert [room.enter(f"2001:db8:5::{host}") for host in range(1, 4)] == [True, True, False]
    assert room.enter("2001:db8:6::1")
    assert all(room.enter("2001:db8:7::1") for _ in range(5))
    room.leave("2001:db8:5::1")
    assert room.enter("2001:db8:5::9")


# ---------------------------------------------------------------- TLS


def certificates(folder: Path) -> ssl.SSLContext:
    """Those of a desk at this machine, and who trusts them."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    (folder / "desk.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    (folder / "desk.key").touch(0o600)
    (folder / "desk.key").write_bytes(issued.private_key_pem.bytes())
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    return trusted


_TLS = '[desk]\ntls_certificate_file = "desk.pem"\ntls_key_file = "desk.key"\n'


async def test_by_tls(server: Server) -> None:
    trusted = certificates(server.folder)
    async with desk(server, _TLS, tls=trusted) as made:
        await made.sign_in()
        answer = await made.get("/api/v1/session")
        assert answer.status == 200
        assert "max-age" in answer.headers["Strict-Transport-Security"]
        async with await page(made) as socket:
            assert (await socket.receive_json())["known"]
        context = tls_of(made.settings)
        assert context is not None and context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("spoil", "told"),
    [("chmod", "can be read by others"), ("rubbish", "no certificate and its key"), ("missing", "cannot be read"), ("other", "no certificate and its key")],
)  # fmt: skip
def test_certificates_that_will_not_do(spoil: str, told: str, server: Server) -> None:
    certificates(server.folder)
    key = server.folder / "desk.key"
    match spoil:
        case "chmod":
            key.chmod(0o644)
        case "rubbish":
            key.write_text(PASSWORD)
        case "missing":
            (server.folder / "desk.pem").unlink()
        case _:
            key.write_bytes(trustme.CA().issue_cert("127.0.0.1").private_key_pem.bytes())
    with pytest.raises(ConfigError, match=told):
        tls_of(server.settings(_TLS))
