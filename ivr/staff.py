"""Those who sign in: their roles, what each may do, and what comes of signing in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

TENANT = "main"
"""Where nobody names another one: most installations have but this."""


class Role(StrEnum):
    """What somebody is there for. None of them reads a customer's data without the mark of a call of theirs."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    DATA_OWNER = "data_owner"


class Permission(StrEnum):
    """What can be granted; each route of the desk needs one of them."""

    CALL = "call"
    """See the own call, and read and change what its mark covers."""
    VERIFY = "verify"
    """Have the caller of the own call verified, and take the mark away."""
    PROVE = "prove"
    """Prove to the caller of the own call who it is that speaks."""
    DIAL = "dial"
    """Call a customer, by reference, from the own phone."""
    WATCH = "watch"
    """See all calls of the team, without customers' names, and how many are verified."""
    APPROVE = "approve"
    """Be the second person: of a lock that is lifted, of a record that is opened without a call."""
    STAFF = "staff"
    """Add, change and disable those who sign in."""
    TRAIL = "trail"
    """Read the audit trail."""
    READS = "reads"
    """See who read which customer's record."""


GRANTED: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.AGENT: frozenset({Permission.CALL, Permission.VERIFY, Permission.PROVE, Permission.DIAL}),
        Role.SUPERVISOR: frozenset(
            {
                Permission.CALL,
                Permission.VERIFY,
                Permission.PROVE,
                Permission.DIAL,
                Permission.WATCH,
                Permission.APPROVE,
            }
        ),
        Role.ADMINISTRATOR: frozenset({Permission.STAFF}),
        Role.AUDITOR: frozenset({Permission.TRAIL, Permission.READS}),
        Role.DATA_OWNER: frozenset({Permission.READS, Permission.APPROVE}),
    }
)
"""By role. What a single person has more or less stands with that person."""

TAKES_CALLS = frozenset({Permission.CALL, Permission.VERIFY, Permission.PROVE, Permission.DIAL})
"""Who has no more than these sees no data without a caller, and agrees to nobody's wish."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signs in. `id` is opaque and never given again; `endpoints` are those of this person's phones.

    `granted` and `denied` change what the role has; what is denied is denied.
    """

    id: str
    tenant: str
    login: str
    name: str
    role: Role
    team: str = ""
    endpoints: frozenset[str] = frozenset()
    granted: frozenset[Permission] = frozenset()
    denied: frozenset[Permission] = frozenset()
    language: str | None = None
    disabled: bool = False

    @property
    def permissions(self) -> frozenset[Permission]:
        """What this person may do."""
        if self.disabled:
            return frozenset()
        return (GRANTED[self.role] | self.granted) - self.denied

    def may(self, permission: Permission) -> bool:
        """Whether this is among it."""
        return permission in self.permissions

    @property
    def actor(self) -> str:
        """As the audit trail has it."""
        return f"desk:{self.login}"


@dataclass(frozen=True, slots=True)
class LastSignIn:
    """The one before this. `at`: ISO 8601, UTC; `place`: the address, masked; `failures`: tries that failed since then."""

    at: str
    place: str
    failures: int = 0


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has shown who they are. `since`: when that began, in microseconds of Redis's clock; a session takes it (`Sessions.begin`).

    `age`: seconds for which that is true already, as where a provider has asked before; None where it does not say.
    `elsewhere`: whether it was a provider who asked.
    """

    person: Person
    last: LastSignIn | None
    since: int
    age: float | None = 0.0
    elsewhere: bool = False


class Denial(StrEnum):
    """Why nobody was signed in. None of them tells whether there is such a login."""

    WRONG = "wrong"
    """Login, password or code; not which of them."""
    WAIT = "wait"
    """Too many failures: not before `Denied.seconds` have passed."""
    RESET = "reset"
    """So many failures that only an administrator helps."""
    ENDED = "ended"
    """All sessions of this person were ended while this sign-in was under way: to be tried again."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Nobody was signed in; `seconds` until another try is evaluated, of `WAIT`."""

    why: Denial
    seconds: int | None = None
