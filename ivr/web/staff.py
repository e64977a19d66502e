"""Those who sign in, for administrators: the page, a page for each of them, and the API's handlers for the same. No script is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypedDict
from urllib.parse import urlencode

from aiohttp import web

from ivr.lock import Denied
from ivr.lock.administration import linked_at_desk
from ivr.secret import Secret
from ivr.staff import Person
from ivr.store import staffing
from ivr.store.members import Listed, Member
from ivr.web import guard, paging, staffmodels
from ivr.web.api import said, shut
from ivr.web.pages import before, page
from ivr.web.problems import Problem
from ivr.web.visit import Visit
from ivr.web.words import Words

_PAGE = "/staff"
_ACTS = ("disable", "enable")
_LOGIN = re.compile(staffmodels.LOGIN)


class Row(TypedDict):
    """Somebody, in words."""

    id: str
    name: str
    login: str
    role: str
    team: str
    phones: str
    ways: str
    last: str
    disabled: bool
    own: bool


async def staff(visit: Visit) -> web.StreamResponse:
    """Those of the own tenant, so many at once."""
    login = visit.request.query.get("login", "").strip()
    given = {"login": login} if login else {}
    fault, found = "", Listed((), None)
    try:
        found = await _people(visit, given)
    except Problem as problem:
        if problem.name != "invalid":
            raise
        fault = visit.words(f"staff.fault_{problem.errors[0][0]}")
    after = "" if found.behind is None else _address({**given, "cursor": paging.cursor(found.behind)})
    return page(
        visit, "staff.html", status=422 if fault else 200, fault=fault, rows=[_row(one, visit) for one in found.members],
        login=login[:64], after=after, later="cursor" in visit.request.query, first=_address(given), **before(visit),
    )  # fmt: skip


async def one(visit: Visit) -> web.StreamResponse:
    """One of them, and what can be done."""
    return await _one(visit, done=visit.request.query.get("done", ""))


async def act(visit: Visit) -> web.StreamResponse:
    """Do it."""
    named, do = visit.request.match_info["member"], (await visit.form()).get("do", "")
    try:
        if do == "reset":
            person, token = await _reset(visit, named)
            return await _one(visit, link=_link(visit, token), told=visit.words("staff.done_reset", name=person.name))
        await _act(visit, named, do)
    except Problem as problem:
        if problem.status != 403:
            raise
        return await _one(visit, fault=visit.words(f"reason.{problem.name}"), status=403)
    return web.Response(status=303, headers={"Location": f"{_PAGE}/{named}?done={do}"})


async def _one(
    visit: Visit, *, link: Secret | None = None, told: str = "", done: str = "", fault: str = "", status: int = 200
) -> web.StreamResponse:
    found = await visit.house.administration.person(visit.who, visit.request.match_info["member"])
    if isinstance(found, Denied):
        raise shut(found)
    # anybody can send such an address: it is said only where it is so
    if done in _ACTS and found.person.disabled is (done == "disable"):
        told = visit.words(f"staff.done_{done}", name=found.person.name)
    return page(
        visit, "person.html", status=status, row=_row(found, visit), fresh=visit.fresh, told=told, fault=fault,
        linked=linked_at_desk(visit.who, found.person), hours=visit.house.settings.desk.link_hours,
        link="" if link is None else link.reveal(),
    )  # fmt: skip


# ---------------------------------------------------------------- the API


async def people(visit: Visit) -> web.Response:
    """Those of the own tenant, so many at once."""
    found = await _people(visit, visit.request.query)
    after = None if found.behind is None else paging.cursor(found.behind)
    return said(staffmodels.StaffMembers(people=tuple(map(staffmodels.member, found.members)), next=after))


async def disable(visit: Visit) -> web.Response:
    """Let somebody do nothing any more."""
    await _act(visit, visit.request.match_info["member"], "disable")
    return web.Response(status=204)


async def enable(visit: Visit) -> web.Response:
    """Take that back."""
    await _act(visit, visit.request.match_info["member"], "enable")
    return web.Response(status=204)


async def reset(visit: Visit) -> web.Response:
    """A new link."""
    _, token = await _reset(visit, visit.request.match_info["member"])
    hours = visit.house.settings.desk.link_hours
    return said(staffmodels.OneTimeLink(link=_link(visit, token).reveal(), hours=hours))


# ---------------------------------------------------------------- what they share


async def _people(visit: Visit, given: Mapping[str, str]) -> Listed:
    """Raises `Problem`."""
    most, after = paging.asked(visit, staffmodels.QUERY)
    login = given.get("login")
    if login is not None and _LOGIN.fullmatch(login) is None:
        raise Problem("invalid", errors=(("login", "has not the form that the description says"),))
    if after is not None and _LOGIN.fullmatch(after) is None:
        raise paging.no_cursor()
    # logins have small letters
    found = await visit.house.administration.people(visit.who, most, after, None if login is None else login.lower())
    if isinstance(found, Denied):
        raise shut(found)
    return found


async def _act(visit: Visit, named: str, do: str) -> None:
    """Raises `Problem`."""
    if do not in _ACTS:
        raise Problem("bad_request")
    await _anew(visit, named, do)
    administration = visit.house.administration
    done = await (administration.disable if do == "disable" else administration.enable)(visit.who, named)
    if isinstance(done, Denied):
        raise shut(done)
    visit.house.hub.end_all(done.tenant, done.id)


async def _reset(visit: Visit, named: str) -> tuple[Person, Secret]:
    """Raises `Problem`."""
    await _anew(visit, named, "reset")
    done = await visit.house.administration.reset(visit.who, named)
    if isinstance(done, Denied):
        raise shut(done)
    visit.house.hub.end_all(done[0].tenant, done[0].id)
    return done


async def _anew(visit: Visit, named: str, act: str) -> None:
    if not visit.fresh:
        raise shut(await visit.house.administration.not_fresh(visit.who, named, act))


def _link(visit: Visit, token: Secret) -> Secret:
    return staffing.link(guard.own_origin(visit.house, visit.request), token)


def _address(given: Mapping[str, str]) -> str:
    return f"{_PAGE}?{urlencode(given)}" if given else _PAGE


def _row(found: Member, visit: Visit) -> Row:
    person, words = found.person, visit.words
    return Row(
        id=person.id, name=person.name, login=person.login, role=words(f"role.{person.role}"),
        team=person.team or words("staff.no_team"), phones=", ".join(sorted(person.endpoints)) or words("staff.no_phones"),
        ways=_ways(found, words), last=words("staff.never") if found.signed_in is None else found.signed_in[:16].replace("T", " "),
        disabled=person.disabled, own=person.id == visit.who.id,
    )  # fmt: skip


def _ways(found: Member, words: Words) -> str:
    told = [words(f"staff.way_{way}") for way in (*found.ways, *(["link"] if found.linked else []))]
    return ", ".join(told) or words("staff.no_way")
