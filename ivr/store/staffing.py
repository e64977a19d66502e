"""What administrators do with those who sign in: the same by command and at the desk.

Each act and its audit row are one transaction. What Redis has of somebody is ended beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.secret import Secret
from ivr.staff import Person
from ivr.store.roster import NewPerson, Roster


class Act(Protocol):
    """A transaction of somebody who may do it, and the way to write its rows."""

    @property
    def connection(self) -> AsyncConnection: ...

    async def tell(self, action: str, subjects: Sequence[str], **detail: str) -> None: ...


class Sessions(Protocol):
    async def end_all(self, tenant: str, person: str) -> int: ...


class Failures(Protocol):
    async def forget(self, tenant: str, login: str) -> bool: ...


async def add(act: Act, roster: Roster, new: NewPerson, link_hours: int) -> tuple[Person, Secret]:
    """The person, and the token of the link. Raises `InputError` where login or endpoint are another's."""
    person = await roster.add(act.connection, new)
    await act.tell("agent.add", [person.id], **said(person), endpoints=" ".join(sorted(person.endpoints)))
    return person, await roster.invite(act.connection, person, link_hours)


async def reset(act: Act, roster: Roster, person: Person, link_hours: int) -> Secret:
    """Password, app and passkeys are gone; the token of the link. Behind it: `forget`."""
    await act.tell("agent.reset", [person.id], **said(person))
    return await roster.invite(act.connection, person, link_hours)


async def disable(act: Act, roster: Roster, person: Person) -> None:
    """May do nothing any more; behind it, sessions are to be ended. Raises `LastAdministrator`."""
    await act.tell("agent.disable", [person.id], **said(person))
    await roster.disable(act.connection, person)


async def enable(act: Act, roster: Roster, person: Person, sessions: Sessions) -> None:
    """Signs in as before."""
    await act.tell("agent.enable", [person.id], **said(person))
    # before it: sessions that Redis had kept, as it was away when this person was disabled
    await sessions.end_all(person.tenant, person.id)
    await roster.enable(act.connection, person)


async def forget(person: Person, sessions: Sessions, failures: Failures) -> None:
    """End all sessions of somebody who was reset, and the wait for another try."""
    await sessions.end_all(person.tenant, person.id)
    await failures.forget(person.tenant, person.login)


def said(person: Person) -> dict[str, str]:
    """Of the person, for the trail."""
    return {"login": person.login, "tenant": person.tenant, "team": person.team, "role": person.role.value}


def link(url: str, token: Secret) -> Secret:
    """The one-time link of this token; `url` is what browsers call the desk."""
    return token.within(f"{url}/welcome/{{token}}", "{token}")
