"""`keys tokens …`: the keys that sign tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer

from ivr.audit.chain import stamp
from ivr.cli.office import Office, opened, settings_of
from ivr.store import tokenkeys
from ivr.store.tokenkeys import Stored

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("list")
def list_(context: typer.Context) -> None:
    """Show which keys sign tokens, and when. Of a key its identifier alone is shown, which is published anyway."""

    async def run(office: Office) -> tuple[Stored, ...]:
        return await office.database.look_up(tokenkeys.all_of)

    keys, now = _with(context, run), time.time()
    signing = tokenkeys.current(keys, now)
    for key in keys:
        use = "signs since" if key is signing else "signs from" if key.signs_from > now else "has signed since"
        typer.echo(f"{key.id}  {use} {_stamp(key.signs_from)}")
    if not keys:
        typer.echo("There are none yet: the desk makes them when it starts")


@app.command()
def rotate(
    context: typer.Context,
    compromised: Annotated[
        bool,
        typer.Option(
            "--compromised", help="Throw all of them away at once: tokens that they have signed are soon refused."
        ),
    ] = False,
) -> None:
    """Sign tokens with the next key, and make another one to follow it. The desk goes on meanwhile, and does so by itself in time."""

    async def run(office: Office) -> tuple[str, float]:
        days, now = office.settings.tokens.rotate_days, time.time()
        async with office.act() as act:
            if compromised:
                await act.tell("keys.tokens", [""], why="compromised")
                await tokenkeys.begin_anew(act.connection, office.vault, now, days)
                found = tokenkeys.current(await act.connection.run_sync(tokenkeys.all_of), now)
                assert found is not None
                return found.id, now
            key, begins = await tokenkeys.turn(act.connection, office.vault, now, days)
            await act.tell("keys.tokens", [""], key=key.id)
            return key.id, begins

    key, begins = _with(context, run)
    typer.echo(f"Tokens are signed with {key} from {_stamp(begins)} on")


def _with(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    async def opening() -> T:
        async with opened(settings_of(context)) as office:
            return await run(office)

    return asyncio.run(opening())


def _stamp(at: float) -> str:
    return stamp(datetime.fromtimestamp(int(at), UTC))
