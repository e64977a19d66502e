"""Those who sign in, for administrators: the page, a page for each of them, and the API's handlers for the same. No script is needed."""

from __future__ import annotations

from typing import TypedDict

from aiohttp import web

from ivr.lock import Denied
from ivr.lock.administration import linked_at_desk
from ivr.secret import Secret
from ivr.staff import Person
from ivr.store import staffing
from ivr.store.roster import Member
from ivr.web import guard, paging, staffmodels
from ivr.web.api import said, shut
from ivr.web.pages import before, page
from ivr.web.problems import Problem
from ivr.web.visit import Visit
from ivr.web.words import Words

_PAGE = "/staff"
_ACTS = ("disable", "enable")


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
    """All of the own tenant."""
    told = next((name for name in _ACTS if name in visit.request.query), "")
    found = await _people(visit)
    whom = visit.request.query.get(told)
    # anybody can send such an address: it is said only where it is so
    so = (one.person for one in found if one.person.id == whom and one.person.disabled is (told == "disable"))
    whose = next((person.name for person in so), "")
    return page(
        visit, "staff.html", rows=[_row(one, visit) for one in found],
        told=visit.words(f"staff.done_{told}", name=whose) if told and whose else "", **before(visit),
    )  # fmt: skip


async def one(visit: Visit) -> web.StreamResponse:
    """One of them, and what can be done."""
    return await _one(visit)


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
    return web.Response(status=303, headers={"Location": f"{_PAGE}?{do}={named}"})


async def _one(
    visit: Visit, *, link: Secret | None = None, told: str = "", fault: str = "", status: int = 200
) -> web.StreamResponse:
    named = visit.request.match_info["member"]
    found = next((one for one in await _people(visit) if one.person.id == named), None)
    if found is None:
        raise Problem("not_found")
    return page(
        visit, "person.html", status=status, row=_row(found, visit), fresh=visit.fresh, told=told, fault=fault,
        linked=linked_at_desk(visit.who, found.person), hours=visit.house.settings.desk.link_hours,
        link="" if link is None else link.reveal(),
    )  # fmt: skip


# ---------------------------------------------------------------- the API


async def people(visit: Visit) -> web.Response:
    """All of the own tenant."""
    given, after = paging.piece(visit, await _people(visit), lambda one: one.person.login)
    return said(staffmodels.StaffMembers(people=tuple(map(staffmodels.member, given)), next=after))


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


async def _people(visit: Visit) -> tuple[Member, ...]:
    found = await visit.house.administration.people(visit.who)
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
