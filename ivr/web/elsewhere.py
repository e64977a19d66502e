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
from ivr.store.door import Door
from ivr.store.identities import Identities
from ivr.store.people import People
from ivr.store.tickets import Tickets
from ivr.web import guard, render
from ivr.web.api import signed_in
from ivr.web.pages import sign_in_form
from ivr.web.problems import Problem
from ivr.web.visit import Visit

COOKIE = "__Host-elsewhere"
"""Which browser has begun: a sign-in that another one began is nobody's."""

_KIND, _SECONDS = "sign-in", 600


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The provider, and who its accounts are here."""

    provider: Provider
    identities: Identities
    people: People
    door: Door
    tickets: Tickets
    tenant: str

    @property
    def rules(self) -> Oidc:
        """Of the settings."""
        return self.provider.rules

    async def begin(self, bound: bytes) -> str:
        """Where this browser goes. Raises `OidcError` or `StoreError`."""
        flow = Flow.new()
        address = await self.provider.address(flow)
        held = orjson.dumps(astuple(flow))
        await self.tickets.keep(_KIND, self.tenant, bound, flow.state.encode(), seconds=_SECONDS, holds=held)
        return address

    async def flow(self, bound: bytes, state: str) -> Flow | None:
        """The one that this browser has begun, once."""
        held = await self.tickets.take(_KIND, self.tenant, bound, state.encode(errors="replace"))
        return None if held is None else Flow(*orjson.loads(held))

    async def person(self, claims: Claims, address: str) -> Person | str:
        """Who that is here; a word where it is nobody, or must not be."""
        person = await self.identities.who(self.rules.issuer, claims.subject)
        if person is None and claims.login is not None:
            person = await self._linked(claims, claims.login, address)
        if person is None or person.tenant != self.tenant:
            return "unlinked"
        if person.disabled:
            return "disabled"
        if self.rules.groups is not None:
            entitling = getattr(self.rules.groups, person.role.value) or ()
            if not (claims.groups or frozenset()) & set(entitling):
                return "groups"
        return person

    async def _linked(self, claims: Claims, login: str, address: str) -> Person | None:
        found = await self.people.find(self.tenant, login)
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
    token = token_urlsafe(32)
    try:
        address = await elsewhere.begin(_bound(token))
    except OidcError as error:
        visit.house.log.error("oidc.failed", error=str(error))
        return _again(visit, "down", 503)
    # a page, for a form's own redirect would not be let go to another site
    answer = _page(visit, "going", address, "go")
    # as lax as it must be: back from the provider's site no stricter one comes along
    answer.set_cookie(COOKIE, token, path="/", secure=True, httponly=True, samesite="Lax", max_age=_SECONDS)
    return answer


async def finish(visit: Visit) -> web.StreamResponse:
    """Back from there."""
    elsewhere, query = _there(visit), visit.request.query
    wait = await visit.house.pace.take(
        "elsewhere", visit.address, per_minute=visit.house.settings.desk.requests.strangers_per_minute
    )
    if wait is not None:
        raise Problem("too_many_requests", wait=wait)
    token, state = visit.request.cookies.get(COOKIE, ""), query.get("state", "")
    flow = await elsewhere.flow(_bound(token), state) if token and state else None
    if flow is None:
        return _again(visit, "over", 400)
    try:
        found = await elsewhere.provider.who(flow, query)
    except OidcError as error:
        visit.house.log.error("oidc.failed", error=str(error))
        return _again(visit, "down", 503)
    who = found if isinstance(found, Refusal) else await elsewhere.person(found, visit.address)
    if not isinstance(who, Person):
        visit.house.log.warning("oidc.refused", why=str(who))
        await elsewhere.door.refuse(elsewhere.tenant, visit.address, why=str(who))
        return _again(visit, "unknown" if who in ("unlinked", "disabled") else "failed", 403)
    entered = await signed_in(visit, await elsewhere.door.sign_in_elsewhere(who, visit.address))
    if isinstance(entered, Denied):
        return _again(visit, "failed", 403)
    answer = _page(visit, "done", "/", "on")
    guard.sign_in(answer, entered[1])
    guard.drop(answer, COOKIE)
    return answer


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


def _again(visit: Visit, fault: str, status: int) -> web.StreamResponse:
    said = visit.words(f"provider.{fault}", provider=_there(visit).rules.name)
    answer = sign_in_form(visit, said, status=status)
    guard.drop(answer, COOKIE)
    return answer
