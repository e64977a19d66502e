"""Who the customers are, and their PINs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ivr.secret import Personal, Secret
from ivr.vault.pin import PinRecord


@dataclass(frozen=True, slots=True)
class Subject:
    """The customer whom the caller says to be.

    `key` is what failures are counted by: the tenant, and the blind index of the customer number, known or not.
    `known` is False for a number that nobody has: its steps run alike, and cannot be passed.
    `ref` is the opaque reference that agents and the dialplan see; empty where not known.
    """

    key: str
    known: bool
    ref: str = ""
    name: Personal | None = None
    mobile: Personal | None = None
    pin: PinRecord | None = None
    language: str | None = None
    policy: str | None = None
    locked: bool = False


class Customers(Protocol):
    async def by_phone(self, number: Personal, tenant: str) -> Subject | None:
        """The one customer of this tenant with this E.164 number; None where there is none, or more than one."""
        ...

    async def by_number(self, number: Secret, tenant: str) -> Subject:
        """The customer of this tenant with this customer number, or a subject that is not known."""
        ...

    async def by_key(self, key: str) -> Subject:
        """The customer of this `Subject.key`, or a subject that is not known."""
        ...

    async def in_force(self, subject: Subject) -> bool:
        """Whether the customer is there and not locked, at this moment; a call may have taken minutes."""
        ...

    def phone_key(self, number: Personal) -> str:
        """The blind index of a telephone number, for counting by it."""
        ...


class Reached(Protocol):
    """Whom calls that somebody has begun at the desk have reached."""

    async def by_call(self, node: str, channel: str, tenant: str) -> Subject | None:
        """The customer of this tenant whose telephone was called; None where it is no such call. Who has answered, it does not tell."""
        ...


class Nobody:
    """Where nobody calls from the desk."""

    async def by_call(self, node: str, channel: str, tenant: str) -> Subject | None:
        """Nobody."""
        del node, channel, tenant
        return None


class Pins(Protocol):
    async def matches(self, pin: Secret, record: PinRecord | None) -> bool:
        """Whether this is the PIN. Takes as long for no record; runs off the event loop."""
        ...


class Totps(Protocol):
    """Customers' authenticator apps."""

    async def accepts(self, subject: Subject, code: Secret) -> bool:
        """Whether this is a code that the subject's app shows now, and was accepted in no call before; it is used then.

        Takes as long for a subject that is not known, or has no app. Of two at once that key the same one, one is accepted.
        """
        ...
