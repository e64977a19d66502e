"""What many workers share while calls run: counters, challenges, marks and the calls' records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ivr.call.mark import Mark
from ivr.call.outcome import Budget, Locked
from ivr.call.progress import Progress
from ivr.numbers import Range
from ivr.secret import Secret


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whom a try is counted for.

    `call` is node and channel: two Asterisks may have channels of the same name.
    """

    subject: str
    number: str | None
    call: str


@dataclass(frozen=True, slots=True)
class Granted:
    """The try was counted and may be evaluated."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """A code that was sent; valid for this call, purpose and subject only.

    `mac` is the keyed hash of the code over all of these (`Challenges.mac`).
    """

    id: str
    subject: str
    call: str
    mac: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The budget of texts is used up, over all or for one range; `first`: nobody was told of it yet, in this hour."""

    scope: Budget
    first: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """The challenge waits for its answer. A text may be sent, unless its range is `closed`."""

    closed: Closed | None = None


@dataclass(frozen=True, slots=True)
class TooSoon:
    """The last text to this subject is too young; in so many seconds another may go."""

    seconds: int


@dataclass(frozen=True, slots=True)
class TooMany:
    """No more texts in this call, or to this subject for now."""


@dataclass(frozen=True, slots=True)
class Right:
    """The code was right; it is consumed."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """The code was wrong; so many tries are left for it."""

    left: int


@dataclass(frozen=True, slots=True)
class Spent:
    """No such challenge any more: expired, consumed, or out of tries."""


@dataclass(frozen=True, slots=True)
class CodeRules:
    """How codes live: seconds and counts. `bar`: how long a customer gets no other one who has said not to be calling; 0 where nobody can say so."""

    life: int
    tries: int
    resend: int
    sends: int
    sends_per_hour: int
    bar: int = 0


class Live(Protocol):
    """What many workers share. Each method is atomic and one round trip.

    Where a progress is given, it is the call's record from then on. Where another worker has taken the call up, nothing
    is changed, nor counted, and `TakenUp` raised.
    """

    async def begin(self, progress: Progress) -> None:
        """A round begins: its record is made, and the mark of an earlier round dropped, whoever had placed it."""
        ...

    async def note(self, progress: Progress) -> None:
        """Change the record, and nothing else."""
        ...

    async def end(self, progress: Progress) -> None:
        """The call was handed back: nobody needs to go on with it."""
        ...

    async def elsewhere(self, progress: Progress) -> bool:
        """Whether another session goes on with this very round."""
        ...

    async def standing(self, attempt: Attempt, progress: Progress | None = None) -> Locked | None:
        """Whether a try would be refused now; counts nothing."""
        ...

    async def attempt(self, attempt: Attempt, progress: Progress) -> Granted | Locked:
        """Count a try, before it is evaluated; the progress holds from then on where it was granted."""
        ...

    async def give_back(self, attempt: Attempt, progress: Progress) -> None:
        """The counted try was right: it was no failure."""
        ...

    async def open_challenge(
        self, challenge: Challenge, rules: CodeRules, progress: Progress, range: Range | None = None, parts: int = 1
    ) -> Opened | TooSoon | TooMany | Closed:
        """Store a code's MAC. The same id again replaces the code; its tries are not reset. The progress: where opened.

        `range`: where a text would go to, and is counted; None where none goes. `Closed`: none goes to anybody.
        """
        ...

    async def bar(self, subject: str, seconds: int) -> None:
        """The customer says not to be in the call: no challenge whose rules have a `bar` is opened for so long."""
        ...

    async def barred(self, subject: str) -> bool:
        """Whether that holds for this customer now."""
        ...

    async def try_challenge(
        self, challenge: Challenge, attempt: Attempt, rules: CodeRules, progress: Progress
    ) -> Right | Wrong | Spent | Locked:
        """Count, compare and consume in one step; `challenge.mac` is that of what was keyed. The progress: where right."""
        ...

    async def place_mark(self, mark: Mark, attempt: Attempt, progress: Progress) -> None:
        """The customer was verified: the failures in a row begin anew. Store the mark until it expires, and read it back.

        Raises `StoreError` if it is not there.
        """
        ...

    async def mark(self, node: str, channel: str) -> Mark | None: ...

    async def drop_mark(self, progress: Progress, *, over: bool) -> None:
        """Remove the mark, unless the call is another worker's by now; the record too where the call is `over`."""
        ...


class Codes(Protocol):
    """Keyed hashes of codes."""

    def mac(self, code: Secret, *, bound_to: Sequence[str]) -> str:
        """HMAC-SHA-256 of the code over what it is bound to, in hexadecimal."""
        ...
