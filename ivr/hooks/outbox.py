"""What is to be told, in the database: read out of the audit trail without a gap, kept until it is taken."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from ivr.config import Webhook
from ivr.database import Database
from ivr.hooks import cursor, events, messages
from ivr.hooks.events import Event
from ivr.hooks.messages import Message
from ivr.lock.words import Channel
from ivr.staff import TENANT
from ivr.store.tables import MESSAGES, WATCHED
from ivr.vault import Index

_LOCK = "webhooks"
# Messages that are changed at once.
_MOST = 1000


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

    def __init__(
        self, database: Database, receivers: Mapping[str, Collection[str]], tenants: Mapping[str, Collection[str]] | None = None
    ) -> None:  # fmt: skip
        """`receivers`: of which kinds of events each is told; `tenants`: of whose calls, which are `TENANT`'s where it does not say."""
        self._database = database
        self._receivers = receivers
        self._tenants = tenants or {}

    @classmethod
    def of(cls, database: Database, hooks: Mapping[str, Webhook]) -> Self:
        """For the receivers of the settings."""
        return cls(
            database,
            {name: hook.events for name, hook in hooks.items()},
            {name: hook.tenants for name, hook in hooks.items()},
        )

    async def read(self, oldest: int, index: Index) -> int:
        """Read the trail on, and put down what is to be told; how many rows were read. What is older than `oldest` is left out.

        `index` says what the API calls the calls.
        The first time it begins at the end: nobody is told of what was before there were webhooks.
        """
        if not await self._database.look_up(cursor.has_news):
            return 0

        def work(connection: Connection) -> int:
            count, told = cursor.read(connection, oldest)
            self._put(connection, told, index)
            return count

        return await self._database.put_down(work, lock=_LOCK)

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
                connection.execute(update(WATCHED).where(*cursor.of_call(call)).values(until=at))

        if until:
            await self._database.put_down(work, lock=_LOCK)

    async def gone(self, ended: Sequence[tuple[Watched, str]], now: int, index: Index) -> None:
        """These marks are there no more, each for this reason."""

        def work(connection: Connection) -> None:
            told = []
            for mark, reason in ended:
                # verified anew meanwhile: that is another mark
                where = (*cursor.of_call(mark.call), WATCHED.c.event == mark.event)
                if connection.execute(delete(WATCHED).where(*where)).rowcount:
                    tenant = cursor.whose_mark(connection, mark.call, mark.subject)
                    told.append(events.ended(mark.event, mark.call, mark.subject, reason, now, tenant))
            self._put(connection, told, index)

        if ended:
            await self._database.put_down(work, lock=_LOCK)

    async def due(self, receiver: str, now: float | None, most: int) -> Sequence[Message]:
        """What may be sent now: of each call the first one alone, for the next waits until that is taken or given up.

        `now` None: whenever it may be sent.
        """
        by = messages.BEHIND - 1 if now is None else int(now * 1000)
        query = (
            select(MESSAGES)
            .where(*messages.alive(receiver), MESSAGES.c.due <= by)
            .order_by(MESSAGES.c.due, MESSAGES.c.place)
            .limit(most)
        )
        return await self._database.look_up(
            lambda connection: [
                Message(row.place, row.receiver, row.call, row.id, row.body, row.since, row.tries)
                for row in connection.execute(query).all()
            ]
        )

    async def taken(self, message: Message) -> None:
        """It has arrived."""

        def work(connection: Connection) -> None:
            connection.execute(delete(MESSAGES).where(*messages.that(message)))
            messages.let_go(connection, message)

        await self._database.put_down(work, lock=_LOCK)

    async def not_taken(self, message: Message, again: float | None) -> None:
        """It is tried `again` then (seconds since the epoch); None: it is given up."""

        def work(connection: Connection) -> None:
            values = {"tries": message.tries + 1, "dead": again is None, "due": messages.BEHIND}
            connection.execute(update(MESSAGES).where(*messages.that(message)).values(**values))
            if again is None:
                messages.let_go(connection, message)
            elif messages.first(connection, message.receiver, message.call) == message.place:
                connection.execute(update(MESSAGES).where(*messages.that(message)).values(due=int(again * 1000)))

        await self._database.put_down(work, lock=_LOCK)

    async def hurry(self, receiver: str) -> None:
        """What waits for another try is tried at once."""
        await self._change(
            (*messages.alive(receiver), MESSAGES.c.due > 0, MESSAGES.c.due < messages.BEHIND), {"due": 0}
        )

    async def give_up(self, receiver: str, before: int) -> int:
        """What happened before then, and was not taken, is told no more; how many there were."""
        old = *messages.alive(receiver), MESSAGES.c.since < before
        there = select(MESSAGES.c.place).where(*old).limit(1)
        if await self._database.look_up(lambda connection: connection.execute(there).first()) is None:
            return 0
        return await self._change(old, {"dead": True, "due": messages.BEHIND})

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
        return await self._database.look_up(cursor.unread)

    async def revive(self, receiver: str, now: float) -> int:
        """Try again what was given up, of each call before what was not; how many there were."""
        lost = MESSAGES.c.receiver == receiver, MESSAGES.c.dead.is_(True)
        return await self._change(lost, {"dead": False, "tries": 0, "due": 0, "since": int(now)})

    # ------------------------------------------------------------ inside

    async def _change(self, those: Collection[ColumnElement[bool]], values: Mapping[str, object]) -> int:
        """Change all of them, which are those no more by it; how many there were. Calls' rows wait for no more than a piece."""
        found = select(MESSAGES.c.place, MESSAGES.c.receiver, MESSAGES.c.call).where(*those).order_by(MESSAGES.c.place).limit(_MOST)  # fmt: skip
        last = 0

        def work(connection: Connection) -> Sequence[int]:
            rows = connection.execute(found.where(MESSAGES.c.place > last)).all()
            places = [row.place for row in rows]
            connection.execute(update(MESSAGES).where(MESSAGES.c.place.in_(places)).values(**values))
            for receiver in {row.receiver for row in rows}:
                messages.in_order(connection, receiver, {row.call for row in rows})
            return places

        total = 0
        while places := await self._database.put_down(work, lock=_LOCK):
            total, last = total + len(places), places[-1]
        return total

    def _put(self, connection: Connection, told: Sequence[Event], index: Index) -> None:
        wanted = [(name, event) for event in told for name in self._receivers if self._is_for(event, name)]
        if not wanted:
            return
        waiting = messages.waiting(connection, {messages.call_of(event) for _, event in wanted})
        place: int = connection.execute(select(func.coalesce(func.max(MESSAGES.c.place), 0))).scalar_one()
        values = []
        for number, (name, event) in enumerate(wanted, 1):
            key = name, messages.call_of(event)
            values.append({
                "place": place + number, "receiver": name, "id": event.id, "call": key[1], "body": event.body(index),
                "since": event.at,
                "due": messages.BEHIND if key in waiting else 0, "tries": 0, "dead": False,
            })  # fmt: skip
            waiting.add(key)
        connection.execute(insert(MESSAGES), values)

    def _is_for(self, event: Event, receiver: str) -> bool:
        return event.kind in self._receivers[receiver] and event.tenant in self._tenants.get(receiver, (TENANT,))
