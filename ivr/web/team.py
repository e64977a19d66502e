"""The supervisor's page, and the API's handlers for the same: a team's calls, rates, locks, and what waits for a second person."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from aiohttp import web

from ivr.errors import Unavailable
from ivr.lock import Barred, Denied, Watched
from ivr.staff import Permission, Person
from ivr.web import paging, teammodels
from ivr.web.api import said, shut
from ivr.web.live import Kind
from ivr.web.pages import follow, page
from ivr.web.problems import Problem
from ivr.web.teamview import UNKNOWN, Seen, TeamView, view
from ivr.web.view import over
from ivr.web.visit import House, Visit

T = TypeVar("T")

KIND = Kind("team", Permission.WATCH, pause=0.2, all=True)
"""The page follows all phones of the team, and need not show each of many changes by itself."""


async def team(visit: Visit) -> web.StreamResponse:
    """The page; all that it shows comes by the websocket."""
    may = visit.who.permissions
    return page(
        visit, "team.html", now=visit.house.wall(), silent=visit.house.hub.lost, over=over(visit.words),
        approves=Permission.APPROVE in may,
    )  # fmt: skip


async def live(visit: Visit) -> web.StreamResponse:
    """The websocket of an open page."""

    async def shown(person: Person) -> TeamView:
        return await seen(visit.house, visit, person)

    return await follow(visit, shown, KIND, UNKNOWN)


async def seen(house: House, visit: Visit, person: Person) -> TeamView:
    """What the page shows now. Raises `Unavailable` where it is not known who talks; what else is down is left out."""
    calls = await house.watch.calls(person)
    if isinstance(calls, Denied):
        raise Unavailable("not permitted any more")
    striking = [one for one in await _or_none(house.reads.standing(person)) or () if one.stopped or one.warned]
    names = {}
    for one in striking:
        found = await house.people.by_id(person.tenant, one.person)
        names[one.person] = one.person if found is None else found.name
    raised = () if house.alarms is None else await _or_none(house.alarms.of(person.tenant))
    alarms = []
    for alarm in raised or ():
        whose = await house.people.by_id(person.tenant, alarm.person)
        # of whoever was removed nobody knows the team any more: all are to look
        if whose is None or whose.team == person.team:
            names[alarm.person] = visit.words("team.alarm_removed") if whose is None else whose.name
            alarms.append(alarm)
    approves = person.may(Permission.APPROVE)
    return view(
        Seen(
            calls,
            await _or_none(house.watch.statistics(person)) if _own(house, person) else None,
            await _or_none(house.watch.barred(person)) if _own(house, person) else None,
            tuple(striking),
            names,
            tuple(await _or_none(house.glass.waiting(person)) or ()) if approves else (),
            None if raised is None else tuple(alarms),
        ),
        visit.words,
    )


def _own(house: House, person: Person) -> bool:
    """Whether the company's own figures are this person's to see: to ask for them in vain would be written down each time."""
    return person.tenant == house.tenant


async def _or_none(work: Awaitable[T | Denied]) -> T | None:
    try:
        found = await work
    except Unavailable:
        return None
    return None if isinstance(found, Denied) else found


# ---------------------------------------------------------------- the API


async def calls(visit: Visit) -> web.Response:
    """The team's calls."""
    found, after = paging.piece(visit, await _granted(visit.house.watch.calls(visit.who)), _call_key)
    return said(teammodels.TeamCalls(calls=tuple(teammodels.team_call(one) for one in found), next=after))


async def statistics(visit: Visit) -> web.Response:
    """How verifications ended."""
    if visit.request.query:
        raise Problem("invalid", errors=(("query", "takes no parameters"),))
    found = await _granted(visit.house.watch.statistics(visit.who))
    return said(
        teammodels.VerificationRates(
            hour=tuple(teammodels.rate(one) for one in found.hour), day=tuple(teammodels.rate(one) for one in found.day)
        )
    )


async def locks(visit: Visit) -> web.Response:
    """What is locked."""
    found, after = paging.piece(visit, await _granted(visit.house.watch.barred(visit.who)), _lock_key)
    return said(teammodels.LocksInForce(locks=tuple(teammodels.in_force(one) for one in found), next=after))


async def _granted(work: Awaitable[T | Denied]) -> T:
    found = await work
    if isinstance(found, Denied):
        raise shut(found)
    return found


def _call_key(one: Watched) -> str:
    return f"{one.agent}\n{one.person}\n{one.call.node}\n{one.call.id}"


def _lock_key(one: Barred) -> str:
    # those without an end come last
    return f"{one.until if one.until is not None else 10**12:013d}\n{one.kind}\n{one.what}"
