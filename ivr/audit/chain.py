"""The hash chain: each row holds the hash of the row before it; none can be changed without changing all that follow.

One chain for each writer: a worker's is called by its name, those of the commands `cli`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from sqlalchemy import Connection, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.audit.table import AUDIT
from ivr.call.ports import Entry
from ivr.errors import StoreError

START = "0" * 64
"""What the first row of a chain has for the hash of the row before it."""

COLUMNS = ("chain", "seq", "at", "actor", "action", "outcome", "call", "subject", "detail", "previous")
"""What the hash is made over, in this order."""

_FORMAT = "tillit-audit-1"


def utc_now() -> datetime:
    """The clock of the trail, where no other is given."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Written:
    """An entry as it is stored, but for its place in the chain. `at` is UTC to the microsecond."""

    at: str
    actor: str
    action: str
    outcome: str
    call: str
    subject: str
    detail: str


def written(entry: Entry, at: datetime) -> Written:
    """The entry as text; raises `StoreError` for what cannot be stored, before it could spoil what others write."""
    fields = (entry.actor, entry.action, entry.outcome, entry.call, entry.subject)
    detail = dict(entry.detail or {})
    try:
        # a surrogate alone cannot be encoded, and PostgreSQL takes no NUL
        if b"\0" in "".join((*fields, *detail, *detail.values())).encode():
            raise ValueError
    except (TypeError, ValueError):
        raise StoreError(f"audit: an entry for {entry.action!a} cannot be stored") from None
    text = orjson.dumps(detail, option=orjson.OPT_SORT_KEYS).decode()
    return Written(at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"), *fields, text)


def hash_of(row: Mapping[str, object]) -> str:
    """SHA-256 over every column but the hash itself: 64 hexadecimal digits."""
    return hashlib.sha256(orjson.dumps([_FORMAT, *(row[column] for column in COLUMNS)])).hexdigest()


def extend(connection: Connection, chain: str, rows: Sequence[Written]) -> None:
    """Write rows at the end of a chain. The transaction must hold the chain's lock (`lock_of`).

    The end is read anew each time: whatever else has written to this chain, and whatever transaction failed, it fits.
    """
    columns = AUDIT.c
    last = select(columns.seq, columns.hash).where(columns.chain == chain).order_by(columns.seq.desc()).limit(1)
    end = connection.execute(last).one_or_none()
    seq, previous = (0, START) if end is None else (end.seq, end.hash)
    values: list[dict[str, object]] = []
    for row in rows:
        seq += 1
        value: dict[str, object] = {
            "chain": chain, "seq": seq, "at": row.at, "actor": row.actor, "action": row.action, "outcome": row.outcome,
            "call": row.call, "subject": row.subject, "detail": row.detail, "previous": previous,
        }  # fmt: skip
        value["hash"] = previous = hash_of(value)
        values.append(value)
    if values:
        connection.execute(insert(AUDIT), values)


def lock_of(chain: str) -> str:
    """The lock that two writers of one chain wait for (`Database.write`)."""
    return f"audit/{chain}"


async def append_within(
    connection: AsyncConnection, chain: str, *entries: Entry, clock: Callable[[], datetime] = utc_now
) -> None:
    """Write entries in the transaction of what they tell of: both happen, or neither. Raises `StoreError`."""
    now = clock()
    await connection.run_sync(extend, chain, [written(entry, now) for entry in entries])
