"""A lock on a real Redis and a real database; who talks with whom, and who works there, is what a test says."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest

from ivr.audit import Trail
from ivr.call.mark import Mark
from ivr.call.ports import Party, Talk
from ivr.config import Lock as Rules
from ivr.config import Settings
from ivr.database import Database
from ivr.errors import StoreError, Unavailable
from ivr.lock import (
    Administration,
    Denied,
    Glass,
    Lock,
    Locks,
    MarkTokens,
    Midcall,
    Reads,
    Reason,
    Record,
    Review,
    Signer,
    Watch,
)
from ivr.lock.calling import Calling
from ivr.lock.prover import Prover
from ivr.secret import Personal, Secret
from ivr.staff import Denied as Refused
from ivr.staff import Person, Role, SignedIn
from ivr.store.customers import Customers
from ivr.store.link import Link
from ivr.store.live import RedisLive
from ivr.store.pagekey import PageKey
from ivr.store.people import People
from ivr.store.register import Customer, NewCustomer, Register
from ivr.store.sessions import Sessions
from ivr.vault import Vault
from tests.contract.live_server import Server, placed
from tests.unit.database_kit import RECORD, SEAL, asked, database_of, keys_of, trail_of

NODE = "node-a"
HANGS = pytest.mark.parametrize("desk", [1.0], indirect=True, ids=["hangs"])
"""For a test in which the database does not come back: seconds until that is noticed. All others have time."""
ANNA = Person("p-anna", "acme", "anna", "Anna", Role.AGENT, "blue", frozenset({"PJSIP/anna"}))
BO = Person("p-bo", "acme", "bo", "Bo", Role.AGENT, "blue", frozenset({"PJSIP/bo"}))
SVEN = Person("p-sven", "acme", "sven", "Sven", Role.SUPERVISOR, "blue", frozenset({"PJSIP/sven"}))
RITA = Person("p-rita", "acme", "rita", "Rita", Role.AUDITOR)
ELSE = Person("p-else", "other", "sven", "Else", Role.SUPERVISOR, "blue")
PHONE = "+46701234567"


@dataclass
class Somebody:
    """A visitor, as a test says."""

    person: Person
    at: float
    alive: bool | StoreError = True
    asked: int = 0

    async def lives(self) -> bool:
        self.asked += 1
        if isinstance(self.alive, StoreError):
            raise self.alive
        return self.alive


class FakeTalks:
    """`Talks`, as the test says."""

    def __init__(self) -> None:
        self.talks: dict[str, tuple[Talk, ...]] = {}
        self.down = False
        self.meanwhile: Callable[[int], Awaitable[None]] | None = None
        """Told how often it was asked, before it answers."""
        self.asked = 0

    async def of(self, endpoint: str) -> tuple[Talk, ...]:
        self.asked += 1
        if self.meanwhile is not None:
            await self.meanwhile(self.asked)
        if self.down:
            raise Unavailable("no manager interface")
        return self.talks.get(endpoint, ())

    def told(self, endpoint: str) -> tuple[Talk, ...]:
        if self.down:
            raise Unavailable("no manager interface")
        return self.talks.get(endpoint, ())

    def told_of(self, node: str, channel: str) -> Talk | None:
        if self.down:
            raise Unavailable("no manager interface")
        for talk in (talk for some in self.talks.values() for talk in some if talk.node == node):
            for party in talk.others:
                if party.channel == channel:
                    rest = tuple(one for one in (talk.own, *talk.others) if one is not party)
                    return Talk(node, party, rest)
        return None

    def on_change(self, told: Callable[[frozenset[str]], None]) -> None:
        raise NotImplementedError


class FakeSwitch:
    """`lock.ports.Switch`, as the test says."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []
        self.gone = False
        self.down = False
        self.waiting: set[str] = set()
        """Names of channels that wait."""

    async def part(self, node: str, caller: str, agent: str, policy: str, go_on: Callable[[], Awaitable[bool]]) -> bool:
        self._up()
        if not await go_on():
            return False
        if not self.gone:
            self.done.append(("part", node, caller, agent, policy))
        return not self.gone

    async def waits(self, node: str, agent: str) -> bool:
        self._up()
        return agent in self.waiting

    async def show(self, mark: Mark, agent: str, display: Personal) -> bool:
        self._up()
        if not self.gone:
            self.done.append(("show", mark.node, mark.channel, agent))
        return not self.gone

    async def unmark(self, node: str, caller: str, agent: str) -> None:
        self._up()
        self.done.append(("unmark", node, caller, agent))

    async def event(self, node: str, name: str, fields: Mapping[str, str]) -> None:
        self.done.append(("event", node, name, *fields.values()))

    def _up(self) -> None:
        if self.down:
            raise Unavailable("no manager interface")


class FakeStaff:
    """`lock.ports.Staff`, as the test says."""

    def __init__(self, *persons: Person) -> None:
        self.persons = {person.id: person for person in persons}
        self.meanwhile: Callable[[int], None] | None = None
        """Told how often somebody was looked up, before the answer."""
        self.asked = 0

    async def by_id(self, tenant: str, id: str) -> Person | None:
        self.asked += 1
        if self.meanwhile is not None:
            self.meanwhile(self.asked)
        found = self.persons.get(id)
        return found if found is not None and found.tenant == tenant else None

    unnamed = by_id

    async def colleagues(self, tenant: str) -> list[Person]:
        return [person for person in self.persons.values() if person.tenant == tenant]

    async def teams(self, tenant: str) -> Mapping[str, str]:
        return {person.id: person.team for person in await self.colleagues(tenant)}

    async def owners_of(self, endpoints: Collection[str]) -> Mapping[str, Person]:
        return {one: person for person in self.persons.values() for one in person.endpoints if one in endpoints}

    async def owner_ids_of(self, endpoints: Collection[str]) -> Mapping[str, tuple[str, str]]:
        return {one: (person.tenant, person.id) for one, person in (await self.owners_of(endpoints)).items()}

    def change(self, person: Person, **changes: Any) -> Person:
        changed = replace(person, **changes)
        self.persons[changed.id] = changed
        return changed


@dataclass
class Lines:
    """A log whose lines are kept."""

    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **fields: self.lines.append((level, event, fields))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [fields for _, name, fields in self.lines if name == event]


@dataclass
class Desk:
    """What the agents of a test work with."""

    settings: Settings
    database: Database
    live: RedisLive
    trail: Trail
    talks: FakeTalks
    staff: FakeStaff
    register: Register
    link: Link
    vault: Vault
    lock: Lock
    midcall: Midcall
    switch: FakeSwitch
    reads: Reads
    glass: Glass
    tokens: MarkTokens
    signer: Signer
    watch: Watch
    review: Review
    administration: Administration
    log: Lines
    prover: Prover | None = None
    calling: Calling | None = None

    async def read(self, ref: str) -> Customer | None:
        """The record, past the lock."""
        async with self.database.read() as connection:
            return await self.register.by_ref(connection, ref)

    def id(self, channel: str = "c.1") -> str:
        """What the API calls the call of this channel."""
        return self.vault.index.call(NODE, channel)

    async def customer(
        self, number: str = "10001", name: str = "Xenia Ask", *phones: str, tenant: str = ANNA.tenant, language: str = "sv",
    ) -> str:  # fmt: skip
        """A new one's reference."""
        new = NewCustomer(
            Secret(number), Personal(name), tuple(map(Personal, phones or (PHONE,))), RECORD, language, tenant=tenant
        )  # fmt: skip
        sealed = self.register.seal(new)
        async with self.database.write() as connection:
            assert await self.register.add(connection, [sealed])
        return sealed.ref

    @property
    def sessions(self) -> Sessions:
        """Who has signed in."""
        return self.live.sessions(self.settings.desk)

    async def signed_in(self, person: Person = ANNA) -> tuple[Secret, str]:
        """Token and identifier of a new session."""
        begun = await self.sessions.begin(SignedIn(person, None, 0))
        assert not isinstance(begun, Refused)
        return begun[0], begun[1].id

    async def marked(self, ref: str, channel: str = "c.1", *, level: int = 2, seconds: int = 600) -> Mark:
        """The caller of this channel is verified."""
        mark = Mark(NODE, channel, ref, level, ("pin", "sms_code"), "usual", int(time.time()) + seconds, f"n-{channel}")
        await placed(self.live, mark)
        return mark

    def joined(self, person: Person, *channels: str, held: bool = False) -> None:
        """This person's first phone is joined with callers by a trunk; with none: with nobody."""
        (endpoint, *_) = sorted(person.endpoints)
        others = tuple(Party(one, "PJSIP/trunk", Personal("+46701112233"), False, 1.0) for one in channels)
        own = Party(f"own-{person.id}", endpoint, None, held, 1.0)
        self.talks.talks[endpoint] = (Talk(NODE, own, others),) if others else ()

    async def call(self, person: Person = ANNA, *, level: int = 2, channel: str = "c.1", number: str = "10001") -> str:
        """A verified customer talks with this person; the reference."""
        ref = await self.customer(number)
        await self.marked(ref, channel, level=level)
        self.joined(person, channel)
        return ref

    async def rows(self) -> list[tuple[str, str, str]]:
        """Actor, action and outcome of each row of the trail."""
        return [
            tuple(row) for row in await asked(self.database, "SELECT actor, action, outcome FROM audit ORDER BY seq")
        ]

    async def last(self) -> tuple[str, str, str, str, str, dict[str, str]]:
        """Actor, action, outcome, call, subject and detail of the latest row."""
        query = "SELECT actor, action, outcome, call, subject, detail FROM audit ORDER BY seq DESC LIMIT 1"
        (row,) = await asked(self.database, query)
        return (*row[:5], orjson.loads(row[5]))


@asynccontextmanager
async def desk_of(
    settings: Settings,
    server: Server,
    rules: Mapping[str, Any] | None = None,
    *,
    people: bool = False,
    page: PageKey | None = None,
) -> AsyncIterator[Desk]:
    """On this database and this Redis; `rules` are what `[lock]` has. `people`: who works there stands in the database.

    `page`: the key with which it is proved who speaks.
    """
    vault = Vault(keys_of(settings), settings)
    live = await RedisLive.open(server.settings())
    link = Link.of(server.settings())
    log: Any = Lines()
    talks, switch, staff = FakeTalks(), FakeSwitch(), FakeStaff(ANNA, BO, SVEN, RITA, ELSE)
    seconds = settings.database.request_seconds
    try:
        async with await database_of(settings, vault) as database, trail_of(database, "desk", seconds=seconds) as trail:
            locks = Locks.of(
                settings.model_copy(update={"lock": Rules.model_validate(rules or {}), "policies": _of_acme(settings)}),
                talks=talks, switch=switch, staff=People(database, vault) if people else staff, live=live, link=link,
                customers=await Customers.open(database, vault), trail=trail, seal=SEAL, chain="desk", log=log, page=page,
                calls=settings.calls.dial is not None,
            )  # fmt: skip
            yield Desk(
                settings, database, live, trail, talks, staff, Register(vault), link, vault, locks.lock, locks.midcall, switch,
                locks.reads, locks.glass, locks.tokens, locks.signer, locks.watch, locks.review, locks.administration, log, locks.prover,
                locks.calling,
            )  # fmt: skip
    finally:
        await link.close()
        await live.close()
        vault.close()


def _of_acme(settings: Settings) -> dict[str, Any]:
    """The policies, which verify the customers of those who work here."""
    return {name: one.model_copy(update={"tenant": ANNA.tenant}) for name, one in settings.policies.items()}


def given(record: Record | Denied) -> dict[str, Any]:
    """What a record shows, in clear."""
    assert isinstance(record, Record), record

    def clear(value: Any) -> Any:
        if isinstance(value, tuple):
            return [one.reveal() for one in value]
        return value.reveal() if isinstance(value, Personal) else value

    return {name: clear(value) for name, value in record.fields.items()}


def denied(reason: Reason, needs: int | None = None) -> Denied:
    return Denied(reason, needs)
