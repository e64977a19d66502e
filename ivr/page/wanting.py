"""Passes on what people want, and waits a moment for what comes of it."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ivr.store.introduction import Wish
from ivr.store.wishes import PageWishes
from ivr.web.problems import Problem

# Seconds that an answer is waited for, and between two looks for it; behind them the page renews itself.
_PATIENCE, _LOOK = 4.0, 0.05


async def wanted(store: PageWishes, wish: Wish) -> None:
    """Raises `Problem` where nobody takes what people want."""
    if not await store.want(wish):
        raise Problem("unavailable")
    try:
        async with asyncio.timeout(_PATIENCE):
            while not await store.done(wish):
                await asyncio.sleep(_LOOK)
    except TimeoutError:
        # it may be done yet: the next page shows it
        return


def sent_from_here(request: web.BaseRequest) -> None:
    """Raises `Problem` for a form of another site's page, as far as the browser says."""
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Problem("cross_site")
