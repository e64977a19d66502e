"""`customer partner …`: what customers are called by apps of other companies."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from time import time
from typing import Annotated, TypeVar

import typer

from ivr.cli.customer import Number, Tenant
from ivr.cli.office import Office, Refused, opened, settings_of
from ivr.config import Settings
from ivr.errors import InputError
from ivr.secret import Secret
from ivr.store import partners

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

# As of names at providers of electronic identities.
_MOST = 256

_Partner = Annotated[str, typer.Argument(help="One of [prove] partners.", metavar="PARTNER")]


@app.command("set")
def set_(context: typer.Context, number: Number, partner: _Partner, tenant: Tenant = None) -> None:
    """Put on record what the partner's app calls the customer, in place of anything else. Asks for it.

    Nobody is asked by it whether it is right: enter what the partner has told you of this person, and never what somebody says in a call.
    """

    async def run(office: Office) -> str:
        _known(partner, office.settings)
        # whoever is asked for a customer's id sees that there is such a customer
        customer = await office.show(number, tenant)
        id_ = _id()
        async with office.act() as act:
            customer = await act.known(number, customer.tenant, "customer.partner_set")
            await act.tell("customer.partner_set", [customer.ref], tenant=customer.tenant, partner=partner)
            await partners.keep(act.connection, office.vault, customer.ref, partner, id_, time())
        return customer.ref

    typer.echo(f"Kept the id at {partner} of customer {_with(context, run)}")


@app.command()
def remove(context: typer.Context, number: Number, partner: _Partner, tenant: Tenant = None) -> None:
    """Take it from the record: nothing goes to that app for the customer any more."""

    async def run(office: Office) -> str:
        async with office.act() as act:
            customer = await act.known(number, tenant, "customer.partner_remove")
            if not await partners.remove(act.connection, customer.ref, partner):
                said = "partner: this customer has no id there on record. Nothing was done"
                raise Refused(said, "customer.partner_remove", "none", customer.ref, customer.tenant)
            await act.tell("customer.partner_remove", [customer.ref], tenant=customer.tenant, partner=partner)
        return customer.ref

    typer.echo(f"Removed the id at {partner} of customer {_with(context, run)}")


def _known(partner: str, settings: Settings) -> None:
    """Raises `InputError` where there is no such partner."""
    if partner not in settings.prove.partners:
        known = ", ".join(settings.prove.partners)
        cure = f"Name one of: {known}" if known else "Add one: docs/push.md says what it needs"
        raise InputError(f"partner: is none of [prove] partners of {settings.file}. {cure}")


def _id() -> Secret:
    """Ask for it; the first line of the standard input where there is no terminal. Raises `InputError`."""
    if sys.stdin.isatty():
        text = getpass.getpass("Id there: ", stream=sys.stderr)
    else:
        try:
            # a letter has up to four bytes
            text = sys.stdin.buffer.readline(4 * _MOST + 2).decode().rstrip("\r\n")
        except UnicodeDecodeError:
            said = f"id: is not UTF-8, or longer than {_MOST} characters. Give it in UTF-8. Nothing was done"
            raise InputError(said) from None
    if not 1 <= len(text) <= _MOST or not text.isprintable() or text != text.strip():
        raise InputError(f"id: is empty, longer than {_MOST} characters, or has some that cannot be shown")
    return Secret(text)


def _with(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    async def opening() -> T:
        async with opened(settings_of(context)) as office:
            return await run(office)

    return asyncio.run(opening())
