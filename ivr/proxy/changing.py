"""A change on its way to the CRM: whether it may have been made, and what is said where nobody knows that."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ivr.lock import Denied, Matter, Reason
from ivr.proxy.upstream import GoOn
from ivr.web.problems import Problem

# What goes wrong at the CRM, or between it and here.
_OF_UPSTREAM = frozenset({"upstream_away", "upstream_slow", "upstream_unreadable", "upgrade"})


class Change:
    """An async context manager around the asking and the giving out. What goes wrong behind `go_on` is not said in words that bid
    to try again, and the trail is told of it."""

    def __init__(
        self, request: web.BaseRequest, may: GoOn, matter: Matter | None, pattern: str, log: FilteringBoundLogger
    ) -> None:
        """`may` raises where it may not go on; `matter`: None where it is about no customer."""
        self._request = request
        self._may = may
        self._matter = matter
        self._pattern = pattern
        self._log = log
        self._passed_on = False
        self._answered = False

    async def go_on(self) -> None:
        """In the last moment. From then on it may be made."""
        await self._may()
        self._passed_on = True

    def answered(self, status: int) -> None:
        """The CRM has said this to it."""
        self._answered = True
        if self._matter is not None:
            self._matter.answered(status)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._passed_on or (error is None and self._request.transport is not None):
            return
        if isinstance(error, Problem) and error.name not in _OF_UPSTREAM:
            # the lock's, which has told the trail; or of what the client sends, of which the CRM has not the whole
            return
        if self._matter is not None:
            if not self._answered:
                self._matter.answered(None)
            await self._matter.withhold(Denied(Reason.UNAVAILABLE))
        if error is None or isinstance(error, (ConnectionError, asyncio.CancelledError)):
            # the client is gone, or this process goes
            return
        if not isinstance(error, Problem):
            self._log.error(
                "proxy.failed", error=type(error).__name__, pattern=self._pattern, cure="please report this line"
            )
        why = error.name if isinstance(error, Problem) else "internal"
        raise passed_on("unshown" if self._answered else "unanswered", why) from None


def passed_on(name: str, why: str) -> Problem:
    """Whoever is told that it is refused, or went wrong, takes a change for one that was not made."""
    return Problem(name, errors=((why, "is why its answer is not shown"),))
