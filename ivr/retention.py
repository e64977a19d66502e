"""What a worker deletes because it was kept long enough: old rows of the audit trail, old evidence of identifications, old texts of the trial gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial

from structlog.typing import FilteringBoundLogger

from ivr.audit import heads
from ivr.audit.chain import stamp, utc_now
from ivr.audit.retention import due, prune
from ivr.audit.signing import Seal
from ivr.audit.steady import SETTLED, Steady
from ivr.audit.trail import Trail
from ivr.call.ports import Entry
from ivr.config import Settings
from ivr.database import Database
from ivr.errors import TillitError
from ivr.store import eids

_SECONDS = 3600.0


@asynccontextmanager
async def retaining(
    settings: Settings, database: Database, trail: Trail, seal: Seal, log: FilteringBoundLogger
) -> AsyncIterator[None]:
    """As long as the body runs, delete at once and every hour what is older than the settings say."""
    task = asyncio.create_task(_keep_on(settings, database, trail, seal, log), name="retention")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _keep_on(settings: Settings, database: Database, trail: Trail, seal: Seal, log: FilteringBoundLogger) -> None:
    steady = Steady(database, trail)
    while True:
        cleaning: dict[str, Callable[[], Awaitable[int]]] = {
            "audit": partial(keep_audit, settings, database, trail, seal, steady, log),
            "evidence": partial(keep_evidence, settings, database, steady, log),
            "outbox": partial(asyncio.to_thread, clean_outbox, settings),
        }
        for kind, clean in cleaning.items():
            try:
                count = await clean()
            except (TillitError, OSError) as error:
                reason = str(error) if isinstance(error, TillitError) else str(error.strerror)
                log.warning("retention.failed", kind=kind, error=reason)
            else:
                if count:
                    log.info("retention.done", kind=kind, count=count)
        await asyncio.sleep(_SECONDS)


def oldest(days: int, clock: Callable[[], datetime] = utc_now) -> str:
    """The time, as the trail has it, before which rows are older than so many days."""
    return stamp(clock() - timedelta(days=days))


async def keep_audit(
    settings: Settings, database: Database, trail: Trail, seal: Seal, steady: Steady, log: FilteringBoundLogger
) -> int:
    """Delete rows that are too old, unless the clock has jumped; how many. Raises `TillitError`."""
    if settings.retention.audit_days is None:
        return 0
    if (held := await steady.held()) is not None:
        log.warning("retention.held", kind="audit", seconds=int(held.total_seconds()))
        return 0
    return await clean_audit(settings, database, trail, seal)


async def clean_audit(
    settings: Settings, database: Database, trail: Trail, seal: Seal, *, clock: Callable[[], datetime] = utc_now
) -> int:
    """Delete rows that are too old, each chain's told of in the trail before; how many.

    Raises `TillitError`, also where the clock is far ahead of the last head: a worker signs one every few seconds.
    """
    days = settings.retention.audit_days
    if days is None:
        return 0
    async with database.read() as connection:
        signed = await connection.run_sync(heads.signed_last, stamp(clock()), seal)
    if signed is None or clock() - signed > SETTLED:
        raise TillitError("audit: the clock is more than a day ahead of the newest head: nothing is deleted")
    before, count = oldest(days, clock), 0
    for chain, upto in (await due(database, before)).items():
        detail = {"chain": chain, "row": str(upto), "before": before}
        await trail.append(Entry("worker", "audit.retention", "done", detail=detail))
        count += await prune(database, chain, upto, seal, at=stamp(clock()))
    return count


async def keep_evidence(settings: Settings, database: Database, steady: Steady, log: FilteringBoundLogger) -> int:
    """Delete evidence that is too old, unless the clock has jumped; how many. Raises `TillitError`."""
    if settings.retention.evidence_days is None:
        return 0
    if (held := await steady.held()) is not None:
        log.warning("retention.held", kind="evidence", seconds=int(held.total_seconds()))
        return 0
    return await clean_evidence(settings, database)


async def clean_evidence(settings: Settings, database: Database, *, clock: Callable[[], datetime] = utc_now) -> int:
    """Delete evidence that is too old; how many. Raises `StoreError`."""
    days = settings.retention.evidence_days
    if days is None:
        return 0
    before = int((clock() - timedelta(days=days)).timestamp())
    return await eids.forget(database, before)


def clean_outbox(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> int:
    """Delete texts of the trial gateway that are too old; how many. Raises `OSError`."""
    folder = settings.path(settings.texts.outbox_folder)
    if not folder.is_dir():
        return 0
    before = (clock() - timedelta(days=settings.retention.outbox_days)).timestamp()
    old = [file for file in folder.glob("*.json") if file.stat().st_mtime < before]
    for file in old:
        file.unlink(missing_ok=True)
    return len(old)
