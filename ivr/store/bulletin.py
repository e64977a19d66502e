"""What our domain publishes for other organisations: signed and written by a desk, handed out by the public page, which has no key."""

from __future__ import annotations

from ivr.errors import StoreError
from ivr.store.link import Link, Script

_PUBLISH = Script("publish")


class Bulletin:
    """Both ends of it. Every method is one round trip and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._key = f"{prefix}:page:wellknown"

    async def read(self) -> bytes | None:
        """As it is handed out; None where no desk has written any, or not for too long."""
        match await self._link.ask("GET", self._key):
            case bytes(text):
                return text
            case _:
                return None

    async def write(self, text: str, before: bytes | None, *, seconds: int) -> bool:
        """In the place of what stood there `before`; False, and nothing is written, where that is something else by now."""
        match await self._link.run(_PUBLISH, [self._key], before or b"", text, seconds * 1000):
            case [b"kept"]:
                return True
            case [b"another"]:
                return False
            case _:
                raise StoreError(f"Redis gave an unknown answer to {_PUBLISH.name}")
