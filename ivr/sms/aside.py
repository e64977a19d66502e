"""What came in at the public address and takes its time: read beside the rest, so that no report waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from ivr.errors import StoreError
from ivr.sms.reports import Posted

# Seconds in which those that are left out are counted, and told of once: anybody can send some.
_QUIET = 10.0


class Aside:
    """One kind's. What has come is read by `run`; what waits here when the desk ends is lost, and whoever sent it asks again."""

    def __init__(
        self, kind: str, read: Callable[[Posted], Awaitable[None]], log: FilteringBoundLogger, *, at_once: int, most: int
    ) -> None:  # fmt: skip
        """`kind`: a word of ours for the log; `at_once`: how many are read at a time, one where their order matters; `most`: how many may wait."""
        self._kind = kind
        self._read = read
        self._log = log
        self._at_once = at_once
        self._waiting: asyncio.Queue[Posted] = asyncio.Queue(most)
        self._left_out = 0
        self._told_at: float | None = None

    async def take(self, posted: Posted) -> None:
        """Returns at once."""
        try:
            self._waiting.put_nowait(posted)
        except asyncio.QueueFull:
            self._crowded()

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as readers:
            for _ in range(self._at_once):
                readers.create_task(self._reading())

    async def _reading(self) -> None:
        while True:
            posted = await self._waiting.get()
            try:
                await self._read(posted)
            except StoreError as error:
                self._log.warning("incoming.failed", error=str(error))
            except Exception as error:  # noqa: BLE001 (a fault of ours with one of them: others are read; its message might repeat a number)
                self._log.error("task.failed", error=type(error).__name__, code=self._kind)

    def _crowded(self) -> None:
        self._left_out += 1
        now = asyncio.get_running_loop().time()
        if self._told_at is None or now >= self._told_at + _QUIET:
            self._log.warning("incoming.crowded", kind=self._kind, count=self._left_out)
            self._left_out, self._told_at = 0, now
