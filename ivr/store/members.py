"""Those who sign in, as administrators see them: so many at once, or one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from ivr.database import Database
from ivr.staff import Person
from ivr.store.people import Stored, beside, known, stored_in
from ivr.store.tables import CREDENTIALS, LINKS, PEOPLE
from ivr.vault import Vault


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody as an administrator sees them. `ways`: how they sign in; `signed_in`: when last (ISO 8601, UTC); `linked`: a link waits."""

    person: Person
    ways: tuple[str, ...]
    linked: bool
    signed_in: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """Some of a tenant, by their logins. `behind`: the login behind which the next ones come; None behind the last."""

    members: Sequence[Member]
    behind: str | None


class Members:
    """Look-ups; each raises `StoreError` or `VaultError`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def listed(self, tenant: str, most: int, after: str | None = None, part: str | None = None) -> Listed:
        """At most so many of a tenant, behind the login `after`; of those alone in whose login is this `part`."""
        where = [PEOPLE.c.tenant == tenant]
        if after is not None:
            where.append(PEOPLE.c.login > after)
        if part is not None:
            where.append(PEOPLE.c.login.contains(part, autoescape=True))
        # one more than asked for tells whether there are more
        found = await self._found(most + 1, *where)
        return Listed(found[:most], found[most - 1].person.login if len(found) > most else None)

    async def by_id(self, tenant: str, id: str) -> Member | None:
        """Whoever has this identifier there."""
        where = PEOPLE.c.tenant == tenant, PEOPLE.c.id == id
        return next(iter(await self._found(1, *where)), None)

    async def _found(self, most: int, *where: ColumnElement[bool]) -> Sequence[Member]:
        rows = await self._database.look_up(lambda connection: _rows(connection, most, *where))
        # with PostgreSQL too: all others would wait until a hundred names are opened
        return await asyncio.to_thread(rows.members, self._vault)


@dataclass(frozen=True, slots=True)
class _Rows:
    stored: Sequence[Stored]
    ways: Mapping[str, Collection[Any]]
    waiting: Collection[str]

    def members(self, vault: Vault) -> Sequence[Member]:
        people = known(vault, self.stored)
        return [
            Member(person, self._ways(person.id), person.id in self.waiting, one.row.signed_in_at)
            for person, one in zip(people, self.stored, strict=True)
        ]

    def _ways(self, id: str) -> tuple[str, ...]:
        return tuple(sorted(way for (way,) in self.ways.get(id, ())))


def _rows(connection: Connection, most: int, *where: ColumnElement[bool]) -> _Rows:
    ids = connection.execute(select(PEOPLE.c.id).where(*where).order_by(PEOPLE.c.login).limit(most)).scalars().all()
    ways = beside(connection, ids, select(CREDENTIALS.c.person, CREDENTIALS.c.method).distinct())
    waiting = beside(connection, ids, select(LINKS.c.person).where(LINKS.c.until > int(time.time())))
    return _Rows(stored_in(connection, PEOPLE.c.id.in_(ids)), ways, waiting)
