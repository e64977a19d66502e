"""Proofs on a Redis of their own, as desk and page see them."""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDictProxy
from rig.ports import Ports
from yarl import URL

from ivr.call.proof import Keyed, Proof, Shown, Way
from ivr.config import Settings
from ivr.page.run import meters_of, opened
from ivr.page.server import PageServer
from ivr.secret import Secret
from ivr.store import pagekey
from ivr.store.link import Link
from ivr.store.opened import PageStore, new_link, rights
from ivr.store.pagekey import PageKey
from ivr.store.pages import Kept, Pages, ProofRules
from tests.contract.ari_log import Log
from tests.contract.live_server import Server

SHOWN = Shown(
    company="Acme", department="Customer service", agent="Agda", title="Case handler", about="Your invoice",
    number="+46…67", outbound=True, since=1_790_000_000, phrase="green canoe", language="en",
)  # fmt: skip
DIGITS = Secret("481650")
OTHER = Secret("000000")


def proof(
    id: str = "", *, channel: str = "1712.5", subject: str = "main:anna", seconds: int = 300, keyed: Keyed = Keyed.PAGE,
    way: Way = Way.TEXT, shown: Shown = SHOWN,
) -> Proof:  # fmt: skip
    """One that begins now."""
    return Proof(
        id or secrets.token_hex(16), "node", channel, "PJSIP/agda", "main", "person-1", subject, way, keyed,
        int(time.time()) + seconds, shown,
    )  # fmt: skip


def key_of() -> PageKey:
    """A new one."""
    return PageKey(secrets.token_bytes(32))


class Both:
    """The desk's way to a Redis, and the page's; under one key."""

    def __init__(self, server: Server, key: PageKey | None = None, rules: ProofRules | None = None) -> None:
        settings = server.settings()
        self.key = key or key_of()
        self.prefix = settings.redis.prefix
        self.links = Link.of(settings), Link.of(settings)
        self.pages = Pages(self.links[0], self.prefix, self.key, rules, settings.limits)
        self.store = PageStore(self.links[1], self.prefix, self.key)

    async def begin(
        self, one: Proof | None = None, *, digits: Secret = DIGITS, code: Secret | None = None
    ) -> tuple[Proof, Secret]:
        """One that is kept, and the end of its link."""
        one, link = one or proof(), new_link()
        assert await self.pages.open(one, digits=digits, link=link, code=code) == Kept()
        return one, link

    async def close(self) -> None:
        for link in self.links:
            await link.close()


# ---------------------------------------------------------------- the page itself

PASSWORD = "of the page's own user"
ZONE = 'timezone = "Europe/Stockholm"\n'


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    text: str


@dataclass
class House:
    """A public page on a port of its own, with the desk's way to the same Redis."""

    both: Both
    server: PageServer
    settings: Settings
    url: str
    log: Log
    redis: Server
    browser: aiohttp.ClientSession

    async def ask(
        self, path: str, method: str = "GET", *, form: dict[str, str] | None = None, **headers: str
    ) -> Answer:
        """One request, as a browser sends it; it follows no redirect."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.browser.request(
            method, URL(f"{self.url}{path}", encoded=True), data=form, headers=sent, allow_redirects=False
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    async def open(self, link: Secret) -> Answer:
        return await self.ask(at(link, "/open"), "POST", form={})

    async def key(self, link: Secret, digits: str, **headers: str) -> Answer:
        return await self.ask(at(link, "/confirm"), "POST", form={"digits": digits}, **headers)

    async def deny(self, link: Secret) -> Answer:
        return await self.ask(at(link, "/deny"), "POST", form={})

    async def stage(self, one: Proof) -> str:
        found = await self.both.pages.of(one.id)
        assert found is not None
        return found.stage


def at(link: Secret, more: str = "") -> str:
    """The path of a link."""
    return f"/p/{link.reveal()}{more}"


@asynccontextmanager
async def page(
    redis: Server, text: str = ZONE, *, brand: str = "", tls: ssl.SSLContext | None = None
) -> AsyncIterator[House]:
    """On this Redis, as its own user there; `text`: further lines of [page]; `tls`: as which it serves."""
    ports = Ports(1)
    port = ports.take()
    redis.client.execute_command(
        "ACL", "SETUSER", "tillit-page", "reset", "on", f">{PASSWORD}", *rights("tillit").split()
    )
    for name, content in (("page.password", PASSWORD.encode()), ("page.key", pagekey.line())):
        (redis.folder / name).write_bytes(content)
        (redis.folder / name).chmod(0o600)
    settings = redis.settings(
        f'[page]\nlisten = "127.0.0.1:{port}"\nurl = "http://127.0.0.1:{port}"\nkey_file = "page.key"\n'
        f'redis_password_file = "page.password"\n{text}[page.brand]\n{brand}'
    )
    log = Log()
    both = Both(redis, PageKey.open(settings))
    try:
        async with opened(settings, meters_of(settings), log.logger) as (server, _):
            await server.open("127.0.0.1", port, tls)
            try:
                async with aiohttp.ClientSession() as browser:
                    yield House(both, server, settings, f"http://127.0.0.1:{port}", log, redis, browser)
            finally:
                await server.close()
    finally:
        await both.close()
        ports.close()
