"""Signing in by an OpenID provider: there and back, for the browser that began it, once."""

from __future__ import annotations

import hashlib
from secrets import token_urlsafe

from aiohttp import web

from ivr.errors import OidcError
from ivr.oidc import Refusal
from ivr.staff import Denied
from ivr.store.address import network
from ivr.web import goals, guard, render
from ivr.web.api import signed_in
from ivr.web.pages import onward, sign_in_form
from ivr.web.problems import Problem
from ivr.web.provided import SECONDS, Elsewhere, Nobody
from ivr.web.visit import Visit

COOKIE = "__Host-elsewhere"
"""Which browser has begun: a sign-in that another one began is nobody's."""


async def begin(visit: Visit) -> web.StreamResponse:
    """Send the browser to the provider."""
    elsewhere = _there(visit)
    token, goal = token_urlsafe(32), goals.goal((await visit.form()).get("for", ""))
    # who comes to change how they sign in shows anew who they are: the provider may remember for hours
    within = visit.house.settings.desk.fresh_minutes * 60 if goal in goals.ANEW else None
    try:
        address = await elsewhere.begin(_bound(token), goal, within=within)
    except OidcError as error:
        visit.house.log.error("oidc.failed", error=str(error))
        return _again(visit, "down", 503, goal)
    # a page, for a form's own redirect would not be let go to another site
    answer = _page(visit, "going", address, "go")
    # as lax as it must be: back from the provider's site no stricter one comes along
    answer.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="Lax", max_age=SECONDS)
    return answer


async def finish(visit: Visit) -> web.StreamResponse:
    """Back from there."""
    elsewhere, query = _there(visit), visit.request.query
    await _paced(visit)
    token, state = visit.request.cookies.get(COOKIE, ""), query.get("state", "")
    begun = await elsewhere.flow(_bound(token), state) if token and state else None
    if begun is None:
        return _again(visit, "over", 400)
    goal, flow = begun
    try:
        found = await elsewhere.provider.who(flow, query)
    except OidcError as error:
        visit.house.log.error("oidc.failed", error=str(error))
        return _again(visit, "down", 503, goal)
    if isinstance(found, Refusal):
        return await _refused(visit, Nobody(found.value), goal)
    who = await elsewhere.person(found, visit.address)
    if isinstance(who, Nobody):
        return await _refused(visit, who, goal)
    entered = await signed_in(visit, await elsewhere.door.sign_in_elsewhere(who, visit.address, found.age))
    if isinstance(entered, Denied):
        return _again(visit, "failed", 403, goal)
    # a page, for the session's cookie would not come along with what another site has begun
    answer = onward(visit, goal)
    guard.sign_in(answer, entered[1])
    guard.drop(answer, COOKIE)
    return answer


async def leave(visit: Visit) -> web.StreamResponse:
    """To the provider, to sign out there. Changes nothing here: any page could have sent the browser there itself."""
    elsewhere = _there(visit)
    await _paced(visit)
    try:
        address = await elsewhere.provider.exit()
    except OidcError as error:
        visit.house.log.error("oidc.failed", error=str(error))
        return _again(visit, "down", 503)
    return _again(visit, "no_exit", 404) if address is None else _page(visit, "leaving", address, "go")


async def _paced(visit: Visit) -> None:
    """Raises `Problem`. Whoever opens these has the provider asked, and needs no form for it."""
    per_minute = visit.house.settings.desk.requests.strangers_per_minute
    wait = await visit.house.pace.take("elsewhere", network(visit.address), per_minute=per_minute)
    if wait is not None:
        raise Problem("too_many_requests", wait=wait)


async def _refused(visit: Visit, nobody: Nobody, goal: str) -> web.StreamResponse:
    elsewhere = _there(visit)
    visit.house.log.warning("oidc.refused", why=nobody.why)
    await elsewhere.door.refuse(elsewhere.rules.tenant, visit.address, why=nobody.why, person=nobody.person)
    return _again(visit, "unknown" if nobody.why in ("unlinked", "disabled") else "failed", 403, goal)


def _there(visit: Visit) -> Elsewhere:
    if visit.house.elsewhere is None:
        raise Problem("not_found")
    return visit.house.elsewhere


def _bound(token: str) -> bytes:
    return hashlib.sha256(b"elsewhere " + token.encode(errors="replace")).digest()


def _page(visit: Visit, said: str, to: str, on: str) -> web.Response:
    words, provider = visit.words, _there(visit).rules.name
    fields = {
        "said": words(f"provider.{said}", provider=provider),
        "to": to,
        "on": words(f"provider.{on}", provider=provider),
    }
    return render.page(visit.request, "provider.html", words, fields, company=visit.house.settings.company.name)


def _again(visit: Visit, fault: str, status: int, goal: str = "") -> web.StreamResponse:
    said = visit.words(f"provider.{fault}", provider=_there(visit).rules.name)
    answer = sign_in_form(visit, said, status=status, goal=goal)
    guard.drop(answer, COOKIE)
    return answer
