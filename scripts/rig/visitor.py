"""Somebody who signs in at the desk by its own pages, with a password and an authenticator app; and a link that hands that browser over once.

For demo and bench. The desk knows nothing of such links: what answers here is a server of the rig, on this machine alone, that has signed in like anybody else.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import Morsel

import aiohttp
from aiohttp import web

from rig.ports import HOST
from rig.state import RigError
from rig.totp import App


@dataclass
class Visitor:
    """One person. `enrol` first."""

    url: str
    login: str
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    key: str = field(default="", repr=False)
    _app: App | None = field(default=None, repr=False)

    async def enrol(self, link: str) -> None:
        """Use the one-time link of `agent add`, as its page asks for."""
        async with _browser() as browser:
            page, cookies = await _page(browser, link)
            self.key = _found(r'<code class="key">([A-Z2-7]+)</code>', page)
            self._app = App(self.key)
            given = {name: _field(name, page) for name in ("csrf", "sealed")}
            given |= {"password": self.password, "again": self.password, "code": await self._app.code()}
            await self._post(browser, link, given, cookies, "/sign-in?welcome_done")

    async def sign_in(self) -> str:
        """By the page; the cookie that belongs into a browser, as a Set-Cookie header."""
        assert self._app is not None
        async with _browser() as browser:
            page, cookies = await _page(browser, f"{self.url}/sign-in")
            given = {
                "csrf": _field("csrf", page),
                "login": self.login,
                "password": self.password,
                "code": await self._app.code(),
            }
            cookie = await self._post(browser, f"{self.url}/sign-in", given, cookies, "/")
            if cookie is None:
                raise RigError(f"{self.login} was signed in without a cookie")
            return cookie.OutputString()

    async def _post(
        self, browser: aiohttp.ClientSession, url: str, given: dict[str, str], cookies: str, led_to: str
    ) -> Morsel[str] | None:
        headers = {"Origin": self.url, "Cookie": cookies}
        async with browser.post(url, data=given, headers=headers, allow_redirects=False) as answer:
            if answer.headers.get("Location") != led_to:
                raise RigError(f"{self.login} was not let in at {url.partition('/welcome')[0]}: status {answer.status}")
            return next((one for one in answer.cookies.values() if one.key.endswith("desk")), None)


@dataclass
class Handing:
    """Links that hand over a browser that is signed in, each once."""

    address: str
    _waiting: dict[str, Visitor] = field(default_factory=dict)

    def link(self, visitor: Visitor) -> str:
        """A new one."""
        token = secrets.token_urlsafe(16)
        self._waiting[token] = visitor
        return f"{self.address}/{token}"

    async def answer(self, request: web.Request) -> web.Response:
        """To whoever opens one."""
        visitor = self._waiting.pop(request.match_info["token"], None)
        if visitor is None:
            raise web.HTTPNotFound(text="This link was used, or is none. Sign in with user name, password and code.\n")
        # cookies know no ports: what is set here is sent to the desk
        try:
            cookie = await visitor.sign_in()
        except RigError as error:
            self._waiting[request.match_info["token"]] = visitor
            raise web.HTTPServiceUnavailable(text=f"{error}. Try again.\n") from None
        headers = {"Location": f"{visitor.url}/", "Set-Cookie": cookie, "Cache-Control": "no-store"}
        return web.Response(status=303, headers=headers)


@asynccontextmanager
async def handing(port: int) -> AsyncIterator[Handing]:
    """Serve such links at this port of this machine."""
    made = Handing(f"http://{HOST}:{port}")
    app = web.Application()
    # not `add_get`: whoever only looks (HEAD) uses none up
    app.router.add_route("GET", "/{token}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield made
    finally:
        await runner.cleanup()


def _browser() -> aiohttp.ClientSession:
    # cookies that are `Secure` go to this machine by HTTP too, as browsers do it, and aiohttp's own jar does not
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())


async def _page(browser: aiohttp.ClientSession, url: str) -> tuple[str, str]:
    """A page, and the cookies that it has set."""
    async with browser.get(url) as answer:
        return await answer.text(), "; ".join(f"{one.key}={one.value}" for one in answer.cookies.values())


def _field(name: str, page: str) -> str:
    return _found(rf'name="{name}" value="([^"]+)"', page)


def _found(pattern: str, page: str) -> str:
    found = re.search(pattern, page)
    if found is None:
        raise RigError(f"a page of the desk has no {pattern}")
    return found[1]
