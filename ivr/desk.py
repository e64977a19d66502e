"""Wiring and lifetimes of the desk: builds it from the settings, runs it, and ends it."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

import uvloop
from structlog.typing import FilteringBoundLogger

from ivr import __version__, logs
from ivr.asterisk.ami import Ami
from ivr.asterisk.ari import Ari
from ivr.asterisk.inspection import node_of
from ivr.asterisk.talks import Talks
from ivr.audit.signing import Seal
from ivr.audit.trail import Trail
from ivr.config import Settings
from ivr.database import Database
from ivr.errors import ConfigError, Unavailable
from ivr.lock import Locks
from ivr.metrics import Readiness
from ivr.oidc import Provider
from ivr.staff import TENANT
from ivr.store.credentials import Credentials
from ivr.store.customers import Customers
from ivr.store.door import Door
from ivr.store.identities import Identities
from ivr.store.keyring import Keyring
from ivr.store.link import Link
from ivr.store.live import RedisLive
from ivr.store.pace import RedisPace
from ivr.store.passkeys import Passkeys
from ivr.store.people import People
from ivr.store.tickets import Tickets
from ivr.store.welcome import Welcome
from ivr.vault import Vault
from ivr.vault.passkey import Party
from ivr.web.elsewhere import Elsewhere
from ivr.web.live import Hub
from ivr.web.server import DeskServer, listening, tls_of
from ivr.web.visit import House


def run(settings: Settings) -> None:
    """Serve until it is told to stop. Raises `ConfigError` where it cannot start, `Unreachable` where it could later."""
    log = logs.setup(settings.log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, log))


async def _serve(settings: Settings, log: FilteringBoundLogger) -> None:
    # a chain of its own in the audit trail: a worker of the same name goes on with another one
    name = f"{settings.worker.name}-desk"
    place, trusted = listening(settings), tls_of(settings)
    async with AsyncExitStack() as stack:
        vault = Vault.open(settings)
        stack.callback(vault.close)
        seal = Seal.open(settings)
        database = await Database.open(settings)
        stack.push_async_callback(database.close)
        live = await RedisLive.open(settings, log=log)
        stack.push_async_callback(live.close)
        link = Link.of(settings)
        stack.push_async_callback(link.close)
        trail = await stack.enter_async_context(
            Trail(
                database,
                name,
                seal,
                head_seconds=settings.audit.head_seconds,
                # behind one that fails, and its own
                seconds=2 * settings.database.request_seconds,
                log=log,
            )
        )
        customers = await Customers.open(database, vault)
        talks = await _talks(settings, stack, log)

        people = People(database, vault)
        sessions = live.sessions(settings.desk)
        provider = Provider.of(settings)
        alone = provider is not None and provider.rules.alone
        credentials = Credentials(database, vault, elsewhere_alone=alone)
        throttle = live.throttle(settings.desk, vault.index)
        locks = Locks.of(
            settings, talks=talks, staff=people, marks=live, link=link, database=database, customers=customers, vault=vault,
            trail=trail, seal=seal, chain=name, log=log,
        )  # fmt: skip
        party = Party.of(settings.desk.url, settings.company.name)
        tickets = Tickets(link, settings.redis.prefix)
        keyring = Keyring(database, vault, elsewhere_alone=alone)
        passkeys = None if party is None else Passkeys(keyring, tickets, trail, settings, party)
        door = Door(credentials, throttle, sessions, vault, trail, passkeys, log=log)
        elsewhere = None
        if provider is not None:
            stack.push_async_callback(provider.close)
            elsewhere = Elsewhere(provider, Identities(database, vault), people, door, tickets, TENANT)
        hub = Hub(log)
        talks.on_change(hub.changed)

        house = House(
            settings=settings,
            people=people,
            door=door,
            sessions=sessions,
            links=Welcome(credentials, vault, trail, settings, passkeys),
            lock=locks.lock,
            reads=locks.reads,
            glass=locks.glass,
            pace=RedisPace(link, settings.redis.prefix),
            hub=hub,
            log=log,
            passkeys=passkeys,
            elsewhere=elsewhere,
        )
        readiness = Readiness(
            {"redis": live.ping, "database": customers.ping, "audit": trail.ping, "asterisk": lambda: _known(talks)},
            seconds=max(settings.redis.request_seconds, settings.database.request_seconds),
            log=log,
        )
        server = DeskServer(house, readiness)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        with settings.desk.bound(settings.file, "[desk]"):
            await server.open(*place, trusted)
        log.info("desk.started", address=settings.desk.listen, version=__version__)
        try:
            await stop.wait()
        finally:
            log.info("desk.stopping", pages=len(hub))
            await server.close()
            log.info("desk.stopped")


async def _talks(settings: Settings, stack: AsyncExitStack, log: FilteringBoundLogger) -> Talks:
    """Of all nodes. Raises `ConfigError` where one has no manager interface, or will not do; `Unreachable` where one is not there."""
    nodes: dict[str, Ami] = {}
    for place, asterisk in settings.asterisks.items():
        if asterisk.desk is None:
            raise ConfigError(
                f"{settings.file}: {place[:-1]}.desk]", "is left out, and the desk knows by it who talks with whom",
                "Write the table, and the user tillit-desk in manager.conf",
            )  # fmt: skip
        ari = Ari.of(settings, place, log=log)
        await ari.open()
        try:
            nodes[await node_of(ari, settings, place, log)] = Ami.of(settings, place, name="desk", log=log)
        finally:
            await ari.close()
    talks = Talks(nodes, log)
    stack.push_async_callback(talks.close)
    for ami in nodes.values():
        stack.push_async_callback(ami.close)
        await ami.open(patient=True)
    return talks


async def _known(talks: Talks) -> None:
    if not talks.known:
        raise Unavailable("what goes on in Asterisk is not known")
