"""`audit …`: who did what, and whether anybody changed what the trail says of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ivr.audit.accept import accept as accept_chain
from ivr.audit.chain import COLUMNS, append_within, lock_of
from ivr.audit.check import Report
from ivr.audit.export import export as export_lines
from ivr.audit.export import kept_heads, verify_export
from ivr.audit.heads import Head
from ivr.audit.signing import Seal, Verifier
from ivr.audit.verify import Wanted, heads_in, recent, verify
from ivr.call.ports import Entry
from ivr.cli import staff
from ivr.cli.moments import moment
from ivr.cli.newfile import new_file
from ivr.cli.office import CHAIN, opened, settings_of
from ivr.cli.who import actor
from ivr.config import Settings
from ivr.database import Database
from ivr.errors import InputError, TillitError

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

_SHOWN = ("at", "chain", "seq", "actor", "action", "outcome", "call", "subject", "detail")
_WIDE = 1000

Kept = Annotated[Path | None, typer.Option("--heads", help="Heads kept elsewhere, of `audit heads` or an export.")]


@app.command("verify")
def verify_(
    context: typer.Context,
    export: Annotated[Path | None, typer.Option(help="Not the database, but this file of `audit export`.")] = None,
    kept: Kept = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="A public key, of `audit key`, in place of the settings'. May be given again."),
    ] = None,
    signed_within: Annotated[
        int | None,
        typer.Option(min=1, help="Fail where no head was signed in so many seconds: no worker runs, or all are old."),
    ] = None,
) -> None:
    """Check every row against hash chain and signatures; names the first bad one of each chain and ends with 1."""
    known = Verifier(key) if key else None
    heads = [] if kept is None else _of_file(kept, kept_heads)
    if export is not None:
        report, known = _of_file(export, lambda lines: verify_export(lines, known, heads))
    else:
        settings = settings_of(context)
        report = _with(settings, lambda database: _verify(database, known or Seal.open(settings).verifier, heads))
    _tell(report, signed_within)
    if export is not None and not key and known is not None:
        typer.echo("Signed by the key that the file itself names; compare it with what `audit key` prints:")
        for public in known.publics:
            typer.echo(public)
    typer.echo("The trail is as it was written.")


async def _verify(database: Database, keys: Verifier, heads: list[Head]) -> Report:
    console = Console(stderr=True)
    with console.status("Reading") if console.is_terminal else nullcontext() as status:
        told = None if status is None else lambda count: status.update(f"{count} rows read")
        return await verify(database, keys, heads, told=told)


def _tell(report: Report, signed_within: int | None) -> None:
    now = datetime.now(UTC)
    ages: list[int] = []
    bad = {fault.chain for fault in report.faults}
    for chain, rows in report.rows.items():
        if chain in report.signed:
            ages.append(int((now - datetime.fromisoformat(report.signed[chain])).total_seconds()))
        signed = f", signed {ages[-1]} s ago" if chain in report.signed else ""
        if chain not in bad:
            first = report.begins.get(chain, 0)
            since = f" from {first + 1} on, those before were deleted for their age" if first else ""
            typer.echo(f"{chain}: {rows - first} rows{since}, head {report.heads.get(chain, 'none')}{signed}")
    if report.faults:
        raise TillitError(
            "\n".join(f"audit: chain {fault.chain}, row {fault.seq}: {fault.problem}" for fault in report.faults)
        )
    if not report.rows:
        # `init` has written the first row, whatever came behind it
        raise TillitError("audit: there is no row at all, and no head: the whole trail is gone")
    if signed_within is not None and min(ages, default=signed_within + 1) > signed_within:
        raise TillitError(
            f"audit: no head was signed in the last {signed_within} s: no worker runs, or all were put back"
        )


@app.command()
def show(
    context: typer.Context,
    last: Annotated[int, typer.Option(min=1, help="How many rows.")] = 50,
    customer: Annotated[
        str | None, typer.Option("--customer", help="Only those of this customer: number, or reference.")
    ] = None,
    who: Annotated[
        str | None, typer.Option("--actor", "--agent", help="Only those by this one, or with this in the actor's name.")
    ] = None,
    call: Annotated[str | None, typer.Option(help="Only those of this call.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From then: 2026-11-22, 2026-11-22T10:00, or 90m, 2h, 7d ago.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before then, written in the same way.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    tenant: Annotated[
        str | None,
        typer.Option(help="Whose customer, where customers of several have the number.", callback=staff.tenant_of),
    ] = None,
) -> None:
    """Show the youngest rows, oldest of them first."""
    settings = settings_of(context)
    times = [
        None if text is None else moment(text, option) for text, option in ((since, "--since"), (until, "--until"))
    ]
    subject = None if customer is None else _reference(settings, customer, tenant)
    wanted = Wanted(subject, who, call, *times)
    rows = _with(settings, lambda database: recent(database, most=last, wanted=wanted))
    if json:
        for row in rows:
            typer.echo(
                orjson.dumps({column: row[column] for column in (*COLUMNS, "once", "hash", "signature")}).decode()
            )
        return
    console = Console()
    if not console.is_terminal:
        # a file or another program gets each row on one line, however long
        console.width = _WIDE
    table = Table(box=None, pad_edge=False)
    for column in _SHOWN:
        table.add_column(column, overflow="fold")
    for row in rows:
        # as Text: square brackets in a value are no markup
        table.add_row(*(Text(_plain(str(row[column]))) for column in _SHOWN))
    console.print(table)


@app.command()
def export(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="A new file, mode 0600. Else the standard output.")] = None,
) -> None:
    """Write the whole trail as JSON lines, with hashes, signatures and public keys. The trail tells of it."""

    async def run(database: Database, stream: IO[bytes]) -> None:
        seal = Seal.open(settings)
        async with database.write(lock=lock_of(CHAIN)) as connection:
            await append_within(connection, CHAIN, Entry(actor(), "audit.export", "done"), seal=seal)
        async for line in export_lines(database, seal):
            stream.write(line + b"\n")

    settings = settings_of(context)
    try:
        if out is None:
            _with(settings, lambda database: run(database, sys.stdout.buffer))
            sys.stdout.buffer.flush()
        else:
            with new_file(out) as stream:
                _with(settings, lambda database: run(database, stream))
    except OSError as error:
        raise InputError(f"{out or 'standard output'}: cannot be written ({error.strerror})") from None


@app.command()
def heads(context: typer.Context) -> None:
    """Print the signed head of each chain, one JSON object a line: keep them elsewhere, for `audit verify --heads`."""
    for head in _with(settings_of(context), heads_in):
        typer.echo(orjson.dumps(head.json()).decode())


@app.command()
def key(context: typer.Context) -> None:
    """Print the public key that the trail is signed with: give it to whoever is to verify exports."""
    typer.echo(Seal.open(settings_of(context)).public)


@app.command()
def accept(context: typer.Context, chain: Annotated[str, typer.Argument(help="The chain.", metavar="CHAIN")]) -> None:
    """Go on with a chain that was cut or changed: its next row tells of it, and who. What is bad in it stays so."""

    async def run(database: Database) -> None:
        seal = Seal.open(settings)
        async with database.write(lock=lock_of(CHAIN)) as connection:
            await accept_chain(connection, chain, actor(), seal, told_in=CHAIN)

    settings = settings_of(context)
    _with(settings, run)
    typer.echo(f"Chain {chain} goes on")


def _reference(settings: Settings, customer: str, tenant: str | None) -> str:
    """The reference of the customer who has this number: a row tells of it. What is no number is a reference itself."""

    async def run() -> str:
        async with opened(settings) as office:
            return (await office.show(customer, tenant)).ref

    return asyncio.run(run()) if customer.isdecimal() else customer


def _of_file(file: Path, read: Callable[[IO[bytes]], T]) -> T:
    try:
        with file.open("rb") as stream:
            return read(stream)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _plain(text: str) -> str:
    """Without what would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _with(settings: Settings, run: Callable[[Database], Awaitable[T]]) -> T:
    """Open the database alone: whoever checks the trail needs no customer's keys."""

    async def opening() -> T:
        async with await Database.open(settings) as database:
            return await run(database)

    return asyncio.run(opening())
