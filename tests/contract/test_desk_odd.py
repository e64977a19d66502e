"""What no browser and no library sends, byte by byte: refused as all else is, and no fault of the desk's."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from tests.contract.ari_log import wait_for
from tests.contract.live_server import Server
from tests.contract.web_kit import Desk, as_crm, crm, desk

pytestmark = pytest.mark.servers

SESSION = b"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
FORM = b"POST /api/v1/tokens/introspect HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n"
BOMB = gzip.compress(b"[" + b" " * 5_000_000)


@pytest.fixture
async def open_desk(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with desk(server, crm(monkeypatch)) as made:
        yield made


async def said(made: Desk, sent: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", made.server.port)
    writer.write(sent)
    try:
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            return head, await reader.readexactly(int(length.partition(b":")[2]))
    finally:
        writer.close()


def logged(made: Desk, event: str) -> list[dict[str, Any]]:
    return [line for line in made.log.lines if line["event"] == event]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /api/v1/session HTTP/1.1\r\nHost: h\r\nExpect: canary\r\n\r\n", 400),
        (b"GET /canary HTTP/1.1\r\nHost: h\r\nExpect: canary\r\n\r\n", 400),
        (b"OPTIONS /api/v1/session HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        (b"TRACE /api/v1/session HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        (b"CANARY /api/v1/session HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /api/v1/session HTTP/1.1\r\n\r\n", 400),
        (b"GET /api/v1/../canary HTTP/1.1\r\nHost: h\r\n\r\n", 404),
        (b"GET /api/v1/" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /api/v1/session HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 400),
        (b"GET /api/v1/session HTTP/1.1\r\nHost: h\r\n" + b"X: a\r\n" * 200 + b"\r\n", 400),
        (b"GET /api/v1/session HTTP/1.1\r\nHost: h\r\nCookie: __Host-desk=\xff\xfe\r\n\r\n", 401),
        (b"GET /api/v1/calls/current HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer \xff\xfe\r\n\r\n", 401),
        (SESSION + b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\ncanary", 400),
        (SESSION + b"Content-Encoding: br\r\nContent-Length: 6\r\n\r\ncanary", 400),
        (SESSION + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB, 413),
        (SESSION + b"Transfer-Encoding: chunked\r\n\r\nzz\r\ncanary\r\n", 400),
        (SESSION + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        (SESSION + b"Content-Length: 8000\r\n\r\n" + b"[" * 8000, 400),
        (SESSION + b'Content-Length: 14\r\n\r\n{"login":1e999}', 400),
        (FORM + b"Authorization: Basic \xff\xfe\r\nContent-Length: 7\r\n\r\ntoken=a", 401),
        (FORM + b"{crm}Content-Length: 8000\r\n\r\n" + b"a=1&" * 2000, 413),
    ],
)
async def test_it_is_a_problem_like_all_others(sent: bytes, status: int, open_desk: Desk) -> None:
    head, body = await said(
        open_desk, sent.replace(b"{crm}", f"Authorization: {as_crm()['Authorization']}\r\n".encode())
    )
    assert head.split(b" ")[1] == b"%d" % status
    assert b"Content-Type: application/problem+json\r\n" in head and b"Content-Security-Policy: default-src" in head
    assert orjson.loads(body)["status"] == status
    assert b"canary" not in (head + body).lower() and "canary" not in repr(open_desk.log.lines).lower()
    assert not logged(open_desk, "web.failed")


async def test_a_header_that_is_no_text_is_no_csrf_token(open_desk: Desk) -> None:
    await open_desk.sign_in()
    cookie = f"Cookie: __Host-desk={open_desk.cookie()}\r\n".encode()
    head, body = await said(
        open_desk, b"DELETE /api/v1/session HTTP/1.1\r\nHost: h\r\n" + cookie + b"CSRF-Token: \xff\xfe\r\n\r\n"
    )
    assert head.split(b" ")[1] == b"403" and orjson.loads(body)["reason"] == "csrf"


async def test_who_goes_in_the_midst_of_a_body_is_no_fault(open_desk: Desk) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", open_desk.server.port)
    writer.write(SESSION + b"Content-Length: 50\r\nExpect: 100-continue\r\n\r\n")
    assert b" 100 " in await reader.readline()
    writer.write(b"canary")
    writer.close()
    await wait_for(lambda: logged(open_desk, "web.request"))
    assert logged(open_desk, "web.request")[0]["status"] == 400 and not logged(open_desk, "web.failed")
