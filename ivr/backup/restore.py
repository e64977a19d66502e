"""Bringing a back-up into an empty database: all of it, or nothing."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.audit.anchors import Anchor
from ivr.audit.check import Check, Fault
from ivr.audit.heads import Head
from ivr.audit.signing import Seal
from ivr.audit.table import ANCHORS, AUDIT, HEADS
from ivr.backup.sealed import Reader, reading
from ivr.database import migrate
from ivr.errors import InputError, VaultError
from ivr.secret import Secret
from ivr.store import datakeys, keycheck, sealing
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
from ivr.vault import Vault

_AT_ONCE = 500


@dataclass(slots=True)
class Restored:
    """What came of it: of which time it is, how much there was, and whose data keys are not there any more, or are bad."""

    at: str
    customers: int = 0
    rows: int = 0
    people: int = 0
    forgotten: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class DataKeys:
    """The file of data keys: which keys are needed, and each customer's data key, wrapped."""

    at: str
    needed: list[list[str]]
    keys: dict[str, tuple[str, bytes]]


def data_keys_of(file: Path, identity: Secret, seal: Seal) -> DataKeys:
    """Read it whole. Raises `InputError`."""
    needed: list[list[str]] = []
    keys: dict[str, tuple[str, bytes]] = {}
    with reading(file, identity, "keys", seal.verifier) as reader:
        for line in reader:
            match line:
                case {"needed": list(found)}:
                    needed = found
                case {"key": [str(ref), str(key_id), str(wrapped)]}:
                    keys[ref] = (key_id, b64decode(wrapped))
                case _:
                    raise InputError(f"{file}: is of a newer program. Nothing was restored")
        return DataKeys(reader.at, needed, keys)


async def restore(
    connection: AsyncConnection, vault: Vault, seal: Seal, file: Path, identity: Secret, data_keys: DataKeys,
    *, told: Callable[[int], object],
) -> Restored:  # fmt: skip
    """Write a back-up into a database that has its tables and nothing in them, within this transaction.

    `told` hears how many lines were read. Raises `InputError` where the file or the database is not fit for it, `ConfigError`
    where the keys are not those that it was made with.
    """
    for table in (CUSTOMERS, AUDIT, PEOPLE, PEERS):
        if (await connection.execute(select(table).limit(1))).first() is not None:
            raise InputError(
                "the database holds customers, people, keys of other organisations, or an audit trail. Name an empty one in [database] url"
            )
    with reading(file, identity, "data", seal.verifier) as reader:
        if reader.at > data_keys.at:
            raise InputError(
                f"{file}: is newer than the data keys, of {data_keys.at}. Give the newest file of data keys"
            )
        if reader.schema != (schema := await connection.run_sync(migrate.version)):
            raise InputError(
                f"{file}: is of a database of version {reader.schema}, this program of {schema}."
                " Restore it with the program that wrote it, then update"
            )
        await _need_keys(connection, vault, data_keys)
        return await _Work(connection, vault, Check(seal.verifier), data_keys, Restored(reader.at)).run(reader, told)


async def _need_keys(connection: AsyncConnection, vault: Vault, data_keys: DataKeys) -> None:
    """Note which keys the data needs, and look whether they are here. Raises `ConfigError`.

    Of master keys those alone that have wrapped something: others may be retired since. The newest one is noted too, for
    the next customer is wrapped with it.
    """
    used = {key_id for key_id, _ in data_keys.keys.values()}
    needed = [dict(zip(("kind", "id", "checks"), row, strict=True)) for row in data_keys.needed]
    await connection.execute(delete(KEYS))
    await _insert(connection, KEYS, [row for row in needed if row["kind"] == "hash" or row["id"] in used])
    await keycheck.note_master(connection, vault.keys.master)
    await keycheck.check(connection, vault.keys)
    # the file that was read is the newest one that this database has
    await datakeys.begin(connection)
    await datakeys.replace(connection, used & await keycheck.masters(connection), 1)


class _Work:
    """One restore under way."""

    def __init__(
        self, connection: AsyncConnection, vault: Vault, check: Check, data_keys: DataKeys, done: Restored
    ) -> None:
        self._connection = connection
        self._vault = vault
        self._check = check
        self._keys = data_keys.keys
        self._done = done
        self._waiting: dict[Table, list[dict[str, Any]]] = {
            table: []
            for table in (
                AUDIT,
                CUSTOMERS,
                PHONES,
                TOTPS,
                MAILS,
                PUSHES,
                IDENTITIES,
                EVIDENCE,
                PEOPLE,
                ENDPOINTS,
                PERMISSIONS,
                CREDENTIALS,
                TOKEN_KEYS,
                PEERS,
            )
        }

    async def run(self, reader: Reader, told: Callable[[int], object]) -> Restored:
        for count, line in enumerate(reader):
            match line:
                case {"row": dict(row)}:
                    self._check.row(row)
                    self._done.rows += 1
                    self._waiting[AUDIT].append(row)
                case {"customer": dict(customer)}:
                    self._customer(customer)
                case {"person": dict(person)}:
                    self._person(person)
                case {"token_key": dict(key)}:
                    self._token_key(key)
                case {"peer": dict(peer)}:
                    self._waiting[PEERS].append(peer)
                case {"anchors": list(anchors), "heads": list(heads)}:
                    self._check.anchors(map(Anchor.read, anchors))
                    self._check.heads(map(Head.read, heads))
                    await _insert(self._connection, ANCHORS, anchors)
                    await _insert(self._connection, HEADS, heads)
                case _:
                    raise InputError("the back-up is of a newer program. Nothing was restored")
            if max(map(len, self._waiting.values())) >= _AT_ONCE:
                await self._write()
                told(count)
        await self._write()
        self._done.faults = self._check.report().faults
        return self._done

    def _customer(self, stored: dict[str, Any]) -> None:
        """One customer, with indexes made of the number and the telephone numbers."""
        ref = stored["ref"]
        if ref not in self._keys:
            self._done.forgotten.append(ref)
            return
        key_id, wrapped = self._keys[ref]
        sealed = {name: None if stored[name] is None else b64decode(stored[name]) for name in ("number", "name", "pin")}
        phones = [(position, b64decode(phone), since) for position, phone, since in stored["phones"]]
        index = self._vault.index
        try:
            envelope = self._vault.envelopes.open(ref, key_id, wrapped)
            number = index.customer_number(envelope.open(sealing.NUMBER, sealed["number"] or b""))
            indexed = [
                {
                    "customer": ref, "position": position, "phone": phone, "since": since,
                    "phone_index": index.phone(envelope.open(sealing.phone(position), phone)),
                }
                for position, phone, since in phones
            ]  # fmt: skip
        except VaultError:
            self._done.unreadable.append(ref)
            return
        plain = {name: stored[name] for name in ("ref", "language", "policy", "locked", "tenant")}
        self._waiting[CUSTOMERS].append(
            {**plain, **sealed, "number_index": number, "key_id": key_id, "wrapped": wrapped}
        )
        self._waiting[PHONES] += indexed
        if (app := stored["totp"]) is not None:
            sealed_key, counter, since = app
            self._waiting[TOTPS].append(
                {"customer": ref, "sealed": b64decode(sealed_key), "counter": counter, "since": since}
            )
        if (mail := stored["mail"]) is not None:
            sealed_address, since = mail
            self._waiting[MAILS].append({"customer": ref, "sealed": b64decode(sealed_address), "since": since})
        self._waiting[PUSHES] += [
            {"id": name, "customer": ref, "sealed": b64decode(sealed_browser), "since": since}
            for name, sealed_browser, since in stored["browsers"]
        ]
        self._waiting[IDENTITIES] += [
            {"customer": ref, "kind": kind, "sealed": b64decode(sealed_name), "since": since}
            for kind, sealed_name, since in stored["identities"]
        ]
        self._waiting[EVIDENCE] += [
            {"id": name, "customer": ref, "provider": provider, "at": at, "sealed": b64decode(said)}
            for name, provider, at, said in stored["evidence"]
        ]
        self._done.customers += 1

    def _person(self, stored: dict[str, Any]) -> None:
        """Somebody who signs in, with what stands beside in other tables."""
        owner = sealing.person(stored["id"])
        name = b64decode(stored["name"])
        beside = {table: stored.pop(table.name) for table in (ENDPOINTS, PERMISSIONS, CREDENTIALS)}
        if owner not in self._keys:
            self._done.forgotten.append(owner)
            return
        key_id, wrapped = self._keys[owner]
        try:
            self._vault.envelopes.open(owner, key_id, wrapped).open(sealing.NAME, name)
        except VaultError:
            self._done.unreadable.append(owner)
            return
        self._waiting[PEOPLE].append({**stored, "name": name, "key_id": key_id, "wrapped": wrapped})
        for row in beside[CREDENTIALS]:
            row["sealed"] = b64decode(row["sealed"])
        for table, rows in beside.items():
            self._waiting[table] += rows
        self._done.people += 1

    def _token_key(self, stored: dict[str, Any]) -> None:
        """One that signs tokens. Without its data key it was thrown away since, as each of them is in its time."""
        if (found := self._keys.get(sealing.token_key(stored["id"]))) is not None:
            key_id, wrapped = found
            private = b64decode(stored["private"])
            self._waiting[TOKEN_KEYS].append({**stored, "private": private, "key_id": key_id, "wrapped": wrapped})

    async def _write(self) -> None:
        for table, values in self._waiting.items():
            await _insert(self._connection, table, values)
            values.clear()


async def _insert(connection: AsyncConnection, table: Table, values: Iterable[dict[str, Any]]) -> None:
    if found := list(values):
        await connection.execute(insert(table), found)
