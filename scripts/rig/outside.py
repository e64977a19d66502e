"""Real local servers that speak the published form of somebody else's API, and misbehave when told to: for tests and the demo.

    async with TextsServer(elks) as server:
        server.next(Status(403, "Not enough credits"))

Bytes on sockets, and no HTTP library: what is half sent, or no HTTP at all, no library would send.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs


@dataclass
class Asked:
    """A request that came whole."""

    method: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form, each there once."""
        fields = parse_qs(self.body, keep_blank_values=True, strict_parsing=True)
        assert all(len(values) == 1 for values in fields.values())
        return {name: values[0] for name, values in fields.items()}

    @property
    def login(self) -> str:
        """`user:password` of HTTP Basic."""
        return base64.b64decode(self.headers.get("authorization", "").removeprefix("Basic ")).decode()


@dataclass
class Status:
    """Answer with this."""

    status: int
    body: object = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Raw:
    """Send these bytes and cut the connection."""

    data: bytes = b""


class Never:
    """Take the request, and say nothing."""


@dataclass
class Drip:
    """Begin to answer, one byte at a time, and never come to an end."""

    data: bytes = b"HTTP/1.1 200 OK\r\nX-Long: "


Rule = Status | Raw | Never | Drip
Api = Callable[[Asked], Status]


class TextsServer:
    """On port 0 of the loopback, or where `at` listens; an async context manager. What it answers is `api`'s, unless `next` says otherwise."""

    def __init__(self, api: Api, tls: ssl.SSLContext | None = None, at: socket.socket | None = None) -> None:
        self.api = api
        self.asked: list[Asked] = []
        self.connections = 0
        self.port = 0
        self._tls = tls
        self._at = at
        # it has made up its mind, and waits with its answer
        self.before_answer: Callable[[], Awaitable[object]] | None = None
        self._rules: list[Rule] = []
        self._always: Rule | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def next(self, *rules: Rule) -> None:
        """What becomes of the next requests, one rule each."""
        self._rules += rules

    def always(self, rule: Rule | None) -> None:
        """What becomes of every request from now on; None: what the API says."""
        self._always = rule

    async def until_asked(self, count: int, limit: float = 10.0) -> Asked:
        """Wait for the so-many-th request."""
        async with asyncio.timeout(limit):
            while len(self.asked) < count:
                self._news.clear()
                await self._news.wait()
        return self.asked[count - 1]

    async def __aenter__(self) -> TextsServer:
        if self._at is not None:
            self._server = await asyncio.start_server(self._accept, sock=self._at, ssl=self._tls)
        else:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Let nobody in any more; the port stays known, for a start behind it."""
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------ inside

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await _read(reader)
            self.asked.append(asked)
            self._news.set()
            rule = self._always or (self._rules.pop(0) if self._rules else self.api(asked))
            if self.before_answer is not None:
                await self.before_answer()
            await _answer(rule, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, version = head[0].split(" ")
    assert version == "HTTP/1.1"
    pairs = [line.split(":", 1) for line in head[1:] if line]
    headers = {name.lower(): value.strip() for name, value in pairs}
    assert len(headers) == len(pairs), "a header is there twice"
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body.decode())


async def _answer(rule: Rule, writer: asyncio.StreamWriter) -> None:
    match rule:
        case Never():
            await asyncio.Event().wait()
        case Drip():
            writer.write(rule.data)
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        case Raw():
            writer.write(rule.data)
            await writer.drain()
        case Status():
            body = rule.body if isinstance(rule.body, bytes) else _text(rule.body).encode()
            kind = "text/plain; charset=utf-8" if isinstance(rule.body, str) else "application/json"
            headers = {"Content-Type": kind, "Content-Length": str(len(body)), **rule.headers}
            lines = [f"HTTP/1.1 {rule.status} Reason", *(f"{name}: {value}" for name, value in headers.items())]
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            await writer.drain()


def _text(body: object) -> str:
    return body if isinstance(body, str) else json.dumps(body)
