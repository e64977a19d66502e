"""Finding those who sign in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, func, select

from ivr.database import Database
from ivr.staff import Permission, Person, Role
from ivr.store import sealing
from ivr.store.tables import ENDPOINTS, PEOPLE, PERMISSIONS
from ivr.vault import Vault

_OWNERS = (
    select(ENDPOINTS.c.key, PEOPLE.c.tenant, PEOPLE.c.id)
    .join_from(ENDPOINTS, PEOPLE, ENDPOINTS.c.person == PEOPLE.c.id)
    .where(ENDPOINTS.c.key.in_(bindparam("keys", expanding=True)))
)


class People:
    """Look-ups; each raises `StoreError` or `VaultError`. A person who is disabled is found too, and may do nothing."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def find(self, tenant: str, login: str) -> Person | None:
        """Whoever has this login there."""
        found = await self._found(PEOPLE.c.tenant == tenant, PEOPLE.c.login == login)
        return next(iter(found), None)

    async def by_id(self, tenant: str, id: str) -> Person | None:
        """Whoever has this identifier there."""
        return await self._database.glance(lambda connection: _one(connection, tenant, id, self._vault))

    async def unnamed(self, tenant: str, id: str) -> Person | None:
        """The same without the name, which is sealed: for whoever asks at each request what somebody may do."""
        return await self._database.glance(lambda connection: _one(connection, tenant, id))

    async def by_login(self, tenant: str, login: str) -> Person | None:
        """Whoever signs in by this there."""
        found = await self._found(PEOPLE.c.tenant == tenant, PEOPLE.c.login == login)
        return next(iter(found), None)

    async def colleagues(self, tenant: str | None = None) -> tuple[Person, ...]:
        """All of a tenant, or of all tenants, by their logins."""
        return await self._found(*(() if tenant is None else (PEOPLE.c.tenant == tenant,)))

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
        keys = {sealing.endpoint_key(endpoint) for endpoint in endpoints}
        rows = await self._database.glance(
            lambda connection: connection.execute(_OWNERS, {"keys": list(keys)}).all() if keys else []
        )
        owners = {row.key: (row.tenant, row.id) for row in rows}
        return {endpoint: owners[key] for endpoint in endpoints if (key := sealing.endpoint_key(endpoint)) in owners}

    async def administrators(self) -> int:
        """How many may sign in, or have a link with which they may begin to; of all tenants."""
        query = select(func.count()).select_from(PEOPLE)
        query = query.where(PEOPLE.c.role == Role.ADMINISTRATOR, PEOPLE.c.disabled.is_(False))
        return await self._database.look_up(lambda connection: int(connection.execute(query).scalar_one()))

    async def _found(self, *where: ColumnElement[bool]) -> tuple[Person, ...]:
        return await self._database.look_up(lambda connection: people_in(connection, self._vault, *where))


def people_in(connection: Connection, vault: Vault, *where: ColumnElement[bool]) -> tuple[Person, ...]:
    """Those of whom this is so, by their logins, with what stands beside them in other tables."""
    rows = connection.execute(select(PEOPLE).where(*where).order_by(PEOPLE.c.tenant, PEOPLE.c.login)).all()
    ids = [row.id for row in rows]
    endpoints = _beside(connection, ids, select(ENDPOINTS.c.person, ENDPOINTS.c.endpoint))
    permissions = _beside(
        connection, ids, select(PERMISSIONS.c.person, PERMISSIONS.c.permission, PERMISSIONS.c.granted)
    )
    return tuple(_person(vault, row, endpoints.get(row.id, ()), permissions.get(row.id, ())) for row in rows)


def _of(beside: Table) -> ColumnElement[bool]:
    # by both, as the indexes have it
    return and_(beside.c.tenant == PEOPLE.c.tenant, beside.c.person == PEOPLE.c.id)


# each request asks for one person: to put a statement together takes longer than to carry it out
_ONE = (
    select(PEOPLE, ENDPOINTS.c.endpoint, PERMISSIONS.c.permission, PERMISSIONS.c.granted)
    .join_from(PEOPLE, ENDPOINTS, _of(ENDPOINTS), isouter=True)
    .join(PERMISSIONS, _of(PERMISSIONS), isouter=True)
    .where(PEOPLE.c.tenant == bindparam("tenant"), PEOPLE.c.id == bindparam("id"))
)


def _one(connection: Connection, tenant: str, id: str, vault: Vault | None = None) -> Person | None:
    """Without a vault, without the name."""
    rows = connection.execute(_ONE, {"tenant": tenant, "id": id}).all()
    if not rows:
        return None
    endpoints = {(row.endpoint,) for row in rows if row.endpoint is not None}
    permissions = {(row.permission, row.granted) for row in rows if row.permission is not None}
    return _person(vault, rows[0], endpoints, permissions)


def _person(vault: Vault | None, row: Any, endpoints: Iterable[Any], permissions: Collection[Any]) -> Person:
    return Person(
        id=row.id,
        tenant=row.tenant,
        login=row.login,
        name="" if vault is None else _name(vault, row),
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


def _beside(connection: Connection, ids: Sequence[str], query: Any) -> dict[str, list[tuple[Any, ...]]]:
    """By person what the query finds, whose first column is the person."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    person = query.selected_columns[0]
    # asked too where there is nobody: it is not to be told by the time
    for at in range(0, len(ids) or 1, _AT_ONCE):
        for of, *rest in connection.execute(query.where(person.in_(ids[at : at + _AT_ONCE]))):
            found.setdefault(of, []).append(tuple(rest))
    return found


def _name(vault: Vault, row: Any) -> str:
    """Colleagues see it; it is sealed so that it goes with the data key."""
    envelope = vault.envelopes.open(sealing.person(row.id), row.key_id, row.wrapped)
    return envelope.open_bytes(sealing.NAME, row.name).decode()
