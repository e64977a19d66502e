"""Whether Asterisk tells an application anything: a websocket may stay open on which nothing comes any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import chain, repeat
from typing import Literal, Protocol

from structlog.typing import FilteringBoundLogger

from ivr.errors import AriError

# When it is looked, behind connecting, in seconds; the last one is repeated.
_CHECKS = (0.2, 1.0, 5.0)
# What Asterisk is asked to tell; AMI is not told of it.
_ALIVE = "TillitAlive"


class Asked(Protocol):
    """Who asks on behalf of the application."""

    app: str

    async def request(self, method: Literal["POST"], path: str) -> object: ...


class Vigil:
    """`watch` while there is a connection, and hand `echo` what comes on it."""

    def __init__(self, ari: Asked, *, seconds: float, log: FilteringBoundLogger) -> None:
        """`seconds`: how long what was asked for may take to come."""
        self._ari = ari
        self._seconds = seconds
        self._log = log
        self._told = asyncio.Event()
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """What should have been told was not: look now."""
        self._doubted.set()

    def echo(self, name: str) -> None:
        """A user event has come."""
        if name == _ALIVE:
            self._told.set()

    async def watch(self, drop: Callable[[], None]) -> None:
        """Drop a websocket that stays open although Asterisk tells it nothing any more.

        When the end of the connection before is noticed behind the beginning of this one, as it is by an Asterisk that
        hung, the application is forgotten, or counts as one without a connection as long as calls are in it. They would
        hear nothing more, new ones would fail, and nothing would tell.
        """
        try:
            for seconds in chain(_CHECKS, repeat(_CHECKS[-1])):
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._doubted.wait()
                self._doubted.clear()
                if not await self._heeded():
                    self._log.warning("ari.forgotten", app=self._ari.app)
                    drop()
        except Exception as error:  # noqa: BLE001  # whatever it is: not unwatched
            # the text of an error that nobody expected may hold anything
            self._log.error("task.failed", error=type(error).__name__, code="check")
            drop()

    async def _heeded(self) -> bool:
        """Whether what the application should be told of reaches it; yes where Asterisk says nothing at all."""
        self._told.clear()
        try:
            await self._ari.request("POST", f"events/user/{_ALIVE}?application={self._ari.app}")
        except AriError as error:
            return error.status != 404
        try:
            async with asyncio.timeout(self._seconds):
                await self._told.wait()
        except TimeoutError:
            return False
        return True
