"""The whole desk in this process, with the proxy beside it, on a real database and a real Redis; who talks with whom is set by the test, as Asterisk would tell it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from rig.ports import Ports

from ivr import desk as product
from ivr import front
from ivr.proxy import fields
from ivr.proxy import run as proxy
from ivr.secret import Personal, Secret
from ivr.staff import TENANT, Permission, Person, Role, SignedIn
from ivr.store.handovers import Handovers
from ivr.store.link import Link
from ivr.store.roster import NewPerson
from ivr.web.server import DeskServer
from ivr.web.visit import CSRF, FORM, SESSION
from tests.contract.desk_kit import House, house_in, settings_of
from tests.contract.live_server import Server
from tests.contract.matrix_calls import Line, Talks
from tests.contract.proxy_kit import PATTERNS

ROLES = (
    "nobody", "agent", "colleague", "supervisor", "watching", "other team", "administrator", "auditor", "data_owner", "denied", "granted",
    "disabled", "other tenant", "ended", "program", "element",
)  # fmt: skip
"""docs/matrix.md says what they are."""
OVER_OTHERS = "other administrator", "other auditor"
"""Of the other tenant, too: they walk what shows or changes people and the audit trail."""
MEMBER = "member"
"""Whom the administrator works on."""
READERS = frozenset({"agent", "supervisor", "granted", "element"})
"""Who may be given a customer of this tenant at all: the call is their own."""
ELSEWHERE = frozenset({"nobody", "colleague", "watching", "other team", "program", "element"})
"""While the call is the agent's."""
_WITHOUT_PERSON = frozenset({"nobody", "program", "element"})
_KINDS = {
    "watching": Role.SUPERVISOR, "other team": Role.SUPERVISOR, "granted": Role.AUDITOR, "other administrator": Role.ADMINISTRATOR,
    "other auditor": Role.AUDITOR,
}  # fmt: skip
_PERMISSIONS = {"denied": (Permission.CALL, False), "granted": (Permission.CALL, True)}


@dataclass
class Visitor:
    """Somebody of a role, at a browser that is signed in as that role is."""

    role: str
    person: Person | None
    token: str = ""
    csrf: str = ""
    passed: str = ""
    """What the proxy knows this browser by."""


FORM_TOKEN = "f" * 43
_SECRET = "s" * 43
AUDIENCE = "https://crm.example.com"
ORIGIN = "https://shop.example.com"


@dataclass
class Whole:
    """A running desk."""

    house: House
    line: Line
    desk: DeskServer
    crm: Crm
    url: str
    proxy_url: str
    handovers: Handovers
    browser: aiohttp.ClientSession
    people: dict[str, Person]
    lent: str = ""
    visitors: dict[str, Visitor] = field(default_factory=dict)

    def whose(self, role: str) -> Person:
        """Whose call it is."""
        return self.people["agent" if role in ELSEWHERE else role]

    async def put(self, state: str, role: str) -> None:
        """The call is so now."""
        await self.line.put(state, self.whose(role), self.people["colleague"])

    async def visitor(self, role: str) -> Visitor:
        """With a session of its own, as long as that lasts."""
        if role not in self.visitors:
            self.visitors[role] = await self._visitor(role)
        return self.visitors[role]

    def gone(self, role: str) -> None:
        """The session was ended: the next one is another."""
        self.visitors.pop(role, None)

    async def _visitor(self, role: str) -> Visitor:
        if role in ("nobody", "program"):
            return Visitor(role, None, csrf=FORM_TOKEN)
        if role == "element":
            self.lent = self.lent or await self._lent()
            return Visitor(role, None, self.lent, FORM_TOKEN)
        person = self.people[role]
        token, session = await self.house.sessions.begin(SignedIn(person, None, time.time_ns() // 1000))  # type: ignore[misc]
        passed = await self._passed(token)
        if role == "ended":
            await self.house.sessions.end(token)
        # whoever is not let in any more has a form of somebody who is not signed in
        csrf = FORM_TOKEN if role in ("ended", "disabled") else session.csrf.reveal()
        return Visitor(role, person, token.reveal(), csrf, passed)

    async def _passed(self, token: Secret) -> str:
        """What the proxy gives a browser that comes from the desk."""
        host, begun = self.proxy_url.partition("://")[2], hashlib.sha256(b"bits").hexdigest()
        code = await self.handovers.keep(token, host, begun)
        assert code is not None
        taken = await self.handovers.take(code, host, Secret("bits"))
        assert isinstance(taken, Secret)
        return taken.reveal()

    async def _lent(self) -> str:
        """A token for an element of the agent's, who is signed in: by a session that nobody ends."""
        await self.house.sessions.begin(SignedIn(self.people["agent"], None, time.time_ns() // 1000))
        given = {"login": self.people["agent"].login, "origin": ORIGIN}
        status, told = await self.ask(
            Visitor("program", None, csrf=FORM_TOKEN), "POST", "/api/v1/element/token", json=given
        )
        assert status == 201, told
        return str(json.loads(told.rpartition("\n")[2])["token"])

    def _headers(self, visitor: Visitor) -> dict[str, str]:
        if visitor.role == "element":
            return {"Origin": ORIGIN, "Authorization": f"Bearer {visitor.token}"}
        if visitor.role == "program":
            return {"Authorization": aiohttp.encode_basic_auth("crm", _SECRET)}
        cookie = f"{FORM}={FORM_TOKEN}" + (f"; {SESSION}={visitor.token}" if visitor.token else "")
        return {"Origin": self.url, "Cookie": cookie, CSRF: visitor.csrf}

    async def ask(self, visitor: Visitor, method: str, place: str, **given: Any) -> tuple[int, str]:
        """As that visitor's page does it: the status, and all that comes with it."""
        headers = self._headers(visitor)
        async with self.browser.request(
            method, self.url + place, headers=headers, allow_redirects=False, **given
        ) as answer:
            return answer.status, f"{answer.headers}\n{await answer.text()}"

    async def through(self, visitor: Visitor, method: str, place: str, **given: Any) -> tuple[int, str]:
        """By the proxy, to the CRM behind."""
        headers = {"Origin": self.proxy_url, "Cookie": f"{fields.COOKIE}={visitor.passed}"}
        url = self.proxy_url + place
        async with self.browser.request(method, url, headers=headers, allow_redirects=False, **given) as answer:
            return answer.status, f"{answer.reason}\n{answer.headers}\n{await answer.text()}"

    @asynccontextmanager
    async def opened(self, visitor: Visitor, place: str) -> AsyncIterator[tuple[int, Frames]]:
        """An open page's websocket, or what an element follows line by line: the status, and what comes of it, one by one."""
        headers = self._headers(visitor)
        if place.startswith("/element/"):
            async with self.browser.get(self.url + place, headers=headers, allow_redirects=False) as answer:
                yield answer.status, _lines(answer)
            return
        try:
            socket = await self.browser.ws_connect(self.url + place, headers=headers)
        except aiohttp.WSServerHandshakeError as error:
            yield error.status, _refused(str(error.headers))
            return
        async with socket:
            yield 101, _frames(socket)


Frames = AsyncIterator[str]


async def _frames(socket: aiohttp.ClientWebSocketResponse) -> Frames:
    while True:
        yield str((await socket.receive(timeout=10)).data)


async def _lines(answer: aiohttp.ClientResponse) -> Frames:
    if answer.status != 200:
        yield f"{answer.headers}\n{await answer.text()}"
        return
    yield f"{answer.headers}"
    while True:
        async with asyncio.timeout(20):
            yield (await answer.content.readline()).decode()


async def _refused(told: str) -> Frames:
    yield told


@asynccontextmanager
async def whole(base: Any, server: Server, ports: Ports, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Whole]:
    """The product as `ari_app.py desk` and `ari_app.py proxy` run it, but for Asterisk."""
    port, proxy_port, crm_port = ports.take(), ports.take(), ports.take()
    # a host of its own: cookies know no ports
    url, proxy_url = f"http://localhost:{port}", f"http://127.0.0.1:{proxy_port}"
    secret = base.file.with_name("crm.secret")
    secret.touch(0o600)
    secret.write_text(_SECRET)
    settings = settings_of(
        base, server, f'[desk]\nlisten = "127.0.0.1:{port}"\nurl = "{url}"\n[desk.password]\nscrypt_p = 1\n'
        "[desk.requests]\nper_minute = 100000\nstrangers_per_minute = 100000\n[desk.sign_in]\naddress_in_a_row = 1000\nall = 100000\n"
        "[lock.fields]\nphones = 3\n"
        f'[lock.glass]\nwaiting = 20\n[tokens]\naudiences = ["{AUDIENCE}"]\n'
        f'[clients.crm]\nsecret_file = "{secret}"\naudiences = ["{AUDIENCE}"]\norigins = ["{ORIGIN}"]\n'
        f'may = ["calls", "verify", "drop", "record"]\n'
        f'[proxy]\nlisten = "127.0.0.1:{proxy_port}"\nurl = "{proxy_url}"\nupstream = "http://127.0.0.1:{crm_port}"\n'
        f'per_minute = 100000\nfree = ["/assets/**"]\n{_patterns()}',
    )  # fmt: skip
    serving: list[asyncio.Task[None]] = []

    async def nodes(*_: Any) -> dict[str, Any]:
        return {}

    async def told(*_: Any) -> Talks:
        return line.talks

    desks: list[DeskServer] = []

    def served(*given: Any) -> DeskServer:
        desks.append(DeskServer(*given))
        return desks[0]

    monkeypatch.setattr(front, "nodes_of", nodes)
    monkeypatch.setattr(front, "talks_of", told)
    monkeypatch.setattr(front, "Switch", lambda *_: line.switch)
    monkeypatch.setattr(product, "DeskServer", served)
    async with house_in(settings) as house:
        people = await _people(house)
        link = Link.of(settings)
        line = Line(house, link)
        await line.add_customers()
        crm = Crm(line)
        runner = web.ServerRunner(web.Server(crm.answer))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", crm_port).start()
        log: Any = _Quiet()
        serving += [asyncio.create_task(one._serve(settings, one.meters_of(settings), log)) for one in (product, proxy)]
        try:
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
                for address, task in zip((url, proxy_url), serving, strict=True):
                    await _up(browser, address, task)
                handovers = Handovers(link, settings.redis.prefix, settings.desk)
                yield Whole(house, line, desks[0], crm, url, proxy_url, handovers, browser, people)
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
            await runner.cleanup()
            await link.close()


async def _up(browser: aiohttp.ClientSession, url: str, serving: asyncio.Task[None]) -> None:
    async with asyncio.timeout(20):
        while True:
            if serving.done():
                serving.result()
            try:
                async with browser.get(url, allow_redirects=False):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)


async def _people(house: House) -> dict[str, Person]:
    found = {}
    for role in (*ROLES, *OVER_OTHERS):
        if role in _WITHOUT_PERSON:
            continue
        tenant = "acme" if role in ("other tenant", *OVER_OTHERS) else TENANT
        kind = _KINDS.get(role) or (Role(role) if role in list(Role) else Role.AGENT)
        login, team = role.replace(" ", "-").replace("_", "-"), "sales" if role == "other team" else "support"
        async with house.database.write() as connection:
            new = NewPerson(tenant, login, Personal(f"Name of {role}"), kind, team, (f"PJSIP/{login}",))
            found[role] = await house.roster.add(connection, new)
            if role in _PERMISSIONS:
                await house.roster.permit(connection, found[role], *_PERMISSIONS[role])
    found[MEMBER] = await house.add(MEMBER)
    async with house.database.write() as connection:
        await house.roster.disable(connection, found["disabled"])
    return found


@dataclass
class Crm:
    """The system behind tells everybody everything, in words, headers and errors: to keep it back is the proxy's."""

    line: Line
    asked: int = 0

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/assets/"):
            return web.Response(text="the same for all")
        self.asked += 1
        known = self.line.asked
        one = {"id": known.number, "name": known.name, "phones": [known.phone], "cards": [{"number": "4111"}]}
        listed = {"id": known.number, "name": known.name}
        said: Any = [listed] if request.path.startswith("/api/list/") else {**one, "items": [listed]}
        headers = {"X-Customer": known.number, "ETag": f'"{known.number}"', "Set-Cookie": f"last={known.number}"}
        if request.method == "PUT":
            return web.json_response(said, status=422, reason=known.number, headers=headers)
        return web.json_response(said, headers=headers)


def _patterns() -> str:
    tables = []
    for name, how in PATTERNS.items():
        tables.append(f"[proxy.patterns.{name}]")
        for key, value in how.items():
            if isinstance(value, dict):
                inner = ", ".join(f"{json.dumps(one)} = {two}" for one, two in value.items())
                tables.append(f"{key} = {{{inner}}}")
            else:
                tables.append(f"{key} = {json.dumps(value)}")
    return "\n".join(tables) + "\n"


class _Quiet:
    """A log of which nothing is kept."""

    def bind(self, **_: Any) -> _Quiet:
        return self

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None
