"""`trace`: one call's life as a timeline."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from ivr.audit.verify import Wanted, recent
from ivr.cli.life import as_dict, lives, show
from ivr.cli.office import settings_of
from ivr.cli.told import lines_of
from ivr.database import Database
from ivr.errors import InputError, TillitError

_MOST_ROWS = 100


def trace(
    context: typer.Context,
    call: Annotated[str, typer.Argument(help="The call, as the log and the audit trail name it: 1795318424.31.")],
    log: Annotated[
        list[str] | None,
        typer.Option(help="A file of the worker's log, several times if there are several; - is standard input."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, for each node that had the call.")
    ] = False,
) -> None:
    """Show one call's life as a timeline, from the log (standard input, unless --log) and the audit trail."""
    sources = log or ["-"]
    if sources == ["-"] and sys.stdin.isatty():
        raise InputError(
            "no log is given. Name its file with --log, or pipe in what journalctl -u tillit -o cat prints"
        )
    with ExitStack() as stack:
        found = [line for source in sources for line in lines_of(call, _opened(stack, source))]
    if not found:
        raise InputError(
            f"no line of the log is of call {call!a}. `audit show` names the calls; the log may have been rotated"
        )
    told = list(lives(call, found, _audited(context, call)))
    if len(told) > 1:
        typer.echo(
            f"Without the audit trail: {len(told)} nodes had a call of this name. See: ari_app.py audit show --call {call}",
            err=True,
        )
    for life in told:
        if json:
            typer.echo(orjson.dumps(as_dict(life), default=str).decode())
        else:
            show(life)


def _opened(stack: ExitStack, source: str) -> Iterable[str]:
    # a line that was cut in the middle of a letter is no reason to stop
    if source == "-":
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(encoding="utf-8", errors="replace")
        return sys.stdin
    try:
        return stack.enter_context(Path(source).open(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from None


def _audited(context: typer.Context, call: str) -> Sequence[Mapping[str, Any]]:
    """The call's rows. A log alone is worth showing too: a copy of it, on another machine."""

    async def look() -> list[Mapping[str, Any]]:
        async with await Database.open(settings_of(context)) as database:
            rows = await recent(database, most=_MOST_ROWS, wanted=Wanted(call=call))
            # SQLAlchemy's names are texts of a kind that orjson does not take
            return [{str(name): value for name, value in row.items()} for row in rows]

    try:
        return asyncio.run(look())
    except TillitError as error:
        typer.echo(f"Without the audit trail: {error}", err=True)
        return []
