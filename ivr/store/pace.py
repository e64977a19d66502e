"""How many requests somebody may make: counted in Redis, for all desks together."""

from __future__ import annotations

from ivr.errors import StoreError
from ivr.store.link import Link, Script

_PACE = Script("evenly", "pace")

_MINUTE = 60_000_000


class RedisPace:
    """Requests that come evenly, with a few at once now and then. One round trip each; raises `StoreError`."""

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    async def take(self, kind: str, whom: str, *, per_minute: int, minutes: int = 1) -> float | None:
        """Count one; the seconds to wait where it is one too many, and is not counted. A tenth of them may come at once.

        `per_minute` is per so many `minutes`.
        """
        match await self._link.run(_PACE, [paces(self._prefix, kind) + whom], *evenly(per_minute, minutes)):
            case [b"go"]:
                return None
            case [b"wait", bytes(microseconds)]:
                return int(microseconds) / 1_000_000
            case _:
                raise StoreError(f"Redis gave an unknown answer to {_PACE.name}")


def paces(prefix: str, kind: str) -> str:
    """What the keys of this kind begin with; who it is stands behind."""
    return f"{prefix}:pace:{kind}:"


def evenly(per_minute: int, minutes: int = 1) -> tuple[int, int]:
    """What evenly.lua takes: microseconds from one to the next, and how many may come at once."""
    return minutes * _MINUTE // per_minute, max(per_minute // 10, 5)
