"""Organisations with a Tillit of their own: each with its domain, certificate, Redis and database, on ports of this machine."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from ivr.call.ports import Party, Talk
from ivr.config import Settings
from ivr.lock.judge import Judge
from ivr.lock.peering import Arrived, Peering, Proven, Sent
from ivr.lock.rows import Rows
from ivr.lock.whom import Whom
from ivr.peers import keys, wellknown
from ivr.peers.directory import Directory
from ivr.peers.fetch import Fetcher
from ivr.peers.keys import OwnKeys
from ivr.secret import Personal, Secret
from ivr.staff import Permission
from ivr.store.letters import LetterBox
from ivr.store.peers import StoredPeers
from tests.contract.live_server import Server
from tests.contract.lock_kit import ANNA, NODE, Desk, desk_of
from tests.unit.database_kit import settings_in

NOON = 1_800_000_000


@dataclass
class Clock:
    now: float = NOON

    def __call__(self) -> float:
        return self.now


class Names(AbstractResolver):
    """The DNS: each name leads to the port of its organisation, or to any address that a test says."""

    def __init__(self) -> None:
        self.leads: dict[str, tuple[str, int]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if host not in self.leads:
            raise OSError("unknown")
        address, at = self.leads[host]
        return [
            ResolveResult(hostname=host, host=address, port=at, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST)
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing is open."""


@dataclass
class Internet:
    """What all of them share."""

    folder: Path
    names: Names = field(default_factory=Names)
    clock: Clock = field(default_factory=Clock)
    ca: trustme.CA = field(default_factory=trustme.CA)

    def __post_init__(self) -> None:
        self.ca.cert_pem.write_to_path(self.folder / "ca.pem")

    def certificate(self, *names: str) -> ssl.SSLContext:
        """Of a server by these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names).configure_cert(context)
        return context

    @asynccontextmanager
    async def served(self, app: web.Application, *names: str, named: bool = True) -> AsyncIterator[int]:
        """A server with a certificate of these names, which lead to it; its port."""
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.certificate(*names)).start()
        port: int = runner.addresses[0][1]
        if named:
            self.names.leads |= dict.fromkeys(names, ("127.0.0.1", port))
        try:
            yield port
        finally:
            await runner.cleanup()


@dataclass
class Organisation:
    """One of them, with an agent, Anna, on a call."""

    internet: Internet
    domain: str
    settings: Settings
    desk: Desk
    box: LetterBox
    stored: StoredPeers
    fetcher: Fetcher
    directory: Directory
    peering: Peering
    own: OwnKeys
    port: int = 0
    asked: int = 0
    """How often its document was asked for."""
    letters: list[Secret] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)
    body: str | None = None
    """Published in the document's stead."""

    def anew(self) -> None:
        """A desk that has been started anew: it reads its key, and remembers nothing."""
        self.own = OwnKeys.open(self.settings)
        self.directory = Directory(self.fetcher, self.stored, self.desk.log, clock=self.internet.clock)  # type: ignore[arg-type]
        log: Any = self.desk.log
        rows = Rows(self.desk.trail, log)
        judge: Any = Judge(self.desk.talks, self.desk.staff, self.desk.live, None, log)  # type: ignore[arg-type]
        whom = Whom(judge, rows, self.desk.vault.index, log, Permission.PROVE, "peer")
        self.peering = Peering(
            self.settings,
            self.own,
            self.directory,
            self.fetcher,
            self.box,
            self.stored,
            whom,
            rows,
            log,
            wall=self.internet.clock,
        )

    async def document(self, _: web.Request) -> web.Response:
        self.asked += 1
        body = self.body or wellknown.document(self.settings, self.own, self.internet.clock())
        return web.Response(text=body, content_type="application/json")

    async def taken(self, request: web.Request) -> web.Response:
        letter = Secret(await request.text())
        self.letters.append(letter)
        self.arrived.append(await self.peering.arrived(letter))
        return web.Response(status=204)

    def call(self, other: str, *, outbound: bool, began: int | None = None, channel: str = "") -> None:
        """Anna talks with this number, whom she has called, or who has called."""
        channel = channel or f"{int(self.internet.clock()) if began is None else began}.7"
        party = Party(channel, "PJSIP/trunk", Personal(other), False, 1.0, not outbound)
        self.desk.talks.talks["PJSIP/anna"] = (
            Talk(NODE, Party("own", "PJSIP/anna", None, False, 1.0, outbound), (party,)),
        )
        self.channel = channel

    async def prove(self, domain: str, **more: str) -> Sent:
        found = await self.peering.prove(ANNA, self.desk.id(self.channel), domain, **more)
        assert isinstance(found, Sent), found
        return found

    async def read(self, code: Secret) -> Any:
        return await self.peering.read(ANNA, self.desk.id(self.channel), code)

    async def shown(self, code: Secret) -> Proven:
        found = await self.read(code)
        assert isinstance(found, Proven), found
        return found


TEXT = """[peers]
domain = "{domain}"
key_file = "peers.key"
departments = ["Ward 4", "Casualty"]
numbers = [{number}]
allow = {allow}
ca_file = "{folder}/ca.pem"
allow_private = ["127.0.0.1"]
seconds = 3
"""


@asynccontextmanager
async def organisation(
    internet: Internet, domain: str, number: str, allow: str = '"any"', *, answers: tuple[str, ...] = ()
) -> AsyncIterator[Organisation]:
    """It runs, and its domain leads to it. `number`: empty where it tells of none."""
    with Server() as redis:
        folder = internet.folder / domain
        folder.mkdir()
        settings = settings_in(
            folder,
            TEXT.format(domain=domain, number=f'"{number}"' if number else "", allow=allow, folder=internet.folder),
        )
        settings = settings.model_copy(
            update={"company": settings.company.model_copy(update={"name": f"The {domain}"})}
        )
        settings.read_from(folder / "tillit.toml")
        keys.create(settings)
        async with desk_of(settings, redis) as desk:
            box = LetterBox(desk.link, "tillit", desk.vault.index)
            stored = StoredPeers(desk.database, clock=internet.clock)
            fetcher = Fetcher.of(settings, desk.log, internet.names)  # type: ignore[arg-type]
            nothing: Any = None
            made = Organisation(
                internet, domain, settings, desk, box, stored, fetcher, nothing, nothing, OwnKeys.open(settings)
            )
            made.anew()
            app = web.Application()
            app.router.add_get(wellknown.PATH, made.document)
            app.router.add_post("/in/peers", made.taken)
            async with internet.served(app, domain, *answers) as made.port:
                yield made
