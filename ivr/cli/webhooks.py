"""`webhooks …`: what waits to be told, what was given up, and a secret."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer

from ivr.audit.chain import stamp
from ivr.cli.office import Office, opened, settings_of
from ivr.errors import InputError
from ivr.hooks.outbox import Outbox, Standing
from ivr.outward.webhook import PREFIX

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

# bytes: as many as HMAC-SHA-256 makes use of
_SECRET = 32


@app.command("list")
def list_(context: typer.Context) -> None:
    """Show of each receiver how much waits to be told, since when, and how much was given up."""

    async def run(office: Office) -> dict[str, Standing]:
        return dict(await _outbox(office).standing())

    found = _with(context, run)
    for name, one in found.items():
        since = f", the oldest of {stamp(datetime.fromtimestamp(one.oldest, UTC))}" if one.waiting else ""
        given_up = f"; {one.dead} given up: webhooks retry {name}" if one.dead else ""
        typer.echo(f"{name}: {one.waiting} wait{since}{given_up}")
    if not found:
        typer.echo("The settings have no [webhooks.NAME]")


@app.command()
def retry(
    context: typer.Context, name: Annotated[str, typer.Argument(help="Its name in the settings.", metavar="NAME")]
) -> None:
    """Tell a receiver anew what was given up."""

    async def run(office: Office) -> int:
        if name not in office.settings.webhooks:
            raise InputError(f"{name}: the settings have no [webhooks.{name}]. Nothing was done")
        async with office.act() as act:
            await act.tell("webhooks.retry", [""], receiver=name)
        return await _outbox(office).revive(name, time.time())

    typer.echo(f"{_with(context, run)} messages are told to {name} again")


@app.command()
def secret() -> None:
    """Print a new secret: for its file here, and for whoever is told."""
    typer.echo(f"{PREFIX}{base64.b64encode(secrets.token_bytes(_SECRET)).decode()}")


def _outbox(office: Office) -> Outbox:
    return Outbox.of(office.database, office.settings.webhooks)


def _with(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    async def opening() -> T:
        async with opened(settings_of(context)) as office:
            return await run(office)

    return asyncio.run(opening())
