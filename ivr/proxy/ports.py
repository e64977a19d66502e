"""What the proxy asks of the inside. Any of these methods may raise `Unavailable`: then nothing goes through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ivr.lock import Channel, Denied, Granted
from ivr.secret import Secret
from ivr.staff import Person
from ivr.store.handovers import Guest


class Lock(Protocol):
    """`ivr.lock.Lock`: but for `whom`, a part that is down refuses."""

    async def whom(self, person: Person) -> str | None: ...

    async def weigh(
        self, person: Person, ref: str, level: int, what: str, detail: Mapping[str, str] = ...
    ) -> Granted | Denied: ...

    async def note(
        self, person: Person, ref: str, level: int, what: str, granted: Granted, detail: Mapping[str, str] = ...
    ) -> Granted | Denied: ...

    async def withhold(
        self, person: Person, ref: str, what: str, denied: Denied, call: Channel, detail: Mapping[str, str] = ...
    ) -> Denied: ...

    async def still(self, person: Person, ref: str, level: int, what: str, granted: Granted) -> Granted | Denied: ...


class Customers(Protocol):
    async def ref_of(self, number: Secret) -> str | None:
        """The reference of the customer with this number."""
        ...


class Handovers(Protocol):
    """`ivr.store.handovers.Handovers`."""

    async def take(self, code: Secret, host: str, begun: Secret) -> Secret | None: ...

    async def of(self, token: Secret) -> Guest | None: ...
