"""Calls that Asterisk offers to every worker (`StasisBroadcast`): whoever claims one first has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.leg import GONE
from ivr.errors import AriError

OFFER = ("offer",)
"""What the dialplan gives to `StasisBroadcast()`: how a call that was claimed comes in."""

# A worker that cannot serve a call as it should lets the others go first: they claim within milliseconds. Far below the
# time for which the dialplan waits.
_LATER_SECONDS = 0.3

Spawn = Callable[[Coroutine[object, object, None]], object]


class Offers:
    """Of one application. A call that was claimed goes to its extension in the dialplan, and from there into the application:

    so it stands there as any other, and any worker can take it up.
    """

    def __init__(
        self,
        ari: Ari,
        *,
        ours: Callable[[], bool],
        eager: Callable[[], bool],
        spawn: Spawn,
        log: FilteringBoundLogger,
    ) -> None:
        """`ours`: whether this is the application that the worker claims for; `eager`: whether a call would be served as it should."""
        self._ari = ari
        self._ours = ours
        self._eager = eager
        self._spawn = spawn
        self._log = log
        self._closed = False

    def close(self) -> None:
        """Claim nothing more."""
        self._closed = True

    def offered(self, channel: str) -> None:
        """Claim it, now or after the others had their chance."""
        if self._closed or not self._ours():
            return
        self._spawn(self._claim(channel, 0.0 if self._eager() else _LATER_SECONDS))

    def won(self, channel: str) -> None:
        """It has come in: send it into the application, or offer it anew where this worker goes."""
        self._spawn(self._take(channel))

    async def _claim(self, channel: str, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds)
            if self._closed:
                return
        try:
            # how it is answered is no matter: who has it is told so by the call
            await self._ari.request(
                "POST",
                "events/claim",
                {"channelId": channel, "application": self._ari.app},
                quick=True,
                channel=channel,
            )
        except AriError as error:
            # 404: too late; 409: another worker has it
            if error.status not in (404, 409):
                self._log.error("offer.failed", channel=channel, error=str(error))

    async def _take(self, channel: str) -> None:
        if self._closed:
            goal = {"extension": "s", "label": "offer"}
        else:
            goal = {"extension": f"seat-{self._ari.app}", "label": "1"}
        try:
            # Not `quick`: that may be done twice, and would take the call out of the application again.
            await self._ari.request("POST", f"channels/{channel}/continue", {**goal}, channel=channel)
        except AriError as error:
            # else Asterisk takes it back when its time is up, and offers it anew
            if error.status not in GONE:
                self._log.error("offer.failed", channel=channel, error=str(error))
