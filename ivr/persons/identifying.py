"""One identification of somebody before a page: what is shown changes each second, and the provider is asked how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.call.ports.eid import Done, Eid, EidAsked, Ended, Order, Pending
from ivr.errors import EidError

# Seconds between two pictures, as BankID's guidelines have it: an older one is of no use.
_TICK = 1.0
# A provider that does not answer so often in a row is away.
_FAULTS = 5

Show = Callable[[Order, float], Awaitable[bool]]
"""Shows the order, so many seconds old; False where it counts no longer. Raises `StoreError`."""


class Identifying:
    """At one provider."""

    def __init__(
        self, eid: Eid, log: FilteringBoundLogger, *, tick: float = _TICK, poll: float | None = None,
        clock: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """`poll`: seconds between two looks, where it is not to be the provider's own; `clock`: seconds since the epoch."""
        self._eid = eid
        self._log = log
        self._tick = tick
        self._poll = poll
        self._clock = clock

    @property
    def life(self) -> float:
        """Seconds that an order lasts at most."""
        return self._eid.life

    async def begin(self, asked: EidAsked) -> Order | Ended:
        """Ask the provider; one that does not answer has ended it."""
        try:
            return await self._eid.begin(asked)
        except EidError as error:
            self._log.error("person.unasked", error=str(error))
            return Ended("failed")

    async def reach(self) -> None:
        """Connect to the provider, and ask for nobody. Raises `EidError`."""
        await self._eid.reach()

    async def follow(self, order: Order, show: Show) -> Done | Ended | None:
        """Until it has ended; None where it counts no longer. Raises `StoreError`."""
        looked, poll, faults = order.begun, self._poll or order.poll, 0
        while (age := self._clock() - order.begun) < order.life:
            if not await show(order, age):
                await self.cancel(order)
                return None
            await asyncio.sleep(self._tick)
            if self._clock() - looked < poll:
                continue
            looked = self._clock()
            try:
                said = await self._eid.look(order)
            except EidError as error:
                self._log.error("person.unasked", error=str(error))
                faults += 1
                if faults == _FAULTS:
                    return Ended("failed")
                continue
            if not isinstance(said, Pending):
                return said
            faults, poll = 0, self._poll or said.poll or poll
        await self.cancel(order)
        return Ended("expired")

    async def cancel(self, order: Order) -> bool:
        """Whether nobody is asked any more."""
        try:
            await self._eid.cancel(order)
        except EidError as error:
            # it ends by itself
            self._log.info("person.uncancelled", error=str(error))
            return False
        return True
