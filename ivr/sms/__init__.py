"""How text messages go out: one file a gateway, each an implementation of `ports.Texts`.

A new gateway is a file beside this one, a line in `_GATEWAYS`, and its name in `config.Texts.gateway`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ivr.call.ports import Texts
from ivr.config import Settings
from ivr.errors import TextError
from ivr.secret import Personal, Secret
from ivr.sms.outbox import Outbox

_GATEWAYS: dict[str, Callable[[Settings], Texts]] = {
    "outbox": Outbox.of,
}


class Limited:
    """A gateway that fails in time, whatever the gateway inside of it does."""

    def __init__(self, gateway: Texts, seconds: float) -> None:
        self._gateway = gateway
        self._seconds = seconds

    async def send(self, to: Personal, text: Secret) -> None:
        """As the gateway's own; raises `TextError` after so many seconds too. The text may then still arrive."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._gateway.send(to, text)
        except TimeoutError:
            raise TextError("the gateway did not take the text in time") from None


def gateway(settings: Settings) -> Texts:
    """The gateway that the settings name, within its time limit; raises `ConfigError` where it cannot be used."""
    return Limited(_GATEWAYS[settings.texts.gateway](settings), settings.texts.seconds)


__all__ = ["Limited", "Outbox", "gateway"]
