"""Electronic identities: BankID, Freja, and whatever a broker speaks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ivr.call.ports.customers import Subject
from ivr.secret import Personal, Secret

Hint = Literal["sent", "no_app", "opened", "confirm_call", "document", "sign", "working", "other"]
"""How far the person is. `no_app`: the provider has not found the app yet; `other`: what nobody has described."""

Why = Literal["declined_call", "cancelled", "expired", "in_progress", "not_able", "risk", "wrong_person", "failed"]
"""Why nobody has identified. `declined_call`: the person says that they are not talking to us, which is an alarm;
`in_progress`: somebody asks for the same person meanwhile, and neither goes on; `not_able`: this person cannot, or not so."""

CODE_DIGITS = 4
"""Those of a call that waits and of one that somebody else has begun at the same time are told apart by them: nobody keys them."""


@dataclass(frozen=True, slots=True)
class EidAsked:
    """Who shall identify, and what the person sees meanwhile.

    `who`: the person number or the broker's name of the person, as the record has it; None for whoever it will be, which can
    only be where the person scans or taps. `caller_began`: the person has called, and not the company; `shown`: a text of the
    company's, for those apps that show one; `nonce`: what binds the answer to this call. `address`: of the person's browser;
    `back`: where the app on the same device sends the browser that it was opened from. `code`: digits that the caller hears, for
    those apps that can show them too; None where nobody hears any.
    """

    who: Secret | None
    caller_began: bool
    shown: str = field(repr=False)
    nonce: str = field(repr=False)
    start: Literal["phone", "same_device", "qr"] = "phone"
    address: str | None = field(default=None, repr=False)
    back: Secret | None = None
    code: Secret | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An identification that is under way. `begun`: seconds since 1970; `life`: seconds until it ends; `poll`: between two looks.

    `link` opens the app on the device that shows it; `qr` is what a page draws for another device, by the seconds since it began.
    `ping`, where the provider says by itself that it is time to look, returns then; it may never, and says so once.
    """

    id: Secret
    asked: EidAsked
    begun: float
    life: float
    poll: float
    link: Secret | None = None
    qr: Callable[[float], Secret] | None = field(default=None, repr=False)
    ping: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Pending:
    """Not yet. `poll`: seconds between two looks from now on, where the provider wants fewer of them."""

    hint: Hint
    poll: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Somebody has identified: who, by the provider's word. `evidence` is to be kept encrypted."""

    who: Secret
    level: int
    evidence: Secret
    name: Personal | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """Nobody has, and nobody will by this order."""

    why: Why


class Identities(Protocol):
    """What customers are called at providers, and what providers have said of them."""

    async def of(self, subject: Subject, kind: str) -> Secret | None:
        """The customer's name of this kind, such as the person number; None where there is none, or no such customer: that takes as long."""
        ...

    async def keep(self, subject: Subject, provider: str, evidence: Secret) -> str:
        """Keep what proves an identification, encrypted, for whoever has to show it later; what it is called from then on."""
        ...


Let = Callable[[], Awaitable[None]]
"""Whoever is asked for may be asked for by others again."""


class Turns(Protocol):
    """One order of a person at a time, whoever asks: a second one would end both."""

    async def take(self, kind: str, who: Secret, seconds: float) -> Let | None:
        """Ours for so many seconds, or until it is let go; None where it is somebody else's."""
        ...


class Eid(Protocol):
    """One provider."""

    @property
    def name(self) -> str:
        """As the settings have it, such as `bankid`."""
        ...

    @property
    def life(self) -> float:
        """Seconds that an order of its lasts at most, where nobody ends it."""
        ...

    async def begin(self, asked: EidAsked) -> Order | Ended:
        """Ask the provider to ask the person. Raises `EidError`."""
        ...

    async def look(self, order: Order) -> Pending | Done | Ended:
        """How far it is; not again after it has ended. Raises `EidError`."""
        ...

    async def cancel(self, order: Order) -> bool:
        """The call has ended, or goes on without. Whether the order has ended now; else it does by itself. Raises `EidError`."""
        ...

    async def reach(self) -> None:
        """Connect to it, and ask for nobody. Raises `EidError`."""
        ...

    async def close(self) -> None:
        """End what is open."""
        ...
