"""Wiring and lifetimes of the public page: builds it from the settings, runs it, and ends it. It opens neither database nor vault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from structlog.typing import FilteringBoundLogger

from ivr import __version__, logs
from ivr.config import Settings
from ivr.config.listening import split
from ivr.errors import ConfigError
from ivr.metrics.ready import Readiness
from ivr.metrics.served import HeardServed, ServedMeters
from ivr.metrics.server import serving
from ivr.page.back_sheets import BackSheets
from ivr.page.back_visit import BackVisits
from ivr.page.brand import Look
from ivr.page.limits import Limits
from ivr.page.person_sheets import PersonSheets
from ivr.page.person_visit import PersonVisits
from ivr.page.routes import NAMES
from ivr.page.server import PageServer
from ivr.page.sheets import Sheets
from ivr.page.spared import Spared
from ivr.page.visit import Visits
from ivr.stopping import told_to_stop
from ivr.store.bulletin import Bulletin
from ivr.store.callers import CallerPage
from ivr.store.introductions import PersonPage
from ivr.store.opened import PageStore, link_of_page
from ivr.store.pace import RedisPace
from ivr.store.pagekey import PageKey
from ivr.store.posted import PostBox
from ivr.store.wishes import BACK, PageWishes
from ivr.web.certificate import tls_of
from ivr.web.problems import STATUSES


def run(settings: Settings) -> None:
    """Serve until it is told to stop. Raises `ConfigError` where it cannot start, `Unreachable` where it could later."""
    meters = meters_of(settings)
    log = logs.setup(settings.log, Spared(HeardServed(meters)))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, meters, log))


def meters_of(settings: Settings) -> ServedMeters:
    """The page's numbers, none of which was counted yet."""
    return ServedMeters(f"{settings.worker.name}-page", NAMES, STATUSES)


async def _serve(settings: Settings, meters: ServedMeters, log: FilteringBoundLogger) -> None:
    place, trusted, page = listening(settings), tls_of(settings, "page"), settings.page
    async with opened(settings, meters, log) as (server, readiness):
        stop = told_to_stop()
        async with serving(settings, page.metrics, "[page.metrics]", meters, readiness, log):
            with page.bound(settings.file, "[page]"):
                await server.open(*place, trusted)
            log.info("page.started", address=page.listen, version=__version__)
            try:
                await stop.wait()
            finally:
                log.info("page.stopping")
                await server.close()
                log.info("page.stopped")


@asynccontextmanager
async def opened(
    settings: Settings, meters: ServedMeters, log: FilteringBoundLogger
) -> AsyncIterator[tuple[PageServer, Readiness]]:
    """The server, not listening yet, and whether it is ready. Raises `ConfigError`, `Unreachable`."""
    key, sheets = PageKey.open(settings), Sheets(settings, Look.of(settings))
    link = await link_of_page(settings, meters.timed("redis"))
    try:
        prefix, seconds = settings.redis.prefix, settings.redis.request_seconds
        store, pace = PageStore(link, prefix, key), RedisPace(link, f"{prefix}:page")
        limits = Limits(pace, key, settings.page, settings.persons)
        readiness = Readiness({"redis": store.ping}, seconds=seconds, log=log)
        box, bulletin = PostBox(link, prefix, key, seconds=seconds), Bulletin(link, prefix)
        visits = Visits(settings, store, CallerPage(link, prefix, key), sheets, limits, box)
        people = PersonVisits(settings, PersonPage(link, prefix, key), PersonSheets(sheets, settings.persons), limits)
        backs = BackVisits(settings, store, PageWishes(link, prefix, key, BACK), BackSheets(sheets), limits)
        yield PageServer(settings, visits, people, backs, box, bulletin, sheets, limits, readiness, log), readiness
    finally:
        await link.close()


def listening(settings: Settings) -> tuple[str, int]:
    """Where; raises `ConfigError` where the settings do not say."""
    if settings.page.listen is None:
        raise ConfigError(
            f"{settings.file}: [page] listen", "is left out, and there is no page without it",
            'Write listen = "127.0.0.1:8445", url, which is what people open, and redis_password_file',
        )  # fmt: skip
    return split(settings.page.listen)
