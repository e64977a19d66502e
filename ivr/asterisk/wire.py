"""One connection to the manager interface (AMI): panoramisk's protocol, which nothing that a server sends can hurt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from panoramisk.actions import Action  # type: ignore[import-untyped]  # the library has no types
from panoramisk.ami_protocol import AMIProtocol  # type: ignore[import-untyped]

Message = dict[str, str]

_GREETING = b"Asterisk Call Manager/"
_END = b"\r\n\r\n"
# A message of Asterisk's has some kilobytes; one that does not end within this is none.
_LONGEST = 1 << 20

# What is told of a channel, in the order in which Asterisk writes it. It writes the number that a caller presents, and what was
# dialled, as they are: a line break in them ends the line, and what is behind it would be fields of the caller's own making, or
# a message. A number of fewer than 80 letters has no room for all of these; and whatever is cut off still has the last of them.
_OF_A_CHANNEL = (
    "channel", "channelstate", "channelstatedesc", "calleridnum", "calleridname", "connectedlinenum", "connectedlinename",
    "language", "accountcode", "context", "exten", "priority", "uniqueid", "linkedid",
)  # fmt: skip
_OF_A_NEW_NAME = ("channel", "newname", "uniqueid")
_WHICH_CHANNEL = frozenset({"channel", "uniqueid", "linkedid"})
_ONCE = frozenset({*_OF_A_CHANNEL, "event", "actionid", "bridgeid", "bridgeuniqueid", "bridgetechnology", "newname"})

# The library writes each message, and actions whole, to its logger: to this one, which leads nowhere.
_NOWHERE = logging.getLogger("panoramisk.nowhere")
_NOWHERE.disabled = True


class Wire(AMIProtocol):  # type: ignore[misc]  # the library has no types
    """Of the library it takes how actions are written, messages are read, and lists are gathered.

    Not its manager: that has no time limits, and sends what was left of a lost connection again on the next one.
    """

    encoding = "utf8"

    def __init__(self, tell: Callable[[Message], None], forged: Callable[[], None] | None = None) -> None:
        """`tell` hears each event, and must not wait. `forged`: what a caller may have written is left out, and this is told."""
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[bool] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self._tell = tell
        self._forged = forged
        self._left = bytearray()

    async def ask(self, action: Action) -> list[Message] | None:
        """Send it, and await all messages of its answer; None when the connection is lost before."""
        # as_list: the library sees for itself whether a list follows
        answer = self.send(action, as_list=None)
        try:
            await asyncio.wait((answer, self.lost), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                return None
            found = answer.result()
            return [_plain(message) for message in (found if isinstance(found, list) else [found])]
        finally:
            # one that nobody waits for any more: else its answer would be gathered for ever
            self.responses.pop(action.id, None)

    async def end(self) -> None:
        """End the connection at once, and return when it has ended."""
        self.transport.abort()
        await asyncio.wait((self.lost,))

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.log = _NOWHERE
        self.factory = self

    def data_received(self, data: bytes) -> None:
        """Whole messages alone are passed on: the library would lose a letter that is cut in two."""
        self._left += data
        if not self.greeted.done():
            begun = min(len(self._left), len(_GREETING))
            if self._left[:begun] != _GREETING[:begun]:
                self.greeted.set_result(False)
                self.transport.abort()
                return
            if begun < len(_GREETING):
                return
            self.greeted.set_result(True)
        end = self._left.rfind(_END, max(0, len(self._left) - len(data) - len(_END)))
        if end < 0:
            if len(self._left) > _LONGEST:
                self.transport.abort()
            return
        whole = bytes(self._left[: end + len(_END)])
        del self._left[: end + len(_END)]
        if self._forged is not None:
            whole = self._sifted(whole, self._forged)
        try:
            super().data_received(whole)
        except Exception:  # noqa: BLE001  # whatever it is, the connection alone suffers
            # the library trips over what is not AMI, and asyncio would log where
            self.transport.abort()

    def _sifted(self, whole: bytes, forged: Callable[[], None]) -> bytes:
        """The messages that are Asterisk's own, decoded as the library does it: it skips what is no text."""
        kept = []
        for message in whole.decode(self.encoding, "ignore").split("\r\n\r\n"):
            if genuine(message):
                kept.append(f"{message}\r\n\r\n")
            elif message.strip():
                forged()
        return "".join(kept).encode(self.encoding)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio calls it so
        self.closed = True
        # an event of Asterisk's shutdown leads here too, and the connection is there still
        self.transport.abort()
        if not self.greeted.done():
            self.greeted.set_result(False)
        if not self.lost.done():
            self.lost.set_result(None)

    # ------------------------------------------------------------ what the protocol asks of its factory

    def dispatch(self, message: object) -> None:
        """An event that answers no action."""
        self._tell(_plain(message))


def _plain(message: object) -> Message:
    """Names and values; of a name that stands in it several times, all values with a comma between."""
    assert hasattr(message, "items")
    fields = {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in message.items()}
    # the library's own, of what stands behind the names and values of a console's answer
    if not fields.get("content"):
        fields.pop("content", None)
    return fields


def genuine(message: str) -> bool:
    """Whether all that it tells of a channel is as Asterisk writes it."""
    lines = message.strip().removeprefix(_GREETING.decode()).split("\r\n")
    names = [line.partition(": ")[0].lower() for line in lines if ": " in line]
    told = [name for name in names if name in _ONCE]
    if names[:1] not in (["event"], ["response"]) or len(set(told)) < len(told):
        return False
    # Of the library's: the one ends the connection, over the other it trips. Asterisk tells neither to whoever is wary.
    if "commandid" in names or any(line.lower().split() == ["event:", "shutdown"] for line in lines):
        return False
    if _WHICH_CHANNEL.isdisjoint(told):
        return True
    return tuple(name for name in told if name in _OF_A_CHANNEL) == _OF_A_CHANNEL or (
        tuple(name for name in told if name in _OF_A_CHANNEL or name == "newname") == _OF_A_NEW_NAME
    )
