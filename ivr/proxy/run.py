"""Wiring and lifetimes of the proxy: builds it from the settings, runs it, and ends it. A process of its own, so that a CRM
that is slow, or an answer that is large, holds up neither the desk nor a call."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

import uvloop
from structlog.typing import FilteringBoundLogger

from ivr import __version__, logs
from ivr.asterisk.switch import Switch
from ivr.asterisk.talks import Talks
from ivr.audit.signing import Seal
from ivr.audit.trail import Trail
from ivr.config import Settings
from ivr.config.listening import split
from ivr.database import Database
from ivr.errors import ConfigError, Unavailable
from ivr.floor import nodes_of, talks_of, watched
from ivr.lock import Locks
from ivr.metrics import HeardServed, Readiness, ServedMeters, TimedTrail, serving
from ivr.proxy.entering import Entrance
from ivr.proxy.passage import Passage
from ivr.proxy.server import ROUTES, ProxyServer
from ivr.proxy.upstream import Upstream
from ivr.store.customers import Customers
from ivr.store.handovers import Handovers
from ivr.store.link import Link
from ivr.store.live import RedisLive
from ivr.store.pace import RedisPace
from ivr.store.people import People
from ivr.vault import Vault
from ivr.web.problems import STATUSES
from ivr.web.server import tls_of


def run(settings: Settings) -> None:
    """Serve until it is told to stop. Raises `ConfigError` where it cannot start, `Unreachable` where it could later."""
    meters = meters_of(settings)
    log = logs.setup(settings.log, HeardServed(meters))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, meters, log))


def meters_of(settings: Settings) -> ServedMeters:
    """The proxy's numbers, none of which was counted yet."""
    return ServedMeters(f"{settings.worker.name}-proxy", {*ROUTES, *settings.proxy.patterns}, STATUSES)


async def _serve(settings: Settings, meters: ServedMeters, log: FilteringBoundLogger) -> None:
    # a chain of its own in the audit trail
    name = meters.name
    place, trusted = listening(settings), tls_of(settings, "proxy")
    url, desk = settings.proxy.url or "", settings.desk.url or ""
    redis = meters.timed("redis")
    async with AsyncExitStack() as stack:
        vault = Vault.open(settings)
        stack.callback(vault.close)
        seal = Seal.open(settings)
        database = await Database.open(settings, near=True)
        stack.push_async_callback(database.close)
        live = await RedisLive.open(settings, redis, log)
        stack.push_async_callback(live.close)
        link = Link.of(settings, redis)
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
        upstream = await stack.enter_async_context(Upstream.of(settings, log))
        nodes = await nodes_of(settings, log)
        talks = await talks_of(nodes, stack, log)

        people, prefix = People(database, vault), settings.redis.prefix
        locks = Locks.of(
            settings, talks=talks, floor=talks, switch=Switch(nodes, log), glances=live, staff=people, marks=live, link=link,
            database=database, customers=customers, vault=vault, trail=TimedTrail(trail, meters.timed("audit")), seal=seal, chain=name, log=log,
        )  # fmt: skip
        signer = await stack.enter_async_context(locks.signer)
        readiness = Readiness(
            {
                "redis": live.ping,
                "database": customers.ping,
                "audit": trail.ping,
                "asterisk": lambda: _known(talks),
                "upstream": upstream.ping,
            },
            seconds=max(settings.redis.request_seconds, settings.database.request_seconds),
            log=log,
        )
        server = ProxyServer(
            settings,
            Entrance(url, desk, Handovers(link, prefix, settings.desk), people, per_minute=settings.proxy.per_minute),
            Passage(locks.lock, customers, upstream, signer, url, settings.proxy.answer_kilobytes * 1024, log),
            RedisPace(link, prefix),
            readiness,
            log,
        )
        for node in watched(settings, nodes, talks):
            meters.watch(node)
        await stack.enter_async_context(
            serving(settings, settings.proxy.metrics, "[proxy.metrics]", meters, readiness, log)
        )
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        with settings.proxy.bound(settings.file, "[proxy]"):
            await server.open(*place, trusted)
        log.info("proxy.started", address=settings.proxy.listen, upstream=upstream.origin, version=__version__)
        try:
            await stop.wait()
        finally:
            log.info("proxy.stopping")
            await server.close()
            log.info("proxy.stopped")


def listening(settings: Settings) -> tuple[str, int]:
    """Where; raises `ConfigError` where the settings do not say."""
    if settings.proxy.listen is None:
        raise ConfigError(
            f"{settings.file}: [proxy] listen", "is left out, and there is no proxy without it",
            'Write listen = "127.0.0.1:8444", url, which is what browsers call it, and upstream',
        )  # fmt: skip
    return split(settings.proxy.listen)


async def _known(talks: Talks) -> None:
    if not talks.known:
        raise Unavailable("what goes on in Asterisk is not known")
