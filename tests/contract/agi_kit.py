"""A FastAGI server on port 0, and the other end of its connections: what Asterisk 22.10.1 sends, byte for byte, or less."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from ivr.agi.server import AgiServer
from ivr.call.mark import Mark
from ivr.errors import StoreError
from tests.contract.ari_log import Log, wait_for

NODE = "02:ae:de:80:e8:82"
CHANNEL = "1795318424.31"
LIMIT = 5.0

MARK = Mark(NODE, CHANNEL, "perukcnyu6jt", 2, ("pin", "sms_code"), "main", 1795320000, "nonce")

EMPTY = {"STATUS": "", "LEVEL": "0", "METHODS": "", "SUBJECT": "", "EXPIRES": ""}


def header(script: str, *arguments: str, channel: str = CHANNEL) -> bytes:
    """As it was seen on the wire."""
    lines = [
        "agi_network: yes", f"agi_network_script: {script}", f"agi_request: agi://127.0.0.1:4573/{script}",
        "agi_channel: PJSIP/caller-00000000", "agi_language: en", "agi_type: PJSIP", f"agi_uniqueid: {channel}",
        "agi_version: 22.10.1", "agi_callerid: +46701740601", "agi_calleridname: Anna: \"x\"", "agi_callingpres: 67",
        "agi_callingani2: 0", "agi_callington: 0", "agi_callingtns: 0", "agi_dnid: 100", "agi_rdnis: unknown",
        "agi_context: callers", "agi_extension: 100", "agi_priority: 5", "agi_enhanced: 0.0", "agi_accountcode: ",
        "agi_threadid: 140471632492224",
        *(f"agi_arg_{place}: {argument}" for place, argument in enumerate(arguments, 1)), "", "",
    ]  # fmt: skip
    return "\n".join(lines).encode()


_PROOF = re.compile(r'GET FULL VARIABLE "([0-9a-f]{16})\$\{UNIQUEID\}"')


class Peer:
    """One connection to the server."""

    channel = CHANNEL

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def command(self) -> str:
        """The next command; empty where the connection has ended. Which channel it is, is answered at once."""
        async with asyncio.timeout(LIMIT):
            try:
                command = (await self.reader.readline()).decode().rstrip("\n")
                if (proof := _PROOF.fullmatch(command)) is not None:
                    self.send(f"200 result=1 ({proof[1]}{self.channel})\n".encode())
                    command = (await self.reader.readline()).decode().rstrip("\n")
                return command
            except ConnectionError:
                return ""

    async def ended(self) -> bytes:
        """Wait until the server has ended the connection; what else it had said."""
        async with asyncio.timeout(LIMIT):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def play(self, answers: Mapping[str, str] | None = None) -> list[str]:
        """Answer every command as Asterisk does, or as told for commands that begin so; all commands."""
        seen = []
        while command := await self.command():
            seen.append(command)
            usual = f"200 result=1 ({NODE})" if command.startswith("GET FULL") else "200 result=1"
            told = [text for begin, text in (answers or {}).items() if command.startswith(begin)]
            self.send((told or [usual])[0].encode() + b"\n")
        return seen


@dataclass
class Line:
    """A server, who it logs to, and the marks that it finds; `down` is a store that does not answer."""

    server: AgiServer = field(init=False)
    log: Log = field(default_factory=Log)
    marks: dict[tuple[str, str], Mark] = field(default_factory=dict)
    down: bool = False
    peers: list[Peer] = field(default_factory=list)

    async def mark(self, node: str, channel: str) -> Mark | None:
        if self.down:
            raise StoreError("Redis: GET: no answer in time")
        return self.marks.get((node, channel))

    async def connect(self) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.server.port))
        self.peers.append(peer)
        return peer

    async def call(self, script: str, *arguments: str, answers: Mapping[str, str] | None = None) -> list[str]:
        """What a channel is told to do whose dialplan says this."""
        peer = await self.connect()
        peer.send(header(script, *arguments))
        return await peer.play(answers)

    async def logged(self, event: str, **fields: object) -> dict[str, object]:
        """Wait until a line of this event has these fields."""

        def found() -> list[dict[str, object]]:
            return [line for line in self.log.of(event) if all(line.get(name) == fields[name] for name in fields)]

        await wait_for(found, f"{event} {fields}", LIMIT)
        return found()[0]


def set_variables(commands: Sequence[str]) -> dict[str, str]:
    """Where the variables end, by the commands that set them."""
    pairs = [command.split(" ", 3)[2:] for command in commands if command.startswith("SET VARIABLE")]
    return {name.strip('"').removeprefix("CALLER_AUTH_"): value.strip('"') for name, value in pairs}


@asynccontextmanager
async def listening(*, allow: Sequence[str] = (), policy: str = "", **limits: float) -> AsyncIterator[Line]:
    """A server that ends with this context, and with it every connection."""
    line = Line()
    allowed = [ip_address(address) for address in allow]
    line.server = AgiServer(allowed, policy=policy, mark=line.mark, log=line.log.logger, **limits)  # type: ignore[arg-type]
    await line.server.open("127.0.0.1", 0)
    try:
        yield line
    finally:
        await line.server.close()
        for peer in line.peers:
            peer.writer.transport.abort()
