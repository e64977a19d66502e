"""`agent …`: who signs in at the desk, and which phones are theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ivr.cli import staff
from ivr.cli.fields import Fields
from ivr.cli.office import Act, Office, Refused, opened, settings_of
from ivr.errors import InputError
from ivr.secret import Secret
from ivr.staff import TENANT, Person
from ivr.store import staffing
from ivr.store.roster import NewPerson
from ivr.store.staffing import said

if TYPE_CHECKING:
    from ivr.store.live import RedisLive

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

Login = Annotated[str, typer.Argument(help="What this person types to sign in.", metavar="LOGIN")]
Tenant = Annotated[str, typer.Option(help="Where several organisations share this system.")]


@app.command()
def add(
    context: typer.Context,
    login: Login,
    name: Annotated[str, typer.Option(prompt=True, help="The name that colleagues see.")],
    role: Annotated[str, typer.Option(help="agent, supervisor, administrator, auditor or data_owner.")] = "agent",
    team: Annotated[str | None, typer.Option(help="Whose calls a supervisor sees.")] = None,
    tenant: Tenant = TENANT,
    endpoint: Annotated[
        list[str] | None, typer.Option(help="A phone of this person, such as PJSIP/anna. May be given again.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Two letters. Else the browser's.")] = None,
) -> None:
    """Add somebody who signs in. Prints a link with which this person sets a password and a second factor, once."""
    settings = settings_of(context)
    staff.url(settings)
    fields = Fields(settings)
    new = NewPerson(
        staff.named(tenant, "--tenant"), staff.login(login), fields.name(name), staff.role(role),
        staff.named(team, "--team") if team else "", staff.endpoints(endpoint or ()), fields.language(language),
    )  # fmt: skip

    async def run(office: Office) -> Secret:
        async with office.act() as act:
            with refusing("agent.add"):
                _, token = await staffing.add(act, office.roster, new, settings.desk.link_hours)
            return token

    token = in_office(context, run)
    typer.echo(f"Added {new.login} of {new.tenant} as {new.role}")
    _print_link(context, token)


@app.command()
def show(context: typer.Context, login: Login, tenant: Tenant = TENANT) -> None:
    """Show somebody who signs in."""

    async def run(office: Office) -> tuple[Person, tuple[str, ...]]:
        async with office.act() as act:
            person = await known(office, act, tenant, login, "agent.show")
            await act.tell("agent.show", [person.id], **said(person))
            return person, await office.roster.ways(act.connection, person)

    person, ways = in_office(context, run)
    for label, value in (
        ("login", person.login), ("name", person.name), ("tenant", person.tenant), ("team", person.team or "none"),
        ("role", person.role.value), ("endpoints", ", ".join(sorted(person.endpoints)) or "none"),
        ("may", ", ".join(sorted(person.permissions)) or "nothing"),
        ("signs in by", ", ".join(ways) or "nothing: agent reset"), ("language", person.language or "the browser's"),
        ("disabled", "yes" if person.disabled else "no"), ("identifier", person.id),
    ):  # fmt: skip
        typer.echo(f"{label:<11} {value}")


@app.command("list")
def list_(
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option(help="Those of this one alone.")] = None,
) -> None:
    """List who signs in: login, tenant, team, role, phones."""

    async def run(office: Office) -> tuple[Person, ...]:
        async with office.act() as act:
            await act.tell("agent.list", [""], **({"tenant": tenant} if tenant else {}))
            return await office.roster.all(act.connection, tenant)

    people = in_office(context, run)
    if not people:
        typer.echo("Nobody signs in yet: ari_app.py agent add LOGIN --role administrator")
    for person in people:
        words = (
            f"{person.login:<16}", f"{person.tenant:<8}", f"{person.team or '-':<12}", f"{person.role.value:<13}",
            ", ".join(sorted(person.endpoints)) or "-", "disabled" if person.disabled else "",
        )  # fmt: skip
        typer.echo("  ".join(words).rstrip())


@app.command()
def reset(context: typer.Context, login: Login, tenant: Tenant = TENANT) -> None:
    """Take password, authenticator app and passkeys away, end all sessions, and print a new link: whoever has lost one of them."""
    settings = settings_of(context)
    staff.url(settings)

    async def run(office: Office) -> Secret:
        # opened first: where Redis is away nothing is done by halves
        async with _redis(office) as live:
            async with office.act() as act:
                person = await known(office, act, tenant, login, "agent.reset")
                if person.disabled:
                    raise Refused(
                        f"{login}: is disabled. Type first: ari_app.py agent enable {login} --tenant {tenant}",
                        "agent.reset", "disabled", person.id, person.tenant,
                    )  # fmt: skip
                token = await staffing.reset(act, office.roster, person, settings.desk.link_hours)
            failures = live.throttle(settings.desk, office.vault.index)
            await staffing.forget(person, live.sessions(settings.desk), failures)
        return token

    token = in_office(context, run)
    typer.echo(f"Reset {login} of {tenant}, and ended all sessions")
    _print_link(context, token)


@app.command()
def disable(context: typer.Context, login: Login, tenant: Tenant = TENANT) -> None:
    """Let somebody sign in no more, and end all sessions at once. What the person did stays in the trail."""

    async def run(office: Office) -> None:
        async with office.act() as act:
            person = await known(office, act, tenant, login, "agent.disable")
            with refusing("agent.disable", person):
                await staffing.disable(act, office.roster, person)
        typer.echo(f"Disabled {login} of {tenant}, who may do nothing from now on")
        # behind it: so it is, be Redis there or not
        async with _redis(office) as live:
            await live.sessions(office.settings.desk).end_all(person.tenant, person.id)

    in_office(context, run)
    typer.echo("Ended all sessions")


@app.command()
def enable(context: typer.Context, login: Login, tenant: Tenant = TENANT) -> None:
    """Let somebody sign in again who was disabled."""

    async def run(office: Office) -> None:
        async with _redis(office) as live, office.act() as act:
            person = await known(office, act, tenant, login, "agent.enable")
            await staffing.enable(act, office.roster, person, live.sessions(office.settings.desk))

    in_office(context, run)
    typer.echo(f"Enabled {login} of {tenant}")


@app.command()
def endpoints(
    context: typer.Context,
    login: Login,
    tenant: Tenant = TENANT,
    add: Annotated[list[str] | None, typer.Option("--add", help="A further phone, such as PJSIP/anna.")] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="A phone that is not this person's any more.")
    ] = None,
) -> None:
    """Show or change whose phones are whose: the desk shows the calls of these phones to this person, and to nobody else."""
    more, less = staff.endpoints(add or (), "--add"), staff.endpoints(remove or (), "--remove")

    async def run(office: Office) -> Person:
        async with office.act() as act:
            person = await known(office, act, tenant, login, "agent.endpoints")
            changes = {"added": " ".join(more)} if more else {}
            changes |= {"removed": " ".join(less)} if less else {}
            await act.tell("agent.endpoints", [person.id], **said(person), **changes)
            with refusing("agent.endpoints", person):
                await office.roster.take(act.connection, person, less)
                await office.roster.give(act.connection, person, more)
            return await known(office, act, tenant, login, "agent.endpoints")

    person = in_office(context, run)
    typer.echo(f"{login} of {tenant}: {', '.join(sorted(person.endpoints)) or 'no phone'}")


async def known(office: Office, act: Act, tenant: str, login: str, action: str) -> Person:
    """Whoever has this login. Raises `Refused`."""
    person = await office.roster.find(act.connection, tenant, login)
    if person is None:
        raise Refused(f"LOGIN: nobody in {tenant} has it. Type: ari_app.py agent list", action, "unknown")
    return person


@contextmanager
def refusing(action: str, person: Person | None = None) -> Iterator[None]:
    """What is refused in here is in the trail."""
    try:
        yield
    except InputError as error:
        raise Refused(
            str(error), action, "refused", *(("", "") if person is None else (person.id, person.tenant))
        ) from None


@asynccontextmanager
async def _redis(office: Office) -> AsyncIterator[RedisLive]:
    # Imported here: only this asks Redis, and the other commands start sooner without it.
    from ivr.store.live import RedisLive

    live = await RedisLive.open(office.settings)
    try:
        yield live
    finally:
        await live.close()


def _print_link(context: typer.Context, token: Secret) -> None:
    settings = settings_of(context)
    typer.echo(f"The link is good once, for {settings.desk.link_hours} hours. Give it to this person alone:")
    typer.echo(staff.link(settings, token).reveal())


def in_office(context: typer.Context, run: Callable[[Office], Awaitable[T]]) -> T:
    """What comes of this, with everything open that it works with."""

    async def opening() -> T:
        async with opened(settings_of(context)) as office:
            return await run(office)

    return asyncio.run(opening())
