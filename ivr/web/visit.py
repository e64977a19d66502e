"""One request: who makes it, from where, in which language."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import time

from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ivr.config import Settings
from ivr.secret import Secret
from ivr.staff import TENANT, Person
from ivr.store.elements import Grant
from ivr.store.passkeys import Passkeys
from ivr.web.live import Hub
from ivr.web.ports import (
    Administration,
    Alarms,
    Dial,
    Door,
    Elements,
    Glass,
    Handovers,
    Links,
    Lock,
    MarkTokens,
    Midcall,
    Pace,
    Peering,
    People,
    Program,
    Programs,
    Prove,
    Published,
    Reads,
    Review,
    Session,
    Sessions,
    Watch,
)
from ivr.web.problems import Problem
from ivr.web.provided import Elsewhere
from ivr.web.visitors import Sparing, told_address
from ivr.web.words import Words, chosen

SESSION = "__Host-desk"
"""The cookie with the session's token."""
FORM = "__Host-form"
"""The cookie that says the same as a hidden field, where nobody is signed in yet."""

CSRF = "CSRF-Token"
"""The header with `Session.csrf`, on every request of a signed-in client that changes something."""

# Bytes of a body: the longest form is a password's.
MOST = 16 * 1024


@dataclass(frozen=True, slots=True)
class House:
    """What every request is answered with."""

    settings: Settings
    people: People
    door: Door
    sessions: Sessions
    links: Links
    lock: Lock
    midcall: Midcall
    reads: Reads
    glass: Glass
    watch: Watch
    review: Review
    administration: Administration
    pace: Pace
    hub: Hub
    log: FilteringBoundLogger
    programs: Programs
    keys: Published
    tokens: MarkTokens
    elements: Elements
    wall: Callable[[], float] = time
    sparing: Sparing = field(default_factory=Sparing)
    tenant: str = TENANT
    """Whose people sign in on the page; programs name theirs."""
    handovers: Handovers | None = None
    """To the proxy; None where there is none."""
    passkeys: Passkeys | None = None
    """None: they cannot be, for the desk has no name."""
    elsewhere: Elsewhere | None = None
    """None: nobody signs in by a provider."""
    prove: Prove | None = None
    """None: there is no public page."""
    alarms: Alarms | None = None
    """What persons on the line have said there; None as there."""
    dial: Dial | None = None
    """None: nobody calls from here."""
    peering: Peering | None = None
    """None: nothing is proved to other organisations, nor read of theirs."""


@dataclass(slots=True)
class Visit:
    """What a handler is given. `person` and `session` are there where the route's table asks for somebody."""

    house: House
    request: web.Request
    address: str
    words: Words
    token: Secret | None = None
    session: Session | None = None
    person: Person | None = None
    program: Program | None = None
    grant: Grant | None = None
    lent: Secret | None = None
    """The token by which there is a `grant`."""
    lender: str = ""
    """The identifier of the session of which that is."""
    _form: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def who(self) -> Person:
        """The person, where there must be one. Raises `Problem`."""
        if self.person is None:
            raise Problem("not_signed_in")
        return self.person

    @property
    def asking(self) -> Program:
        """The program, where there must be one. Raises `Problem`."""
        if self.program is None:
            raise Problem("program_refused")
        return self.program

    @property
    def fresh(self) -> bool:
        """Whether this person has shown who they are within `[desk] fresh_minutes`."""
        session, house = self.session, self.house
        return session is not None and house.wall() - session.proved < house.settings.desk.fresh_minutes * 60

    def speak(self, own: str | None) -> None:
        """From now on in this language, where somebody is known who has one."""
        self.words = language_of(self.house.settings, self.request, own)

    async def form(self) -> Mapping[str, str]:
        """The fields of a form; of files, none. Raises `Problem`."""
        if self._form is None:
            if self.request.content_type != "application/x-www-form-urlencoded":
                raise Problem("unsupported_media_type")
            # pages are UTF-8, and so is what comes of them: of other codings some are none, or make what is no text
            if (self.request.charset or "utf-8").lower() != "utf-8":
                raise Problem("unsupported_media_type")
            try:
                (await self.request.read()).decode()
            except UnicodeDecodeError:
                raise Problem("bad_request") from None
            sent = await self.request.post()
            self._form = {name: value for name, value in sent.items() if isinstance(value, str)}
        return self._form

    async def secret(self, name: str) -> Secret:
        """A field that nobody may see."""
        return Secret((await self.form()).get(name, ""))


Handler = Callable[[Visit], Awaitable[web.StreamResponse]]


def language_of(settings: Settings, request: web.BaseRequest, own: str | None) -> Words:
    """The person's own, that of the page which goes on being told, the browser's, the company's."""
    accepted = request.headers.get("Accept-Language", "")
    return chosen(own or request.query.get("language"), accepted, settings.company.language)


def address_of(settings: Settings, request: web.BaseRequest) -> str:
    """Where it comes from: what a proxy of ours says, from the nearest on, as far as these are ours."""
    return told_address(request, settings.desk.allow_proxies)


async def in_time(seconds: float, work: Awaitable[web.StreamResponse]) -> web.StreamResponse:
    """Raises `Problem` where it does not come to its end."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise Problem("request_timeout") from None
