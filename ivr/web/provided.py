"""The provider by which people sign in, and who its accounts are here; of pages it knows nothing."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import orjson

from ivr.config.oidc import Oidc
from ivr.oidc import Claims, Flow, Provider
from ivr.staff import Person
from ivr.store.door import Door
from ivr.store.identities import Identities
from ivr.store.people import People
from ivr.store.tickets import Tickets

_KIND, SECONDS = "sign-in", 600
"""How long a sign-in may take, from its begin on."""


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
        await self.tickets.keep(_KIND, self.rules.tenant, bound, flow.state.encode(), seconds=SECONDS, holds=held)
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
