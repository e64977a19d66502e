"""Providers of electronic identities, what customers are called there, and whose turn it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ivr.call.ports import Subject
from ivr.call.ports.eid import Done, EidAsked, Ended, Let, Order, Pending
from ivr.secret import Secret
from tests.unit.fakes.plot import Plot
from tests.unit.fakes.time import clock

Found = Pending | Done | Ended


class FakeEid:
    """Implements `ports.eid.Eid`. `says` has what comes of the looks, one after another, the last for ever; `begun` who was asked for.

    `uncancelled`: it has no way to take an order back. `pings`: it says by itself that it is time to look, when this is set.
    """

    def __init__(self, plot: Plot, name: str) -> None:
        self.name = name
        self.begun: list[EidAsked] = []
        self.says: list[Found] = [Pending("sent")]
        self.refuses: Ended | None = None
        self.cancelled: list[float] = []
        self.uncancelled = False
        self.life = 180.0
        self.pings: asyncio.Event | None = None
        self._plot = plot

    async def begin(self, asked: EidAsked) -> Order | Ended:
        async with self._plot.operation("eid.begin"):
            self.begun.append(asked)
            return self.refuses or Order(Secret("order"), asked, clock(), self.life, 2.0, ping=self._pinged())

    async def look(self, order: Order) -> Found:
        async with self._plot.operation("eid.look"):
            return self.says.pop(0) if len(self.says) > 1 else self.says[0]

    async def cancel(self, order: Order) -> bool:
        async with self._plot.operation("eid.cancel"):
            self.cancelled.append(clock())
            return not self.uncancelled

    async def reach(self) -> None:
        async with self._plot.operation("eid.reach"):
            pass

    async def close(self) -> None:
        await asyncio.sleep(0)

    def _pinged(self) -> Callable[[], Awaitable[None]] | None:
        if (pings := self.pings) is None:
            return None

        async def came() -> None:
            await pings.wait()

        return came


class FakeIdentities:
    """Implements `ports.eid.Identities`. `known`: what customers are called, by reference and kind."""

    def __init__(self, plot: Plot) -> None:
        self.known: dict[tuple[str, str], str] = {}
        self.kept: list[tuple[str, str, str]] = []
        self._plot = plot

    async def of(self, subject: Subject, kind: str) -> Secret | None:
        async with self._plot.operation("identities.of"):
            found = self.known.get((subject.ref, kind))
            return None if found is None else Secret(found)

    async def keep(self, subject: Subject, provider: str, evidence: Secret) -> str:
        async with self._plot.operation("identities.keep"):
            self.kept.append((subject.ref, provider, evidence.reveal()))
            return f"evidence-{len(self.kept)}"


class FakeTurns:
    """Implements `ports.eid.Turns`. `others`: persons whom somebody else asks; `asked`: for how many seconds."""

    def __init__(self, plot: Plot) -> None:
        self.others: set[str] = set()
        self.taken: set[str] = set()
        self.asked: list[float] = []
        self._plot = plot

    async def take(self, kind: str, who: Secret, seconds: float) -> Let | None:
        async with self._plot.operation("turns.take"):
            self.asked.append(seconds)
            if who.reveal() in self.others | self.taken:
                return None
            return self._taken(who.reveal())

    def _taken(self, who: str) -> Let:
        self.taken.add(who)

        async def let() -> None:
            async with self._plot.operation("turns.let"):
                self.taken.discard(who)

        return let
