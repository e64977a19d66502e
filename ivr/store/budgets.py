"""What texts may cost: one that is sent behind another is counted as the others are."""

from __future__ import annotations

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
