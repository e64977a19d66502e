"""`customer unlock`: one person asks for it and says why, another one does it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from ivr.cli import staff, who
from ivr.cli.office import Office, Refused, opened, settings_of
from ivr.cli.personal import names
from ivr.errors import InputError
from ivr.store.wish import LIFE_MINUTES, Wish

if TYPE_CHECKING:
    from ivr.store.live import RedisLive

# The audit trail keeps a reason for good.
_LEAST, _MOST = 5, 200

# The number, and the tenant where one is named.
Whose = tuple[str, str | None]


def unlock(
    context: typer.Context,
    number: Annotated[str, typer.Argument(help="The customer number.", metavar="NUMBER")],
    reason: Annotated[str | None, typer.Option(help="Ask for it, and say why. Another person confirms.")] = None,
    confirm: Annotated[bool, typer.Option("--confirm", help="Do what another person has asked for.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    tenant: Annotated[
        str | None,
        typer.Option(
            help="Whose customer. Needed where customers of several tenants have the number.", callback=staff.tenant_of
        ),
    ] = None,
) -> None:
    """Unlock a customer, and forget the failures that were counted. It takes two persons."""
    if (reason is None) is not confirm:
        raise InputError(
            "customer unlock: one person asks with --reason, another one does it with --confirm. Nothing was done"
        )
    asyncio.run(_run(context, (number, tenant), _reason(reason), yes=yes))


async def _run(context: typer.Context, whose: Whose, reason: str | None, *, yes: bool) -> None:
    # Imported here: only this asks Redis, and the other commands start sooner without it.
    from ivr.store.live import RedisLive

    async with opened(settings_of(context)) as office:
        # Opened first: where Redis is away nothing is done by halves.
        live = await RedisLive.open(office.settings)
        try:
            if reason is None:
                await _confirm(office, live, whose, yes=yes)
            else:
                await _ask(office, live, whose, reason)
        finally:
            await live.close()


async def _ask(office: Office, live: RedisLive, whose: Whose, reason: str) -> None:
    async with office.act() as act:
        customer = await act.known(*whose, "customer.unlock_asked")
        if names(reason, customer):
            said = "--reason: has the customer's name or number, and would stay. Nothing was done"
            raise Refused(said, "customer.unlock_asked", "refused", customer.ref, customer.tenant)
        await act.tell("customer.unlock_asked", [customer.ref], tenant=customer.tenant, reason=reason)
    asking = who.person()
    await live.wish(customer.key, Wish(asking.actor, asking.name, asking.account, asking.login, reason))
    typer.echo(
        f"Asked to unlock customer {customer.ref}. Within {LIFE_MINUTES} minutes another person does it with --confirm"
    )


async def _confirm(office: Office, live: RedisLive, whose: Whose, *, yes: bool) -> None:
    customer = await office.show(*whose)
    wish = await live.wished(customer.key)
    if wish is None:
        raise InputError(
            f"customer unlock: nobody has asked for it within {LIFE_MINUTES} minutes. Ask with --reason. Nothing was done"
        )
    confirming = who.person()
    if wish.is_of(confirming.name, confirming.account, confirming.login):
        raise InputError(
            f"customer unlock: {wish.actor} has asked for it, and that is you. Another person confirms, from a login of "
            "their own, or by sudo from their own account. Nothing was done"
        )
    typer.echo(f"{wish.actor} has asked for it: {wish.reason}")
    if not yes:
        typer.confirm(f"Unlock customer {customer.ref} ({customer.name.masked})?", abort=True, err=True)
    async with office.act() as act:
        customer = await act.known(whose[0], customer.tenant, "customer.unlock")
        await act.tell(
            "customer.unlock", [customer.ref], tenant=customer.tenant, reason=wish.reason, asked_by=wish.actor
        )
        await office.register.set_locked(act.connection, customer, locked=False)
    await live.unlock(customer.key)
    await live.granted(customer.key)
    typer.echo(f"Unlocked customer {customer.ref}")


def _reason(given: str | None) -> str | None:
    if given is None:
        return None
    reason = " ".join(given.split())
    if not _LEAST <= len(reason) <= _MOST or not reason.isprintable():
        raise InputError(f"--reason: is not {_LEAST} to {_MOST} characters of text. Nothing was done")
    return reason
