"""The API's handlers of what takes a second person: reading again after too much, and one record without a call."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from aiohttp import web

from ivr.errors import InputError
from ivr.lock import Denied
from ivr.web import models, paging, teammodels
from ivr.web.api import body, said, shut
from ivr.web.problems import Problem
from ivr.web.visit import Visit

T = TypeVar("T")


async def standing(visit: Visit) -> web.Response:
    """How many customers' records each has read."""
    found = await _granted(visit.house.reads.standing(visit.who))
    given, after = paging.piece(visit, found, lambda one: one.person)
    return said(teammodels.Readings(persons=tuple(teammodels.reading(one) for one in given), next=after))


async def lift(visit: Visit) -> web.Response:
    """Let somebody read again who was stopped."""
    given = await body(visit, teammodels.Reasoned)
    done = await _granted(visit.house.reads.lift(visit.who, visit.request.match_info["person"], given.reason))
    return said(teammodels.Lifted(person=done.person))


async def ask(visit: Visit) -> web.Response:
    """Wish to open one record without a call."""
    given = await body(visit, teammodels.Wish)
    wish = await _granted(visit.house.glass.ask(visit.who, given.ref, given.reason, given.fields))
    return said(teammodels.opening(wish), 201)


async def waiting(visit: Visit) -> web.Response:
    """The wishes of others that wait."""
    found = await _granted(visit.house.glass.waiting(visit.who))
    # the one that lapses first comes first
    given, after = paging.piece(visit, found, lambda one: f"{one.until:012}/{one.id}")
    return said(teammodels.Openings(openings=tuple(teammodels.opening(one) for one in given), next=after))


async def approve(visit: Visit) -> web.Response:
    """Agree to one."""
    wish = await _granted(visit.house.glass.approve(visit.who, visit.request.match_info["opening"]))
    return said(teammodels.opening(wish))


async def decline(visit: Visit) -> web.Response:
    """Say no to one, or take back one's own."""
    if not await _granted(visit.house.glass.decline(visit.who, visit.request.match_info["opening"])):
        raise Problem("not_open")
    return web.Response(status=204)


async def record(visit: Visit) -> web.Response:
    """What was opened."""
    found = await _granted(visit.house.glass.record(visit.who, visit.request.match_info["opening"]))
    return said(models.record(found))


async def _granted(work: Awaitable[T | Denied]) -> T:
    try:
        found = await work
    except InputError as error:
        field, _, fault = str(error).partition(": ")
        raise Problem("invalid", errors=((field, fault),)) from None
    if isinstance(found, Denied):
        raise shut(found)
    return found
