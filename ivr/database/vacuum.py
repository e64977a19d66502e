"""Having PostgreSQL clean its tables' files of deleted rows, and finding out whether it has.

VACUUM frees the room of a row, and leaves its bytes there until another one is written over them; a B-tree keeps some
values as the bounds between its pages. So the tables are written anew, and nobody can read them meanwhile.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.errors import StoreError

SMALL = 64 * 2**20
"""Bytes of a table with its indexes, about 70,000 customers: written anew in about a second, which callers can wait."""
# For who waits for this lock, all others wait who would read.
_LOCK_SECONDS = 1.0
# For tables of millions of rows; who waits for it is an administrator.
_LONGEST = 600.0
_PAUSE = 0.2
_COUNTS = text(
    "SELECT relname, vacuum_count, n_dead_tup FROM pg_stat_user_tables "
    "WHERE relid IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS name)"
)

_SIZE = text("SELECT max(pg_total_relation_size(to_regclass(name))) FROM unnest(CAST(:names AS text[])) AS name")


class Left(Enum):
    """Why deleted rows are still in the files."""

    READ = auto()
    """Somebody's transaction may still want to see them."""
    LOCKED = auto()
    """Somebody holds a lock on a table."""
    NOT_OURS = auto()
    """This user may not have the tables cleaned."""
    LARGE = auto()
    """They are too large to be written anew while callers wait."""


async def vacuum(
    connection: AsyncConnection, tables: tuple[str, ...], seconds: float, *, small: float = SMALL
) -> Left | None:
    """Clean these tables, on a connection without transactions; waits `seconds` for readers, and for locks.

    Those that are larger than `small` bytes are not written anew.

    VACUUM itself says neither that it was skipped for want of a right, nor that it had to leave rows. Raises `StoreError`.
    """
    async with asyncio.timeout(_LONGEST):
        until = asyncio.get_running_loop().time() + seconds
        await connection.exec_driver_sql(f"SET lock_timeout = {round(seconds * 1000)}")
        try:
            while True:
                before = await _looked(connection, tables)
                # of few rows VACUUM would leave the indexes as they are
                if not await _cleaned(connection, "INDEX_CLEANUP ON", tables):
                    return Left.LOCKED
                if all(
                    dead == 0 and count > before[table][0]
                    for table, (count, dead) in (await _looked(connection, tables)).items()
                ):
                    return await _rewritten(connection, tables, min(seconds, _LOCK_SECONDS), small)
                if asyncio.get_running_loop().time() > until:
                    break
                # a reader may be gone soon; and before version 15 what VACUUM has counted is seen a little later
                await asyncio.sleep(_PAUSE)
            after = await _looked(connection, tables)
            return Left.READ if all(after[table][0] > before[table][0] for table in after) else Left.NOT_OURS
        finally:
            await connection.exec_driver_sql("RESET lock_timeout")


async def _rewritten(connection: AsyncConnection, tables: tuple[str, ...], seconds: float, small: float) -> Left | None:
    if (await connection.execute(_SIZE, {"names": list(tables)})).scalar_one() > small:
        return Left.LARGE
    await connection.exec_driver_sql(f"SET lock_timeout = {round(seconds * 1000)}")
    return None if await _cleaned(connection, "FULL", tables) else Left.LOCKED


async def _cleaned(connection: AsyncConnection, how: str, tables: tuple[str, ...]) -> bool:
    """False where somebody's lock was in the way."""
    # not every system has it; this one has
    from asyncpg import InterfaceError, LockNotAvailableError, PostgresError  # type: ignore[import-untyped]

    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    try:
        await driver.execute(f"VACUUM ({how}) {', '.join(tables)}", timeout=_LONGEST)
    except LockNotAvailableError:
        return False
    except (PostgresError, InterfaceError) as error:
        raise StoreError(f"database: {getattr(error, 'sqlstate', None) or type(error).__name__}") from None
    return True


async def _looked(connection: AsyncConnection, tables: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Of each table, how often it was cleaned by hand, and how many deleted rows it still has."""
    found = await connection.execute(_COUNTS, {"names": list(tables)})
    return {row.relname: (row.vacuum_count, row.n_dead_tup) for row in found.all()}
