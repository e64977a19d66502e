"""The HTTP server of /metrics, /healthz and /readyz: to be read by this machine, and by those that the settings name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address
from time import monotonic

from aiohttp import web
from prometheus_client.exposition import choose_encoder
from structlog.typing import FilteringBoundLogger

from ivr.config import Metrics, Settings
from ivr.config.listening import is_served, split
from ivr.metrics.answers import alive_answer, ready_answer
from ivr.metrics.own import Own
from ivr.metrics.ready import Readiness

# How often it is looked how late the event loop is.
_LOOK_SECONDS = 0.5
# Of peers that are not allowed, a line in so many seconds: a flood must not fill the disk.
_SPARING_SECONDS = 10.0
# How long a client may keep a connection open without a request, in seconds; Prometheus asks every 15 s or so.
_IDLE = 75.0

# aiohttp would write down what a peer sends that is no HTTP; faults of ours are logged by us.
_SILENT = logging.getLogger("ivr.metrics.silent")
_SILENT.setLevel(logging.CRITICAL)

Address = IPv4Address | IPv6Address


@asynccontextmanager
async def serving(
    settings: Settings, own: Metrics, place: str, meters: Own, readiness: Readiness, log: FilteringBoundLogger
) -> AsyncIterator[None]:
    """Serve while this context lasts, where `listen` of this table says so; raises `ConfigError` where that cannot be.

    `place`: the table, such as `[metrics]`.
    """
    if own.listen is None:
        yield
        return
    server = MetricsServer(meters, readiness, own.allow, log, place)
    with own.bound(settings.file, place):
        await server.open(*split(own.listen))
    log.info("metrics.listening", address=own.listen)
    try:
        yield
    finally:
        await server.close()


class MetricsServer:
    """`open`, then it serves until `close`."""

    def __init__(
        self, meters: Own, readiness: Readiness, allow: Collection[Address], log: FilteringBoundLogger, place: str = "[metrics]"
    ) -> None:  # fmt: skip
        """`allow`: peers beside this machine itself; `place`: the table that names them."""
        self._meters = meters
        self._readiness = readiness
        self._allow = frozenset(allow)
        self._log = log
        self._place = place
        self._refused_at = -_SPARING_SECONDS
        self._refused = 0
        self._lagging: asyncio.Task[None] | None = None
        app = web.Application(middlewares=[self._screened])
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(
            app, handle_signals=False, access_log=None, logger=_SILENT, keepalive_timeout=_IDLE, shutdown_timeout=1.0
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._runner.addresses[0][1])

    async def open(self, host: str, port: int) -> None:
        """Begin to listen; raises `OSError` where that cannot be."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        self._lagging = asyncio.create_task(self._lag(), name="metrics/lag")

    async def close(self) -> None:
        """Listen no longer."""
        if self._lagging is not None:
            self._lagging.cancel()
            await asyncio.gather(self._lagging, return_exceptions=True)
        await self._runner.cleanup()

    # ------------------------------------------------------------ inside

    @web.middleware
    async def _screened(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # the connection's own address: a header that names another one counts for nothing
        host = request.remote or ""
        if not is_served(host, self._allow):
            self._refuse(host)
            return web.Response(status=403, text=f"{self._place} allow does not name this address\n")
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except Exception as error:
            self._log.error("metrics.failed", error=type(error).__name__, cure="please report this line")
            raise

    def _refuse(self, host: str) -> None:
        self._refused += 1
        if monotonic() - self._refused_at >= _SPARING_SECONDS:
            self._log.warning("metrics.refused", peer=host, times=self._refused)
            self._refused_at, self._refused = monotonic(), 0

    async def _metrics(self, request: web.Request) -> web.Response:
        await self._look()
        for looked in self._meters.looked:
            await looked.look()
        encode, kind = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._meters.registry), headers={"Content-Type": kind})

    async def _healthz(self, _: web.Request) -> web.Response:
        return alive_answer()

    async def _readyz(self, _: web.Request) -> web.Response:
        return ready_answer(await self._look(), why=True)

    async def _look(self) -> dict[str, str | None]:
        faults = dict(await self._readiness.look())
        self._meters.ready = {part: fault is None for part, fault in faults.items()}
        return faults

    async def _lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LOOK_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)
            self._meters.lag.observe(max(0.0, loop.time() - due))
