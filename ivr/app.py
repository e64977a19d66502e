"""Wiring and lifetimes: builds a worker from the settings, runs it, and ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Collection
from contextlib import AsyncExitStack
from functools import partial
from time import monotonic, time

import uvloop
from structlog.contextvars import bind_contextvars
from structlog.typing import FilteringBoundLogger

from ivr import __version__, agi, eid, fitting, logs, metrics
from ivr.asterisk.admission import Admission
from ivr.asterisk.inspection import Found
from ivr.asterisk.line import AriLine
from ivr.asterisk.reconcile import Records
from ivr.asterisk.telephony import Telephony
from ivr.audit.signing import Seal
from ivr.audit.trail import Trail
from ivr.call.arrears import Arrears
from ivr.call.policy import policies
from ivr.call.ports.published import Published
from ivr.call.progress import Progress
from ivr.call.published import PublishedCall
from ivr.call.session import Session
from ivr.call.steps import Tools
from ivr.call.verification import House
from ivr.config import Settings
from ivr.database import Database
from ivr.errors import Unavailable
from ivr.mail.smtp import Mailer
from ivr.metrics import (
    Health,
    Heard,
    Meters,
    Readiness,
    TimedCustomers,
    TimedIdentities,
    TimedPins,
    TimedTotps,
    TimedTrail,
)
from ivr.nodes import Begin, Leasing, Node, Nodes
from ivr.noticing import Noticing, noticing
from ivr.retention import retaining
from ivr.seat import Seat
from ivr.store.customers import Customers
from ivr.store.desks import RedisDesks
from ivr.store.eids import Identities
from ivr.store.lease import Lease
from ivr.store.live import RedisLive
from ivr.store.notices import Notices
from ivr.store.pings import heard
from ivr.store.totps import Totps
from ivr.vault import Vault


def run(settings: Settings) -> None:
    """Run a worker until it is told to stop, or replaced. Raises `ConfigError` where it cannot start, `Unreachable` where it could later."""
    meters = Meters(settings)
    log = logs.setup(settings.log, Heard(meters))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, meters, log))


async def _serve(settings: Settings, meters: Meters, log: FilteringBoundLogger) -> None:
    async with AsyncExitStack() as stack:
        chosen = policies(settings)
        vault = Vault.open(settings)
        stack.callback(vault.close)
        seal = Seal.open(settings)
        texts, dispatch = await fitting.texts(settings, vault, meters, stack, log)
        pings = eid.Pings()
        if eid.pinging(settings):
            await stack.enter_async_context(heard(settings, pings.told, log))
        providers = eid.eids(settings, log, pings)
        for provider in providers.values():
            stack.push_async_callback(provider.close)
        database = await Database.open(settings)
        stack.push_async_callback(database.close)
        live = await RedisLive.open(settings, meters.timed("redis"), log)
        stack.push_async_callback(live.close)
        trail = await stack.enter_async_context(
            Trail(
                database,
                settings.worker.name,
                seal,
                head_seconds=settings.audit.head_seconds,
                # behind one that fails, and its own
                seconds=2 * settings.database.request_seconds,
                log=log,
            )
        )
        await stack.enter_async_context(retaining(settings, database, trail, seal, log))
        nodes = await stack.enter_async_context(Nodes(settings, log, partial(meters.timed, "ari")))
        await nodes.look()
        customers = await Customers.open(database, vault, cooling=settings.lock.cooling.hours * 3600)
        timed_trail = TimedTrail(trail, meters.timed("audit"))
        tools = Tools(
            settings,
            live,
            TimedPins(vault.pins, meters.timed("pins")),
            TimedTotps(Totps(database, vault), meters.timed("database")),
            vault.codes,
            texts,
            fitting.proofs(settings, chosen.values(), meters, stack),
            timed_trail,
            monotonic,
            providers,
            TimedIdentities(Identities(database, vault), meters.timed("database")),
            live.turns(vault.index),
            dispatch,
        )
        published = fitting.published(settings, meters, stack, log)
        notices = Notices(database, vault)
        turn, company = live.turn("notices", seconds=60), settings.company.name
        told = Noticing(
            notices, texts, live.notice_budgets(settings.limits), timed_trail, turn, company, log, mailer=Mailer.of(settings)
        )  # fmt: skip
        await stack.enter_async_context(noticing(told))
        reached = fitting.reached(settings, customers, meters, stack)
        timed_customers = TimedCustomers(customers, meters.timed("database"))

        desks = await stack.enter_async_context(RedisDesks.of(settings, log))
        arrears = await stack.enter_async_context(Arrears(trail, live, clock=monotonic, log=log))

        admission = Admission(
            settings.worker,
            calls=lambda: nodes.verifying,
            running=lambda: nodes.calls,
            count=meters.shed_call,
            log=log,
        )
        watching = asyncio.create_task(admission.watch(), name="admission")
        stack.callback(watching.cancel)

        health = Health(
            {"redis": live.ping, "database": customers.ping}, seconds=settings.worker.lease_seconds, log=log
        )
        if settings.worker.at_once > 1:
            # where there are others to go first
            looking = asyncio.create_task(health.watch(), name="health")
            stack.callback(looking.cancel)

        def lease(seat: Seat, found: Found) -> Lease:
            # the dialplan that offers no calls names the first application
            needed = seat.app == seat.asterisk.app
            seconds = settings.worker.lease_seconds
            return live.lease(found.node, seat.app, seconds=seconds, needed=needed, log=seat.log)

        def begin(node: Node, seat: Seat, found: Found) -> Telephony:
            house = House(
                settings=settings,
                policies=chosen,
                customers=timed_customers,
                live=live,
                trail=timed_trail,
                arrears=arrears,
                tools=tools,
                wall=time,
                languages=found.languages,
                desks=desks,
                reached=reached,
            )
            return Telephony(
                seat.ari,
                node=found.node,
                seconds=node.asterisk.request_seconds,
                country=settings.company.country,
                answer=partial(_answer, house, published, node, meters),
                marked=partial(live.marked, found.node),
                disown=partial(live.disown, found.node),
                records=Records(
                    partial(_recorded, live, arrears, found.node, seat.app),
                    lambda channel, gone: live.take_up(found.node, seat.app, channel, gone=gone),
                    live.settle,
                ),
                admits=admission.admits,
                claims=partial(node.claims, seat),
                eager=lambda: admission.roomy() and health.well,
                log=node.log,
            )

        await stack.enter_async_context(agi.serving(settings, mark=live.mark, log=log))
        stop = asyncio.Event()
        for node in nodes:
            meters.watch(node)
        readiness = Readiness(
            {
                "worker": partial(_not_stopping, stop),
                "redis": live.ping,
                "database": customers.ping,
                "audit": trail.ping,
                "asterisk": partial(_connected, nodes),
            },
            seconds=max(settings.redis.request_seconds, settings.database.request_seconds),
            log=log,
        )
        await stack.enter_async_context(
            metrics.serving(settings, settings.metrics, "[metrics]", meters, readiness, log)
        )
        await _until_stopped(nodes, lease, begin, stop, settings, log)


async def _recorded(live: RedisLive, arrears: Arrears, node: str, app: str) -> Collection[str]:
    # what is owed here of a call that is over is written here
    return await live.recorded(node, app) - arrears.channels(node, app)


async def _not_stopping(stop: asyncio.Event) -> None:
    if stop.is_set():
        raise Unavailable("the worker is stopping")


async def _connected(nodes: Nodes) -> None:
    # where another worker serves, callers are verified, and this one is ready to go on
    if not any(node.connected or node.stands_by for node in nodes):
        raise Unavailable(f"not connected to {', '.join(node.place for node in nodes)}")


async def _until_stopped(
    nodes: Nodes, lease: Leasing, begin: Begin, stop: asyncio.Event, settings: Settings, log: FilteringBoundLogger
) -> None:
    hurry = asyncio.Event()

    def told() -> None:
        """The first signal lets calls come to their end, the second one does not."""
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told)
    apps = dict.fromkeys(asterisk.app for asterisk in settings.asterisks.values())
    # What was built lives as long as the worker: it need not be looked through each time that memory is tidied.
    gc.collect()
    gc.freeze()
    # Most of what a call makes goes with it, by its counts. Looked through at Python's 700 it was in the middle of calls, and the slowest
    # hundredth of their latencies was a tenth longer. What outlives two looks is what holds itself: by the 3 and 3 looks behind each
    # other it is gone after about a thousand calls, 3 MB. By Python's own 11 and 11 it would be 33 MB.
    gc.set_threshold(10_000, 2, 2)
    log.info("worker.started", worker=settings.worker.name, app=",".join(apps), version=__version__)
    try:
        await nodes.serve(lease, begin, stop, hurry)
    finally:
        log.info("worker.stopped")


async def _answer(
    house: House, published: Published, node: Node, meters: Meters, line: AriLine, taken: Progress | None
) -> None:
    # for the lines of what all calls share too, such as the gateways
    bind_contextvars(call=line.caller.channel, **node.bound)
    log = node.log.bind(call=line.caller.channel)
    called = line.caller.published
    session = PublishedCall(house, published, line, log) if called else Session(house, line, log, taken)
    with meters.running(session, node.place):
        await session.run()
