"""Electronic identities: BankID, Freja, and whatever a broker speaks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from ivr.secret import Secret


@dataclass(frozen=True, slots=True)
class EidAsked:
    """Who shall identify, and what the person sees meanwhile.

    `who`: the person number or the broker's name of the person, as the record has it; `caller_began`: the person has called,
    and not the company; `shown`: text of the company's, shown in the eID's own app; `nonce`: what binds the answer to this call.
    """

    who: Secret
    caller_began: bool
    shown: str
    nonce: str
    start: Literal["phone", "same_device", "qr"] = "phone"


@dataclass(frozen=True, slots=True)
class Order:
    """An identification that is under way. `qr` draws what the page shows, by the seconds since it began."""

    id: Secret
    until: float
    start_token: Secret | None = None
    qr: Callable[[float], Secret] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Pending:
    """Not yet. `hint` is a word of ours; `other` where the provider says what nobody has described."""

    hint: str


@dataclass(frozen=True, slots=True)
class Done:
    """Somebody has identified: who, by the provider's signed word. `evidence` is to be kept encrypted."""

    who: Secret
    level: int
    evidence: Secret


@dataclass(frozen=True, slots=True)
class Ended:
    """Nobody has. `declined_call`: the person says that they are not talking to us, which is an alarm."""

    why: Literal["declined_call", "cancelled", "expired", "in_progress", "not_able", "risk", "wrong_person", "failed"]


class Eid(Protocol):
    """One provider. `poll`: seconds between two looks; `life`: seconds that an order lives."""

    name: ClassVar[str]
    poll: ClassVar[float]
    life: ClassVar[float]

    async def begin(self, asked: EidAsked) -> Order | Ended:
        """Ask the provider to ask the person. Raises `EidError`."""
        ...

    async def look(self, order: Order) -> Pending | Done | Ended:
        """How far it is. Raises `EidError`."""
        ...

    async def cancel(self, order: Order) -> None:
        """The call has ended, or goes on without. Raises `EidError`."""
        ...

    async def close(self) -> None:
        """End what is open."""
        ...
