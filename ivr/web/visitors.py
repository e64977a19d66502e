"""Who comes, before anything is known of them: from where, and how often that is worth a line."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic

from aiohttp import web


class Sparing:
    """A line in so many seconds: a flood must not fill the disk."""

    SECONDS = 10.0

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def may(self, what: str) -> bool:
        """Whether it may be said again."""
        now = monotonic()
        if now - self._said.get(what, float("-inf")) < self.SECONDS:
            return False
        self._said[what] = now
        return True


def told_address(request: web.BaseRequest, proxies: Iterable[object]) -> str:
    """Where a request comes from: what one of these proxies says, from the nearest on, as far as they are ours."""
    trusted = {str(proxy) for proxy in proxies}
    told = [part.strip() for part in ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")]
    address = request.remote or ""
    while address in trusted and told:
        address = told.pop() or address
    return address[:45]
