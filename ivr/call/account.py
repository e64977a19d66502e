"""What the audit trail is told of a call: one row for each of its rounds, now or later."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from structlog.typing import FilteringBoundLogger

from ivr.call.arrears import Told
from ivr.call.outcome import Locked, Refused, Status, Verdict, Verified
from ivr.call.ports import Caller, Entry
from ivr.call.progress import Held, told
from ivr.call.verification import Course, House
from ivr.errors import TakenUp, Unavailable


class Account:
    """That of one session."""

    def __init__(self, house: House, caller: Caller, course: Course, held: Held, log: FilteringBoundLogger) -> None:
        self._house = house
        self._caller = caller
        self._course = course
        self._held = held
        self._log = log
        self._verdict: Verdict | None = None
        self._recording: asyncio.Task[str] | None = None

    @property
    def begun(self) -> bool:
        """Whether the trail was told anything, or is being told."""
        return self._recording is not None

    def tells(self, verdict: Verdict) -> bool:
        """Whether this verdict is what it was told last."""
        return self._verdict is verdict

    async def record(self, verdict: Verdict) -> str:
        """The audit row of how this round ended; the outcome that stands, for another worker may have told of the same round.

        What was begun goes on where this is cut short.
        """
        self._verdict = verdict
        self._recording = recording = asyncio.create_task(self._rows(verdict).write(self._house.trail))
        recording.add_done_callback(_heard)
        return await asyncio.shield(recording)

    async def written(self, refused: Refused) -> bool:
        """Whether the row is written. Else that is done later, by this worker or by the next one, for which the record stays."""
        assert self._recording is not None
        try:
            await asyncio.shield(self._recording)
        except Unavailable as error:
            await self._owe(refused, str(error))
            return False
        return True

    async def _owe(self, refused: Refused, fault: str) -> None:
        now = self._held.now
        happened = now.happened or _text(self._house.wall())
        owed = replace(now.refused(refused, self._course.outcomes), happened=happened)
        if not self._course.outcomes:
            owed = replace(owed, steps=now.steps)
        self._held.now = owed
        noted = True
        try:
            await self._house.live.note(owed)
        except TakenUp:
            # the other worker tells of it
            return
        except Unavailable as error:
            self._log.error("call.unavailable", phase="note", error=str(error))
            noted = False
        kept = self._house.arrears.owe(self._rows(refused), owed, noted=noted)
        self._log.error("audit.owed", outcome=refused.status.value, kept=kept, error=fault)

    def _rows(self, verdict: Verdict) -> Told:
        """What the trail is told of how this round ended."""
        status = verdict.status if isinstance(verdict, Refused) else Status.VERIFIED
        level = verdict.level if isinstance(verdict, Verified) else 0
        caller = self._caller
        subject = self._course.subject.ref if self._course.subject else ""
        happened = self._held.now.happened
        policy = self._house.policies.get(caller.policy)
        # a line that names no policy of ours is nobody's
        whose = {} if policy is None else {"tenant": policy.tenant}
        row = Entry(
            actor="caller",
            action="verify",
            outcome=status.value,
            call=caller.channel,
            subject=subject,
            detail={
                "node": caller.node,
                "policy": verdict.policy,
                "level": str(level),
                "number": caller.number.masked if caller.number else "",
                "phase": self._course.phase,
                "wrong": str(self._held.now.wrong),
                "round": "mid_call" if caller.again else "first",
                "lock": _lock(verdict.lock) if isinstance(verdict, Refused) else "",
                "steps": ",".join(map(told, self._course.outcomes) if self._course.outcomes else self._held.now.steps),
                **({"attestation": caller.attestation} if caller.attestation else {}),
                **({"happened": happened} if happened else {}),
                **whose,
            },
            once=self._held.now.round,
        )
        # that the caller was lost is no news: the mark ends with the call
        if isinstance(verdict, Verified) or status is Status.ABANDONED:
            return Told(row)
        void = Entry(
            actor="worker",
            action="mark.void",
            outcome=status.value,
            call=caller.channel,
            subject=subject,
            detail={"node": caller.node, "policy": verdict.policy, "lock": _lock(verdict.lock), **whose},
            once=f"{self._held.now.round}:void",
        )
        return Told(row, void)


def _heard(recording: asyncio.Task[str]) -> None:
    """Whoever waited may be gone, and asyncio would log what nobody has asked for."""
    if not recording.cancelled():
        recording.exception()


def _lock(lock: Locked | None) -> str:
    """What is locked, and for how many seconds where that ends by itself."""
    if lock is None:
        return ""
    return lock.scope.value if lock.seconds is None else f"{lock.scope.value}:{lock.seconds}"


def _text(at: float) -> str:
    """As the audit trail has its times."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
