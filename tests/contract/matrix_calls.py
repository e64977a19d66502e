"""The calls with which every route is walked: who is on whose line, as Asterisk and the workers would tell it, and which customers there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import orjson

from ivr.call.mark import Mark
from ivr.call.ports import Party, Talk, Waiting
from ivr.secret import Personal, Secret
from ivr.staff import Person
from ivr.store.link import Link
from ivr.store.openings import Opening, RedisOpenings
from ivr.store.register import NewCustomer, Register
from ivr.store.waits import waits_key, written
from tests.contract.desk_kit import House
from tests.contract.live_server import round_of
from tests.contract.lock_kit import FakeSwitch, FakeTalks
from tests.unit.database_kit import RECORD

NODE = "node-a"
CALLER, STRANGER = "+46701112233", "+46702223344"
TRUNK = "PJSIP/trunk"

STATES = (
    "no call", "ringing", "not verified", "verifying", "keying", "refused", "level 1", "level 2", "level 3", "other customer", "third party",
    "two customers", "two calls", "held", "asking a colleague", "somebody else meanwhile", "colleague", "hung up", "expired", "locked",
    "opened",
)  # fmt: skip
OPEN = frozenset({"level 1", "level 2", "level 3", "held", "asking a colleague"})
"""In these alone the customer is verified on a call of the person's."""

_APART = frozenset({"no call", "ringing", "keying", "hung up", "opened"})
_UNMARKED = frozenset({"no call", "not verified", "verifying", "refused", "colleague", "opened"})
_BOTH_MARKED = frozenset({"two customers", "two calls"})


@dataclass(frozen=True)
class Known:
    """A customer. `ref`: made by the register."""

    number: str
    name: str
    phone: str
    ref: str = ""

    @property
    def canaries(self) -> frozenset[str]:
        """What of the record is found where somebody is given it, also half of it, or in another spelling."""
        return frozenset({self.number, self.phone, self.phone[3:], *self.name.split()})


ANNA = Known("70001234", "Xenia Kanariefågel", "+46701999888")
OTHER = Known("70005678", "Orvar Sidovagn", "+46701999777")
SHUT = Known("70009012", "Yrsa Låstbom", "+46701999666")
"""Is locked."""
CUSTOMERS = (ANNA, OTHER, SHUT)


class Talks(FakeTalks):
    """As the desk's process wants it."""

    known = True

    def __init__(self) -> None:
        super().__init__()
        self._told: list[Callable[[frozenset[str]], None]] = []

    def on_change(self, told: Callable[[frozenset[str]], None]) -> None:
        self._told.append(told)

    def around(self, *_: str) -> frozenset[str]:
        return frozenset()

    def tell(self, *endpoints: str) -> None:
        for told in self._told:
            told(frozenset(endpoints))


@dataclass
class Line:
    """What is on the phone of one person at a time."""

    house: House
    link: Link
    talks: Talks = field(default_factory=Talks)
    switch: FakeSwitch = field(default_factory=FakeSwitch)
    customers: dict[str, Known] = field(default_factory=dict)
    calls: int = 0
    channel: str = ""
    state: str = ""

    @property
    def prefix(self) -> str:
        return self.house.settings.redis.prefix

    @property
    def call(self) -> str:
        """What the API calls it."""
        return self.house.vault.index.call(NODE, self.channel)

    @property
    def asked(self) -> Known:
        """The customer who is asked for."""
        return self.customers[(SHUT if self.state == "locked" else ANNA).number]

    async def add_customers(self) -> None:
        register = Register(self.house.vault)
        for known in CUSTOMERS:
            new = NewCustomer(Secret(known.number), Personal(known.name), (Personal(known.phone),), RECORD, "sv")
            sealed = register.seal(new)
            async with self.house.database.write() as connection:
                assert await register.add(connection, [sealed])
            if known is SHUT:
                async with self.house.database.write() as connection:
                    found = await register.find(connection, Secret(known.number))
                    assert found is not None
                    await register.set_locked(connection, found, locked=True)
            self.customers[known.number] = replace(known, ref=sealed.ref)

    async def put(self, state: str, whose: Person, colleague: Person) -> None:
        """The call of this person is so now; it is another one each time."""
        self.calls += 1
        await self._put(state, whose, colleague)

    async def again(self, state: str, whose: Person, colleague: Person) -> None:
        """The same call is so now."""
        await self.link.ask("DEL", f"{self.prefix}:mark:{NODE}:{self.channel}")
        await self._put(state, whose, colleague)

    async def _put(self, state: str, whose: Person, colleague: Person) -> None:
        self.state, self.channel, self.switch.waiting = state, f"c.{self.calls}", set()
        (endpoint,) = whose.endpoints
        self.talks.talks = {} if state in _APART else {endpoint: self._talks(endpoint, colleague)}
        await self.link.ask("DEL", waits_key(self.prefix, endpoint))
        if state in ("verifying", "refused"):
            progress = round_of(NODE, self.channel)
            await self.house.live.begin(replace(progress, status="refused" if state == "refused" else ""))
        if state == "keying":
            await self._waits(endpoint)
        if state not in _UNMARKED:
            await self._mark(self.channel, OTHER if state == "other customer" else self.asked)
        if state in _BOTH_MARKED:
            await self._mark(f"s.{self.calls}", OTHER)

    def put_beside(self, whose: Person) -> str:
        """A caller on somebody else's phone at the same time, not verified; the channel."""
        (endpoint,) = whose.endpoints
        channel = f"b.{self.calls}"
        own, caller = (
            Party(name, *rest, False, 1.0)
            for name, *rest in ((f"o.{self.calls}", endpoint, None), (channel, TRUNK, None))
        )
        self.talks.talks[endpoint] = (Talk(NODE, own, (caller,)),)
        return channel

    def _talks(self, endpoint: str, colleague: Person) -> tuple[Talk, ...]:
        state, call = self.state, self.calls
        away = state in ("held", "asking a colleague", "somebody else meanwhile")
        own, second = (Party(f"{name}.{call}", endpoint, None, False, 1.0) for name in ("own", "second"))
        own = replace(own, held=away)
        caller = Party(self.channel, TRUNK, Personal(CALLER), False, 1.0, first=True)
        stranger = Party(f"s.{call}", TRUNK, Personal(STRANGER), False, 1.0)
        works_here = Party(f"w.{call}", next(iter(colleague.endpoints)), None, False, 1.0)
        match state:
            case "third party" | "two customers":
                return (Talk(NODE, own, (caller, stranger)),)
            case "two calls" | "somebody else meanwhile":
                return Talk(NODE, own, (caller,)), Talk(NODE, second, (stranger,))
            case "asking a colleague":
                return Talk(NODE, own, (caller,)), Talk(NODE, second, (works_here,))
            case "colleague":
                return (Talk(NODE, own, (works_here,)),)
            case _:
                return (Talk(NODE, own, (caller,)),)

    async def _waits(self, endpoint: str) -> None:
        waiting = Waiting(NODE, self.channel, f"{endpoint}-0000{self.calls:04x}", "+46…33", 1.0, "pin", 2)
        self.switch.waiting = {waiting.agent}
        told = b"%d %b" % ((int(time.time()) + 600) * 1000, written(waiting))
        await self.link.ask("HSET", waits_key(self.prefix, endpoint), waiting.agent, told)

    async def _mark(self, channel: str, whom: Known) -> None:
        until = int(time.time()) + (-60 if self.state == "expired" else 600)
        level, ref = int(self.state[-1]) if self.state.startswith("level") else 2, self.customers[whom.number].ref
        mark = Mark(NODE, channel, ref, level, ("pin", "sms_code"), "main", until, f"nonce-{channel}")
        await self.link.ask("SET", f"{self.prefix}:mark:{NODE}:{channel}", orjson.dumps(asdict(mark)), "EX", 600)

    # ------------------------------------------------------------ without a call

    async def no_wishes(self) -> None:
        """All that stand, taken back."""
        keys = [key.decode() for key in await self.link.ask("KEYS", f"{self.prefix}:opening:*")]  # type: ignore[attr-defined]
        if keys:
            await self.link.ask("DEL", *keys)

    async def open_for(self, person: Person, second: Person) -> str:
        """This person has wished for the record, and the second one has agreed."""
        await self.no_wishes()
        openings = RedisOpenings(self.link, self.prefix)
        fields = ("name", "phones")
        wish = Opening(
            "w" * 22,
            person.tenant,
            person.id,
            person.login,
            self.asked.ref,
            fields,
            "call back",
            int(time.time()) + 600,
        )
        assert await openings.keep(wish, most=9)
        assert await openings.approve(wish, replace(wish, approved_by=second.id))
        return wish.id
