"""The whole desk in this process, with the proxy beside it, on a real database and a real Redis; who talks with whom is set by the test, as Asterisk would tell it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from rig.ports import Ports

from ivr import desk as product
from ivr.call.mark import Mark
from ivr.call.ports import Party, Talk
from ivr.proxy import fields
from ivr.proxy import run as proxy
from ivr.secret import Personal, Secret
from ivr.staff import TENANT, Person, Role, SignedIn
from ivr.store.handovers import Handovers
from ivr.store.link import Link
from ivr.store.register import NewCustomer, Register
from ivr.store.roster import NewPerson
from ivr.web.visit import CSRF, FORM, SESSION
from tests.contract.desk_kit import House, house_in, settings_of
from tests.contract.live_server import Server, round_of
from tests.contract.lock_kit import FakeSwitch, FakeTalks
from tests.contract.proxy_kit import PATTERNS
from tests.unit.database_kit import RECORD

NODE = "node-a"
CALLER = "+46701112233"
NAME, NUMBER, PHONE = "Xenia Kanariefågel", "70001234", "+46701999888"
OTHER_NAME = "Orvar Sidovagn"
CANARIES = (NAME, "Kanarie", NUMBER, PHONE, "701999888", OTHER_NAME, "Sidovagn")

STATES = (
    "no call", "ringing", "not verified", "verifying", "refused", "level 1", "level 2", "other customer", "third party", "held",
    "hung up", "expired",
)  # fmt: skip
OPEN = frozenset({"level 1", "level 2", "held"})
"""In these alone the customer is verified on a call of the person's."""

ROLES = (
    "nobody", "agent", "colleague", "supervisor", "administrator", "auditor", "data_owner", "disabled", "other tenant", "ended",
    "program", "element",
)  # fmt: skip
"""`colleague`: an agent, while the call is another one's of the same team. `ended`: an agent whose session was ended. `program`: one of the
settings, with its secret. `element`: such a program's page, with a token of the agent's."""
READERS = frozenset({"agent", "supervisor", "other tenant", "element"})
"""Who may have a call at all. In another tenant they have calls of their own."""


class Talks(FakeTalks):
    """As the desk's process wants it."""

    known = True

    def on_change(self, told: Callable[[frozenset[str]], None]) -> None:
        pass

    def around(self, channel: str) -> frozenset[str]:
        return frozenset()


@dataclass
class Visitor:
    """Somebody of a role, at a browser that is signed in as that role is."""

    role: str
    person: Person | None
    token: str = ""
    csrf: str = ""


_FORM = "f" * 43
_SECRET = "s" * 43
AUDIENCE = "https://crm.example.com"
ORIGIN = "https://shop.example.com"


@dataclass
class Whole:
    """A running desk."""

    house: House
    talks: Talks
    link: Link
    url: str
    proxy_url: str
    handovers: Handovers
    browser: aiohttp.ClientSession
    people: dict[str, Person]
    ref: str
    other: str
    calls: int = 0
    channel: str = ""
    lent: str = ""

    @property
    def prefix(self) -> str:
        return self.house.settings.redis.prefix

    async def visitor(self, role: str) -> Visitor:
        """With a session of its own."""
        if role in ("nobody", "program"):
            return Visitor(role, None, csrf=_FORM)
        if role == "element":
            self.lent = self.lent or await self._lent()
            return Visitor(role, None, self.lent, _FORM)
        person = self.people[role]
        token, session = await self.house.sessions.begin(SignedIn(person, None, time.time_ns() // 1000))  # type: ignore[misc]
        if role == "ended":
            await self.house.sessions.end(token)
        # whoever is not let in any more has a form of somebody who is not signed in
        csrf = _FORM if role in ("ended", "disabled") else session.csrf.reveal()
        return Visitor(role, person, token.reveal(), csrf)

    async def _lent(self) -> str:
        """A token for an element of the agent's, who is signed in."""
        await self.visitor("agent")
        given = {"login": self.people["agent"].login, "origin": ORIGIN}
        status, told = await self.ask(Visitor("program", None, csrf=_FORM), "POST", "/api/v1/element/token", json=given)
        assert status == 201, told
        return str(json.loads(told.rpartition("\n")[2])["token"])

    def _headers(self, visitor: Visitor) -> dict[str, str]:
        if visitor.role == "element":
            return {"Origin": ORIGIN, "Authorization": f"Bearer {visitor.token}"}
        if visitor.role == "program":
            return {"Authorization": aiohttp.encode_basic_auth("crm", _SECRET)}
        cookie = f"{FORM}={_FORM}" + (f"; {SESSION}={visitor.token}" if visitor.token else "")
        return {"Origin": self.url, "Cookie": cookie, CSRF: visitor.csrf}

    async def put(self, state: str, whose: Person) -> None:
        """The call of this person is so now; it is another one each time."""
        self.calls += 1
        self.channel = channel = f"c.{self.calls}"
        (endpoint,) = whose.endpoints
        own = Party(f"own.{self.calls}", endpoint, None, state == "held", 1.0)
        caller = Party(channel, "PJSIP/trunk", Personal(CALLER), False, 1.0, first=True)
        stranger = Party(f"s.{self.calls}", "PJSIP/trunk", Personal("+46702223344"), False, 1.0)
        others = (caller, stranger) if state == "third party" else (caller,)
        joined = state not in ("no call", "ringing", "hung up")
        self.talks.talks = {endpoint: (Talk(NODE, own, others),)} if joined else {}
        if state in ("verifying", "refused"):
            progress = round_of(NODE, channel)
            await self.house.live.begin(replace(progress, status="refused" if state == "refused" else ""))
        if state not in ("no call", "not verified", "verifying", "refused"):
            await self._mark(state, channel)

    async def _mark(self, state: str, channel: str) -> None:
        until = int(time.time()) + (-60 if state == "expired" else 600)
        ref, level = self.other if state == "other customer" else self.ref, 1 if state == "level 1" else 2
        mark = Mark(NODE, channel, ref, level, ("pin", "sms_code"), "main", until, f"nonce-{channel}")
        await self.link.ask("SET", f"{self.prefix}:mark:{NODE}:{channel}", orjson.dumps(asdict(mark)), "EX", 600)

    async def ask(self, visitor: Visitor, method: str, place: str, **given: Any) -> tuple[int, str]:
        """As that visitor's page does it: the status, and all that comes with it."""
        headers = self._headers(visitor)
        async with self.browser.request(
            method, self.url + place, headers=headers, allow_redirects=False, **given
        ) as answer:
            return answer.status, f"{answer.headers}\n{await answer.text()}"

    async def through(self, visitor: Visitor, method: str, place: str, **given: Any) -> tuple[int, str]:
        """By the proxy, to the CRM behind."""
        headers = {"Origin": self.proxy_url}
        if visitor.token and visitor.role != "element":
            bits = Secret("bits")
            host, begun = self.proxy_url.partition("://")[2], hashlib.sha256(b"bits").hexdigest()
            code = await self.handovers.keep(Secret(visitor.token), host, begun)
            token = None if code is None else await self.handovers.take(code, host, bits)
            headers["Cookie"] = f"{fields.COOKIE}={'' if token is None else token.reveal()}"
        url = self.proxy_url + place
        async with self.browser.request(method, url, headers=headers, allow_redirects=False, **given) as answer:
            return answer.status, f"{answer.headers}\n{await answer.text()}"

    async def follow(self, visitor: Visitor, place: str) -> tuple[int, str]:
        """The same for a websocket: its first word."""
        headers = self._headers(visitor)
        try:
            async with self.browser.ws_connect(self.url + place, headers=headers) as socket:
                message = await socket.receive(timeout=10)
                return 101, str(message.data)
        except aiohttp.WSServerHandshakeError as error:
            return error.status, str(error.headers)

    async def stream(self, visitor: Visitor, place: str) -> tuple[int, str]:
        """The same for an answer that goes on line by line: its first ones."""
        async with self.browser.get(self.url + place, headers=self._headers(visitor), allow_redirects=False) as answer:
            if answer.status != 200:
                return answer.status, await answer.text()
            lines = [(await answer.content.readline()).decode() for _ in range(2)]
            return answer.status, "".join(lines)


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
        f'[lock.glass]\nwaiting = 20\n[tokens]\naudiences = ["{AUDIENCE}"]\n'
        f'[clients.crm]\nsecret_file = "{secret}"\naudiences = ["{AUDIENCE}"]\norigins = ["{ORIGIN}"]\n'
        f'may = ["calls", "verify", "drop", "record"]\n'
        f'[proxy]\nlisten = "127.0.0.1:{proxy_port}"\nurl = "{proxy_url}"\nupstream = "http://127.0.0.1:{crm_port}"\n'
        f"per_minute = 100000\n{_patterns()}",
    )  # fmt: skip
    talks = Talks()

    async def nodes(*_: Any) -> dict[str, Any]:
        return {}

    async def told(*_: Any) -> Talks:
        return talks

    for process in (product, proxy):
        monkeypatch.setattr(process, "nodes_of", nodes)
        monkeypatch.setattr(process, "talks_of", told)
    monkeypatch.setattr(product, "Switch", lambda *_: FakeSwitch())
    async with house_in(settings) as house:
        people = await _people(house)
        refs = await _customers(house)
        log: Any = _Quiet()
        serving = [asyncio.create_task(one._serve(settings, one.meters_of(settings), log)) for one in (product, proxy)]
        crm = web.Server(_crm)
        runner = web.ServerRunner(crm)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", crm_port).start()
        link = Link.of(settings)
        try:
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
                for address, task in zip((url, proxy_url), serving, strict=True):
                    await _up(browser, address, task)
                handovers = Handovers(link, settings.redis.prefix, settings.desk)
                yield Whole(house, talks, link, url, proxy_url, handovers, browser, people, *refs)
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
    for role in ROLES[1:-2]:
        tenant = "acme" if role == "other tenant" else TENANT
        kind = Role(role) if role in list(Role) else Role.AGENT
        login = role.replace(" ", "-").replace("_", "-")
        async with house.database.write() as connection:
            new = NewPerson(tenant, login, Personal(f"Name of {role}"), kind, "support", (f"PJSIP/{login}",))
            found[role] = await house.roster.add(connection, new)
    # the colleague's call is the agent's own, and so that one needs no other
    async with house.database.write() as connection:
        await house.roster.disable(connection, found["disabled"])
    return found


async def _customers(house: House) -> tuple[str, str]:
    register = Register(house.vault)
    refs = []
    for number, name, phone in ((NUMBER, NAME, PHONE), ("70005678", OTHER_NAME, "+46701999777")):
        sealed = register.seal(NewCustomer(Secret(number), Personal(name), (Personal(phone),), RECORD, "sv"))
        async with house.database.write() as connection:
            assert await register.add(connection, [sealed])
        refs.append(sealed.ref)
    return refs[0], refs[1]


async def _crm(_: web.BaseRequest) -> web.StreamResponse:
    """It tells everybody everything: to keep it back is the proxy's."""
    one = {"id": NUMBER, "name": NAME, "phones": [PHONE], "cards": [{"number": "4111"}]}
    return web.json_response({**one, "items": [{"id": NUMBER, "name": NAME}]})


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
