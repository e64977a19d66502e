"""An application of an Asterisk, which one worker at a time serves: it is stood by for, served, and let go of."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from time import monotonic
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.telephony import Telephony
from ivr.call.ports import Timed
from ivr.config import Settings
from ivr.errors import WorkerReplaced

# How long an Asterisk may be out of reach before a worker that stands by may try: Asterisk itself starts in about that time.
_PATIENCE = 10.0
_LOOK_SECONDS = 1.0
# How long a worker that has nothing to do waits for calls to end in what another one has too much of; a verification
# is over by then, and what is not goes on with the other worker, after an apology.
_SHARE_SECONDS = 60.0
# Who has the lease takes its application back from a worker that has not, after such waits. That one stands by then, where
# it uses the same Redis; one of another Redis takes it again, and who was there first gives way.
# Each wait is shorter than the time in which a worker sends away the calls that it does not know.
_BACK = (0.0, 0.2, 0.3)
_BACK_SECONDS = 60.0
# How long calls are given to be handed back: the longest sentence that callers hear then lasts 9 s.
_HAND_BACK_SECONDS = 15.0


class Lease(Protocol):
    """Who of several workers serves an application: who holds it."""

    @property
    def held(self) -> bool:
        """Whether it was ours when it was last asked for."""
        ...

    @property
    def wanted(self) -> bool:
        """Whether a worker that has none waits for it."""
        ...

    @property
    def unshaken(self) -> bool:
        """Whether it is still ours although `ours` is not known."""
        ...

    async def take(
        self,
        *,
        spare: Callable[[], bool] = ...,
        turn: AbstractAsyncContextManager[object] | None = ...,
        busy: Callable[[], Awaitable[bool]] = ...,
    ) -> None:
        """Wait until it is ours."""
        ...

    async def keep(self) -> None:
        """Renew it, for ever."""
        ...

    async def ours(self) -> bool | None:
        """Whether no other worker has it; None where that is not known."""
        ...

    async def hand_over(self) -> bool:
        """Give it back where another worker waits for it; whether one does."""
        ...

    async def give_back(self) -> None:
        """Give it back."""
        ...


class Seat:
    """One application of a node. `place` is the node's table; `since` when it began to be served, None where it is not."""

    def __init__(
        self, settings: Settings, place: str, app: str, log: FilteringBoundLogger, timed: Timed = nullcontext
    ) -> None:
        """Raises `ConfigError` where a password or a CA's certificate is not there."""
        self.place = place
        self.app = app
        self.log = log
        self.asterisk = settings.asterisks[place]
        self.ari = Ari.of(settings, place, app=app, log=log, timed=timed)
        self.telephony: Telephony | None = None
        self.stands_by = False
        self.since: float | None = None
        self._settings = settings
        self._lease: Lease | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._handing = self._sharing = False
        self._replaced = asyncio.Event()
        # when it was taken from who has the lease
        self._robbed: deque[float] = deque(maxlen=len(_BACK) + 1)

    @property
    def connected(self) -> bool:
        """Whether its events come in."""
        return self.ari.connected

    @property
    def held(self) -> bool:
        """Whether it is this worker's."""
        return self._lease is not None and self._lease.held

    async def serve(
        self,
        lease: Lease,
        begin: Callable[[], Telephony],
        *,
        spare: Callable[[], bool] = lambda: False,
        turn: AbstractAsyncContextManager[object] | None = None,
    ) -> None:
        """Stand by until the lease is ours, then serve its calls until cancelled; stand by again when another worker has it.

        Returns where a worker that has a lease elsewhere takes the application again and again: the two would go on for ever.
        `spare` and `turn` as in `store.lease`.
        """
        self._lease = lease
        try:
            while True:
                self.stands_by = True
                await lease.take(spare=spare, turn=turn, busy=self.ari.inhabited)
                self.stands_by = False
                if not await self._serve(lease, begin()):
                    return
        finally:
            self.stands_by = False
            await lease.give_back()

    async def _serve(self, lease: Lease, telephony: Telephony) -> bool:
        """Until another worker does; whether to stand by then."""
        self.telephony, self.since = telephony, monotonic()
        self._replaced.clear()
        self._keeping = asyncio.create_task(lease.keep())
        yielding = asyncio.create_task(self._yield(lease))
        try:
            robbed = await self._listen(lease, telephony)
            yielding.cancel()
            self._keeping.cancel()
            # its calls are the other worker's now: let go of them without a word to Asterisk
            telephony.evict(WorkerReplaced(self.app))
            await self.drained()
            self._replaced.set()
            if self._handing or self._sharing:
                self.log.info("worker.handed_over", app=self.app)
            elif robbed:
                cure = f"give each worker an {self.place} app of its own, or the same [redis]"
                self.log.warning("worker.replaced", app=self.app, cure=cure)
                return False
            else:
                self.log.warning("worker.relieved", app=self.app)
            if self._handing:
                return False
        finally:
            yielding.cancel()
            self._keeping.cancel()
            self.since = None
        self._keeping = self.telephony = None
        return True

    async def _listen(self, lease: Lease, telephony: Telephony) -> bool:
        """Until another worker has the application; whether it is one that has no such lease, and does not let go."""

        async def allowed() -> bool | None:
            ours = await lease.ours()
            return True if ours is None and lease.unshaken else ours

        while True:
            with suppress(WorkerReplaced):
                await self.ari.listen(telephony, allowed)
            if self._handing or self._sharing or await lease.ours() is not True:
                return False
            now = monotonic()
            self._robbed.append(now)
            times = sum(now - at < _BACK_SECONDS for at in self._robbed)
            if times > len(_BACK):
                return True
            self.log.warning("worker.robbed", app=self.app, times=times)
            await asyncio.sleep(_BACK[times - 1])

    async def _yield(self, lease: Lease) -> None:
        """While Asterisk is out of reach, let another worker try that waits for the lease; it may be this one's own way there."""
        lost: float | None = None
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self.ari.connected:
                lost = None
                continue
            lost = lost or monotonic()
            if monotonic() - lost < _PATIENCE or not await lease.hand_over():
                continue
            if self._keeping is not None:
                # it would take the lease anew
                self._keeping.cancel()
            self.log.warning("worker.cut_off", app=self.app, seconds=round(monotonic() - lost))
            await asyncio.sleep(self._settings.worker.lease_seconds)
            if await lease.ours() is False:
                return
            # nobody came for it
            self._keeping, lost = asyncio.create_task(lease.keep()), None

    async def hand_over(self) -> None:
        """Let a worker that stands by take the calls, for good; where none does, or it does not come, they stay."""
        if self.since is None or self._lease is None or self._keeping is None:
            return
        if self._handing and not self._lease.held:
            # it was given away before
            return
        self._handing = True
        if self.telephony is not None:
            self.telephony.close()
        if not await self._relieved(self._lease):
            self.log.warning("worker.not_relieved", app=self.app, seconds=self._patience)

    async def share(self) -> None:
        """Let a worker that has no application take this one, when its calls have ended; it is stood by for then."""
        lease, asked = self._lease, monotonic()
        if self.since is None or lease is None or self._keeping is None:
            return
        while self.telephony is not None and self.telephony.verifying and monotonic() - asked < _SHARE_SECONDS:
            if not lease.wanted:
                return
            await asyncio.sleep(_LOOK_SECONDS)
        if not lease.wanted:
            return
        self._sharing = True
        try:
            if not await self._relieved(lease) and await lease.ours() is not False:
                self._keeping = asyncio.create_task(lease.keep())
        finally:
            self._sharing = False

    @property
    def _patience(self) -> float:
        # who stands by looks for the lease several times in its length, and connects at once
        return self._settings.worker.lease_seconds + self.asterisk.request_seconds

    async def _relieved(self, lease: Lease) -> bool:
        """Give the lease to who waits for it; whether nobody does, or that one has come."""
        if not await lease.hand_over():
            return True
        if self._keeping is not None:
            self._keeping.cancel()
        try:
            async with asyncio.timeout(self._patience):
                await self._replaced.wait()
        except TimeoutError:
            return False
        return True

    async def drained(self) -> None:
        """Wait for its calls to be handed back, for as long as a sentence takes."""
        if self.telephony is not None:
            await self.telephony.drained(_HAND_BACK_SECONDS)
