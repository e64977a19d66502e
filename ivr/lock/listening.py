"""Proofs whose digits stand on the page and are keyed on the phone: heard in the call while the two are joined, and never otherwise.

Of all desks one listens; where it dies, another one does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.call.proof import Proof
from ivr.errors import Unavailable
from ivr.lock.proofports import Hearing, Pages, Turn
from ivr.store.answered import Wrong


class Listening:
    """What comes of an entry the store tells, as of one that is keyed on the page."""

    def __init__(
        self, pages: Pages, hearing: Hearing, joined: Callable[[Proof], bool], wrong: Callable[[Proof], object],
        log: FilteringBoundLogger, *, digits: int, apart: float, again: float, turn: float, wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """`wrong` is told of an entry behind which another one may be tried; `apart`: seconds that two may be parted for a moment.

        `again`: seconds until it is tried again where Asterisk or Redis does not answer; `turn`: those behind which another desk
        listens, where this one does not say that it does.
        """
        self._pages = pages
        self._hearing = hearing
        self._joined = joined
        self._wrong = wrong
        self._log = log
        self._digits = digits
        self._apart = apart
        self._again = again
        self._turn = turn
        self._wall = wall
        self._now: dict[str, tuple[Proof, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ids(self) -> frozenset[str]:
        """Of those that are listened for."""
        return frozenset(self._now)

    def begin(self, proof: Proof) -> None:
        """Listen for the digits of this one, unless that is done already."""
        if proof.id not in self._now:
            self._begin(proof)

    def moved(self) -> None:
        """Who talks with whom has changed, or is not known. What is keyed meanwhile, such as a PIN, is for somebody else."""
        for proof, task in list(self._now.values()):
            if not self._joined(proof):
                task.cancel()
                self._begin(proof)

    def end(self, id: str) -> None:
        """Nobody waits for it any more."""
        if (now := self._now.pop(id, None)) is not None:
            now[1].cancel()

    async def close(self) -> None:
        """End what is going on."""
        self._now.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------ inside

    def _begin(self, proof: Proof) -> None:
        task = asyncio.create_task(self._heard(proof) if self._joined(proof) else self._later(proof))
        self._now[proof.id] = proof, task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, proof: Proof) -> None:
        """As soon as the two are joined again. Where the call has ended, the proof does."""
        while self._wall() < proof.until:
            await asyncio.sleep(self._apart)
            if self._joined(proof):
                self._begin(proof)
                return
        self._now.pop(proof.id, None)

    async def _heard(self, proof: Proof) -> None:
        trouble = ""
        turn = self._pages.turn(proof.id, seconds=self._turn)
        while self._wall() < proof.until:
            seconds = self._again
            try:
                async with asyncio.timeout(proof.until - self._wall()):
                    if not await turn.mine():
                        seconds = self._turn / 3
                    elif await self._in_turn(proof, turn):
                        break
            except TimeoutError:
                break
            except Unavailable as error:
                if str(error) != trouble:
                    trouble = str(error)
                    self._log.error("proof.unheard", proof=proof.id, error=trouble)
            await asyncio.sleep(seconds)
        self._now.pop(proof.id, None)

    async def _in_turn(self, proof: Proof, turn: Turn) -> bool:
        """Whether nothing more can be keyed; False where another desk listens now. Raises `Unavailable`."""
        hearing, keeping = asyncio.create_task(self._entries(proof)), asyncio.create_task(self._kept(turn))
        try:
            await asyncio.wait((hearing, keeping), return_when=asyncio.FIRST_COMPLETED)
            if hearing.done():
                hearing.result()
                return True
            keeping.result()
            return False
        finally:
            for task in (hearing, keeping):
                task.cancel()
            await asyncio.gather(hearing, keeping, return_exceptions=True)
            with suppress(Unavailable):
                # it passes to another desk by itself, and later
                await turn.give_back()

    async def _kept(self, turn: Turn) -> None:
        """Until it is another desk's. Raises `Unavailable`."""
        while await turn.mine():
            await asyncio.sleep(self._turn / 3)

    async def _entries(self, proof: Proof) -> None:
        """Until one is right, or nothing more can be keyed. Raises `Unavailable`."""
        async with aclosing(self._hearing.entries(proof.node, proof.channel, self._digits)) as entries:
            async for entry in entries:
                match await self._pages.key(proof.id, entry):
                    case Wrong(left) if left:
                        self._wrong(proof)
                    case _:
                        return
