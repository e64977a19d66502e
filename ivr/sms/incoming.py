"""What came in at the public address: each is read by who knows it, and told to whom it concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Deliveries
from ivr.errors import StoreError
from ivr.sms.reports import Posted, Reader, Refused

# Seconds to wait behind a failure of Redis.
_WAIT = 1.0
# Seconds in which refusals are counted, and told once: anybody can post.
_QUIET = 10.0
_UNKNOWN = "address"

Handler = Callable[[Posted], Awaitable[None]]


class Incoming:
    """Takes one after another. Any number of processes may: each is taken by one of them."""

    def __init__(
        self,
        take: Callable[[], Awaitable[Posted | None]],
        readers: Mapping[str, Reader],
        deliveries: Deliveries,
        log: FilteringBoundLogger,
        *,
        others: Mapping[str, Handler] | None = None,
    ) -> None:
        """`take` waits a while for the next one, and says None where none came; `others` read what is no gateway's."""
        self._take = take
        self._readers = readers
        self._deliveries = deliveries
        self._others = others or {}
        self._log = log
        self._refused = 0
        self._told_at = 0.0

    async def run(self) -> None:
        """For ever."""
        while True:
            posted = None
            try:
                posted = await self._take()
                if posted is not None:
                    await self._read(posted)
            except StoreError as error:
                self._log.warning("incoming.failed", error=str(error))
                await asyncio.sleep(_WAIT)
            except Exception as error:  # noqa: BLE001 (a fault of ours with one of them: others are read; its message might repeat a number)
                self._log.error("task.failed", error=type(error).__name__, code="incoming")
                if posted is None:
                    await asyncio.sleep(_WAIT)

    async def _read(self, posted: Posted) -> None:
        if (other := self._others.get(posted.way)) is not None:
            await other(posted)
            return
        reader = self._readers.get(posted.way)
        read = Refused(_UNKNOWN) if reader is None else reader(posted, time())
        if isinstance(read, Refused):
            self._refuse(posted.way if reader else "", read)
            return
        self._log.info("report.came", gateway=read.gateway, delivery=read.delivery.value, code=read.code)
        await self._deliveries.tell(read)

    def _refuse(self, gateway: str, refused: Refused) -> None:
        self._refused += 1
        now = asyncio.get_running_loop().time()
        if now >= self._told_at + _QUIET or not self._told_at:
            self._log.warning("report.refused", gateway=gateway, why=refused.why, count=self._refused)
            self._refused, self._told_at = 0, now
