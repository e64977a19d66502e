"""The Asterisks that a worker serves: each is looked at, served and let go of; none waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from itertools import chain, repeat

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ami import Ami
from ivr.asterisk.inspection import Found, inspect
from ivr.asterisk.presence import Presence
from ivr.asterisk.telephony import Telephony
from ivr.call.ports import Timed
from ivr.config import Settings
from ivr.errors import ConfigError, Unavailable, Unreachable
from ivr.seat import Lease, Seat

# Waits before a node that was not there at the start is looked at again, in seconds; the last one is repeated.
_WAITS = (1.0, 2.0, 5.0, 10.0)
# How often it is looked whether another worker has nothing to do.
_SHARE_LOOK_SECONDS = 0.5
# How often a worker that ends looks whether its calls have ended, or another worker has come for them.
_DRAIN_LOOK_SECONDS = 0.25


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
        self._settings = settings
        apps = self.asterisk.apps(settings.worker.at_once)
        self.seats = tuple(Seat(settings, place, app, self.log, timed) for app in apps)
        self._serving: dict[asyncio.Task[None], Seat] = {}
        self._stopping = False
        # Nobody is verified by it: it may come later, or go, and may be left out.
        self._ami = self._manager()
        self._presence = None if self._ami is None else Presence(self._ami, self.log)

    @property
    def connected(self) -> bool:
        """Whether events of it come in."""
        return any(seat.connected for seat in self.seats)

    @property
    def stands_by(self) -> bool:
        """Whether other workers serve it, and this one waits."""
        return not self.served and any(seat.stands_by for seat in self.seats)

    @property
    def served(self) -> list[Seat]:
        """What this worker serves of it, the longest first."""
        return sorted((seat for seat in self.seats if seat.since is not None), key=lambda seat: seat.since or 0.0)

    @property
    def telephonies(self) -> list[Telephony]:
        """What runs its calls."""
        return [seat.telephony for seat in self.seats if seat.telephony is not None]

    def claims(self, seat: Seat) -> bool:
        """Whether this is the one by which the worker takes calls that are offered to all workers."""
        return not self._stopping and self.served[:1] == [seat]

    @property
    def managed(self) -> bool | None:
        """Whether its manager interface is logged in to; None where the settings have none."""
        return None if self._ami is None else self._ami.connected

    async def open(self) -> None:
        """Raises `ConfigError` where the manager interface refuses the login."""
        for seat in self.seats:
            await seat.ari.open()
        if self._ami is not None:
            await self._ami.open(patient=True)

    async def close(self) -> None:
        """End its connections."""
        if self._ami is not None:
            await self._ami.close()
        if self._presence is not None:
            await self._presence.close()
        for seat in self.seats:
            await seat.ari.close()

    async def look(self) -> None:
        """See what is there: `found`, or the `fault` that it has."""
        self.found = self.fault = None
        try:
            self.found = await inspect(self.seats[0].ari, self._settings, self.place, self.log)
        except ConfigError as error:
            self.fault = error

    async def serve(self, lease: Callable[[Seat], Lease], begin: Callable[[Seat], Telephony]) -> None:
        """Serve what of it no other worker serves, until cancelled, or until workers of another Redis have all of it."""
        turn = asyncio.Lock()
        for seat in self.seats:

            def spare(seat: Seat = seat) -> bool:
                return any(other.held for other in self.seats if other is not seat)

            work = seat.serve(lease(seat), partial(begin, seat), spare=spare, turn=turn)
            self._serving[asyncio.create_task(work)] = seat
        sharing = asyncio.create_task(self._share())
        try:
            while self._serving and not sharing.done():
                await asyncio.wait((*self._serving, sharing), return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in self._serving if task.done()]:
                    del self._serving[task]
                    if not task.cancelled():
                        task.result()
            if sharing.done():
                sharing.result()
        finally:
            left = [*self._serving, sharing]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def hand_over(self) -> None:
        """Let workers that stand by take the calls; where none does, or it does not come, they stay."""
        self._stopping = True
        for task, seat in self._serving.items():
            if seat.telephony is None:
                # should it come now, it would take calls that nobody ends
                task.cancel()
        await asyncio.gather(*(seat.hand_over() for seat in self.seats))

    async def drained(self) -> None:
        """Wait for its calls to be handed back, for as long as a sentence takes."""
        await asyncio.gather(*(seat.drained() for seat in self.seats))

    async def _share(self) -> None:
        """Give what is more than one to a worker that has none."""
        while True:
            await asyncio.sleep(_SHARE_LOOK_SECONDS)
            if self._stopping:
                # whoever waits gets all of it
                continue
            for seat in self.served[1:]:
                await seat.share()

    def _manager(self) -> Ami | None:
        if self.asterisk.ami is None:
            return None
        return Ami.of(self._settings, self.place, log=self.log)


Begin = Callable[[Node, Seat, Found], Telephony]
"""What serves the calls of an application of a node."""
Leasing = Callable[[Seat, Found], Lease]
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
        return sum(telephony.calls for telephony in self._telephonies)

    @property
    def verifying(self) -> int:
        """How many of them are neither handed over nor talking."""
        return sum(telephony.verifying for telephony in self._telephonies)

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

    async def serve(
        self, lease: Leasing, begin: Begin, stop: asyncio.Event, hurry: asyncio.Event | None = None
    ) -> None:
        """Serve each as long as it is ours, and until `stop`; then let another worker have them, or their calls end.

        Those that are being verified then have `shutdown_seconds`, and where `hurry` is set no longer; what is left of them
        is handed back. A node that was not there is served when it comes. Raises what no node can go on from.
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
                if not node.telephonies:
                    # the same of one that was not there
                    task.cancel()
            hurry = hurry or asyncio.Event()
            await _handed_over([*serving.values()], hurry)
            if not failed:
                await self._ending([*serving.values()], hurry)
            for telephony in self._telephonies:
                telephony.evict(Unavailable("the worker is stopping"))
        await asyncio.gather(*(node.drained() for node in self._nodes))
        for ending in (*serving, stopping):
            ending.cancel()
        await asyncio.gather(*serving, stopping, return_exceptions=True)
        if failed:
            raise failed[0]

    # ------------------------------------------------------------ inside

    @property
    def _telephonies(self) -> list[Telephony]:
        return [telephony for node in self._nodes for telephony in node.telephonies]

    async def _ending(self, serving: Sequence[Node], hurry: asyncio.Event) -> None:
        """Let calls that are being verified go on to their end, or until another worker comes for them or their time is over."""
        seconds = self._settings.worker.shutdown_seconds
        for telephony in self._telephonies:
            telephony.refuse()
        if not self.verifying:
            return
        self._log.info("worker.draining", calls=self.verifying, seconds=seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.verifying and not hurry.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_DRAIN_LOOK_SECONDS):
                            await hurry.wait()
                    await _handed_over(serving, hurry)
        if self.verifying:
            self._log.warning("worker.evicting", calls=self.verifying)

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
        await node.serve(lambda seat: lease(seat, found), lambda seat: begin(node, seat, found))

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


async def _handed_over(serving: Sequence[Node], hurry: asyncio.Event) -> None:
    """Where another worker stands by, wait until it has come; where `hurry` is set, no longer."""
    handing = asyncio.gather(*(node.hand_over() for node in serving))
    hurrying = asyncio.create_task(hurry.wait())
    try:
        await asyncio.wait((handing, hurrying), return_when=asyncio.FIRST_COMPLETED)
        if handing.done():
            handing.result()
    finally:
        for task in (handing, hurrying):
            task.cancel()
        await asyncio.gather(handing, hurrying, return_exceptions=True)


def _none_answers(down: Sequence[ConfigError]) -> Unreachable:
    """All of them in one, a line each."""
    first, *others = down
    return Unreachable(first.place, first.problem, first.cure + "".join(f".\n{other}" for other in others))
