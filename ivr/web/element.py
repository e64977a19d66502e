"""The element that a CRM's page holds: its token, what it follows, and which pages may ask."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cache
from importlib import resources
from time import monotonic

import orjson
from aiohttp import web

from ivr.errors import Unavailable
from ivr.secret import Secret
from ivr.staff import Permission, Person
from ivr.store.elements import Grant, allowed
from ivr.web import tokenmodels
from ivr.web.api import body, said
from ivr.web.live import ELEMENT, TAKING_SECONDS, Page, folded
from ivr.web.problems import Problem
from ivr.web.view import UNKNOWN, View, choices, over, view
from ivr.web.visit import Visit

# What it says in the agent's language.
_WORDS = (
    "title", "none", "none_help", "unknown", "unknown_help", "caller", "customer", "reference", "lasts", "held", "left_one",
    "lost", "verify", "by", "drop", "wrong_person", "wrong_person_help", "cancel", "failed",
)  # fmt: skip
_SCRIPT, _KEPT = "text/javascript; charset=utf-8", "public, max-age=300"


async def token(visit: Visit) -> web.Response:
    """For an agent who is signed in at the desk now, and for pages of one origin."""
    program, house = visit.asking, visit.house
    given = await body(visit, tokenmodels.ElementAsked)
    origins = program.rules.origins
    origin = given.origin or (origins[0] if len(origins) == 1 else "")
    if origin not in origins:
        raise Problem("invalid", errors=(("origin", "is none of this program's origins"),))
    theirs = given.tenant in program.rules.tenants
    person = await house.people.by_login(given.tenant, given.login) if theirs else None
    session = None if person is None else await house.sessions.latest_of(person.tenant, person.id)
    # whether there is such a login, or such a tenant, is not told
    if person is None or session is None or not person.may(Permission.CALL):
        raise Problem("agent_away")
    await house.door.lent(person, program.name, origin)
    grant = Grant(person.tenant, person.id, session, program.name, origin, program.rules.may)
    seconds = program.rules.element_minutes * 60
    made = await house.elements.begin(grant, seconds)
    house.log.info("web.element", person=person.id, program=program.name)
    return said(tokenmodels.ElementToken(token=made.reveal(), expires_in=seconds, may=program.rules.may), 201)


async def live(visit: Visit) -> web.StreamResponse:
    """The own calls as they change, a line of JSON each."""
    house, grant = visit.house, visit.grant
    if grant is None or visit.lent is None:
        raise Problem("not_signed_in")
    with house.hub.follow(visit.request, visit.lender, visit.who, ELEMENT) as page:
        if page is None:
            raise Problem("too_many_requests", wait=TAKING_SECONDS)
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await answer.prepare(visit.request)
        # it may take nothing any more
        with suppress(TimeoutError, ConnectionError):
            await _follow(visit, grant, visit.lent, page, answer)
    return answer


async def _follow(visit: Visit, grant: Grant, token: Secret, page: Page, answer: web.StreamResponse) -> None:
    await _say(answer, _first(visit, grant))
    told, when = b"", monotonic()
    while not page.going:
        page.stir.clear()
        shown = UNKNOWN
        try:
            person = None if page.over else await _whose(visit, grant, token)
            if person is None:
                await _say(answer, {"over": True})
                return
            page.endpoints = folded(person.endpoints)
            shown = _without_name(view(await visit.house.lock.current(person), visit.words), grant)
            if page.keeps(shown):
                await visit.house.sessions.lives(grant.tenant, grant.session, used=True)
                page.was_kept()
        except Unavailable:
            pass
        line = orjson.dumps(shown)
        if line != told:
            await _say(answer, {"view": shown, "now": visit.house.wall()})
            told, when = line, monotonic()
        elif visit.house.hub.due(when, shown):
            await _say(answer, {})
            when = monotonic()
        try:
            async with asyncio.timeout(visit.house.hub.until(shown)):
                await page.stir.wait()
        except TimeoutError:
            pass


def _first(visit: Visit, grant: Grant) -> dict[str, object]:
    words, may = visit.words, allowed(grant.scopes, visit.house.settings.clients[grant.client].may)
    told = {name: words(f"desk.{name}") for name in _WORDS}
    told["left"] = words("desk.left", minutes="{minutes}")
    told["ended"], told["ended_help"] = over(words)
    offered = choices(visit.house.midcall.offered(grant.tenant), words) if "verify" in may else []
    return {"words": told, "language": words.language, "may": may, "policies": offered, "silent": visit.house.hub.lost}


def _without_name(shown: View, grant: Grant) -> View:
    """A name is a field of the record: who may not read that is not shown it."""
    if "record" not in grant.scopes:
        for call in shown["calls"]:
            call["name"] = ""
    return shown


async def _whose(visit: Visit, grant: Grant, token: Secret) -> Person | None:
    """None where the token or the session has ended, or the agent may see no calls any more. Looking does not make it go on."""
    house = visit.house
    if await house.elements.of(token) is None or await house.sessions.lives(grant.tenant, grant.session) is None:
        return None
    person = await visit.house.people.by_id(grant.tenant, grant.person)
    return person if person is not None and person.may(Permission.CALL) else None


async def _say(answer: web.StreamResponse, what: object) -> None:
    async with asyncio.timeout(TAKING_SECONDS):
        await answer.write(orjson.dumps(what) + b"\n")


async def script(_: Visit) -> web.Response:
    """The element itself: the same for all, and good for nothing without a token."""
    return web.Response(
        body=_script(),
        headers={
            "Content-Type": _SCRIPT, "Cache-Control": _KEPT,
            "Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin",
        },
    )  # fmt: skip


@cache
def _script() -> bytes:
    return resources.files("ivr.web").joinpath("static/caller-auth.js").read_bytes()
