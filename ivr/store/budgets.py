"""What texts may cost: one that is sent behind another is counted as the others are."""

from __future__ import annotations

from typing import Self

from ivr.call.outcome import Budget
from ivr.config import Limits
from ivr.errors import StoreError
from ivr.numbers import Range
from ivr.store.link import Link, Script

_SPEND = Script("clock", "budget", "spend_text")


class Budgets:
    """Those of [limits], which texts of codes and of proofs share."""

    def __init__(self, link: Link, prefix: str, limits: Limits) -> None:
        self._link = link
        self._prefix = f"{prefix}:budget"
        self._most = limits.texts_per_hour, limits.texts_country_per_hour, limits.texts_prefix_per_hour

    @classmethod
    def of_notices(cls, link: Link, prefix: str, limits: Limits) -> Self:
        """Those of notices: apart, so that neither notices nor codes can be kept from anybody by the others."""
        made = cls(link, prefix, limits)
        made._prefix = f"{prefix}:budget:notices"
        made._most = limits.notices_per_hour, limits.notices_per_hour, limits.notices_prefix_per_hour
        return made

    async def spend(self, range: Range, parts: int) -> Budget | None:
        """Count a text of so many parts to this range; None, or which budget is used up: then it is not counted, and may not go.

        One round trip. Raises `StoreError`.
        """
        keys = [
            f"{self._prefix}:all",
            f"{self._prefix}:country:{range.country}",
            f"{self._prefix}:prefix:{range.prefix}",
        ]
        match await self._link.run(_SPEND, keys, *self._most, parts):
            case [b"spent"]:
                return None
            case [b"closed", bytes(scope)]:
                return Budget(scope.decode())
            case _:
                raise StoreError(f"Redis gave an unknown answer to {_SPEND.name}")
