"""Who serves an application of an Asterisk: one worker holds its lease in Redis, others stand by. A worker may hold several."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Literal

from structlog.typing import FilteringBoundLogger

from ivr.errors import StoreError
from ivr.store.link import Link, Script

TAKE = Script("lease")
GIVE = Script("give_lease")

# Renewed so often while it holds, a lease outlasts three renewals that fail.
_RENEWALS = 4
# Who stands by looks more often: this much of the lease is what callers wait longer than they must.
_LOOKS = 8


class Lease:
    """One application's, for one run of a worker. `take`, then `keep` until cancelled, then `give_back`.

    Redis drops it when it was not renewed for its length: the worker is dead, hangs, or has lost Redis.
    """

    def __init__(
        self,
        link: Link,
        prefix: str,
        *,
        node: str,
        app: str,
        seconds: float,
        needed: bool = True,
        log: FilteringBoundLogger,
    ) -> None:
        """`node` is the Asterisk's name for itself: workers of two Asterisks are nothing to each other.

        `needed`: it must always be held; else who holds another one takes it only where there are calls.
        """
        # no application's name has a colon
        self._keys = [f"{prefix}:{kind}:{node}:{app}" for kind in ("lease", "waits", "wants", "calls")]
        self._needed = needed
        self._link = link
        self._app = app
        self._seconds = seconds
        self._log = log
        self._holder = secrets.token_urlsafe(12)
        self._fault = ""
        self._held = self._wanted = False

    @property
    def held(self) -> bool:
        """Whether it was ours when it was last asked for."""
        return self._held

    @property
    def wanted(self) -> bool:
        """Whether a worker that has none waits for it."""
        return self._wanted

    async def take(
        self, *, spare: Callable[[], bool] = lambda: False, turn: AbstractAsyncContextManager[object] | None = None
    ) -> None:
        """Wait until it is ours; as long as Redis is away it is not.

        `spare`: whether this worker holds another one already; then who has none goes first. `turn` is held while it is
        asked for: of several, one after another.
        """
        waited = False
        while True:
            async with turn or nullcontext():
                held = await self._ask("spare" if spare() else "wait")
            if held is True:
                break
            if held is False and not waited:
                self._log.info("worker.stands_by", app=self._app)
                waited = True
            await asyncio.sleep(self._seconds / _LOOKS)
        if waited:
            self._log.warning("worker.took_over", app=self._app)

    async def keep(self) -> None:
        """Renew it, for ever. Where Redis was away it is taken anew, unless another worker has it by then."""
        while True:
            await asyncio.sleep(self._seconds / _RENEWALS)
            if await self._ask("renew") is False:
                self._tell("another worker has it")

    async def ours(self) -> bool:
        """Whether no other worker has it; where Redis is away, nobody takes it."""
        return await self._ask("renew") is not False

    async def hand_over(self) -> bool:
        """Give it back where another worker waits for it; whether one does."""
        if given := await self._give(to_nobody=False):
            self._held = False
        return given

    async def give_back(self) -> None:
        """Give it back. Where Redis is away it ends by itself."""
        self._held = False
        await self._give(to_nobody=True)

    # ------------------------------------------------------------ inside

    async def _ask(self, how: Literal["renew", "wait", "spare"]) -> bool | None:
        """Whether it is ours now, False where it is another's; None where Redis does not say, or nobody needs it."""
        try:
            match await self._link.run(
                TAKE, self._keys, self._holder, round(self._seconds * 1000), how, int(self._needed)
            ):
                case [b"held", int(wanted)]:
                    self._fault = ""
                    self._held, self._wanted = True, wanted == 1
                    return True
                case [b"other"]:
                    self._held = False
                    return False
                case [b"free"]:
                    self._held = False
                    return None
                case _:
                    raise StoreError(f"Redis gave an unknown answer to {TAKE.name}")
        except StoreError as error:
            self._tell(str(error))
            return None

    async def _give(self, *, to_nobody: bool) -> bool:
        try:
            match await self._link.run(GIVE, self._keys[:3], self._holder, int(to_nobody)):
                case [b"waited"]:
                    return True
                case [b"alone"]:
                    return False
                case _:
                    raise StoreError(f"Redis gave an unknown answer to {GIVE.name}")
        except StoreError as error:
            self._tell(str(error))
            return False

    def _tell(self, fault: str) -> None:
        """Log it once, not at every renewal."""
        if fault != self._fault:
            self._fault = fault
            self._log.warning("lease.failed", app=self._app, error=fault)
