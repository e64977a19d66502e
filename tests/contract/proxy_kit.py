"""A proxy on a port of its own before a CRM on another, with a real lock on a real Redis and database."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from ivr.config import Proxy, Settings
from ivr.config.patterns import Pattern
from ivr.lock import Signer
from ivr.metrics import Readiness
from ivr.proxy import fields
from ivr.proxy.entering import Entrance
from ivr.proxy.passage import Passage
from ivr.proxy.server import ProxyServer
from ivr.proxy.upstream import Upstream
from ivr.secret import Secret
from ivr.staff import Person, SignedIn
from ivr.store.customers import Customers
from ivr.store.handovers import Handovers
from ivr.store.pace import RedisPace
from ivr.store.sessions import Sessions
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, Desk, desk_of

DESK = "https://desk.example.com"
PUBLIC = "https://crm.example.com"
NAME = "crm.example.com"
HOST = "127.0.0.1"
XENIA = {"id": "10001", "name": "Xenia Ask", "phones": ["+46701234567"], "cards": [{"name": "gold", "number": "4111"}]}

PATTERNS: dict[str, dict[str, Any]] = {
    "customer": {"path": "/api/customers/{number}", "methods": ["GET", "PUT"], "fields": {"/phones": 3, "/cards/*/number": 3}},
    "page": {"path": "/customers/{number}/**"},
    "orders": {"path": "/api/orders", "query": ["customer"], "parameters": ["page"]},
    "merge": {"path": "/api/merge", "methods": ["POST"], "body": ["/from/id", "/to/*"]},
    "search": {"path": "/api/search", "parameters": ["*"], "answer": ["/items/*/id"]},
    "listed": {"path": "/api/list/{number}", "answer": ["/*/id"]},
    "form": {"path": "/forms/{number}", "methods": ["POST"], "forms": True},
    "own": {"path": "/by-ref/{number}", "holds": "reference"},
}  # fmt: skip
FREE = ("/", "/assets/**", "POST /login", "/api/customers/new")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class Crm:
    """The system behind: what it was asked, and what it says, which a test may change."""

    answers: dict[str, Handler] = field(default_factory=dict)
    asked: list[web.BaseRequest] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[None]] | None = None
    origin: str = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request)
        self.bodies.append(await request.content.read())
        if self.meanwhile is not None:
            await self.meanwhile()
        handler = self.answers.get(request.raw_path.partition("?")[0])
        if handler is not None:
            return await handler(request)
        return said(XENIA)

    @property
    def last(self) -> web.BaseRequest:
        return self.asked[-1]

    def says(self, path: str, answer: Callable[[], web.StreamResponse]) -> None:
        async def handle(_: web.BaseRequest) -> web.StreamResponse:
            return answer()

        self.answers[path] = handle


def said(document: Any, **headers: str) -> web.Response:
    return web.Response(body=orjson.dumps(document), headers={"Content-Type": "application/json", **headers})


@dataclass
class Door:
    """A running proxy, and an agent at a browser."""

    desk: Desk
    crm: Crm
    server: ProxyServer
    signer: Signer
    sessions: Sessions
    handovers: Handovers
    settings: Settings
    browser: aiohttp.ClientSession
    cookie: str = ""

    async def session(self, person: Person = ANNA) -> Secret:
        """Signed in at the desk; the desk's token."""
        begun = await self.sessions.begin(SignedIn(person, None, 0))
        assert isinstance(begun, tuple)
        return begun[0]

    async def enter(self, person: Person = ANNA) -> Secret:
        """Signed in, and known to the proxy: by the token that is given back, which the browser sends from now on."""
        session, bits = await self.session(person), Secret("bits")
        code = await self.handovers.keep(session, NAME, hashlib.sha256(b"bits").hexdigest())
        assert code is not None
        token = await self.handovers.take(code, NAME, bits)
        assert isinstance(token, Secret)
        self.cookie = token.reveal()
        return session

    async def ask(self, path: str, method: str = "GET", **options: Any) -> Answer:
        async with self.opened(path, method, **options) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    @asynccontextmanager
    async def opened(self, path: str, method: str = "GET", **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = dict(options.pop("headers", {}))
        if self.cookie:
            headers.setdefault("Cookie", f"{fields.COOKIE}={self.cookie}")
        if method not in ("GET", "HEAD"):
            headers.setdefault("Origin", PUBLIC)
        headers.setdefault("Host", NAME)
        url = URL(f"http://{HOST}:{self.server.port}{path}", encoded=True)
        async with self.browser.request(method, url, headers=headers, allow_redirects=False, **options) as answer:
            yield answer

    async def raw(self, sent: bytes) -> bytes:
        """What is answered to these bytes, until the proxy closes or the answer is whole."""
        reader, writer = await asyncio.open_connection(HOST, self.server.port)
        writer.write(sent)
        try:
            return await _answered(reader)
        finally:
            writer.close()

    @asynccontextmanager
    async def begun(self, method: str, path: str, first: bytes, length: int | None) -> AsyncIterator[Begun]:
        """A request whose first part has come, from somebody who is known by then. `length`: None sends it in chunks."""
        framed = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {NAME}\r\nOrigin: {PUBLIC}\r\nCookie: {fields.COOKIE}={self.cookie}\r\n"
            f"Content-Type: application/json\r\n{framed}\r\n\r\n"
        )
        asked = self.desk.staff.asked
        reader, writer = await asyncio.open_connection(HOST, self.server.port)
        writer.write(head.encode() + (first if length is not None else _chunk(first)))
        try:
            async with asyncio.timeout(10):
                while self.desk.staff.asked == asked:
                    await asyncio.sleep(0.005)
            yield Begun(reader, writer, chunked=length is None)
        finally:
            writer.close()


@dataclass
class Begun:
    """A request of which not all has come."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    chunked: bool

    async def ended(self, rest: bytes) -> tuple[int, str]:
        """Status and reason, when the rest has come too."""
        self.writer.write(_chunk(rest) + b"0\r\n\r\n" if self.chunked else rest)
        return await self.told()

    async def told(self) -> tuple[int, str]:
        """Status and reason; the reason is empty where nothing went wrong."""
        head, _, body = (await _answered(self.reader)).partition(b"\r\n\r\n")
        return int(head.split()[1]), str(orjson.loads(body).get("reason", ""))


def _chunk(part: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(part), part)


async def _answered(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            return head + await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        return error.partial


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def reason(self) -> str:
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        return str(self.json["reason"])


@asynccontextmanager
async def proxied(settings: Settings, server: Server, *, rules: Any = None, **changes: Any) -> AsyncIterator[Door]:
    """`changes` are of `[proxy]`, `rules` of `[lock]`."""
    crm = Crm()
    runner = web.ServerRunner(web.Server(crm.handle))
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    crm.origin = f"http://{HOST}:{runner.addresses[0][1]}"
    proxy: dict[str, Any] = {
        "listen": "127.0.0.1:1", "url": PUBLIC, "upstream": crm.origin, "patterns": PATTERNS, "free": FREE, "tenants": [ANNA.tenant],
        **changes,
    }  # fmt: skip
    async with desk_of(settings, server, rules) as desk:
        prefix = f"p{secrets.token_hex(4)}"
        made = settings.model_copy(
            update={
                "desk": settings.desk.model_copy(update={"url": DESK}),
                "proxy": Proxy.model_validate(proxy),
                "customer_number": settings.customer_number,
            }
        ).read_from(settings.file)
        handovers, sessions = Handovers(desk.link, prefix, made.desk), Sessions(desk.link, prefix, made.desk)
        log: Any = desk.log
        async with (
            Signer(made, desk.database, desk.vault, desk.trail, log) as signer,
            Upstream.of(made, log) as upstream,
        ):
            customers = await Customers.open(desk.database, desk.vault)
            staff: Any = desk.staff

            async def alive() -> None:
                await desk.link.ask("PING")

            entrance = Entrance(
                PUBLIC, DESK, handovers, staff, per_minute=made.proxy.per_minute, tenants=made.proxy.tenants
            )
            served = ProxyServer(
                made,
                entrance,
                Passage(
                    desk.lock,
                    customers,
                    upstream,
                    signer,
                    PUBLIC,
                    made.proxy.answer_kilobytes * 1024,
                    desk.vault.index.call,
                    entrance.anew,
                    log,
                ),
                RedisPace(desk.link, prefix),
                Readiness({"redis": alive, "upstream": upstream.ping}, seconds=2, log=log, lasts=0),
                log,
            )
            await served.open(HOST, 0, None)
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as browser:
                yield Door(desk, crm, served, signer, sessions, handovers, made, browser)
            await served.close()
    await runner.cleanup()


__all__ = ["FREE", "PATTERNS", "XENIA", "Crm", "Door", "Pattern", "proxied", "said"]
