"""What the pages and the API ask of the inside. Any of these methods may raise `Unavailable`: then nobody is let in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web

from ivr.call.dial import Dialling
from ivr.call.proof import Proof
from ivr.config import Client
from ivr.lock import (
    Barred,
    Begun,
    Current,
    Done,
    Dropped,
    Found,
    Issued,
    Lifted,
    Offered,
    Place,
    Question,
    Record,
    Standing,
    Statistics,
    Watched,
    Why,
)
from ivr.lock import Denied as Shut
from ivr.lock.dialwords import DialAsked
from ivr.lock.peering import Proven, Sent, Unproven
from ivr.lock.proofwords import Asked, Choice, Speaking
from ivr.secret import Secret
from ivr.staff import Denied, LastSignIn, Permission, Person, SignedIn
from ivr.store.alarms import Alarm
from ivr.store.elements import Grant
from ivr.store.members import Listed, Member
from ivr.store.openings import Opening
from ivr.store.welcome import Offer, Unfit
from ivr.vault.password import Weak


class Session(Protocol):
    """Somebody who has signed in. `csrf` stands in that person's own pages, and in no other site's; `id` is not the token."""

    @property
    def id(self) -> str: ...
    @property
    def person(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def csrf(self) -> Secret: ...
    @property
    def last(self) -> LastSignIn | None: ...
    @property
    def proved(self) -> float:
        """When this person last showed who they are, in seconds since the epoch; 0 where nobody says."""
        ...

    @property
    def elsewhere(self) -> bool:
        """Whether a provider has asked."""
        ...


class Sessions(Protocol):
    async def end_all(self, tenant: str, person: str, *, but: Secret | None = None) -> int:
        """End all of this person, but for the one with this token."""
        ...

    async def of(self, token: Secret, *, used: bool = True) -> Any | None:
        """The session with this token; it goes on from now where it is `used`: an open page alone is not a person at work."""
        ...

    async def lives(self, tenant: str, hashed: str, *, used: bool = False) -> tuple[str, str] | None:
        """Identifier and person of the session whose token has this hash."""
        ...

    async def latest_of(self, tenant: str, person: str) -> str | None:
        """The hash of the token of this person's newest session."""
        ...


class People(Protocol):
    async def by_id(self, tenant: str, id: str) -> Person | None:
        """As the person stands at this moment."""
        ...

    async def by_login(self, tenant: str, login: str) -> Person | None:
        """Whoever signs in by this."""
        ...


class Elements(Protocol):
    """`ivr.store.elements.Elements`."""

    async def begin(self, grant: Grant, seconds: int) -> Secret: ...

    async def of(self, token: Secret) -> Grant | None: ...


class Door(Protocol):
    async def sign_in(self, tenant: str, login: str, password: Secret, code: Secret, address: str) -> SignedIn | Denied:
        """Counted before it is compared; the same, and as long, for logins that nobody has."""
        ...

    async def sign_in_by_passkey(
        self, tenant: str, answer: str, bound: bytes, address: str, *, login: str = "", password: Secret | None = None
    ) -> SignedIn | Denied:
        """The same by a passkey: alone, or beside a password."""
        ...

    async def begin(self, signed_in: SignedIn) -> tuple[Secret, Any] | Denied:
        """The token, which belongs into the cookie alone; denied where all of this person's sessions were ended meanwhile."""
        ...

    async def sign_out(self, token: Secret, session: Any, actor: str) -> None: ...

    async def sign_out_everywhere(self, session: Any, actor: str) -> int:
        """End all sessions of whose this one is."""
        ...

    async def lent(self, person: Person, program: str, origin: str) -> None:
        """Tell the trail, before anything comes of it."""
        ...


class Links(Protocol):
    """One-time links, with which a person sets a password and an authenticator app (`ivr.store.welcome`)."""

    async def offer(self, token: Secret, sealed: str = "") -> Offer | None:
        """Whom this one is for, with the key that is `sealed` or a new one; None where it is none, or no longer. Changes nothing."""
        ...

    async def accept(
        self, token: Secret, password: Secret, code: Secret, sealed: str, address: str
    ) -> Person | Unfit | Weak:
        """Set password and second factor, and use the link up; all of it, or nothing."""
        ...

    async def offer_passkey(self, token: Secret) -> dict[str, Any] | None:
        """What a browser makes a passkey of, in the app's stead."""
        ...

    async def accept_passkey(
        self, token: Secret, password: Secret, answer: str, name: str, address: str
    ) -> Person | Unfit | Weak:
        """As `accept`, with that passkey."""
        ...


class Lock(Protocol):
    """`ivr.lock.Lock`: a part that is down refuses; only `current` raises `Unavailable`."""

    async def current(self, person: Person) -> tuple[Current, ...]: ...

    async def not_permitted(self, person: Person, permission: Permission, route: str) -> None:
        """Tell the trail that this person's role has not what this route needs."""
        ...

    async def not_in_scope(self, person: Person, scope: str, route: str) -> None:
        """The same of a token that is lent in this person's name."""
        ...

    async def record(self, person: Person, ref: str, fields: Collection[str] | None = None) -> Record | Shut: ...

    async def act(self, person: Person, ref: str, action: str, arguments: Mapping[str, Secret]) -> Done | Shut: ...


class Midcall(Protocol):
    """`ivr.lock.Midcall`: a part that is down refuses. `call` is what `vault.Index.call` says."""

    def offered(self, tenant: str) -> tuple[Offered, ...]: ...

    async def verify(self, person: Person, call: str, policy: str) -> Begun | Shut: ...

    async def drop(self, person: Person, call: str, why: Why) -> Dropped | Shut: ...


class Prove(Protocol):
    """`ivr.lock.prove.Prove`: a part that is down refuses. `call` as of `Midcall`."""

    def offered(self) -> Choice: ...

    async def begin(self, person: Person, call: str, asked: Asked) -> Proof | Shut: ...

    async def again(self, person: Person, call: str) -> Speaking | Shut: ...

    async def cancel(self, person: Person, call: str) -> bool | Shut: ...


class Dial(Protocol):
    """`ivr.lock.dial.Dial`: a part that is down refuses; only `shown` raises `Unavailable`."""

    async def begin(self, person: Person, asked: DialAsked) -> Dialling | Shut: ...

    async def cancel(self, person: Person, id: str) -> bool | Shut: ...

    async def shown(self, person: Person) -> Dialling | None: ...


class Peering(Protocol):
    """`ivr.lock.peering.Peering`. `call` as of `Midcall`."""

    async def prove(
        self, person: Person, call: str, domain: str, *, department: str = "", about: str = ""
    ) -> Sent | Shut: ...

    async def read(self, person: Person, call: str, code: Secret) -> Proven | Unproven | Shut: ...


class Alarms(Protocol):
    """`ivr.store.alarms.RedisAlarms`."""

    async def of(self, tenant: str) -> Sequence[Alarm]: ...


class Reads(Protocol):
    """`ivr.lock.Reads`: a part that is down refuses."""

    async def standing(self, by: Person) -> tuple[Standing, ...] | Shut: ...

    async def lift(self, by: Person, whom: str, reason: str) -> Lifted | Shut: ...


class Glass(Protocol):
    """`ivr.lock.Glass`: a part that is down refuses."""

    async def ask(self, person: Person, ref: str, reason: str, fields: Collection[str]) -> Opening | Shut: ...

    async def waiting(self, by: Person) -> tuple[Opening, ...] | Shut: ...

    async def own(self, person: Person) -> tuple[Opening, ...] | Shut: ...

    async def approve(self, by: Person, id: str) -> Opening | Shut: ...

    async def decline(self, by: Person, id: str) -> bool | Shut: ...

    async def record(self, person: Person, id: str) -> Record | Shut: ...


class Watch(Protocol):
    """`ivr.lock.Watch`: each of them may raise `Unavailable`."""

    async def calls(self, by: Person) -> tuple[Watched, ...] | Shut: ...

    async def statistics(self, by: Person) -> Statistics | Shut: ...

    async def barred(self, by: Person) -> tuple[Barred, ...] | Shut: ...


class Review(Protocol):
    """`ivr.lock.Review`: a part that is down refuses."""

    async def rows(self, by: Person, question: Question, before: Place | None, most: int) -> Found | Shut:
        """A piece of the audit trail, the newest rows first; the look is in the trail itself."""
        ...


class Administration(Protocol):
    """`ivr.lock.Administration`: a part that is down refuses. Persons are named by `Person.id`."""

    async def people(self, by: Person, most: int, after: str | None = None, login: str | None = None) -> Listed | Shut:
        """At most so many of the own tenant, by their logins, behind the login `after`. `login`: those of whose login this is a part."""
        ...

    async def person(self, by: Person, whom: str) -> Member | Shut: ...

    async def not_fresh(self, by: Person, whom: str, act: str) -> Shut:
        """Tell the trail that one of these acts was asked for too long after a sign-in."""
        ...

    async def disable(self, by: Person, whom: str) -> Person | Shut: ...

    async def enable(self, by: Person, whom: str) -> Person | Shut: ...

    async def reset(self, by: Person, whom: str) -> tuple[Person, Secret] | Shut:
        """The token of a new one-time link."""
        ...


class Pace(Protocol):
    async def take(self, kind: str, whom: str, *, per_minute: int) -> float | None:
        """Count one request; the seconds to wait where it is one too many, and is not counted."""
        ...


class Program(Protocol):
    """One of `[clients.NAME]`."""

    @property
    def name(self) -> str: ...
    @property
    def rules(self) -> Client: ...


class Programs(Protocol):
    """`ivr.web.programs.Programs`; asks nobody."""

    def of_request(self, request: web.BaseRequest) -> Any | None:
        """The program that sends it; None where it does not say who it is, or not rightly."""
        ...

    def embeds(self, origin: str) -> bool:
        """Whether pages of this origin may hold the element of any of them."""
        ...


class Published(Protocol):
    """`ivr.lock.Signer`."""

    def published(self) -> Sequence[Mapping[str, str]]:
        """Every key that whoever checks tokens may need."""
        ...


class MarkTokens(Protocol):
    """`ivr.lock.MarkTokens`: a part that is down refuses; only `holds` raises `Unavailable`."""

    async def issue(self, person: Person, call: str, audience: str, session: str) -> Issued | Shut: ...

    async def holds(
        self, token: str, audiences: Collection[str], tenants: Collection[str]
    ) -> Mapping[str, Any] | None: ...


class Handovers(Protocol):
    """`ivr.store.handovers.Handovers`, as the desk uses it."""

    async def keep(self, session: Secret, host: str, begun: str) -> Secret | None:
        """A code for this host, good once, and for the browser alone that has begun there."""
        ...
