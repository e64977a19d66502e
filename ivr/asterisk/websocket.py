"""One websocket of an application: what Asterisk tells, and requests that are answered on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from time import monotonic
from typing import Literal

import aiohttp
import orjson
from structlog.typing import FilteringBoundLogger

from ivr.asterisk.events import Event, Response, decode
from ivr.errors import AriError

Method = Literal["GET", "POST", "PUT", "DELETE"]
Json = Mapping[str, object]

HEARTBEAT = 5.0
"""A ping goes out after so many seconds of silence; half of that later the websocket counts as dead."""
LONGEST = 1 << 20
"""Bytes of a frame; longer ones end the connection."""

# How long a server may take to say goodbye.
_GOODBYE = 1.0


class Websocket:
    """`read` until it ends, then `end`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, log: FilteringBoundLogger) -> None:
        self.heard = 0.0
        """When Asterisk last said anything on it (`time.monotonic`)."""
        self._socket = socket
        self._log = log
        self._numbers = count(1)
        self._waiting: dict[str, asyncio.Future[Response]] = {}

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return len(self._waiting)

    async def ask(self, method: Method, path: str, body: Json | None, operation: str) -> object:
        """The decoded answer. Raises `AriError` where it is a refusal, and `ConnectionError` where the websocket ends first."""
        number = str(next(self._numbers))
        frame: dict[str, object] = {
            "type": "RESTRequest",
            "transaction_id": number,
            "request_id": number,
            "method": method,
            "uri": path,
        }
        if body is not None:
            frame["content_type"] = "application/json"
            frame["message_body"] = orjson.dumps(body).decode()
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send_str(orjson.dumps(frame).decode())
            response = await waiting
        finally:
            self._waiting.pop(number, None)
        return answer(operation, response.status, response.body.encode())

    async def read(self, tell: Callable[[Event], None]) -> None:
        """Hand on answers to those who wait for them, and tell of all events, until it ends."""
        async for message in self._socket:
            self.heard = monotonic()
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            try:
                raw = orjson.loads(message.data)
            except orjson.JSONDecodeError:
                self._log.error("ari.rubbish", length=len(message.data))
                continue
            match decode(raw):
                case None:
                    pass
                case Response() as response:
                    waiting = self._waiting.pop(response.request, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(response)
                case event:
                    tell(event)

    async def end(self) -> None:
        """Say goodbye; nobody waits on it any longer."""
        self._lose()
        try:
            async with asyncio.timeout(_GOODBYE):
                await self._socket.close()
        except TimeoutError:
            pass

    def _lose(self) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError())
        self._waiting.clear()


def answer(operation: str, status: int, body: bytes) -> object:
    """Decode it; raises `AriError`. Status first: what stands in a refusal is for nobody."""
    if not 200 <= status <= 299:
        raise AriError(operation, status)
    if not body:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    # not within `except`: the decoder's error holds the body
    raise AriError(operation, status)
