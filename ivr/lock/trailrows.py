"""Looking into the audit trail, newest rows first, in pieces that cost no more however long it is.

By a customer or a call an index leads to the rows. Else so many of the newest are looked through, a window after the other,
for so long; what is searched for may not be among them: then a piece is short, or empty, and says where the next one begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Subquery, and_, func, or_, select

from ivr.audit.chain import hash_of, link
from ivr.audit.rates import told
from ivr.audit.signing import Verifier, row_said
from ivr.audit.table import AUDIT
from ivr.database import Database
from ivr.staff import TENANT
from ivr.store.tables import CUSTOMERS

# Rows that are looked through at once: some tens of milliseconds, for which others wait.
_WINDOW = 20_000
# Seconds after which no other window is begun: nobody who reads the page takes it for slow.
_WORK = 0.2
# SQLite before 3.32 takes 999 values in a statement.
_AT_ONCE = 500


class Place(NamedTuple):
    """Where a row stands: `at` as the trail has it, and its chain's name and number in it."""

    at: str
    chain: str
    seq: int


@dataclass(frozen=True, slots=True)
class Sought:
    """Which rows, of one tenant. `actor`: this, or part of it; `since` and `until` as the trail has times."""

    tenant: str
    actions: Collection[str] | None = None
    actor: str | None = None
    call: str | None = None
    subject: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """A row. `sound`: it is as it was written, and so is what joins it to the row behind it."""

    place: Place
    actor: str
    action: str
    outcome: str
    call: str
    subject: str
    detail: Mapping[str, str]
    sound: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A piece. `behind`: where the next one begins; None where nothing older is left to be looked through.

    `short`: it was looked no further than to there, and is not full.
    """

    rows: Sequence[Noted]
    behind: Place | None
    short: bool = False


class TrailRows:
    """Reads the trail for people. The tenant of a row is the one that it names, else its customer's, else `TENANT`."""

    def __init__(
        self, database: Database, keys: Verifier, window: int = _WINDOW, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`window`: how many rows are looked through at once."""
        self._database = database
        self._keys = keys
        self._window = window
        self._clock = clock

    async def found(self, sought: Sought, before: Place | None, most: int) -> Found:
        """At most so many rows, of those older than that place. Raises `StoreError`."""
        until = self._clock() + _WORK
        rows: list[Noted] = []
        while True:
            window = await self._in_window(sought, before, most - len(rows))
            rows += window.rows
            before = window.behind
            full = len(rows) == most
            if before is None or full or self._clock() >= until:
                return Found(rows, before, short=before is not None and not full)

    async def _in_window(self, sought: Sought, before: Place | None, most: int) -> Found:
        return await self._database.look_up(lambda connection: self._found(connection, sought, before, most))

    def _found(self, connection: Connection, sought: Sought, before: Place | None, most: int) -> Found:
        looked = _ordered(select(AUDIT), AUDIT.c).where(*_led(sought, before))
        led = sought.subject is not None or sought.call is not None
        if not led:
            looked = looked.limit(self._window)
        inner = looked.subquery()
        query = _ordered(select(inner, CUSTOMERS.c.tenant.label("whose")), inner.c)
        query = query.join_from(inner, CUSTOMERS, CUSTOMERS.c.ref == inner.c.subject, isouter=True)
        query = query.where(*_filtered(inner, sought)).limit(most + 1)
        rows = [dict(row) for row in connection.execute(query).mappings()]
        behind = None
        if len(rows) > most:
            rows = rows[:most]
            behind = _place(rows[-1])
        elif not led:
            last = connection.execute(looked.with_only_columns(*_PLACE).offset(self._window - 1).limit(1)).one_or_none()
            behind = None if last is None else Place(*last)
        # the filter takes upper and lower case for the same
        own = [row for row in rows if tenant_of(row) == sought.tenant]
        unsound = self._unsound(connection, own)
        return Found([_noted(row, sound=_place(row) not in unsound) for row in own], behind)

    def _unsound(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> set[Place]:
        """Those that are not as they were written, or whose next row does not follow them."""
        behind: dict[tuple[str, int], str] = {}
        chains: dict[str, list[int]] = {}
        for row in rows:
            chains.setdefault(row["chain"], []).append(row["seq"] + 1)
        # first of all: the rows behind these are looked for later, and more may be written meanwhile
        ends = {chain: _end(connection, chain) for chain in chains}
        for chain, numbers in chains.items():
            for at in range(0, len(numbers), _AT_ONCE):
                # chain by chain: for pairs of both SQLite would go through all of the trail
                query = select(AUDIT.c.seq, AUDIT.c.previous)
                query = query.where(AUDIT.c.chain == chain, AUDIT.c.seq.in_(numbers[at : at + _AT_ONCE]))
                behind |= {(chain, seq): previous for seq, previous in connection.execute(query)}
        return {_place(row) for row in rows if not self._is_sound(row, behind, ends)}

    def _is_sound(self, row: Mapping[str, Any], behind: Mapping[tuple[str, int], str], ends: Mapping[str, int]) -> bool:
        chain, seq, digest, signature = row["chain"], row["seq"], row["hash"], row["signature"]
        if hash_of(row) != digest:
            return False
        if signature is not None and not self._keys.good(signature, *row_said(chain, seq, digest)):
            return False
        follows = behind.get((chain, seq + 1))
        if follows is None:
            # the last row of a chain is signed
            return bool(seq == ends[chain]) and signature is not None
        return follows == link(digest, signature)


_PLACE = AUDIT.c.at, AUDIT.c.chain, AUDIT.c.seq


def tenant_of(row: Mapping[str, Any]) -> str:
    """Whose row it is; `whose`: the tenant of its customer, where there is one. The company that has the workers has the rest."""
    return told(row["detail"]).get("tenant") or row["whose"] or TENANT


def _ordered(query: Select[Any], columns: Any) -> Select[Any]:
    return query.order_by(columns.at.desc(), columns.chain.desc(), columns.seq.desc())


def _led(sought: Sought, before: Place | None) -> list[ColumnElement[bool]]:
    """What the indexes of the trail lead by."""
    columns = AUDIT.c
    found: list[ColumnElement[bool]] = []
    if sought.subject is not None:
        found.append(columns.subject == sought.subject)
    if sought.call is not None:
        found.append(columns.call == sought.call)
    if sought.since is not None:
        found.append(columns.at >= sought.since)
    if sought.until is not None:
        found.append(columns.at < sought.until)
    if before is not None:
        found.append(columns.at <= before.at)
        same = and_(columns.chain == before.chain, columns.seq < before.seq)
        found.append(or_(columns.at < before.at, columns.chain < before.chain, same))
    return found


def _filtered(rows: Subquery, sought: Sought) -> list[ColumnElement[bool]]:
    """What is looked through for."""
    columns = rows.c
    # values in the detail are text: a quotation mark in one of them is escaped, and names no tenant
    named = columns.detail.contains('"tenant":"', autoescape=True)
    own = columns.detail.contains(f'"tenant":"{sought.tenant}"', autoescape=True)
    found: list[ColumnElement[bool]] = [
        or_(own, and_(~named, func.coalesce(CUSTOMERS.c.tenant, TENANT) == sought.tenant))
    ]
    if sought.actions is not None:
        found.append(columns.action.in_(sorted(sought.actions)))
    if sought.actor is not None:
        found.append(columns.actor.contains(sought.actor, autoescape=True))
    return found


def _end(connection: Connection, chain: str) -> int:
    query = select(AUDIT.c.seq).where(AUDIT.c.chain == chain).order_by(AUDIT.c.seq.desc()).limit(1)
    return int(connection.execute(query).scalar_one())


def _place(row: Mapping[str, Any]) -> Place:
    return Place(row["at"], row["chain"], row["seq"])


def _noted(row: Mapping[str, Any], *, sound: bool) -> Noted:
    # a row that was changed may hold anything
    detail = {str(name): str(value) for name, value in told(row["detail"]).items()}
    return Noted(_place(row), row["actor"], row["action"], row["outcome"], row["call"], row["subject"], detail, sound)
