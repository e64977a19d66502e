"""How text messages go out: one file a gateway, and what makes each of them `ports.Texts`.

A new gateway is a file beside this one, a line in `_GATEWAYS`, and its name in `config.Texts.gateway`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from ivr.call.ports import Texts
from ivr.config import Settings
from ivr.errors import TextError
from ivr.secret import Personal, Secret
from ivr.sms.outbox import Outbox


class Gateway(Protocol):
    """A way for text messages to go out."""

    async def send(self, to: Personal, text: Secret) -> None:
        """Hand the text over; returns when it was taken.

        Raises `TextError` where texts to other numbers would fail as well. A number that it refuses must not raise:
        what one text met with is what callers are told whose customer number nobody has.
        """
        ...


_GATEWAYS: dict[str, Callable[[Settings], Gateway]] = {
    "outbox": Outbox.of,
}

# Nothing but a text to a customer shows that the gateway is up again. A failure that no text came behind counts for no
# longer than this: else customer numbers that nobody has would go on failing where known ones would not.
_FAILURE_SECONDS = 60.0


class Limited:
    """A gateway that fails in time, whatever the gateway inside of it does; implements `ports.Texts`."""

    def __init__(self, gateway: Gateway, seconds: float) -> None:
        self._gateway = gateway
        self._seconds = seconds
        self._took = 0.0
        self._failed_at = -math.inf

    async def send(self, to: Personal, text: Secret) -> None:
        """As the gateway's own; raises `TextError` after so many seconds too. The text may then still arrive."""
        began = _now()
        try:
            async with asyncio.timeout(self._seconds):
                await self._gateway.send(to, text)
        except Exception as error:
            self._took, self._failed_at = _now() - began, _now()
            if isinstance(error, TimeoutError):
                raise TextError("the gateway did not take the text in time") from None
            raise
        self._took, self._failed_at = _now() - began, -math.inf

    async def pretend(self) -> None:
        """Takes as long as the latest text, and raises `TextError` where that one failed, not long ago."""
        failing = _now() < self._failed_at + _FAILURE_SECONDS
        await asyncio.sleep(self._took)
        if failing:
            raise TextError("the gateway did not take the latest text")


def _now() -> float:
    return asyncio.get_running_loop().time()


def gateway(settings: Settings) -> Texts:
    """The gateway that the settings name, within its time limit; raises `ConfigError` where it cannot be used."""
    return Limited(_GATEWAYS[settings.texts.gateway](settings), settings.texts.seconds)


__all__ = ["Limited", "Outbox", "gateway"]
