"""What gateways report of texts, in Redis: it comes to one process, and another one may be waiting for it."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncGenerator
from itertools import chain
from types import TracebackType
from typing import Self

from structlog.typing import FilteringBoundLogger

from ivr.call.ports import Delivery, Handed, Report
from ivr.config import Settings
from ivr.errors import StoreError
from ivr.store.link import Link, Script
from ivr.store.topic import Topic

_KEEP = Script("keep_report")
_REPORTED = Script("reported")

# Seconds. A gateway may be faster with its report than with its answer, which alone tells the text's id.
_EARLY = 120
# Seconds that a text is waited for: a proof's life is over by then, and any code's.
_LIFE = 15 * 60


class RedisDeliveries:
    """`call.ports.Deliveries`, from `async with` on. Of a text's id Redis has the SHA-256 alone."""

    def __init__(self, settings: Settings, link: Link, log: FilteringBoundLogger) -> None:
        """Raises `ConfigError`."""
        self._link = link
        self._prefix = settings.redis.prefix
        self._channel = f"{self._prefix}:delivered"
        self._waiting: defaultdict[str, list[asyncio.Event]] = defaultdict(list)
        self._topic = Topic(settings, self._channel, told=self._told, came=self._came, log=log)

    async def __aenter__(self) -> Self:
        await self._topic.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._topic.__aexit__(kind, error, trace)

    async def expect(self, handed: Handed) -> AsyncGenerator[Report]:
        """As `Deliveries` says."""
        if handed.id is None or handed.nowhere:
            return
        key = self._key(handed.gateway, handed.id)
        news, ends, told = asyncio.Event(), _now() + _LIFE, 0
        self._waiting[key].append(news)
        try:
            while True:
                news.clear()
                found = await self._found(key)
                for delivery, code in found[told:]:
                    yield Report(handed.gateway, handed.id, delivery, code)
                    if delivery.arrived or delivery.lost:
                        return
                told = len(found)
                # around this alone: what the other end does between two reports is not to be cut short
                async with asyncio.timeout_at(ends):
                    await news.wait()
        except TimeoutError:
            return
        finally:
            self._waiting[key].remove(news)
            if not self._waiting[key]:
                del self._waiting[key]

    async def tell(self, report: Report) -> None:
        """As `Deliveries` says."""
        key = self._key(report.gateway, report.id)
        answer = await self._link.run(
            _KEEP, [key], report.delivery.value, report.code, _EARLY * 1000, self._channel, key
        )
        if answer not in ([b"told"], [b"early"], [b"again"]):
            raise StoreError(f"Redis gave an unknown answer to {_KEEP.name}")

    # ------------------------------------------------------------ inside

    async def _found(self, key: str) -> list[tuple[Delivery, str]]:
        """What was reported until now, in turn."""
        answer = await self._link.run(_REPORTED, [key], _LIFE * 1000)
        fields = dict(zip(answer[::2], answer[1::2], strict=True))
        fields.pop(b"expects", None)
        try:
            return [(kind, code) for _, kind, code in sorted(_read(*field) for field in fields.items())]
        except (ValueError, TypeError):
            raise StoreError("Redis: what stands for what became of a text is none") from None

    def _key(self, gateway: str, id: str) -> str:
        return f"{self._prefix}:delivery:{gateway}:{hashlib.sha256(id.encode()).hexdigest()}"

    def _told(self, key: bytes) -> None:
        for news in self._waiting.get(key.decode(errors="replace"), ()):
            news.set()

    def _came(self) -> None:
        """What was told meanwhile is in Redis still."""
        for news in chain.from_iterable(self._waiting.values()):
            news.set()


def _read(name: object, value: object) -> tuple[int, Delivery, str]:
    """Its place, what is reported, and the gateway's code. Raises `ValueError`, `TypeError`."""
    if not isinstance(name, bytes) or not isinstance(value, bytes):
        raise TypeError("not what was written")
    place, _, code = value.decode().partition(" ")
    return int(place), Delivery(name.decode()), code


def _now() -> float:
    return asyncio.get_running_loop().time()
