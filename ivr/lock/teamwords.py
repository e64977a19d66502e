"""What supervisors are told: of their team's calls, of how verifications ended, of locks and of who reads too much."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ivr.lock.words import Channel, Direction, State


@dataclass(frozen=True, slots=True)
class Watched:
    """A call of somebody's of the team, without anything of who the customer is. Fields as of `Current`."""

    person: str
    agent: str
    call: Channel
    number: str | None
    direction: Direction
    held: bool
    since: float
    state: State
    level: int = 0
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How many verifications of a policy ended how. `failed`: a part was down."""

    policy: str
    verified: int = 0
    refused: int = 0
    abandoned: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the last hour, and of the last day."""

    hour: tuple[Ended, ...]
    day: tuple[Ended, ...]


class Held(StrEnum):
    """What is locked, and by what."""

    CUSTOMER = "customer"
    """For failures, under whatever number."""
    NUMBER = "number"
    """A calling number, for failures of whatever customer."""
    BY_HAND = "by_hand"
    """A customer, by somebody."""


@dataclass(frozen=True, slots=True)
class Barred:
    """A lock in force. `what`: a customer's reference, or a number that is masked; empty where it is not known any more.

    `until`: seconds since the epoch; None where somebody has to unlock it.
    """

    kind: Held
    what: str
    until: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How many different customers' records somebody has read in the last hour and day.

    `stopped`: until it is lifted. `warned`: far more than others of the team have; for an hour.
    """

    person: str
    hour: int
    day: int
    stopped: bool
    warned: bool


@dataclass(frozen=True, slots=True)
class Lifted:
    """Whoever was stopped may read again; the counts begin anew."""

    person: str
