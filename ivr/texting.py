"""What a process runs that sends texts and learns what becomes of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from ivr import sms
from ivr.call.ports import Deliveries, Texts, Timed, Voice
from ivr.config import Settings
from ivr.metrics import TimedTexts
from ivr.secret import Secret
from ivr.sms.dispatch import Dispatch
from ivr.sms.reporting import Reporting
from ivr.store.budgets import Budgets
from ivr.store.deliveries import RedisDeliveries
from ivr.store.link import Link
from ivr.vault import Vault


@dataclass(frozen=True, slots=True)
class Texting:
    """`reporting`: where gateways report, for whoever reads that."""

    texts: Texts
    dispatch: Dispatch
    deliveries: RedisDeliveries
    reporting: Reporting
    budgets: Budgets


@asynccontextmanager
async def texting(
    settings: Settings, vault: Vault, link: Link, log: FilteringBoundLogger, timed: Timed = nullcontext,
    voice: Voice | None = None,
) -> AsyncIterator[Texting]:  # fmt: skip
    """`timed`: what is asked of gateways; `voice`: who calls, where anybody does. Raises `ConfigError`."""
    async with AsyncExitStack() as stack:
        deliveries = await stack.enter_async_context(RedisDeliveries(settings, link, log))
        reporting = reporting_of(settings, vault, deliveries)
        gateways = sms.in_turn(settings, log, reporting=reporting)
        stack.push_async_callback(gateways.close)
        texts = TimedTexts(sms.texts(settings, log, gateways), timed)
        budgets = Budgets(link, settings.redis.prefix, settings.limits)
        seconds = settings.texts.second_after_seconds
        dispatch = Dispatch(
            texts, deliveries, budgets, sms.names(settings), seconds, log,
            voice=voice, voice_seconds=settings.texts.voice.after_seconds,
        )  # fmt: skip
        yield Texting(texts, dispatch, deliveries, reporting, budgets)


def reporting_of(settings: Settings, vault: Vault, deliveries: Deliveries) -> Reporting:
    """Where gateways report: at paths that only who has the hash key can make, or by a connection of ours."""
    key = Secret(vault.codes.mac(Secret("reports"), bound_to=("reports",)))
    return Reporting(settings.page.url, key, deliveries.tell)
