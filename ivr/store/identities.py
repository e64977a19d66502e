"""Whose account at an OpenID provider is whose here: found by a blind index, sealed with the person."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
from sqlalchemy import Connection, delete, insert, select

from ivr.database import Database
from ivr.staff import Person
from ivr.store import sealing
from ivr.store.people import people_in
from ivr.store.tables import CREDENTIALS, PEOPLE
from ivr.vault import Vault

OIDC = "oidc"
"""The way of signing in, as it is stored."""


class Identities:
    """Every method raises `StoreError` or `VaultError`."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def who(self, issuer: str, subject: str) -> Person | None:
        """Whom this account is linked with; somebody who is disabled too, who may do nothing."""
        account = named(self._vault, issuer, subject)

        def work(connection: Connection) -> Person | None:
            query = select(CREDENTIALS.c.person).where(CREDENTIALS.c.method == OIDC, CREDENTIALS.c.id == account)
            found = connection.execute(query).scalar_one_or_none()
            people = () if found is None else people_in(connection, self._vault, PEOPLE.c.id == found)
            return next(iter(people), None)

        return await self._database.look_up(work)

    async def link(self, person: Person, issuer: str, subject: str) -> bool:
        """This account is this person's; False where either is linked otherwise."""
        return await self._database.put_down(
            lambda connection: link_in(connection, self._vault, person, issuer, subject), lock=f"person/{person.id}"
        )


def link_in(connection: Connection, vault: Vault, person: Person, issuer: str, subject: str) -> bool:
    """As `Identities.link`, within a transaction of another's."""
    row = connection.execute(select(PEOPLE).where(PEOPLE.c.id == person.id).with_for_update()).one()
    account = named(vault, issuer, subject)
    theirs = (CREDENTIALS.c.person == person.id) | (CREDENTIALS.c.id == account)
    if connection.execute(select(CREDENTIALS.c.id).where(CREDENTIALS.c.method == OIDC, theirs)).first() is not None:
        return False
    envelope = vault.envelopes.open(sealing.person(row.id), row.key_id, row.wrapped)
    told = orjson.dumps({"issuer": issuer, "subject": subject})
    connection.execute(
        insert(CREDENTIALS).values(
            tenant=row.tenant, person=row.id, method=OIDC, id=account, counter=0,
            since=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            sealed=envelope.seal_bytes(f"{sealing.credential(OIDC)}.{account}", told),
        )
    )  # fmt: skip
    return True


def unlink_in(connection: Connection, person: Person) -> bool:
    """Whether this person was linked."""
    where = CREDENTIALS.c.person == person.id, CREDENTIALS.c.method == OIDC
    return connection.execute(delete(CREDENTIALS).where(*where)).rowcount > 0


def named(vault: Vault, issuer: str, subject: str) -> str:
    """What an account is found by."""
    return vault.index.sign_in(OIDC, issuer, subject)
