"""Wiring and lifetimes of the desk: builds it from the settings, runs it, and ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

import uvloop
from structlog.typing import FilteringBoundLogger

from ivr import __version__, logs
from ivr.asterisk.dialling import Dialler
from ivr.asterisk.outpost import Outpost
from ivr.config import Settings
from ivr.errors import ConfigError
from ivr.front import opened
from ivr.hooks import Post, secrets_of_hook
from ivr.hooks.outbox import Outbox
from ivr.hooks.post import TURN_SECONDS
from ivr.hooks.receiver import Receiver
from ivr.metrics import DeskMeters, HeardServed, serving
from ivr.oidc import Provider
from ivr.peering import check, receiving
from ivr.persons.run import identifying_back, introducing
from ivr.proving import proving, stationed
from ivr.stopping import told_to_stop
from ivr.store.credentials import Credentials
from ivr.store.door import Door
from ivr.store.elements import Elements
from ivr.store.handovers import Handovers
from ivr.store.identities import Identities
from ivr.store.keyring import Keyring
from ivr.store.news import Heard, News
from ivr.store.pace import RedisPace
from ivr.store.passkeys import Passkeys
from ivr.store.tickets import Tickets
from ivr.store.turn import Turn
from ivr.store.welcome import Welcome
from ivr.vault.passkey import Party
from ivr.web.certificate import tls_of
from ivr.web.live import Hub
from ivr.web.problems import STATUSES
from ivr.web.programs import Programs
from ivr.web.provided import Elsewhere
from ivr.web.routes import LASTING, PATTERNS
from ivr.web.server import DeskServer, listening
from ivr.web.visit import House


def run(settings: Settings) -> None:
    """Serve until it is told to stop. Raises `ConfigError` where it cannot start, `Unreachable` where it could later."""
    meters = meters_of(settings)
    log = logs.setup(settings.log, HeardServed(meters))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, meters, log))


def meters_of(settings: Settings) -> DeskMeters:
    """The desk's numbers, none of which was counted yet."""
    return DeskMeters(f"{settings.worker.name}-desk", PATTERNS, STATUSES, settings.webhooks, lasting=LASTING)


async def _serve(settings: Settings, meters: DeskMeters, log: FilteringBoundLogger) -> None:
    place, trusted = listening(settings), tls_of(settings)
    programs = Programs.of(settings)
    check(settings)
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(opened(settings, meters, log, proves=True))
        vault, database, live, link, trail = front.vault, front.database, front.live, front.link, front.trail
        talks, people, locks = front.talks, front.people, front.locks
        sessions = live.sessions(settings.desk)
        provider = Provider.of(settings)
        alone = provider is not None and provider.rules.alone
        credentials = Credentials(database, vault, elsewhere_alone=alone)
        throttle = live.throttle(settings.desk, vault.index)
        party = Party.of(settings.desk.url, settings.company.name)
        tickets = Tickets(link, settings.redis.prefix)
        keyring = Keyring(database, vault, elsewhere_alone=alone)
        passkeys = None if party is None else Passkeys(keyring, tickets, trail, settings, party)
        door = Door(credentials, throttle, sessions, vault, trail, passkeys, log=log)
        elsewhere = None
        if provider is not None:
            stack.push_async_callback(provider.close)
            elsewhere = Elsewhere(provider, Identities(database, vault), people, door, tickets)
        hub = Hub(log)
        talks.on_change(hub.changed)

        outposts: Mapping[str, Outpost] = {}
        if locks.prover is not None or locks.calling is not None:
            outposts = await stack.enter_async_context(stationed(settings, front.places, log))
        dial = None
        if locks.calling is not None:
            dial = locks.calling.dial(Dialler(outposts, log))
            stack.push_async_callback(dial.close)
        proofs = None
        if (prover := locks.prover) is not None:
            others = {}
            if locks.peering is not None:
                others = await stack.enter_async_context(receiving(settings, locks.peering, link, log))
            proofs = await stack.enter_async_context(
                proving(
                    settings, prover, outposts=outposts, talks=talks, link=link, vault=vault, changed=hub.changed, log=log,
                    others=others,
                )
            )  # fmt: skip

        if settings.persons.on:
            if proofs is None:
                raise ConfigError(
                    f"{settings.file}: [persons] eids", "is there, and there is no public page",
                    'Write [page] url = "https://id.example.com", or leave eids out',
                )  # fmt: skip
            await stack.enter_async_context(
                introducing(settings, link=link, texts=proofs.texts, trail=trail, index=vault.index, log=log)
            )

        if settings.prove.back and prover is not None and proofs is not None:
            await stack.enter_async_context(
                identifying_back(
                    settings,
                    prover,
                    proofs.course,
                    link=link,
                    live=live,
                    customers=front.customers,
                    changed=hub.changed,
                    log=log,
                )
            )

        def heard(news: Heard) -> None:
            if news.proof and proofs is not None:
                proofs.course.told(news.proof)
                return
            if news.endpoint and dial is not None:
                dial.heard(news.endpoint)
            hub.changed(frozenset({news.endpoint}) if news.endpoint else talks.around(news.node, news.channel))

        def came() -> None:
            hub.stir()
            if dial is not None:
                dial.came()
            if proofs is not None:
                proofs.course.came()

        await stack.enter_async_context(News(settings, told=heard, came=came, log=log))

        house = House(
            settings=settings,
            people=people,
            door=door,
            sessions=sessions,
            links=Welcome(credentials, vault, trail, settings, passkeys),
            lock=locks.lock,
            midcall=locks.midcall,
            reads=locks.reads,
            glass=locks.glass,
            watch=locks.watch,
            review=locks.review,
            administration=locks.administration,
            pace=RedisPace(link, settings.redis.prefix),
            hub=hub,
            log=log,
            programs=programs,
            keys=locks.signer,
            tokens=locks.tokens,
            elements=Elements(link, settings.redis.prefix),
            handovers=Handovers(link, settings.redis.prefix, settings.desk) if settings.proxy.url else None,
            passkeys=passkeys,
            elsewhere=elsewhere,
            prove=None if proofs is None else proofs.prove,
            alarms=None if prover is None else prover.alarms,
            dial=dial,
            peering=locks.peering,
        )
        readiness = front.readiness(settings, log)
        server = DeskServer(house, readiness)
        stop = told_to_stop()
        outbox = Outbox.of(database, settings.webhooks)
        meters.show(hub.counts, outbox if settings.webhooks else None)
        await stack.enter_async_context(
            serving(settings, settings.desk.metrics, "[desk.metrics]", meters, readiness, log)
        )
        with settings.desk.bound(settings.file, "[desk]"):
            await server.open(*place, trusted)
        if settings.webhooks:
            turn = Turn(link, settings.redis.prefix, "webhooks", seconds=TURN_SECONDS)
            post = Post(_receivers(settings), outbox, live, turn, vault.index, log)
            stack.push_async_callback(_ended, asyncio.create_task(post.run(), name="webhooks"))
        log.info("desk.started", address=settings.desk.listen, version=__version__)
        try:
            await stop.wait()
        finally:
            log.info("desk.stopping", pages=len(hub))
            await server.close()
            log.info("desk.stopped")


def _receivers(settings: Settings) -> dict[str, Receiver]:
    """Raises `ConfigError` where a secret is missing, or none."""
    return {
        name: Receiver.of(settings, name, hook, secrets_of_hook(settings, name, hook))
        for name, hook in settings.webhooks.items()
    }


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
