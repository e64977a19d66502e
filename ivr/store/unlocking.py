"""Who has asked to have a customer unlocked: it takes a second person to do it."""

from __future__ import annotations

from dataclasses import asdict

import orjson

from ivr.errors import StoreError
from ivr.store.calls import Calls
from ivr.store.link import Script
from ivr.store.sealing import of_customer_key
from ivr.store.wish import LIFE_MINUTES, Wish

FORGET, UNLOCK = Script("forget"), Script("unlock")


class Unlocking(Calls):
    """The part of `RedisLive` that keeps wishes, by `Subject.key`."""

    _most: int
    """Failures in a row after which only a wish that was granted helps."""

    async def wish(self, subject: str, wish: Wish) -> None:
        """Keep it for a while; it takes the place of an earlier one. Raises `StoreError`."""
        await self._link.ask("SET", self._wish_key(subject), orjson.dumps(asdict(wish)), "PX", LIFE_MINUTES * 60_000)

    async def wished(self, subject: str) -> Wish | None:
        """What somebody has asked for, not long ago. Raises `StoreError`."""
        written = await self._link.ask("GET", self._wish_key(subject))
        if not isinstance(written, bytes):
            return None
        try:
            return Wish(**orjson.loads(written))
        except (ValueError, TypeError):
            raise StoreError("Redis: what stands for a wish to unlock is none") from None

    async def granted(self, subject: str) -> None:
        """It was done; it is not done a second time. Raises `StoreError`."""
        await self._link.ask("DEL", self._wish_key(subject))

    async def unlock(self, subject: str) -> bool:
        """Forget the failures of a customer (`Subject.key`); whether there were any. For `customer unlock`. Raises `StoreError`."""
        tenant, _ = of_customer_key(subject)
        return await self._link.run(UNLOCK, list(self._failure_keys(subject)), tenant) != [0]

    async def forget(self, subject: str) -> bool:
        """Forget what is counted of a customer who is erased, and a wish; True where failures stay, for they have locked.

        Else whoever may erase and add customers could lift a lock alone. Raises `StoreError`.
        """
        counted, before = self._failure_keys(subject)
        keys = [counted, self._wish_key(subject), before]
        tenant, _ = of_customer_key(subject)
        match await self._link.run(FORGET, keys, self._most, tenant):
            case [b"forgotten"]:
                return False
            case [b"kept"]:
                return True
            case _:
                raise StoreError(f"Redis gave an unknown answer to {FORGET.name}")

    def _failure_keys(self, subject: str) -> tuple[str, str]:
        """Those of a customer; and those that were counted when there was no tenant in the key, which lock for 90 days yet."""
        tenant, index = of_customer_key(subject)
        return self._key("fail:customer", subject), self._key("fail:customer", index if tenant else "")

    def _wish_key(self, subject: str) -> str:
        return self._key("unlock", subject)
