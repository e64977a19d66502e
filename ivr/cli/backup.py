"""`backup`, `restore`, and the key that back-ups are read with."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from ivr.audit.chain import append_within, lock_of
from ivr.audit.signing import Seal
from ivr.backup.restore import Restored, data_keys_of
from ivr.backup.restore import restore as restore_into
from ivr.backup.save import DATA_KEYS, Saved, save
from ivr.backup.sealed import new_identity
from ivr.call.ports import Entry
from ivr.cli.bars import bars
from ivr.cli.initialise import refuse_to_make_for_root
from ivr.cli.newfile import new_file
from ivr.cli.office import CHAIN, opened, settings_of
from ivr.cli.who import actor
from ivr.config import Settings
from ivr.database import Database, migrate
from ivr.errors import InputError, TillitError
from ivr.secret import Secret
from ivr.vault import Vault

# More than any file of an identity.
_MOST = 4096
# Customers who are named one by one.
_TOLD = 20

DataKeys = Annotated[
    Path | None, typer.Option(help=f"The file of the data keys. Else {DATA_KEYS}, beside FILE.", metavar="FILE")
]


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A new file.", metavar="FILE")],
    data_keys: DataKeys = None,
) -> None:
    """Write customers and audit trail into a new file, encrypted, while workers run; and replace the file of data keys."""
    settings = settings_of(context)
    if os.path.lexists(file):
        raise InputError(f"{file}: is there already. Name a new file")

    async def run() -> Saved:
        async with opened(settings) as office:
            async with office.act() as act:
                await act.tell("backup", [""])
            with bars() as progress:
                task = progress.add_task("Backing up", total=None)
                done = await save(
                    settings, office.database, office.seal, file, data_keys or file.with_name(DATA_KEYS),
                    told=lambda done, total: progress.update(task, completed=done, total=total),
                )  # fmt: skip
            async with office.act() as act:
                await act.tell("backup.written", [""], customers=str(done.customers), rows=str(done.rows))
            return done

    saved = asyncio.run(run())
    typer.echo(
        f"Wrote {saved.customers} customers, {saved.people} people who sign in and {saved.rows} rows of the audit trail into {file}"
    )
    typer.echo(f"Replaced {data_keys or file.with_name(DATA_KEYS)}: keep no older copy of it")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file of `backup`.", metavar="FILE")],
    identity: Annotated[Path, typer.Option(help="The file of `keys backup` that reads it.", metavar="FILE")],
    data_keys: DataKeys = None,
) -> None:
    """Bring a back-up into an empty database. Settings and keys must be in their places."""
    settings = settings_of(context)
    refuse_to_make_for_root(settings)
    done = asyncio.run(_restore(settings, file, data_keys or file.with_name(DATA_KEYS), _identity(identity)))
    typer.echo(
        f"Restored {done.customers} customers, {done.people} people who sign in and {done.rows} rows of the audit trail, as of {done.at}"
    )
    if done.forgotten:
        typer.echo(
            f"{len(done.forgotten)} customers were removed or erased since: they cannot be read, and are left out"
        )
    if done.unreadable:
        named = ", ".join(done.unreadable[:_TOLD])
        typer.echo(
            f"{len(done.unreadable)} customers were changed past the program, and are left out: {named}", err=True
        )
    if done.faults:
        told = "\n".join(f"audit: chain {fault.chain}, row {fault.seq}: {fault.problem}" for fault in done.faults)
        raise TillitError(f"{told}\nAll was restored. The audit trail was like that when it was backed up")
    if done.unreadable:
        raise typer.Exit(1)


async def _restore(settings: Settings, file: Path, data_keys: Path, identity: Secret) -> Restored:
    vault = Vault.open(settings)
    made: Path | None = None
    try:
        seal = Seal.open(settings)
        keys = data_keys_of(data_keys, identity, seal)
        made = migrate.create_file(settings)
        async with await Database.open_any(settings) as database, database.write(lock=lock_of(CHAIN)) as connection:
            await migrate.migrate(connection)
            with bars() as progress:
                task = progress.add_task("Restoring", total=None)
                done = await restore_into(
                    connection, vault, seal, file, identity, keys,
                    told=lambda count: progress.update(task, completed=count),
                )  # fmt: skip
            detail = {"of": done.at, "customers": str(done.customers)}
            forgotten = [
                Entry(
                    actor(),
                    "agent.erase" if "/" in ref else "customer.erase",
                    "done",
                    subject=ref,
                    detail={"by": "restore"},
                )
                for ref in done.forgotten
            ]
            await append_within(
                connection, CHAIN, Entry(actor(), "restore", "done", detail=detail), *forgotten, seal=seal
            )
    except BaseException:
        if made is not None:
            for beside in ("", "-wal", "-shm"):
                made.with_name(f"{made.name}{beside}").unlink(missing_ok=True)
        raise
    finally:
        vault.close()
    return done


def new_key(
    context: typer.Context, file: Annotated[Path, typer.Argument(help="A new file, mode 0600.", metavar="FILE")]
) -> None:
    """Make the key that back-ups are read with, and print what they are written for. Keep it away from this machine."""
    del context
    identity, public = new_identity()
    try:
        with new_file(file) as stream:
            stream.write(f"# public key: {public}\n{identity.reveal()}\n".encode())
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror})") from None
    typer.echo("Write into the settings, and take the file away from this machine:\n")
    typer.echo(f'[backup]\nrecipients = ["{public}"]')


def _identity(file: Path) -> Secret:
    try:
        with file.open(encoding="ascii", errors="replace") as stream:
            lines = stream.read(_MOST).splitlines()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}). Nothing was restored") from None
    return Secret(next((line.strip() for line in lines if line and not line.startswith("#")), ""))
