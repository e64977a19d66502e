"""`agent change|permit|deny|usual|link|unlink`: what somebody is here, may do, and is called at a provider."""

from __future__ import annotations

from typing import Annotated

import typer

from ivr.cli import staff
from ivr.cli.agent import Login, Tenant, in_office, known, refusing
from ivr.cli.fields import Fields
from ivr.cli.office import Office, settings_of
from ivr.errors import InputError
from ivr.staff import TENANT, Person
from ivr.store.staffing import said

Named = Annotated[
    str, typer.Argument(help="One of: call, verify, watch, approve, staff, trail, reads.", metavar="PERMISSION")
]
Subject = Annotated[str, typer.Argument(help="What the provider has as sub for this person.", metavar="SUBJECT")]


def change(
    context: typer.Context,
    login: Login,
    tenant: Tenant = TENANT,
    name: Annotated[str | None, typer.Option(help="The name that colleagues see.")] = None,
    role: Annotated[str | None, typer.Option(help="Another role. It holds from the next request on.")] = None,
    team: Annotated[str | None, typer.Option(help="Another team; an empty one for none.")] = None,
    language: Annotated[str | None, typer.Option(help="Two letters; an empty text for the browser's.")] = None,
) -> None:
    """Give somebody another name, role, team or language. A role holds at once, also for who is signed in."""
    fields = Fields(settings_of(context))
    if name is None and role is None and team is None and language is None:
        raise InputError("agent change: names nothing to change. Add --name, --role, --team or --language")
    new_name = None if name is None else fields.name(name)
    new_role = None if role is None else staff.role(role)
    new_team = team if not team else staff.named(team, "--team")
    new_language = language if not language else fields.language(language)
    told = {"to_role": new_role, "to_team": new_team, "to_language": new_language, "name": name and "changed"}

    async def run(office: Office) -> tuple[Person, bool]:
        async with office.act() as act:
            person = await known(office, act, tenant, login, "agent.change")
            detail = {field: str(value) for field, value in told.items() if value is not None}
            await act.tell("agent.change", [person.id], **said(person), **detail)
            with refusing("agent.change", person):
                void = await office.roster.change(
                    act.connection, person, name=new_name, role=new_role, team=new_team, language=new_language
                )
            return await known(office, act, tenant, login, "agent.change"), void

    person, void = in_office(context, run)
    typer.echo(f"Changed {login} of {tenant}: {person.role}, team {person.team or 'none'}")
    _tell_void(person, void=void)


def permit(context: typer.Context, login: Login, permission: Named, tenant: Tenant = TENANT) -> None:
    """Let somebody do something that the role does not have. It holds at once."""
    _set(context, login, permission, tenant, "agent.permit", granted=True)


def deny(context: typer.Context, login: Login, permission: Named, tenant: Tenant = TENANT) -> None:
    """Let somebody not do something that the role has. It holds at once."""
    _set(context, login, permission, tenant, "agent.deny", granted=False)


def usual(context: typer.Context, login: Login, permission: Named, tenant: Tenant = TENANT) -> None:
    """Take back `permit` or `deny`: it is as the role has it."""
    _set(context, login, permission, tenant, "agent.usual", granted=None)


def _set(
    context: typer.Context, login: str, permission: str, tenant: str, action: str, *, granted: bool | None
) -> None:
    wanted = staff.permission(permission)

    async def run(office: Office) -> tuple[Person, bool]:
        async with office.act() as act:
            person = await known(office, act, tenant, login, action)
            await act.tell(action, [person.id], **said(person), permission=wanted.value)
            with refusing(action, person):
                void = await office.roster.permit(act.connection, person, wanted, granted)
            return await known(office, act, tenant, login, action), void

    person, void = in_office(context, run)
    typer.echo(f"{login} of {tenant} may: {', '.join(sorted(person.permissions)) or 'nothing'}")
    _tell_void(person, void=void)


def _tell_void(person: Person, *, void: bool) -> None:
    """A person who has not signed in yet cannot by it any more."""
    if void:
        cure = f"ari_app.py agent reset {person.login} --tenant {person.tenant}"
        typer.echo(f"The link that {person.login} had is void: it was given for less. For a new one type: {cure}")


def link(context: typer.Context, login: Login, subject: Subject, tenant: Tenant = TENANT) -> None:
    """Let somebody sign in by the provider of `[desk.oidc]`, by the account there that is this person's."""
    rules = staff.provider(settings_of(context))
    account = staff.subject(subject)

    async def run(office: Office) -> None:
        async with office.act() as act:
            person = await known(office, act, tenant, login, "agent.link")
            await act.tell("agent.link", [person.id], **said(person), issuer=rules.issuer)
            with refusing("agent.link", person):
                await office.roster.link(act.connection, person, rules.issuer, account)

    in_office(context, run)
    typer.echo(f"Linked {login} of {tenant} with an account at {rules.issuer}")


def unlink(context: typer.Context, login: Login, tenant: Tenant = TENANT) -> None:
    """Let somebody sign in by a provider no more. Sessions go on: end them with `agent reset` or `agent disable`."""

    async def run(office: Office) -> None:
        async with office.act() as act:
            person = await known(office, act, tenant, login, "agent.unlink")
            await act.tell("agent.unlink", [person.id], **said(person))
            with refusing("agent.unlink", person):
                await office.roster.unlink(act.connection, person)

    in_office(context, run)
    typer.echo(f"Unlinked {login} of {tenant}")
