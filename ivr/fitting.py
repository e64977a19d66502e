"""Parts of a worker that stand there only where the settings ask for them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack

from structlog.typing import FilteringBoundLogger

from ivr import sms
from ivr.asterisk.announcing import Announcer
from ivr.asterisk.outpost import Outpost, worker_name_of
from ivr.call.policy import Policy
from ivr.call.ports import Dispatch, Nobody, Proofs, Reached, Texts, Unasked
from ivr.call.ports.published import Published, Unpublished
from ivr.call.steps.sms_link import SmsLinkStep
from ivr.config import Settings
from ivr.metrics import Meters, TimedTexts
from ivr.proving import begun
from ivr.store.callers import CallerLinks
from ivr.store.customers import Customers
from ivr.store.dials import RedisDials
from ivr.store.link import Link
from ivr.store.pagekey import PageKey
from ivr.store.published import RedisPublished
from ivr.store.reached import StoredReached
from ivr.texting import texting
from ivr.vault import Vault


async def texts(
    settings: Settings, vault: Vault, meters: Meters, stack: AsyncExitStack, log: FilteringBoundLogger
) -> tuple[Texts, Dispatch | None]:
    """The gateways; and what sends by the second of them, or calls, where there is either. Raises `ConfigError`."""
    voice = _voice(settings, stack, log) if settings.texts.voice.wanted else None
    if settings.texts.fallback is None and voice is None:
        gateways = sms.in_turn(settings, log)
        stack.push_async_callback(gateways.close)
        return TimedTexts(sms.texts(settings, log, gateways), meters.timed("texts")), None
    link = Link.of(settings, meters.timed("redis"))
    stack.push_async_callback(link.close)
    sending = await stack.enter_async_context(texting(settings, vault, link, log, meters.timed("texts"), voice))
    return sending.texts, sending.dispatch


def _voice(settings: Settings, stack: AsyncExitStack, log: FilteringBoundLogger) -> Announcer:
    """Who calls, by an application of this run alone on each Asterisk. Raises `ConfigError`."""
    outposts = [Outpost.of(settings, place, place, log, worker_name_of) for place in settings.asterisks]
    for outpost in outposts:
        stack.callback(begun(f"outpost/{outpost.node}", outpost.serve(), log).cancel)
    return Announcer(outposts, settings.texts.voice)


def proofs(settings: Settings, used: Iterable[Policy], meters: Meters, stack: AsyncExitStack) -> Proofs:
    """The way to the public page, where a policy asks for something there: a worker of others needs no key of it. Raises `ConfigError`."""
    if not any(SmsLinkStep in policy.steps for policy in used):
        return Unasked()
    key = PageKey.open(settings)
    link = Link.of(settings, meters.timed("redis"))
    stack.push_async_callback(link.close)
    return CallerLinks(link, settings.redis.prefix, key)


def published(settings: Settings, meters: Meters, stack: AsyncExitStack, log: FilteringBoundLogger) -> Published:
    """Who knows the digits of those that call the published number, where agents say any. Raises `ConfigError`."""
    if "spoken" not in settings.prove.ways:
        return Unpublished()
    link = Link.of(settings, meters.timed("redis"))
    stack.push_async_callback(link.close)
    return RedisPublished(link, settings.redis.prefix, settings.limits, log, tries=settings.prove.tries)


def reached(settings: Settings, customers: Customers, meters: Meters, stack: AsyncExitStack) -> Reached:
    """Whom calls have reached that somebody has begun at the desk."""
    if settings.calls.dial is None:
        return Nobody()
    link = Link.of(settings, meters.timed("redis"))
    stack.push_async_callback(link.close)
    return StoredReached(RedisDials(link, settings.redis.prefix), customers)
