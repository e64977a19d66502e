"""What a process needs that stands in front of the lock, the desk or the proxy: opened from the settings, ended in its turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.switch import Switch
from ivr.asterisk.talks import Talks
from ivr.audit.signing import Seal
from ivr.audit.trail import Trail
from ivr.config import Settings
from ivr.database import Database
from ivr.errors import Unavailable
from ivr.floor import nodes_of, places_of, talks_of, watched
from ivr.lock import Locks
from ivr.metrics import Readiness, ServedMeters, TimedTrail
from ivr.store.customers import Customers
from ivr.store.link import Link
from ivr.store.live import RedisLive
from ivr.store.pagekey import PageKey
from ivr.store.people import People
from ivr.vault import Vault

Check = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Front:
    """`trail` is the process's own, its writing timed; `locks` can sign. `places`: the settings' table of each node.

    `checks`: what /readyz asks, by part.
    """

    vault: Vault
    database: Database
    live: RedisLive
    link: Link
    trail: TimedTrail
    customers: Customers
    people: People
    talks: Talks
    locks: Locks
    places: Mapping[str, str]
    checks: Mapping[str, Check]

    def readiness(self, settings: Settings, log: FilteringBoundLogger, **more: Check) -> Readiness:
        """Of these parts, and of `more`."""
        seconds = max(settings.redis.request_seconds, settings.database.request_seconds)
        return Readiness({**self.checks, **more}, seconds=seconds, log=log)


@asynccontextmanager
async def opened(
    settings: Settings, meters: ServedMeters, log: FilteringBoundLogger, *, near: bool = False, proves: bool = False
) -> AsyncIterator[Front]:
    """`meters` has the process's name, by which its chain in the audit trail is called; `near` is that of `Database.open`.
    `proves`: whether it is proved from here who speaks, where there is a public page, and calls are begun, where there is a way.

    Raises `ConfigError` where something cannot be used, `Unreachable` where it could later.
    """
    redis = meters.timed("redis")
    async with AsyncExitStack() as stack:
        vault = Vault.open(settings)
        stack.callback(vault.close)
        seal = Seal.open(settings)
        database = await Database.open(settings, near=near)
        stack.push_async_callback(database.close)
        live = await RedisLive.open(settings, redis, log)
        stack.push_async_callback(live.close)
        link = Link.of(settings, redis)
        stack.push_async_callback(link.close)
        trail = Trail(
            database, meters.name, seal, head_seconds=settings.audit.head_seconds,
            # behind one that fails, and its own
            seconds=2 * settings.database.request_seconds, log=log,
        )  # fmt: skip
        await stack.enter_async_context(trail)
        timed = TimedTrail(trail, meters.timed("audit"))
        customers, people = await Customers.open(database, vault), People(database, vault)
        nodes = await nodes_of(settings, log)
        talks = await talks_of(nodes, stack, log)
        for node in watched(settings, nodes, talks):
            meters.watch(node)
        page = PageKey.open(settings) if proves and settings.page.url is not None else None
        locks = Locks.of(
            settings, talks=talks, switch=Switch(nodes, log), staff=people, live=live, link=link,
            customers=customers, trail=timed, seal=seal, chain=meters.name, log=log, page=page,
            calls=proves and settings.calls.dial is not None,
        )  # fmt: skip
        await stack.enter_async_context(locks.signer)
        yield Front(
            vault, database, live, link, timed, customers, people, talks, locks,
            places_of(settings, nodes),
            {"redis": live.ping, "database": customers.ping, "audit": trail.ping, "asterisk": lambda: _known(talks)},
        )  # fmt: skip


async def _known(talks: Talks) -> None:
    if not talks.known:
        raise Unavailable("what goes on in Asterisk is not known")
