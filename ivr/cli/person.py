"""`customer export` and `customer erase`: what a person may ask for (GDPR, articles 15, 17 and 20)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from math import inf
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer

from ivr.audit.chain import stamp, utc_now
from ivr.audit.verify import Wanted, rows_of
from ivr.cli.customer import Number, Tenant
from ivr.cli.moments import date_of
from ivr.cli.newfile import new_file
from ivr.cli.office import Office, Refused, opened, settings_of
from ivr.cli.personal import names
from ivr.database import SMALL, Left
from ivr.errors import InputError, StoreError, TillitError
from ivr.store import eids, mails, partners, pushes, totps

T = TypeVar("T")

_FORMAT = "tillit-person-1"
_LONGEST = 200
# Whose rows the database is to forget.
_TABLES = (
    "customers",
    "phones",
    "customer_totps",
    "customer_identities",
    "customer_evidence",
    "customer_mails",
    "customer_pushes",
    "customer_notices",
)
_SHOWN = ("at", "action", "actor", "outcome", "call")


def export(
    context: typer.Context,
    number: Number,
    out: Annotated[Path | None, typer.Option(help="A new file, mode 0600. Else the standard output.")] = None,
    tenant: Tenant = None,
) -> None:
    """Write all that is held of a customer as JSON, the audit trail's rows too. The audit trail tells of it."""

    async def run(office: Office) -> dict[str, Any]:
        async with office.act() as act:
            customer = await act.known(number, tenant, "customer.export")
            await act.tell("customer.export", [customer.ref], tenant=customer.tenant)
            rows = await rows_of(act.connection, Wanted(subject=customer.ref))
            app = await totps.since(act.connection, customer.ref)
            mail = await mails.held(act.connection, office.vault, customer.ref)
            browsers = await pushes.since(act.connection, customer.ref)
            called = await eids.names(act.connection, office.vault, customer.ref)
            said = await eids.evidence(act.connection, office.vault, customer.ref)
        held: dict[str, Any] = {"format": _FORMAT, "at": stamp(utc_now()), "reference": customer.ref}
        held.update({"number": customer.number.reveal(), "name": customer.name.reveal()})
        held.update({"phones": [phone.reveal() for phone in customer.phones]})
        held.update({"mail": None if mail is None else mail.address.reveal()})
        held["browsers"] = [{"since": date_of(one)} for one in browsers]
        held["identities"], held["partners"] = [], []
        for one in called:
            if (at := partners.app_of(one.kind)) is None:
                held["identities"].append({"kind": one.kind, "since": date_of(one.since)})
                held["identities"][-1].update({"name": one.who.reveal()})
            else:
                held["partners"].append({"partner": at, "since": date_of(one.since)})
                held["partners"][-1].update({"id": one.who.reveal()})
        held["identifications"] = []
        for two in said:
            held["identifications"].append({"id": two.id, "provider": two.provider, "at": date_of(two.at)})
            held["identifications"][-1].update({"said": two.said.reveal()})
        held |= {
            "pin": "stored as a hash that nobody can read" if customer.has_pin else None,
            "authenticator_app": None if app is None else f"since {date_of(app)}; its key is shown to nobody again",
            "language": customer.language,
            "policy": customer.policy,
            "locked": customer.locked,
            "tenant": customer.tenant,
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
        with new_file(out) as stream:
            stream.write(f"{text}\n".encode())
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None


def erase(
    context: typer.Context,
    number: Number,
    by: Annotated[str, typer.Option(help="Who has decided it.", metavar="NAME")],
    reason: Annotated[str, typer.Option(help="Why: stands in the audit trail, so without the customer's name.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    tenant: Tenant = None,
) -> None:
    """Erase a customer and the data key for ever. The audit trail keeps the reference, which names nobody any more."""
    # Imported here: only this asks Redis, and the other commands start sooner without it.
    from ivr.store.history import History
    from ivr.store.link import Link
    from ivr.store.live import RedisLive

    for option, text in (("--by", by), ("--reason", reason)):
        if not text.strip() or len(text) > _LONGEST or not text.isprintable():
            raise InputError(f"{option}: is empty, longer than {_LONGEST} characters, or has some that cannot be shown")

    async def run(office: Office) -> tuple[str, bool, str | None]:
        # Opened first: where Redis is away nothing is done by halves.
        live, link = await RedisLive.open(office.settings), Link.of(office.settings)
        rules = office.settings
        history = History(link, rules.redis.prefix, office.vault.codes, rules.prove.history_days, rules.company.country)
        try:
            whose = tenant
            if not yes:
                shown = await office.show(number, tenant)
                typer.confirm(f"Erase customer {shown.ref} ({shown.name.masked}) for ever?", abort=True, err=True)
                whose = shown.tenant
            async with office.act() as act:
                customer = await act.known(number, whose, "customer.erase")
                for option, text in (("--by", by), ("--reason", reason)):
                    if names(text, customer):
                        said = f"{option}: has the customer's name or number, and would stay. Nothing was done"
                        raise Refused(said, "customer.erase", "refused", customer.ref, customer.tenant)
                await act.tell(
                    "customer.erase", [customer.ref], tenant=customer.tenant, by=by.strip(), reason=reason.strip()
                )
                await office.register.remove(act.connection, customer)
                # Within: where Redis is away by now, the customer is still there, and all of it can be done later.
                kept = await live.forget(customer.key)
                await history.forget(customer.ref)
        finally:
            await link.close()
            await live.close()
        return customer.ref, kept, await _left(office)

    ref, kept, left = _with(context, run)
    typer.echo(f"Erased customer {ref}. Its data key is in data-keys.age until the next back-up, and in other copies")
    if kept:
        typer.echo(
            "The lock after too many failures stays counted, by a keyed hash of the number, for 90 days at most: "
            "erasing is no way to unlock alone"
        )
    if left is not None:
        typer.echo(left, err=True)


def scrub(
    context: typer.Context,
    rewrite: Annotated[
        bool,
        typer.Option("--rewrite", help="However large the tables are; calls wait as long as that takes. PostgreSQL."),
    ] = False,
) -> None:
    """Have the database clean its files of what was erased or removed before, where `customer erase` could not yet."""

    async def run(office: Office) -> str | None:
        return await _left(office, inf if rewrite else SMALL)

    if (left := _with(context, run)) is not None:
        raise TillitError(left)
    typer.echo("The database has cleaned its files of what was deleted")


_AGAIN = "Then type: ari_app.py customer scrub"
_LEFT = {
    Left.READ: f"The database's files still have it, for somebody is reading: wait for the end of that back-up or query. {_AGAIN}",
    Left.LOCKED: f"The database's files still have it, for somebody holds a lock on its tables: wait for the end of that. {_AGAIN}",
    Left.NOT_OURS: "The database's files still have it, for this user does not own the tables: as their owner type: "
    "VACUUM FULL customers, phones, customer_totps, customer_identities, customer_evidence, customer_mails, customer_pushes, customer_notices",
    Left.LARGE: "The database's files still have it in unused places, and the tables are too large to be written anew while people "
    "call. Type in a quiet hour: ari_app.py customer scrub --rewrite",
}


async def _left(office: Office, small: float = SMALL) -> str | None:
    """Have the files cleaned; what to say where that could not be done. The customer is gone by then, whatever happens."""
    try:
        left = await office.database.scrub(*_TABLES, small=small)
    except StoreError as error:
        return f"The database's files may still have it ({error}). {_AGAIN}"
    return None if left is None else _LEFT[left]


def _with(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    async def opening() -> T:
        async with opened(settings_of(context)) as office:
            return await run(office)

    return asyncio.run(opening())
