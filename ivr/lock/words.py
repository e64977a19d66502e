"""What the lock says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ivr.call.outcome import Status
from ivr.lock.proofwords import Proving
from ivr.secret import Personal
from ivr.staff import TENANT


class Channel(NamedTuple):
    """A channel of a node: two Asterisks may have channels of one name."""

    node: str
    id: str


class Reason(StrEnum):
    """Why something is refused. None of them tells anything of a customer who is not verified on the call."""

    NO_CALL = "no_call"
    """No phone of this person's is joined with a caller."""
    THIRD_PARTY = "third_party"
    """Somebody is in the talk, or in another talk at the same time, who is not the one caller."""
    NOT_VERIFIED = "not_verified"
    EXPIRED = "expired"
    """The caller was verified; the mark has ended."""
    OTHER_CUSTOMER = "other_customer"
    """The caller is verified as another customer than the one who is asked for, or nobody has that reference."""
    LEVEL = "level"
    """The caller is verified, but not at the level that this needs."""
    NOT_IN_FORCE = "not_in_force"
    """The customer was locked or erased meanwhile."""
    NO_SUCH_VALUE = "no_such_value"
    """The record is not one on which this can be done. For the trail alone."""
    TOO_MANY_READS = "too_many_reads"
    """This person has read so many customers' records that another person must look at it first."""
    TOO_MANY_WISHES = "too_many_wishes"
    """This person has as many wishes to open a record without a call as may stand at once."""
    UNDER_WAY = "under_way"
    """The same caller is being sent to be verified at this moment: pressed twice, or in two windows."""
    NO_WAY = "no_way"
    """Nothing can be sent to whoever is on the line: it is not known who that is, or there is no number on record to send to."""
    PROOF_UNDER_WAY = "proof_under_way"
    """On this call, or with this customer, one proof waits for its answer already."""
    NO_PROOF = "no_proof"
    """There is none on this call that this could be done with now."""
    DENIED_LATELY = "denied_lately"
    """The customer has said a while ago not to be talking with us."""
    TOO_MANY_PROOFS = "too_many_proofs"
    """So many went to this customer, or so many texts at all, that no other one goes now."""
    PUBLISHED_CLOSED = "published_closed"
    """So many wrong digits were keyed at the published number that none are right there for a while."""
    IN_CALL = "in_call"
    """A phone of this person's is in a call."""
    DIALLING = "dialling"
    """A call of this person's is being begun already."""
    PHONE_AWAY = "phone_away"
    """No phone of this person's can ring now: none is registered, or each is busy."""
    NO_TELEPHONE = "no_telephone"
    """There is no such customer in force, or no such telephone number on record that is called: which of them is told to nobody."""
    TOO_MANY_CALLS = "too_many_calls"
    """So many calls were begun by this person, or to this customer, that no other one is now."""
    NOT_PERMITTED = "not_permitted"
    NOT_SIGNED_IN = "not_signed_in"
    """The session has ended while the request was under way."""
    INSUFFICIENT_SCOPE = "insufficient_scope"
    """The token that a page holds in this person's name is not for this, whatever the person may (RFC 6750, 3.1)."""
    NOT_FRESH = "not_fresh"
    """This person has signed in too long ago for what changes others."""
    UNKNOWN_BRIDGES = "unknown_bridges"
    """It is not known who talks with whom."""
    UNAVAILABLE = "unavailable"
    """A part that is needed is down: the marks, the customers, the counts, or the audit trail."""
    NOT_FOUND = "not_found"
    """Nobody of the own tenant has this identifier."""
    ONESELF = "oneself"
    """Administrators do not change themselves."""
    LAST_ADMINISTRATOR = "last_administrator"
    DISABLED = "disabled"
    """Whoever is disabled gets no link."""
    BY_COMMAND = "by_command"
    """This person may do more than take calls, or the one who asks may agree to wishes: a link is given on the machine itself."""
    NOT_OPEN = "not_open"
    """There is no such wish to open a record without a call, it is over, or it is not this person's to use or to grant."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The caller of `call` is this customer at `level`; the mark ends at `until` (seconds since the epoch)."""

    call: Channel
    level: int
    until: int


@dataclass(frozen=True, slots=True)
class Denied:
    """It stays shut. `needs`: the level that it takes, where that is why."""

    reason: Reason
    needs: int | None = None


Value = Personal | tuple[Personal, ...] | str | bool | None
"""What a field of a record holds; None: there is nothing in it."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was asked for of one customer. `call` is None where it was opened without one (`glass`)."""

    ref: str
    call: Channel | None
    level: int
    until: int
    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Done:
    """The customer is changed, and the audit trail tells of it."""

    call: Channel
    action: str


class State(StrEnum):
    """How far the caller of a talk is."""

    NOT_VERIFIED = "not_verified"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    REFUSED = "refused"
    GONE = "gone"
    """The caller has hung up while this person waited."""


class Why(StrEnum):
    """Why a mark is taken away."""

    OVER = "over"
    """It is needed no longer, or somebody else has the phone now."""
    WRONG_PERSON = "wrong_person"
    """Whoever speaks is not the customer, although verified: supervisors are told."""


@dataclass(frozen=True, slots=True)
class Keying:
    """How far a caller is who is being verified in mid-call: a count of keys, never a key.

    `step` is empty between two steps; an entry has `least` to `most` digits, both 0 where none is asked for.
    """

    step: str
    keyed: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Begun:
    """The caller is on the way to the keypad part, and the agent waits."""

    id: str
    call: Channel
    policy: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """The mark is gone."""

    call: Channel
    why: Why


@dataclass(frozen=True, slots=True)
class Offered:
    """A policy that may be chosen in mid-call, by people of the tenant whose customers it verifies."""

    name: str
    level: int
    steps: tuple[str, ...]
    tenant: str = TENANT


class Direction(StrEnum):
    """Who has called whom."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(frozen=True, slots=True)
class Current:
    """A caller with whom a phone of this person's is joined now, or for whom it waits.

    `id`: what the API calls the call (`vault.Index.call`). `number` is masked. `held`: this person has put the caller on hold. `since` and `until` are seconds since the epoch.
    `level` and `until` stand where `state` is verified; `methods` and `ref` where that customer is in force in the person's tenant as well;
    `name` where the record is open to this person at the level that a name needs. `shut` says why the record is not open; None where it is, at `level`.
    `keying`: of a caller for whom this person waits. `ended`: how the last verification of this call ended, where that was
    in mid-call and did not verify anybody. `proof`: the latest that this person has asked for on this call, where `proof_known`. `verifiable`, `droppable`,
    `digits_closed`: until when no digits are right at the published number (seconds since the epoch).
    `provable` and `peerable` (each side can prove its organisation to the other): what this person may do now. `dialled`: the reference
    of the customer of the person's tenant whom a call from the desk has reached; who has answered, it does not tell.
    """

    id: str
    call: Channel
    number: str | None
    held: bool
    since: float
    state: State
    shut: Reason | None
    level: int = 0
    methods: tuple[str, ...] = ()
    until: int | None = None
    ref: str | None = None
    name: Personal | None = None
    direction: Direction = Direction.INBOUND
    keying: Keying | None = None
    ended: Status | None = None
    verifiable: bool = False
    droppable: bool = False
    provable: bool = False
    proof: Proving | None = None
    proof_known: bool = True
    dialled: str | None = None
    peerable: bool = False
    digits_closed: int | None = None
