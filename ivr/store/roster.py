"""Those who sign in, as administrators work on them.

Each method takes a connection, so that the caller writes the act's audit row in the same transaction.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.errors import InputError
from ivr.secret import Personal, Secret
from ivr.staff import TAKES_CALLS, Permission, Person, Role
from ivr.store import keycheck, sealing
from ivr.store.credentials import OWN
from ivr.store.identities import link_in, unlink_in
from ivr.store.people import people_in
from ivr.store.tables import CREDENTIALS, ENDPOINTS, LINKS, PEOPLE, PERMISSIONS
from ivr.vault import Vault


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Somebody to be added; everything was checked (`ivr.cli.staff`)."""

    tenant: str
    login: str
    name: Personal
    role: Role
    team: str = ""
    endpoints: tuple[str, ...] = ()
    language: str | None = None


class LastAdministrator(InputError):
    """Nobody could add anybody any more."""


class Roster:
    """Reads and writes those who sign in. Reading raises `VaultError` where what is stored was changed."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def find(self, connection: AsyncConnection, tenant: str, login: str) -> Person | None:
        """Whoever has this login there."""
        where = PEOPLE.c.tenant == tenant, PEOPLE.c.login == login
        found = await connection.run_sync(people_in, self._vault, *where)
        return next(iter(found), None)

    async def all(self, connection: AsyncConnection, tenant: str | None = None) -> tuple[Person, ...]:
        """Those of a tenant, or of all, by their logins."""
        where = () if tenant is None else (PEOPLE.c.tenant == tenant,)
        return await connection.run_sync(people_in, self._vault, *where)

    async def by_id(self, connection: AsyncConnection, tenant: str, id: str) -> Person | None:
        """Whoever has this identifier there."""
        found = await connection.run_sync(people_in, self._vault, PEOPLE.c.tenant == tenant, PEOPLE.c.id == id)
        return next(iter(found), None)

    async def anybody(self, connection: AsyncConnection) -> bool:
        """Whether anybody was ever added."""
        return (await connection.execute(select(PEOPLE.c.id).limit(1))).first() is not None

    async def add(self, connection: AsyncConnection, new: NewPerson) -> Person:
        """Insert a person, who has no way of signing in yet. Raises `InputError` where login or endpoint are another's.

        Raises `ConfigError` where the master key is none that the database knows (any more).
        """
        named = sealing.new_ref()
        envelope = self._vault.envelopes.new(sealing.person(named))
        await keycheck.need(connection, (envelope.key_id,))
        if await self.find(connection, new.tenant, new.login) is not None:
            raise InputError(f"LOGIN: somebody in {new.tenant} has it. Choose another, or type: ari_app.py agent list")
        await connection.execute(
            insert(PEOPLE).values(
                tenant=new.tenant, id=named, login=new.login, team=new.team, role=new.role.value, language=new.language,
                key_id=envelope.key_id, wrapped=envelope.wrapped, name=envelope.seal(sealing.NAME, new.name), disabled=False,
            )
        )  # fmt: skip
        person = await self._needed(connection, new.tenant, new.login)
        await self.give(connection, person, new.endpoints)
        return replace(person, endpoints=frozenset(new.endpoints))

    async def give(self, connection: AsyncConnection, person: Person, endpoints: Collection[str]) -> None:
        """These are phones of this person. Raises `InputError` where one is somebody else's."""
        keys = {sealing.endpoint_key(endpoint): endpoint for endpoint in endpoints}
        found = await connection.execute(
            select(ENDPOINTS.c.endpoint, ENDPOINTS.c.key, ENDPOINTS.c.tenant, ENDPOINTS.c.person, PEOPLE.c.login)
            .join_from(ENDPOINTS, PEOPLE, PEOPLE.c.id == ENDPOINTS.c.person)
            .where(ENDPOINTS.c.key.in_(keys))
        )
        for row in found.all():
            if row.person != person.id:
                raise InputError(
                    f"--endpoint: {row.endpoint} belongs to {row.login} of {row.tenant}. Take it away there first: "
                    f"ari_app.py agent endpoints {row.login} --tenant {row.tenant} --remove {row.endpoint}"
                )
            del keys[row.key]
        values = [
            {"key": key, "endpoint": endpoint, "tenant": person.tenant, "person": person.id}
            for key, endpoint in keys.items()
        ]
        if values:
            await connection.execute(insert(ENDPOINTS), values)

    async def take(self, connection: AsyncConnection, person: Person, endpoints: Iterable[str]) -> None:
        """These are no phones of this person any more. Raises `InputError` where one never was."""
        for endpoint in endpoints:
            where = ENDPOINTS.c.person == person.id, ENDPOINTS.c.key == sealing.endpoint_key(endpoint)
            if (await connection.execute(delete(ENDPOINTS).where(*where))).rowcount != 1:
                raise InputError(f"--remove: {endpoint} is no phone of {person.login}. Nothing was done")

    async def disable(self, connection: AsyncConnection, person: Person) -> None:
        """From now on this person may do nothing; a link that waits is void. Raises `LastAdministrator`."""
        await self._not_the_last(connection, person)
        await connection.execute(update(PEOPLE).where(PEOPLE.c.id == person.id).values(disabled=True))
        await connection.execute(delete(LINKS).where(LINKS.c.person == person.id))

    async def change(
        self, connection: AsyncConnection, person: Person, *, name: Personal | None = None, role: Role | None = None,
        team: str | None = None, language: str | None = None,
    ) -> bool:  # fmt: skip
        """What is given is so from the next request on; whether a link was made void by it, as by `permit`.

        Raises `InputError` where the last administrator would be none.
        """
        if role is not None and role is not Role.ADMINISTRATOR:
            await self._not_the_last(connection, person)
        values: dict[str, object] = {} if role is None else {"role": role.value}
        values |= {} if team is None else {"team": team}
        values |= {} if language is None else {"language": language or None}
        if name is not None:
            row = (await connection.execute(select(PEOPLE).where(PEOPLE.c.id == person.id))).one()
            envelope = self._vault.envelopes.open(sealing.person(row.id), row.key_id, row.wrapped)
            values["name"] = envelope.seal(sealing.NAME, name)
        before = await self._rights(connection, person)
        await connection.execute(update(PEOPLE).where(PEOPLE.c.id == person.id).values(**values))
        return await self._outgrown(connection, person, before)

    async def permit(
        self, connection: AsyncConnection, person: Person, permission: Permission, granted: bool | None
    ) -> bool:
        """More (`granted`) or less than the role has; None: as the role has it. Raises `InputError` for the last administrator.

        Whether a link was made void: one that waits ends where its person may do more than take calls, and could not before.
        """
        before = await self._rights(connection, person)
        if permission is Permission.STAFF and not granted:
            await self._not_the_last(connection, person)
        where = PERMISSIONS.c.person == person.id, PERMISSIONS.c.permission == permission.value
        await connection.execute(delete(PERMISSIONS).where(*where))
        if granted is not None:
            values = {"tenant": person.tenant, "person": person.id, "permission": permission.value, "granted": granted}
            await connection.execute(insert(PERMISSIONS).values(**values))
        return await self._outgrown(connection, person, before)

    async def _rights(self, connection: AsyncConnection, person: Person) -> frozenset[Permission]:
        """What this person may do, or will when enabled again."""
        return replace(await self._needed(connection, person.tenant, person.login), disabled=False).permissions

    async def _outgrown(self, connection: AsyncConnection, person: Person, before: frozenset[Permission]) -> bool:
        # whoever was shown it may be somebody else, to whom no link of one with these rights would have been shown
        if await self._rights(connection, person) <= before | TAKES_CALLS:
            return False
        return (await connection.execute(delete(LINKS).where(LINKS.c.person == person.id))).rowcount > 0

    async def link(self, connection: AsyncConnection, person: Person, issuer: str, subject: str) -> None:
        """This account at the provider is this person's. Raises `InputError` where either is linked otherwise."""
        if not await connection.run_sync(link_in, self._vault, person, issuer, subject):
            raise InputError(
                f"SUBJECT: it is somebody's already, or {person.login} is linked. Type first: ari_app.py agent unlink LOGIN"
            )

    async def unlink(self, connection: AsyncConnection, person: Person) -> None:
        """No account at a provider is this person's. Raises `InputError` where none was."""
        if not await connection.run_sync(unlink_in, person):
            raise InputError(f"{person.login}: is not linked. Nothing was done")

    async def _not_the_last(self, connection: AsyncConnection, person: Person) -> None:
        # in a fixed order and to the transaction's end: two that disable each other wait here
        administrators = (
            select(PEOPLE.c.id)
            .where(PEOPLE.c.role == Role.ADMINISTRATOR.value, PEOPLE.c.disabled.is_(False))
            .order_by(PEOPLE.c.id)
            .with_for_update()
        )
        if set((await connection.execute(administrators)).scalars()) == {person.id}:
            raise LastAdministrator(
                f"{person.login}: is the last administrator. Add another one first: ari_app.py agent add LOGIN --role administrator"
            )

    async def enable(self, connection: AsyncConnection, person: Person) -> None:
        """This person signs in as before."""
        await connection.execute(update(PEOPLE).where(PEOPLE.c.id == person.id).values(disabled=False))

    async def invite(self, connection: AsyncConnection, person: Person, hours: int) -> Secret:
        """The token of a one-time link, in the stead of an earlier one, and of password, app and passkeys."""
        theirs = CREDENTIALS.c.person == person.id, CREDENTIALS.c.method.in_(OWN)
        await connection.execute(delete(CREDENTIALS).where(*theirs))
        await connection.execute(delete(LINKS).where(LINKS.c.person == person.id))
        token = Secret(secrets.token_urlsafe(32))
        until = int(time.time()) + hours * 3600
        await connection.execute(
            insert(LINKS).values(tenant=person.tenant, person=person.id, hash=hashed(token), until=until)
        )
        return token

    async def ways(self, connection: AsyncConnection, person: Person) -> tuple[str, ...]:
        """How this person signs in; `link` where a link waits for its use."""
        methods = await connection.execute(
            select(CREDENTIALS.c.method).where(CREDENTIALS.c.person == person.id).order_by(CREDENTIALS.c.method)
        )
        waiting = await connection.execute(
            select(LINKS.c.person).where(LINKS.c.person == person.id, LINKS.c.until > int(time.time()))
        )
        return (*dict.fromkeys(methods.scalars()), *(["link"] if waiting.first() is not None else []))

    async def _needed(self, connection: AsyncConnection, tenant: str, login: str) -> Person:
        person = await self.find(connection, tenant, login)
        assert person is not None
        return person


def hashed(token: Secret) -> str:
    """What is stored of a link's token: it has 256 random bits, and nobody tries them out."""
    return hashlib.sha256(token.reveal().encode(errors="replace")).hexdigest()
