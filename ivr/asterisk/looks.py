"""What one Asterisk answers of its bridges and channels when it is asked, by the manager interface (AMI): proof of what events tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic, time
from typing import Any, TypeVar

from ivr.asterisk.ami import Ami
from ivr.asterisk.switchboard import Seat, holds, seat_of
from ivr.asterisk.wire import Message
from ivr.errors import AmiError

# So old a proof may be, in seconds; and so old where it was asked for now: an answer that was under way for long is of that
# long ago.
_FRESH = 1.0
_PATIENCE = 1.0
# What is kept of bridges that nobody asks for any more.
_MOST = 10_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Look:
    """What Asterisk says of a bridge itself; empty where it joins nobody, or is not there."""

    seats: tuple[Seat, ...]

    @property
    def members(self) -> frozenset[tuple[str, str]]:
        """Their channels, with their names."""
        return frozenset((seat.channel, seat.name) for seat in self.seats)


class Looks:
    """Each is young enough, and those who ask at once share it. All of them raise `AmiError`."""

    def __init__(self, ami: Ami) -> None:
        self._ami = ami
        # when it was asked for (monotonic seconds), and what was answered
        self._found: dict[str, tuple[float, Any]] = {}
        self._asked: dict[str, asyncio.Task[Any]] = {}

    async def at(self, bridge: str) -> Look:
        """What the bridge is now."""
        return await self._fresh(bridge, lambda: self._look_at(bridge))

    def known_at(self, bridge: str) -> Look | None:
        """The same where nobody need be asked; None where it is older."""
        found: Look | None = self._young(bridge, _FRESH)
        return found

    async def channels_of(self, endpoint: str) -> tuple[str, ...]:
        """The names of this endpoint's channels, whatever they are doing."""
        return await self._fresh(_key(endpoint), lambda: self._named(endpoint))

    def known_of(self, endpoint: str) -> tuple[str, ...] | None:
        """The same where nobody need be asked; None where it is older."""
        found: tuple[str, ...] | None = self._young(_key(endpoint), _FRESH)
        return found

    async def bridge_of(self, name: str) -> str:
        """The bridge of the channel of this name; empty where it is in none, or is not there."""
        try:
            answer = await self._told_of("Status", Channel=name)
        except AmiError as error:
            if not error.refused or error.status == "Permission denied":
                raise
            return ""
        told = [message["BridgeID"] for message in answer if message.get("Channel") == name and "BridgeID" in message]
        if len(told) != 1:
            raise AmiError("Status", "no answer to what was asked")
        return told[0]

    def forget(self, bridge: str) -> None:
        """It is another one by now."""
        self._found.pop(bridge, None)

    def forget_all(self) -> None:
        """What happens while nobody listens is not known."""
        self._found.clear()

    async def close(self) -> None:
        """Ask for nothing more."""
        left = [*self._asked.values()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # ------------------------------------------------------------ asking

    async def _look_at(self, bridge: str) -> Look:
        try:
            answer = await self._told_of("BridgeInfo", BridgeUniqueid=bridge)
        except AmiError as error:
            if not error.refused or error.status == "Permission denied":
                raise
            answer = []
        seats = [seat_of(message, bridge, time()) for message in answer]
        held = any(holds(message) for message in answer)
        return Look(() if held else tuple(seat for seat in seats if seat is not None))

    async def _named(self, endpoint: str) -> tuple[str, ...]:
        # Asterisk compares as they are written; upper and lower case are the same phone
        pattern = "".join(_either(letter) for letter in endpoint)
        answer = await self._told_of("Getvar", Variable=f"CHANNELS(^{pattern}-[^-]*$)")
        return tuple(answer[0].get("Value", "").split())

    async def _told_of(self, action: str, **fields: str) -> list[Message]:
        """The answer, if nothing came with it that a caller may have written: part of the answer would be missing."""
        forged = self._ami.forged
        answer = await self._ami.action(action, **fields)
        if self._ami.forged != forged:
            raise AmiError(action, "a caller has written into the answer")
        return answer

    async def _fresh(self, key: str, ask: Callable[[], Awaitable[T]]) -> T:
        limit = _FRESH
        while True:
            known: T | None = self._young(key, limit)
            if known is not None:
                return known
            asking = self._asked.get(key)
            # of one that has ended nobody may have been told yet: to wait for it would be to wait for nothing, for ever
            if asking is None or asking.done():
                asking = self._asked[key] = asyncio.ensure_future(self._answered(key, ask))
                asking.add_done_callback(lambda done: self._ended(key, done))
            # of one key all ask the same, and one who goes does not take it from the others
            await asyncio.shield(asking)
            limit = _PATIENCE

    def _young(self, key: str, limit: float) -> Any:
        asked, found = self._found.get(key, (float("-inf"), None))
        return found if monotonic() - asked <= limit else None

    async def _answered(self, key: str, ask: Callable[[], Awaitable[object]]) -> None:
        asked = monotonic()
        found = await ask()
        if len(self._found) > _MOST:
            self._found.clear()
        self._found[key] = asked, found

    def _ended(self, key: str, done: asyncio.Task[Any]) -> None:
        if self._asked.get(key) is done:
            del self._asked[key]
        if not done.cancelled():
            # whoever asked may have gone
            done.exception()


def _key(endpoint: str) -> str:
    # no bridge's id ends so
    return f"{endpoint.casefold()}-"


def _either(letter: str) -> str:
    """A regular expression (POSIX) for this letter, upper or lower case."""
    if letter.isalpha() and letter.isascii():
        return f"[{letter.upper()}{letter.lower()}]"
    return letter if letter.isalnum() or letter in "/_-" else f"\\{letter}"
