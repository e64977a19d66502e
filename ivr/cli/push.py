"""`customer push …`: browsers in which customers are shown who calls."""

from __future__ import annotations

import asyncio
import logging

import structlog
import typer

from ivr.cli.customer import Number, Tenant
from ivr.cli.office import Refused, opened, settings_of
from ivr.errors import InputError
from ivr.push.web import WebPush
from ivr.store import pushes

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


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


@app.command()
def prune(context: typer.Context) -> None:
    """Take from the record, of all customers, the browsers that have agreed to messages of another key than there is now.

    For when the former key is lost: with that in its place again they would be shown messages.
    """
    settings = settings_of(context)
    log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    push = WebPush.of(settings, log)
    if push is None:
        raise InputError("[push] vapid_key_file is left out: which key is the present one? Nothing was done")

    async def run(public: str) -> int:
        async with opened(settings) as office:
            # read before: all others who write wait for an act's end
            async with office.database.read() as connection:
                gone = await pushes.former(connection, office.vault, public)
            if not gone:
                return 0
            async with office.act() as act:
                for tenant in sorted({one.tenant for one in gone}):
                    whose = sorted({one.customer for one in gone if one.tenant == tenant})
                    await act.tell("customer.push_remove", whose, tenant=tenant, key="former")
                await pushes.forget(act.connection, [one.id for one in gone])
        return len(gone)

    typer.echo(f"Removed browsers that have agreed to messages of another key: {asyncio.run(run(push.public))}")
