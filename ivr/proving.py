"""What the desk's process runs so that people can know who speaks: gateways, what they report, and digits spoken into calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.hearing import Hearer
from ivr.asterisk.outpost import Outpost
from ivr.asterisk.speaking import Speaker
from ivr.asterisk.talks import Talks
from ivr.call.ports import Texts
from ivr.config import Settings
from ivr.eid import pinging
from ivr.eid.ping import WAY, read
from ivr.lock.course import Course
from ivr.lock.enrolling import WAY as PUSH
from ivr.lock.prove import Prove
from ivr.lock.prover import Beside, Prover
from ivr.mail.smtp import Mailer
from ivr.push.app import AppServer, servers
from ivr.push.web import WebPush
from ivr.sms.aside import Aside
from ivr.sms.incoming import Handler, Incoming
from ivr.sms.reports import Posted, Refused, readers
from ivr.store import pings
from ivr.store.link import Link
from ivr.store.pagekey import PageKey
from ivr.store.posted import CHECK, PostBox
from ivr.store.published import RedisPublished
from ivr.store.speeches import Speeches
from ivr.texting import texting
from ivr.vault import Vault


@dataclass(frozen=True, slots=True)
class Proving:
    """`course` is to be told what the page tells; `texts`: by which texts go."""

    prove: Prove
    course: Course
    texts: Texts


@asynccontextmanager
async def proving(
    settings: Settings, prover: Prover, *, outposts: Mapping[str, Outpost], talks: Talks, link: Link, vault: Vault,
    changed: Callable[[frozenset[str]], None], log: FilteringBoundLogger, others: Mapping[str, Handler] | None = None,
) -> AsyncIterator[Proving]:  # fmt: skip
    """`outposts`: of each node (`stationed`); `changed` is told whose pages show something else now; `others` read what comes
    in that is no gateway's. Raises `ConfigError`.
    """
    prefix = settings.redis.prefix
    async with AsyncExitStack() as stack:
        sending = await stack.enter_async_context(texting(settings, vault, link, log))
        box = PostBox(link, prefix, PageKey.open(settings), seconds=settings.redis.request_seconds)
        ways = beside(settings, log)
        for app in (ways.app, *ways.partners.values()):
            if isinstance(app, AppServer):
                stack.push_async_callback(app.close)
        # a gateway may take its time over what a question is answered by
        slow = {
            CHECK: Aside("check", prover.checking(sending.dispatch, sending.budgets).take, log, at_once=4, most=200)
        }
        if ways.push is not None:
            # one browser after another: of two that come for the same customer the later one is the newer
            slow[PUSH] = Aside("push", prover.enrolling(ways.push).take, log, at_once=1, most=200)
        handlers = {**call_backs(settings, link), **(others or {}), **{way: one.take for way, one in slow.items()}}
        incoming = Incoming(box.take, readers(settings, sending.reporting), sending.deliveries, log, others=handlers)
        ours = Speeches(link, prefix)
        course = prover.course(Speaker(outposts, talks, ours, log), Hearer(outposts, ours), changed)
        talks.on_change(course.moved)
        stack.push_async_callback(course.close)
        asides = ((f"incoming/{way}", one.run()) for way, one in slow.items())
        for name, running in (("incoming", incoming.run()), ("course", course.run()), *asides):
            stack.push_async_callback(_ended, begun(name, running, log))
        published = RedisPublished(link, prefix, settings.limits, log, tries=settings.prove.tries)
        yield Proving(prover.prove(course, sending.dispatch, ways, published), course, sending.texts)


def beside(settings: Settings, log: FilteringBoundLogger) -> Beside:
    """What the ways of the settings go out by. Raises `ConfigError`."""
    ways, partners = settings.prove.ways, settings.prove.partners
    own = settings.prove.app if "app" in ways else None
    apps = servers(settings, (*partners, *([own] if own is not None else [])), log)
    return Beside(
        None if own is None else apps[own],
        {name: apps[name] for name in partners},
        Mailer.of(settings) if "mail" in ways else None,
        WebPush.of(settings, log) if "push" in ways else None,
    )


@asynccontextmanager
async def stationed(
    settings: Settings, places: Mapping[str, str], log: FilteringBoundLogger
) -> AsyncIterator[Mapping[str, Outpost]]:
    """The desk's own application on each node, served. `places`: the settings' table of each. Raises `ConfigError`."""
    outposts = {node: Outpost.of(settings, place, node, log) for node, place in places.items()}
    async with AsyncExitStack() as stack:
        for node, outpost in outposts.items():
            stack.push_async_callback(_ended, begun(f"outpost/{node}", outpost.serve(), log))
        yield outposts


def call_backs(settings: Settings, link: Link) -> Mapping[str, Handler]:
    """What comes in at the public address beside gateways' reports, and who reads it."""
    brokers = pinging(settings)

    async def pinged(posted: Posted) -> Refused | None:
        ping = read(brokers, posted.secret, posted.headers, posted.body)
        if ping is None:
            return Refused("form")
        await pings.tell(link, settings.redis.prefix, ping.words)
        return None

    return {WAY: pinged} if brokers else {}


def begun(name: str, running: Coroutine[None, None, None], log: FilteringBoundLogger) -> asyncio.Task[None]:
    """A task that runs until it is cancelled; where it ends by a fault, that is told."""
    task = asyncio.create_task(running, name=name)
    task.add_done_callback(partial(_told, log))
    return task


def _told(log: FilteringBoundLogger, task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task.failed", error=type(error).__name__, code=task.get_name())


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
