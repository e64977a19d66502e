"""`customer identity …`: what customers are called at providers of electronic identities."""

from __future__ import annotations

import asyncio
import getpass
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import date
from time import time
from typing import Annotated, TypeVar

import typer

from ivr.cli.customer import Number, Tenant
from ivr.cli.office import Office, Refused, opened, settings_of
from ivr.config import Settings
from ivr.errors import InputError
from ivr.secret import Secret
from ivr.store import eids

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

# More than any name that a provider has for a person: RFC 7519's `sub` has 255 at most.
_MOST = 256

Kind = Annotated[
    str,
    typer.Option(
        help="The country whose person number it is, or the name of [eid.brokers.NAME].", metavar="KIND"
    ),
]  # fmt: skip


@app.command()
def add(context: typer.Context, number: Number, kind: Kind = "SE", tenant: Tenant = None) -> None:
    """Enter the customer's person number, or what a broker calls the customer, in place of what was there. Asks for it.

    Nobody is asked by it whether it is right: enter what you know from a contract or a passport, and never from a call.
    """

    async def run(office: Office) -> str:
        _known(kind, office.settings)
        # whoever is asked for a customer's number sees that there is such a customer
        customer = await office.show(number, tenant)
        who = _who(kind)
        async with office.act() as act:
            customer = await act.known(number, customer.tenant, "customer.identity_add")
            await act.tell("customer.identity_add", [customer.ref], tenant=customer.tenant, kind=kind)
            await eids.enter(act.connection, office.vault, customer.ref, kind, who, time())
        return customer.ref

    typer.echo(f"Entered the {kind} identity of customer {_with(context, run)}")


@app.command()
def remove(context: typer.Context, number: Number, kind: Kind = "SE", tenant: Tenant = None) -> None:
    """Take it away: nobody is identified by it any more. What providers have said of the customer stays."""

    async def run(office: Office) -> str:
        async with office.act() as act:
            customer = await act.known(number, tenant, "customer.identity_remove")
            if not await eids.remove(act.connection, customer.ref, kind):
                said = "--kind: this customer has no such identity. Nothing was done"
                raise Refused(said, "customer.identity_remove", "none", customer.ref, customer.tenant)
            await act.tell("customer.identity_remove", [customer.ref], tenant=customer.tenant, kind=kind)
        return customer.ref

    typer.echo(f"Removed the {kind} identity of customer {_with(context, run)}")


def _known(kind: str, settings: Settings) -> None:
    """Whether some provider goes by it. Raises `InputError`."""
    own = settings.eid
    kinds = {name if broker.country is None else broker.country for name, broker in own.brokers.items()}
    kinds |= {"SE"} if own.bankid is not None else set()
    kinds |= {own.freja.country} if own.freja is not None else set()
    if kind not in kinds:
        known = f"Name one of: {', '.join(sorted(kinds))}" if kinds else "Add one: docs/eid.md says what it needs"
        raise InputError(f"--kind: no provider of {settings.file} goes by it. {known}")


def _who(kind: str) -> Secret:
    """Ask for it; the first line of the standard input where there is no terminal. Raises `InputError`."""
    if sys.stdin.isatty():
        text = getpass.getpass("Person number, or name there: ", stream=sys.stderr)
    else:
        try:
            # a letter has up to four bytes
            text = sys.stdin.buffer.readline(4 * _MOST + 2).decode().rstrip("\r\n")
        except UnicodeDecodeError:
            said = f"identity: is not UTF-8, or longer than {_MOST} characters. Give it in UTF-8. Nothing was done"
            raise InputError(said) from None
    if kind == "SE":
        return _swedish(text)
    if not 1 <= len(text) <= _MOST or not text.isprintable() or text != text.strip():
        raise InputError(f"identity: is empty, longer than {_MOST} characters, or has some that cannot be shown")
    return Secret(text)


def _swedish(text: str) -> Secret:
    """Twelve digits of what was typed. Raises `InputError` where they are no Swedish person number or co-ordination number."""
    digits = re.sub(r"(?<=^\d{8})-(?=\d{4}$)", "", text)
    if not _is_swedish(digits):
        raise InputError(
            "identity: is no Swedish person number of twelve digits, such as 19900101-2385. Nothing was done"
        )
    return Secret(digits)


def _is_swedish(digits: str) -> bool:
    """Whether date and check digit are right; of co-ordination numbers 60 is added to the day."""
    if re.fullmatch(r"[0-9]{12}", digits) is None:
        return False
    day = int(digits[6:8])
    try:
        date(int(digits[:4]), int(digits[4:6]), day - 60 if day > 60 else day)
    except ValueError:
        return False
    # Luhn's, of the ten without the century
    doubled = (int(digit) * (2 - place % 2) for place, digit in enumerate(digits[2:]))
    return sum(sum(divmod(one, 10)) for one in doubled) % 10 == 0


def _with(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    async def opening() -> T:
        async with opened(settings_of(context)) as office:
            return await run(office)

    return asyncio.run(opening())
