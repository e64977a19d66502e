"""What is to be told, in the database: read out of the audit trail without a gap, kept until it is taken."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from ivr.audit.table import AUDIT, HEADS
from ivr.database import Database
from ivr.hooks import events
from ivr.hooks.events import Event, Row
from ivr.lock.words import Channel
from ivr.store.tables import CURSORS, MESSAGES, WATCHED

_LOCK = "webhooks"
# Rows that are read at once from each chain.
_AT_ONCE = 500
# No chain has this name: that the trail was read from some day on.
_BEGUN = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that one receiver is told. `since`: when it happened, in seconds since the epoch."""

    place: int
    id: str
    body: str
    since: int
    tries: int


@dataclass(frozen=True, slots=True)
class Watched:
    """A mark whose end is to be told; `until` is 0 where it was not seen yet."""

    call: Channel
    event: str
    subject: str
    since: int
    until: int
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a receiver: how many messages wait, since when the oldest (seconds since the epoch), how many were given up."""

    waiting: int
    oldest: int
    dead: int


class Outbox:
    """Every method raises `StoreError`."""

    def __init__(self, database: Database, receivers: Mapping[str, Collection[str]]) -> None:
        """`receivers`: of which kinds of events each is told."""
        self._database = database
        self._receivers = receivers

    async def read(self, oldest: int) -> int:
        """Read the trail on, and put down what is to be told; how many rows were read. What is older than `oldest` is left out.

        The first time it begins at the end: nobody is told of what was before there were webhooks.
        """
        if not await self._database.look_up(_has_news):
            return 0
        return await self._database.put_down(lambda connection: self._read(connection, oldest), lock=_LOCK)

    async def watched(self) -> Sequence[Watched]:
        """Every mark whose end is to be told."""
        return await self._database.look_up(
            lambda connection: [
                Watched(Channel(row.node, row.channel), row.event, row.subject, row.since, row.until, row.reason)
                for row in connection.execute(select(WATCHED).order_by(WATCHED.c.since)).all()
            ]
        )

    async def seen(self, until: Mapping[Channel, int]) -> None:
        """These marks are there, and end then."""

        def work(connection: Connection) -> None:
            for call, at in until.items():
                connection.execute(update(WATCHED).where(*_of(call)).values(until=at))

        if until:
            await self._database.put_down(work, lock=_LOCK)

    async def gone(self, ended: Sequence[tuple[Watched, str]], now: int) -> None:
        """These marks are there no more, each for this reason."""

        def work(connection: Connection) -> None:
            told = []
            for mark, reason in ended:
                # verified anew meanwhile: that is another mark
                where = (*_of(mark.call), WATCHED.c.event == mark.event)
                if connection.execute(delete(WATCHED).where(*where)).rowcount:
                    told.append(events.ended(mark.event, mark.call, mark.subject, reason, now))
            self._put(connection, told)

        if ended:
            await self._database.put_down(work, lock=_LOCK)

    async def due(self, receiver: str, now: float, most: int) -> Sequence[Message]:
        """What may be sent now: of each call the first one alone, for the next waits until that is taken or given up."""
        theirs = MESSAGES.c.receiver == receiver, MESSAGES.c.dead.is_(False)
        first = select(func.min(MESSAGES.c.place)).where(*theirs).group_by(MESSAGES.c.call)
        query = (
            select(MESSAGES)
            .where(MESSAGES.c.place.in_(first), MESSAGES.c.due <= int(now * 1000))
            .order_by(MESSAGES.c.place)
            .limit(most)
        )
        return await self._database.look_up(
            lambda connection: [
                Message(row.place, row.id, row.body, row.since, row.tries) for row in connection.execute(query).all()
            ]
        )

    async def taken(self, message: Message) -> None:
        """It has arrived."""
        gone = delete(MESSAGES).where(MESSAGES.c.place == message.place, MESSAGES.c.id == message.id)
        await self._database.put_down(lambda connection: connection.execute(gone).rowcount, lock=_LOCK)

    async def not_taken(self, message: Message, again: float | None) -> None:
        """It is tried `again` then (seconds since the epoch); None: it is given up."""
        values = {"tries": message.tries + 1, "dead": again is None, "due": int((again or 0) * 1000)}
        where = MESSAGES.c.place == message.place, MESSAGES.c.id == message.id
        await self._database.put_down(
            lambda connection: connection.execute(update(MESSAGES).where(*where).values(**values)).rowcount, lock=_LOCK
        )

    async def forget(self, before: int) -> int:
        """Throw away what was given up and happened before then, and what is for nobody any more; how many."""
        lost = MESSAGES.c.dead.is_(True) & (MESSAGES.c.since < before) | MESSAGES.c.receiver.not_in(self._receivers)
        there = select(MESSAGES.c.place).where(lost).limit(1)
        if await self._database.look_up(lambda connection: connection.execute(there).first()) is None:
            return 0
        return await self._database.put_down(
            lambda connection: connection.execute(delete(MESSAGES).where(lost)).rowcount, lock=_LOCK
        )

    async def standing(self) -> Mapping[str, Standing]:
        """Of every receiver that the settings have."""
        counts = (
            select(MESSAGES.c.receiver, MESSAGES.c.dead, func.count().label("number"), func.min(MESSAGES.c.since).label("oldest"))
            .group_by(MESSAGES.c.receiver, MESSAGES.c.dead)
        )  # fmt: skip
        rows = await self._database.look_up(lambda connection: connection.execute(counts).all())
        found: dict[tuple[str, bool], tuple[int, int]] = {
            (row.receiver, bool(row.dead)): (int(row.number), int(row.oldest)) for row in rows
        }
        standing = {}
        for name in self._receivers:
            waiting, oldest = found.get((name, False), (0, 0))
            standing[name] = Standing(waiting, oldest, found.get((name, True), (0, 0))[0])
        return standing

    async def unread(self) -> int:
        """How many rows of the trail were not read yet; 0 where none ever was."""
        return await self._database.look_up(_unread)

    async def revive(self, receiver: str, now: float) -> int:
        """Try again what was given up; how many there were."""
        where = MESSAGES.c.receiver == receiver, MESSAGES.c.dead.is_(True)
        values = {"dead": False, "tries": 0, "due": 0, "since": int(now)}
        return await self._database.put_down(
            lambda connection: connection.execute(update(MESSAGES).where(*where).values(**values)).rowcount, lock=_LOCK
        )

    # ------------------------------------------------------------ inside

    def _read(self, connection: Connection, oldest: int) -> int:
        known: dict[str, int] = {row.chain: row.seq for row in connection.execute(select(CURSORS)).all()}
        if _BEGUN not in known:
            ends = connection.execute(
                select(AUDIT.c.chain, func.max(AUDIT.c.seq).label("seq")).group_by(AUDIT.c.chain)
            ).all()
            connection.execute(insert(CURSORS), [{"chain": _BEGUN, "seq": 0}, *({"chain": row.chain, "seq": row.seq} for row in ends)])  # fmt: skip
            return 0
        count, told = 0, list[Event]()
        for chain in connection.execute(select(HEADS.c.chain).order_by(HEADS.c.chain)).scalars().all():
            rows = _rows(connection, chain, known.get(chain, 0))
            if not rows:
                continue
            count += len(rows)
            told += [event for row in rows if row.seconds >= oldest for event in self._of(connection, row)]
            _advance(connection, chain, rows[-1].seq, known=chain in known)
        # of a call that went from one worker to another, in the order in which it happened
        told.sort(key=lambda event: event.at)
        self._put(connection, told)
        return count

    def _of(self, connection: Connection, row: Row) -> Iterable[Event]:
        event, call = events.of(row), row.channel
        if call is not None and row.action == events.DROP and row.outcome in events.DROPPED:
            connection.execute(update(WATCHED).where(*_of(call)).values(reason=row.outcome))
        if call is not None and row.action == events.VOID:
            connection.execute(update(WATCHED).where(*_of(call)).values(reason="void"))
        if event is None:
            return ()
        if event.kind == events.VERIFIED:
            connection.execute(delete(WATCHED).where(*_of(event.call)))
            connection.execute(
                insert(WATCHED).values(
                    node=event.call.node, channel=event.call.id, event=event.id, subject=row.subject, since=event.at,
                    until=0, reason="",
                )
            )  # fmt: skip
        return (event,)

    def _put(self, connection: Connection, told: Sequence[Event]) -> None:
        wanted = [(name, event) for event in told for name, kinds in self._receivers.items() if event.kind in kinds]
        if not wanted:
            return
        place: int = connection.execute(select(func.coalesce(func.max(MESSAGES.c.place), 0))).scalar_one()
        values = [
            {
                "place": place + number, "receiver": name, "id": event.id, "call": f"{event.call.node}/{event.call.id}",
                "body": event.body(), "since": event.at, "due": 0, "tries": 0, "dead": False,
            }
            for number, (name, event) in enumerate(wanted, 1)
        ]  # fmt: skip
        connection.execute(insert(MESSAGES), values)


def _has_news(connection: Connection) -> bool:
    """Whether anything was written since it was read; most often nothing was."""
    known: dict[str, int] = {row.chain: row.seq for row in connection.execute(select(CURSORS)).all()}
    if _BEGUN not in known:
        return True
    for chain in connection.execute(select(HEADS.c.chain)).scalars().all():
        end = select(AUDIT.c.seq).where(AUDIT.c.chain == chain).order_by(AUDIT.c.seq.desc()).limit(1)
        if (connection.execute(end).scalar() or 0) > known.get(chain, 0):
            return True
    return False


def _unread(connection: Connection) -> int:
    known: dict[str, int] = {row.chain: row.seq for row in connection.execute(select(CURSORS)).all()}
    if _BEGUN not in known:
        return 0
    ends = select(AUDIT.c.chain, func.max(AUDIT.c.seq).label("seq")).group_by(AUDIT.c.chain)
    return sum(max(0, row.seq - known.get(row.chain, 0)) for row in connection.execute(ends).all())


def _rows(connection: Connection, chain: str, behind: int) -> list[Row]:
    query = select(AUDIT).where(AUDIT.c.chain == chain, AUDIT.c.seq > behind).order_by(AUDIT.c.seq).limit(_AT_ONCE)
    return [
        Row(row.chain, row.seq, row.at, row.action, row.outcome, row.call, row.subject, orjson.loads(row.detail))
        for row in connection.execute(query).all()
    ]


def _advance(connection: Connection, chain: str, seq: int, *, known: bool) -> None:
    if known:
        connection.execute(update(CURSORS).where(CURSORS.c.chain == chain).values(seq=seq))
    else:
        connection.execute(insert(CURSORS).values(chain=chain, seq=seq))


def _of(call: Channel) -> tuple[ColumnElement[bool], ...]:
    return WATCHED.c.node == call.node, WATCHED.c.channel == call.id
