"""`texts …`: whether text messages go out."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from ivr.cli.fields import Fields
from ivr.cli.office import settings_of
from ivr.errors import InputError, TextError
from ivr.secret import Personal, Secret

if TYPE_CHECKING:
    from ivr import sms

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


# More commands will come: without this, Typer would take the only one for the group itself.
@app.callback()
def _group() -> None: ...


@app.command("test")
def send_test(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="Where it goes: a number of yours.", metavar="NUMBER")],
    gateway: Annotated[
        str | None, typer.Option(help="This one alone. Else as in a call: the first, then the fallback.")
    ] = None,
) -> None:
    """Send a test text, and say what became of it. It costs what a text costs."""
    # Imported here: the other commands need no HTTP, and answer sooner without it.
    from ivr import sms

    settings = settings_of(context)
    if gateway is not None and gateway not in sms.names(settings):
        raise InputError(f"--gateway: the settings name {' and '.join(sms.names(settings))}. Nothing was sent")
    fields = Fields(settings)
    (to,) = fields.phones([number])
    if (why := fields.no_text([to])) is not None:
        raise InputError(f"number: {why}. Nothing was sent")
    # what a worker logs of it is printed below
    log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    words = f"{settings.company.name}: a test of our text messages. You need not do anything."
    tried = asyncio.run(_send(sms.in_turn(settings, log, gateway), to, Secret(words)))
    for one in tried:
        typer.echo(f"{one.gateway}: {one.result.value}{one.why and ': '}{one.why} ({one.seconds:.2f} s)")
    if tried[-1].result is not sms.Result.TAKEN:
        raise TextError("No gateway took the text.")


async def _send(gateways: sms.InTurn, to: Personal, text: Secret) -> list[sms.Tried]:
    try:
        return await gateways.ask(to, text)
    finally:
        await gateways.close()
