"""Other organisations, as the database keeps them: all desks know each by the same key, and take each letter once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from ivr.call.ports.peers import Pin
from ivr.database import Database
from ivr.store.tables import LETTERS, PEERS

_LOCK = "peers"
# Domains with which a new one is compared: where anybody may write to us, anybody can have domains seen; some milliseconds.
_MOST = 1000


class StoredPeers:
    """Implements `Pinned` and `Taken`. Every method raises `StoreError`."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def of(self, domain: str) -> Pin | None:
        """What this domain is known by; None where it was never seen."""
        return await self._database.look_up(lambda connection: _pin(connection, domain))

    async def all(self) -> tuple[Pin, ...]:
        """Every one, by domain."""
        return await self._database.look_up(
            lambda connection: tuple(map(_read, connection.execute(select(PEERS).order_by(PEERS.c.domain)).all()))
        )

    async def first(self, pin: Pin) -> Pin:
        """Keep this one where there is none yet; the one that is kept."""

        def work(connection: Connection) -> Pin:
            found = _pin(connection, pin.domain)
            if found is not None:
                return found
            connection.execute(insert(PEERS).values(**_values(pin)))
            return pin

        return await self._database.put_down(work, lock=_LOCK)

    async def follow(self, pin: Pin, before: str) -> bool:
        """This one in the place of the key `before`; False where that is not kept any more."""
        where = (PEERS.c.domain == pin.domain) & (PEERS.c.key == before)
        return await self._database.put_down(
            lambda connection: connection.execute(update(PEERS).where(where).values(**_values(pin))).rowcount == 1,
            lock=_LOCK,
        )

    async def domains(self, before: int) -> tuple[str, ...]:
        """Those that were seen first before this second: of many those whose keys were compared, then those that are known longest."""
        query = select(PEERS.c.domain).where(PEERS.c.first_seen < before)
        query = query.order_by(PEERS.c.agreed.desc(), PEERS.c.first_seen, PEERS.c.domain).limit(_MOST)
        return await self._database.look_up(lambda connection: tuple(connection.execute(query).scalars()))

    async def take(self, domain: str, letter: str, until: int) -> bool:
        """Note that this letter of this domain was taken, until it is over; False where it was before."""
        now = int(self._clock())

        def work(connection: Connection) -> bool:
            # a minute longer: another desk's clock may be behind
            connection.execute(delete(LETTERS).where(LETTERS.c.until < now - 60))
            mine = (LETTERS.c.domain == domain) & (LETTERS.c.id == letter)
            if connection.execute(select(LETTERS.c.id).where(mine)).first() is not None:
                return False
            connection.execute(insert(LETTERS).values(domain=domain, id=letter, until=until))
            return True

        return await self._database.put_down(work, lock=_LOCK)


def agree(connection: Connection, pin: Pin) -> None:
    """This is the key that it is known by, whichever it was before: somebody has compared it."""
    found = _pin(connection, pin.domain)
    first_seen = pin.first_seen if found is None else found.first_seen
    forget(connection, pin.domain)
    connection.execute(insert(PEERS).values(**_values(replace(pin, first_seen=first_seen, agreed=True))))


def forget(connection: Connection, domain: str) -> bool:
    """It is known by no key any more, and whoever comes next is the first; False where it was not known."""
    return connection.execute(delete(PEERS).where(PEERS.c.domain == domain)).rowcount == 1


def _pin(connection: Connection, domain: str) -> Pin | None:
    found = connection.execute(select(PEERS).where(PEERS.c.domain == domain)).one_or_none()
    return None if found is None else _read(found)


def _read(row: Any) -> Pin:
    return Pin(row.domain, row.key, json.loads(row.public), row.first_seen, row.since, row.agreed)


def _values(pin: Pin) -> dict[str, object]:
    return {
        "domain": pin.domain, "key": pin.key, "public": json.dumps(dict(pin.public)), "first_seen": pin.first_seen,
        "since": pin.since, "agreed": pin.agreed,
    }  # fmt: skip
