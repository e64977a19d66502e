"""Text messages."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from ivr.numbers import Range
from ivr.secret import Personal, Secret

_ID = re.compile(r"[0-9A-Za-z._-]{1,100}")
_CODE = re.compile(r"[0-9A-Za-z-]{1,32}")


@dataclass(frozen=True, slots=True)
class Handed:
    """A gateway has taken a text. `id`: by which it reports what became of it; None where it never does.

    `gateway` is empty where none has: no text goes to this number, and whoever is waiting may not notice. `parts`: how
    many messages the networks make of it, each of which is paid for.
    """

    gateway: str
    id: str | None = None
    parts: int = 1

    @property
    def nowhere(self) -> bool:
        """Whether no gateway has it."""
        return not self.gateway


NOWHERE = Handed("")


class Delivery(StrEnum):
    """What a gateway reports of a text that it has taken: one set for the statuses of all."""

    SENT = "sent"
    """On its way; more will come."""
    DELIVERED = "delivered"
    READ = "read"
    UNDELIVERED = "undelivered"
    """It will not arrive."""
    FAILED = "failed"
    """It was never sent on."""
    EXPIRED = "expired"
    """The telephone was not reached for as long as the networks try."""
    UNKNOWN = "unknown"
    """The gateway does not know, or says what nobody has described."""

    @property
    def arrived(self) -> bool:
        """Whether it is on the person's telephone."""
        return self in (Delivery.DELIVERED, Delivery.READ)

    @property
    def lost(self) -> bool:
        """Whether it will never be."""
        return self in (Delivery.UNDELIVERED, Delivery.FAILED, Delivery.EXPIRED)


@dataclass(frozen=True, slots=True)
class Report:
    """A gateway's word of one text. `code`: its own, of why; letters, digits and hyphens alone."""

    gateway: str
    id: str
    delivery: Delivery
    code: str = ""

    @classmethod
    def of(cls, gateway: str, id: object, delivery: Delivery, code: object = "") -> Self | None:
        """Of what a gateway says; None where its id is none. A code that could be anything but one is left out."""
        if not isinstance(id, str) or not _ID.fullmatch(id):
            return None
        return cls(gateway, id, delivery, code if isinstance(code, str) and _CODE.fullmatch(code) else "")


class Deliveries(Protocol):
    """What gateways report, brought to whoever has sent the text, in whichever process."""

    def expect(self, handed: Handed) -> AsyncGenerator[Report]:
        """The reports of this text, those first that were faster than the answer that told its id.

        Ends behind one that says that it has arrived, or never will; or when none has come for so long that none will.
        Raises `StoreError`.
        """
        ...

    async def tell(self, report: Report) -> None:
        """To be told to whoever expects it, each kind once. Raises `StoreError`."""
        ...


@dataclass(frozen=True, slots=True)
class Aloud:
    """What a call tells where no text arrives: a code, in the language of whoever is called."""

    code: Secret
    language: str


class Dispatch(Protocol):
    """What becomes of a text behind its first gateway."""

    async def follow(self, handed: Handed, to: Personal, text: Secret, aloud: Aloud | None = None) -> Report | None:
        """Wait until it has arrived; where nobody says so in time, or one says that it will not, another gateway sends it again.

        Behind the last one `aloud` is told by a call, where there are such calls. Returns the last word of it, that of its arrival
        where there is one; None where nobody knows. Raises `StoreError`.
        """
        ...

    def calls(self, to: Personal) -> bool:
        """Whether this is a landline, which is called rather than sent a text."""
        ...

    async def call(self, to: Personal, aloud: Aloud) -> Report:
        """Call it, and tell that; what has come of it."""
        ...


class Texts(Protocol):
    def range_of(self, to: Personal) -> Range | None:
        """What a text to this number is counted for; None where no text goes to it."""
        ...

    def parts(self, text: Secret) -> int:
        """How many messages the networks make of it, each of which is paid for."""
        ...

    async def send(self, to: Personal, text: Secret, *, but: Collection[str] = ()) -> Handed:
        """Hand a text message to a gateway, to none of `but`; returns when one has taken it. Raises `TextError`."""
        ...

    async def pretend(self) -> None:
        """For a caller who can be sent no text: sends none, but takes as long, and fails, as `send` lately did."""
        ...
