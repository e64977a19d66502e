"""What the workers tell of callers whom agents wait for, as the desk reads it; and who is about to part a call."""

from __future__ import annotations

from collections.abc import Collection

import orjson

from ivr.call.outcome import Status
from ivr.call.ports import Waiting
from ivr.errors import StoreError
from ivr.store.link import Link, Script
from ivr.store.sealing import endpoint_key

WAITS = Script("clock", "waits")
MANY_WAITS = Script("clock", "many_waits")

# Endpoints in one round trip.
_AT_ONCE = 500

# Seconds in which a call that somebody has begun to part is parted by nobody else: the audit row before it may be waited for.
_CLAIM_SECONDS = 30
# Seconds behind it, in which it may not be told of everywhere yet.
_TELLING_SECONDS = 1

ENDED_SECONDS = 3600
"""How long it is known how a verification ended."""


def waits_key(prefix: str, endpoint: str) -> str:
    """Whom the phones of this endpoint wait for: a hash, by the names of their channels."""
    return f"{prefix}:waits:{endpoint_key(endpoint)}"


def gone_key(prefix: str, endpoint: str) -> str:
    """The caller who has hung up meanwhile."""
    return f"{prefix}:gone:{endpoint_key(endpoint)}"


def ended_key(prefix: str, node: str, channel: str) -> str:
    """How the last verification of this call ended that was in mid-call."""
    return f"{prefix}:outcome:{node}:{channel}"


class RedisWaits:
    """`lock.ports.Waits`. Each method is one round trip, and raises `StoreError` where Redis is away."""

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix

    async def of(self, endpoint: str) -> tuple[tuple[Waiting, ...], Waiting | None]:
        """Those whom the phones of this endpoint wait for, and a caller who has hung up a moment ago."""
        match await self._link.run(WAITS, [waits_key(self._prefix, endpoint), gone_key(self._prefix, endpoint)]):
            case [b"waits", list(waits), gone]:
                told = tuple(_read(one) for one in waits if isinstance(one, bytes))
                return told, _read(gone) if isinstance(gone, bytes) and gone else None
            case _:
                raise StoreError(f"Redis gave an unknown answer to {WAITS.name}")

    async def among(self, endpoints: Collection[str]) -> tuple[Waiting, ...]:
        """Those whom the phones of any of these wait for."""
        keys = sorted({waits_key(self._prefix, endpoint) for endpoint in endpoints})
        found: list[Waiting] = []
        for at in range(0, len(keys), _AT_ONCE):
            match await self._link.run(MANY_WAITS, keys[at : at + _AT_ONCE]):
                case [b"waits", *waits]:
                    found += [_read(one) for one in waits if isinstance(one, bytes)]
                case _:
                    raise StoreError(f"Redis gave an unknown answer to {MANY_WAITS.name}")
        return tuple(found)

    async def ended(self, node: str, channel: str) -> Status | None:
        """How the last verification of this call ended, where that was in mid-call."""
        match await self._link.ask("GET", ended_key(self._prefix, node, channel)):
            case bytes(status):
                return Status(status.decode())
            case _:
                return None

    async def claim(self, node: str, channel: str) -> bool:
        """Whether nobody else is about to part this call; nobody is for a few seconds, then.

        Until a worker says something else, it has come to nothing.
        """
        if await self._link.ask("SET", self._claim(node, channel), "1", "NX", "EX", _CLAIM_SECONDS) is None:
            return False
        ended = ended_key(self._prefix, node, channel)
        await self._link.ask("SET", ended, Status.UNAVAILABLE.value, "EX", ENDED_SECONDS)
        return True

    async def parted(self, node: str, channel: str) -> None:
        """It is done: the same call may be parted again in a moment."""
        await self._link.ask("EXPIRE", self._claim(node, channel), _TELLING_SECONDS)

    async def release(self, node: str, channel: str) -> None:
        """Give that back: nothing was parted."""
        await self._link.ask("DEL", self._claim(node, channel))
        await self._link.ask("DEL", ended_key(self._prefix, node, channel))

    def _claim(self, node: str, channel: str) -> str:
        return f"{self._prefix}:parting:{node}:{channel}"


def written(waiting: Waiting) -> bytes:
    """As it stands in Redis."""
    return orjson.dumps(waiting)


def _read(text: bytes) -> Waiting:
    try:
        return Waiting(**orjson.loads(text))
    except (ValueError, TypeError):
        raise StoreError("Redis: what stands for a caller who is waited for is none") from None
