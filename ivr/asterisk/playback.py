"""What is played to a caller, under names that the next worker can tell."""

from __future__ import annotations

import asyncio

# Prompts are played one after another: each of these is free again when its turn comes.
_NAMES = 4


class Playback:
    """What is being played; `wanted` until it is hushed. `twice`: it may have been asked for twice."""

    __slots__ = ("id", "over", "twice", "wanted")

    def __init__(self, id: str) -> None:
        self.id = id
        self.wanted = True
        self.twice = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Names:
    """Those of one channel's playbacks, of the worker that was the so-many-th to take the call up."""

    def __init__(self, channel: str, taken: int) -> None:
        self._channel = channel
        self._taken = taken
        self._count = 0

    def next(self) -> str:
        """A name that none bears that is still there."""
        self._count = (self._count + 1) % _NAMES
        return f"{self._channel}-{self._taken}-{self._count}"

    def before(self) -> list[str]:
        """Those of the worker before. Asterisk lists no playbacks, and ends one only by its name."""
        return [f"{self._channel}-{self._taken - 1}-{count}" for count in range(_NAMES)]
