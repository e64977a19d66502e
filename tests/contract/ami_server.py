"""A real TCP server that speaks AMI in its published form, and misbehaves when told to."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from types import TracebackType

from rig.certificates import Certificate

USER, PASSWORD = "tillit", "canary-password"
CHALLENGE = "140203"
GREETING = b"Asterisk Call Manager/11.0.0\r\n"

Fields = dict[str, str]
Rule = Callable[[Fields], bytes | None]


def message(**fields: str) -> bytes:
    """As Asterisk writes it."""
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n"


class AmiServer:
    """On 127.0.0.1, port 0. What it received stands in `actions`, with every byte in `received`.

    rules: what becomes of an action, by its name: the bytes that are sent back, or None for nothing at all.
    """

    def __init__(self, certificate: Certificate | None = None) -> None:
        """`certificate`: it takes connections by TLS alone, with this one."""
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(certificate.chain, certificate.key)
        self.actions: list[Fields] = []
        self.received = bytearray()
        self.rules: dict[str, Rule] = {}
        self.greeting = GREETING
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def rule(self, action: str, rule: Rule) -> None:
        """From now on this becomes of the action."""
        self.rules[action] = rule

    def of(self, action: str) -> list[Fields]:
        """The actions of this name so far."""
        return [fields for fields in self.actions if fields["Action"] == action]

    def send(self, data: bytes) -> None:
        """To everyone who is connected."""
        for writer in self._writers:
            writer.write(data)

    def drop(self) -> None:
        """End every connection at once."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def stop(self) -> None:
        """Listen no more."""
        assert self._server is not None
        self._server.close()
        self.drop()

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> AmiServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            writer.write(self.greeting)
            while True:
                whole = await reader.readuntil(b"\r\n\r\n")
                self.received += whole
                fields = dict(line.split(": ", 1) for line in whole.decode().strip().split("\r\n"))
                self.actions.append(fields)
                answer = self.rules.get(fields["Action"], self._answer)(fields)
                if answer is not None:
                    writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, fields: Fields) -> bytes:
        own = {"ActionID": fields["ActionID"]}
        match fields["Action"]:
            case "Challenge":
                return message(Response="Success", **own, Challenge=CHALLENGE)
            case "Login":
                key = hashlib.md5(f"{CHALLENGE}{PASSWORD}".encode()).hexdigest()
                if (fields.get("Username"), fields.get("Key")) != (USER, key):
                    return message(Response="Error", **own, Message="Authentication failed")
                return message(Response="Success", **own, Message="Authentication accepted")
            case "Ping":
                return message(Response="Success", **own, Ping="Pong", Timestamp="1.0")
            case "QueueStatus" | "DeviceStateList" | "ExtensionStateList" as name:
                start = message(Response="Success", **own, EventList="start", Message="will follow")
                return start + message(Event=f"{name}Complete", **own, EventList="Complete", ListItems="0")
            case _:
                return message(Response="Success", **own, Message="done")
