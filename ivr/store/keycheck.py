"""Whether the keys are those that the data was made with.

Without this, a wrong hash key would make every customer unknown without a word.
"""

from __future__ import annotations

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.errors import ConfigError
from ivr.store.tables import CUSTOMERS, KEYS
from ivr.vault import Key, Keys

_CURE = "Bring back the key files that were made with it, from your back-up"


async def check(connection: AsyncConnection, keys: Keys) -> None:
    """Raises `ConfigError` where the database was made with other keys."""
    stored = {row.kind: row for row in (await connection.execute(select(KEYS))).all()}
    for kind, key in _both(keys):
        row = stored.get(kind)
        if row is None:
            raise ConfigError(f"[keys] {kind}_file", "the database knows no such key", "Type: ari_app.py init")
        if (row.id, row.checks) != (key.id, key.check):
            raise ConfigError(
                f"[keys] {kind}_file", f"the database was made with key {row.id}, this is {key.id}", _CURE
            )


async def record(connection: AsyncConnection, keys: Keys) -> bool:
    """Note the keys in a database without customers, and say whether others, or none, were noted before.

    With customers raises as `check` does.
    """
    try:
        await check(connection, keys)
    except ConfigError:
        if await has_customers(connection):
            raise
    else:
        return False
    await connection.execute(delete(KEYS))
    values = [{"kind": kind, "id": key.id, "checks": key.check} for kind, key in _both(keys)]
    await connection.execute(insert(KEYS), values)
    return True


async def has_customers(connection: AsyncConnection) -> bool:
    """Whether anything is encrypted in it."""
    return (await connection.execute(select(CUSTOMERS.c.ref).limit(1))).first() is not None


def _both(keys: Keys) -> tuple[tuple[str, Key], ...]:
    return ("master", keys.master), ("hash", keys.hash)
