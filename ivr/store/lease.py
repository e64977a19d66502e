"""Who serves an application of an Asterisk: one worker holds its lease in Redis, others stand by. A worker may hold several."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from time import monotonic
from typing import Literal

from structlog.typing import FilteringBoundLogger

from ivr.errors import StoreError
from ivr.store.link import Link, Script

_How = Literal["renew", "wait", "spare"]

TAKE = Script("lease")
GIVE = Script("give_lease")

# Renewed so often while it holds, a lease outlasts three renewals that fail.
_RENEWALS = 4
# Who stands by looks more often: this much of the lease is what callers wait longer than they must.
_LOOKS = 8


async def nobody() -> bool:
    """Where no calls are."""
    return False


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
        self._free = False
        self._held = self._wanted = self._awaited = False
        # when it was asked for that was given last, by `monotonic`; None: it is another's
        self._since: float | None = None

    @property
    def held(self) -> bool:
        """Whether it was ours when it was last asked for."""
        return self._held

    @property
    def wanted(self) -> bool:
        """Whether a worker that has none waits for it."""
        return self._wanted

    @property
    def unshaken(self) -> bool:
        """Whether it is still ours although Redis says nothing: it cannot have lapsed, or nobody stood by for it when it was renewed last."""
        return self._since is not None and (not self._awaited or monotonic() - self._since < self._seconds)

    async def take(
        self,
        *,
        spare: Callable[[], bool] = lambda: False,
        turn: AbstractAsyncContextManager[object] | None = None,
        busy: Callable[[], Awaitable[bool]] = nobody,
    ) -> None:
        """Wait until it is ours; as long as Redis is away it is not.

        `spare`: whether this worker holds another one already; then who has none goes first. `turn` is held while it is
        asked for: of several, one after another. `busy`: whether there are calls that may not be recorded yet.
        """
        self._lost()
        waited = False
        while True:
            async with turn or nullcontext():
                how: _How = "spare" if spare() else "wait"
                held, free = await self._ask(how), self._free
            if free and await busy():
                # who had it died before it wrote them down
                async with turn or nullcontext():
                    held = await self._ask("spare", needed=True)
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
                # that one may not reach Asterisk: then it gives it to whoever waits
                await self._ask("spare")

    async def ours(self) -> bool | None:
        """Whether no other worker has it; None where Redis does not say."""
        return await self._ask("renew")

    async def hand_over(self) -> bool:
        """Give it back where another worker waits for it; whether one does."""
        if given := await self._give(to_nobody=False):
            self._lost()
        return given

    async def give_back(self) -> None:
        """Give it back. Where Redis is away it ends by itself."""
        self._lost()
        await self._give(to_nobody=True)

    # ------------------------------------------------------------ inside

    async def _ask(self, how: _How, *, needed: bool = False) -> bool | None:
        """Whether it is ours now, False where it is another's; None where Redis does not say, or nobody needs it: `_free`."""
        # Redis counts from later on
        asked = monotonic()
        self._free = False
        try:
            match await self._link.run(
                TAKE, self._keys, self._holder, round(self._seconds * 1000), how, int(needed or self._needed)
            ):
                case [b"held", int(wanted), int(awaited)]:
                    self._fault = ""
                    self._held, self._wanted, self._awaited = True, wanted == 1, awaited == 1
                    self._since = asked
                    return True
                case [b"other"]:
                    self._lost()
                    return False
                case [b"free"]:
                    self._lost()
                    self._free = True
                    return None
                case _:
                    raise StoreError(f"Redis gave an unknown answer to {TAKE.name}")
        except StoreError as error:
            self._tell(str(error))
            return None

    async def _give(self, *, to_nobody: bool) -> bool:
        try:
            match await self._link.run(GIVE, self._keys, self._holder, int(to_nobody), int(self._needed)):
                case [b"waited"]:
                    return True
                case [b"alone"]:
                    return False
                case _:
                    raise StoreError(f"Redis gave an unknown answer to {GIVE.name}")
        except StoreError as error:
            self._tell(str(error))
            return False

    def _lost(self) -> None:
        self._held, self._since = False, None

    def _tell(self, fault: str) -> None:
        """Log it once, not at every renewal."""
        if fault != self._fault:
            self._fault = fault
            self._log.warning("lease.failed", app=self._app, error=fault)
