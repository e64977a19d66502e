"""The ports that calls ask, each with the time that it takes: around an adapter, which knows nothing of it."""

from __future__ import annotations

from collections.abc import Collection

from ivr.call.ports import Customers, Entry, Handed, Pins, Subject, Texts, Timed, Totps, Trail
from ivr.call.ports.eid import Identities
from ivr.numbers import Range
from ivr.secret import Personal, Secret
from ivr.vault import PinRecord


class TimedTrail:
    """A trail; what it takes is the audit lag: an entry waits until it is durable."""

    def __init__(self, trail: Trail, timed: Timed) -> None:
        self._trail = trail
        self._timed = timed

    async def append(self, entry: Entry) -> str:
        """As the trail's own."""
        with self._timed():
            return await self._trail.append(entry)


class TimedPins:
    """PINs, compared on threads that are as many as processors: the others wait."""

    def __init__(self, pins: Pins, timed: Timed) -> None:
        self._pins = pins
        self._timed = timed

    async def matches(self, pin: Secret, record: PinRecord | None) -> bool:
        """As of the PINs themselves."""
        with self._timed():
            return await self._pins.matches(pin, record)


class TimedTotps:
    """Authenticator apps, looked up in the database."""

    def __init__(self, totps: Totps, timed: Timed) -> None:
        self._totps = totps
        self._timed = timed

    async def accepts(self, subject: Subject, code: Secret) -> bool:
        """As of the apps themselves."""
        with self._timed():
            return await self._totps.accepts(subject, code)


class TimedIdentities:
    """What customers are called at providers, looked up in the database; and what those have said, kept there."""

    def __init__(self, identities: Identities, timed: Timed) -> None:
        self._identities = identities
        self._timed = timed

    async def of(self, subject: Subject, kind: str) -> Secret | None:
        """As of the identities themselves."""
        with self._timed():
            return await self._identities.of(subject, kind)

    async def keep(self, subject: Subject, provider: str, evidence: Secret) -> str:
        """As of the identities themselves."""
        with self._timed():
            return await self._identities.keep(subject, provider, evidence)


class TimedTexts:
    """Texts; what it takes is that of all gateways that were asked for one."""

    def __init__(self, texts: Texts, timed: Timed) -> None:
        self._texts = texts
        self._timed = timed

    def range_of(self, to: Personal) -> Range | None:
        """As of the texts themselves."""
        return self._texts.range_of(to)

    def parts(self, text: Secret) -> int:
        """As of the texts themselves."""
        return self._texts.parts(text)

    async def send(self, to: Personal, text: Secret, *, but: Collection[str] = ()) -> Handed:
        """As of the texts themselves."""
        with self._timed():
            return await self._texts.send(to, text, but=but)

    async def pretend(self) -> None:
        """Nothing is asked of anybody, and nothing is timed."""
        await self._texts.pretend()


class TimedCustomers:
    """Customers, looked up in the database."""

    def __init__(self, customers: Customers, timed: Timed) -> None:
        self._customers = customers
        self._timed = timed

    async def by_phone(self, number: Personal, tenant: str) -> Subject | None:
        """As of the customers themselves."""
        with self._timed():
            return await self._customers.by_phone(number, tenant)

    async def by_number(self, number: Secret, tenant: str) -> Subject:
        """As of the customers themselves."""
        with self._timed():
            return await self._customers.by_number(number, tenant)

    async def by_key(self, key: str) -> Subject:
        """As of the customers themselves."""
        with self._timed():
            return await self._customers.by_key(key)

    async def in_force(self, subject: Subject) -> bool:
        """As of the customers themselves."""
        with self._timed():
            return await self._customers.in_force(subject)

    def phone_key(self, number: Personal) -> str:
        """As of the customers themselves."""
        return self._customers.phone_key(number)
