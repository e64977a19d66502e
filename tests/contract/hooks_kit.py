"""A receiver of webhooks on a port of its own, which checks signatures by the library and answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web
from standardwebhooks import Webhook

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@dataclass
class Heard:
    """What it was told once. `status` is what it answered."""

    id: str
    body: dict[str, Any]
    status: int


@dataclass
class Listener:
    """`answers` are given one after another, then 204; a call that `stuck` names is answered when the test lets it go."""

    url: str = ""
    secret: str = SECRET
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    heard: list[Heard] = field(default_factory=list)
    arrived: list[str] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        Webhook(self.secret).verify(text, dict(request.headers))
        assert "Authorization" not in request.headers and request.content_type == "application/json"
        body = orjson.loads(text)
        self.arrived.append(request.headers["webhook-id"])
        self.news.set()
        if body["data"]["channel"] in self.stuck:
            await self.go.wait()
        status = self.answers.pop(0) if self.answers else 204
        self.heard.append(Heard(request.headers["webhook-id"], body, status))
        self.news.set()
        return web.Response(status=status, headers=self.headers, body=b"x" * (0 if status == 204 else 1000))

    @property
    def taken(self) -> list[tuple[str, str]]:
        """Kind and channel of what it has taken, in that order."""
        return [(one.body["type"], one.body["data"]["channel"]) for one in self.heard if 200 <= one.status < 300]

    async def until(self, told: Any) -> None:
        """Until this is so of what was heard."""
        async with asyncio.timeout(20):
            while not told(self):
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """A receiver."""
    made = Listener()
    app = web.Application()
    app.router.add_post("/hook", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield made
    finally:
        made.go.set()
        await runner.cleanup()
