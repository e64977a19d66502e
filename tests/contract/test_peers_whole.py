"""Two organisations with all that each of them runs: two desks, two public pages, two Redis, two databases, over HTTP and TLS.

What is not there is Asterisk, who talks with whom says the test; and the DNS.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from rig.ports import Ports

from ivr import desk, front
from ivr.call.ports import Party, Talk
from ivr.config import Settings
from ivr.lock import wiring
from ivr.page import run as page
from ivr.peers import directory, keys, letter, wellknown
from ivr.peers.fetch import Fetcher
from ivr.peers.letter import Ends, Letter
from ivr.secret import Personal, Secret
from ivr.staff import Person, SignedIn
from ivr.store import pagekey
from ivr.store.opened import rights
from ivr.vault.tokens import TokenKey
from ivr.web.visit import CSRF, SESSION
from tests.contract.ari_log import Log, wait_for
from tests.contract.desk_kit import House, house_in, settings_of
from tests.contract.live_server import Server
from tests.contract.lock_kit import NODE, FakeSwitch
from tests.contract.matrix_calls import Talks
from tests.contract.peers_kit import Internet
from tests.unit.database_kit import asked, settings_in

pytestmark = pytest.mark.servers

WARD, OFFICE = "+46812345678", "+46831112222"
PASSWORD = "of the page's own user"
TEXT = """
[desk]
listen = "127.0.0.1:{desk}"
url = "http://localhost:{desk}"
[desk.password]
scrypt_p = 1
[texts]
gateway = "outbox"
[page]
listen = "127.0.0.1:{page}"
url = "https://id.{domain}"
key_file = "page.key"
redis_password_file = "page.password"
tls_certificate_file = "page.pem"
tls_key_file = "page-key.pem"
[peers]
domain = "{domain}"
key_file = "peers.key"
departments = ["Ward 4"]
numbers = ["{number}"]
allow = "any"
ca_file = "{folder}/ca.pem"
allow_private = ["127.0.0.1"]
"""


@dataclass
class Running:
    """An organisation, with an agent who is signed in and on a call."""

    domain: str
    settings: Settings
    house: House
    talks: Talks
    log: Log
    person: Person
    url: str
    browser: aiohttp.ClientSession
    cookie: str = ""
    csrf: str = ""
    channel: str = ""

    async def sign_in(self) -> None:
        begun = await self.house.sessions.begin(SignedIn(self.person, None, time.time_ns() // 1000))
        token, session = begun  # type: ignore[misc]
        self.cookie, self.csrf = token.reveal(), session.csrf.reveal()

    def call(self, other: str, *, outbound: bool, began: int) -> None:
        """The agent talks with this number, whom she has called, or who has called."""
        self.channel = f"{began}.7"
        (endpoint,) = self.person.endpoints
        own = Party("own", endpoint, None, False, 1.0, outbound)
        party = Party(self.channel, "PJSIP/trunk", Personal(other), False, 1.0, not outbound)
        self.talks.talks[endpoint] = (Talk(NODE, own, (party,)),)

    async def ask(self, path: str, given: dict[str, str]) -> tuple[int, Any]:
        """As the agent's page does it."""
        call = self.house.vault.index.call(NODE, self.channel)
        headers = {"Origin": self.url, "Cookie": f"{SESSION}={self.cookie}", CSRF: self.csrf}
        async with self.browser.post(f"{self.url}/api/v1/calls/{call}/{path}", json=given, headers=headers) as answer:
            return answer.status, await answer.json()

    async def prove(self, domain: str) -> str:
        """The digits that she says."""
        status, told = await self.ask("peer", {"domain": domain, "department": "Ward 4"})
        assert (status, told["domain"]) == (200, domain), told
        return str(told["code"])

    async def came(self, count: int = 1, event: str = "peer.received") -> None:
        """Wait until so many letters have come in: the digits are said meanwhile."""
        await wait_for(lambda: len(self.log.of(event)) >= count, event)

    async def rows(self) -> list[tuple[str, str]]:
        """Action and outcome."""
        query = "SELECT action, outcome FROM audit WHERE action LIKE 'peer.%' ORDER BY seq"
        return [tuple(row) for row in await asked(self.house.database, query)]


@asynccontextmanager
async def running(
    internet: Internet, domain: str, number: str, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    """The product as `ari_app.py desk` and `ari_app.py page` run it, each with its own user at Redis."""
    folder = internet.folder / domain
    folder.mkdir()
    at, page_at = ports.take(), ports.take()
    issued = internet.ca.issue_cert(domain, f"id.{domain}")
    issued.cert_chain_pems[0].write_to_path(folder / "page.pem")
    for name, content in (
        ("page.password", PASSWORD.encode()), ("page.key", pagekey.line()), ("page-key.pem", issued.private_key_pem.bytes())
    ):  # fmt: skip
        (folder / name).touch(0o600)
        (folder / name).write_bytes(content)
    text = TEXT.format(desk=at, page=page_at, domain=domain, number=number, folder=internet.folder)
    talks, log = Talks(), Log()
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(Server())
        settings = settings_of(settings_in(folder), redis, text)
        own = ("on", f">{PASSWORD}", *rights(settings.redis.prefix).split())
        redis.client.execute_command("ACL", "SETUSER", "tillit-page", "reset", *own)
        keys.create(settings)
        house = await stack.enter_async_context(house_in(settings))
        person = await house.add("anna", "PJSIP/anna")

        async def nodes(*_: Any) -> dict[str, Any]:
            return {}

        async def told(*_: Any) -> Talks:
            return talks

        monkeypatch.setattr(front, "nodes_of", nodes)
        monkeypatch.setattr(front, "talks_of", told)
        monkeypatch.setattr(front, "Switch", lambda *_: FakeSwitch())
        processes = [
            asyncio.create_task(one._serve(settings, one.meters_of(settings), log.logger)) for one in (desk, page)
        ]
        try:
            browser = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
            for event in ("desk.started", "page.started"):
                await until_up(log, event, processes)
            internet.names.leads |= dict.fromkeys((domain, f"id.{domain}"), ("127.0.0.1", page_at))
            made = Running(domain, settings, house, talks, log, person, f"http://localhost:{at}", browser)
            await made.sign_in()
            yield made
        finally:
            for task in processes:
                task.cancel()
            await asyncio.gather(*processes, return_exceptions=True)


async def until_up(log: Log, event: str, processes: list[asyncio.Task[None]]) -> None:
    def is_up() -> bool:
        for task in processes:
            if task.done():
                task.result()
        return bool(log.of(event))

    await wait_for(is_up, event, 20.0)


@asynccontextmanager
async def outside(internet: Internet) -> AsyncIterator[aiohttp.ClientSession]:
    """Anybody on the internet."""
    trusted = ssl.create_default_context(cafile=str(internet.folder / "ca.pem"))
    connector = aiohttp.TCPConnector(ssl=trusted, resolver=internet.names)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


@pytest.fixture
async def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Internet, Running, Running]]:
    """A hospital, which calls, and a social services office; neither has heard of the other."""
    internet = Internet(tmp_path)

    class Named(Fetcher):
        @classmethod
        def of(cls, settings: Settings, log: Any, _: Any = None) -> Named:
            return super().of(settings, log, internet.names)

    monkeypatch.setattr(wiring, "Fetcher", Named)
    with closing(Ports()) as ports:
        async with (
            running(internet, "hospital.example", WARD, ports, monkeypatch) as hospital,
            running(internet, "office.example", OFFICE, ports, monkeypatch) as office,
        ):
            now = int(time.time())
            hospital.call(OFFICE, outbound=True, began=now - 20)
            office.call(WARD, outbound=False, began=now - 17)
            yield internet, hospital, office


def from_the_hospital() -> Letter:
    """A letter as it would write it."""
    now = time.time()
    return Letter.new(
        "hospital.example", "office.example", Ends(outbound=True, began=int(now) - 20, dialled=OFFICE), now,
        organisation="The hospital", department="Ward 4", person="Anna", about="",
    )  # fmt: skip


def named_as(text: str, kid: str) -> str:
    """The same, and says that this key has signed it."""
    head = json.dumps({"alg": "EdDSA", "kid": kid, "typ": letter.KIND}).encode()
    return ".".join((base64.urlsafe_b64encode(head).rstrip(b"=").decode(), *text.split(".")[1:]))


async def test_two_instances_prove_themselves_to_each_other(both: tuple[Internet, Running, Running]) -> None:
    _, hospital, office = both
    code = await hospital.prove("office.example")
    await office.came()
    status, told = await office.ask("peer/read", {"code": code})
    assert (status, told["domain"], told["organisation"], told["department"]) == (
        200, "hospital.example", hospital.settings.company.name, "Ward 4",
    )  # fmt: skip
    back = await office.prove("hospital.example")
    await hospital.came()
    status, told = await hospital.ask("peer/read", {"code": back})
    assert (status, told["domain"]) == (200, "office.example")
    # good once
    assert (await hospital.ask("peer/read", {"code": back}))[1]["reason"] == "no_letter"
    assert await hospital.rows() == [("peer.prove", "sent"), ("peer.read", "proven"), ("peer.read", "refused")]
    assert await office.rows() == [("peer.read", "proven"), ("peer.prove", "sent")]
    logged = json.dumps([one.log.lines for one in (hospital, office)], default=str)
    assert code not in logged
    assert back not in logged


async def test_a_forged_domain_is_refused(both: tuple[Internet, Running, Running]) -> None:
    """Somebody says on the phone to be the hospital, and sends a letter in its name, with digits of his own."""
    internet, hospital, office = both
    made = from_the_hospital()
    text = letter.sign(made, TokenKey.new()).reveal()
    kid = keys.OwnKeys.open(hospital.settings).key.id
    async with outside(internet) as anybody:
        for forged in (text, named_as(text, kid)):
            sent = await anybody.post("https://office.example/in/peers", data=forged)
            # whoever sends it is told nothing
            assert sent.status == 204
    await office.came(2, "peer.refused")
    assert {line["outcome"] for line in office.log.of("peer.refused")} == {"forged"}
    status, told = await office.ask("peer/read", {"code": made.code.reveal()})
    assert (status, told["reason"]) == (403, "no_letter")


async def test_a_domain_that_somebody_else_answers_for_is_refused(
    both: tuple[Internet, Running, Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hospital is known by its key; then its name leads to another, which has a certificate of it as well."""
    internet, hospital, office = both
    code = await hospital.prove("office.example")
    await office.came()
    assert (await office.ask("peer/read", {"code": code}))[0] == 200
    # a letter of a key that is not known has the document read anew, half a minute later at the soonest
    monkeypatch.setattr(directory, "_AGAIN", 0)
    (hospital.settings.file.parent / "peers.key").unlink()
    keys.create(hospital.settings)
    own = keys.OwnKeys.open(hospital.settings)
    document = wellknown.document(hospital.settings, own, time.time())
    redis = f"{hospital.settings.redis.prefix}:page:wellknown"
    await hospital.house.live._link.ask("SET", redis, document)
    async with outside(internet) as anybody:
        text = letter.sign(replace(from_the_hospital(), code=Secret("135790")), own.key)
        assert (await anybody.post("https://office.example/in/peers", data=text.reveal())).status == 204
    await office.came(1, "peer.changed")
    assert (await office.ask("peer/read", {"code": "135790"}))[1]["reason"] == "no_letter"
    status, told = await office.ask("peer", {"domain": "hospital.example"})
    assert (status, told["reason"]) == (403, "peer_changed")


async def test_the_page_gives_nothing_else_by_the_domains_own_name(both: tuple[Internet, Running, Running]) -> None:
    internet, _, _ = both
    async with outside(internet) as anybody:
        async with anybody.get(f"https://office.example{wellknown.PATH}") as answer:
            body = await answer.read()
            assert answer.status == 200
            assert isinstance(wellknown.read(body, "office.example", time.time()), wellknown.Published)
        async with anybody.get("https://office.example/") as answer:
            assert answer.status == 421
