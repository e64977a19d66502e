"""How far the audit trail was read for webhooks, and what its rows tell: each of them once, in one transaction with what comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import orjson
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from ivr.audit.table import AUDIT, HEADS
from ivr.hooks import events
from ivr.hooks.events import Event, Row
from ivr.lock.words import Channel
from ivr.staff import TENANT
from ivr.store.tables import CURSORS, CUSTOMERS, WATCHED

AT_ONCE = 500
"""Rows that are read at once from each chain."""
# No chain has this name: that the trail was read from some day on.
_BEGUN = ""


def has_news(connection: Connection) -> bool:
    """Whether anything was written since it was read; most often nothing was."""
    known: dict[str, int] = {row.chain: row.seq for row in connection.execute(select(CURSORS)).all()}
    if _BEGUN not in known:
        return True
    return any(end > known.get(chain, 0) for chain, end in _ends(connection))


def unread(connection: Connection) -> int:
    """How many rows were not read yet; 0 where none ever was."""
    known: dict[str, int] = {row.chain: row.seq for row in connection.execute(select(CURSORS)).all()}
    if _BEGUN not in known:
        return 0
    return sum(max(0, end - known.get(chain, 0)) for chain, end in _ends(connection))


def _ends(connection: Connection) -> Iterator[tuple[str, int]]:
    # by the index, chain by chain: counting them all would look at every row
    for chain in connection.execute(select(HEADS.c.chain)).scalars().all():
        end = select(AUDIT.c.seq).where(AUDIT.c.chain == chain).order_by(AUDIT.c.seq.desc()).limit(1)
        yield chain, connection.execute(end).scalar() or 0


def _rows(connection: Connection, chain: str, behind: int) -> list[Row]:
    told = AUDIT.c
    query = (
        select(
            told.chain, told.seq, told.hash, told.at, told.action, told.outcome, told.call, told.subject, told.detail
        )
        .where(told.chain == chain, told.seq > behind)
        .order_by(told.seq)
        .limit(AT_ONCE)
    )
    return [Row(*row[:-1], orjson.loads(row.detail)) for row in connection.execute(query).all()]


def _advance(connection: Connection, chain: str, seq: int, *, known: bool) -> None:
    if known:
        connection.execute(update(CURSORS).where(CURSORS.c.chain == chain).values(seq=seq))
    else:
        connection.execute(insert(CURSORS).values(chain=chain, seq=seq))


def read(connection: Connection, oldest: int) -> tuple[int, list[Event]]:
    """Read all chains on: how many rows, and what they tell that is not older than `oldest` (seconds since the epoch).

    The first time it begins at the end: nobody is told of what was before there were webhooks.
    """
    known: dict[str, int] = {row.chain: row.seq for row in connection.execute(select(CURSORS)).all()}
    if _BEGUN not in known:
        ends = connection.execute(
            select(AUDIT.c.chain, func.max(AUDIT.c.seq).label("seq")).group_by(AUDIT.c.chain)
        ).all()
        connection.execute(insert(CURSORS), [{"chain": _BEGUN, "seq": 0}, *({"chain": row.chain, "seq": row.seq} for row in ends)])  # fmt: skip
        return 0, []
    count, told = 0, list[Event]()
    for chain in connection.execute(select(HEADS.c.chain).order_by(HEADS.c.chain)).scalars().all():
        rows = _rows(connection, chain, known.get(chain, 0))
        if not rows:
            continue
        count += len(rows)
        told += [event for row in rows if row.seconds >= oldest for event in _told(connection, row)]
        _advance(connection, chain, rows[-1].seq, known=chain in known)
    # of a call that went from one worker to another, in the order in which it happened
    told.sort(key=lambda event: event.at)
    return count, told


def _told(connection: Connection, row: Row) -> Iterable[Event]:
    call = row.channel
    told = row.action in (events.VERIFY, events.PROVE) and call is not None
    event = events.of(row, _tenant(connection, row.detail, row.subject)) if told else None
    if call is not None and row.action == events.DROP and row.outcome in events.DROPPED:
        connection.execute(update(WATCHED).where(*of_call(call)).values(reason=row.outcome))
    if call is not None and row.action == events.VOID:
        connection.execute(update(WATCHED).where(*of_call(call)).values(reason="void"))
    if event is None:
        return ()
    if event.kind == events.VERIFIED:
        before = connection.execute(select(WATCHED).where(*of_call(event.call))).first()
        connection.execute(delete(WATCHED).where(*of_call(event.call)))
        connection.execute(
            insert(WATCHED).values(
                node=event.call.node, channel=event.call.id, event=event.id, subject=row.subject, since=event.at,
                until=0, reason="",
            )
        )  # fmt: skip
        if before is not None:
            # nobody has looked since it was taken away, or it never was
            reason = before.reason or "anew"
            tenant = whose_mark(connection, event.call, before.subject)
            return events.ended(before.event, event.call, before.subject, reason, event.at, tenant), event
    return (event,)


def whose_mark(connection: Connection, call: Channel, subject: str) -> str:
    """The tenant of this customer's verification in this call; the customer may be gone by now."""
    query = select(AUDIT.c.detail).where(
        AUDIT.c.call == call.id, AUDIT.c.subject == subject, AUDIT.c.action == events.VERIFY
    )
    details = (orjson.loads(detail) for detail in connection.execute(query).scalars())
    return _tenant(connection, next((one for one in details if one.get("node") == call.node), {}), subject)


def _tenant(connection: Connection, detail: Mapping[str, str], subject: str) -> str:
    """The one that a row names; of one that names none the customer's, else `TENANT`."""
    if named := detail.get("tenant"):
        return named
    query = select(CUSTOMERS.c.tenant).where(CUSTOMERS.c.ref == subject)
    return connection.execute(query).scalar_one_or_none() or TENANT


def of_call(call: Channel) -> tuple[ColumnElement[bool], ...]:
    """The mark of this call, among those that are watched."""
    return WATCHED.c.node == call.node, WATCHED.c.channel == call.id
