"""`audit …`: who did what, and whether anybody changed what the trail says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ivr.audit.chain import COLUMNS
from ivr.audit.verify import recent, verify
from ivr.cli.office import settings_of
from ivr.database import Database
from ivr.errors import TillitError

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

_SHOWN = ("at", "chain", "seq", "actor", "action", "outcome", "call", "subject", "detail")
_WIDE = 1000


@app.command("verify")
def verify_(context: typer.Context) -> None:
    """Check every row against the hash chain; names the first bad one and ends with 1.

    Rows cut off at the end of a chain cannot be missed by this alone: keep the heads that it prints, and compare.
    """
    report = _with(context, verify)
    for chain, rows in report.rows.items():
        typer.echo(f"{chain}: {rows} rows, head {report.heads[chain]}")
    if report.fault is not None:
        fault = report.fault
        raise TillitError(f"audit: chain {fault.chain}, row {fault.seq}: {fault.problem}")
    typer.echo("The trail is as it was written.")


@app.command()
def show(
    context: typer.Context,
    last: Annotated[int, typer.Option(min=1, help="How many rows.")] = 50,
    call: Annotated[str | None, typer.Option(help="Only those of this call.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only those of this customer (reference).")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the youngest rows, oldest of them first."""
    rows = _with(context, lambda database: recent(database, most=last, call=call, subject=subject))
    if json:
        for row in rows:
            typer.echo(orjson.dumps({column: row[column] for column in (*COLUMNS, "hash")}).decode())
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


def _plain(text: str) -> str:
    """Without what would move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _with(context: typer.Context, run: Callable[[Database], Awaitable[T]]) -> T:
    """Open the database alone: whoever checks the trail needs no keys."""

    async def opening() -> T:
        async with await Database.open(settings_of(context)) as database:
            return await run(database)

    return asyncio.run(opening())
