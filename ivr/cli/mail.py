"""`customer mail …`: customers' mail addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import time
from typing import Annotated, TypeVar

import typer

from ivr.cli.customer import Number, Tenant
from ivr.cli.office import Office, Refused, opened, settings_of
from ivr.errors import InputError
from ivr.mail.address import parts
from ivr.secret import Personal
from ivr.store import mails

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

_Address = Annotated[str, typer.Argument(help="Such as anna@example.com.", metavar="ADDRESS")]


@app.command("set")
def set_(context: typer.Context, number: Number, address: _Address, tenant: Tenant = None) -> None:
    """Put the customer's mail address on record, in place of any other: where it is proved by mail who calls."""

    async def run(office: Office) -> str:
        if parts(address) is None:
            raise InputError("address: is none, such as anna@example.com. Nothing was done")
        async with office.act() as act:
            customer = await act.known(number, tenant, "customer.mail_set")
            await act.tell("customer.mail_set", [customer.ref], tenant=customer.tenant)
            await mails.keep(act.connection, office.vault, customer.ref, Personal(address), time())
        return customer.ref

    typer.echo(f"Kept the mail address of customer {_with(context, run)}")


@app.command()
def remove(context: typer.Context, number: Number, tenant: Tenant = None) -> None:
    """Take the customer's mail address from the record."""

    async def run(office: Office) -> str:
        async with office.act() as act:
            customer = await act.known(number, tenant, "customer.mail_remove")
            if await mails.held(act.connection, office.vault, customer.ref) is None:
                said = "number: this customer has no mail address on record. Nothing was done"
                raise Refused(said, "customer.mail_remove", "none", customer.ref, customer.tenant)
            await act.tell("customer.mail_remove", [customer.ref], tenant=customer.tenant)
            await mails.remove(act.connection, customer.ref)
        return customer.ref

    typer.echo(f"Removed the mail address of customer {_with(context, run)}")


def _with(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    async def opening() -> T:
        async with opened(settings_of(context)) as office:
            return await run(office)

    return asyncio.run(opening())
