"""Our own document for other organisations, signed anew as long as a desk runs: whoever asks for it asks the public page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time

from structlog.typing import FilteringBoundLogger

from ivr.config import Settings
from ivr.errors import StoreError
from ivr.peers import wellknown
from ivr.peers.keys import OwnKeys, led_to
from ivr.store.bulletin import Bulletin

# Seconds between two: a Redis that has lost it has it again soon.
_AGAIN = 300.0
# Seconds to wait behind a failure of Redis.
_WAIT = 5.0
# Of as many desks as start at once; whatever changes it without end is no desk.
_TRIES = 5


class Publisher:
    """Any number of desks may: the one with the latest key has the say."""

    def __init__(
        self, settings: Settings, own: OwnKeys, bulletin: Bulletin, log: FilteringBoundLogger, *,
        wall: Callable[[], float] = time,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._own = own
        self._bulletin = bulletin
        self._log = log
        self._wall = wall
        self._trouble = ""

    @property
    def key(self) -> str:
        """The identifier of the key that signs it."""
        return self._own.key.id

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                for _ in range(_TRIES):
                    if await self.publish():
                        break
                self._trouble, seconds = "", _AGAIN
            except StoreError as error:
                seconds = _WAIT
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    self._log.error("peer.unpublished", error=self._trouble)
            await asyncio.sleep(seconds)

    async def publish(self) -> bool:
        """Write it; False where another desk did so meanwhile. Raises `StoreError`.

        Where what stands there is signed by a key that has followed ours, it is left alone: others would be told of a change.
        """
        there, now = await self._bulletin.read(), self._wall()
        if there is not None and self._is_newer(there, now):
            self._log.warning("peer.older_key", key=self.key)
            return True
        document = wellknown.document(self._settings, self._own, now)
        return await self._bulletin.write(document, there, seconds=wellknown.LIFE)

    def _is_newer(self, there: bytes, now: float) -> bool:
        domain = self._settings.peers.domain
        assert domain is not None
        found = wellknown.read(there, domain, now)
        if isinstance(found, str):
            # of a domain that we had before, or nothing of ours
            return False
        theirs, ours = found.key["kid"], self._own.key.id
        return theirs != ours and led_to(self._own.key.public, found.succession, domain) == theirs
