"""Letters of other organisations in Redis, each until its code is keyed on a call."""

from __future__ import annotations

from enum import StrEnum

from ivr.errors import StoreError
from ivr.secret import Secret
from ivr.store.link import Link, Script
from ivr.vault import Index

_KEEP = Script("keep_letter")
_TAKE = Script("take_letter")

# Letters of one sender that wait at once: a code that is keyed wrong meets one of these, at worst, once in 5,000 times.
_MOST = 200
# Codes that may be keyed on one call, and seconds after which a call that still lasts has as many again.
_TRIES = 5
_TRIES_SECONDS = 3600


class Kept(StrEnum):
    """What became of a letter that came."""

    KEPT = "kept"
    THERE = "there"
    """Another one waits with the same code."""
    MANY = "many"
    """Too many of this sender have come."""


class Over:
    """So many wrong codes were keyed on this call that none is looked at any more."""


class LetterBox:
    """Found by their codes, of which Redis has a keyed hash alone. Every method is one round trip and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, index: Index) -> None:
        self._link = link
        self._prefix = f"{prefix}:peers"
        self._index = index

    async def keep(self, sender: str, code: Secret, holds: bytes, *, seconds: int) -> Kept:
        """Until somebody takes it, or for so many seconds."""
        keys = [self._letter(code), f"{self._prefix}:of:{sender}"]
        match await self._link.run(_KEEP, keys, holds, seconds * 1000, _MOST):
            case [bytes(word)] if word in _KEPT:
                return _KEPT[word]
            case _:
                raise StoreError(f"Redis gave an unknown answer to {_KEEP.name}")

    async def take(self, node: str, channel: str, code: Secret) -> bytes | Over | None:
        """What the letter with this code holds, to the first who asks; None where there is none. Counts as a try of this call."""
        keys = [self._letter(code), f"{self._prefix}:tries:{node}:{channel}"]
        match await self._link.run(_TAKE, keys, _TRIES, _TRIES_SECONDS * 1000):
            case [b"taken", bytes(holds)]:
                return holds
            case [b"none"]:
                return None
            case [b"over"]:
                return Over()
            case _:
                raise StoreError(f"Redis gave an unknown answer to {_TAKE.name}")

    def _letter(self, code: Secret) -> str:
        return f"{self._prefix}:letter:{self._index.letter(code)}"


_KEPT = {one.value.encode(): one for one in Kept}
