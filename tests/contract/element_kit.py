"""What the tests of <caller-auth> share: its token, what it follows, and a CRM's server whose page holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from tests.contract.web_kit import AUDIENCE, Desk, as_crm

ASK, LIVE = "/api/v1/element/token", "/element/live"
ORIGIN = AUDIENCE


async def ask(desk: Desk, headers: dict[str, str] | None = None, **given: str) -> tuple[int, dict[str, Any]]:
    """As the CRM's server does it."""
    async with aiohttp.ClientSession() as program:
        answer = await program.post(
            desk.url(ASK), json={"login": "anna", **given}, headers=as_crm() if headers is None else headers
        )
        return answer.status, await answer.json()


async def token(desk: Desk, **given: str) -> str:
    status, told = await ask(desk, **given)
    assert status == 201, told
    return str(told["token"])


async def use(
    desk: Desk, token: str, path: str = "/api/v1/calls/current", method: str = "GET", *, origin: str | None = ORIGIN, **options: Any
) -> tuple[int, Any, Any]:  # fmt: skip
    """As the element does it: the token in a header, the origin of its page, no cookie."""
    headers = {"Authorization": f"Bearer {token}"} | ({} if origin is None else {"Origin": origin, "Sec-Fetch-Site": "cross-site"})  # fmt: skip
    async with aiohttp.ClientSession() as page:
        answer = await page.request(method, desk.url(path), headers=headers, **options)
        return answer.status, answer.headers, await answer.read()


@asynccontextmanager
async def followed(desk: Desk, token: str) -> AsyncIterator[Any]:
    """The lines that come."""
    headers = {"Authorization": f"Bearer {token}", "Origin": ORIGIN}
    async with aiohttp.ClientSession(read_bufsize=2**20) as page, page.get(desk.url(LIVE), headers=headers) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson")

        async def line() -> dict[str, Any]:
            async with asyncio.timeout(10):
                return dict(orjson.loads(await answer.content.readline()))

        yield line


@dataclass
class Crm:
    """A CRM's server: a page with a strict policy, and the token for its agent's element."""

    desk: Desk | None = None
    origin: str = ""
    asked: list[str] = field(default_factory=list)

    async def page(self, _: web.Request) -> web.Response:
        assert self.desk is not None
        there = self.desk.origin
        policy = f"default-src 'none'; script-src {there}; connect-src 'self' {there}; require-trusted-types-for 'script'; trusted-types 'none'"  # fmt: skip
        text = f"""<!doctype html><html lang="en"><title>CRM</title><main><h1>CRM</h1>
        <script type="module" src="{there}/element/caller-auth.js"></script>
        <caller-auth token-from="/token"></caller-auth></main>"""
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": policy})

    async def token(self, _: web.Request) -> web.Response:
        assert self.desk is not None
        status, told = await ask(self.desk)
        self.asked.append(str(status))
        return web.json_response(told, status=status)


@asynccontextmanager
async def crm_server() -> AsyncIterator[Crm]:
    made = Crm()
    app = web.Application()
    app.router.add_get("/", made.page)
    app.router.add_get("/token", made.token)
    app.router.add_get("/favicon.ico", _nothing)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.origin = f"http://localhost:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


async def _nothing(_: web.Request) -> web.Response:
    return web.Response(status=204)


# the root of the element is its own: no script of the page sees into it, so the test does as a person does
OPEN_ROOT = "Element.prototype.attachShadow = new Proxy(Element.prototype.attachShadow, {apply: (made, on, [how]) => made.call(on, {...how, mode: 'open'})});"  # fmt: skip
