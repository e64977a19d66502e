"""Other organisations that prove themselves to us: which key each of them had when it was seen first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pin:
    """The key that a domain is known by (a JWK, and its identifier). Times are seconds since the epoch.

    `agreed`: somebody has compared it with what the other side says of it; `since`: known by this one.
    """

    domain: str
    key: str
    public: Mapping[str, str]
    first_seen: int
    since: int
    agreed: bool = False


class Pinned(Protocol):
    async def of(self, domain: str) -> Pin | None:
        """What this domain is known by; None where it was never seen. Raises `StoreError`."""
        ...

    async def first(self, pin: Pin) -> Pin:
        """Keep this one where there is none yet; the one that is kept. Raises `StoreError`."""
        ...

    async def follow(self, pin: Pin, before: str) -> bool:
        """This one in the place of the key `before`; False where that is not kept any more. Raises `StoreError`."""
        ...

    async def domains(self, before: int) -> tuple[str, ...]:
        """Those that were seen first before this second. Raises `StoreError`."""
        ...


class Taken(Protocol):
    async def take(self, domain: str, letter: str, until: int) -> bool:
        """Note that this letter of this domain was taken, until it is over; False where it was before. Raises `StoreError`."""
        ...
