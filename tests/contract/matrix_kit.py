"""The whole desk in this process, on a real database and a real Redis; who talks with whom is set by the test, as Asterisk would tell it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import aiohttp
import orjson
import pytest

from ivr import desk as product
from ivr.call.mark import Mark
from ivr.call.ports import Party, Talk
from ivr.secret import Personal, Secret
from ivr.staff import TENANT, Person, Role, SignedIn
from ivr.store.link import Link
from ivr.store.register import NewCustomer, Register
from ivr.store.roster import NewPerson
from ivr.web.visit import CSRF, FORM, SESSION
from tests.contract.desk_kit import House, house_in, settings_of
from tests.contract.live_server import Server, round_of
from tests.contract.lock_kit import FakeSwitch, FakeTalks
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
)  # fmt: skip
"""`colleague`: an agent, while the call is another one's of the same team. `ended`: an agent whose session was ended."""
READERS = frozenset({"agent", "supervisor", "other tenant"})
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


@dataclass
class Whole:
    """A running desk."""

    house: House
    talks: Talks
    link: Link
    url: str
    browser: aiohttp.ClientSession
    people: dict[str, Person]
    ref: str
    other: str
    calls: int = 0
    channel: str = ""
    wishes: list[str] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        return self.house.settings.redis.prefix

    async def visitor(self, role: str) -> Visitor:
        """With a session of its own."""
        if role == "nobody":
            return Visitor(role, None, csrf=_FORM)
        person = self.people[role]
        token, session = await self.house.sessions.begin(SignedIn(person, None, time.time_ns() // 1000))  # type: ignore[misc]
        if role == "ended":
            await self.house.sessions.end(token)
        # whoever is not let in any more has a form of somebody who is not signed in
        csrf = _FORM if role in ("ended", "disabled") else session.csrf.reveal()
        return Visitor(role, person, token.reveal(), csrf)

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
        cookie = f"{FORM}={_FORM}" + (f"; {SESSION}={visitor.token}" if visitor.token else "")
        headers = {"Origin": self.url, "Cookie": cookie, CSRF: visitor.csrf}
        async with self.browser.request(
            method, self.url + place, headers=headers, allow_redirects=False, **given
        ) as answer:
            return answer.status, f"{answer.headers}\n{await answer.text()}"

    async def follow(self, visitor: Visitor, place: str) -> tuple[int, str]:
        """The same for a websocket: its first word."""
        headers = {"Origin": self.url, **({"Cookie": f"{SESSION}={visitor.token}"} if visitor.token else {})}
        try:
            async with self.browser.ws_connect(self.url + place, headers=headers) as socket:
                message = await socket.receive(timeout=10)
                return 101, str(message.data)
        except aiohttp.WSServerHandshakeError as error:
            return error.status, str(error.headers)


@asynccontextmanager
async def whole(base: Any, server: Server, port: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Whole]:
    """The product as `ari_app.py desk` runs it, but for Asterisk."""
    url = f"http://127.0.0.1:{port}"
    settings = settings_of(
        base, server, f'[desk]\nlisten = "127.0.0.1:{port}"\nurl = "{url}"\n[desk.password]\nscrypt_p = 1\n'
        "[desk.requests]\nper_minute = 100000\nstrangers_per_minute = 100000\n[desk.sign_in]\naddress_in_a_row = 1000\nall = 100000\n"
        "[lock.glass]\nwaiting = 20\n",
    )  # fmt: skip
    talks = Talks()

    async def nodes(*_: Any) -> dict[str, Any]:
        return {}

    async def told(*_: Any) -> Talks:
        return talks

    monkeypatch.setattr(product, "_nodes", nodes)
    monkeypatch.setattr(product, "_talks", told)
    monkeypatch.setattr(product, "Switch", lambda *_: FakeSwitch())
    async with house_in(settings) as house:
        people = await _people(house)
        refs = await _customers(house)
        log: Any = _Quiet()
        serving = asyncio.create_task(product._serve(settings, log))
        link = Link.of(settings)
        try:
            async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
                await _up(browser, url, serving)
                yield Whole(house, talks, link, url, browser, people, *refs)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await link.close()


async def _up(browser: aiohttp.ClientSession, url: str, serving: asyncio.Task[None]) -> None:
    async with asyncio.timeout(20):
        while True:
            if serving.done():
                serving.result()
            try:
                async with browser.get(f"{url}/healthz"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)


async def _people(house: House) -> dict[str, Person]:
    found = {}
    for role in ROLES[1:]:
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


class _Quiet:
    """A log of which nothing is kept."""

    def bind(self, **_: Any) -> _Quiet:
        return self

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None
