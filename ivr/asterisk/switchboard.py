"""Which channels are in which bridge of one Asterisk, and who talks with whom by that. Asks nobody, and waits for nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ivr.asterisk.wire import Message
from ivr.call.ports import Party, Talk
from ivr.secret import Personal

# The two halves of a Local channel: what goes in at one comes out at the other, as long as both are there.
_HALF = re.compile(r"(Local/.*;)([12])", re.DOTALL)
# Technologies that nobody is behind: what plays or records in a bridge, and what is left of a channel whose place another
# has taken. Any that is not known here is somebody, who listens.
_NOBODY = frozenset({"Announcer", "AsyncGoto", "CBAnn", "CBRec", "Message", "Recorder", "Surrogate"})
_LEFT = "<ZOMBIE>"
# In these everybody waits, and hears music alone: a parking lot, a waiting room.
_HOLDING = "holding_bridge"
_NO_NUMBER = ("", "<unknown>")


@dataclass(frozen=True, slots=True)
class Seat:
    """A channel in a bridge; `since`: it has been in this one, in seconds since the epoch. `first`: the call began with it."""

    channel: str
    name: str
    bridge: str
    number: Personal | None = None
    since: float = 0.0
    held: bool = False
    first: bool = False

    @property
    def endpoint(self) -> str:
        """What `Dial()` calls; a channel's name ends in a serial number."""
        return self.name.rpartition("-")[0]

    @property
    def anybody(self) -> bool:
        """Whether a phone or a trunk is behind it."""
        return self.other_half is None

    @property
    def other_half(self) -> str | None:
        """The name of the other half, where it is one of a Local channel."""
        found = _HALF.fullmatch(self.name)
        return None if found is None else found[1] + ("2" if found[2] == "1" else "1")


@dataclass(frozen=True, slots=True)
class Circle:
    """The bridges that Local channels join to one, and whom they join.

    `open`: names of halves that lead out of it to where no bridge is known.
    """

    bridges: frozenset[str]
    ends: tuple[Seat, ...]
    open: frozenset[str]


def seat_of(message: Message, bridge: str, since: float) -> Seat | None:
    """Of a message that tells of a channel; None where it tells of none, or of one that nobody is behind."""
    match message:
        case {"Uniqueid": channel, "Channel": name} if channel and bridge and not _nobody(name):
            number = message.get("CallerIDNum", "")
            first = message.get("Linkedid") == channel
            return Seat(channel, name, bridge, None if number in _NO_NUMBER else Personal(number), since, first=first)
        case _:
            return None


def holds(message: Message) -> bool:
    """Whether the bridge that the message tells of joins nobody."""
    return message.get("BridgeTechnology") == _HOLDING


class Switchboard:
    """Fed with AMI's events in their order, or with what lists tell. Of channels in no bridge it knows nothing."""

    def __init__(self) -> None:
        self._seats: dict[str, Seat] = {}
        self._bridges: defaultdict[str, set[str]] = defaultdict(set)
        self._halves: dict[str, str] = {}
        # upper and lower case are the same phone, as for whose phone it is
        self._endpoints: defaultdict[str, set[str]] = defaultdict(set)
        self.version = 0
        """Another one after each change: by the same one, everything is known as before."""

    # ------------------------------------------------------------ what is told

    def feed(self, event: Message, now: float) -> tuple[frozenset[str], frozenset[str]]:
        """Take an event; the endpoints whose talks it has changed, and the bridges of which it makes one doubt what is known.

        A masquerade is told of by no event but this: the channel whose place another has taken ends and never left.
        """
        channel, bridge = event.get("Uniqueid", ""), event.get("BridgeUniqueid", "")
        old = self._seats.get(channel)
        match event.get("Event"):
            case "BridgeEnter":
                seat = None if holds(event) else seat_of(event, bridge, now)
                return (self._change({channel: seat}) if channel else frozenset()), frozenset()
            case "BridgeLeave" if old is not None and old.bridge == bridge:
                return self._change({channel: None}), frozenset()
            case "BridgeLeave" if bridge in self._bridges:
                return frozenset(), frozenset({bridge})
            case "BridgeDestroy":
                return self._change(dict.fromkeys(self._bridges.get(bridge, ()))), frozenset()
            case "Hangup" if old is not None:
                return self._change({channel: None}), frozenset({old.bridge})
            case "Rename" if old is not None and event.get("Newname"):
                return self._change({channel: replace(old, name=event["Newname"])}), frozenset({old.bridge})
            case "Hold" | "Unhold" as kind if old is not None:
                return self._change({channel: replace(old, held=kind == "Hold")}), frozenset()
            case _:
                return frozenset(), frozenset()

    def correct(self, bridge: str, seats: Iterable[Seat]) -> frozenset[str]:
        """These are all that are in the bridge; the endpoints whose talks are others by that."""
        found = {seat.channel: seat for seat in seats}
        gone = self._bridges.get(bridge, set()) - found.keys()
        new = {channel: seat for channel, seat in found.items() if not self._sits(seat)}
        return self._change({**dict.fromkeys(gone), **new})

    def begin(self, seats: Iterable[Seat]) -> None:
        """Forget all, and begin with these."""
        self.version += 1
        for known in (self._seats, self._bridges, self._halves, self._endpoints):
            known.clear()
        for seat in seats:
            self._sit(seat)

    # ------------------------------------------------------------ what is known

    def members(self, bridge: str) -> frozenset[str]:
        """The channels in it."""
        return frozenset(self._bridges.get(bridge, ()))

    def named(self, bridge: str) -> frozenset[tuple[str, str]]:
        """The same, with their names: it is by these that one is somebody's phone."""
        return frozenset((channel, self._seats[channel].name) for channel in self._bridges.get(bridge, ()))

    def bridge_of_name(self, name: str) -> str | None:
        """Where this half of a Local channel is."""
        channel = self._halves.get(name)
        return None if channel is None else self._seats[channel].bridge

    def circles(self, endpoint: str) -> list[tuple[Seat, Circle]]:
        """For each of the endpoint's channels that is in a bridge, what it is in."""
        seats = [self._seats[channel] for channel in sorted(self._endpoints.get(endpoint.casefold(), ()))]
        return [(seat, self._circle(seat.bridge)) for seat in seats if seat.anybody]

    def talks(self, node: str, endpoint: str) -> Iterator[Talk]:
        """Those of this endpoint."""
        for own, circle in self.circles(endpoint):
            if (talk := _talk(node, own, circle)) is not None:
                yield talk

    def talk(self, node: str, channel: str) -> Talk | None:
        """That of this channel; None where it is joined with nobody."""
        seat = self._seats.get(channel)
        return None if seat is None or not seat.anybody else _talk(node, seat, self._circle(seat.bridge))

    def around(self, channel: str) -> frozenset[str]:
        """The endpoints that are joined with this channel, its own among them."""
        seat = self._seats.get(channel)
        return frozenset() if seat is None else frozenset(one.endpoint for one in self._circle(seat.bridge).ends)

    def talking(self) -> frozenset[str]:
        """The endpoints that have a talk."""
        return frozenset(
            seat.endpoint for bridge in self._bridges for seat in _joined(self._circle(bridge).ends)
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self._seats)

    # ------------------------------------------------------------ how it is kept

    def _circle(self, bridge: str) -> Circle:
        seen, left = {bridge}, [bridge]
        ends: list[Seat] = []
        open_: set[str] = set()
        while left:
            for channel in self._bridges.get(left.pop(), ()):
                seat = self._seats[channel]
                if (half := seat.other_half) is None:
                    if seat.anybody:
                        ends.append(seat)
                elif (beyond := self.bridge_of_name(half)) is None:
                    open_.add(half)
                elif beyond not in seen:
                    seen.add(beyond)
                    left.append(beyond)
        return Circle(frozenset(seen), tuple(sorted(ends, key=lambda seat: seat.channel)), frozenset(open_))

    def _change(self, seats: Mapping[str, Seat | None]) -> frozenset[str]:
        """Sit channels down, or have them leave; the endpoints whose talks are others by that."""
        self.version += 1
        touched = {seat.bridge for channel in seats if (seat := self._seats.get(channel)) is not None}
        touched |= {seat.bridge for seat in seats.values() if seat is not None}
        halves = [seat.other_half for seat in (*seats.values(), *map(self._seats.get, seats)) if seat is not None]
        touched |= {beyond for half in halves if half is not None and (beyond := self.bridge_of_name(half))}
        before = self._around(touched)
        for channel, seat in seats.items():
            self._leave(channel)
            if seat is not None:
                self._sit(seat)
        after = self._around(touched)
        return frozenset(key[1] for key in before.keys() | after.keys() if before.get(key) != after.get(key))

    def _around(self, bridges: Iterable[str]) -> dict[tuple[str, str], frozenset[tuple[str, bool]]]:
        """Of each channel that is joined by these, and its endpoint, with whom, itself among them."""
        found: dict[tuple[str, str], frozenset[tuple[str, bool]]] = {}
        for bridge in bridges:
            ends = _joined(self._circle(bridge).ends)
            whom = frozenset((seat.channel, seat.held) for seat in ends)
            found.update({(seat.channel, seat.endpoint): whom for seat in ends})
        return found

    def _sits(self, seat: Seat) -> bool:
        known = self._seats.get(seat.channel)
        return known is not None and (known.bridge, known.name) == (seat.bridge, seat.name)

    def _sit(self, seat: Seat) -> None:
        self._seats[seat.channel] = seat
        self._bridges[seat.bridge].add(seat.channel)
        self._endpoints[seat.endpoint.casefold()].add(seat.channel)
        if seat.other_half is not None:
            self._halves[seat.name] = seat.channel

    def _leave(self, channel: str) -> None:
        seat = self._seats.pop(channel, None)
        if seat is None:
            return
        for known, key in ((self._bridges, seat.bridge), (self._endpoints, seat.endpoint.casefold())):
            known[key].discard(channel)
            if not known[key]:
                del known[key]
        if self._halves.get(seat.name) == channel:
            del self._halves[seat.name]


def _nobody(name: str) -> bool:
    return name.partition("/")[0] in _NOBODY or name.endswith(_LEFT)


def _joined(ends: tuple[Seat, ...]) -> tuple[Seat, ...]:
    """Nobody is joined with nobody."""
    return ends if len(ends) > 1 else ()


def _talk(node: str, own: Seat, circle: Circle) -> Talk | None:
    others = tuple(_party(seat, own.since) for seat in circle.ends if seat.channel != own.channel)
    return Talk(node, _party(own, min(other.since for other in others)), others) if others else None


def _party(seat: Seat, since: float) -> Party:
    return Party(seat.channel, seat.endpoint, seat.number, seat.held, max(seat.since, since), seat.first)
