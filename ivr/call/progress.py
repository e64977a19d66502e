"""How far a call is: what another worker needs to go on with it. Nothing that was keyed, sent or said, no name, no number."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ivr.call.outcome import Failed, Locked, Outcome, Passed, Refused, Scope, Status

_PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one channel's way through the application, the `round`; `holder` is the session that runs it now.

    `subject` is the customer's key (`Subject.key`), empty where it is not known who calls; `hinted`: found by the calling
    number. `steps` are outcomes (`pin:passed`); `tried` and `challenge` belong to the step that comes next: tries
    that were counted, and the code that was sent. `wrong` counts over all steps. `status` is set, and `lock` may be,
    where it is decided that the caller is not verified. `taken`: how often another worker has taken the call up.
    `happened`: when it ended, UTC, where the audit trail could not be told of it then.
    """

    app: str
    node: str
    channel: str
    policy: str
    again: bool
    round: str
    holder: str
    taken: int = 0
    subject: str = ""
    hinted: bool = False
    steps: tuple[str, ...] = ()
    tried: int = 0
    challenge: str = ""
    wrong: int = 0
    lock_told: bool = False
    status: str = ""
    lock: tuple[str, int | None] | None = None
    happened: str = ""

    @classmethod
    def begin(cls, *, app: str, node: str, channel: str, policy: str, again: bool) -> Progress:
        """A new round; as long as nobody takes it up, its nonce is its session's too."""
        nonce = secrets.token_urlsafe(12)
        return cls(app, node, channel, policy, again, round=nonce, holder=nonce)

    def trying(self) -> Progress:
        """One more try, right or wrong."""
        return replace(self, tried=self.tried + 1, wrong=self.wrong + 1)

    def passing(self, step: str) -> Progress:
        """The step was passed."""
        return replace(self, steps=(*self.steps, f"{step}:{_PASSED}"), tried=0, challenge="")

    def refused(self, verdict: Refused, outcomes: Sequence[Outcome]) -> Progress:
        """It is decided: whoever takes the call up verifies nothing anew."""
        lock = None if verdict.lock is None else (verdict.lock.scope.value, verdict.lock.seconds)
        return replace(self, status=verdict.status.value, lock=lock, steps=tuple(map(told, outcomes)))

    @property
    def verdict(self) -> Refused | None:
        """What was decided, if the caller is not verified."""
        if not self.status:
            return None
        lock = None if self.lock is None else Locked(Scope(self.lock[0]), self.lock[1])
        return Refused(self.policy, Status(self.status), lock)

    @property
    def passed(self) -> tuple[str, ...]:
        """The steps that were passed."""
        return tuple(step for step, _, how in (text.partition(":") for text in self.steps) if how == _PASSED)


class Held:
    """The progress of the call that a session runs: `now` is what stands, or will with the next request to the store."""

    def __init__(self, now: Progress) -> None:
        self.now = now


def told(outcome: Outcome) -> str:
    """An outcome in the record and in the audit trail."""
    match outcome:
        case Passed(step):
            return f"{step}:{_PASSED}"
        case Failed(step, reason):
            return f"{step}:{reason.value}"
        case Locked(scope):
            return f"locked:{scope.value}"
