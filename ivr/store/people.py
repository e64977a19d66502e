"""Finding those who sign in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from types import SimpleNamespace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, func, select

from ivr.database import Database, Prepared
from ivr.staff import Permission, Person, Role
from ivr.store import sealing
from ivr.store.tables import ENDPOINTS, PEOPLE, PERMISSIONS
from ivr.vault import Vault


def _of(beside: Table) -> ColumnElement[bool]:
    # by both, as the indexes have it
    return and_(beside.c.tenant == PEOPLE.c.tenant, beside.c.person == PEOPLE.c.id)


# Endpoints in one query: those of a talk are two or three.
_KEYS = ("k0", "k1", "k2", "k3")
_OWNERS = Prepared(
    select(ENDPOINTS.c.key, PEOPLE.c.tenant, PEOPLE.c.id)
    .join_from(ENDPOINTS, PEOPLE, _of(ENDPOINTS))
    .where(ENDPOINTS.c.key.in_([bindparam(name) for name in _KEYS]))
)


class People:
    """Look-ups; each raises `StoreError` or `VaultError`. A person who is disabled is found too, and may do nothing."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def find(self, tenant: str, login: str) -> Person | None:
        """Whoever has this login there; for who signs in: it takes as long for one who was seen lately as for another."""
        theirs = PEOPLE.c.tenant == tenant, PEOPLE.c.login == login
        found = await self._database.look_up(lambda connection: people_in(connection, self._vault, *theirs))
        return next(iter(found), None)

    async def by_id(self, tenant: str, id: str) -> Person | None:
        """Whoever has this identifier there."""
        return await self._database.glance(lambda connection: _one(connection, tenant, id, self._vault))

    async def unnamed(self, tenant: str, id: str) -> Person | None:
        """The same without the name, which is sealed: for whoever asks at each request what somebody may do."""
        return await self._database.glance(lambda connection: _one(connection, tenant, id))

    async def by_login(self, tenant: str, login: str) -> Person | None:
        """The same of somebody who has signed in."""
        found = await self._found(PEOPLE.c.tenant == tenant, PEOPLE.c.login == login)
        return next(iter(found), None)

    async def colleagues(self, tenant: str | None = None) -> tuple[Person, ...]:
        """All of a tenant, or of all tenants, by their logins."""
        return await self._found(*(() if tenant is None else (PEOPLE.c.tenant == tenant,)))

    async def teams(self, tenant: str) -> Mapping[str, str]:
        """The teams of all of a tenant, by the identifiers of those who are in them; nothing is decrypted."""
        query = select(PEOPLE.c.id, PEOPLE.c.team).where(PEOPLE.c.tenant == tenant).order_by(PEOPLE.c.login)
        return dict(await self._database.look_up(lambda connection: [tuple(row) for row in connection.execute(query)]))

    async def owners_of(self, endpoints: Collection[str]) -> Mapping[str, Person]:
        """Those of these endpoints that belong to somebody, and to whom, of whatever tenant; upper and lower case are the same."""
        keys = {sealing.endpoint_key(endpoint) for endpoint in endpoints}
        if not keys:
            return {}
        theirs = select(ENDPOINTS.c.person).where(ENDPOINTS.c.key.in_(keys))
        owners = {
            sealing.endpoint_key(endpoint): person
            for person in await self._found(PEOPLE.c.id.in_(theirs))
            for endpoint in person.endpoints
        }
        return {endpoint: owners[key] for endpoint in endpoints if (key := sealing.endpoint_key(endpoint)) in owners}

    async def owner_ids_of(self, endpoints: Collection[str]) -> Mapping[str, tuple[str, str]]:
        """The same, by tenant and identifier; nothing is decrypted."""
        keys = sorted({sealing.endpoint_key(endpoint) for endpoint in endpoints})

        def work(connection: Connection) -> dict[str, tuple[str, str]]:
            found: dict[str, tuple[str, str]] = {}
            for at in range(0, len(keys), len(_KEYS)):
                some = keys[at : at + len(_KEYS)]
                given = dict(zip_longest(_KEYS, some, fillvalue=some[0]))
                found |= {key: (tenant, person) for key, tenant, person in _OWNERS.rows(connection, **given)}
            return found

        owners = await self._database.glance(work) if keys else {}
        return {endpoint: owners[key] for endpoint in endpoints if (key := sealing.endpoint_key(endpoint)) in owners}

    async def administrators(self) -> int:
        """How many may sign in, or have a link with which they may begin to; of all tenants."""
        query = select(func.count()).select_from(PEOPLE)
        query = query.where(PEOPLE.c.role == Role.ADMINISTRATOR, PEOPLE.c.disabled.is_(False))
        return await self._database.look_up(lambda connection: int(connection.execute(query).scalar_one()))

    async def _found(self, *where: ColumnElement[bool]) -> tuple[Person, ...]:
        return await self._database.look_up(lambda connection: known(self._vault, stored_in(connection, *where)))


class Stored(NamedTuple):
    """Somebody as the tables have them: the name is sealed."""

    row: Any
    endpoints: Collection[Any]
    permissions: Collection[Any]


def stored_in(connection: Connection, *where: ColumnElement[bool]) -> tuple[Stored, ...]:
    """Those of whom this is so, by their logins, with what stands beside them in other tables."""
    rows = connection.execute(select(PEOPLE).where(*where).order_by(PEOPLE.c.tenant, PEOPLE.c.login)).all()
    ids = [row.id for row in rows]
    endpoints = beside(connection, ids, select(ENDPOINTS.c.person, ENDPOINTS.c.endpoint))
    permissions = beside(connection, ids, select(PERMISSIONS.c.person, PERMISSIONS.c.permission, PERMISSIONS.c.granted))
    return tuple(Stored(row, endpoints.get(row.id, ()), permissions.get(row.id, ())) for row in rows)


def known(vault: Vault, stored: Iterable[Stored]) -> tuple[Person, ...]:
    """With their names, for whoever looks at colleagues: one that was opened lately is not opened again."""
    return tuple(_person(vault, _known_name, *one) for one in stored)


def people_in(connection: Connection, vault: Vault, *where: ColumnElement[bool]) -> tuple[Person, ...]:
    """Those of whom this is so, by their logins, where somebody signs in, or is changed."""
    return tuple(_person(vault, _name, *one) for one in stored_in(connection, *where))


# each request asks for one person: to put a statement together takes longer than to carry it out
_COLUMNS = tuple(PEOPLE.c)
_ONE = Prepared(
    select(ENDPOINTS.c.endpoint, PERMISSIONS.c.permission, PERMISSIONS.c.granted, *_COLUMNS)
    .join_from(PEOPLE, ENDPOINTS, _of(ENDPOINTS), isouter=True)
    .join(PERMISSIONS, _of(PERMISSIONS), isouter=True)
    .where(PEOPLE.c.tenant == bindparam("of"), PEOPLE.c.id == bindparam("named"))
)


def _one(connection: Connection, tenant: str, id: str, vault: Vault | None = None) -> Person | None:
    """Without a vault, without the name."""
    rows = _ONE.rows(connection, of=tenant, named=id)
    if not rows:
        return None
    endpoints = {(endpoint,) for endpoint, *_ in rows if endpoint is not None}
    permissions = {(permission, granted) for _, permission, granted, *_ in rows if permission is not None}
    row = SimpleNamespace(**dict(zip((column.name for column in _COLUMNS), rows[0][3:], strict=True)))
    return _person(vault, _known_name, row, endpoints, permissions)


def _person(
    vault: Vault | None, name: _Name, row: Any, endpoints: Iterable[Any], permissions: Collection[Any]
) -> Person:
    return Person(
        id=row.id,
        tenant=row.tenant,
        login=row.login,
        name="" if vault is None else name(vault, row.id, row.key_id, row.wrapped, row.name),
        role=Role(row.role),
        team=row.team,
        endpoints=frozenset(endpoint for (endpoint,) in endpoints),
        granted=frozenset(Permission(name) for name, granted in permissions if granted),
        denied=frozenset(Permission(name) for name, granted in permissions if not granted),
        language=row.language,
        disabled=row.disabled,
    )


# SQLite before 3.32 takes 999 values in a statement.
_AT_ONCE = 500


def beside(connection: Connection, ids: Sequence[str], query: Any) -> Mapping[str, Collection[Any]]:
    """By person what the query finds of these, whose first column is the person."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    person = query.selected_columns[0]
    # asked too where there is nobody: it is not to be told by the time
    for at in range(0, len(ids) or 1, _AT_ONCE):
        for of, *rest in connection.execute(query.where(person.in_(ids[at : at + _AT_ONCE]))):
            found.setdefault(of, []).append(tuple(rest))
    return found


def _name(vault: Vault, id: str, key: str, wrapped: bytes, name: bytes) -> str:
    """Colleagues see it; it is sealed so that it goes with the data key."""
    envelope = vault.envelopes.open(sealing.person(id), key, wrapped)
    return envelope.open_bytes(sealing.NAME, name).decode()


_Name = Callable[[Vault, str, str, bytes, bytes], str]
# A supervisor's page asks for all of a team some times a second. Not where somebody signs in: who was seen lately would be found sooner.
_known_name: _Name = lru_cache(maxsize=2048)(_name)
