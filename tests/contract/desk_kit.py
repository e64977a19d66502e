"""Those who sign in, on real parts: a database, a Redis, and a clock that tests move."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pyotp

from ivr.audit import Seal, Trail
from ivr.config import Settings, load
from ivr.database import Database
from ivr.secret import Personal, Secret
from ivr.staff import TENANT, Denied, Person, Role, SignedIn
from ivr.store.credentials import Credentials
from ivr.store.door import Door
from ivr.store.keyring import Keyring
from ivr.store.live import RedisLive
from ivr.store.passkeys import Passkeys
from ivr.store.people import People
from ivr.store.roster import NewPerson, Roster
from ivr.store.sessions import Sessions
from ivr.store.throttle import Throttle
from ivr.store.tickets import Tickets
from ivr.store.welcome import Welcome
from ivr.vault import Vault
from ivr.vault.passkey import Party
from tests.contract.live_server import Server
from tests.contract.web_kit import Log
from tests.unit.database_kit import asked, database_of, keys_of

DESK = """
[desk]
url = "https://desk.example.com"
[desk.password]
scrypt_p = 1
"""
PASSWORD = "correct-Horse 9 battery staple"
HERE = "203.0.113.7"


@dataclass
class House:
    """A desk without its pages."""

    settings: Settings
    database: Database
    vault: Vault
    live: RedisLive
    trail: Trail
    people: People
    roster: Roster
    credentials: Credentials
    throttle: Throttle
    sessions: Sessions
    # behind the codes with which people are enrolled, by the clock on the wall
    now: float = field(default_factory=lambda: time.time() + 3600)
    keys: dict[str, Secret] = field(default_factory=dict)

    def __post_init__(self) -> None:
        party = Party.of(self.settings.desk.url, self.settings.company.name)
        assert party is not None
        self.keyring = Keyring(self.database, self.vault)
        self.tickets = Tickets(self.live._link, self.settings.redis.prefix)
        self.passkeys = Passkeys(self.keyring, self.tickets, self.trail, self.settings, party)
        self.log = Log()
        self.door = Door(
            self.credentials, self.throttle, self.sessions, self.vault, self.trail, self.passkeys,
            clock=lambda: self.now, log=self.log,  # type: ignore[arg-type]
        )  # fmt: skip
        self.welcome = Welcome(self.credentials, self.vault, self.trail, self.settings, self.passkeys)

    async def add(self, login: str, *endpoints: str, tenant: str = TENANT, role: Role = Role.AGENT) -> Person:
        """Somebody who has no way of signing in yet."""
        async with self.database.write() as connection:
            return await self.roster.add(
                connection, NewPerson(tenant, login, Personal(f"Name of {login}"), role, "support", endpoints)
            )

    async def invite(self, person: Person, hours: int = 1) -> Secret:
        async with self.database.write() as connection:
            return await self.roster.invite(connection, person, hours)

    async def enrolled(self, login: str, *endpoints: str, tenant: str = TENANT, password: str = PASSWORD) -> Person:
        """Somebody who signs in with this password and the code of `code`."""
        return await self.enrol(await self.add(login, *endpoints, tenant=tenant), password)

    async def enrol(self, person: Person, password: str = PASSWORD) -> Person:
        token, login = await self.invite(person), person.login
        offer = await self.welcome.offer(token)
        assert offer is not None
        self.keys[login] = offer.key
        code = Secret(pyotp.TOTP(offer.key.reveal()).now())
        done = await self.welcome.accept(token, Secret(password), code, offer.sealed, HERE)
        assert isinstance(done, Person), done
        return done

    def code(self, login: str, steps: int = 0) -> Secret:
        """What the app shows now, or so many half minutes later."""
        return Secret(pyotp.TOTP(self.keys[login].reveal()).at(int(self.now) + 30 * steps))

    async def sign_in(
        self,
        login: str,
        *,
        tenant: str = TENANT,
        password: str = PASSWORD,
        code: Secret | None = None,
        address: str = HERE,
    ) -> SignedIn | Denied:
        """With the right code of a time that was not yet, unless another is given."""
        if code is None:
            self.now += 30
            known = login.strip().lower()
            code = self.code(known) if known in self.keys else Secret("000000")
        return await self.door.sign_in(tenant, login, Secret(password), code, address)

    async def rows(self, *, last: int = 10**6) -> list[tuple[str, str, str]]:
        """Actor, action and outcome of the trail."""
        found = await asked(self.database, "SELECT actor, action, outcome FROM audit ORDER BY seq")
        return found[-last:]


def settings_of(base: Settings, server: Server, more: str = DESK) -> Settings:
    """Those settings, with this Redis and a desk. The prefix is this test's own."""
    file = base.file
    prefix = f"t{secrets.token_hex(4)}"
    file.write_text(
        f'{file.read_text()}\n[redis]\nurl = "unix://{server.socket}"\nprefix = "{prefix}"\nrequest_seconds = 5.0\n{more}'
    )
    return load(file)


@asynccontextmanager
async def house_in(settings: Settings) -> AsyncIterator[House]:
    """With a database that is made for it."""
    keys_of(settings)
    vault = Vault.open(settings)
    try:
        async with await database_of(settings, vault) as database, _house(settings, vault, database) as house:
            yield house
    finally:
        vault.close()


@asynccontextmanager
async def house_of(settings: Settings) -> AsyncIterator[House]:
    """With the database that is there."""
    vault = Vault.open(settings)
    try:
        async with await Database.open(settings) as database, _house(settings, vault, database) as house:
            yield house
    finally:
        vault.close()


@asynccontextmanager
async def _house(settings: Settings, vault: Vault, database: Database) -> AsyncIterator[House]:
    async with Trail(database, "desk", Seal.open(settings)) as trail:
        live = await RedisLive.open(settings)
        try:
            yield House(
                settings, database, vault, live, trail, People(database, vault), Roster(vault),
                Credentials(database, vault), live.throttle(settings.desk, vault.index), live.sessions(settings.desk),
            )  # fmt: skip
        finally:
            await live.close()
