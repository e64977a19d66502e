"""`init`: the keys and the database, made where they are missing."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.audit.accept import sign_all
from ivr.audit.chain import append_within, lock_of
from ivr.audit.signing import Seal, Verifier
from ivr.audit.verify import heads_in
from ivr.call.policy import policies
from ivr.call.ports import Entry
from ivr.cli import staff
from ivr.cli.newfile import new_file
from ivr.cli.office import CHAIN, settings_of
from ivr.cli.who import actor
from ivr.config import Settings
from ivr.database import Database, migrate
from ivr.database.url import sqlite_file
from ivr.errors import ConfigError
from ivr.secret import Personal, Secret
from ivr.staff import TENANT, Role
from ivr.store import keycheck, pagekey
from ivr.store.roster import NewPerson, Roster
from ivr.vault import Vault, keyfile, keys

ADMINISTRATOR = "admin"
"""The login of whoever is there first."""

UNSIGNED = "0001"
"""The version of a database whose audit trail is not signed."""


def init(context: typer.Context) -> None:
    """Make the missing keys, and make the database or bring it up to date. What is there is kept."""
    for line in asyncio.run(_initialise(settings_of(context))):
        typer.echo(line)


async def _initialise(settings: Settings) -> list[str]:
    """What was done, line by line."""
    policies(settings)
    refuse_to_make_for_root(settings)
    await _refuse_new_keys_for_old_data(settings)
    made = keyfile.create(settings)
    done = [f"Made the key {file}" for file in made]
    both, seal = keys.load(settings), Seal.open(settings)
    if done:
        done.append("Keep a copy of the keys in a safe place: without them nobody's data can be read again.")
    page = pagekey.missing(settings)
    if page is not None:
        _make_page_key(settings, page)
        done.append(f"Made the page's key {page}: desk, worker and page have the same one")
    file = migrate.create_file(settings)
    async with await Database.open_any(settings) as database, database.write(lock=lock_of(CHAIN)) as connection:
        before, after = await migrate.migrate(connection)
        noted = await keycheck.record(connection, both)
        if before == UNSIGNED:
            await sign_all(connection, actor(), seal)
        if before != after or noted or made:
            detail = {"from": before or "", "to": after, "master_key": both.master.id, "hash_key": both.hash.id}
            entry = Entry(
                actor(),
                "init",
                "done",
                detail=detail | {"audit_key": seal.id, "keys_made": ",".join(file.name for file in made)},
            )
            await append_within(connection, CHAIN, entry, seal=seal)
        first = await _first(settings, connection, both, seal)
    if file is not None:
        done.append(f"Made the database {file}")
    elif before != after:
        done.append(f"Brought the database from version {before or 'none'} to {after}")
    if first is not None:
        done.append(f"Nobody signs in at the desk yet: added {ADMINISTRATOR} of {TENANT} as {Role.ADMINISTRATOR}")
        done.append(f"The link is good once, for {settings.desk.link_hours} hours. Give it to this person alone:")
        done.append("".join(first.reveal()))
    return done or ["Nothing to do: the keys and the database are there."]


async def _first(settings: Settings, connection: AsyncConnection, both: keys.Keys, seal: Seal) -> Secret | None:
    """The link of a first administrator, where there is a desk and nobody to sign in."""
    vault = Vault(both, settings)
    try:
        roster = Roster(vault)
        if settings.desk.url is None or await roster.anybody(connection):
            return None
        person = await roster.add(
            connection, NewPerson(TENANT, ADMINISTRATOR, Personal("Administrator"), Role.ADMINISTRATOR)
        )
        detail = {"login": person.login, "tenant": person.tenant, "role": person.role.value}
        entry = Entry(actor(), "agent.add", "done", subject=person.id, detail=detail)
        await append_within(connection, CHAIN, entry, seal=seal)
        return staff.link(settings, await roster.invite(connection, person, settings.desk.link_hours))
    finally:
        vault.close()


def _make_page_key(settings: Settings, file: Path) -> None:
    """It is none that data are encrypted with: one that is lost is made anew."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with new_file(file) as stream:
            stream.write(pagekey.line())
    except OSError as error:
        raise ConfigError(
            f"{settings.file}: [page] key_file",
            f"{file} cannot be made ({error.strerror})",
            "See to the rights of its folder",
        ) from None


def refuse_to_make_for_root(settings: Settings) -> None:
    """What root made would be root's, and the worker, who is somebody else, could not even see it."""
    owner = settings.file.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        raise ConfigError(
            str(settings.file),
            "belongs to the user who runs the worker, and what root makes that user cannot read",
            f"Type: sudo -u '#{owner}' venv/bin/python ari_app.py init --config {settings.file}",
        )


async def _refuse_new_keys_for_old_data(settings: Settings) -> None:
    """A new key in place of a lost one would open nothing, and hide that it is lost."""
    missing = keys.missing(settings)
    file = sqlite_file(settings)
    if not missing or (file is not None and not file.exists()):
        return
    async with await Database.open_any(settings) as database:
        async with database.read() as connection:
            version = await connection.run_sync(migrate.version)
            used = version is not None and await keycheck.has_data(connection)
        heads = [] if version in (None, UNSIGNED) else await heads_in(database)
    place = keys.place_of(keys.Kind.AUDIT, settings)
    if place.file in missing:
        former = Verifier(settings.keys.audit_former)
        if not all(former.knows(head.signature) for head in heads):
            problem = f"{place.file} is missing, and the audit trail is signed with it"
            cure = "Bring it back from your back-up; or name its public key in [keys] audit_former. Nothing was done"
            raise ConfigError(place.name, problem, cure)
        missing.remove(place.file)
    if used and missing:
        problem = f"{missing[0]} is missing, and the database holds customers who were encrypted with it"
        raise ConfigError(f"{settings.file}: [keys]", problem, "Bring it back from your back-up; nothing was done")
