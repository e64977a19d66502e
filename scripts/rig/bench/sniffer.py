"""Times calls on the loopback interface by the kernel's clock: each key that ends, and what Asterisk does next."""

from __future__ import annotations

import ctypes
import re
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Self

# A classic BPF program (linux/filter.h). Offsets on the loopback interface: Ethernet 14, IPv4 20, UDP 8, RTP 12 bytes.
_LOAD_HALF, _LOAD_BYTE, _LOAD_WORD, _JUMP_EQUAL, _AND, _RETURN = 0x28, 0x30, 0x20, 0x15, 0x54, 0x06
_UDP = 42
_RTP_PAYLOAD = _UDP + 12
_IPV4 = 0x0800
_TELEPHONE_EVENT = 96
_END_BIT = 0x80
# RTP's marker bit, and PCMU (0): the first packet of a prompt
_PROMPT_BEGINS = 0x80
_KEEP_BYTES = 2048

# An operation, its operand, and where to go on if it is equal, and if not; None is the next line.
_PROGRAM: tuple[tuple[int, int, str | None, str | None], ...] = (
    (_LOAD_HALF, 12, None, None),
    (_JUMP_EQUAL, _IPV4, None, "drop"),
    (_LOAD_BYTE, 23, None, None),
    (_JUMP_EQUAL, socket.IPPROTO_UDP, None, "drop"),
    (_LOAD_WORD, _UDP, None, None),
    (_JUMP_EQUAL, int.from_bytes(b"INVI", "big"), "keep", None),
    (_JUMP_EQUAL, int.from_bytes(b"BYE ", "big"), "keep", None),
    (_LOAD_BYTE, _UDP + 1, None, None),
    (_JUMP_EQUAL, _PROMPT_BEGINS, "keep", None),
    (_AND, 0x7F, None, None),
    (_JUMP_EQUAL, _TELEPHONE_EVENT, None, "drop"),
    (_LOAD_BYTE, _RTP_PAYLOAD + 1, None, None),
    (_AND, _END_BIT, None, None),
    (_JUMP_EQUAL, _END_BIT, "keep", "drop"),
    (_RETURN, _KEEP_BYTES, None, None),
    (_RETURN, 0, None, None),
)
_PLACES = {"keep": len(_PROGRAM) - 2, "drop": len(_PROGRAM) - 1}

_SO_ATTACH_FILTER = 26
_SO_TIMESTAMPNS = 35
_OUTGOING = 4
_ALL = 3


@dataclass
class _Call:
    last_key: float | None = None
    last_stamp: bytes = b""
    next_action: float | None = None
    ended: bool = False


class Sniffer:
    """A context manager. Asterisk is at `sip_port`, the callers are at `sipp_port`.

    The next action is Asterisk's next prompt, or its BYE. A prompt that a key cut short does not count: another key follows.
    """

    def __init__(self, sip_port: int, sipp_port: int) -> None:
        self._sip_port = sip_port
        self._sipp_port = sipp_port
        self._calls: dict[bytes, _Call] = {}
        self._by_port: dict[int, _Call] = {}
        self._over = False

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        program = ctypes.create_string_buffer(_assembled())
        self._socket.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(_PROGRAM), ctypes.addressof(program))
        )
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self._socket.bind(("lo", 0))
        self._socket.settimeout(0.2)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join()
        self._socket.close()

    @property
    def ended(self) -> int:
        """How many calls Asterisk has ended after their last key."""
        return sum(call.ended and call.last_key is not None for call in self._calls.values())

    def latencies(self) -> list[float]:
        """Seconds from the end of a call's last key to the next action, one a call, sorted."""
        return sorted(
            call.next_action - call.last_key
            for call in self._calls.values()
            if call.last_key is not None and call.next_action is not None
        )

    def _read(self) -> None:
        while not self._over:
            try:
                packet, ancillary, _, address = self._socket.recvmsg(_KEEP_BYTES, 64)
            except TimeoutError:
                continue
            # the loopback interface shows each packet twice
            if address[2] == _OUTGOING or len(packet) < _RTP_PAYLOAD + 2:
                continue
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            self._seen(packet, seconds + nanoseconds / 1e9)

    def _seen(self, packet: bytes, at: float) -> None:
        source, target = struct.unpack_from("!HH", packet, _UDP - 8)
        head = packet[_UDP : _UDP + 4]
        if head == b"INVI":
            if source == self._sipp_port:
                made = self._calls.setdefault(_found(rb"(?i)Call-ID: *(\S+)", packet), _Call())
                self._by_port[int(_found(rb"m=audio (\d+)", packet))] = made
            return
        prompt = packet[_UDP + 1] == _PROMPT_BEGINS
        if head == b"BYE ":
            call = self._calls.get(_found(rb"(?i)Call-ID: *(\S+)", packet)) if source == self._sip_port else None
        else:
            call = self._by_port.get(target if prompt else source)
        if call is None:
            return
        if head == b"BYE " or prompt:
            call.ended |= not prompt
            if call.last_key is not None and call.next_action is None:
                call.next_action = at
        elif call.last_stamp != (stamp := packet[_UDP + 4 : _UDP + 8]):
            # the end of a key is sent three times, and counts when it is first heard of
            call.last_stamp, call.last_key, call.next_action = stamp, at, None


def _assembled() -> bytes:
    """As the kernel wants it: code, how many lines to skip if equal and if not, operand."""
    lines = []
    for place, (code, operand, equal, other) in enumerate(_PROGRAM):
        skips = (0 if label is None else _PLACES[label] - place - 1 for label in (equal, other))
        lines.append(struct.pack("HBBI", code, *skips, operand))
    return b"".join(lines)


def _found(pattern: bytes, packet: bytes) -> bytes:
    match = re.search(pattern, packet)
    return match[1] if match else b"0"
