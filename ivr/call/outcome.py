"""How a step ended, and how a verification ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Factor(StrEnum):
    """What kind of thing a step proves; two steps of one kind are still one factor."""

    KNOWLEDGE = "knowledge"
    POSSESSION = "possession"
    EID = "eid"


class Scope(StrEnum):
    """What a count of failures belongs to."""

    CUSTOMER = "customer"
    NUMBER = "number"
    CALL = "call"
    ALL = "all"


class Budget(StrEnum):
    """What texts are counted by, besides by customer."""

    PREFIX = "prefix"
    COUNTRY = "country"
    ALL = "all"


class Reason(StrEnum):
    """Why a step failed."""

    WRONG = "wrong"
    NO_ENTRY = "no_entry"
    EXPIRED = "expired"
    TOO_MANY_TEXTS = "too_many_texts"
    DENIED = "denied"
    """The customer says not to be calling."""


@dataclass(frozen=True, slots=True)
class Passed:
    """The caller did what the step asks for."""

    step: str
    factor: Factor


@dataclass(frozen=True, slots=True)
class Failed:
    """The caller did not."""

    step: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Locked:
    """Too many failures: no try is evaluated for so many seconds (None: until someone unlocks)."""

    scope: Scope
    seconds: int | None


Outcome = Passed | Failed | Locked


class Status(StrEnum):
    """How a verification ended; the value of CALLER_AUTH_STATUS, the same word everywhere."""

    VERIFIED = "verified"
    REFUSED = "refused"
    LOCKED = "locked"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Verified:
    """Every step of the policy was passed, by this subject, at this level."""

    policy: str
    subject: str
    level: int
    methods: tuple[str, ...]
    mark_seconds: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Not verified; `lock` is set where the status is LOCKED."""

    policy: str
    status: Status
    lock: Locked | None = None


Verdict = Verified | Refused
