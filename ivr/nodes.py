"""The Asterisks that a worker serves: each is looked at, served and let go of; none waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from itertools import chain, repeat
from time import monotonic
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ami import Ami
from ivr.asterisk.ari import Ari
from ivr.asterisk.inspection import Found, inspect
from ivr.asterisk.presence import Presence
from ivr.asterisk.telephony import Telephony
from ivr.call.ports import Timed
from ivr.config import Settings
from ivr.errors import ConfigError, Unavailable, Unreachable, WorkerReplaced

# Waits before a node that was not there at the start is looked at again, in seconds; the last one is repeated.
_WAITS = (1.0, 2.0, 5.0, 10.0)
# How long an Asterisk may be out of reach before a worker that stands by may try: Asterisk itself starts in about that time.
_PATIENCE = 10.0
_LOOK_SECONDS = 1.0


class Lease(Protocol):
    """Who of several workers serves a node: who holds it."""

    async def take(self) -> None:
        """Wait until it is ours."""
        ...

    async def keep(self) -> None:
        """Renew it, for ever."""
        ...

    async def ours(self) -> bool:
        """Whether no other worker has it."""
        ...

    async def hand_over(self) -> bool:
        """Give it back where another worker waits for it; whether one does."""
        ...

    async def give_back(self) -> None:
        """Give it back."""
        ...


class Node:
    """One Asterisk of the settings; `place` is its table, and on every log line where there are several."""

    def __init__(self, settings: Settings, place: str, log: FilteringBoundLogger, timed: Timed = nullcontext) -> None:
        """Raises `ConfigError` where a password or a CA's certificate is not there."""
        self.place = place
        self.asterisk = settings.asterisks[place]
        self.bound = {"place": place} if len(settings.asterisks) > 1 else {}
        self.log = log.bind(**self.bound)
        self.found: Found | None = None
        self.fault: ConfigError | None = None
        self.telephony: Telephony | None = None
        self.stands_by = False
        self._lease: Lease | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._handing = False
        self._replaced = asyncio.Event()
        self._settings = settings
        self.ari = Ari.of(settings, place, log=self.log, timed=timed)
        # Nobody is verified by it: it may come later, or go, and may be left out.
        self._ami = self._manager()
        self._presence = None if self._ami is None else Presence(self._ami, self.log)

    @property
    def connected(self) -> bool:
        """Whether its events come in."""
        return self.ari.connected

    @property
    def managed(self) -> bool | None:
        """Whether its manager interface is logged in to; None where the settings have none."""
        return None if self._ami is None else self._ami.connected

    async def open(self) -> None:
        """Raises `ConfigError` where the manager interface refuses the login."""
        await self.ari.open()
        if self._ami is not None:
            await self._ami.open(patient=True)

    async def close(self) -> None:
        """End its connections."""
        if self._ami is not None:
            await self._ami.close()
        if self._presence is not None:
            await self._presence.close()
        await self.ari.close()

    async def look(self) -> None:
        """See what is there: `found`, or the `fault` that it has."""
        self.found = self.fault = None
        try:
            self.found = await inspect(self.ari, self._settings, self.place, self.log)
        except ConfigError as error:
            self.fault = error

    async def serve(self, lease: Lease, begin: Callable[[], Telephony]) -> None:
        """Stand by until the lease is ours, then serve its calls until cancelled; stand by again when another worker has it.

        Returns where another worker without that lease has the application: the two would take it from each other for ever.
        """
        try:
            while True:
                self.stands_by = True
                await lease.take()
                self.stands_by = False
                if not await self._serve(lease, begin()):
                    return
                self.log.warning("worker.relieved", app=self.asterisk.app)
        finally:
            self.stands_by = False
            await lease.give_back()

    async def _serve(self, lease: Lease, telephony: Telephony) -> bool:
        """Until another worker does; whether that one has the lease."""
        self._lease, self.telephony = lease, telephony
        self._replaced.clear()
        self._keeping = asyncio.create_task(lease.keep())
        yielding = asyncio.create_task(self._yield(lease))
        try:
            await self.ari.listen(telephony, lease.ours)
        except WorkerReplaced:
            yielding.cancel()
            self._keeping.cancel()
            # its calls are the other worker's now: let go of them without a word to Asterisk
            telephony.evict(WorkerReplaced(self.asterisk.app))
            await self.drained()
            self._replaced.set()
            if self._handing:
                self.log.info("worker.handed_over", app=self.asterisk.app)
                return False
            if await lease.ours():
                cure = f"give each worker an {self.place} app of its own, or the same [redis]"
                self.log.warning("worker.replaced", app=self.asterisk.app, cure=cure)
                return False
        finally:
            yielding.cancel()
            self._keeping.cancel()
        self._lease = self._keeping = self.telephony = None
        return True

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
            self.log.warning("worker.cut_off", app=self.asterisk.app, seconds=round(monotonic() - lost))
            await asyncio.sleep(self._settings.worker.lease_seconds)
            if not await lease.ours():
                return
            # nobody came for it
            self._keeping, lost = asyncio.create_task(lease.keep()), None

    async def hand_over(self) -> None:
        """Let a worker that stands by take the calls; where none does, or it does not come, they stay."""
        if self._lease is None or self._keeping is None:
            return
        self._handing = True
        if not await self._lease.hand_over():
            return
        self._keeping.cancel()
        # it looks for the lease several times in its length, and connects at once
        patience = self._settings.worker.lease_seconds + self.asterisk.request_seconds
        try:
            async with asyncio.timeout(patience):
                await self._replaced.wait()
        except TimeoutError:
            self.log.warning("worker.not_relieved", app=self.asterisk.app, seconds=patience)

    async def drained(self) -> None:
        """Wait for its calls to be handed back, for as long as the settings give them."""
        if self.telephony is not None:
            await self.telephony.drained(self._settings.worker.shutdown_seconds)

    def _manager(self) -> Ami | None:
        if self.asterisk.ami is None:
            return None
        return Ami.of(self._settings, self.place, log=self.log)


Begin = Callable[[Node, Found], Telephony]
"""What serves the calls of a node."""
Leasing = Callable[[Node, Found], Lease]
"""The lease that a worker must hold to serve it."""


class Nodes:
    """All nodes of a worker; an async context manager, for their connections."""

    def __init__(
        self, settings: Settings, log: FilteringBoundLogger, timed: Callable[[str], Timed] = lambda _: nullcontext
    ) -> None:
        """`timed` times the requests to the node of this place. Raises `ConfigError` where a password is not there."""
        self._nodes = [Node(settings, place, log, timed(place)) for place in settings.asterisks]
        self._settings = settings
        self._log = log

    async def __aenter__(self) -> Nodes:
        try:
            for node in self._nodes:
                await node.open()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(node.close() for node in self._nodes))

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes)

    @property
    def calls(self) -> int:
        """How many calls are being run."""
        return sum(node.telephony.calls for node in self._nodes if node.telephony is not None)

    @property
    def verifying(self) -> int:
        """How many of them are neither handed over nor talking."""
        return sum(node.telephony.verifying for node in self._nodes if node.telephony is not None)

    async def look(self) -> None:
        """Look at all of them. Raises `ConfigError` for one that will not do, `Unreachable` where none answers."""
        await asyncio.gather(*(node.look() for node in self._nodes))
        for node in self._nodes:
            self._check_alone(node)
            if node.fault is not None and not isinstance(node.fault, Unreachable):
                raise node.fault
        down = [node.fault for node in self._nodes if node.fault is not None]
        if len(down) == len(self._nodes):
            raise _none_answers(down)

    async def serve(self, lease: Leasing, begin: Begin, stop: asyncio.Event) -> None:
        """Serve each as long as it is ours, and until `stop`; then let another worker have them, or hand their calls back.

        A node that was not there is served when it comes. Raises what no node can go on from.
        """
        serving = {asyncio.create_task(self._serve(node, lease, begin)): node for node in self._nodes}
        stopping = asyncio.create_task(stop.wait())
        failed: list[BaseException] = []
        while serving and not stop.is_set() and not failed:
            await asyncio.wait((*serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in serving if task.done()]:
                node = serving.pop(task)
                if (error := task.exception()) is not None:
                    failed.append(error)
                elif serving:
                    node.log.warning("node.released", served=[other.place for other in serving.values()])
        if serving or failed:
            self._log.info("worker.stopping", calls=self.calls)
            for task, node in serving.items():
                if node.telephony is None:
                    # should it come now, it would take calls that nobody ends
                    task.cancel()
            await asyncio.gather(*(node.hand_over() for node in serving.values()))
            for node in self._nodes:
                if node.telephony is not None:
                    node.telephony.evict(Unavailable("the worker is stopping"))
        await asyncio.gather(*(node.drained() for node in self._nodes))
        for ending in (*serving, stopping):
            ending.cancel()
        await asyncio.gather(*serving, stopping, return_exceptions=True)
        if failed:
            raise failed[0]

    # ------------------------------------------------------------ inside

    async def _serve(self, node: Node, lease: Leasing, begin: Begin) -> None:
        for seconds in chain(_WAITS, repeat(_WAITS[-1])):
            if node.found is not None:
                break
            if isinstance(node.fault, Unreachable):
                node.log.warning("node.unreachable", error=str(node.fault), seconds=seconds)
            else:
                # it has come since the others are served, and they go on: what is wrong with it can be mended meanwhile
                node.log.error("node.refused", error=str(node.fault), seconds=seconds)
            await asyncio.sleep(seconds)
            await node.look()
            self._check_alone(node)
        found = node.found
        assert found is not None
        await node.serve(lease(node, found), lambda: begin(node, found))

    def _check_alone(self, node: Node) -> None:
        """Two tables must not lead to one Asterisk: the one's connection would replace the other's."""
        for other in self._nodes:
            if node.found and other is not node and other.found and other.found.node == node.found.node:
                both = [f"{one.place} url" for one in self._nodes if one in (node, other)]
                node.fault = ConfigError(
                    f"{self._settings.file}: {', '.join(both)}",
                    f"both lead to an Asterisk whose entity_id is {node.found.node}",
                    "Take one of the tables out; or, if these are two Asterisks, give one of them another entityid in asterisk.conf",
                )
                node.found = None


def _none_answers(down: Sequence[ConfigError]) -> Unreachable:
    """All of them in one, a line each."""
    first, *others = down
    return Unreachable(first.place, first.problem, first.cure + "".join(f".\n{other}" for other in others))
