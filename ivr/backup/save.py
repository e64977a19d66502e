"""Writing a back-up: all of it of one moment, while workers go on."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.audit import anchors, heads
from ivr.audit.chain import stamp, utc_now
from ivr.audit.signing import Seal
from ivr.audit.table import AUDIT
from ivr.backup.sealed import writing
from ivr.config import Settings
from ivr.database import Database, migrate
from ivr.errors import InputError
from ivr.store import datakeys, sealing
from ivr.store.rewrap import used
from ivr.store.tables import (
    CREDENTIALS,
    CUSTOMERS,
    ENDPOINTS,
    EVIDENCE,
    IDENTITIES,
    KEYS,
    MAILS,
    PEERS,
    PEOPLE,
    PERMISSIONS,
    PHONES,
    PUSHES,
    TOKEN_KEYS,
    TOTPS,
)

DATA_KEYS = "data-keys.age"
"""How the file of data keys is called, beside the back-ups; another must end with it, and no other file may."""

_AGE = b"age-encryption.org/"

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Saved:
    """How many customers, rows of the audit trail, and people who sign in."""

    customers: int
    rows: int
    people: int


async def save(
    settings: Settings,
    database: Database,
    seal: Seal,
    file: Path,
    data_keys: Path,
    *,
    told: Callable[[int, int], object],
) -> Saved:
    """Write a new file with the data, and replace that of the data keys. `told` hears how much was written, of how much.

    Raises `ConfigError` where nobody is named who may read it, `InputError` where a file cannot be written, or is none to
    be written over, `StoreError`.
    """
    if file.name.endswith(DATA_KEYS):
        raise InputError(f"{file}: only the data keys' file is called so. Name another file")
    _look_at(data_keys)
    at, recipients = stamp(utc_now()), settings.backup.recipients
    async with database.write(lock=datakeys.LOCK) as connection:
        await datakeys.begin(connection)
    async with database.snapshot() as connection:
        begun = await datakeys.begun(connection)
        needed = await used(connection)
        schema = await connection.run_sync(migrate.version) or ""
        count = await _count(connection, select(func.count()).select_from(CUSTOMERS))
        rows = await _count(connection, select(func.count()).select_from(AUDIT))
        people = await _count(connection, select(func.count()).select_from(PEOPLE))
        done = 0
        # First the data keys: they may be newer than a back-up, never older.
        with writing(data_keys, recipients, "keys", at=at, schema=schema, seal=seal) as keys:
            checks = select(KEYS).where(KEYS.c.kind.in_(("hash", "master")))
            keys.put({"needed": [list(row) for row in (await connection.execute(checks)).all()]})
            async for row in _rows(connection, select(CUSTOMERS.c.ref, CUSTOMERS.c.key_id, CUSTOMERS.c.wrapped)):
                keys.put({"key": [row["ref"], row["key_id"], _text(row["wrapped"])]})
            async for row in _rows(connection, select(PEOPLE.c.id, PEOPLE.c.key_id, PEOPLE.c.wrapped)):
                keys.put({"key": [sealing.person(row["id"]), row["key_id"], _text(row["wrapped"])]})
            async for row in _rows(connection, select(TOKEN_KEYS.c.id, TOKEN_KEYS.c.key_id, TOKEN_KEYS.c.wrapped)):
                keys.put({"key": [sealing.token_key(row["id"]), row["key_id"], _text(row["wrapped"])]})
            keys.finish()
            async with database.write(lock=datakeys.LOCK) as noting:
                await datakeys.note(noting, needed)
            async with database.write(lock=datakeys.LOCK) as noting:
                await datakeys.replace(noting, needed, begun)
                keys.place(replace=True)
        with writing(file, recipients, "data", at=at, schema=schema, seal=seal) as data:
            begins = await connection.run_sync(anchors.all_of)
            ends = await connection.run_sync(heads.all_of)
            data.put({"anchors": [one.json() for one in begins], "heads": [one.json() for one in ends]})
            async for row in _rows(connection, select(AUDIT).order_by(AUDIT.c.chain, AUDIT.c.seq)):
                data.put({"row": {str(column): value for column, value in row.items()}})
                done += 1
                told(done, rows + count)
            async for row in _rows(connection, select(CUSTOMERS).order_by(CUSTOMERS.c.ref)):
                data.put({"customer": await _customer(connection, row)})
                done += 1
                told(done, rows + count)
            async for row in _rows(connection, select(PEOPLE).order_by(PEOPLE.c.id)):
                data.put({"person": await _person(connection, row)})
            async for row in _rows(connection, select(TOKEN_KEYS).order_by(TOKEN_KEYS.c.id)):
                plain = {name: row[name] for name in ("id", "public", "made_at", "signs_from")}
                data.put({"token_key": {**plain, "private": _text(row["private"])}})
            # whoever was known by a key is not to be seen for the first time again
            async for row in _rows(connection, select(PEERS).order_by(PEERS.c.domain)):
                data.put({"peer": {str(column): value for column, value in row.items()}})
            data.finish()
            data.place(replace=False)
    return Saved(count, rows, people)


def _look_at(data_keys: Path) -> None:
    """Whether this is what a back-up may replace. Raises `InputError`."""
    if not data_keys.name.endswith(DATA_KEYS):
        raise InputError(f"{data_keys}: its name must end with {DATA_KEYS}: it is replaced by each back-up")
    try:
        with open(data_keys, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as stream:
            if stream.read(len(_AGE)) != _AGE:
                raise InputError(f"{data_keys}: is no file of data keys, and would be replaced. Name another file")
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{data_keys}: cannot be read ({error.strerror})") from None


async def _customer(connection: AsyncConnection, row: RowMapping) -> dict[str, Any]:
    """As stored, but without data key and indexes: these are made anew, of what the data key opens."""
    sealed = {field: None if row[field] is None else _text(row[field]) for field in ("number", "name", "pin")}
    phones = await connection.execute(
        select(PHONES.c.position, PHONES.c.phone, PHONES.c.since)
        .where(PHONES.c.customer == row["ref"])
        .order_by(PHONES.c.position)
    )
    app = (await connection.execute(select(TOTPS).where(TOTPS.c.customer == row["ref"]))).one_or_none()
    mail = (await connection.execute(select(MAILS).where(MAILS.c.customer == row["ref"]))).one_or_none()
    browsers = select(PUSHES).where(PUSHES.c.customer == row["ref"]).order_by(PUSHES.c.id)
    called = select(IDENTITIES).where(IDENTITIES.c.customer == row["ref"]).order_by(IDENTITIES.c.kind)
    said = select(EVIDENCE).where(EVIDENCE.c.customer == row["ref"]).order_by(EVIDENCE.c.id)
    plain = {field: row[field] for field in ("ref", "language", "policy", "locked", "tenant")}
    return {
        **plain,
        **sealed,
        "phones": [[phone.position, _text(phone.phone), phone.since] for phone in phones.all()],
        "totp": None if app is None else [_text(app.sealed), app.counter, app.since],
        "mail": None if mail is None else [_text(mail.sealed), mail.since],
        "browsers": [[one.id, _text(one.sealed), one.since] for one in (await connection.execute(browsers)).all()],
        "identities": [[one.kind, _text(one.sealed), one.since] for one in (await connection.execute(called)).all()],
        "evidence": [
            [one.id, one.provider, one.at, _text(one.sealed)] for one in (await connection.execute(said)).all()
        ],
    }


async def _person(connection: AsyncConnection, row: RowMapping) -> dict[str, Any]:
    """As stored, but without data key; and without a link, which may have been used since."""
    plain = {str(name): value for name, value in row.items() if name not in ("key_id", "wrapped", "name")}
    beside: dict[str, list[dict[str, Any]]] = {}
    for table in (ENDPOINTS, PERMISSIONS, CREDENTIALS):
        found = await connection.execute(select(table).where(table.c.person == row["id"]))
        beside[str(table.name)] = [
            {str(name): _text(value) if isinstance(value, bytes) else value for name, value in one.items()}
            for one in found.mappings().all()
        ]
    return {**plain, "name": _text(row["name"]), **beside}


async def _rows(connection: AsyncConnection, query: Select[Any]) -> AsyncIterator[RowMapping]:
    result = await connection.stream(query, execution_options={"yield_per": _AT_ONCE})
    async for row in result.mappings():
        yield row


async def _count(connection: AsyncConnection, query: Select[Any]) -> int:
    return int((await connection.execute(query)).scalar_one())


def _text(data: bytes) -> str:
    return b64encode(data).decode()
