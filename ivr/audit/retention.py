"""Deleting rows that were kept long enough, so that the rest of the chain can be verified as before.

Nothing is deleted that was not found good: a changed row is evidence, and stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, select

from ivr.audit import anchors
from ivr.audit.anchors import Anchor
from ivr.audit.chain import Broken, End, anchor_of, hash_of, lock_of
from ivr.audit.signing import Seal, row_said
from ivr.audit.table import AUDIT, HEADS
from ivr.database import Database

# A transaction of some 20 ms, for which calls wait with their rows on SQLite. More than the trail writes in one, so that
# there is always a row among them that was signed.
_AT_ONCE = 1000


async def due(database: Database, before: str) -> dict[str, int]:
    """Up to which row each chain's are older than this time (as stored); chains without such are left out.

    The last row of a chain always stays: it says where the chain goes on. Raises `StoreError`.
    """

    def work(connection: Connection) -> dict[str, int]:
        chains = connection.execute(select(HEADS.c.chain).order_by(HEADS.c.chain)).scalars().all()
        found = {chain: _due(connection, chain, before) for chain in chains}
        return {chain: upto for chain, upto in found.items() if upto is not None}

    async with database.read() as connection:
        return await connection.run_sync(work)


def _due(connection: Connection, chain: str, before: str) -> int | None:
    """Read from both ends, so that it takes no longer where much is kept."""
    rows = select(AUDIT.c.seq).where(AUDIT.c.chain == chain).limit(1)
    young = connection.execute(rows.where(AUDIT.c.at >= before).order_by(AUDIT.c.seq)).scalar()
    if young is None:
        young = connection.execute(rows.order_by(AUDIT.c.seq.desc())).scalar()
    if young is None:
        return None
    signed = rows.where(AUDIT.c.seq < young, AUDIT.c.signature.is_not(None))
    return connection.execute(signed.order_by(AUDIT.c.seq.desc())).scalar()


async def prune(database: Database, chain: str, upto: int, seal: Seal, *, at: str) -> int:
    """Delete the chain's rows up to this one, in short transactions; how many they were.

    Raises `Broken` where one of them was changed, and `StoreError`.
    """
    count = 0
    while True:
        deleted = await database.put_down(
            lambda connection: _prune(connection, chain, upto, seal, at), lock=lock_of(chain)
        )
        if not deleted:
            return count
        count += deleted


def _prune(connection: Connection, chain: str, upto: int, seal: Seal, at: str) -> int:
    anchor = anchor_of(connection, chain, seal)
    begin = End() if anchor is None else End(anchor.seq, anchor.hash, anchor.row_signature)
    query = select(AUDIT).where(AUDIT.c.chain == chain, AUDIT.c.seq <= upto).order_by(AUDIT.c.seq).limit(_AT_ONCE)
    rows = connection.execute(query).mappings().all()
    end = _proved(chain, begin, rows, seal)
    if end is None or end.signature is None:
        return 0
    anchors.cut(connection, Anchor(chain, end.seq, end.hash, end.signature, at, ""), seal)
    return end.seq - begin.seq


def _proved(chain: str, end: End, rows: Sequence[RowMapping], seal: Seal) -> End | None:
    """The last of these rows that was signed, all up to it being good."""
    last: End | None = None
    for row in rows:
        if row["seq"] != end.seq + 1 or row["previous"] != end.link or hash_of(dict(row)) != row["hash"]:
            raise Broken(chain, f"row {row['seq']} of chain {chain} was changed, or one before it: nothing is deleted")
        end = End(row["seq"], row["hash"], row["signature"])
        last = end if end.signature is not None else last
    if last is not None and not seal.verifier.good(last.signature, *row_said(chain, last.seq, last.hash)):
        raise Broken(chain, f"row {last.seq} of chain {chain} was not signed by the audit key: nothing is deleted")
    return last
