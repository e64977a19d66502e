"""Where what was keyed could be: a process's memory, a recording, another application, a back-up; and looking for it there."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import math
import os
import re
import resource
import shutil
import signal
import subprocess
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson
import pyrage
from rig import audio
from rig.asterisk import Pbx
from rig.stage import Stage
from rig.state import wait_until
from rig.worker import Worker

from ivr.config import load
from ivr.store import sealing
from ivr.vault import Vault

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


def core(worker: Worker, folder: Path) -> bytes | None:
    """The core file of a worker that was started in this folder; it ends with it. None where this machine writes none."""
    pid = worker.child.pid
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern and not pattern.startswith("|") and "/" not in pattern:
        resource.prlimit(pid, resource.RLIMIT_CORE, (resource.prlimit(pid, resource.RLIMIT_CORE)[1],) * 2)
        os.kill(pid, signal.SIGABRT)
        wait_until(lambda: not worker.child.alive, 30, "the worker to be aborted")
    elif (program := shutil.which("gcore")) is not None:
        subprocess.run([program, "-o", str(folder / "core"), str(pid)], check=True, capture_output=True, timeout=60)
        worker.kill()
    files = list(folder.iterdir())
    return files[0].read_bytes() if files else None


# ---------------------------------------------------------------- a back-up


def opened(file: Path, identity: Path) -> bytes:
    """A file of `backup`, as the key that reads back-ups opens it."""
    *_, text = identity.read_text().split()
    return gzip.decompress(pyrage.decrypt(file.read_bytes(), [pyrage.x25519.Identity.from_str(text)]))


def customers(stage: Stage, data: bytes, data_keys: bytes) -> bytes:
    """What a back-up has of customers, opened further, with their data keys and the installation's own keys."""
    vault = Vault.open(load(stage.config))
    keys = {ref: rest for line in data_keys.splitlines() for ref, *rest in [json.loads(line).get("key", (None,))]}
    fields = []
    for line in data.splitlines():
        if (stored := json.loads(line).get("customer")) is None:
            continue
        key_id, wrapped = keys[stored["ref"]]
        envelope = vault.envelopes.open(stored["ref"], key_id, base64.b64decode(wrapped))
        named = [(name, stored[name]) for name in (sealing.NUMBER, sealing.NAME, sealing.PIN) if stored[name]]
        named += [(sealing.phone(position), phone) for position, phone, *_ in stored["phones"]]
        fields += [envelope.open_bytes(name, base64.b64decode(sealed)) for name, sealed in named]
    vault.close()
    return b"\n".join(fields)


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
        self._name = name
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reading: asyncio.Task[None] | None = None

    async def say(self, word: str) -> None:
        """Have Asterisk tell this application an event with this word, asked for on the websocket."""
        assert self._socket is not None
        message = {"variables": {"word": word}}
        asked = {
            "type": "RESTRequest", "transaction_id": "1", "request_id": "1", "method": "POST", "uri": "events/user/planted",
            "query_strings": [{"name": "application", "value": self._name}],
            "content_type": "application/json", "message_body": json.dumps(message),
        }  # fmt: skip
        await self._socket.send_str(json.dumps(asked))

    def digits(self) -> str:
        """The keys that it was told of one by one."""
        events: list[Any] = [orjson.loads(line) for line in self.told.splitlines()]
        return "".join(event["digit"] for event in events if event["type"] == "ChannelDtmfReceived")

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(headers=self._headers)
        self._socket = await self._http.ws_connect(self._url)
        self._reading = asyncio.create_task(self._read(self._socket))
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
