"""What the heart asks of the outside. Adapters implement these; the heart knows nothing else of them.

Any of these methods may raise `Unavailable` (the part is down); those of `Line` and `Leg` also `HungUp`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ivr.call.mark import Mark
from ivr.call.outcome import Budget, Locked, Scope
from ivr.call.progress import Progress
from ivr.numbers import Range
from ivr.prompts import Prompt
from ivr.secret import Personal, Secret
from ivr.vault.pin import PinRecord

Clock = Callable[[], float]
"""Seconds: monotonic for what is measured, since the epoch for what is written down."""

Timed = Callable[[], AbstractContextManager[object]]
"""`with timed(): …` around what is asked of a part: who measures sees how long it takes, and how it ends."""

# ---------------------------------------------------------------- the caller's channel


@dataclass(frozen=True, slots=True)
class Caller:
    """A call as it came in. `number` is None where it is withheld or no number at all.

    `again`: an agent waits for the caller, and has them back whatever comes of it. `app` is the application it came to.
    """

    channel: str
    node: str
    number: Personal | None
    language: str
    policy: str
    again: bool = False
    app: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """One key was pressed, `at` seconds on the monotonic clock."""

    digit: Secret
    at: float


@dataclass(frozen=True, slots=True)
class Played:
    """The prompts were played to their end."""


class Line(Protocol):
    """The caller's end: a voice, a keypad and what stands on the channel."""

    @property
    def caller(self) -> Caller: ...

    async def answer(self) -> None:
        """Answer the call, and stop what a worker that is gone was playing."""
        ...

    async def say(self, *prompts: Prompt, language: str) -> None:
        """Begin to play; returns when Asterisk has taken it. `receive` says when it is over."""
        ...

    async def hush(self) -> None:
        """Stop what is played and wait for its end; nothing happens when nothing is played."""
        ...

    async def receive(self, until: float | None) -> Key | Played | None:
        """The next thing that happens; None at `until` (monotonic seconds).

        Raises `Interrupted` once after events were lost, and the error given to `interrupt`.
        """
        ...

    def interrupt(self, error: Exception) -> None:
        """Make `receive` raise this, now or when it is next called."""
        ...

    def reconnect(self) -> None:
        """Another worker has taken the call up: find out anew who serves the application."""
        ...

    def drop_keys(self) -> None:
        """Forget keys that were pressed ahead."""
        ...

    def push_back(self, keys: Sequence[Key]) -> None:
        """Put keys back, before all that has not been received."""
        ...

    async def allow(self, seconds: int) -> None:
        """Set the watchdog anew: Asterisk takes the call back after so many seconds; 0: never."""
        ...

    async def announce(self, variables: Mapping[str, str], display: Personal) -> None:
        """Set channel variables and the caller's display name, and read the variables back."""
        ...

    async def music(self, *, on: bool) -> None: ...

    async def ring(self, endpoint: str, *, badge: Badge, seconds: int) -> Leg:
        """Call an agent; returns when Asterisk has taken the request."""
        ...

    async def join(self, leg: Leg) -> bool:
        """Bridge the caller with an agent who has answered; True when the agent has left after that.

        While they talk the watchdog is off, and neither stays behind alone, even should we die.
        False when the agent was gone before. Leaves no bridge behind, whatever happens.
        """
        ...

    def up(self) -> AbstractAsyncContextManager[None]:
        """As long as the call is ours: the body is cancelled, and `HungUp` raised, when the channel is gone.

        Where it is the worker that must end: `Unavailable` instead, or `WorkerReplaced` (the call is another's now).
        """
        ...

    async def hand_back(self, *, watch: bool) -> None:
        """Send the call on in the dialplan, behind the application; from then on leaving it is no hang-up.

        `watch`: `ended` will be waited for.
        """
        ...

    async def ended(self) -> None:
        """Wait until the channel is gone, also after `hand_back` with `watch`."""
        ...

    async def hang_up(self) -> None: ...

    async def event(self, name: str, fields: Mapping[str, str]) -> None:
        """Tell the PBX's administrators: an AMI UserEvent."""
        ...


@dataclass(frozen=True, slots=True)
class Badge:
    """What the agent's phone shows: the header's value and the display name, until the mark's end (since the epoch)."""

    header: str
    display: Personal
    expires: int


class Leg(Protocol):
    """An agent's phone that was called."""

    @property
    def endpoint(self) -> str: ...

    async def answered(self) -> bool:
        """Wait: True when the agent has answered, False when that will not happen."""
        ...

    @property
    def ending(self) -> str:
        """Why it ended, in one word for the log: `busy`, `no_answer`, `hung_up`, `failed`."""
        ...

    async def hang_up(self) -> None:
        """End it; nothing happens when it has ended."""
        ...


# ---------------------------------------------------------------- customers


@dataclass(frozen=True, slots=True)
class Subject:
    """The customer whom the caller says to be.

    `key` is what failures are counted by: the blind index of the customer number, known or not.
    `known` is False for a number that nobody has: its steps run alike, and cannot be passed.
    `ref` is the opaque reference that agents and the dialplan see; empty where not known.
    """

    key: str
    known: bool
    ref: str = ""
    name: Personal | None = None
    mobile: Personal | None = None
    pin: PinRecord | None = None
    language: str | None = None
    policy: str | None = None
    locked: bool = False


class Customers(Protocol):
    async def by_phone(self, number: Personal) -> Subject | None:
        """The one customer with this E.164 number; None where there is none, or more than one."""
        ...

    async def by_number(self, number: Secret) -> Subject:
        """The customer with this customer number, or a subject that is not known."""
        ...

    async def by_key(self, key: str) -> Subject:
        """The customer with this blind index (`Subject.key`), or a subject that is not known."""
        ...

    async def in_force(self, subject: Subject) -> bool:
        """Whether the customer is there and not locked, at this moment; a call may have taken minutes."""
        ...

    def phone_key(self, number: Personal) -> str:
        """The blind index of a telephone number, for counting by it."""
        ...


class Pins(Protocol):
    async def matches(self, pin: Secret, record: PinRecord | None) -> bool:
        """Whether this is the PIN. Takes as long for no record; runs off the event loop."""
        ...


# ---------------------------------------------------------------- counters, challenges, marks


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
    """How codes live: seconds and counts."""

    life: int
    tries: int
    resend: int
    sends: int
    sends_per_hour: int


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
        self, challenge: Challenge, rules: CodeRules, progress: Progress, range: Range | None = None
    ) -> Opened | TooSoon | TooMany | Closed:
        """Store a code's MAC. The same id again replaces the code; its tries are not reset. The progress: where opened.

        `range`: where a text would go to, and is counted; None where none goes. `Closed`: none goes to anybody.
        """
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


# ---------------------------------------------------------------- texts, audit


class Texts(Protocol):
    def range_of(self, to: Personal) -> Range | None:
        """What a text to this number is counted for; None where no text goes to it."""
        ...

    async def send(self, to: Personal, text: Secret) -> None:
        """Hand a text message to the gateway; returns when it has taken it. Raises `TextError`."""
        ...

    async def pretend(self) -> None:
        """For a caller who can be sent no text: sends none, but takes as long, and fails, as `send` lately did."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A row for the audit trail: who, what, which call, how it ended. Nothing secret, numbers masked.

    `once`: what this tells of, such as a round's nonce, where it may be told twice. The first row of the same stands, by
    whatever worker; a second one changes nothing and is no error.
    """

    actor: str
    action: str
    outcome: str
    call: str = ""
    subject: str = ""
    detail: Mapping[str, str] | None = None
    once: str | None = None


class Trail(Protocol):
    async def append(self, entry: Entry) -> str:
        """The outcome that stands, durably: the entry's own, or that of the row of the same `once` which was there before.

        Raises `StoreError`; then what it tells of must not happen.
        """
        ...


__all__ = [
    "Attempt",
    "Badge",
    "Budget",
    "Caller",
    "Challenge",
    "Clock",
    "Closed",
    "CodeRules",
    "Codes",
    "Customers",
    "Entry",
    "Granted",
    "Key",
    "Leg",
    "Line",
    "Live",
    "Locked",
    "Opened",
    "PinRecord",
    "Pins",
    "Played",
    "Range",
    "Right",
    "Scope",
    "Spent",
    "Subject",
    "Texts",
    "TooMany",
    "TooSoon",
    "Trail",
    "Wrong",
]  # fmt: skip
