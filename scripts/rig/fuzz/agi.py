"""`agi`: what may connect to the FastAGI server: a header, then answers to commands, cut, long, and of other protocols."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from ivr.agi import server
from ivr.agi.server import AgiServer
from ivr.agi.wire import LINE_BYTES
from ivr.call.mark import Mark
from rig.fuzz.case import Finding, Timeless, logger
from rig.fuzz.source import Source

_HEADERS = (
    "agi_network: yes", "agi_network_script: verify", "agi_network_script: mark", "agi_network_script: verify?policy=main",
    "agi_request: agi://127.0.0.1/verify", "agi_uniqueid: 1700000000.1", "agi_arg_1: main", "agi_arg_1: 1);System(x)", "agi_threadid: 1",
    "agi_uniqueid: ", "agi_network_script: nothing", "agi_network_script: /verify/?a=1&b=2&policy=%ff%0a", "GET / HTTP/1.1", "agi_",
)  # fmt: skip
_ANSWERS = (
    "200 result=0", "200 result=-1", "200 result=1 (pbx-one)", "200 result=1 ()", "510 Invalid or unknown command", "511 Command Not Permitted",
    "520-Invalid command syntax.  Proper usage follows:", "520 End of proper usage.", "HANGUP", "100 result=0 Trying...", "200",
    "200 result=999999999999", "٢٠٠ result=1 (x)", "",
)  # fmt: skip


class _Peer(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 40_000)})
        self.over = False
        self.wrote = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        line = bytes(data)
        if line.count(b"\n") != 1 or not line.endswith(b"\n") or not line[:-1].decode().isprintable():
            raise Finding("a command of more than one line")
        self.wrote += 1

    def abort(self) -> None:
        self.over = True

    close = abort

    def is_closing(self) -> bool:
        return self.over


class Agi:
    """Implements `Target`."""

    name: ClassVar[str] = "agi"
    allowed: ClassVar[str] = (
        "the connection ends, in time, with one of the log's refusals; each command that was sent is one line; no mark"
    )

    def __init__(self) -> None:
        self._timeless = Timeless()
        server.monotonic = self._timeless.time  # type: ignore[attr-defined]  # so that its clock is the loop's

    def run(self, source: Source) -> int:
        self._timeless.run(self._case(source))
        return 1

    async def _case(self, source: Source) -> None:
        served = AgiServer((), policy="", mark=self._mark, log=logger(()))
        reader = asyncio.StreamReader(limit=LINE_BYTES)
        peer = _Peer()
        protocol = asyncio.StreamReaderProtocol(reader)
        protocol.connection_made(peer)
        writer = asyncio.StreamWriter(peer, protocol, reader, asyncio.get_running_loop())
        served._connected(reader, writer)
        for _ in range(source.below(24)):
            reader.feed_data(self._line(source, _HEADERS))
        if not source.once_in(6):
            reader.feed_data(
                b"agi_uniqueid: 1700000000.1\nagi_network_script: " + source.pick((b"verify", b"mark", b"x")) + b"\n\n"
            )
        await asyncio.sleep(0)
        for _ in range(source.below(14)):
            reader.feed_data(self._line(source, _ANSWERS))
            if source.once_in(3):
                await asyncio.sleep(0)
        if source.once_in(2):
            reader.feed_eof()
        elif source.once_in(3):
            reader.set_exception(ConnectionResetError())
        # what it waits for then, it waits for within its limits
        await asyncio.gather(*served._open)
        if not peer.over:
            raise Finding("a connection that is left open")
        await served.close()

    @staticmethod
    def _line(source: Source, known: tuple[str, ...]) -> bytes:
        match source.below(8):
            case 0:
                return source.take(40)
            case 1:
                return source.text(40).encode(errors="replace") + b"\n"
            case 2:
                return b"agi_arg_1: " + b"x" * source.below(9000) + b"\n"
            case _:
                return source.pick(known).encode() + source.pick((b"\n", b"\n", b"\n", b"\r\n", b""))

    @staticmethod
    async def _mark(_node: str, _channel: str) -> Mark | None:
        return None
