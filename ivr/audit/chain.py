"""The hash chain: each row holds the hash of the row before it; none can be changed without changing all that follow.

One chain for each writer: a worker's is called by its name, those of the commands `cli`. The last row of each
transaction is signed, so none can be put at a chain's end, or written anew, without the audit key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.audit import anchors, heads
from ivr.audit.signing import Seal, row_said
from ivr.audit.table import AUDIT
from ivr.call.ports import Entry
from ivr.database import Prepared, PreparedRows
from ivr.errors import ConfigError, StoreError

START = "0" * 64
"""What the first row of a chain has for the hash of the row before it."""

COLUMNS = ("chain", "seq", "at", "actor", "action", "outcome", "call", "subject", "detail", "previous")
"""What the hash is made over, in this order, and `once` behind them where the row has one."""

_FORMAT, _FORMAT_ONCE = "tillit-audit-1", "tillit-audit-2"

# Made once: making a statement takes longer than SQLite takes to run it.
_ROWS = PreparedRows(AUDIT)
_END = Prepared(
    select(AUDIT.c.seq, AUDIT.c.hash, AUDIT.c.signature)
    .where(AUDIT.c.chain == bindparam("of"))
    .order_by(AUDIT.c.seq.desc())
    .limit(1)
)
_AT = select(AUDIT.c.seq, AUDIT.c.hash, AUDIT.c.signature).where(
    AUDIT.c.chain == bindparam("of"), AUDIT.c.seq == bindparam("number")
)
_THERE = select(AUDIT.c.once, AUDIT.c.outcome).where(AUDIT.c.once.in_(bindparam("keys", expanding=True)))


class Broken(StoreError):
    """A chain does not end as its writer left it. Nothing is written behind that: it would hide it."""

    def __init__(self, chain: str, problem: str) -> None:
        super().__init__(f"audit: {problem}")
        self.chain = chain
        self.problem = problem

    def refusal(self) -> ConfigError:
        """What an administrator is told."""
        cure = f"Type: ari_app.py audit verify; when you know why: ari_app.py audit accept {self.chain}"
        return ConfigError("audit trail", self.problem, cure)


def utc_now() -> datetime:
    """The clock of the trail, where no other is given."""
    return datetime.now(UTC)


def stamp(at: datetime) -> str:
    """A time as the trail has it: UTC to the microsecond, 27 characters."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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
    once: str | None


@dataclass(frozen=True, slots=True)
class End:
    """The last row of a chain; one without rows has number 0."""

    seq: int = 0
    hash: str = START
    signature: str | None = None

    @property
    def link(self) -> str:
        """What the next row has for `previous`."""
        return link(self.hash, self.signature)


def link(hash: str, signature: str | None) -> str:
    """What stands for a row in the row behind it: its hash, and its signature where it has one."""
    return hash if signature is None else hashlib.sha256(f"{hash}:{signature}".encode()).hexdigest()


def written(entry: Entry, at: datetime) -> Written:
    """The entry as text; raises `StoreError` for what cannot be stored, before it could spoil what others write."""
    fields = (entry.actor, entry.action, entry.outcome, entry.call, entry.subject)
    detail = dict(entry.detail or {})
    try:
        # a surrogate alone cannot be encoded, and PostgreSQL takes no NUL
        if b"\0" in "".join((*fields, *detail, *detail.values(), entry.once or "")).encode():
            raise ValueError
    except (TypeError, ValueError):
        raise StoreError(f"audit: an entry for {entry.action!a} cannot be stored") from None
    text = orjson.dumps(detail, option=orjson.OPT_SORT_KEYS).decode()
    return Written(stamp(at), *fields, text, entry.once)


def hash_of(row: Mapping[str, object]) -> str:
    """SHA-256 over every column but hash and signature: 64 hexadecimal digits."""
    values = [row[column] for column in COLUMNS]
    once = row.get("once")
    said = [_FORMAT, *values] if once is None else [_FORMAT_ONCE, *values, once]
    return hashlib.sha256(orjson.dumps(said)).hexdigest()


def extend(connection: Connection, chain: str, rows: Sequence[Written], seal: Seal, *, known: End | None = None) -> End:
    """Write rows at the end of a chain, the last of them signed, and give the new end.

    The transaction must hold the chain's lock (`lock_of`). The end is read anew each time: whatever else has written to
    this chain, and whatever transaction failed, it fits. `known` is the end as the writer left it; raises `Broken` where
    the chain does not go on from there, or does not end with a row that was signed.
    """
    end = end_of(connection, chain)
    if end != known:
        _prove(connection, chain, end, seal, known)
    return put(connection, chain, rows, seal, end)


def put(connection: Connection, chain: str, rows: Sequence[Written], seal: Seal, end: End) -> End:
    """Write rows behind this end, whatever it is, and give the new one."""
    values: list[dict[str, object]] = []
    seq, digest, previous = end.seq, end.hash, end.link
    for row in rows:
        seq += 1
        value: dict[str, object] = {
            "chain": chain, "seq": seq, "at": row.at, "actor": row.actor, "action": row.action, "outcome": row.outcome,
            "call": row.call, "subject": row.subject, "detail": row.detail, "previous": previous, "once": row.once,
            "signature": None,
        }  # fmt: skip
        value["hash"] = digest = previous = hash_of(value)
        values.append(value)
    if not values:
        return end
    values[-1]["signature"] = signature = seal.sign(*row_said(chain, seq, digest))
    _ROWS.put(connection, values)
    return End(seq, digest, signature)


def end_of(connection: Connection, chain: str) -> End:
    """The last row as the database has it."""
    rows = _END.rows(connection, of=chain)
    return End(*rows[0]) if rows else End()


def news(connection: Connection, rows: Sequence[Written]) -> tuple[Sequence[Written], dict[str, str]]:
    """Without those of which the like was written before, here or in another chain; and by `once` the outcome that stands."""
    keys = {row.once for row in rows if row.once is not None}
    if not keys:
        return rows, {}
    found = connection.execute(_THERE, {"keys": list(keys)})
    stands: dict[str, str] = {row.once: row.outcome for row in found}
    kept: list[Written] = []
    for row in rows:
        if row.once is None:
            kept.append(row)
        elif row.once not in stands:
            kept.append(row)
            stands[row.once] = row.outcome
    return kept, stands


def _prove(connection: Connection, chain: str, end: End, seal: Seal, known: End | None) -> None:
    """Whether this end may be gone on from: at a writer's start, and where something else has written."""
    left = {} if known is None else {known.seq: known.hash}
    for head in heads.all_of(connection):
        if not seal.verifier.good(head.signature, *head.said):
            if head.chain == chain:
                raise Broken(chain, f"the head of chain {chain} was not signed by this installation's audit key")
            continue
        seq, digest = (head.seq, head.hash) if head.chain == chain else head.others.get(chain, (0, START))
        left[seq] = digest
    anchor = anchor_of(connection, chain, seal)
    for seq, digest in left.items():
        if anchor is not None and seq <= anchor.seq:
            # deleted for its age; what a head of long ago tells of is not there any more
            if seq == anchor.seq and digest != anchor.hash:
                raise Broken(chain, f"chain {chain} begins behind row {seq}, which is not the one that a head tells of")
            continue
        row = connection.execute(_AT, {"of": chain, "number": seq}).one_or_none()
        if seq and (row is None or row.hash != digest):
            raise Broken(chain, f"chain {chain} was cut or written anew: row {seq} is not there as it was left")
    if end.seq and not seal.verifier.good(end.signature, *row_said(chain, end.seq, end.hash)):
        raise Broken(chain, f"chain {chain} ends with row {end.seq}, which this installation's audit key did not sign")


def anchor_of(connection: Connection, chain: str, seal: Seal) -> anchors.Anchor | None:
    """Behind which row the chain begins; raises `Broken` where that was not signed."""
    with suppress(ValueError):
        anchor = anchors.of(connection, chain)
        if anchor is None or seal.verifier.good(anchor.signature, *anchor.said):
            return anchor
    raise Broken(chain, f"the anchor of chain {chain} was not signed by this installation's audit key")


def lock_of(chain: str) -> str:
    """The lock that two writers of one chain wait for (`Database.write`)."""
    return f"audit/{chain}"


async def append_within(
    connection: AsyncConnection, chain: str, *entries: Entry, seal: Seal, clock: Callable[[], datetime] = utc_now
) -> None:
    """Write entries in the transaction of what they tell of, and sign the chain's head.

    Raises `StoreError`, and `ConfigError` where the chain does not end as it was left.
    """
    now = clock()
    rows = [written(entry, now) for entry in entries]

    def work(connection: Connection) -> None:
        end = extend(connection, chain, rows, seal)
        heads.sign(connection, chain, end.seq, end.hash, stamp(now), seal)

    try:
        if rows:
            await connection.run_sync(work)
    except Broken as error:
        raise error.refusal() from None
