"""A desk and an OpenID provider, and browsers that go between them."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import aiohttp
import pytest
import trustme

from ivr.oidc import Provider
from ivr.staff import TENANT, Person
from ivr.web.visit import SESSION
from tests.contract.desk_kit import House
from tests.contract.live_server import Server
from tests.contract.openid_provider import CLIENT, SECRET, OpenIdProvider, provider
from tests.contract.signin_kit import Site, free_port, site
from tests.contract.web_kit import Jar
from tests.unit.conftest import Either

AUTHORITY = trustme.CA(key_type=trustme.KeyType.ECDSA)
TRUSTING = ssl.create_default_context()
AUTHORITY.configure_trust(TRUSTING)


@dataclass
class Visitor:
    """A browser, in which somebody is signed in at the provider."""

    desk: Site
    jar: Jar = field(default_factory=lambda: Jar(unsafe=True))

    async def begin(self, goal: str = "") -> str:
        """The address at the provider."""
        async with self.browser() as browser:
            page = await (await browser.get(f"{self.desk.url}/sign-in", params={"for": goal})).text()
            csrf = re.search(r'name="csrf" value="([^"]+)"', page)
            assert csrf is not None and "Sign in with The company" in page
            answer = await browser.post(
                f"{self.desk.url}/sign-in/provider",
                data={"csrf": csrf[1], "for": goal},
                headers={"Origin": self.desk.url},
            )
            self.status, self.text = answer.status, await answer.text()
            found = re.search(r'content="0;url=([^"]+)"', self.text)
            return unescape(found[1]) if found else ""

    async def there(self, address: str) -> str:
        """Signs in there; where one is sent back to."""
        async with self.browser() as browser:
            answer = await browser.get(address, allow_redirects=False)
            return answer.headers["Location"]

    async def back(self, address: str) -> int:
        """What the desk says to that."""
        async with self.browser() as browser:
            answer = await browser.get(address, allow_redirects=False, headers={"Sec-Fetch-Site": "cross-site"})
            self.status, self.text = answer.status, await answer.text()
            return answer.status

    async def signs_in(self, goal: str = "") -> int:
        """All of it."""
        return await self.back(await self.there(await self.begin(goal)))

    async def get(self, path: str) -> tuple[int, str, str]:
        """As the person opens a page: status, where to, text."""
        async with self.browser() as browser:
            answer = await browser.get(f"{self.desk.url}{path}", allow_redirects=False)
            return answer.status, answer.headers.get("Location", ""), await answer.text()

    async def send(self, path: str, **form: str) -> tuple[int, str, str]:
        """As the account's page does it."""
        csrf = re.search(r'name="csrf" value="([^"]+)"', (await self.get("/account"))[2])
        async with self.browser() as browser:
            given = {"csrf": "" if csrf is None else csrf[1], **form}
            where = f"{self.desk.url}{path}"
            answer = await browser.post(where, data=given, headers={"Origin": self.desk.url}, allow_redirects=False)
            return answer.status, answer.headers.get("Location", ""), await answer.text()

    @property
    def in_(self) -> bool:
        """Whether somebody is signed in here."""
        return any(cookie.key == SESSION and cookie.value for cookie in self.jar)

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[aiohttp.ClientSession]:
        session = aiohttp.ClientSession(cookie_jar=self.jar, connector=aiohttp.TCPConnector(ssl=TRUSTING))
        try:
            yield session
        finally:
            await session.connector.close()  # type: ignore[union-attr]
            session.detach()


@dataclass
class World:
    """A desk and its provider."""

    desk: Site
    op: OpenIdProvider

    @property
    def house(self) -> House:
        return self.desk.house

    def visitor(self) -> Visitor:
        return Visitor(self.desk)

    @property
    def provider(self) -> Provider:
        """The desk's own end of it."""
        assert self.desk.web.elsewhere is not None
        return self.desk.web.elsewhere.provider

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """The least time that the settings may give it to answer: too little on a busy machine, but for a test of that."""
        before = self.provider.rules
        self.provider.rules = before.model_copy(update={"request_seconds": 0.5})
        yield
        self.provider.rules = before

    async def linked(self, login: str = "anna", tenant: str = TENANT) -> Person:
        person = await self.house.enrolled(login, tenant=tenant)
        assert self.desk.web.elsewhere is not None
        assert await self.desk.web.elsewhere.identities.link(person, self.op.issuer, self.op.subject())
        return person

    async def refusals(self) -> list[str]:
        return [line["why"] for line in self.desk.log.lines if line["event"] == "oidc.refused"]


Opened = Callable[..., Any]


@pytest.fixture
def opened(sqlite: Either, server: Server) -> Opened:
    @asynccontextmanager
    async def made(more: str = "", trusted: trustme.CA = AUTHORITY) -> AsyncIterator[World]:
        port, theirs = free_port(), free_port()
        base = sqlite()
        secret = base.file.parent / "oidc.secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        trusted.cert_pem.write_to_path(str(secret.parent / "ca.pem"))
        text = (
            f'[desk.oidc]\nca_file = "ca.pem"\nissuer = "https://127.0.0.1:{theirs}"\nname = "The company"\nclient_id = "{CLIENT}"\n'
            f'client_secret_file = "oidc.secret"\nrequest_seconds = 20.0\n{more}'
        )
        async with (
            provider(theirs, f"http://localhost:{port}/sign-in/provider", AUTHORITY) as op,
            site(base, server, text, port=port) as desk,
        ):
            yield World(desk, op)

    return made


@pytest.fixture
async def world(opened: Opened) -> AsyncIterator[World]:
    async with opened() as made:
        yield made
