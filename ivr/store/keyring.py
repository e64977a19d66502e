"""Passkeys as they are stored: sealed in the envelope of whom they are of, and found by what they are called by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, select, update

from ivr.database import Database
from ivr.staff import Person
from ivr.store import sealing
from ivr.store.identities import OIDC
from ivr.store.people import people_in
from ivr.store.tables import CREDENTIALS, PEOPLE
from ivr.vault import Vault, passkey
from ivr.vault.passkey import Passkey

PASSKEY = "passkey"
"""The way of signing in, as it is stored."""

MOST = 10
"""Passkeys of one person; whoever has more has forgotten some."""

# Second factors beside a password.
_SECOND = ("totp", PASSKEY)


@dataclass(frozen=True, slots=True)
class Kept:
    """A passkey of somebody's. `id` may be shown; `since` and `used` (None: never yet) are ISO 8601, UTC."""

    id: str
    passkey: Passkey
    since: str
    used: str | None


class Removal(StrEnum):
    """What came of taking one away."""

    DONE = "done"
    UNKNOWN = "unknown"
    LAST = "last"
    """It is the person's last second factor."""


class Keyring:
    """Every method raises `StoreError` or `VaultError`."""

    def __init__(self, database: Database, vault: Vault, *, elsewhere_alone: bool = False) -> None:
        """`elsewhere_alone`: whoever is linked with a provider signs in there, and not here."""
        self._database = database
        self._vault = vault
        self._elsewhere_alone = elsewhere_alone

    async def of(self, person: Person) -> tuple[Kept, ...]:
        """This person's, the oldest first."""
        return await self._database.look_up(lambda connection: self._of(connection, person.id))

    async def others(self, person: Person) -> dict[str, str]:
        """This person's other ways of signing in, with since when (ISO 8601, UTC)."""
        where = CREDENTIALS.c.person == person.id, CREDENTIALS.c.method != PASSKEY
        query = select(CREDENTIALS.c.method, CREDENTIALS.c.since).where(*where)
        rows = await self._database.look_up(lambda connection: connection.execute(query).all())
        return {row.method: row.since for row in rows}

    async def owner(self, id: str) -> tuple[Person, Kept] | None:
        """Whose this one is, where it is good for signing in."""

        def work(connection: Connection) -> tuple[Person, Kept] | None:
            query = select(CREDENTIALS.c.person).where(CREDENTIALS.c.method == PASSKEY, CREDENTIALS.c.id == id)
            found = connection.execute(query).scalar_one_or_none()
            people = () if found is None else people_in(connection, self._vault, PEOPLE.c.id == found)
            if not people or (self._elsewhere_alone and self._linked(connection, people[0])):
                return None
            kept = next((one for one in self._of(connection, people[0].id) if one.id == id), None)
            return None if kept is None else (people[0], kept)

        return await self._database.look_up(work)

    async def add(self, person: Person, made: Passkey, count: int) -> bool:
        """Keep a new one; False where it is somebody's already, or this person has too many, or may not sign in."""

        def work(connection: Connection) -> bool:
            row = connection.execute(select(PEOPLE).where(PEOPLE.c.id == person.id).with_for_update()).one()
            if row.disabled or self._many(connection, person) or self._taken(connection, made):
                return False
            insert_in(connection, self._vault, row, made, count)
            return True

        return await self._database.put_down(work, lock=_lock(person))

    async def rename(self, person: Person, id: str, name: str) -> bool:
        """Whether this person has it."""

        def work(connection: Connection) -> bool:
            kept = next((one for one in self._of(connection, person.id) if one.id == id), None)
            if kept is None:
                return False
            sealed = _sealed(self._vault, _envelope_of(connection, person), id, replace(kept.passkey, name=name))
            connection.execute(update(CREDENTIALS).where(_which(person, id)).values(sealed=sealed))
            return True

        return await self._database.put_down(work, lock=_lock(person))

    async def remove(self, person: Person, id: str) -> Removal:
        """Take it away, unless it is the last second factor."""

        def work(connection: Connection) -> Removal:
            # locked, so that of the last two taken away at once one stays
            connection.execute(select(PEOPLE.c.id).where(PEOPLE.c.id == person.id).with_for_update())
            where = CREDENTIALS.c.person == person.id, CREDENTIALS.c.method.in_(_SECOND)
            ids = set(connection.execute(select(CREDENTIALS.c.id).where(*where)).scalars())
            if id == "" or id not in ids:
                return Removal.UNKNOWN
            if len(ids) == 1:
                return Removal.LAST
            connection.execute(delete(CREDENTIALS).where(_which(person, id)))
            return Removal.DONE

        return await self._database.put_down(work, lock=_lock(person))

    async def use(self, person: Person, id: str, count: int) -> bool:
        """Note that it was used, with this count of its signatures; False where the count did not go up: there are two of it."""

        def work(connection: Connection) -> bool:
            # a key without a count says 0, always
            risen = CREDENTIALS.c.counter < count if count else CREDENTIALS.c.counter == 0
            changed = update(CREDENTIALS).where(_which(person, id), risen).values(counter=count, used=_now())
            return connection.execute(changed).rowcount == 1

        return await self._database.put_down(work, lock=_lock(person))

    def _of(self, connection: Connection, person: str) -> tuple[Kept, ...]:
        row = connection.execute(select(PEOPLE.c.key_id, PEOPLE.c.wrapped).where(PEOPLE.c.id == person)).one()
        envelope = self._vault.envelopes.open(sealing.person(person), row.key_id, row.wrapped)
        where = CREDENTIALS.c.person == person, CREDENTIALS.c.method == PASSKEY
        found = connection.execute(
            select(CREDENTIALS.c.id, CREDENTIALS.c.sealed, CREDENTIALS.c.since, CREDENTIALS.c.used)
            .where(*where).order_by(CREDENTIALS.c.since, CREDENTIALS.c.id)
        ).all()  # fmt: skip
        return tuple(
            Kept(row.id, Passkey.from_bytes(envelope.open_bytes(_field(row.id), row.sealed)), row.since, row.used)
            for row in found
        )

    def _linked(self, connection: Connection, person: Person) -> bool:
        where = CREDENTIALS.c.person == person.id, CREDENTIALS.c.method == OIDC
        return connection.execute(select(CREDENTIALS.c.id).where(*where)).first() is not None

    def _many(self, connection: Connection, person: Person) -> bool:
        where = CREDENTIALS.c.person == person.id, CREDENTIALS.c.method == PASSKEY
        count = connection.execute(select(func.count()).select_from(CREDENTIALS).where(*where)).scalar_one()
        return int(count) >= MOST

    def _taken(self, connection: Connection, made: Passkey) -> bool:
        where = CREDENTIALS.c.method == PASSKEY, CREDENTIALS.c.id == passkey.named(made.credential)
        return connection.execute(select(CREDENTIALS.c.person).where(*where)).first() is not None


def insert_in(connection: Connection, vault: Vault, row: Row[Any], made: Passkey, count: int) -> None:
    """Within a transaction of another's. `row`: of the person."""
    named, now = passkey.named(made.credential), _now()
    connection.execute(
        insert(CREDENTIALS).values(
            tenant=row.tenant, person=row.id, method=PASSKEY, id=named, counter=count, since=now,
            sealed=_sealed(vault, row, named, made),
        )
    )  # fmt: skip


def _envelope_of(connection: Connection, person: Person) -> Row[Any]:
    return connection.execute(select(PEOPLE).where(PEOPLE.c.id == person.id)).one()


def _sealed(vault: Vault, row: Row[Any], id: str, made: Passkey) -> bytes:
    envelope = vault.envelopes.open(sealing.person(row.id), row.key_id, row.wrapped)
    return envelope.seal_bytes(_field(id), made.to_bytes())


def _field(id: str) -> str:
    return f"{sealing.credential(PASSKEY)}.{id}"


def _which(person: Person, id: str) -> ColumnElement[bool]:
    return and_(CREDENTIALS.c.person == person.id, CREDENTIALS.c.method == PASSKEY, CREDENTIALS.c.id == id)


def _lock(person: Person) -> str:
    return f"person/{person.id}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
