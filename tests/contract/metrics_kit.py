"""A server of metrics on a port of its own, and what a desk exposes that has just begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from prometheus_client.parser import text_string_to_metric_families

from ivr.config import Settings
from ivr.errors import StoreError
from ivr.hooks.outbox import Outbox
from ivr.metrics import DeskMeters, Heard, HeardServed, Meters, Readiness
from ivr.metrics.own import Own
from ivr.metrics.server import MetricsServer
from ivr.web.problems import STATUSES
from ivr.web.routes import LASTING, PATTERNS
from tests.contract.ari_log import Log
from tests.unit.database_kit import database_of
from tests.unit.database_kit import settings_in as stored_in


@dataclass
class Served:
    """A server of metrics, and what it is asked about; `faults` are parts that are not ready."""

    meters: Any
    log: Log = field(default_factory=Log)
    faults: dict[str, str] = field(default_factory=dict)
    looked: int = 0
    host: str = "127.0.0.1"
    port: int = 0

    def check(self, part: str) -> Callable[[], Awaitable[None]]:
        async def check() -> None:
            self.looked += 1
            if self.faults.get(part) == "hangs":
                await asyncio.Event().wait()
            if self.faults.get(part) == "breaks":
                raise AttributeError("canary")
            if part in self.faults:
                raise StoreError(self.faults[part])

        return check

    async def get(self, path: str, *, method: str = "GET", **headers: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, f"http://{self.host}:{self.port}{path}", headers=headers) as answer,
        ):
            return answer.status, await answer.text()

    async def number(self, name: str, **labels: str) -> float | None:
        """A sample, as Prometheus reads it."""
        _, text = await self.get("/metrics")
        return samples(text).get((name, frozenset(labels.items())))


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@asynccontextmanager
async def served(
    settings: Settings, *, host: str = "127.0.0.1", allow: Sequence[str] = (), lasts: float = 0.0, meters: Own | None = None
) -> AsyncIterator[Served]:  # fmt: skip
    made = Served(meters or Meters(settings), host=host)
    readiness = Readiness(
        {part: made.check(part) for part in ("redis", "database", "asterisk")},
        seconds=0.2,
        log=made.log.logger,
        lasts=lasts,
    )
    server = MetricsServer(made.meters, readiness, [ip_address(one) for one in allow], made.log.logger)
    await server.open(host, 0)
    made.port = server.port
    try:
        yield made
    finally:
        await server.close()


def heard(meters: Any) -> structlog.typing.FilteringBoundLogger:
    """A logger that nothing is written by."""

    def drop(*_: object) -> str:
        raise structlog.DropEvent

    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        None,
        processors=[(Heard(meters) if isinstance(meters, Meters) else HeardServed(meters)), drop],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    return logger


@dataclass
class Node:
    """A node of the desk."""

    place: str = "[asterisk]"
    connected: bool = True
    known: bool = True


@asynccontextmanager
async def desk_served(tmp_path: Path, **more: Any) -> AsyncIterator[tuple[Served, Any]]:
    """The desk's numbers, with a webhook `crm` whose messages stand in the database that comes along."""
    meters = DeskMeters("tillit-desk", PATTERNS, STATUSES, ("crm",), lasting=LASTING)
    settings = stored_in(tmp_path)
    async with await database_of(settings) as database, served(settings, meters=meters, **more) as made:
        meters.watch(Node())
        meters.timed("redis")
        meters.timed("audit")
        meters.show(lambda: {"own": 2}, Outbox(database, {"crm": ("call.verified",)}))
        yield made, database


@asynccontextmanager
async def exposed(tmp_path: Path) -> AsyncIterator[str]:
    """All that a desk exposes whose first request was answered."""
    async with desk_served(tmp_path) as (made, _):
        heard(made.meters).info("web.request", route="/", method="GET", status=200, reason=None, seconds=0.1)
        yield (await made.get("/metrics"))[1]
