"""`customer export` and `customer erase`: what a person may ask for (GDPR, articles 15, 17 and 20)."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer

from ivr.audit.chain import stamp, utc_now
from ivr.audit.verify import Wanted, rows_of
from ivr.cli.customer import Number
from ivr.cli.office import Act, Office, opened, settings_of
from ivr.errors import InputError
from ivr.secret import Secret
from ivr.store.register import Customer

T = TypeVar("T")

_FORMAT = "tillit-person-1"
_LONGEST = 200
# What is shorter stands in many a text by chance.
_SHORTEST = 4
_LAST_DIGITS = 7
_SHOWN = ("at", "action", "actor", "outcome", "call")


def export(
    context: typer.Context,
    number: Number,
    out: Annotated[Path | None, typer.Option(help="A new file, mode 0600. Else the standard output.")] = None,
) -> None:
    """Write all that is held of a customer as JSON, the audit trail's rows too. The audit trail tells of it."""

    async def run(office: Office) -> dict[str, Any]:
        async with office.act() as act:
            customer = await _known(office, act, number)
            await act.tell("customer.export", [customer.ref])
            rows = await rows_of(act.connection, Wanted(subject=customer.ref))
        held: dict[str, Any] = {"format": _FORMAT, "at": stamp(utc_now()), "reference": customer.ref}
        held.update({"number": customer.number.reveal(), "name": customer.name.reveal()})
        held.update({"phones": [phone.reveal() for phone in customer.phones]})
        held |= {
            "pin": "stored as a hash that nobody can read" if customer.has_pin else None,
            "language": customer.language,
            "policy": customer.policy,
            "locked": customer.locked,
            "audit": [
                {**{field: row[field] for field in _SHOWN}, "detail": orjson.loads(row["detail"])} for row in rows
            ],
        }
        return held

    if out is not None and out.exists():
        raise InputError(f"{out}: is there already. Name a new file")
    text = json.dumps(_with(context, run), indent=2, ensure_ascii=False)
    if out is None:
        typer.echo(text)
        return
    try:
        with open(out, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
            stream.write(f"{text}\n")
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None


def erase(
    context: typer.Context,
    number: Number,
    by: Annotated[str, typer.Option(help="Who has decided it.", metavar="NAME")],
    reason: Annotated[str, typer.Option(help="Why: stands in the audit trail, so without the customer's name.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a customer and the data key for ever. The audit trail keeps the reference, which names nobody any more."""
    # Imported here: only this asks Redis, and the other commands start sooner without it.
    from ivr.store.live import RedisLive

    for option, text in (("--by", by), ("--reason", reason)):
        if not text.strip() or len(text) > _LONGEST or not text.isprintable():
            raise InputError(f"{option}: is empty, longer than {_LONGEST} characters, or has some that cannot be shown")

    async def run(office: Office) -> tuple[str, bool]:
        # Opened first: where Redis is away nothing is done by halves.
        live = await RedisLive.open(office.settings)
        try:
            async with office.act() as act:
                customer = await _known(office, act, number)
                if _names(reason, customer):
                    raise InputError("--reason: has the customer's name or number, and would stay. Nothing was done")
                if not yes:
                    typer.confirm(
                        f"Erase customer {customer.ref} ({customer.name.masked}) for ever?", abort=True, err=True
                    )
                await act.tell("customer.erase", [customer.ref], by=by.strip(), reason=reason.strip())
                await office.register.remove(act.connection, customer)
            await live.unlock(customer.key)
        finally:
            await live.close()
        return customer.ref, await office.database.scrub("customers", "phones")

    ref, clean = _with(context, run)
    typer.echo(f"Erased customer {ref}. Its data key is in data-keys.age until the next back-up, and in other copies")
    if not clean:
        typer.echo(
            "The database's log still has it, for somebody is reading: it goes with the next checkpoint", err=True
        )


def _names(text: str, customer: Customer) -> bool:
    """Whether a text has the customer's number, or a word of the name."""
    digits = "".join(filter(str.isdecimal, text))
    numbers = (customer.number, *customer.phones)
    return any(_has(digits, [number.reveal()[-_LAST_DIGITS:]]) for number in numbers) or _has(
        text.casefold(), customer.name.reveal().casefold().split()
    )


def _has(text: str, parts: list[str]) -> bool:
    return any(len(part) >= _SHORTEST and part in text for part in parts)


async def _known(office: Office, act: Act, number: str) -> Customer:
    customer = await office.register.find(act.connection, Secret(number))
    if customer is None:
        raise InputError("number: no customer has it. Nothing was done")
    return customer


def _with(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    async def opening() -> T:
        async with opened(settings_of(context)) as office:
            return await run(office)

    return asyncio.run(opening())
