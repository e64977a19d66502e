"""Whether calls that came in now would be verified: every part that this needs is asked, and the one that fails is named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

from structlog.typing import FilteringBoundLogger

from ivr.errors import Unavailable

# So often at most, however many ask: a probe must not become a load.
_SECONDS = 1.0

Check = Callable[[], Awaitable[None]]
"""Returns where the part is ready; raises `Unavailable` with what is wrong, and no value, where it is not."""


class Readiness:
    """What /readyz says. Those who ask at the same time share an answer, and it is good for a second."""

    def __init__(
        self, checks: Mapping[str, Check], *, seconds: float, log: FilteringBoundLogger, lasts: float = _SECONDS
    ) -> None:
        """`seconds`: after so long a part counts as not ready. `lasts`: how long an answer is good for, in seconds."""
        self._checks = checks
        self._seconds = seconds
        self._lasts = lasts
        self._log = log
        self._faults: dict[str, str | None] = {}
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()

    async def look(self) -> Mapping[str, str | None]:
        """Each part, with what is wrong with it; None where nothing is."""
        async with self._looking:
            if monotonic() - self._looked_at >= self._lasts:
                found = await asyncio.gather(*(self._one(part, check) for part, check in self._checks.items()))
                self._faults = dict(zip(self._checks, found, strict=True))
                self._looked_at = monotonic()
            return self._faults

    async def _one(self, part: str, check: Check) -> str | None:
        try:
            async with asyncio.timeout(self._seconds):
                await check()
        except Unavailable as error:
            return str(error)
        except TimeoutError:
            return "no answer in time"
        except Exception as error:  # noqa: BLE001 (a fault of ours: the part cannot be counted on, and who looks goes on looking)
            fault = f"unexpected: {type(error).__name__}"
            if self._faults.get(part) != fault:
                self._log.error("task.failed", error=type(error).__name__, code=f"ready.{part}")
            return fault
        return None


class Health:
    """Whether calls that come now would be verified, as far as it was known a second ago."""

    def __init__(self, checks: Mapping[str, Check], *, seconds: float, log: FilteringBoundLogger) -> None:
        """`seconds`: after so long a part counts as not ready."""
        self._readiness = Readiness(checks, seconds=seconds, log=log, lasts=0.0)
        self.well = True

    async def watch(self) -> None:
        """Look each second, for ever."""
        while True:
            self.well = not any((await self._readiness.look()).values())
            await asyncio.sleep(_SECONDS)
