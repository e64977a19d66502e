"""Somebody at a browser who signs in at the desk, and goes on to the proxy: for bench and tests."""

from __future__ import annotations

import re
import secrets
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from rig.state import RigError
from rig.totp import App


class _Jar(aiohttp.CookieJar):
    """Sends cookies that are `Secure` to this machine by HTTP too, as browsers do."""

    def filter_cookies(self, request_url: URL = URL()) -> Any:  # noqa: B008 (as the library has it)
        return super().filter_cookies(request_url.with_scheme("https"))


class Guest:
    """A context manager. `link` is what `agent add` printed."""

    def __init__(self, desk: str, proxy: str, link: str, login: str) -> None:
        self.desk = desk
        self.proxy = proxy
        self._link = link
        self._login = login
        self._password = secrets.token_urlsafe(18)

    async def __aenter__(self) -> Self:
        self.browser = aiohttp.ClientSession(cookie_jar=_Jar(unsafe=True), auto_decompress=False)
        try:
            await self._enrol()
            await self.cross()
        except BaseException:
            await self.browser.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.browser.close()

    async def get(self, path: str, **options: Any) -> tuple[int, bytes]:
        """By the proxy: status and body."""
        return await self.send("GET", path, **options)

    async def send(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        """As a page of the CRM does it."""
        headers = {
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "cors",
            "Origin": self.proxy,
            **options.pop("headers", {}),
        }
        url = URL(self.proxy + path, encoded=True)
        async with self.browser.request(method, url, headers=headers, allow_redirects=False, **options) as answer:
            return answer.status, await answer.read()

    async def cross(self) -> None:
        """Open the CRM, and be brought there by way of the desk."""
        url = URL(f"{self.proxy}/assets/first.css")
        for _ in range(6):
            headers = {"Accept": "text/html"}
            async with self.browser.get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status == 200:
                    return
                if answer.status != 303:
                    raise RigError(f"{url.path} answers {answer.status}, and no way to the CRM: {await answer.text()}")
                url = url.join(URL(answer.headers["Location"], encoded=True))
        raise RigError("the way to the CRM goes round and round")

    async def sign_out(self) -> None:
        """At the desk; the proxy is not told."""
        page = await self._page(f"{self.desk}/")
        await self._post(f"{self.desk}/sign-out", {"csrf": _field("csrf", page)})

    async def _enrol(self) -> None:
        page = await self._page(self._link)
        app = App(_found(r'<code class="key">([A-Z2-7]+)</code>', page))
        given = {
            "csrf": _field("csrf", page),
            "sealed": _field("sealed", page),
            "password": self._password,
            "again": self._password,
        }
        await self._post(self._link, {**given, "code": await app.code()})
        page = await self._page(f"{self.desk}/sign-in")
        signing = {"csrf": _field("csrf", page), "login": self._login, "password": self._password}
        await self._post(f"{self.desk}/sign-in", {**signing, "code": await app.code()})

    async def _page(self, url: str) -> str:
        async with self.browser.get(url) as answer:
            return await answer.text()

    async def _post(self, url: str, given: dict[str, str]) -> None:
        headers = {"Origin": self.desk}
        async with self.browser.post(url, data=given, headers=headers, allow_redirects=False) as answer:
            if answer.status != 303:
                raise RigError(f"{URL(url).path} answers {answer.status}")


def _found(pattern: str, page: str) -> str:
    found = re.search(pattern, page)
    if found is None:
        raise RigError(f"a page has no {pattern}")
    return found[1]


def _field(name: str, page: str) -> str:
    return _found(rf'name="{name}" value="([^"]+)"', page)
