"""Drops marks whose call is over, or was taken back, and records of calls that have ended, where a part was down at their end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlencode

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.call.mark import STATUS
from ivr.call.outcome import Status
from ivr.errors import AriError, Unavailable

# A round costs two requests to Redis, and one or two to Asterisk for each mark that is not of a call of this worker.
_EVERY_SECONDS = 10.0

Marked = Callable[[], Awaitable[Collection[str]]]
"""The channels of this Asterisk that have a mark."""
Disown = Callable[[str], Awaitable[bool]]
"""Drops a channel's mark; whether there was one."""
Settle = Callable[[], Awaitable[None]]
"""Removes the records that could not be removed when their calls ended."""
LeftOver = Callable[[], Awaitable[None]]
"""Ends calls in the audit trail that are recorded, that nobody runs, and that are over."""


class Sweep:
    """Looks after the marks that no call of this worker looks after."""

    def __init__(
        self,
        ari: Ari,
        *,
        ours: Callable[[], Collection[str]],
        marked: Marked,
        disown: Disown,
        settle: Settle,
        left_over: LeftOver,
        log: FilteringBoundLogger,
    ) -> None:
        """`ours` are the channels of this worker's calls; they drop their marks themselves."""
        self._ari = ari
        self._ours = ours
        self._marked = marked
        self._disown = disown
        self._settle = settle
        self._left_over = left_over
        self._log = log

    async def run(self) -> None:
        """Sweep for ever, now and every ten seconds."""
        while True:
            try:
                await self._round()
            except Unavailable as error:
                # the next round may do it, and the marks have an end of their own
                self._log.error("sweep.failed", error=str(error))
            await asyncio.sleep(_EVERY_SECONDS)

    async def _round(self) -> None:
        await self._settle()
        await self._left_over()
        # asked in this order, a mark is seen before its channel can be seen to be gone
        marked = await self._marked()
        for channel in sorted(set(marked) - set(self._ours())):
            if await self._is_over(channel) and await self._disown(channel):
                self._log.warning("mark.swept", channel=channel)

    async def _is_over(self, channel: str) -> bool:
        """Whether the call is gone, or in the dialplan as one that is not verified."""
        try:
            match await self._ari.request("GET", f"channels/{channel}", channel=channel):
                case {"dialplan": {"app_name": "Stasis"}}:
                    # some worker is about it
                    return False
                case _:
                    pass
        except AriError as error:
            if error.status != 404:
                raise
            return True
        return not await is_verified(self._ari, channel)


async def is_verified(ari: Ari, channel: str) -> bool:
    """Whether the dialplan was told that this caller is verified; not where the channel is gone. Raises `AriError`."""
    query = urlencode({"variable": STATUS})
    try:
        answer = await ari.request("GET", f"channels/{channel}/variable?{query}", channel=channel)
    except AriError as error:
        # no such channel, or no such variable
        if error.status != 404:
            raise
        return False
    return answer == {"value": Status.VERIFIED.value}
