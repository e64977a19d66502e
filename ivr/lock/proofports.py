"""What proving asks of the outside. Any of these methods may raise `Unavailable`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ivr.asterisk.speaking import Spoken
from ivr.call.ports import Closed, Talk, TooMany
from ivr.call.proof import Proof, Stage
from ivr.numbers import Range
from ivr.prompts import Prompt
from ivr.secret import Personal, Secret
from ivr.store.alarms import Alarm
from ivr.store.answered import Confirmed, Over, Wrong
from ivr.store.pages import Barred, Kept, Pending, Unreadable
from ivr.store.register import Customer


class Turn(Protocol):
    """`ivr.store.turn.Turn`: what one desk does at a time."""

    async def mine(self) -> bool: ...

    async def give_back(self) -> None: ...


class Pages(Protocol):
    """`ivr.store.pages.Pages`: proofs that wait for their answer."""

    async def open(
        self, proof: Proof, *, digits: Secret, link: Secret | None = None, code: Secret | None = None,
        range: Range | None = None, parts: int = 1, barred: bool = True,
    ) -> Kept | Pending | TooMany | Barred | Closed: ...  # fmt: skip

    async def typed(self, person: str, node: str, channel: str) -> bool: ...

    async def stage(self, id: str, then: Stage) -> bool: ...

    async def end(self, id: str, why: Stage) -> bool: ...

    async def key(self, id: str, digits: Secret) -> Confirmed | Wrong | Over | None: ...

    async def mine(self, id: str, what: Stage) -> bool: ...

    def turn(self, id: str, *, seconds: float) -> Turn: ...

    async def waiting(self) -> Sequence[str]: ...

    async def of(self, id: str) -> Proof | None: ...

    async def answered_by(self, id: str) -> str: ...

    async def denied(self, id: str) -> bool: ...

    async def by_link(self, link: Secret) -> Proof | None: ...

    async def of_call(self, node: str, channel: str) -> Proof | None: ...

    async def due(self) -> Sequence[Proof | Unreadable]: ...

    async def settled(self, proof: Proof) -> None: ...


class Speech(Protocol):
    """`ivr.asterisk.speaking.Speaker`."""

    async def speak(
        self, node: str, channel: str, prompts: Sequence[Prompt], *, language: str, both: bool = True,
        agent: str | None = None,
    ) -> Spoken: ...  # fmt: skip

    def hush(self, node: str, channel: str) -> None: ...


class Hearing(Protocol):
    """`ivr.asterisk.hearing.Hearer`."""

    def entries(self, node: str, channel: str, count: int) -> AsyncGenerator[Secret]: ...


class Floor(Protocol):
    """Who talks with whom, as far as events tell."""

    def told_of(self, node: str, channel: str) -> Talk | None: ...


class Alarms(Protocol):
    """What supervisors are to look at, for a while."""

    async def keep(self, tenant: str, alarm: Alarm) -> None: ...

    async def of(self, tenant: str) -> Sequence[Alarm]:
        """Those of the last hour, the latest first."""
        ...


class Digits(Protocol):
    """`ivr.vault.codes.CodeMacs`."""

    def digits(self, count: int, *, bound_to: Sequence[str]) -> Secret:
        """Always the same for what they are bound to."""
        ...


Told = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a message to a customer goes: what is on record. `range`: what a text is counted for; None where none goes."""

    at: Personal
    range: Range | None


class Carrier(Protocol):
    """One way by which a message reaches a person."""

    async def reach_of(self, held: Customer, on_line: Personal | None, settled: float) -> Reach | None:
        """None where this customer cannot be reached so.

        `on_line`: the number that the call is with; `settled`: what was changed at the desk later (seconds since the epoch) is not used yet.
        """
        ...

    def parts(self, proof: Proof, word: Secret) -> int:
        """How many messages are paid for."""
        ...

    async def carry(self, proof: Proof, to: Personal, word: Secret, told: Told) -> None:
        """Send it, and return when no more will be known of it. `word`: what the person needs, a link's end or a code.

        Raises `Unavailable` where it did not arrive.
        """
        ...
