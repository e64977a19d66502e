"""`ami`: what stands at the other end of the manager interface: bytes, in pieces, before and after the login."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from ivr.asterisk.ami import Ami
from ivr.asterisk.presence import Presence
from ivr.asterisk.talks import Talks
from ivr.asterisk.wire import Message, Wire
from ivr.config import AmiSettings
from ivr.errors import AmiError, ConfigError
from ivr.secret import Secret
from rig.fuzz.case import Finding, Timeless, logger, quiet
from rig.fuzz.source import Source

_PASSWORD = "canary-7c1f52d0"
_NAMES = (
    "Response", "Event", "ActionID", "Message", "EventList", "Queue", "Interface", "Location", "Status", "Paused", "Device",
    "State", "Exten", "Context", "Challenge", "Result", "Output", "content", "SubEvent", "ListItems", "", "Channel", "Uniqueid", "BridgeUniqueid", "BridgeTechnology", "Newname",
)  # fmt: skip
_VALUES = (
    "Success", "Error", "Follows", "Goodbye", "Fail", "start", "Complete", "End", "Exec", "Permission denied", "Shutdown", "1", "0", "-1",
    "PJSIP/anna", "support", "NOT_INUSE", "QueueMemberStatus", "DeviceStateChange", "ExtensionStatus", "QueueMember",
    "QueueStatusComplete", "DeviceStateListComplete", "UserEvent", "QueueMemberRemoved", "1%0d%0aEvent: x", "will follow", "added x to queue",
    "", "BridgeEnter", "BridgeLeave", "BridgeDestroy", "Hangup", "Rename", "Hold", "PJSIP/anna-00000001", "Local/x@y-00000001;1",
    "Local/x@y-00000001;2", "holding_bridge", "PJSIP/anna<ZOMBIE>",
)  # fmt: skip
_ENDS = (b"\r\n\r\n", b"\r\n", b"\n", b"\r", b"\r\n\r\n\r\n", b"")


class _Far(asyncio.Transport):
    """The other end: sees what is asked, so that it can answer."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.over = False
        self._wire = wire

    def write(self, data: bytes | bytearray | memoryview) -> None:
        text = bytes(data).decode()
        quiet(text, (_PASSWORD,))
        fields = dict(line.split(": ", 1) for line in text.split("\r\n") if ": " in line)
        self.asked.append(fields["ActionID"])

    def abort(self) -> None:
        if not self.over:
            self.over = True
            asyncio.get_running_loop().call_soon(self._wire.connection_lost, None)

    close = abort

    def is_closing(self) -> bool:
        return self.over


class Manager:
    """Implements `Target`."""

    name: ClassVar[str] = "ami"
    allowed: ClassVar[str] = (
        "the connection is dropped; an action ends in `AmiError` within its time, the login in `Unreachable` or `ConfigError`"
    )

    def __init__(self) -> None:
        self._timeless = Timeless()
        self._settings = AmiSettings(username="tillit", seconds=5.0)
        self._log = logger((_PASSWORD,))

    def run(self, source: Source) -> int:
        self._timeless.run(self._case(source))
        return 1

    async def _case(self, source: Source) -> None:
        ami = Ami(self._settings, Secret(_PASSWORD), log=self._log)
        presence = Presence(ami, self._log)
        talks = Talks({"node": ami}, self._log)
        # as if the lists had been told: else events wait for them
        exchange = talks._exchanges["node"]
        exchange._known.set()
        wire = Wire(ami._tell)
        far = _Far(wire)
        wire.connection_made(far)
        if not source.once_in(8):
            wire.data_received(b"Asterisk Call Manager/9.0.0\r\n")
        asking = asyncio.ensure_future(self._ask(ami, wire, source.below(3)))
        await asyncio.sleep(0)
        for _ in range(1 + source.below(6)):
            data = self._bytes(source, far)
            while data and not far.over:
                size = 1 + source.below(len(data)) if source.once_in(2) else len(data)
                wire.data_received(data[:size])
                data = data[size:]
            await asyncio.sleep(0)
        try:
            await asking
        except (AmiError, ConfigError) as error:
            quiet(error, (_PASSWORD,))
        if wire.responses or (len(wire._left) > 1 << 20 and not far.over):
            raise Finding("what came is kept")
        await asyncio.sleep(0)
        if wire.lost.done() and not far.over:
            raise Finding("given up, and left open")
        await wire.end()
        await presence.close()
        await talks.close()

    async def _ask(self, ami: Ami, wire: Wire, what: int) -> None:
        if what == 0:
            await ami._log_in(wire)
            return
        ami._wire = wire
        try:
            for message in await ami.action("QueueStatus" if what == 1 else "Ping"):
                _whole(message)
                ami._tell(message)
        finally:
            ami._wire = None

    def _bytes(self, source: Source, far: _Far) -> bytes:
        match source.below(8):
            case 0:
                return source.take(60)
            case 1:
                return b"x" * (source.below(400) * source.below(4000) if source.once_in(16) else source.below(2000))
            case _:
                pass
        lines = []
        for _ in range(source.below(7)):
            name = source.pick(_NAMES) if not source.once_in(12) else source.text()
            if name == "ActionID" and far.asked and not source.once_in(4):
                value = far.asked[-1]
            else:
                value = source.pick(_VALUES) if not source.once_in(6) else source.text(20)
            lines.append(f"{name}{source.pick((': ', ': ', ': ', ':', ''))}{value}".encode(errors="replace"))
        if source.once_in(10):
            lines.append(source.take(20))
        return b"\r\n".join(lines) + source.pick(_ENDS)


def _whole(message: Message) -> None:
    if {type(word) for field in message.items() for word in field} - {str}:
        raise Finding("a message that is not names and values")
