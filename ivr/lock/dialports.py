"""What calls that begin at the desk ask of the outside. Any of these methods may raise `Unavailable`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from ivr.asterisk.dialling import Dialled, Outgoing
from ivr.call.dial import Called, Dialling


class Dialler(Protocol):
    """`ivr.asterisk.dialling.Dialler`."""

    async def place(self, endpoints: Collection[str]) -> tuple[str, str] | None:
        """The node and the endpoint of a phone that can ring now; None where none of these can."""
        ...

    async def dial(self, node: str, outgoing: Outgoing, told: Callable[[str], Awaitable[None]]) -> tuple[Dialled, str]:
        """How it ended, and the customer's channel where the two are joined."""
        ...


class Calleds(Protocol):
    """Whom calls of ours have reached."""

    async def of(self, node: str, channel: str) -> Called | None: ...


class Dials(Calleds, Protocol):
    """`ivr.store.dials.RedisDials`: calls that are being begun, for all desks together."""

    async def begin(self, tenant: str, person: str, dialling: Dialling, seconds: int) -> bool:
        """False, and nothing is kept, where one of this person's goes on. It ends by itself after so many seconds."""
        ...

    async def show(self, tenant: str, person: str, dialling: Dialling) -> None:
        """It is so far now; an end is shown for a while."""
        ...

    async def shown(self, tenant: str, person: str) -> Dialling | None:
        """This person's latest, as long as there is something to be shown."""
        ...

    async def answered(self, node: str, channel: str, called: Called) -> None:
        """The customer's channel of one that was answered."""
        ...

    async def call_off(self, dialling: Dialling) -> None:
        """Whoever carries it is told that it shall end."""
        ...

    async def called_off(self, id: str) -> bool:
        """Whether somebody has said so."""
        ...


class Pace(Protocol):
    """`ivr.store.pace.RedisPace`."""

    async def take(self, kind: str, whom: str, *, per_minute: int, minutes: int = 1) -> float | None: ...
