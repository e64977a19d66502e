"""What one Asterisk tells of its bridges by the manager interface (AMI), and whether it still says the same when asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ami import Ami
from ivr.asterisk.identity import entity_of
from ivr.asterisk.looks import Look, Looks
from ivr.asterisk.switchboard import Switchboard, holds, seat_of
from ivr.asterisk.wire import Message
from ivr.call.ports import Talk
from ivr.errors import AmiError, Unavailable

EVENTS = ("BridgeEnter", "BridgeLeave", "BridgeDestroy", "Hangup", "Hold", "Rename", "Unhold")
"""Those that are listened for; manager.conf's filter lets these through and no others."""

# So long may be waited for a proof, in seconds.
_PATIENCE = 1.0
# So long events have to catch up with what was looked at, in seconds, before it is believed instead of them.
_CATCH_UP = 0.15
_LOOK_AGAIN = 0.03
# Waits before asking anew where asking for all failed, in seconds; the last one is repeated.
_WAITS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class _Proof:
    """An endpoint's talks, and the looks that they agreed with."""

    names: tuple[str, ...]
    looks: tuple[tuple[str, Look], ...]
    talks: tuple[Talk, ...]


class Exchange:
    """One Asterisk. `Ami.open` begins it, `close` ends it.

    Events tell of changes at once, and may lag: behind an Asterisk under load, and behind the lists of the beginning. Nor are
    all changes told. An answer to what is asked overtakes them. So whoever asks gets what events have told only where the
    endpoint's channels and their bridges themselves, looked at less than a second ago, say the same.
    """

    def __init__(self, node: str, ami: Ami, log: FilteringBoundLogger, told: Callable[[frozenset[str]], None]) -> None:
        """`node`: as marks name it. `told` hears the endpoints whose talks have changed, and must not wait."""
        self._node = node
        self._ami = ami
        self._log = log
        self._told = told
        self._board = Switchboard()
        self._known = asyncio.Event()
        # what was told while the lists were asked for
        self._meanwhile: list[Message] | None = None
        self._looks = Looks(ami)
        # by endpoint, of this version of the board: whoever asks does so several times in a few thousandths of a second
        self._proofs: dict[str, _Proof] = {}
        self._version = -1
        self._beginning: asyncio.Task[None] | None = None
        self._doubted: dict[str, asyncio.Task[None]] = {}
        for event in EVENTS:
            ami.on(event, self._heard)
        ami.beware()
        ami.on_link(came=self._come, went=self._forget)

    @property
    def known(self) -> bool:
        """Whether all bridges are known, as far as events tell."""
        return self._known.is_set()

    async def until_known(self) -> None:
        """Wait for that."""
        await self._known.wait()

    async def close(self) -> None:
        """Ask for nothing more."""
        await self._looks.close()
        left = [*self._doubted.values()]
        left += [] if self._beginning is None else [self._beginning]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def of(self, endpoint: str) -> tuple[Talk, ...]:
        """The endpoint's talks. Raises `Unavailable` where they are not known."""
        if (proven := self._proven(endpoint)) is not None:
            return proven
        try:
            async with asyncio.timeout(_PATIENCE):
                while not await self._agreed(endpoint):
                    await asyncio.sleep(_LOOK_AGAIN)
        except TimeoutError:
            raise Unavailable("Asterisk's events and its bridges do not agree, or it does not answer") from None
        return tuple(self._board.talks(self._node, endpoint))

    def told(self, endpoint: str) -> tuple[Talk, ...]:
        """The same as far as events tell, without proof. Raises `Unavailable` where they tell nothing."""
        self._demand_known()
        return tuple(self._board.talks(self._node, endpoint))

    def told_of(self, channel: str) -> Talk | None:
        """That of this channel, without proof. Raises `Unavailable` where events tell nothing."""
        self._demand_known()
        return self._board.talk(self._node, channel)

    def around(self, channel: str) -> frozenset[str]:
        """The endpoints that are joined with this channel, as far as events have told."""
        return self._board.around(channel)

    # ------------------------------------------------------------ proof

    def _proven(self, endpoint: str) -> tuple[Talk, ...] | None:
        """The endpoint's talks where nobody need be asked: they agree with what was looked at a moment ago."""
        self._demand_known()
        if self._version != self._board.version:
            self._version = self._board.version
            self._proofs.clear()
        names = self._looks.known_of(endpoint)
        if names is None:
            return None
        known = self._proofs.get(endpoint)
        if (
            known is not None
            and known.names is names
            and all(self._looks.known_at(at) is look for at, look in known.looks)
        ):
            return known.talks
        circles = self._board.circles(endpoint)
        if set(names) - {own.name for own, _ in circles} or any(circle.open for _, circle in circles):
            return None
        looks = [(bridge, self._looks.known_at(bridge)) for _, circle in circles for bridge in circle.bridges]
        young = tuple((bridge, look) for bridge, look in looks if look is not None)
        if len(young) < len(looks) or any(look.members != self._board.named(bridge) for bridge, look in young):
            return None
        talks = tuple(self._board.talks(self._node, endpoint))
        self._proofs[endpoint] = _Proof(names, young, talks)
        return talks

    async def _agreed(self, endpoint: str) -> bool:
        """Whether what is known of the endpoint is what Asterisk says now; nothing is awaited behind the last comparison."""
        self._demand_known()
        circles = self._board.circles(endpoint)
        bridges = frozenset[str]().union(*(circle.bridges for _, circle in circles))
        open_ = frozenset[str]().union(*(circle.open for _, circle in circles))
        looks, names = await asyncio.gather(
            asyncio.gather(*map(self._looks.at, bridges)), self._looks.channels_of(endpoint)
        )
        # of another channel of the endpoint no event may have told yet
        doubtful = open_.union(names) - {own.name for own, _ in circles}
        closed = all([await self._leads_nowhere(name) for name in doubtful])
        self._demand_known()
        if not closed or circles != self._board.circles(endpoint):
            return False
        wrong = [
            bridge
            for bridge, look in zip(bridges, looks, strict=True)
            if look.members != self._board.named(bridge)
        ]  # fmt: skip
        for bridge in wrong:
            self._looks.forget(bridge)
            self._doubt(bridge)
        return not wrong

    def _demand_known(self) -> None:
        if not self.known:
            raise Unavailable("what goes on in Asterisk is not known: its manager interface (AMI) does not answer")

    async def _leads_nowhere(self, name: str) -> bool:
        """Whether this channel, of whose bridge no event has told, is in none that joins anybody."""
        bridge = await self._looks.bridge_of(name)
        if not bridge or not (await self._looks.at(bridge)).seats:
            return True
        self._doubt(bridge)
        return False

    # ------------------------------------------------------------ correction

    def _doubt(self, bridge: str) -> None:
        """Have what is known of it corrected, unless events do that."""
        if bridge not in self._doubted:
            task = self._doubted[bridge] = asyncio.create_task(self._correct(bridge))
            task.add_done_callback(lambda _: self._doubted.pop(bridge, None))

    async def _correct(self, bridge: str) -> None:
        await asyncio.sleep(_CATCH_UP)
        self._looks.forget(bridge)
        try:
            look = await self._looks.at(bridge)
        except AmiError:
            return  # as long as nobody answers nobody is told anything
        if self.known and (changed := self._board.correct(bridge, look.seats)):
            self._log.info("talks.corrected", channels=len(look.seats))
            self._tell(changed)

    # ------------------------------------------------------------ the lists, and events

    def _come(self) -> None:
        self._meanwhile = []
        self._beginning = asyncio.create_task(self._begin())

    def _forget(self) -> None:
        """What happens while nobody listens is not known."""
        was = self._board.talking()
        self._known.clear()
        self._meanwhile = None
        self._looks.forget_all()
        self._board.begin(())
        for task in (self._beginning, *self._doubted.values()):
            if task is not None:
                task.cancel()
        self._tell(was)

    async def _begin(self) -> None:
        """Ask for all, and then let what was told meanwhile happen in its order: the last that is told of a channel is true."""
        failures = 0
        while (lists := await self._lists(first=not failures)) is None:
            await asyncio.sleep(_WAITS[min(failures, len(_WAITS) - 1)])
            failures += 1
        channels, bridges = lists
        joining = {message.get("BridgeUniqueid") for message in bridges if not holds(message)}
        now = time()
        seats = [seat_of(message, message.get("BridgeId", ""), now) for message in channels]
        self._board.begin(seat for seat in seats if seat is not None and seat.bridge in joining)
        meanwhile, self._meanwhile = self._meanwhile or [], None
        for event in meanwhile:
            self._board.feed(event, now)
        self._known.set()
        self._tell(self._board.talking())

    async def _lists(self, *, first: bool) -> tuple[list[Message], list[Message]] | None:
        """Channels, and then bridges: one that is not there any more, nobody is in. None where this Asterisk tells neither."""
        self._meanwhile = []
        try:
            if (found := await entity_of(self._ami)) != self._node:
                # what another one tells of a channel would be taken for this one's of the same id
                self._meanwhile = None
                if first:
                    self._log.error(
                        "talks.other_node", node=self._node, found=found, cure="see host and port of the desk's table"
                    )
                return None
            return await self._ami.action("CoreShowChannels"), await self._ami.action("BridgeList")
        except AmiError as error:
            self._meanwhile = None
            if error.status == "Permission denied" and first:
                self._log.warning("talks.denied", action=error.action, cure="see config/asterisk/manager.conf")
            return None

    def _heard(self, event: Message) -> None:
        if self._meanwhile is not None:
            self._meanwhile.append(event)
            return
        if not self.known:
            return
        if bridge := event.get("BridgeUniqueid"):
            self._looks.forget(bridge)
        changed, doubtful = self._board.feed(event, time())
        for bridge in doubtful:
            self._looks.forget(bridge)
            self._doubt(bridge)
        self._tell(changed)

    def _tell(self, endpoints: frozenset[str]) -> None:
        if endpoints:
            self._told(endpoints)
