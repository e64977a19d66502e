"""Letters of other organisations as they come in: none waits until the domain of another has answered."""

from __future__ import annotations

import asyncio
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ivr.lock.peering import Arrived
from ivr.secret import Secret

# For each the domain of whoever says to have sent it may be asked who it is, for seconds.
_AT_ONCE = 8
_MOST = 200
# Seconds in which letters that are left out are counted, and told of once: anybody can send some.
_QUIET = 10.0


class Posted(Protocol):
    """`ivr.store.posted.Posted`."""

    @property
    def body(self) -> Secret: ...


class Peering(Protocol):
    """`ivr.lock.peering.Peering`."""

    async def arrived(self, text: Secret) -> Arrived: ...


class Reception:
    """What has come is read by `run`. Letters that wait here when the desk ends are lost: their senders prove themselves again."""

    def __init__(
        self, peering: Peering, log: FilteringBoundLogger, *, at_once: int = _AT_ONCE, most: int = _MOST
    ) -> None:
        """`at_once`: how many are read at a time; `most`: how many may wait."""
        self._peering = peering
        self._log = log
        self._at_once = at_once
        self._letters: asyncio.Queue[Secret] = asyncio.Queue(most)
        self._left_out = 0
        self._told_at: float | None = None

    async def take(self, posted: Posted) -> None:
        """Returns at once: reports of text messages come by the same way."""
        try:
            self._letters.put_nowait(posted.body)
        except asyncio.QueueFull:
            self._crowded()

    async def run(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as readers:
            for _ in range(self._at_once):
                readers.create_task(self._read())

    async def _read(self) -> None:
        while True:
            letter = await self._letters.get()
            try:
                await self._peering.arrived(letter)
            except Exception as error:  # noqa: BLE001 (a fault of ours: anybody can send a letter, and no one ends the others)
                self._log.error("peer.failed", error=type(error).__name__)

    def _crowded(self) -> None:
        self._left_out += 1
        now = asyncio.get_running_loop().time()
        if self._told_at is None or now >= self._told_at + _QUIET:
            self._log.warning("peer.crowded", count=self._left_out)
            self._left_out, self._told_at = 0, now
