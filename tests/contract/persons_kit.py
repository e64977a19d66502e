"""People who show each other who they are: the public page, the desk's side, a Redis, BankID's and a gateway's local servers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import RSAKey
from rig.bankid import BankIdServer
from rig.ports import Ports
from yarl import URL

from ivr import sms
from ivr.call.ports import Entry
from ivr.config import Persons, Settings, load
from ivr.page.run import meters_of, opened
from ivr.persons.run import introducing
from ivr.store import pagekey
from ivr.store.introductions import Introductions, PersonPage
from ivr.store.link import Link
from ivr.store.opened import rights
from ivr.vault import Index
from ivr.vault.keys import Key
from tests.contract.ari_log import Log
from tests.contract.broker_kit import ACR, SECRET, RealBroker
from tests.contract.eid_kit import Ends, self_signed
from tests.contract.freja_server import FrejaServer
from tests.contract.live_server import Server
from tests.contract.texts_kit import tables
from tests.contract.texts_server import PASSWORD, TextsServer, elks

BROKER, LABEL = "example", "Example ID"
ASKER, OTHER = "+46701740605", "+46701740606"
KARL, KARIN = "198001012392", "199001012385"

_PAGE_PASSWORD = "of the page's own user"


@dataclass
class Answer:
    """What came back."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def said(self) -> str:
        """As people read it."""
        return unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", self.text, flags=re.DOTALL))


@dataclass
class Browser:
    """Somebody's, which follows no redirect by itself; `cookie` is what it was given by this `name`."""

    url: str
    session: aiohttp.ClientSession
    cookie: str | None = None
    lines: dict[str, str] = field(default_factory=dict)
    name: str = "__Host-person"

    async def ask(self, path: str, form: dict[str, str] | None = None, method: str = "", **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie is not None:
            sent["Cookie"] = f"{self.name}={self.cookie}"
        async with self.session.request(
            method or ("GET" if form is None else "POST"), URL(f"{self.url}{path}", encoded=True), data=form, headers=sent,
            allow_redirects=False,
        ) as answer:  # fmt: skip
            if found := re.match(rf"{self.name}=([\w-]{{22}});", answer.headers.get("Set-Cookie", "")):
                self.cookie = found[1]
                self.lines["cookie"] = answer.headers["Set-Cookie"]
            return Answer(answer.status, await answer.text(), dict(answer.headers))

    async def send(self, path: str, *, language: str = "en", **form: str) -> Answer:
        """A form, and the page behind it."""
        answer = await self.ask(path, form, Accept_Language=language)
        if answer.status == 303:
            return await self.ask(answer.headers["Location"])
        return answer

    async def until(self, text: str, path: str = "/person/now") -> Answer:
        """Ask for it anew until it says this."""
        async with asyncio.timeout(20):
            while True:
                answer = await self.ask(path)
                if text in answer.said:
                    return answer
                await asyncio.sleep(0.02)

    async def begin(self, own: str = ASKER, other: str = OTHER, start: str = "bankid.here", **more: str) -> Answer:
        return await self.send("/person/begin", own=own, other=other, start=start, **more)


class Trail:
    """`call.ports.Trail` that tells what it was given."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.fault: Exception | None = None

    async def append(self, entry: Entry) -> str:
        if self.fault is not None:
            raise self.fault
        self.entries.append(entry)
        return entry.outcome


def site_of(answer: Answer) -> str:
    """The broker's address, as the page leads to it."""
    found = re.search(r'<a class="button" href="([^"]+)"', answer.text)
    assert found is not None, answer.said
    return unescape(found[1])


async def at_broker(broker: RealBroker, url: str, link: str, **said: object) -> str:
    """Somebody goes there, and does that; the address of the page, without its host, that they are sent back to."""
    await asyncio.to_thread(broker.next, page=True, **{"how": "approve", "acr": "urn:level:high", **said})
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        for _ in range(10):
            async with browser.get(URL(link, encoded=True), allow_redirects=False) as answer:
                assert answer.status in (302, 303), await answer.text()
                link = urljoin(link, answer.headers["Location"])
            if link.startswith(f"{url}/back?"):
                return link.removeprefix(url)
    raise AssertionError("it never came back")


@dataclass
class People:
    """All of it."""

    settings: Settings
    url: str
    redis: Server
    bankid: BankIdServer
    provider: TextsServer
    gateway: TextsServer
    trail: Trail
    log: Log
    page_log: Log
    store: PersonPage
    """What the page does with Redis, for who has broken into it."""
    introductions: Introductions
    stack: AsyncExitStack
    freja: FrejaServer | None = None

    async def browser(self) -> Browser:
        return Browser(self.url, await self.stack.enter_async_context(aiohttp.ClientSession()))

    async def text(self, count: int) -> dict[str, str]:
        """The so-many-th message, as the gateway was given it."""
        return (await self.gateway.until_asked(count)).form

    def identify(self, who: str, count: int = -1, *, name: str = "") -> str:
        """Somebody does so in the app; the address that it then opens, where it was opened on the same device."""
        placed = self.bankid.orders[count]
        placed.user, placed.status = who, "complete"
        placed.data = {"user": {"personalNumber": who, "name": name, "givenName": name, "surname": ""}} if name else {}
        return str(placed.body.get("returnUrl", "")).removeprefix(self.url)

    async def identified(self, browser: Browser, who: str, *, name: str = "") -> Answer:
        """The latest order, by the one before this browser, on the same device."""
        back = self.identify(who, name=name)
        assert re.fullmatch(r"/person/back/[\w-]{22}", back)
        assert "Go on" in (await browser.ask(back)).said
        return await browser.send(back)

    async def asked(self, *, name: str = "Karl Canaryson") -> tuple[Browser, str]:
        """Somebody has asked; the browser, and the path of the other's link."""
        browser = await self.browser()
        await browser.begin()
        await self.identified(browser, KARL, name=name)
        await browser.until("Is it your number?")
        sent = await self.text(len(self.gateway.asked))
        await browser.send("/person/code", code=code_of(sent["message"]))
        await browser.until("The text is on its way")
        return browser, link_of((await self.text(len(self.gateway.asked)))["message"])


def code_of(message: str) -> str:
    found = re.search(r"\b(\d{6})\b", message)
    assert found is not None, message
    return found[1]


def link_of(message: str) -> str:
    found = re.search(r"(/i/[\w-]{22})$", message)
    assert found is not None, message
    return found[1]


@asynccontextmanager
async def people(
    redis: Server, folder: Path, text: str = "", *, per_minute: int = 6000, per_address: int = 100_000, begun_of_one: int = 1000,
    eids: str = 'eids = ["bankid"]', tables: str = "", shown: Persons | None = None, **how: float,
) -> AsyncIterator[People]:  # fmt: skip
    """`text`: further lines of [persons]; `per_minute`, `per_address`: of [page]; `begun_of_one`: from one address in an hour; `tables`: further ones, behind all; `shown`: what the page has in [persons]'s stead; `how`: as of `introducing`."""
    async with AsyncExitStack() as stack:
        ports = Ports(1)
        stack.callback(ports.close)
        port = ports.take()
        url = f"http://127.0.0.1:{port}"
        ends, bankid = Ends(folder), BankIdServer()
        provider = await stack.enter_async_context(TextsServer(bankid, ends.tls()))
        gateway = await stack.enter_async_context(TextsServer(elks))
        freja = None
        if '"freja"' in eids:
            freja, table = await stack.enter_async_context(_freja(folder, ends))
            tables += table
        paces = per_minute, per_address, begun_of_one
        settings = _settings(redis, folder, ends, url, port, provider, gateway, f"{eids}\n{text}", paces, tables)
        redis.client.execute_command(
            "ACL", "SETUSER", "tillit-page", "reset", "on", f">{_PAGE_PASSWORD}", *rights("tillit").split()
        )
        log, page_log, trail = Log(), Log(), Trail()
        ours = settings if shown is None else settings.model_copy(update={"persons": shown})
        server, _ = await stack.enter_async_context(opened(ours, meters_of(settings), page_log.logger))
        await server.open("127.0.0.1", port, None)
        stack.push_async_callback(server.close)
        link = Link.of(settings)
        stack.push_async_callback(link.close)
        gateways = sms.in_turn(settings, log.logger)
        stack.push_async_callback(gateways.close)
        await stack.enter_async_context(
            introducing(
                settings,
                link=link,
                texts=sms.texts(settings, log.logger, gateways),
                trail=trail,
                index=Index(Key("0a0b0c0d", bytes(range(32)))),
                log=log.logger,
                **{"tick": 0.02, "poll": 0.02, **how},
            )
        )
        key, prefix = pagekey.PageKey.open(settings), settings.redis.prefix
        store = PersonPage(link, prefix, key)
        introductions = Introductions(link, prefix, key, settings.persons, settings.limits)
        yield People(
            settings, url, redis, bankid, provider, gateway, trail, log, page_log, store, introductions, stack, freja
        )


@asynccontextmanager
async def _freja(folder: Path, ends: Ends) -> AsyncIterator[tuple[FrejaServer, str]]:
    """Freja, and the settings of it."""
    key = rsa.generate_private_key(65537, 2048)
    pinned = folder / "freja-results.pem"
    pinned.write_bytes(self_signed(key).public_bytes(Encoding.PEM))
    api = FrejaServer(RSAKey.import_key(key))
    async with TextsServer(api, ends.tls()) as server:
        own = {**_ends(ends), "url": server.url, "signing_certificate_file": str(pinned)}
        yield api, "[eid.freja]\n" + "".join(f"{name} = {_toml(value)}\n" for name, value in own.items())


def _ends(ends: Ends) -> dict[str, object]:
    return {
        "certificate_file": str(ends.client.chain), "key_file": str(ends.client.key), "ca_file": str(ends.theirs.file),
        "allow_private": ["127.0.0.1"],
    }  # fmt: skip


def _settings(
    redis: Server, folder: Path, ends: Ends, url: str, port: int, provider: TextsServer, gateway: TextsServer, text: str,
    paces: tuple[int, int, int], more: str,
) -> Settings:  # fmt: skip
    for name, content in (
        ("page.password", _PAGE_PASSWORD.encode()), ("page.key", pagekey.line()), ("password", PASSWORD.encode()),
        ("broker.secret", SECRET.encode()),
    ):  # fmt: skip
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    elks_table = "".join(
        f"{name} = {_toml(value)}\n" for name, value in tables("46elks", gateway.url)["texts.46elks"].items()
    )
    own = {**_ends(ends), "url": f"{provider.url}/rp/v6.0"}
    bankid_table = "".join(f"{name} = {_toml(value)}\n" for name, value in own.items())
    file = folder / "tillit.toml"
    file.write_text(
        f"""
[company]
name = "Acme"
country = "SE"
language = "en"
[redis]
url = "unix://{redis.socket}"
[page]
listen = "127.0.0.1:{port}"
url = "{url}"
key_file = "page.key"
redis_password_file = "page.password"
timezone = "Europe/Stockholm"
per_address_minute = {paces[1]}
per_minute = {paces[0]}
[persons]
begun_of_one_per_hour = {paces[2]}
{text}
[texts]
gateway = "46elks"
[texts.46elks]
{elks_table}
[eid.bankid]
{bankid_table}
[policies.usual]
steps = ["pin"]
level = 1
{more}
"""
    )
    return load(file)


def broker_table(issuer: str, **own: object) -> str:
    """The settings of the broker that is called `BROKER`."""
    fields: dict[str, object] = {
        "issuer": issuer, "client_id": "tillit", "client_secret_file": "broker.secret", "claim": "personal_number",
        "allow_private": ["127.0.0.1", "::1"], "acr": dict(ACR), **own,
    }  # fmt: skip
    return f"[eid.brokers.{BROKER}]\n" + "".join(f"{name} = {_toml(value)}\n" for name, value in fields.items())


def with_broker(*eids: str) -> str:
    """The lines of [persons] with this one besides."""
    return f'eids = {_toml([*eids, BROKER])}\nlabels = {{{BROKER} = "{LABEL}"}}'


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{name}" = {_toml(one)}' for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'
