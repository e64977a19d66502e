"""What goes over the loopback interface, read as it goes."""

from __future__ import annotations

import ctypes
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Packet:
    """One packet of the loopback interface that carries something."""

    source: int
    target: int
    payload: bytes


# linux/filter.h, linux/if_packet.h and asm-generic/socket.h; Python has no names for them.
_LOAD_HALF, _JUMP_EQUAL, _RETURN = 0x28, 0x15, 0x06
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE, _SOL_PACKET, _PACKET_STATISTICS = 26, 33, 263, 6


class Wire:
    """What goes over the loopback interface from and to these ports; a context manager. Others' calls are not ours to read."""

    def __init__(self, *ports: int) -> None:
        self.packets: list[Packet] = []
        self.lost = 0
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        program = _of_ports(ports)
        lines = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
        self._socket.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(lines))
        )
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 26)
        self._socket.bind(("lo", 3))
        self._socket.settimeout(0.2)
        self._over = threading.Event()
        self._reading = threading.Thread(target=self._read)

    def of(self, *ports: int) -> list[Packet]:
        """Those from or to one of these ports."""
        return [packet for packet in self.packets if {packet.source, packet.target} & {*ports}]

    def said(self, *ports: int) -> bytes:
        """All of that. What clients of websockets say is masked (RFC 6455): it stands behind the rest in clear."""
        packets = self.of(*ports)
        asked = [text for packet in packets if packet.target in ports for text in _unmasked(packet.payload)]
        return b"\n".join([packet.payload for packet in packets] + asked)

    def __enter__(self) -> Self:
        self._reading.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._reading.join()
        statistics = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        self.lost = struct.unpack("II", statistics)[1]
        self._socket.close()

    def _read(self) -> None:
        while not self._over.is_set():
            try:
                frame, address = self._socket.recvfrom(1 << 17)
            except TimeoutError:
                continue
            # the loopback shows each packet twice: going out (4), and coming in
            if address[2] != 4 and (packet := _packet(frame)) is not None:
                self.packets.append(packet)


def _of_ports(ports: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """A program of the kernel's: operation, lines to skip where it is so and where it is not, operand."""
    program = [(_LOAD_HALF, 0, 0, 12), (_JUMP_EQUAL, 0, 2 * len(ports) + 2, 0x0800)]
    for place, offset in enumerate((34, 36)):
        program.append((_LOAD_HALF, 0, 0, offset))
        for number, port in enumerate(ports):
            # those that come before the last line but one
            left = (1 - place) * (len(ports) + 1) + len(ports) - number
            program.append((_JUMP_EQUAL, left, 0, port))
    return [*program, (_RETURN, 0, 0, 0), (_RETURN, 0, 0, 1 << 17)]


def _packet(frame: bytes) -> Packet | None:
    if len(frame) < 34 or frame[12:14] != b"\x08\x00":
        return None
    ip = frame[14:]
    transport = ip[(ip[0] & 15) * 4 : struct.unpack(">H", ip[2:4])[0]]
    if ip[9] == socket.IPPROTO_UDP and len(transport) > 8:
        payload = transport[8:]
    elif ip[9] == socket.IPPROTO_TCP and len(transport) > (offset := (transport[12] >> 4) * 4):
        payload = transport[offset:]
    else:
        return None
    return Packet(*struct.unpack(">HH", transport[:4]), payload)


def _unmasked(payload: bytes) -> list[bytes]:
    """The frames that begin in this packet, if it begins with one: final or not, text, bytes, close, ping or pong."""
    texts = []
    while len(payload) > 6 and payload[0] & 0x70 == 0 and payload[0] & 15 in (0, 1, 2, 8, 9, 10) and payload[1] & 0x80:
        size, begin = payload[1] & 0x7F, 2
        if size > 125:
            begin = 4 if size == 126 else 10
            size = int.from_bytes(payload[2:begin])
        mask, body = payload[begin : begin + 4], payload[begin + 4 : begin + 4 + size]
        texts.append(bytes(byte ^ mask[place % 4] for place, byte in enumerate(body)))
        payload = payload[begin + 4 + size :]
    return texts
