"""A text gateway that tells each caller the code within the call, and can be slow, refuse, or answer rubbish."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Mapping
from typing import Literal, Self

from aiohttp import web

from rig.ports import HOST, Ports

Mood = Literal["good", "slow", "refusing", "rubbish"]

# Longer than a worker of the stage gives a text.
_SLOW_SECONDS = 8.0


class Gateway:
    """A context manager, in a thread of its own; `url` is where texts go."""

    def __init__(self, ports: Ports) -> None:
        self._port = ports.take()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.mood: Mood = "good"
        self.routes: Mapping[str, tuple[int, str]] = {}

    @property
    def url(self) -> str:
        """What `[texts.http] url` is."""
        return f"http://{HOST}:{self._port}/texts"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._socket.close()

    async def _serve(self) -> None:
        application = web.Application()
        application.router.add_post("/texts", self._text)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self._port).start()

    async def _text(self, request: web.Request) -> web.StreamResponse:
        told = json.loads(await request.read())
        match self.mood:
            case "slow":
                await asyncio.sleep(_SLOW_SECONDS)
            case "refusing":
                return web.Response(status=503)
            case "rubbish":
                assert request.transport is not None
                request.transport.write(b"\x16\x03\x01 no gateway speaks so\x00\xff" * 20)
                request.transport.close()
                return web.Response()
            case "good":
                pass
        self._tell(told["to"].removeprefix("+"), told["text"])
        return web.json_response({"id": "1"}, status=201)

    def _tell(self, number: str, text: str) -> None:
        code = re.search(r"\d{6}", text)
        route = self.routes.get(number)
        if code is None or route is None:
            return
        port, call = route
        # SIPp knows a call by its Call-ID, and answers nobody who is not its peer
        message = (
            f"MESSAGE sip:chaos@{HOST} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST}:9;branch=z9hG4bK{code[0]}{number}\r\n"
            f"From: <sip:gateway@{HOST}>;tag=1\r\nTo: <sip:chaos@{HOST}>;tag=1\r\nCall-ID: {call}\r\n"
            f"CSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n{code[0]}"
        )
        self._socket.sendto(message.encode(), (HOST, port))
