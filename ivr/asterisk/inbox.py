"""What has happened on a channel and has not been received yet: keys, the end of a prompt, errors."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from time import monotonic

from ivr.asterisk.presses import Presses
from ivr.call.ports import Key, Played
from ivr.errors import Interrupted
from ivr.secret import Secret

# Far more than anybody keys ahead; what a storm of tones sends beyond that is dropped.
_MOST = 64


class Inbox:
    """One call's. Everything but `receive` is for the reader of events too, and does not wait."""

    def __init__(self) -> None:
        self._items: deque[Key | Played] = deque()
        self._errors: deque[Exception] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._presses = Presses()
        self.offline = False

    def key(self, digit: Secret, at: float | None = None) -> None:
        """A key was pressed. `at`: by Asterisk's clock, in seconds; what it tells of a second time is dropped."""
        if self._presses.count(digit, at) and len(self._items) < _MOST:
            self._items.append(Key(digit, monotonic()))
            self._wake()

    def played(self) -> None:
        """What was played is over."""
        self._items.append(Played())
        self._wake()

    def interrupt(self, error: Exception) -> None:
        """Make `receive` raise this. Of several gaps in the events only one is told of."""
        if isinstance(error, Interrupted) and any(isinstance(known, Interrupted) for known in self._errors):
            return
        self._errors.append(error)
        self._wake()

    async def receive(self, until: float | None) -> Key | Played | None:
        """The next; None at `until` (monotonic seconds), but not while events may be on their way that are lost."""
        while True:
            if self._errors:
                raise self._errors.popleft()
            if self._items:
                return self._items.popleft()
            left = None if until is None or self.offline else until - monotonic()
            if left is not None and left <= 0:
                return None
            await self._happening(left)

    def drop_keys(self) -> None:
        """Forget the keys."""
        self._items = deque(item for item in self._items if not isinstance(item, Key))

    def drop_played(self) -> None:
        """Forget the end of what was played."""
        self._items = deque(item for item in self._items if isinstance(item, Key))

    def push_back(self, keys: Sequence[Key]) -> None:
        """Put keys back, before all else; of a storm of them the first."""
        self._items.extendleft(reversed(keys[: max(0, _MOST - len(self._items))]))

    async def _happening(self, seconds: float | None) -> None:
        """Return when something may have happened, or after so many seconds."""
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, resolve, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None:
            resolve(self._waiter)


def resolve(future: asyncio.Future[None]) -> None:
    """Let whoever awaits this future go on."""
    if not future.done():
        future.set_result(None)
