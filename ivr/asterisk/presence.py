"""Who is idle, ringing or busy: queue members, endpoints and extensions, as the manager interface (AMI) tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ami import Ami
from ivr.asterisk.wire import Message
from ivr.errors import AmiError

# Waits before asking anew where asking failed, in seconds: an Asterisk that has just started knows no queues yet.
_WAITS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class State(StrEnum):
    """What somebody who wants to talk to them needs to know."""

    IDLE = "idle"
    RINGING = "ringing"
    BUSY = "busy"
    ON_HOLD = "on_hold"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


# By Asterisk's devicestate.h: queues tell the number, device states the name.
_DEVICE = {
    "UNKNOWN": State.UNKNOWN,
    "NOT_INUSE": State.IDLE,
    "INUSE": State.BUSY,
    "BUSY": State.BUSY,
    "INVALID": State.OFFLINE,
    "UNAVAILABLE": State.OFFLINE,
    "RINGING": State.RINGING,
    "RINGINUSE": State.BUSY,
    "ONHOLD": State.ON_HOLD,
}
# The technologies whose devices are phones and trunks that somebody has set up. Others have a device for each call: of
# Local it is the number that was dialled, and it would be kept for good.
_SET_UP = frozenset({"Console", "DAHDI", "IAX2", "MGCP", "Mobile", "Motif", "PJSIP", "SCCP", "SIP", "Skinny", "USTM"})
_MEMBER = {str(number): state for number, state in enumerate(_DEVICE.values())}
# By Asterisk's pbx.h: bits, but removed and deactivated are below zero.
_EXTENSION = {
    "-2": State.OFFLINE,
    "-1": State.OFFLINE,
    "0": State.IDLE,
    "1": State.BUSY,
    "2": State.BUSY,
    "4": State.OFFLINE,
    "8": State.RINGING,
    "9": State.BUSY,
    "16": State.ON_HOLD,
    "17": State.BUSY,
}


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a queue. `interface` is what the queue calls, such as `PJSIP/anna`."""

    queue: str
    interface: str
    state: State
    paused: bool

    @property
    def free(self) -> bool:
        """Whether the queue would call this member now."""
        return self.state is State.IDLE and not self.paused


class Presence:
    """What is known of everyone; empty while nothing is known. `Ami.open` begins it, `close` ends it."""

    def __init__(self, ami: Ami, log: FilteringBoundLogger) -> None:
        self._ami = ami
        self._log = log
        self._members: dict[tuple[str, str], Member] = {}
        self._endpoints: dict[str, State] = {}
        self._extensions: dict[str, State] = {}
        # whom events have told of since the lists were asked for
        self._newer: set[str] = set()
        self._asking: asyncio.Task[None] | None = None
        self._fresh = asyncio.Event()
        for event in ("QueueMemberAdded", "QueueMemberPause", "QueueMemberStatus"):
            ami.on(event, self._member)
        ami.on("QueueMemberRemoved", self._member_removed)
        ami.on("DeviceStateChange", self._device)
        ami.on("ExtensionStatus", self._extension)
        ami.on_link(came=self._ask, went=self._forget)

    @property
    def known(self) -> bool:
        """Whether all that Asterisk has was asked for since the connection was made; else nothing is known."""
        return self._fresh.is_set()

    async def until_known(self) -> None:
        """Wait for that."""
        await self._fresh.wait()

    @property
    def endpoints(self) -> Mapping[str, State]:
        """By the name of the device, such as `PJSIP/anna`; those of `Local` and the like are none. What AMI's user may not see is missing."""
        return MappingProxyType(self._endpoints)

    @property
    def extensions(self) -> Mapping[str, State]:
        """By `EXTENSION@CONTEXT`, of those with a hint."""
        return MappingProxyType(self._extensions)

    def members(self, queue: str) -> list[Member]:
        """This queue's, in the order of their names."""
        found = (member for member in self._members.values() if member.queue == queue)
        return sorted(found, key=lambda member: member.interface)

    async def close(self) -> None:
        """Ask for nothing more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    # ------------------------------------------------------------ asking

    def _forget(self) -> None:
        """What happens while nobody listens is not known."""
        self._fresh.clear()
        if self._asking is not None:
            self._asking.cancel()
        for known in (self._members, self._endpoints, self._extensions):
            known.clear()

    def _ask(self) -> None:
        self._asking = asyncio.create_task(self._ask_all())

    async def _ask_all(self) -> None:
        self._newer.clear()
        for action, told in (
            ("QueueStatus", self._member),
            ("DeviceStateList", self._device),
            ("ExtensionStateList", self._extension),
        ):
            for message in await self._answer(action):
                told(message)
        self._fresh.set()
        self._newer.clear()

    async def _answer(self, action: str) -> list[Message]:
        """What Asterisk has of it; nothing where this user may not see it."""
        failures = 0
        while True:
            try:
                return await self._ami.action(action)
            except AmiError as error:
                if error.status == "Permission denied":
                    self._log.warning("presence.denied", action=action, cure="see config/asterisk/manager.conf")
                    return []
            await asyncio.sleep(_WAITS[min(failures, len(_WAITS) - 1)])
            failures += 1

    # ------------------------------------------------------------ what is told

    def _counts(self, message: Message, whom: str) -> bool:
        """Whether it is news: a list is gathered whole before it is read, and what was told meanwhile is newer."""
        if "ActionID" in message:
            return whom not in self._newer
        if not self.known:
            self._newer.add(whom)
        return True

    def _member(self, message: Message) -> None:
        match message:
            case {"Queue": queue, "Status": status, "Paused": paused}:
                # of QueueStatus's list the interface has another name
                interface = message.get("Interface") or message.get("Location", "")
                if self._counts(message, f"{queue} {interface}"):
                    state = _MEMBER.get(status, State.UNKNOWN)
                    self._members[queue, interface] = Member(queue, interface, state, paused != "0")
            case _:
                pass

    def _member_removed(self, message: Message) -> None:
        queue, interface = message.get("Queue", ""), message.get("Interface", "")
        if self._counts(message, f"{queue} {interface}"):
            self._members.pop((queue, interface), None)

    def _device(self, message: Message) -> None:
        match message:
            # queues, parking lots and the like are devices too
            case {"Device": device, "State": state} if device.partition("/")[0] in _SET_UP:
                if self._counts(message, device):
                    self._endpoints[device] = _DEVICE.get(state, State.UNKNOWN)
            case _:
                pass

    def _extension(self, message: Message) -> None:
        match message:
            case {"Exten": extension, "Context": context, "Status": status}:
                if self._counts(message, f"{extension}@{context}"):
                    self._extensions[f"{extension}@{context}"] = _EXTENSION.get(status, State.UNKNOWN)
            case _:
                pass
