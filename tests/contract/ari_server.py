"""A real HTTP and websocket server that speaks ARI in its published form, and misbehaves when told to.

What it answers comes from `handle` (`ari_pbx.Model` for a whole PBX; a test may give its own). A rule says
what becomes of a request instead: `server.rule("DELETE", "playbacks/*", Never())`.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web

USER, PASSWORD = "tillit", "canary-password"
# When keys are pressed, in fifths of a second since the epoch.
_FIFTHS = itertools.count(1_767_225_600 * 5)

Answer = tuple[int, object]


@dataclass
class Asked:
    """A request that came; `how` is `http` or `websocket`."""

    how: str
    method: str
    path: str
    fields: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Status:
    """Refuse with this status; `done`: after having done it."""

    status: int
    body: object = None
    done: bool = False


@dataclass
class Text:
    """Answer with this text as it is."""

    text: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Never:
    """Do nothing and say nothing; `done`: say nothing, having done it."""

    done: bool = False


@dataclass
class Late:
    """Do it and answer when `now` is set; with a status: refuse then."""

    status: int = 0
    now: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Drop:
    """Cut the websocket and say nothing; `done`: after having done it."""

    done: bool = False


Rule = Status | Text | Never | Late | Drop


class Socket:
    """One websocket of one application."""

    def __init__(self, response: web.WebSocketResponse, request: web.Request, app: str) -> None:
        self.app = app
        self.response = response
        self.request = request
        self.pongs = True
        self.allowed: set[str] | None = None
        self.gone = asyncio.Event()

    async def send(self, event: dict[str, Any]) -> None:
        """An event, if the filter lets it through."""
        if (self.allowed is None or event["type"] in self.allowed) and not self.response.closed:
            await self.send_text(json.dumps(event))

    async def send_text(self, text: str) -> None:
        """A frame of any text, past the filter."""
        await self.response.send_str(text)

    def send_raw(self, data: bytes) -> None:
        """Bytes on the connection, frame or not."""
        assert self.request.transport is not None
        self.request.transport.write(data)

    def cut(self) -> None:
        """End the connection without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()

    async def close(self) -> None:
        """End it in order."""
        await self.response.close()


class AriServer:
    """On port 0 of the loopback; an async context manager."""

    def __init__(self, handle: Callable[[Asked], Awaitable[Answer]] | None = None) -> None:
        self.asked: list[Asked] = []
        self.sockets: list[Socket] = []
        self.connections = 0
        self.refuse = 0
        # whether it takes the application for one without a connection
        self.deaf = False
        self.handle = handle or self._nothing
        self.closed: Callable[[Socket], None] = lambda socket: None
        self._rules: list[tuple[str, str, str, Rule]] = []
        self._news = asyncio.Event()
        self._sent: dict[str, asyncio.Lock] = {}
        self._runner: web.AppRunner | None = None
        self._never = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ari"

    @property
    def socket(self) -> Socket:
        """The newest websocket that is open."""
        return self.sockets[-1]

    def rule(self, method: str, path: str, *rules: Rule, how: str = "*") -> None:
        """What becomes of the next requests like this, one rule each; `*` in the path is anything."""
        self._rules += [(method, path, how, rule) for rule in rules]

    def clear(self) -> None:
        """Forget rules that were not needed."""
        self._rules.clear()

    def requests(self, method: str, path: str, how: str = "*") -> list[Asked]:
        """What was asked so far."""
        return [asked for asked in self.asked if _fits(asked, method, path, how)]

    async def until(self, condition: Callable[[], bool], what: str = "", limit: float = 10.0) -> None:
        """Wait until something came that makes this true."""
        try:
            async with asyncio.timeout(limit):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            last = [f"{asked.how} {asked.method} {asked.path}" for asked in self.asked[-8:]]
            raise TimeoutError(f"waited {limit:g} s in vain for {what or condition}; last asked: {last}") from None

    async def until_asked(self, method: str, path: str, count: int = 1, how: str = "*") -> Asked:
        """Wait for the so-many-th request like this."""
        await self.until(lambda: len(self.requests(method, path, how)) >= count, f"{count} × {how} {method} {path}")
        return self.requests(method, path, how)[count - 1]

    async def until_connected(self, count: int = 1) -> Socket:
        """Wait until there have been so many websockets, and the last one's filter is set."""
        await self.until(
            lambda: self.connections >= count and bool(self.sockets) and self.socket.allowed is not None, "a socket"
        )
        return self.socket

    async def emit(self, event: dict[str, Any]) -> None:
        """An event to every websocket."""
        for socket in list(self.sockets):
            try:
                await socket.send(event)
            except ConnectionError:
                continue

    async def __aenter__(self) -> AriServer:
        application = web.Application()
        application.router.add_get("/ari/events", self._events)
        application.router.add_route("*", "/ari/{path:.*}", self._http)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # a loop's own server
        return self

    async def __aexit__(self, *_: object) -> None:
        self._never.set()
        for task in list(self._tasks):
            task.cancel()
        for socket in list(self.sockets):
            socket.cut()
        assert self._runner is not None
        await self._runner.cleanup()

    # ------------------------------------------------------------ inside

    async def _nothing(self, asked: Asked) -> Answer:
        return 204, None

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        self._news.set()
        if request.headers.get("Authorization") != _login() or "app" not in request.query:
            return web.json_response({"message": "Authentication required"}, status=401)
        if self.refuse:
            self.refuse -= 1
            return web.json_response({"message": "canary-refusal"}, status=503)
        response = web.WebSocketResponse(autoping=False)
        await response.prepare(request)
        app = request.query["app"]
        socket = Socket(response, request, app)
        for other in [other for other in self.sockets if other.app == app]:
            await other.send_text(json.dumps({"type": "ApplicationReplaced", "application": app, "timestamp": ""}))
            self.sockets.remove(other)
        self.sockets.append(socket)
        self._news.set()
        try:
            async for message in response:
                if message.type is WSMsgType.PING and socket.pongs:
                    await response.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    self._spawn(self._rest(socket, json.loads(message.data)))
        except ConnectionError:
            pass
        finally:
            if socket in self.sockets:
                self.sockets.remove(socket)
            socket.gone.set()
            self.closed(socket)
            self._news.set()
        return response

    async def _rest(self, socket: Socket, frame: dict[str, Any]) -> None:
        """REST over the websocket: one after another, as Asterisk answers."""
        assert frame["type"] == "RESTRequest"
        path, _, query = frame["uri"].partition("?")
        fields = {**dict(parse_qsl(query)), **json.loads(frame.get("message_body") or "{}")}
        asked = Asked("websocket", frame["method"], path, fields)
        async with self._sent.setdefault(str(id(socket)), asyncio.Lock()):
            answer = await self._become(asked, socket)
            if answer is None:
                return
            status, body, _ = answer
            reply = {
                "type": "RESTResponse", "application": socket.app, "timestamp": "",
                "transaction_id": frame["transaction_id"], "request_id": frame["request_id"],
                "status_code": status, "reason_phrase": "", "uri": path,
                "content_type": "application/json", "message_body": body,
            }  # fmt: skip
            try:
                await socket.send(reply)
            except ConnectionError:
                return

    async def _http(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != _login():
            return web.json_response({"message": "canary-refusal"}, status=401)
        text = await request.text()
        fields = {**request.query, **(json.loads(text) if text else {})}
        asked = Asked("http", request.method, request.match_info["path"], fields, dict(request.headers))
        answer = await self._become(asked, None)
        if answer is None:
            await self._never.wait()
            raise web.HTTPInternalServerError
        status, body, headers = answer
        return web.Response(status=status, text=body, content_type="application/json", headers=headers)

    async def _become(self, asked: Asked, socket: Socket | None) -> tuple[int, str, dict[str, str]] | None:
        """What becomes of a request: status, text and headers; None where nobody answers."""
        self.asked.append(asked)
        self._news.set()
        match rule := self._rule(asked):
            case Never(done=False):
                await self._never.wait()
                return None
            case Late():
                await rule.now.wait()
                if rule.status:
                    return rule.status, "", {}
            case Text():
                return rule.status, rule.text, rule.headers
            case Status() | Drop() if not rule.done:
                return self._end(rule)
            case _:
                pass
        if asked.path.endswith("/eventFilter"):
            for other in self.sockets:
                if other.app == asked.path.split("/")[1]:
                    other.allowed = {entry["type"] for entry in asked.fields["allowed"]}
            answer: Answer = (200, {})
            self._news.set()
        else:
            answer = await self.handle(asked)
        if isinstance(rule, Status | Drop):
            return self._end(rule)
        if isinstance(rule, Never):
            return None
        if asked.path.startswith("events/user/") and answer[0] < 300 and not self.deaf:
            await self._echo(asked)
        status, body = answer
        return status, "" if body is None else json.dumps(body), {}

    async def _echo(self, asked: Asked) -> None:
        name = asked.path.rpartition("/")[2]
        event = {"type": "ChannelUserevent", "eventname": name, "userevent": {}, "timestamp": ""}
        for socket in self.sockets:
            if socket.app == asked.fields.get("application"):
                await socket.send({**event, "application": socket.app})

    def _end(self, rule: Status | Drop) -> tuple[int, str, dict[str, str]] | None:
        if isinstance(rule, Status):
            return rule.status, json.dumps(rule.body), {}
        for socket in list(self.sockets):
            socket.cut()
        return None

    def _rule(self, asked: Asked) -> Rule | None:
        for entry in self._rules:
            if _fits(asked, *entry[:3]):
                self._rules.remove(entry)
                return entry[3]
        return None

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _fits(asked: Asked, method: str, path: str, how: str) -> bool:
    return fnmatchcase(asked.method, method) and fnmatchcase(asked.path, path) and fnmatchcase(asked.how, how)


def _login() -> str:
    return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def digit(channel: str, key: str) -> dict[str, Any]:
    """A key that was pressed, 0.2 s after the one before it."""
    at = datetime.fromtimestamp(next(_FIFTHS) / 5, UTC).isoformat(timespec="milliseconds")
    return {
        **_event("ChannelDtmfReceived"), "timestamp": at, "channel": {"id": channel}, "digit": key, "duration_ms": 100
    }  # fmt: skip


def digits(channel: str, keys: str) -> Iterator[dict[str, Any]]:
    """Many keys."""
    return (digit(channel, key) for key in keys)


def _event(kind: str) -> dict[str, Any]:
    return {"type": kind, "application": "tillit", "timestamp": "2026-01-01T00:00:00.000+0000", "asterisk_id": "x"}
