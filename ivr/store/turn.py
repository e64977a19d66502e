"""What one process does at a time: whoever has the turn, as long as it renews it."""

from __future__ import annotations

import secrets

from ivr.errors import StoreError
from ivr.store.link import Link, Script

_TURN = Script("turn")
_GIVE = Script("drop_turn")


class Turn:
    """In Redis, for one run of a process. Every method raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, what: str, *, seconds: float) -> None:
        """`seconds`: how long it lasts when it is not renewed."""
        self._link = link
        self._key = f"{prefix}:turn:{what}"
        self._milliseconds = round(seconds * 1000)
        self._holder = secrets.token_urlsafe(12)

    async def mine(self) -> bool:
        """Whether it is ours from now on, for those seconds."""
        match await self._link.run(_TURN, [self._key], self._holder, self._milliseconds):
            case [b"mine"]:
                return True
            case [b"other"]:
                return False
            case _:
                raise StoreError(f"Redis gave an unknown answer to {_TURN.name}")

    async def give_back(self) -> None:
        """Let another one have it at once."""
        await self._link.run(_GIVE, [self._key], self._holder)
