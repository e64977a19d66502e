"""What stands before every handler: where the request comes from, who sends it, how often, and whether that person may."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from secrets import token_urlsafe
from urllib.parse import urlsplit

from aiohttp import web

from ivr.config.clients import Scope
from ivr.secret import Secret
from ivr.staff import Permission
from ivr.store.address import network
from ivr.web import programs
from ivr.web.problems import Problem
from ivr.web.visit import CSRF, FORM, SESSION, House, Visit

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Open(StrEnum):
    """What a route needs that needs no permission."""

    ANYONE = "anyone"
    SIGNED_IN = "signed_in"
    PROGRAM = "program"
    """A program of the settings, by its own secret."""


Needs = Permission | Open

_BEARER = "bearer "


async def admit(visit: Visit, needs: Needs, *, static: bool = False, scope: Scope | None = None) -> None:
    """Returns where the handler may go on; raises `Problem`. Nothing is asked of anybody for what is the same for all."""
    check_host(visit.house, visit.request)
    if static:
        return
    unsafe = visit.request.method not in SAFE
    if needs is Open.PROGRAM:
        await _program(visit)
        return
    if scope is not None and (token := _bearer(visit.request)) is not None:
        granted = await _element(visit, token, scope, used=unsafe)
        await _paced(visit, needs, unsafe=unsafe)
        if not granted:
            await visit.house.lock.not_in_scope(visit.who, scope, route_of(visit.request))
            raise Problem("insufficient_scope")
        await _permitted(visit, needs)
        return
    if unsafe or visit.request.headers.get("Upgrade"):
        check_origin(visit.house, visit.request)
    await _recognise(visit)
    await _paced(visit, needs, unsafe=unsafe)
    if needs is not Open.ANYONE:
        await _permitted(visit, needs)
    if not unsafe or (needs is Open.ANYONE and is_api(visit.request)):
        # no other site can make a browser send JSON here
        return
    if visit.session is not None:
        await _csrf(visit, visit.session.csrf)
    else:
        # who signs in has no session yet; no other site can set this cookie, nor read it
        await _csrf(visit, Secret(visit.request.cookies.get(FORM, "")))


def is_api(request: web.BaseRequest) -> bool:
    """Whether programs ask here, and not people."""
    return request.path.startswith(("/api/", "/.well-known/", "/element/"))


def route_of(request: web.Request) -> str:
    """The route, not the path: a path may hold a token, a query anything."""
    resource = request.match_info.route.resource
    return "none" if resource is None else resource.canonical


def own_origin(house: House, request: web.BaseRequest) -> str:
    """What browsers call this place."""
    return house.settings.desk.url or f"{request.scheme}://{request.host}"


def check_host(house: House, request: web.BaseRequest) -> None:
    """Raises `Problem` where it was meant for somebody else: another name was made to lead here."""
    url = house.settings.desk.url
    if url is not None and request.host.lower() != urlsplit(url).netloc.lower():
        raise Problem("misdirected")


def check_origin(house: House, request: web.BaseRequest) -> None:
    """Raises `Problem` where a browser says that another site has sent it, or a page's request does not say at all."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    same = origin is not None and origin.lower() == own_origin(house, request).lower()
    if site is not None:
        # pages that send no referrer have the origin `null` in forms
        well = site == "same-origin" and (same or origin in (None, "null"))
    elif origin is not None:
        well = same
    else:
        # no browser leaves out both; a program has no cookie that it did not mean to send
        well = is_api(request)
    if not well:
        raise Problem("cross_site")


async def _permitted(visit: Visit, needs: Needs) -> None:
    person = visit.who
    if isinstance(needs, Permission) and not person.may(needs):
        await visit.house.lock.not_permitted(person, needs, route_of(visit.request))
        raise Problem("not_permitted")


async def _recognise(visit: Visit) -> None:
    if not (text := visit.request.cookies.get(SESSION)):
        return
    token = Secret(text)
    house = visit.house
    # what stays open tells itself that it is there; a person who looks at it does not
    session = await house.sessions.of(token, used=not visit.request.headers.get("Upgrade"))
    person = None if session is None else await house.people.by_id(session.tenant, session.person)
    if session is None or person is None or person.disabled:
        return
    visit.token, visit.session, visit.person = token, session, person
    visit.speak(person.language)


def _bearer(request: web.BaseRequest) -> Secret | None:
    said = request.headers.get("Authorization", "")
    return Secret(said[len(_BEARER) :].strip()) if said[: len(_BEARER)].lower() == _BEARER else None


async def _element(visit: Visit, token: Secret, scope: Scope, *, used: bool) -> bool:
    """By the token of an element on another page: it needs no cookie, and no other page can send it. Whether it is for this."""
    house = visit.house
    grant = await house.elements.of(token)
    known = None if grant is None else house.settings.clients.get(grant.client)
    person, lender = None, ""
    theirs = grant is not None and known is not None and grant.tenant in known.tenants
    if grant is not None and known is not None and theirs and grant.origin in known.origins:
        if visit.request.headers.get("Origin") != grant.origin:
            raise Problem("cross_site")
        session = await house.sessions.lives(grant.tenant, grant.session, used=used)
        if session is not None and session[1] == grant.person:
            lender, person = session[0], await house.people.by_id(grant.tenant, grant.person)
    if grant is None or known is None or person is None or person.disabled:
        await _paced(visit, Open.SIGNED_IN, unsafe=True)
        raise Problem("not_signed_in")
    visit.person, visit.grant, visit.lent = person, grant, token
    visit.lender = lender
    visit.speak(person.language)
    return scope in grant.scopes and scope in known.may


async def _program(visit: Visit) -> None:
    try:
        visit.program = programs.admitted(visit)
    except Problem:
        await _paced(visit, Open.PROGRAM, unsafe=True)
        raise
    rules = visit.program.rules
    wait = await visit.house.pace.take("program", visit.program.name, per_minute=rules.per_minute)
    if wait is not None:
        raise Problem("too_many_requests", wait=wait)


async def _paced(visit: Visit, needs: Needs, *, unsafe: bool) -> None:
    rules, pace = visit.house.settings.desk.requests, visit.house.pace
    if visit.person is not None:
        wait = await pace.take("person", f"{visit.person.tenant}:{visit.person.id}", per_minute=rules.per_minute)
    elif unsafe or needs is not Open.ANYONE or visit.request.match_info:
        wait = await pace.take("address", network(visit.address), per_minute=rules.strangers_per_minute)
    else:
        wait = None
    if wait is not None:
        person = None if visit.person is None else visit.person.id
        if visit.house.sparing.may("paced"):
            visit.house.log.warning("web.paced", person=person, peer=visit.address, seconds=round(wait, 1))
        raise Problem("too_many_requests", wait=wait)


async def _csrf(visit: Visit, wanted: Secret) -> None:
    sent = visit.request.headers.get(CSRF)
    if sent is None and not is_api(visit.request):
        sent = (await visit.form()).get("csrf")
    if not wanted or sent is None or Secret(sent) != wanted:
        raise Problem("csrf")


# ---------------------------------------------------------------- cookies


def put(answer: web.StreamResponse, name: str, text: str, max_age: int | None = None) -> None:
    """Have the browser keep it, for so many seconds, or until it is closed."""
    answer.set_cookie(name, text, path="/", secure=True, httponly=True, samesite="Strict", max_age=max_age)


def sign_in(answer: web.StreamResponse, token: Secret) -> None:
    """The browser is this person's from now on, until it is closed or the session ends."""
    put(answer, SESSION, token.reveal())
    drop(answer, FORM)


def sign_out(answer: web.StreamResponse) -> None:
    """The browser is nobody's."""
    for name in (SESSION, FORM):
        drop(answer, name)


def form_token(request: web.Request) -> Secret:
    """What a form of somebody who is not signed in must say: the cookie's, or a new one (`keep_form`)."""
    known = request.cookies.get(FORM, "")
    return Secret(known if len(known) == _FORM_LENGTH and known.isascii() else token_urlsafe(32))


_FORM_LENGTH = len(token_urlsafe(32))


def bound_to_form(request: web.Request) -> bytes:
    """What a challenge is bound to that somebody answers who is not signed in: the browser."""
    return hashlib.sha256(form_token(request).within("form {}", "{}").reveal().encode()).digest()


def link(request: web.Request) -> Secret:
    """The one-time link's token."""
    return Secret(request.match_info["token"])


def keep_form(answer: web.StreamResponse, token: Secret) -> None:
    """Put it into the cookie too."""
    put(answer, FORM, token.reveal(), 3600)


def drop(answer: web.StreamResponse, name: str) -> None:
    """Take a cookie away."""
    # one with this prefix is only taken away by one that is as safe
    answer.del_cookie(name, path="/", secure=True, httponly=True, samesite="Strict")
