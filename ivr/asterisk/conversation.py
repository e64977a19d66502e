"""A conversation that another worker began: nobody cuts it, and it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from structlog.typing import FilteringBoundLogger

from ivr.asterisk.ari import Ari
from ivr.asterisk.parted import is_parted
from ivr.errors import AriError


class Conversation:
    """A bridge of ours with a caller and an agent in it, found after its worker had died."""

    def __init__(self, ari: Ari, bridge: str, channels: set[str], log: FilteringBoundLogger) -> None:
        self.channels = channels
        self._ari = ari
        self._bridge = bridge
        self._log = log

    async def end(self) -> None:
        """One of them has left: the others are hung up, unless they are parted for a while, and the bridge goes."""
        for channel in sorted(self.channels):
            with self._tried():
                if not await is_parted(self._ari, channel):
                    await self._ari.request("DELETE", f"channels/{channel}")
        with self._tried():
            await self._ari.request("DELETE", f"bridges/{self._bridge}")
        self._log.info("conversation.ended", bridge=self._bridge)

    @contextmanager
    def _tried(self) -> Iterator[None]:
        try:
            yield
        except AriError as error:
            if error.status != 404:
                self._log.error("conversation.left", bridge=self._bridge, error=str(error))
