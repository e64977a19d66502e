"""Which channels speak for us into a conversation: whoever looks for listeners on a call tells them from others by this."""

from __future__ import annotations

from ivr.store.link import Link

# None lives as long: a sentence lasts a minute at most. In seconds.
_LIFE = 3600


class Speeches:
    """In Redis, by node and unique id. Every method raises `StoreError`."""

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    async def add(self, node: str, channel: str) -> None:
        """It is ours; said before it is made."""
        await self._link.ask("SET", self._key(node, channel), b"1", "EX", _LIFE)

    async def drop(self, node: str, channel: str) -> None:
        """It is gone."""
        await self._link.ask("DEL", self._key(node, channel))

    async def has(self, node: str, channel: str) -> bool:
        """Whether it is one of ours."""
        return await self._link.ask("EXISTS", self._key(node, channel)) == 1

    def _key(self, node: str, channel: str) -> str:
        return f"{self._prefix}:speech:{node}:{channel}"
