"""`customer …`: who can be verified."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Annotated, TypeVar

import typer

from ivr.audit.chain import stamp
from ivr.cli import entry, staff
from ivr.cli.fields import Fields
from ivr.cli.importing import Imported, import_file
from ivr.cli.moments import date_of
from ivr.cli.office import Office, Refused, opened, settings_of
from ivr.cli.unlock import unlock
from ivr.secret import Secret
from ivr.staff import TENANT
from ivr.store import eids, mails, partners, pushes, sims, totps
from ivr.store.register import Customer, NewCustomer

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

# Lines of a file that are named one by one; more of them have one reason, and that is a setting.
_TOLD = 20

Number = Annotated[str, typer.Argument(help="The customer number.", metavar="NUMBER")]
Tenant = Annotated[
    str | None,
    typer.Option(
        help="Whose customer. Needed where customers of several tenants have the number.", callback=staff.tenant_of
    ),
]
PinStdin = Annotated[bool, typer.Option("--pin-stdin", help="Take the PIN from the first line of the standard input.")]


@app.command()
def add(
    context: typer.Context,
    number: Number,
    name: Annotated[str, typer.Option(prompt=True, help="The name that agents see.")],
    phone: Annotated[
        list[str] | None, typer.Option(help="A telephone number; texts go to the first. May be given again.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Two letters. Else the channel's, or the company's.")] = None,
    policy: Annotated[
        str | None, typer.Option(help="A policy of the settings. Else the one that the dialplan names.")
    ] = None,
    pin_stdin: PinStdin = False,
    no_pin: Annotated[bool, typer.Option("--no-pin", help="Set no PIN.")] = False,
    tenant: Annotated[
        str, typer.Option(help="Whose customer this is: its people alone see the record, its policies alone verify.")
    ] = TENANT,
) -> None:
    """Add a customer. Asks for the PIN."""
    settings = settings_of(context)
    fields = Fields(settings)
    checked, phones = fields.number(number), fields.phones(phone or ())
    new = NewCustomer(checked, fields.name(name), phones, None, fields.language(language), fields.policy(policy))
    whose = staff.named(tenant, "--tenant")

    async def run(office: Office) -> str:
        pin = None
        if not no_pin:
            given = fields.pin(_pin(stdin=pin_stdin), number=checked, phones=phones)
            pin = await office.vault.pins.make(given)
        sealed = office.register.seal(replace(new, pin=pin, tenant=whose))
        async with office.act() as act:
            await act.tell("customer.add", [sealed.ref], pin="set" if pin else "none", tenant=whose)
            if not await office.register.add(act.connection, [sealed]):
                raise Refused(
                    f"number: another customer of {whose} has it. Nothing was done",
                    "customer.add",
                    "taken",
                    tenant=whose,
                )
        return sealed.ref

    typer.echo(f"Added customer {_with(context, run)}")
    if (why := fields.no_text(phones)) is not None:
        typer.echo(f"No text goes to the first telephone number: {why}", err=True)
    _tell_unverified(fields, whose)


@app.command()
def show(
    context: typer.Context,
    number: Number,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show name and numbers whole.")] = False,
    tenant: Tenant = None,
) -> None:
    """Show a customer, masked. The audit trail tells of it."""

    async def run(office: Office) -> tuple[Customer, int | None, mails.Held | None, Sequence[eids.Identity], int]:
        async with office.act() as act:
            action = "customer.reveal" if reveal else "customer.show"
            customer = await act.known(number, tenant, action)
            await act.tell(action, [customer.ref], tenant=customer.tenant)
            app_since = await totps.since(act.connection, customer.ref)
            mail = await mails.held(act.connection, office.vault, customer.ref)
            called = await eids.names(act.connection, office.vault, customer.ref)
            browsers = len(await pushes.since(act.connection, customer.ref))
        return customer, app_since, mail, called, browsers

    customer, app_since, mail, called, browsers = _with(context, run)
    cools = settings_of(context).lock.cooling.hours * 3600
    typer.echo(f"{'reference':<10} {customer.ref}")
    for label, personals in (
        ("number", (customer.number,)),
        ("name", (customer.name,)),
        ("phones", customer.phones),
        ("mail", () if mail is None else (mail.address,)),
    ):
        typer.echo(f"{label:<10} {', '.join(p.reveal() if reveal else p.masked for p in personals) or 'none'}")
    if customer.since and (until := customer.since[0] + cools) > time():
        typer.echo(f"{'cooling':<10} no code goes to the first one before {stamp(datetime.fromtimestamp(until, UTC))}")
    for one in called:
        at = partners.app_of(one.kind)
        typer.echo(
            f"{'identity' if at is None else 'partner':<10} {at or one.kind} {one.who.reveal() if reveal else one.who.masked}, since {date_of(one.since)}"
        )
    for label, value in (
        ("PIN", "set" if customer.has_pin else "none"),
        ("browsers", str(browsers) if browsers else "none"),
        ("app", "none" if app_since is None else f"since {date_of(app_since)}"),
        ("language", customer.language or "the channel's, or the company's"),
        ("policy", customer.policy or "the one that the dialplan names"),
        ("locked", "yes" if customer.locked else "no"),
        ("tenant", customer.tenant),
    ):
        typer.echo(f"{label:<10} {value}")


@app.command("set-pin")
def set_pin(context: typer.Context, number: Number, pin_stdin: PinStdin = False, tenant: Tenant = None) -> None:
    """Set a new PIN. Asks for it."""

    async def run(office: Office) -> str:
        # whoever is asked for a PIN sees that there is such a customer
        customer = await office.show(number, tenant)
        fields = Fields(office.settings)
        pin = fields.pin(_pin(stdin=pin_stdin), number=customer.number, phones=customer.phones)
        record = await office.vault.pins.make(pin)
        async with office.act() as act:
            customer = await act.known(number, customer.tenant, "customer.set_pin")
            await act.tell("customer.set_pin", [customer.ref], tenant=customer.tenant)
            await office.register.set_pin(act.connection, customer, record)
        return customer.ref

    typer.echo(f"Set the PIN of customer {_with(context, run)}")


@app.command("replace-sim")
def replace_sim(
    context: typer.Context,
    number: Number,
    phone: Annotated[str, typer.Argument(help="The telephone number that has another SIM.", metavar="PHONE")],
    tenant: Tenant = None,
) -> None:
    """Say that a telephone number of a customer's has another SIM: no code goes there for a while, and the other contacts are told."""
    settings = settings_of(context)
    (dialled,) = Fields(settings).phones([phone])

    async def run(office: Office) -> tuple[str, int | None]:
        async with office.act() as act:
            customer = await act.known(number, tenant, "customer.replace_sim")
            if dialled not in customer.phones:
                said = "phone: the customer has none like it. Nothing was done"
                raise Refused(said, "customer.replace_sim", "none", customer.ref, customer.tenant)
            await act.tell("customer.replace_sim", [customer.ref], tenant=customer.tenant, phone=dialled.masked)
            return customer.ref, await sims.replaced(act.connection, office.vault, customer, dialled, time())

    ref, told = _with(context, run)
    until = stamp(datetime.fromtimestamp(time() + settings.lock.cooling.hours * 3600, UTC))
    typer.echo(f"No code and no proof goes to this number of customer {ref} before {until}")
    if told is None:
        typer.echo("It was said a moment ago: nobody is told again")
    elif not told:
        typer.echo("The customer has no other number and no mail address on record: nobody is told of it", err=True)


@app.command()
def lock(context: typer.Context, number: Number, tenant: Tenant = None) -> None:
    """Lock a customer: nobody who says to be this customer is verified."""

    async def run(office: Office) -> str:
        async with office.act() as act:
            customer = await act.known(number, tenant, "customer.lock")
            await act.tell("customer.lock", [customer.ref], tenant=customer.tenant)
            await office.register.set_locked(act.connection, customer, locked=True)
        return customer.ref

    typer.echo(f"Locked customer {_with(context, run)}")


app.command()(unlock)


@app.command()
def remove(
    context: typer.Context,
    number: Number,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    tenant: Tenant = None,
) -> None:
    """Remove a customer and everything that is stored of it, but for the audit trail."""

    async def run(office: Office) -> str:
        whose = tenant
        if not yes:
            customer = await office.show(number, tenant)
            typer.confirm(f"Remove customer {customer.ref} ({customer.name.masked}) for ever?", abort=True, err=True)
            whose = customer.tenant
        async with office.act() as act:
            customer = await act.known(number, whose, "customer.remove")
            await act.tell("customer.remove", [customer.ref], tenant=customer.tenant)
            await office.register.remove(act.connection, customer)
        return customer.ref

    typer.echo(f"Removed customer {_with(context, run)}")


@app.command("import")
def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8: number,name,phones,pin,language,policy", metavar="FILE")],
    tenant: Annotated[str, typer.Option(help="Whose customers these are.")] = TENANT,
) -> None:
    """Add all customers of a CSV file, or none where one row is wrong.

    The first line names the columns: number,name,phones,pin,language,policy. Phones are separated by a semicolon;
    phones, pin, language and policy may be empty.
    """

    whose = staff.named(tenant, "--tenant")

    async def run(office: Office) -> Imported:
        return await import_file(office, file, whose)

    added = _with(context, run)
    typer.echo(f"Added {added.customers} customer{'' if added.customers == 1 else 's'}, {added.pins} with a PIN")
    for line, why in list(added.no_text.items())[:_TOLD]:
        typer.echo(f"{file}: line {line}: no text goes to the first telephone number: {why}", err=True)
    if len(added.no_text) > _TOLD:
        typer.echo(f"{file}: and {len(added.no_text) - _TOLD} more to whom no text goes", err=True)
    _tell_unverified(Fields(settings_of(context)), whose)
    if added.pins:
        typer.echo(f"{file} still holds the PINs in clear: delete it.", err=True)


def _with(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    """Open everything, run, and close it."""

    async def opening() -> T:
        async with opened(settings_of(context)) as office:
            return await run(office)

    return asyncio.run(opening())


def _tell_unverified(fields: Fields, tenant: str) -> None:
    if fields.nobody_verifies(tenant):
        typer.echo(f"No policy verifies customers of {tenant}: write tenant into one of [policies.NAME]", err=True)


def _pin(*, stdin: bool) -> Secret:
    return entry.read() if stdin else entry.ask()
