"""Where what was keyed could be: the wire, a process's memory, a recording, another application; and looking for it there."""

from __future__ import annotations

import asyncio
import base64
import ctypes
import math
import re
import socket
import struct
import threading
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from rig import audio
from rig.asterisk import Pbx
from rig.stage import Stage

# ---------------------------------------------------------------- what is looked for


@dataclass(frozen=True)
class Canaries:
    """`long` ones are found nowhere by chance. The six digits of a `code` are, in fractions of seconds and in hashes."""

    long: tuple[str, ...]
    code: str

    def found(self, content: bytes) -> list[str]:
        """Those that stand there."""
        there = [canary for canary in self.long if canary.encode() in content]
        # looked for plainly first: a pattern takes a second for a process's memory
        code = self.code.encode()
        if code in content and re.search(rb"(?<![0-9a-f.])" + code + rb"(?![0-9a-f])", content):
            there.append(self.code)
        return there

    def assert_in_none(self, places: Mapping[str, bytes]) -> None:
        """In none of these places; and that each of them would have been found there is tried as well."""
        for place, content in places.items():
            assert content, f"{place} is empty: nothing would be found there"
            assert not (there := self.found(content)), f"{place} has {there}"
            middle = len(content) // 2
            for canary in (*self.long, self.code):
                planted = content[:middle] + f' "{canary}" '.encode() + content[middle:]
                assert canary in self.found(planted), f"{canary} would not be found in {place}"


def files(stage: Stage) -> dict[str, bytes]:
    """Every file that anybody wrote on this stage, but for texts that are sent and the phones' own recordings."""
    stage.pbx.said()  # its logs are written to the end
    found = {}
    for root in (stage.pbx.folder, stage.redis.folder):
        for file in root.rglob("*"):
            name = file.relative_to(root)
            left_out = name.parts[0] in ("phones", "data", "etc") or "outbox" in name.parts or name.suffix == ".lock"
            if file.is_file() and not file.is_symlink() and not left_out and (content := file.read_bytes()):
                found[f"{root.name}/{name}"] = content
    for ending in (
        "tillit.db", "tillit.db-wal", ".jsonl", "full.log", "cdr-csv/Master.csv", "cel-custom/Master.csv", "queue_log", ".wav",
    ):  # fmt: skip
        assert any(name.endswith(ending) for name in found), f"no {ending} was written"
    assert any("aof" in name for name in found) and any(name.endswith(".rdb") for name in found)
    return found


# ---------------------------------------------------------------- a process's memory


def memory(pid: int) -> bytes:
    """All that a process has in its memory and could be read by: what a core file of it would hold."""
    parts = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as opened:
        for line in maps:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+\s*(\S*)", line)
            if found is None or found[3] in ("[vvar]", "[vsyscall]"):
                continue
            begin, end = int(found[1], 16), int(found[2], 16)
            try:
                opened.seek(begin)
                parts.append(opened.read(end - begin))
            except (OSError, ValueError):
                continue  # given back meanwhile, or a device's
    return b"\n".join(parts)


# ---------------------------------------------------------------- the wire


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


# ---------------------------------------------------------------- recordings

_LOW, _HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
_KEYS = "123A456B789C*0#D"
# 25 ms, every 12.5: ITU-T Q.24 has receivers take tones of 40 ms, with 40 ms between them.
_FRAME, _HOP = 200, 100


def keys_in(file: Path) -> str:
    """The keys whose tones stand in a recording, by Goertzel's algorithm."""
    heard = audio.samples(file)
    keys, before, told = [], "", ""
    for start in range(0, len(heard) - _FRAME + 1, _HOP):
        key = _key(heard[start : start + _FRAME])
        # two frames in a row; and the same key again only behind a pause
        if key == before and key != told:
            keys.append(key)
            told = key
        before = key
    return "".join(keys)


def _key(frame: array[int]) -> str:
    energy = sum(value * value for value in frame)
    if energy < 300**2 * _FRAME:
        return ""
    low, high = ([_power(frame, hertz) / energy for hertz in group] for group in (_LOW, _HIGH))
    if max(low) + max(high) < 0.8 or min(max(low), max(high)) < 0.1:
        return ""
    return _KEYS[4 * low.index(max(low)) + high.index(max(high))]


def _power(frame: Sequence[int], hertz: float) -> float:
    factor = 2 * math.cos(2 * math.pi * hertz / audio.RATE)
    last = before = 0.0
    for value in frame:
        last, before = value + factor * last - before, last
    return (last * last + before * before - factor * last * before) * 2 / len(frame)


# ---------------------------------------------------------------- another application


class Application:
    """Another ARI application of the same Asterisk; an async context manager. `subscribe`: it asks for everybody's events."""

    def __init__(self, pbx: Pbx, name: str, *, subscribe: bool) -> None:
        login = base64.b64encode(f"tillit:{pbx.ari_password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}"}
        self._url = f"{pbx.ari_url}/events?app={name}&subscribeAll={'true' if subscribe else 'false'}"
        self.told = bytearray()
        self._http: aiohttp.ClientSession | None = None
        self._reading: asyncio.Task[None] | None = None

    def digits(self) -> str:
        """The keys that it was told of one by one."""
        events: list[Any] = [orjson.loads(line) for line in self.told.splitlines()]
        return "".join(event["digit"] for event in events if event["type"] == "ChannelDtmfReceived")

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(headers=self._headers)
        socket = await self._http.ws_connect(self._url)
        self._reading = asyncio.create_task(self._read(socket))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            self.told += orjson.dumps(orjson.loads(message.data)) + b"\n"
