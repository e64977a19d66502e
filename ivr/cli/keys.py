"""`keys …`: which keys there are, and master keys that take the place of others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.audit.table import AUDIT
from ivr.cli.bars import bars
from ivr.cli.office import CHAIN, Act, Office, opened, settings_of
from ivr.errors import InputError, TillitError
from ivr.store import datakeys, keycheck
from ivr.store.rewrap import Rewrapped, rewrap, used
from ivr.vault import Vault, keyfile
from ivr.vault.keys import Key, Kind, load_masters, place_of

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

# Customers who are named one by one.
_TOLD = 20


@app.command("list")
def list_(context: typer.Context) -> None:
    """Show which keys there are, where, and what each is used for. Of a key its identifier alone is shown."""

    async def run(office: Office) -> list[tuple[str, str, str, str]]:
        async with office.database.read() as connection:
            counts = await used(connection)
            saved = await _saved(connection)
        where = {kind: _where(office, kind) for kind in Kind}
        keys = office.vault.keys
        rows = [
            (
                key.id,
                "master",
                _use(counts.get(key.id, 0), newest=key is keys.master, saved=saved is None or key.id in saved),
                where[Kind.MASTER],
            )
            for key in keys.masters
        ]
        rows.append((keys.hash.id, "hash", "indexes, PINs, codes", where[Kind.HASH]))
        rows.append((office.seal.id, "audit", "signs the audit trail", where[Kind.AUDIT]))
        return rows

    rows = _with(context, run)
    widest = max(len(use) for _, _, use, _ in rows)
    for key_id, kind, use, place in rows:
        typer.echo(f"{key_id}  {kind:<6}  {use:<{widest}}  {place}")


@app.command()
def add(context: typer.Context) -> None:
    """Make a new master key and put it behind the others in their file; `keys rotate` begins to use it.

    For several machines: bring the file to each of them before you rotate.
    """

    async def run(office: Office) -> Key:
        with keyfile.held(office.settings):
            async with office.act() as act:
                # the lock is ours now: whoever made one at the same time has made it
                await keycheck.check(act.connection, Vault.open(office.settings).keys)
                key = keyfile.add_master(office.settings)
                await act.tell("keys.add", [""], key=key.id)
                await keycheck.note_master(act.connection, key)
        return key

    key = _with(context, run)
    typer.echo(f"Made the master key {key.id}. Keep a copy of its file; then type: ari_app.py keys rotate")


@app.command()
def rotate(context: typer.Context) -> None:
    """Wrap every data key, of customers and of those who sign in, with the newest master key; makes a new one where all are wrapped with it already.

    Workers go on meanwhile. Where it was stopped in the middle, the same command goes on.
    """

    async def run(office: Office) -> tuple[Key, Rewrapped]:
        key = await _newest(office)
        vault = Vault.open(office.settings)
        try:
            async with office.database.read() as connection:
                counts = await used(connection)
            with bars() as progress:
                task = progress.add_task("Rotating", total=sum(counts.values()) - counts.get(key.id, 0))
                done = await rewrap(office.database, vault.envelopes, lambda count: progress.advance(task, count))
        finally:
            vault.close()
        if not done.unreadable:
            async with office.act() as act:
                await act.tell("keys.rotated", [""], key=key.id, data_keys=str(done.count))
        return key, done

    key, done = _with(context, run)
    typer.echo(f"Wrapped {done.count} data keys with the master key {key.id}")
    if done.unreadable:
        named = ", ".join(done.unreadable[:_TOLD])
        raise TillitError(
            f"keys: the data keys of {len(done.unreadable)} customers or people cannot be read, and stay as they are: {named}"
        )
    typer.echo("Keep a copy of its file. Which keys nobody needs any more is shown by: ari_app.py keys list")


async def _newest(office: Office) -> Key:
    """The master key to wrap with: one that was not used for all customers yet, or else a new one."""
    with keyfile.held(office.settings):
        async with office.act() as act:
            keys = load_masters(office.settings)
            counts = await used(act.connection)
            known = await keycheck.masters(act.connection)
            newest = keys[-1]
            if newest.id in known and not sum(counts.values()) - counts.get(newest.id, 0):
                newest = keyfile.add_master(office.settings)
            await act.tell("keys.rotate", [""], key=newest.id)
            await keycheck.note_master(act.connection, newest)
    return newest


@app.command()
def retire(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(help="Its identifier.", metavar="ID")],
    lose_backups: Annotated[
        bool,
        typer.Option(
            "--lose-backups", help="Also where the newest data-keys.age needs it: no back-up can be read then."
        ),
    ] = False,
) -> None:
    """Destroy a master key that nothing is wrapped with any more, the newest back-up neither. Copies of its file are yours to destroy."""

    async def run(office: Office) -> None:
        with keyfile.held(office.settings):
            async with office.act() as act:
                await _forget(office, act, key_id, lose_backups=lose_backups)
            # killed before this, the same command does it: the database needs the key no more
            keyfile.remove_master(office.settings, key_id)

    _with(context, run)
    typer.echo(
        f"Destroyed the master key {key_id} in its file. Destroy the copies of that file that still have it,"
        " and every older copy of data-keys.age"
    )


async def _forget(office: Office, act: Act, key_id: str, *, lose_backups: bool) -> None:
    keys = load_masters(office.settings)
    if key_id not in {key.id for key in keys}:
        raise InputError(f"{key_id}: is no master key here. Type: ari_app.py keys list")
    if key_id == keys[-1].id:
        raise InputError(f"{key_id}: is the newest master key. Type first: ari_app.py keys rotate")
    # forgotten before it is looked for: from here on nobody begins to use it, and who just has is waited for
    await keycheck.forget_master(act.connection, key_id)
    count = (await used(act.connection)).get(key_id, 0)
    if count:
        raise InputError(f"{key_id}: {count} data keys are wrapped with it. Type first: ari_app.py keys rotate")
    saved = await _saved(act.connection)
    if not lose_backups and (saved is None or key_id in saved):
        raise InputError(
            f"{key_id}: the newest data-keys.age needs it, and no back-up could be read any more."
            " Type first: ari_app.py backup FILE; and bring the new data-keys.age to where you keep it"
        )
    lost = {"backups": "lost"} if lose_backups else {}
    await act.tell("keys.retire", [""], key=key_id, **lost)


async def _saved(connection: AsyncConnection) -> frozenset[str] | None:
    """The master keys that the newest back-up needs; nothing where that was written before it was noted."""
    if not await datakeys.begun(connection):
        ever = select(AUDIT.c.seq).where(AUDIT.c.chain == CHAIN, AUDIT.c.action.in_(("backup", "restore"))).limit(1)
        if (await connection.execute(ever)).first() is not None:
            return None
    return await datakeys.needed(connection)


def _use(count: int, *, newest: bool, saved: bool) -> str:
    if newest:
        return f"the newest, wraps; {count} data keys"
    if count:
        return f"{count} data keys: keys rotate"
    return "the newest back-up: backup" if saved else "nobody needs it: keys retire"


def _where(office: Office, kind: Kind) -> str:
    place = place_of(kind, office.settings)
    return f"${place.variable}" if place.file is None else str(place.file)


def _with(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    async def opening() -> T:
        async with opened(settings_of(context)) as office:
            return await run(office)

    return asyncio.run(opening())
