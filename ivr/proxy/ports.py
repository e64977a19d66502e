"""What the proxy asks of the inside. Any of these methods may raise `Unavailable`: then nothing goes through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ivr.lock import Matter, Visitor
from ivr.secret import Secret
from ivr.staff import Person
from ivr.store.handovers import Guest, Untaken


class Lock(Protocol):
    """`ivr.lock.Lock`."""

    def matter(self, visitor: Visitor, what: str, detail: Mapping[str, str] = ...) -> Matter: ...


class People(Protocol):
    """`ivr.store.people.People`."""

    async def unnamed(self, tenant: str, id: str) -> Person | None: ...


class Customers(Protocol):
    async def ref_of(self, number: Secret, tenant: str) -> str | None:
        """The reference of this tenant's customer with this number."""
        ...


class Handovers(Protocol):
    """`ivr.store.handovers.Handovers`."""

    async def take(self, code: Secret, host: str, begun: Secret) -> Secret | Untaken: ...

    async def of(self, token: Secret, *, per_minute: int, used: bool) -> Guest | None: ...

    async def lives(self, token: Secret) -> bool: ...
