"""Signing in by an OpenID provider: there and back, for the browser that began it, once."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from secrets import token_urlsafe

import orjson
from aiohttp import web

from ivr.config.oidc import Oidc
from ivr.errors import OidcError
from ivr.oidc import Claims, Flow, Provider, Refusal
from ivr.staff import Denied, Person
from ivr.store.address import network
from ivr.store.door import Door
from ivr.store.identities import Identities
from ivr.store.people import People
from ivr.store.tickets import Tickets
from ivr.web import account, goals, guard, render
from ivr.web.api import signed_in
from ivr.web.pages import sign_in_form
from ivr.web.problems import Problem
from ivr.web.visit import Visit

COOKIE = "__Host-elsewhere"
"""Which browser has begun: a sign-in that another one began is nobody's."""

_KIND, _SECONDS = "sign-in", 600


@dataclass(frozen=True, slots=True)
class Nobody:
    """Why somebody whom the provider knows is not signed in here; `person`: who it would be."""

    why: str
    person: Person | None = None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The provider, and who its accounts are here."""

    provider: Provider
    identities: Identities
    people: People
    door: Door
    tickets: Tickets

    @property
    def rules(self) -> Oidc:
        """Of the settings."""
        return self.provider.rules

    async def begin(self, bound: bytes, goal: str, *, within: int | None = None) -> str:
        """Where this browser goes, on its way to this goal; `within`: to sign in anew. Raises `OidcError` or `StoreError`."""
        flow = Flow.new()
        address = await self.provider.address(flow, within=within)
        held = orjson.dumps([goal, *astuple(flow)])
        await self.tickets.keep(_KIND, self.rules.tenant, bound, flow.state.encode(), seconds=_SECONDS, holds=held)
        return address

    async def flow(self, bound: bytes, state: str) -> tuple[str, Flow] | None:
        """The one that this browser has begun, and its goal, once."""
        held = await self.tickets.take(_KIND, self.rules.tenant, bound, state.encode(errors="replace"))
        if held is None:
            return None
        goal, *flow = orjson.loads(held)
        return goal, Flow(*flow)

    async def person(self, claims: Claims, address: str) -> Person | Nobody:
        """Who that is here, and may sign in."""
        person = await self.identities.who(self.rules.issuer, claims.subject)
        if person is None and claims.login is not None:
            person = await self._linked(claims, claims.login, address)
        if person is None or person.tenant != self.rules.tenant:
            return Nobody("unlinked")
        if person.disabled:
            return Nobody("disabled", person)
        if self.rules.groups is not None:
            entitling = getattr(self.rules.groups, person.role.value) or ()
            if not (claims.groups or frozenset()) & set(entitling):
                return Nobody("groups", person)
        return person

    async def _linked(self, claims: Claims, login: str, address: str) -> Person | None:
        found = await self.people.find(self.rules.tenant, login)
        if found is None or found.disabled:
            return None
        await self.door.tell(found, "agent.link", "done", address, by="claim")
        if await self.identities.link(found, self.rules.issuer, claims.subject):
            return found
        await self.door.tell(found, "agent.link", "undone", address, by="claim")
        return None


async def begin(visit: Visit) -> web.StreamResponse:
    """Send the browser to the provider."""
    elsewhere = _there(visit)
    token, goal = token_urlsafe(32), goals.goal((await visit.form()).get("for", ""))
    # who comes to change how they sign in shows anew who they are: the provider may remember for hours
    within = visit.house.settings.desk.fresh_minutes * 60 if goal == account.GOAL else None
    try:
        address = await elsewhere.begin(_bound(token), goal, within=within)
    except OidcError as error:
        visit.house.log.error("oidc.failed", error=str(error))
        return _again(visit, "down", 503, goal)
    # a page, for a form's own redirect would not be let go to another site
    answer = _page(visit, "going", address, "go")
    # as lax as it must be: back from the provider's site no stricter one comes along
    answer.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="Lax", max_age=_SECONDS)
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
    answer = _page(visit, "done", goals.place(goal), "on")
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
