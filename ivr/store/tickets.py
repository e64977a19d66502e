"""What is good once, and for minutes, in Redis: a challenge that a passkey answers, a sign-in that is under way elsewhere."""

from __future__ import annotations

import hashlib

from ivr.errors import StoreError
from ivr.store.link import Link, Script

_KEEP = Script("keep_ticket")
_TAKE = Script("take_ticket")


class Tickets:
    """Found by their text, of which Redis has the SHA-256 alone. Every method is one round trip and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    async def keep(
        self, kind: str, tenant: str, bound: bytes, text: bytes, *, seconds: int, holds: bytes = b""
    ) -> None:
        """Good for whoever is `bound` to it and has the text; gives back what it `holds`."""
        await self._link.run(_KEEP, [self._key(kind, tenant, bound, text)], holds, seconds * 1000)

    async def take(self, kind: str, tenant: str, bound: bytes, text: bytes) -> bytes | None:
        """What it holds, to the first who asks; None where there is none, or no longer, or it is another's."""
        match await self._link.run(_TAKE, [self._key(kind, tenant, bound, text)]):
            case [b"taken", bytes(holds)]:
                return holds
            case [b"none"]:
                return None
            case _:
                raise StoreError(f"Redis gave an unknown answer to {_TAKE.name}")

    def _key(self, kind: str, tenant: str, bound: bytes, text: bytes) -> str:
        both = b"".join(hashlib.sha256(part).digest() for part in (bound, text))
        return f"{self._prefix}:ticket:{kind}:{tenant}:{hashlib.sha256(both).hexdigest()}"
