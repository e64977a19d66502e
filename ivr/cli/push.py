"""`customer push …`: browsers in which customers are shown who calls."""

from __future__ import annotations

import asyncio

import typer

from ivr.cli.customer import Number, Tenant
from ivr.cli.office import Refused, opened, settings_of
from ivr.store import pushes

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _group() -> None:
    """Its commands are named, also where there is but one."""


@app.command()
def remove(context: typer.Context, number: Number, tenant: Tenant = None) -> None:
    """Take all browsers of the customer's from the record: nothing is shown in them any more."""

    async def run() -> tuple[str, int]:
        async with opened(settings_of(context)) as office, office.act() as act:
            customer = await act.known(number, tenant, "customer.push_remove")
            if not await pushes.since(act.connection, customer.ref):
                said = "number: this customer has switched it on in no browser. Nothing was done"
                raise Refused(said, "customer.push_remove", "none", customer.ref, customer.tenant)
            await act.tell("customer.push_remove", [customer.ref], tenant=customer.tenant)
            return customer.ref, await pushes.remove(act.connection, customer.ref)

    ref, gone = asyncio.run(run())
    typer.echo(f"Removed the browsers of customer {ref}: {gone}")
