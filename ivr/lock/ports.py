"""What the lock asks of the outside. `Talks` and `Trail` are those of `ivr.call.ports`.

Any of these methods may raise `Unavailable`; then nothing is given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

from ivr.audit.rates import Rates, Round
from ivr.call.mark import Mark
from ivr.call.outcome import Status
from ivr.call.ports import Entry, Talk, Waiting
from ivr.call.progress import Progress
from ivr.lock.actions import Change
from ivr.secret import Personal, Secret
from ivr.staff import Person
from ivr.store.holds import Hold
from ivr.store.openings import Opening
from ivr.store.reads import Counted, Notice, Stopped
from ivr.store.register import Customer


class Sessions(Protocol):
    async def has(self, tenant: str, person: str, id: str) -> bool:
        """Whether this person is still signed in by the session of this identifier."""
        ...


class Visitor(Protocol):
    """Who asks by one request."""

    @property
    def person(self) -> Person: ...

    @property
    def at(self) -> float:
        """When the session and the person were read, in monotonic seconds."""
        ...

    async def lives(self) -> bool:
        """Whether that session has not ended."""
        ...


class Staff(Protocol):
    """Those who sign in, as they stand at this moment: what a session remembers of them may be old."""

    async def by_id(self, tenant: str, id: str) -> Person | None: ...

    async def colleagues(self, tenant: str) -> Sequence[Person]:
        """All of a tenant."""
        ...

    async def owners_of(self, endpoints: Collection[str]) -> Mapping[str, Person]:
        """Whose phones these are, whatever the tenant, the disabled among them; an endpoint that is nobody's is missing."""
        ...

    async def owner_ids_of(self, endpoints: Collection[str]) -> Mapping[str, tuple[str, str]]:
        """The same, by tenant and identifier."""
        ...


class Teams(Staff, Protocol):
    async def teams(self, tenant: str) -> Mapping[str, str]:
        """The teams of all of a tenant, by the identifiers of those who are in them."""
        ...


class Marks(Protocol):
    async def mark(self, node: str, channel: str) -> Mark | None:
        """The mark of this channel; None where there is none, or no longer."""
        ...

    async def marks(self, channels: Sequence[tuple[str, str]]) -> Sequence[Mark | None]:
        """The same of each of these channels, with its node."""
        ...

    async def progress(self, node: str, channel: str) -> Progress | None:
        """How far the verification of this channel's caller is; None where there is none under way."""
        ...

    async def take_away(self, mark: Mark) -> bool:
        """Remove this very mark; False where it is not there any more, whatever stands in its place."""
        ...


class Waits(Protocol):
    """Who waits for a caller, as the workers tell it, and how that ended."""

    async def of(self, endpoint: str) -> tuple[Sequence[Waiting], Waiting | None]:
        """Those whom the phones of this endpoint wait for; and a caller who has hung up meanwhile, as long as that is news.

        That nobody has told of an end does not mean that there was none.
        """
        ...

    async def among(self, endpoints: Collection[str]) -> Sequence[Waiting]:
        """Those whom the phones of any of these wait for."""
        ...

    async def ended(self, node: str, channel: str) -> Status | None:
        """How the last verification of this call ended, where that was in mid-call."""
        ...

    async def claim(self, node: str, channel: str) -> bool:
        """Whether nobody else is about to part this call; nobody is, then, until one of these two."""
        ...

    async def parted(self, node: str, channel: str) -> None:
        """It is done, or nobody knows whether it is."""
        ...

    async def release(self, node: str, channel: str) -> None:
        """Nothing was done."""
        ...


class Switch(Protocol):
    """What is done to channels of a node."""

    async def part(self, node: str, caller: str, agent: str, policy: str, go_on: Callable[[], Awaitable[bool]]) -> bool:
        """Send the caller to be verified, and the agent to wait, if `go_on` says so in the last moment.

        Both by their unique ids; both go, or none. False where nothing was done: it said no, or one of them is not there
        any more.
        """
        ...

    async def waits(self, node: str, agent: str) -> bool:
        """Whether this channel, by its name, waits for a caller now."""
        ...

    async def show(self, mark: Mark, agent: str, display: Personal) -> bool:
        """Announce a mark: by the caller's variables and name, and that name on the agent's display. False where the caller is gone."""
        ...

    async def unmark(self, node: str, caller: str, agent: str) -> None:
        """Take back what announces a mark: the caller's variables and name, and that name on the agent's display."""
        ...

    async def event(self, node: str, name: str, fields: Mapping[str, str]) -> None:
        """Tell the PBX's administrators."""
        ...


class Floor(Protocol):
    def told(self, endpoint: str) -> tuple[Talk, ...]:
        """An endpoint's talks as far as events tell: to be looked at, and nothing is given out by it."""
        ...


class Glances(Protocol):
    async def glance(
        self, channels: Sequence[tuple[str, str]]
    ) -> Sequence[tuple[Mark | None, Progress | None, Status | None]]:
        """Of each of these channels, with its node, the mark, how far its verification is, and how the last in mid-call ended."""
        ...


class Holds(Protocol):
    """What is locked now."""

    async def in_force(self) -> Sequence[Hold]:
        """For failures."""
        ...

    async def customers(self, tenant: str, keys: Collection[str]) -> Mapping[str, str]:
        """The references of this tenant's customers of these keys (`Hold.of`)."""
        ...

    async def locked(self, tenant: str, most: int) -> Sequence[str]:
        """References of this tenant's customers whom somebody has locked."""
        ...


class Rounds(Protocol):
    """What the audit trail tells of verifications."""

    async def rates(self) -> Rates:
        """How they ended, in the last hour and day."""
        ...

    async def of(self, calls: Collection[str]) -> Mapping[str, Round]:
        """The latest of each of these calls."""
        ...


class Records(Protocol):
    """Customers, by their tenant and reference: another tenant's is as one that nobody has."""

    async def in_force(self, tenant: str, ref: str) -> bool:
        """Whether the customer is there and not locked."""
        ...

    async def by_number(self, tenant: str, number: Secret) -> tuple[str, bool] | None:
        """The reference of the customer with this number, and `in_force`."""
        ...

    async def by_phone(self, tenant: str, number: Personal) -> tuple[str, bool] | None:
        """The same of the one customer with this telephone number; None where there is none, or more than one."""
        ...

    async def read(self, tenant: str, ref: str) -> Customer | None:
        """Decrypted; None where there is no such customer any more."""
        ...

    async def act(
        self, tenant: str, ref: str, change: Change, entry: Entry, go_on: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Make the change and write its audit row, both or neither, if `go_on` says so in the midst of it.

        False where nothing was done: it said no, or there is no such customer any more. Raises `InputError` where the
        record is not one on which it can be done.
        """
        ...


class Counts(Protocol):
    """Reads, counted by person. Each method is atomic and one round trip."""

    async def count(self, person: str, ref: str, *, hour: int, day: int) -> Counted | Stopped:
        """Count one read, unless it would be more customers in an hour, or a day, than these."""
        ...

    async def of(self, persons: Sequence[str]) -> Sequence[tuple[int, int, bool, bool]]:
        """Of each: how many in an hour, how many in a day, whether stopped, and whether warned of."""
        ...

    async def warn(self, person: str) -> Notice:
        """The warning of this person; for an hour it is the same."""
        ...

    async def told(self, person: str, which: str) -> None:
        """The trail was told of this stop, or of this warning."""
        ...

    async def lift(self, person: str) -> None:
        """Begin the counts anew."""
        ...


class Openings(Protocol):
    """Wishes to open a record without a call. They end by themselves."""

    async def keep(self, wish: Opening, *, most: int) -> bool:
        """False, and it is not kept, where this person has so many."""
        ...

    async def of(self, tenant: str, id: str) -> Opening | None: ...

    async def waiting(self, tenant: str) -> Sequence[Opening]:
        """Those that nobody has granted or declined yet."""
        ...

    async def of_person(self, tenant: str, person: str) -> Sequence[Opening]:
        """Those that this person has asked for."""
        ...

    async def approve(self, wish: Opening, opened: Opening) -> bool:
        """Put the one in the other's place, in one step; False where it is not as it was any more."""
        ...

    async def drop(self, wish: Opening) -> bool:
        """Whether it was there."""
        ...
