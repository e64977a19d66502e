"""Whether the keys are those that the data was made with.

Without this, a wrong hash key would make every customer unknown without a word.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.errors import ConfigError
from ivr.store.tables import CUSTOMERS, KEYS, PEOPLE
from ivr.vault import Key, Keys

_CURE = "Bring back the key files that were made with it, from your back-up"
_MASTER = "master"


async def check(connection: AsyncConnection, keys: Keys) -> None:
    """Raises `ConfigError` where the database was made with other keys."""
    stored = (await connection.execute(select(KEYS).order_by(KEYS.c.kind, KEYS.c.id))).all()
    for kind, ours in ((_MASTER, keys.masters), ("hash", (keys.hash,))):
        needed = [row for row in stored if row.kind == kind]
        if not needed:
            raise ConfigError(f"[keys] {kind}_file", "the database knows no such key", "Type: ari_app.py init")
        there = {(key.id, key.check) for key in ours}
        for row in needed:
            if (row.id, row.checks) not in there:
                problem = f"the database was made with key {row.id}, this is {', '.join(key.id for key in ours)}"
                raise ConfigError(f"[keys] {kind}_file", problem, _CURE)


async def record(connection: AsyncConnection, keys: Keys) -> bool:
    """Note the keys in a database without customers and people, and say whether others, or none, were noted before.

    With either raises as `check` does.
    """
    try:
        await check(connection, keys)
    except ConfigError:
        if await has_data(connection):
            raise
    else:
        return False
    await connection.execute(delete(KEYS))
    noted = [("hash", keys.hash), *((_MASTER, key) for key in keys.masters)]
    await connection.execute(insert(KEYS), [_values(kind, key) for kind, key in noted])
    return True


async def note_master(connection: AsyncConnection, key: Key) -> bool:
    """Note a further master key: from now on nobody begins to work without it. False where it was noted before."""
    if key.id in await masters(connection):
        return False
    await connection.execute(insert(KEYS).values(_values(_MASTER, key)))
    return True


async def forget_master(connection: AsyncConnection, key_id: str) -> None:
    """That nobody needs this master key any more: look behind it, in the same transaction, whether that is so."""
    await connection.execute(delete(KEYS).where(KEYS.c.kind == _MASTER, KEYS.c.id == key_id))


async def masters(connection: AsyncConnection) -> frozenset[str]:
    """The identifiers of the master keys that the database knows."""
    return frozenset((await connection.execute(select(KEYS.c.id).where(KEYS.c.kind == _MASTER))).scalars())


async def need(connection: AsyncConnection, key_ids: Iterable[str]) -> None:
    """Raises `ConfigError` where one of these master keys is none that the database knows (any more).

    A key that was retired is gone from its file, and what it has wrapped would be lost with it. Those that are known stay so
    until this transaction ends: whoever retires one waits.
    """
    known = select(KEYS.c.id).where(KEYS.c.kind == _MASTER).with_for_update(read=True)
    unknown = set(key_ids) - set((await connection.execute(known)).scalars())
    if unknown:
        problem = f"the database does not know the master key {', '.join(sorted(unknown))}"
        raise ConfigError(
            "[keys] master_file", problem, "Type the command again; if it stays so: ari_app.py keys rotate"
        )


async def has_data(connection: AsyncConnection) -> bool:
    """Whether anything is encrypted in it, of customers or of those who sign in; in one of an older version too."""
    if (await connection.execute(select(CUSTOMERS.c.ref).limit(1))).first() is not None:
        return True
    if not await connection.run_sync(lambda connection: inspect(connection).has_table(PEOPLE.name)):
        return False
    return (await connection.execute(select(PEOPLE.c.id).limit(1))).first() is not None


def _values(kind: str, key: Key) -> dict[str, str]:
    return {"kind": kind, "id": key.id, "checks": key.check}
