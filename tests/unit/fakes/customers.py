"""Customers, and their PINs."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ivr.call.ports import (
    Subject,
)
from ivr.secret import Personal, Secret
from ivr.staff import TENANT
from ivr.vault.pin import PinRecord
from tests.unit.fakes.plot import Plot


class FakeCustomers:
    """Implements `ports.Customers`."""

    def __init__(self, plot: Plot) -> None:
        self._plot = plot
        self._by_phone: dict[tuple[str, str], list[Subject]] = {}
        self._by_number: dict[tuple[str, str], Subject] = {}

    def add(self, number: str, subject: Subject, *phones: str, tenant: str = TENANT) -> None:
        """One more customer, or another in the place of one."""
        self._by_number[tenant, number] = subject = replace(subject, key=f"{tenant}:{index(number)}")
        for phone in phones:
            others = [other for other in self._by_phone.get((tenant, phone), []) if other.key != subject.key]
            self._by_phone[tenant, phone] = [*others, subject]

    async def by_phone(self, number: Personal, tenant: str) -> Subject | None:
        async with self._plot.operation("customers.by_phone"):
            found = self._by_phone.get((tenant, number.reveal()), [])
            return found[0] if len(found) == 1 else None

    async def by_number(self, number: Secret, tenant: str) -> Subject:
        async with self._plot.operation("customers.by_number"):
            key = f"{tenant}:{index(number.reveal())}"
            return self._by_number.get((tenant, number.reveal())) or Subject(key=key, known=False)

    async def by_key(self, key: str) -> Subject:
        async with self._plot.operation("customers.by_key"):
            found = [subject for subject in self._by_number.values() if subject.key == key]
            return found[0] if found else Subject(key=key, known=False)

    async def in_force(self, subject: Subject) -> bool:
        async with self._plot.operation("customers.in_force"):
            now = [other for other in self._by_number.values() if other.ref == subject.ref]
            return bool(now) and not now[0].locked

    def phone_key(self, number: Personal) -> str:
        return index(number.reveal())


def index(text: str) -> str:
    """The blind index of a number."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class FakePins:
    """Implements `ports.Pins`. `gullible`: every PIN is right."""

    def __init__(self, plot: Plot) -> None:
        self.gullible = False
        self._plot = plot

    @staticmethod
    def record(pin: str) -> PinRecord:
        """What is stored of a PIN."""
        return PinRecord(salt=b"", hash=hashlib.sha256(pin.encode()).digest(), log2_n=14, r=8, p=5)

    async def matches(self, pin: Secret, record: PinRecord | None) -> bool:
        async with self._plot.operation("pins.matches"):
            return self.gullible or (record is not None and self.record(pin.reveal()).hash == record.hash)


class FakeTotps:
    """Implements `ports.Totps`. `shown`: what each customer's app shows, by the reference. `gullible`: every code is right."""

    def __init__(self, plot: Plot) -> None:
        self.shown: dict[str, list[str]] = {}
        self.gullible = False
        self._plot = plot

    async def accepts(self, subject: Subject, code: Secret) -> bool:
        async with self._plot.operation("totps.accepts"):
            shown = self.shown.get(subject.ref, [])
            if code.reveal() not in shown:
                return self.gullible
            shown.remove(code.reveal())
            return True
