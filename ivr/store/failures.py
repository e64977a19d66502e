"""How often somebody has failed, counted by customer, by call, by calling number and over all."""

from __future__ import annotations

from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from ivr.call.outcome import Locked, Scope
from ivr.call.ports import Attempt, Granted
from ivr.call.progress import Progress
from ivr.config import Limits
from ivr.errors import TakenUp
from ivr.store import calls
from ivr.store.answered import strange
from ivr.store.link import Link, Script
from ivr.store.unlocking import Unlocking

_STANDING = Script("clock", "record", "scopes", "standing")
_ATTEMPT = Script("clock", "record", "scopes", "attempt")
_GIVE_BACK = Script("clock", "record", "scopes", "give_back")
SCRIPTS = (_STANDING, _ATTEMPT, _GIVE_BACK)

_MINUTE = 60_000


class Failures(Unlocking):
    """The part of `RedisLive` that counts them. Every method is one round trip and raises `StoreError`."""

    def __init__(self, link: Link, prefix: str, limits: Limits, log: FilteringBoundLogger | None) -> None:
        super().__init__(link, prefix)
        self._log = log
        self._most = limits.customer_most
        self._alarm = limits.all_alarm
        self._window = limits.all_window_minutes * 60
        # As scopes.lua reads them: counts, and milliseconds.
        self._limits = (
            limits.customer_in_a_row, limits.customer_lock_minutes * _MINUTE, limits.customer_most,
            limits.number_in_a_row, limits.number_lock_minutes * _MINUTE,
            limits.call, limits.all, limits.all_window_minutes * _MINUTE,
        )  # fmt: skip

    async def standing(self, attempt: Attempt, progress: Progress | None = None) -> Locked | None:
        """Whether a try would be refused now; counts nothing. Tells of it where failures over all calls have risen."""
        alarm = self._key("fail", "alarm")
        match await self._scoped(_STANDING, attempt, progress, self._alarm, keys=[alarm]):
            case Locked() as lock:
                return lock
            case [b"granted"]:
                return None
            case _:
                raise strange(_STANDING)

    async def attempt(self, attempt: Attempt, progress: Progress | None = None) -> Granted | Locked:
        """Count a try in every scope, unless one of them is locked."""
        match await self._scoped(_ATTEMPT, attempt, progress):
            case Locked() as lock:
                return lock
            case [b"granted"]:
                return Granted()
            case _:
                raise strange(_ATTEMPT)

    async def give_back(self, attempt: Attempt, progress: Progress | None = None) -> None:
        """Take one try out of every count again, and lift a lock that it had set."""
        await self._scoped(_GIVE_BACK, attempt, progress)

    # ------------------------------------------------------------ inside

    async def _scoped(
        self,
        script: Script,
        attempt: Attempt,
        progress: Progress | None,
        *arguments: str | int | bytes,
        keys: Sequence[str] = (),
    ) -> Locked | list[object]:
        """Run a script that begins with scopes.lua; `keys` are more keys of its own."""
        customer, before = self._failure_keys(attempt.subject)
        scopes = [
            self._key("fail", "all"),
            customer,
            self._key("fail:call", attempt.call),
            self._key("fail:number", attempt.number or ""),
            self._key("call", attempt.call),
            before,
        ]
        answer = await self._link.run(
            script, [*scopes, *keys],
            *self._limits, attempt.call, attempt.subject, int(attempt.number is not None),
            progress.holder if progress else "", calls.said(progress), *arguments,
        )  # fmt: skip
        if answer[-2:-1] == [b"alarm"]:
            *answer, _, failures = answer
            if self._log is not None:
                self._log.warning("guessing.suspected", failures=failures, seconds=self._window)
        match answer:
            case [b"locked", bytes(scope), int(seconds)]:
                return Locked(Scope(scope.decode()), seconds if seconds >= 0 else None)
            case [b"taken"]:
                raise TakenUp
            case _:
                return answer
