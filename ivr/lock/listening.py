"""Proofs whose digits stand on the page and are keyed on the phone: heard in the call while the two are joined, and never otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.call.proof import Proof
from ivr.errors import Unavailable
from ivr.lock.proofports import Hearing, Pages
from ivr.store.answered import Wrong


class Listening:
    """What comes of an entry the store tells, as of one that is keyed on the page."""

    def __init__(
        self, pages: Pages, hearing: Hearing, joined: Callable[[Proof], bool], wrong: Callable[[Proof], object],
        log: FilteringBoundLogger, *, digits: int, apart: float, again: float, wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        """`wrong` is told of an entry behind which another one may be tried; `apart`: seconds that two may be parted for a moment.

        `again`: seconds until it is tried again where Asterisk or Redis does not answer.
        """
        self._pages = pages
        self._hearing = hearing
        self._joined = joined
        self._wrong = wrong
        self._log = log
        self._digits = digits
        self._apart = apart
        self._again = again
        self._wall = wall
        self._now: dict[str, tuple[Proof, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def ids(self) -> frozenset[str]:
        """Of those that are listened for."""
        return frozenset(self._now)

    def begin(self, proof: Proof) -> None:
        """Listen for the digits of this one."""
        task = asyncio.create_task(self._heard(proof) if self._joined(proof) else self._later(proof))
        self._now[proof.id] = proof, task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def moved(self) -> None:
        """Who talks with whom has changed. What is keyed meanwhile, such as a PIN, is for somebody else."""
        for proof, task in list(self._now.values()):
            if not self._joined(proof):
                task.cancel()
                self.begin(proof)

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

    async def _later(self, proof: Proof) -> None:
        await asyncio.sleep(self._apart)
        if self._joined(proof):
            self.begin(proof)
        else:
            self._now.pop(proof.id, None)

    async def _heard(self, proof: Proof) -> None:
        trouble = ""
        while self._wall() < proof.until:
            try:
                async with asyncio.timeout(proof.until - self._wall()):
                    await self._entries(proof)
                break
            except TimeoutError:
                break
            except Unavailable as error:
                if str(error) != trouble:
                    trouble = str(error)
                    self._log.error("proof.unheard", proof=proof.id, error=trouble)
            await asyncio.sleep(self._again)
        self._now.pop(proof.id, None)

    async def _entries(self, proof: Proof) -> None:
        """Until one is right, or nothing more can be keyed. Raises `Unavailable`."""
        async with aclosing(self._hearing.entries(proof.node, proof.channel, self._digits)) as entries:
            async for entry in entries:
                match await self._pages.key(proof.id, entry):
                    case Wrong(left) if left:
                        self._wrong(proof)
                    case _:
                        return
