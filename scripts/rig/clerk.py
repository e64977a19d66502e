"""Somebody who works at the desk as its page does: presses by its API, and is told of each change."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from rig.state import RigError
from rig.visitor import Visitor

_LIMIT = 20.0


@dataclass
class Clerk:
    """One person with one call. `show` gets each title as the page would show it; the phrase stands behind that of a proof."""

    url: str
    browser: aiohttp.ClientSession
    headers: dict[str, str] = field(repr=False)
    show: Callable[[str], None]
    call: dict[str, Any] = field(default_factory=dict)
    """As the page has it; empty where there is none."""
    _shown: list[str] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def press(self, method: str, path: str, given: dict[str, Any]) -> dict[str, Any]:
        """One of the page's buttons; the answer. RigError where the desk refuses."""
        async with self.browser.request(
            method, f"{self.url}/api/v1/{path}", json=given, headers=self.headers
        ) as answer:
            told: dict[str, Any] = await answer.json()
            if not answer.ok:
                raise RigError(f"the desk refuses {method} {path.partition('/')[0]}: {told['detail']}")
            return told

    async def record(self, ref: str) -> tuple[int, dict[str, Any]]:
        """What the desk answers to whoever wants to read that customer's record: status, and what it gives."""
        async with self.browser.get(f"{self.url}/api/v1/customers/{ref}/record", headers=self.headers) as answer:
            return answer.status, await answer.json()

    async def sees(self, title: str) -> None:
        """Wait until the page has shown this title; those before it are used up."""
        try:
            async with asyncio.timeout(_LIMIT):
                while title not in self._shown:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(
                f"waited {_LIMIT:g} s in vain for the desk to show “{title}”; it has shown {self._shown}"
            ) from None
        del self._shown[: self._shown.index(title) + 1]

    async def follow(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take what the page is told, until it ends."""
        titles: dict[str, str] = {}
        async for message in socket:
            view = message.json()
            self.call = next(iter(view["calls"]), {})
            proof = self.call.get("proof", {})
            now = {
                "dial": view.get("dial", {}).get("title", ""),
                "call": self.call.get("title", ""),
                "proof": proof.get("title", ""),
            }
            for part, title in now.items():
                if title and title != titles.get(part):
                    # what is there again, as it was before, is no news
                    titles[part] = title
                    self._shown.append(title)
                    self.show(title)
            self._news.set()


@asynccontextmanager
async def at_work(visitor: Visitor, show: Callable[[str], None]) -> AsyncIterator[Clerk]:
    """Signed in, with the page open, until the block is left."""
    cookie = (await visitor.sign_in()).partition(";")[0]
    headers = {"Cookie": cookie, "Origin": visitor.url}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
        async with browser.get(f"{visitor.url}/", headers=headers) as answer:
            csrf = re.search(r'data-csrf="([^"]+)"', await answer.text())
        if csrf is None:
            raise RigError(f"{visitor.login} sees no calls at the desk")
        clerk = Clerk(visitor.url, browser, {**headers, "CSRF-Token": csrf[1]}, show)
        async with browser.ws_connect(f"{visitor.url}/live", headers=headers) as socket:
            following = asyncio.create_task(clerk.follow(socket))
            try:
                yield clerk
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
