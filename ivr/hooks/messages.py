"""Messages that wait in the database: of each call one after another, for each receiver."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, case, func, select, update

from ivr.hooks.events import Event
from ivr.store.tables import MESSAGES

BEHIND = 2**62
"""When a message is due that stands behind another one of the same call, or was given up: never, until that is changed."""

# Calls that are looked for at once.
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that one receiver is told. `since`: when it happened, in seconds since the epoch."""

    place: int
    receiver: str
    call: str
    id: str
    body: str
    since: int
    tries: int


def alive(receiver: str) -> tuple[ColumnElement[bool], ...]:
    """What waits for this receiver, and was not given up."""
    return MESSAGES.c.receiver == receiver, MESSAGES.c.dead.is_(False)


def that(message: Message) -> tuple[ColumnElement[bool], ...]:
    """This one, as long as it is there."""
    return MESSAGES.c.place == message.place, MESSAGES.c.id == message.id


def call_of(event: Event) -> str:
    """Which call it is about, as messages stand one after another."""
    return f"{event.call.node}/{event.call.id}"


def waiting(connection: Connection, calls: Collection[str]) -> set[tuple[str, str]]:
    """Receiver and call of what is still to be told of these."""
    found, listed = set[tuple[str, str]](), sorted(calls)
    for start in range(0, len(listed), _MOST):
        where = MESSAGES.c.call.in_(listed[start : start + _MOST]), MESSAGES.c.dead.is_(False)
        rows = connection.execute(select(MESSAGES.c.receiver, MESSAGES.c.call).where(*where)).all()
        found |= {(row.receiver, row.call) for row in rows}
    return found


def first(connection: Connection, receiver: str, call: str) -> int | None:
    """The place of the first message of this call that waits; None where none does."""
    where = *alive(receiver), MESSAGES.c.call == call
    return connection.execute(select(func.min(MESSAGES.c.place)).where(*where)).scalar()


def let_go(connection: Connection, message: Message) -> None:
    """What stood behind this one is due."""
    earliest = first(connection, message.receiver, message.call)
    where = MESSAGES.c.place == earliest, MESSAGES.c.due == BEHIND
    connection.execute(update(MESSAGES).where(*where).values(due=0))


def in_order(connection: Connection, receiver: str, calls: Collection[str]) -> None:
    """Of each of these calls the first one is due, and no other."""
    earlier = MESSAGES.alias("earlier")
    is_behind = (
        select(earlier.c.place)
        .where(
            earlier.c.receiver == MESSAGES.c.receiver, earlier.c.call == MESSAGES.c.call, earlier.c.place < MESSAGES.c.place,
            earlier.c.dead.is_(False),
        )
        .exists()
    )  # fmt: skip
    due = case((is_behind, BEHIND), (MESSAGES.c.due == BEHIND, 0), else_=MESSAGES.c.due)
    theirs = *alive(receiver), MESSAGES.c.call.in_(sorted(calls))
    connection.execute(update(MESSAGES).where(*theirs).values(due=due))
