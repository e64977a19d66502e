"""Which master keys the newest file of data keys needs: who destroys one of them can read no back-up any more.

A back-up notes it before its file of data keys takes the place of the former one, and again with that, so that whoever is
killed in between leaves noted what both need. Rows of kind `backup` in the table of keys: one for each master key, and
two that count back-ups.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.errors import InputError
from ivr.store import keycheck
from ivr.store.tables import KEYS

LOCK = "backup"
"""What two back-ups wait for (`Database.write`)."""

_KIND = "backup"
_OURS = KEYS.c.kind == _KIND
# No identifier of a key is like these.
_BEGUN, _WRITTEN = "begun", "written"


async def begin(connection: AsyncConnection) -> None:
    """Count one more, before the snapshot that is backed up. The transaction must hold `LOCK`."""
    await _put(connection, _BEGUN, await begun(connection) + 1)


async def begun(connection: AsyncConnection) -> int:
    """How many back-ups were begun."""
    return await _count(connection, _BEGUN)


async def note(connection: AsyncConnection, key_ids: Collection[str]) -> None:
    """That a file which needs these master keys is about to be the newest; those of the former one stay noted.

    The transaction must hold `LOCK`. Raises `ConfigError` where one was retired meanwhile.
    """
    await keycheck.need(connection, key_ids)
    for key_id in sorted(set(key_ids) - await needed(connection)):
        await _put(connection, key_id)


async def replace(connection: AsyncConnection, key_ids: Collection[str], count: int) -> None:
    """That a file which needs these alone is the newest; `count` is how many back-ups had `begun` in its snapshot.

    The file must take its place within this transaction, which must hold `LOCK`. Raises `InputError` where one whose
    snapshot may be younger has done so, `ConfigError` as `note` does.
    """
    if await _count(connection, _WRITTEN) >= count:
        raise InputError("another back-up was written at the same time, and may be younger. Type it again")
    await connection.execute(delete(KEYS).where(_OURS, KEYS.c.id != _BEGUN))
    await note(connection, key_ids)
    await _put(connection, _WRITTEN, count)


async def needed(connection: AsyncConnection) -> frozenset[str]:
    """The identifiers of the master keys that the newest file needs."""
    query = select(KEYS.c.id).where(_OURS, KEYS.c.id.not_in((_BEGUN, _WRITTEN)))
    return frozenset((await connection.execute(query)).scalars())


async def _count(connection: AsyncConnection, name: str) -> int:
    found = (await connection.execute(select(KEYS.c.checks).where(_OURS, KEYS.c.id == name))).scalar()
    return int(found or 0)


async def _put(connection: AsyncConnection, name: str, count: int = 0) -> None:
    await connection.execute(delete(KEYS).where(_OURS, KEYS.c.id == name))
    await connection.execute(insert(KEYS).values(kind=_KIND, id=name, checks=str(count)))
