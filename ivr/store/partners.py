"""What customers are called by apps of other companies: one id a customer at each, sealed in the customer's envelope."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.database import Database
from ivr.secret import Personal, Secret
from ivr.store import eids, sealing
from ivr.store.tables import CUSTOMERS, IDENTITIES
from ivr.vault import Vault

# No country and no name of a broker has a full stop in it: nobody is identified by what an app calls them.
_PREFIX = "app."

_STORED = (
    select(CUSTOMERS.c.ref, CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped, IDENTITIES.c.kind, IDENTITIES.c.sealed)
    .join_from(CUSTOMERS, IDENTITIES)
    .where(CUSTOMERS.c.ref == bindparam("ref"), IDENTITIES.c.kind.startswith(_PREFIX, autoescape=True))
)


class Partners:
    """Raises `StoreError`, and `VaultError` where what is stored was changed."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def of(self, ref: str) -> Mapping[str, Personal]:
        """The customer's ids, by the name of the app's table. Looked up each time: what was taken away meanwhile is nobody's."""
        rows = await self._database.look_up(lambda connection: connection.execute(_STORED, {"ref": ref}).all())
        return {
            row.kind.removeprefix(_PREFIX): self._vault.envelopes.open(row.ref, row.key_id, row.wrapped).open(
                sealing.identity(row.kind), row.sealed
            )
            for row in rows
        }


async def keep(connection: AsyncConnection, vault: Vault, ref: str, name: str, id: Secret, at: float) -> None:
    """Make this what the app of this name calls the customer, in place of anything else."""
    await eids.enter(connection, vault, ref, f"{_PREFIX}{name}", id, at)


async def remove(connection: AsyncConnection, ref: str, name: str) -> bool:
    """Take the customer's id there from the record: whether there was one."""
    return await eids.remove(connection, ref, f"{_PREFIX}{name}")


def app_of(kind: str) -> str | None:
    """The name of the app that this kind of identity belongs to; None for one of a provider of electronic identities."""
    return kind.removeprefix(_PREFIX) if kind.startswith(_PREFIX) else None
