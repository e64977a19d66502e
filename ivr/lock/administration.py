"""Those who sign in, as administrators see and change them at the desk: of their own tenant, and never themselves.

Whoever holds somebody's one-time link is that person. So that no administrator becomes the two persons who open a record
without a call, links at the desk are for those alone who can do no more than take calls; all others' are given by command, on
the machine itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.typing import FilteringBoundLogger

from ivr.audit.chain import append_within, lock_of
from ivr.audit.signing import Seal
from ivr.database import Database
from ivr.errors import ConfigError, StoreError, Unavailable
from ivr.lock.judge import Judge
from ivr.lock.rows import Rows, entry
from ivr.lock.words import Denied, Reason
from ivr.secret import Secret
from ivr.staff import TAKES_CALLS, Permission, Person
from ivr.store import staffing
from ivr.store.members import Listed, Member, Members
from ivr.store.roster import LastAdministrator, Roster
from ivr.store.sealing import is_ref

T = TypeVar("T")

_LIST, _SHOW = "agent.list", "agent.show"


@dataclass(frozen=True, slots=True)
class _Act:
    """`staffing.Act` of somebody at the desk."""

    connection: AsyncConnection
    by: Person
    chain: str
    seal: Seal

    async def tell(self, action: str, subjects: Sequence[str], **detail: str) -> None:
        entries = [entry(self.by, action, "done", subject, detail=detail) for subject in subjects]
        await append_within(self.connection, self.chain, *entries, seal=self.seal)


class _Refused(Exception):
    def __init__(self, denied: Denied) -> None:
        super().__init__(denied.reason.value)
        self.denied = denied


class Administration:
    """None of the methods raises `Unavailable`: a part that is down refuses, and nothing is done."""

    def __init__(
        self, judge: Judge, database: Database, roster: Roster, members: Members, sessions: staffing.Sessions,
        failures: staffing.Failures, seal: Seal, chain: str, link_hours: int, rows: Rows, log: FilteringBoundLogger,
    ) -> None:  # fmt: skip
        """`chain` is that of this process in the audit trail."""
        self._judge = judge
        self._database = database
        self._roster = roster
        self._members = members
        self._sessions = sessions
        self._failures = failures
        self._seal = seal
        self._chain = chain
        self._hours = link_hours
        self._rows = rows
        self._log = log

    async def people(
        self, by: Person, most: int, after: str | None = None, login: str | None = None
    ) -> Listed | Denied:
        """At most so many of the own tenant, by their logins, behind the login `after`. `login`: those of whose login this is a part."""
        try:
            by = await self._judge.anew(by)
            if not by.may(Permission.STAFF):
                return await self._rows.refuse(by, _LIST, Denied(Reason.NOT_PERMITTED))
            # what was typed may be a name, or a number
            await self._rows.tell(by, _LIST, "done", detail={} if login is None else {"by": "login"})
            return await self._members.listed(by.tenant, most, after, login)
        except Unavailable as error:
            return self._rows.failed(by, _LIST, error)

    async def person(self, by: Person, whom: str) -> Member | Denied:
        """One of the own tenant."""
        try:
            by = await self._judge.anew(by)
            if not by.may(Permission.STAFF):
                return await self._rows.refuse(by, _SHOW, Denied(Reason.NOT_PERMITTED), whom)
            # what has not the form is nobody's, and perhaps no text that can be asked for
            found = await self._members.by_id(by.tenant, whom) if is_ref(whom) else None
            if found is None:
                return await self._rows.refuse(by, _SHOW, Denied(Reason.NOT_FOUND), whom)
            await self._rows.tell(by, _SHOW, "done", whom)
            return found
        except Unavailable as error:
            return self._rows.failed(by, _SHOW, error)

    async def disable(self, by: Person, whom: str) -> Person | Denied:
        """May do nothing from now on, and all sessions end."""

        async def work(act: _Act, person: Person) -> None:
            await staffing.disable(act, self._roster, person)

        found = await self._done(by, whom, "agent.disable", work)
        if isinstance(found, Denied):
            return found
        return await self._behind(found[0], by, "agent.disable", self._sessions.end_all(by.tenant, whom))

    async def enable(self, by: Person, whom: str) -> Person | Denied:
        """Signs in again as before."""

        async def work(act: _Act, person: Person) -> None:
            await staffing.enable(act, self._roster, person, self._sessions)

        found = await self._done(by, whom, "agent.enable", work)
        return found if isinstance(found, Denied) else found[0]

    async def reset(self, by: Person, whom: str) -> tuple[Person, Secret] | Denied:
        """Takes password, app and passkeys away, and ends all sessions; the token of a new link."""

        async def work(act: _Act, person: Person) -> Secret:
            if person.disabled:
                raise _Refused(Denied(Reason.DISABLED))
            if not linked_at_desk(by, person):
                raise _Refused(Denied(Reason.BY_COMMAND))
            # where Redis is away nothing is done by halves
            await self._sessions.end_all(person.tenant, person.id)
            return await staffing.reset(act, self._roster, person, self._hours)

        found = await self._done(by, whom, "agent.reset", work)
        if isinstance(found, Denied):
            return found
        person, token = found
        over = await self._behind(person, by, "agent.reset", staffing.forget(person, self._sessions, self._failures))
        return over if isinstance(over, Denied) else (person, token)

    async def not_fresh(self, by: Person, whom: str, act: str) -> Denied:
        """Tell the trail that one of these was asked for too long after a sign-in: nothing was looked at."""
        return await self._rows.refuse(by, f"agent.{act}", Denied(Reason.NOT_FRESH), whom)

    # ------------------------------------------------------------ inside

    async def _done(
        self, by: Person, whom: str, action: str, work: Callable[[_Act, Person], Awaitable[T]]
    ) -> tuple[Person, T] | Denied:
        """The person, and what comes of it; all of it with its row, or nothing."""
        try:
            by = await self._judge.anew(by)
            if not by.may(Permission.STAFF):
                return await self._rows.refuse(by, action, Denied(Reason.NOT_PERMITTED), whom)
            try:
                async with self._acting(by) as act:
                    # what has not the form is nobody's, and perhaps no text that can be asked for
                    person = await self._roster.by_id(act.connection, by.tenant, whom) if is_ref(whom) else None
                    if person is None:
                        raise _Refused(Denied(Reason.NOT_FOUND))
                    if person.id == by.id:
                        raise _Refused(Denied(Reason.ONESELF))
                    done = await work(act, person)
                    # two who disable each other: the second one has waited here, and may not any more
                    again = await self._roster.by_id(act.connection, by.tenant, by.id)
                    if again is None or not again.may(Permission.STAFF):
                        raise _Refused(Denied(Reason.NOT_PERMITTED))
            except LastAdministrator:
                return await self._rows.refuse(by, action, Denied(Reason.LAST_ADMINISTRATOR), whom)
            except _Refused as refused:
                return await self._rows.refuse(by, action, refused.denied, whom)
        except Unavailable as error:
            return self._rows.failed(by, action, error)
        self._log.warning("staff.changed", action=action, person=person.id, by=by.id)
        return person, done

    async def _behind(self, person: Person, by: Person, action: str, ending: Awaitable[Any]) -> Person | Denied:
        """What Redis has of this person ends. Where it is away, what was done stands, and is said to be incomplete."""
        try:
            await ending
        except Unavailable as error:
            return self._rows.failed(by, action, error)
        return person

    @asynccontextmanager
    async def _acting(self, by: Person) -> AsyncIterator[_Act]:
        try:
            async with self._database.write(lock=lock_of(self._chain)) as connection:
                yield _Act(connection, by, self._chain, self._seal)
        except ConfigError as error:
            # the chain does not end as it was left: for whoever runs the system
            raise StoreError(f"audit: {error.problem}") from None


def linked_at_desk(by: Person, person: Person) -> bool:
    """Whether `by` may be shown this person's one-time link, where `by` may change people at all."""
    theirs = replace(person, disabled=False).permissions
    return theirs <= TAKES_CALLS and not by.may(Permission.APPROVE)
