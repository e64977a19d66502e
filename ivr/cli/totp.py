"""`customer totp …`: customers' authenticator apps."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from time import time
from typing import TypeVar

import segno
import typer

from ivr.cli import entry
from ivr.cli.customer import Number, Tenant
from ivr.cli.office import Office, Refused, opened, settings_of
from ivr.errors import InputError
from ivr.secret import Secret
from ivr.store import totps
from ivr.vault import totp

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

# Slips are common, and each code is another.
_TRIES = 3


@app.command()
def add(context: typer.Context, number: Number, tenant: Tenant = None) -> None:
    """Enrol the customer's authenticator app: shows its key once, and asks for the code that the app shows then.

    An app that the customer had before is good no longer.
    """

    async def run(office: Office) -> str:
        # whoever sees a key of the customer's sees that there is such a customer
        customer = await office.show(number, tenant)
        key = totp.new()
        _show(totp.uri(key, customer.ref, office.settings.company.name))
        step = _confirmed(key)
        async with office.act() as act:
            customer = await act.known(number, customer.tenant, "customer.totp_add")
            await act.tell("customer.totp_add", [customer.ref], tenant=customer.tenant)
            await totps.enrol(act.connection, office.vault, customer.ref, key, step, time())
        return customer.ref

    typer.echo(f"Enrolled the authenticator app of customer {_with(context, run)}")


@app.command()
def remove(context: typer.Context, number: Number, tenant: Tenant = None) -> None:
    """Take the customer's authenticator app away: every code is wrong then."""

    async def run(office: Office) -> str:
        async with office.act() as act:
            customer = await act.known(number, tenant, "customer.totp_remove")
            if await totps.since(act.connection, customer.ref) is None:
                said = "number: this customer has no authenticator app. Nothing was done"
                raise Refused(said, "customer.totp_remove", "none", customer.ref, customer.tenant)
            await act.tell("customer.totp_remove", [customer.ref], tenant=customer.tenant)
            await totps.remove(act.connection, customer.ref)
        return customer.ref

    typer.echo(f"Removed the authenticator app of customer {_with(context, run)}")


def _show(uri: Secret) -> None:
    """As a picture where the terminal can show one, and as text for who cannot scan it."""
    try:
        "█▀▄".encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        pass
    else:
        segno.make(uri.reveal(), micro=False).terminal(out=sys.stdout, compact=True)
    typer.echo(uri.reveal())
    typer.echo("Let the customer's app read it, now: it is not shown again", err=True)


def _confirmed(key: Secret) -> int:
    """The time step of the code that the app shows. Raises `InputError` where it shows another."""
    for _ in range(_TRIES):
        step = totp.step_of(key, entry.code(), time())
        if step is not None:
            return step
        typer.echo(
            "The app shows other digits: read the QR code with it, and see that the phone's clock is right", err=True
        )
    raise InputError("code: is not what an app with this key shows now. Nothing was done")


def _with(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    async def opening() -> T:
        async with opened(settings_of(context)) as office:
            return await run(office)

    return asyncio.run(opening())
