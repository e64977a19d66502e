"""Wiring and lifetimes of the proxy: builds it from the settings, runs it, and ends it. A process of its own, so that a CRM
that is slow, or an answer that is large, holds up neither the desk nor a call."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from structlog.typing import FilteringBoundLogger

from ivr import __version__, logs
from ivr.config import Settings
from ivr.config.listening import split
from ivr.errors import ConfigError
from ivr.front import opened
from ivr.metrics import HeardServed, ServedMeters, serving
from ivr.proxy.entering import Entrance
from ivr.proxy.passage import Passage
from ivr.proxy.server import ROUTES, ProxyServer
from ivr.proxy.upstream import Upstream
from ivr.stopping import told_to_stop
from ivr.store.handovers import Handovers
from ivr.store.pace import RedisPace
from ivr.web.certificate import tls_of
from ivr.web.problems import STATUSES

# Seconds for which one thread keeps Python from another. The row of a read is written by a thread of its own, and whoever reads waits
# for it: at Python's 0.005 it stood behind all else five times, and each read took 0.2 ms longer.
_TURN = 0.00001


def run(settings: Settings) -> None:
    """Serve until it is told to stop. Raises `ConfigError` where it cannot start, `Unreachable` where it could later."""
    meters = meters_of(settings)
    log = logs.setup(settings.log, HeardServed(meters))
    sys.setswitchinterval(_TURN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, meters, log))


def meters_of(settings: Settings) -> ServedMeters:
    """The proxy's numbers, none of which was counted yet."""
    return ServedMeters(f"{settings.worker.name}-proxy", {*ROUTES, *settings.proxy.patterns}, STATUSES)


async def _serve(settings: Settings, meters: ServedMeters, log: FilteringBoundLogger) -> None:
    place, trusted = listening(settings), tls_of(settings, "proxy")
    proxy, url, desk = settings.proxy, settings.proxy.url or "", settings.desk.url or ""
    async with (
        Upstream.of(settings, log) as upstream,
        # short look-ups here: nothing goes through while its disk hangs anyway
        opened(settings, meters, log, near=True) as front,
    ):
        handovers = Handovers(front.link, settings.redis.prefix, settings.desk)
        entrance = Entrance(url, desk, handovers, front.people, per_minute=proxy.per_minute, tenants=proxy.tenants)
        readiness = front.readiness(settings, log, upstream=upstream.ping)
        server = ProxyServer(
            settings,
            entrance,
            Passage(front.locks.lock, front.customers, upstream, front.locks.signer, url, proxy.answer_kilobytes * 1024,
                front.customers.vault.index.call, entrance.anew, log),
            RedisPace(front.link, settings.redis.prefix),
            readiness,
            log,
        )  # fmt: skip
        stop = told_to_stop()
        async with serving(settings, proxy.metrics, "[proxy.metrics]", meters, readiness, log):
            with proxy.bound(settings.file, "[proxy]"):
                await server.open(*place, trusted)
            log.info("proxy.started", address=proxy.listen, upstream=upstream.origin, version=__version__)
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
