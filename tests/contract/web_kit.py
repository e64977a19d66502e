"""A desk on a port of its own, with a real Redis; who signs in, and who is on the line, says the test."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest

from ivr import lock
from ivr.call.dial import Dialling, DialStage
from ivr.call.proof import Proof, Shown, Way
from ivr.config import Settings
from ivr.errors import InputError, Unavailable
from ivr.lock import (
    FIELDS,
    Barred,
    Begun,
    Channel,
    Current,
    Done,
    Dropped,
    Found,
    Issued,
    Lifted,
    Noted,
    Offered,
    Place,
    Question,
    Reason,
    Record,
    Standing,
    State,
    Statistics,
    Why,
)
from ivr.lock import Denied as Shut
from ivr.lock.dialwords import DialAsked
from ivr.lock.marktokens import KIND
from ivr.lock.peering import Proven, Sent, Unproven
from ivr.lock.proofwords import Asked, Choice, Speaking
from ivr.metrics import Readiness
from ivr.secret import Personal, Secret
from ivr.staff import Denial, Denied, LastSignIn, Permission, Person, Role, SignedIn
from ivr.store.alarms import Alarm
from ivr.store.elements import Elements
from ivr.store.handovers import Handovers
from ivr.store.link import Link
from ivr.store.members import Listed, Member
from ivr.store.openings import Opening
from ivr.store.pace import RedisPace
from ivr.store.sessions import Session, Sessions
from ivr.store.welcome import Offer, Unfit
from ivr.vault.password import Weak
from ivr.vault.tokens import TokenKey
from ivr.web.certificate import tls_of
from ivr.web.live import Hub
from ivr.web.programs import Programs
from ivr.web.server import DeskServer
from ivr.web.visit import SESSION, House
from tests.contract.live_server import Server

PASSWORD = "korrekt häst batteri klammer"
CODE = "246810"
ANNA = Person("p-anna", "main", "anna", "Anna Ek", Role.AGENT, endpoints=frozenset({"PJSIP/anna"}))
AUDITOR = Person("p-rut", "main", "rut", "Rut Revisor", Role.AUDITOR)
ADMINISTRATOR = Person("p-ada", "main", "ada", "Ada Min", Role.ADMINISTRATOR)
SUPERVISOR = Person("p-siv", "main", "siv", "Siv Chef", Role.SUPERVISOR)
WHOM = "abcdefghijkl"
LINK = "a" * 43
AUDIENCE = "https://crm.example.com"
CRM_SECRET, CRM_NEXT = "s" * 40, "n" * 40
TOKEN_KEY = TokenKey.new()
REF = "perukcnyu6jt"
DIALLING = Dialling("d" * 22, REF, "PJSIP/anna")
CALL = Current(
    "Zm9vYmFyYmF6cXV4cXV1eA",
    Channel("node", "17.1"),
    "+46…01",
    False,
    1_700_000_000.0,
    State.NOT_VERIFIED,
    Reason.NOT_VERIFIED,
)
VERIFIED = replace(
    CALL, state=State.VERIFIED, shut=None, level=2, methods=("pin", "sms_code"), until=1_900_000_000, ref=REF,
    name=Personal("Anna Andersson"),
)  # fmt: skip


@dataclass
class World:
    """Stands in for what is behind the pages: people, and the lock's word."""

    sessions: Sessions
    people: dict[str, Person] = field(
        default_factory=lambda: {person.id: person for person in (ADMINISTRATOR, ANNA, AUDITOR, SUPERVISOR)}
    )
    calls: tuple[Current, ...] = ()
    down: bool = False
    broken: bool = False
    later: float = 0.0
    """Seconds by which the desk's clock is ahead."""
    waits: int | None = None
    record_of: Mapping[str, Any] | None = None
    weakness: Weak | None = None
    taken: int = 0
    told: Callable[[frozenset[str]], None] | None = None
    issuer: str = ""
    lent_to: list[tuple[str, str, str]] = field(default_factory=list)
    welcome_name: str = "Ny Person"
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    pressed: list[tuple[str, str]] = field(default_factory=list)
    choices: tuple[Offered, ...] = (Offered("main", 2, ("pin", "sms_code")), Offered("quick", 1, ("pin",)))

    async def by_id(self, tenant: str, id: str) -> Person | None:
        self._up()
        return self.people.get(id)

    async def by_login(self, tenant: str, login: str) -> Person | None:
        self._up()
        return next((one for one in self.people.values() if (one.tenant, one.login) == (tenant, login)), None)

    async def lent(self, person: Person, program: str, origin: str) -> None:
        self.lent_to.append((person.id, program, origin))

    async def sign_in(self, tenant: str, login: str, password: Secret, code: Secret, address: str) -> SignedIn | Denied:
        self._up()
        if self.waits is not None:
            return Denied(Denial.WAIT, self.waits)
        found = next((one for one in self.people.values() if one.login == login and one.tenant == tenant), None)
        if (
            found is None
            or password != Secret(PASSWORD)
            or Secret.join([code]) not in (Secret(CODE), Secret("246 810"))
        ):
            return Denied(Denial.WRONG)
        return SignedIn(found, LastSignIn("2026-11-20T08:15:00+00:00", "10.0.*", 1), 0)

    async def sign_in_by_passkey(
        self, tenant: str, answer: str, bound: bytes, address: str, *, login: str = "", password: Secret | None = None
    ) -> SignedIn | Denied:
        return Denied(Denial.WRONG)

    async def begin(self, signed_in: SignedIn) -> tuple[Secret, Session] | Denied:
        return await self.sessions.begin(signed_in)

    async def offer_passkey(self, token: Secret) -> dict[str, Any] | None:
        return None

    async def accept_passkey(
        self, token: Secret, password: Secret, answer: str, name: str, address: str
    ) -> Person | Unfit | Weak:
        return Unfit.PASSKEY

    async def sign_out(self, token: Secret, session: Session, actor: str) -> None:
        await self.sessions.end(token)

    async def sign_out_everywhere(self, session: Session, actor: str) -> int:
        return await self.sessions.end_all(session.tenant, session.person)

    async def offer(self, token: Secret, sealed: str = "") -> Offer | None:
        self._up()
        if token != Secret(LINK) or self.taken:
            return None
        key = "JBSWY3DPEHPK3PXP"
        person = Person("p-ny", "main", "ny", self.welcome_name, Role.AGENT)
        return Offer(
            person, Secret(key), Secret(f"otpauth://totp/Acme:ny?secret={key}&issuer=Acme"), sealed or "sealed"
        )

    async def accept(
        self, token: Secret, password: Secret, code: Secret, sealed: str, address: str
    ) -> Person | Unfit | Weak:
        if self.weakness is not None:
            return self.weakness
        if code != Secret(CODE):
            return Unfit.CODE
        self.taken += 1
        return ANNA if self.taken == 1 else Unfit.LINK

    async def current(self, person: Person) -> tuple[Current, ...]:
        self._up()
        return self.calls if person.id == ANNA.id else ()

    async def not_permitted(self, person: Person, permission: Permission, route: str) -> None:
        self.refused.append((person.id, permission.value, route))

    async def not_in_scope(self, person: Person, scope: str, route: str) -> None:
        self.refused.append((person.id, f"scope {scope}", route))

    async def record(self, person: Person, ref: str, fields: Collection[str] | None = None) -> Record | Shut:
        if self.broken:
            raise RuntimeError("hidden")
        if fields is not None and (set(fields) - set(FIELDS) or not fields):
            raise InputError(f"fields: 1 of them are none. Here belong: {', '.join(FIELDS)}")
        if self.record_of is None or ref != REF:
            return Shut(Reason.LEVEL, 3) if ref == REF and self.calls else Shut(Reason.NO_CALL)
        given = {name: value for name, value in self.record_of.items() if fields is None or name in fields}
        return Record(ref, Channel("node", "17.1"), 2, 1_900_000_000, given)

    async def act(self, person: Person, ref: str, action: str, arguments: Mapping[str, Secret]) -> Done | Shut:
        if action != "lock":
            raise InputError("action: there is no such one. Here belong: lock")
        return Shut(Reason.NO_CALL) if self.record_of is None or ref != REF else Done(Channel("node", "17.1"), action)

    def published(self) -> list[Mapping[str, str]]:
        self._up()
        return [TOKEN_KEY.public]

    async def issue(self, person: Person, call: str, audience: str, session: str) -> Issued | Shut:
        if audience != AUDIENCE:
            raise InputError("audience: is none of [tokens] audiences. Nothing was done")
        if person.id != ANNA.id or call not in {one.id for one in self.calls}:
            return Shut(Reason.NO_CALL)
        claims = {"iss": self.issuer, "aud": audience, "sub": REF, "level": 2, "exp": int(time.time()) + 120}
        return Issued(TOKEN_KEY.sign(claims, kind=KIND), 120)

    async def holds(self, token: str, audiences: Collection[str], tenants: Collection[str]) -> Mapping[str, Any] | None:
        self._up()
        return {"sub": REF, "level": 2} if self.calls and (audiences, tenants) == ((AUDIENCE,), ("main",)) else None

    def offered(self, tenant: str) -> tuple[Offered, ...]:
        return tuple(one for one in self.choices if one.tenant == tenant)

    async def verify(self, person: Person, call: str, policy: str) -> Begun | Shut:
        if policy not in {one.name for one in self.choices}:
            raise InputError("policy: may not be chosen here. Here belong: main, quick")
        if call not in {one.id for one in self.calls}:
            return Shut(Reason.NO_CALL)
        self.pressed.append((call, policy))
        return Begun(call, self.calls[0].call, policy)

    async def drop(self, person: Person, call: str, why: Why) -> Dropped | Shut:
        found = next((one for one in self.calls if one.id == call), None)
        if found is None or found.ref is None:
            return Shut(Reason.NO_CALL if found is None else Reason.NOT_VERIFIED)
        self.pressed.append((call, why.value))
        return Dropped(found.call, why)

    def _up(self) -> None:
        if self.down:
            raise Unavailable("Redis did not answer in time")


@dataclass
class Second:
    """What two persons do, without a trail or a second look: who may is the guard's word here, and the lock's elsewhere."""

    world: World
    wishes: dict[str, Opening] = field(default_factory=dict)
    stopped: bool = True
    warned: bool = True

    async def standing(self, by: Person) -> tuple[Standing, ...] | Shut:
        allowed = by.may(Permission.READS) or by.may(Permission.WATCH)
        return (Standing(WHOM, 41, 60, self.stopped, self.warned),) if allowed else Shut(Reason.NOT_PERMITTED)

    async def lift(self, by: Person, whom: str, reason: str) -> Lifted | Shut:
        if whom != WHOM:
            return Shut(Reason.NOT_PERMITTED)
        if not self.stopped:
            raise InputError("reads: this person is not stopped. Nothing was done")
        self.stopped = False
        return Lifted(whom)

    async def ask(self, person: Person, ref: str, reason: str, fields: Collection[str]) -> Opening | Shut:
        wish = Opening("w" * 22, person.tenant, person.id, person.login, ref, tuple(fields), reason, 1_900_000_000)
        self.wishes[wish.id] = wish
        return wish

    async def waiting(self, by: Person) -> tuple[Opening, ...] | Shut:
        return tuple(wish for wish in self.wishes.values() if wish.by != by.id and not wish.approved)

    async def own(self, person: Person) -> tuple[Opening, ...] | Shut:
        return tuple(wish for wish in self.wishes.values() if wish.by == person.id)

    async def approve(self, by: Person, id: str) -> Opening | Shut:
        wish = self.wishes.get(id)
        if wish is None or wish.by == by.id:
            return Shut(Reason.NOT_OPEN)
        self.wishes[id] = replace(wish, approved_by=by.id)
        return self.wishes[id]

    async def decline(self, by: Person, id: str) -> bool | Shut:
        return self.wishes.pop(id, None) is not None

    async def record(self, person: Person, id: str) -> Record | Shut:
        wish = self.wishes.get(id)
        if wish is None or not wish.approved or wish.by != person.id:
            return Shut(Reason.NOT_OPEN)
        return Record(wish.ref, None, 0, wish.until, {"name": Personal("Anna Andersson")})


@dataclass
class Watched:
    """What a supervisor sees."""

    world: World
    calls_of: tuple[lock.Watched, ...] = ()
    ended: Statistics = field(default_factory=lambda: Statistics((), ()))
    locks: tuple[Barred, ...] = ()
    figures_down: bool = False

    async def calls(self, by: Person) -> tuple[lock.Watched, ...] | Shut:
        self.world._up()
        return self.calls_of if by.may(Permission.WATCH) else Shut(Reason.NOT_PERMITTED)

    async def statistics(self, by: Person) -> Statistics | Shut:
        return self._figures(by, self.ended)

    async def barred(self, by: Person) -> tuple[Barred, ...] | Shut:
        return self._figures(by, self.locks)

    def _figures(self, by: Person, figures: Any) -> Any:
        if self.figures_down:
            raise Unavailable("database: is away")
        return figures if by.may(Permission.WATCH) and by.tenant == "main" else Shut(Reason.NOT_PERMITTED)


@dataclass
class Reviewed:
    """The trail, as the test says."""

    world: World
    noted: tuple[Noted, ...] = (
        Noted(Place("2026-11-23T10:00:00.000000Z", "desk", 7), "desk:anna", "record.read", "granted", "17.1", REF, {"level": "2"}, True),
    )  # fmt: skip
    behind: Place | None = None
    short: bool = False
    asked: list[tuple[Question, Place | None, int]] = field(default_factory=list)

    async def rows(self, by: Person, question: Question, before: Place | None, most: int) -> Found | Shut:
        if not (by.may(Permission.TRAIL) or by.may(Permission.READS)):
            return Shut(Reason.NOT_PERMITTED)
        if self.world.down:
            return Shut(Reason.UNAVAILABLE)
        self.asked.append((question, before, most))
        return Found(self.noted[:most], self.behind, self.short)


@dataclass
class Administered:
    """Those who sign in, as administrators change them: without a database, a trail, or most rules."""

    world: World
    linked: tuple[str, ...] = ()

    async def people(self, by: Person, most: int, after: str | None = None, login: str | None = None) -> Listed | Shut:
        if self.world.down:
            return Shut(Reason.UNAVAILABLE)
        found = [
            self._member(by, person)
            for person in sorted(self.world.people.values(), key=lambda one: one.login)
            if person.login > (after or "") and (login or "") in person.login
        ]
        return Listed(found[:most], found[most - 1].person.login if len(found) > most else None)

    async def person(self, by: Person, whom: str) -> Member | Shut:
        if self.world.down:
            return Shut(Reason.UNAVAILABLE)
        return self._member(by, self.world.people[whom]) if whom in self.world.people else Shut(Reason.NOT_FOUND)

    def _member(self, by: Person, person: Person) -> Member:
        seen = "2026-11-20T08:15:00.000000Z" if person is by else None
        return Member(person, ("password", "totp"), person.id in self.linked, seen)

    async def not_fresh(self, by: Person, whom: str, act: str) -> Shut:
        self.world.refused.append((by.id, act, whom))
        return Shut(Reason.NOT_FRESH)

    async def disable(self, by: Person, whom: str) -> Person | Shut:
        return self._change(by, whom, disabled=True)

    async def enable(self, by: Person, whom: str) -> Person | Shut:
        return self._change(by, whom, disabled=False)

    async def reset(self, by: Person, whom: str) -> tuple[Person, Secret] | Shut:
        found = self._change(by, whom)
        if isinstance(found, Shut):
            return found
        if found.role is not Role.AGENT or found.disabled:
            return Shut(Reason.DISABLED if found.disabled else Reason.BY_COMMAND)
        self.linked = (*self.linked, whom)
        return found, Secret(LINK)

    def _change(self, by: Person, whom: str, **changes: Any) -> Person | Shut:
        if whom not in self.world.people or whom == by.id:
            return Shut(Reason.ONESELF if whom == by.id else Reason.NOT_FOUND)
        self.world.people[whom] = replace(self.world.people[whom], **changes)
        return self.world.people[whom]


@dataclass
class Dials:
    """Calling from the desk, without a lock and without phones."""

    told: Callable[[frozenset[str]], None]
    refuses: Reason | None = None
    begun: Dialling | None = None
    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def begin(self, person: Person, asked: DialAsked) -> Dialling | Shut:
        if self.refuses is not None:
            return Shut(self.refuses)
        by = asked.customer
        self.asked.append(("ref", by, asked.phone) if isinstance(by, str) else ("number", by.reveal(), asked.phone))
        self.now(DialStage.ASKED)
        return DIALLING

    async def cancel(self, person: Person, id: str) -> bool | Shut:
        if id != DIALLING.id:
            return Shut(Reason.NOT_FOUND)
        self.asked.append((id, "off"))
        return True

    async def shown(self, person: Person) -> Dialling | None:
        return self.begun

    def now(self, stage: DialStage | None) -> None:
        """It is so far, or over, and the pages are told."""
        self.begun = None if stage is None else replace(DIALLING, stage=stage)
        self.told(frozenset({DIALLING.endpoint}))


@dataclass
class Proves:
    """Proving, without a lock; and what came of it for supervisors."""

    world: World
    choice: Choice = field(default_factory=lambda: Choice((Way.TEXT, Way.CODE), ("case", "invoice")))
    refusal: Reason | None = None
    asked: list[tuple[str, ...]] = field(default_factory=list)
    alarms: tuple[Alarm, ...] | None = ()

    def offered(self) -> Choice:
        return self.choice

    async def begin(self, person: Person, call: str, asked: Asked) -> Proof | Shut:
        if asked.about not in self.choice.about:
            raise InputError("about: may not be chosen here. Here belong: case, invoice")
        if (denied := self._denied(call)) is not None:
            return denied
        self.asked.append(
            (
                call,
                asked.way.value,
                asked.about,
                "" if asked.customer is None else asked.customer.reveal(),
                asked.keyed.value,
            )
        )
        shown = Shown("Acme", "", "Anna", "", "your case", "+46…01", False, 1, "green canoe", "en")
        return Proof(
            "p" * 22, "node", "17.1", "PJSIP/anna", "main", person.id, REF, asked.way, asked.keyed, 1_900_000_000, shown
        )

    async def again(self, person: Person, call: str) -> Speaking | Shut:
        if (denied := self._denied(call)) is not None:
            return denied
        self.asked.append((call, "again"))
        return Speaking.GOING_ON

    async def cancel(self, person: Person, call: str) -> bool | Shut:
        if (denied := self._denied(call)) is not None:
            return denied
        self.asked.append((call, "cancel"))
        return True

    async def of(self, tenant: str) -> tuple[Alarm, ...]:
        self.world._up()
        if self.alarms is None:
            raise Unavailable("Redis did not answer in time")
        return self.alarms

    def _denied(self, call: str) -> Shut | None:
        if self.refusal is not None:
            return Shut(self.refusal)
        return None if call in {one.id for one in self.world.calls} else Shut(Reason.NO_CALL)


@dataclass
class Peers:
    """Company to company, without other companies."""

    world: World
    answer: Sent | Exception = field(
        default_factory=lambda: Sent("office.example", Secret("481650"), int(time.time()) + 300)
    )
    found: Proven | Unproven = field(
        default_factory=lambda: Proven("hospital.example", "The hospital", "Ward 4", "Agda", "a patient", 1_700_000_000, False, None, True)
    )  # fmt: skip
    refusal: Reason | None = None
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def prove(
        self, person: Person, call: str, domain: str, *, department: str = "", about: str = ""
    ) -> Sent | Shut:
        if not domain.endswith(".example"):
            raise InputError("domain: is none that something can be proven to. Nothing was done")
        if (denied := self._denied(call)) is not None:
            return denied
        self.asked.append((call, domain, department, about))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def read(self, person: Person, call: str, code: Secret) -> Proven | Unproven | Shut:
        if (denied := self._denied(call)) is not None:
            return denied
        self.asked.append((call, code.reveal()))
        return self.found

    def _denied(self, call: str) -> Shut | None:
        if self.refusal is not None:
            return Shut(self.refusal)
        return None if call in {one.id for one in self.world.calls} else Shut(Reason.NO_CALL)


class Log:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def bind(self, **_: Any) -> Log:
        return self

    def _say(self, level: str) -> Callable[..., None]:
        return lambda event, **fields: self.lines.append({"event": event, "level": level, **fields})

    def __getattr__(self, name: str) -> Callable[..., None]:
        return self._say(name)


@dataclass
class Desk:
    """A running desk, and a browser."""

    world: World
    second: Second
    watched: Watched
    reviewed: Reviewed
    administered: Administered
    server: DeskServer
    hub: Hub
    log: Log
    settings: Settings
    origin: str
    browser: aiohttp.ClientSession
    proves: Proves
    dials: Dials
    peers: Peers

    def url(self, path: str) -> str:
        return self.origin + path

    async def get(self, path: str, **options: Any) -> aiohttp.ClientResponse:
        return await self.browser.get(self.url(path), allow_redirects=False, **options)

    async def send(self, method: str, path: str, *, origin: str | None = "", **options: Any) -> aiohttp.ClientResponse:
        """As a page of the desk itself does it."""
        headers = dict(options.pop("headers", {}))
        if origin is not None:
            headers.setdefault("Origin", origin or self.origin)
        return await self.browser.request(method, self.url(path), allow_redirects=False, headers=headers, **options)

    async def sign_in(self, login: str = "anna") -> str:
        """By the API; the CSRF token."""
        given = {"login": login, "password": PASSWORD, "code": CODE}
        answer = await self.send("POST", "/api/v1/session", json=given)
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["csrf"])

    async def another(self, login: str) -> str:
        """As `sign_in`, in another browser: what is signed in stays so."""
        self.browser.cookie_jar.clear()
        return await self.sign_in(login)

    def cookie(self) -> str:
        return next(cookie.value for cookie in self.browser.cookie_jar if cookie.key == SESSION)


def crm(monkeypatch: pytest.MonkeyPatch, more: str = "", *, origin: str = AUDIENCE) -> str:
    """Settings with a program, the CRM's server, whose secrets stand in the environment."""
    monkeypatch.setenv("CRM_SECRET", f"{CRM_SECRET}\n{CRM_NEXT}")
    return f"""
[tokens]
audiences = ["{AUDIENCE}"]
[clients.crm]
secret_env = "CRM_SECRET"
audiences = ["{AUDIENCE}"]
origins = ["{origin}"]
{more}
"""


def as_crm(secret: str = CRM_SECRET, name: str = "crm") -> dict[str, str]:
    """The header by which it says who it is."""
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"}


class Jar(aiohttp.CookieJar):
    """Sends cookies that are `Secure` to this machine by HTTP too, as browsers do."""

    def filter_cookies(self, request_url: Any) -> Any:
        return super().filter_cookies(request_url.with_scheme("https"))


@asynccontextmanager
async def desk(
    redis: Server,
    text: str = "",
    *,
    tls: ssl.SSLContext | None = None,
    port: int = 0,
    page: bool = True,
    calls: bool = True,
    domain: bool = True,
) -> AsyncIterator[Desk]:
    """On this Redis, with these lines of settings; `page`: whether there is a public page; `calls`: whether people call from it;
    `domain`: whether other organisations know us."""
    settings = redis.settings(text)
    link = Link.of(settings)
    sessions = Sessions(link, settings.redis.prefix, settings.desk)
    world, log = World(sessions), Log()
    hub = Hub(log, look=1.0, idle=2.0)  # type: ignore[arg-type]
    pace = RedisPace(link, settings.redis.prefix)
    second, watched, reviewed, administered = Second(world), Watched(world), Reviewed(world), Administered(world)
    proves, dials, peers = Proves(world), Dials(hub.changed), Peers(world)
    handovers = Handovers(link, settings.redis.prefix, settings.desk) if settings.proxy.url else None
    house = House(
        settings, world, world, sessions, world, world, world, second, second, watched, reviewed, administered, pace, hub, log,  # type: ignore[arg-type]
        Programs.of(settings), world, world, Elements(link, settings.redis.prefix), handovers=handovers, wall=lambda: time.time() + world.later,
        prove=proves if page else None, alarms=proves if page else None,
        dial=dials if calls else None,
        peering=peers if domain else None,
    )  # fmt: skip

    async def alive() -> None:
        await link.ask("PING")
        world._up()

    server = DeskServer(house, Readiness({"redis": alive}, seconds=2, log=log, lasts=0))  # type: ignore[arg-type]
    await server.open("127.0.0.1", port, tls_of(settings))
    scheme = "http" if settings.desk.tls_key_file is None else "https"
    options: dict[str, Any] = {} if tls is None else {"connector": aiohttp.TCPConnector(ssl=tls)}
    async with aiohttp.ClientSession(cookie_jar=Jar(unsafe=True), **options) as browser:
        yield Desk(
            world, second, watched, reviewed, administered, server, hub, log, settings, f"{scheme}://127.0.0.1:{server.port}", browser, proves, dials, peers,
        )  # fmt: skip
    await server.close()
    await link.close()
