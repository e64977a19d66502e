"""The way `spoken`: digits that an agent says, and that the person keys on a call to the company's published number."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import time
from typing import Protocol

from ivr.call.ports.published import BOUND_TO, DIGITS
from ivr.call.proof import Proof, Stage
from ivr.errors import StoreError
from ivr.lock.proofports import Reach, Told
from ivr.secret import Personal, Secret
from ivr.store.register import Customer

LIFE = 10 * 60
"""Seconds that digits are good at most: who would guess them has no longer, as NIST SP 800-63B-4 3.1.3.1 has it."""


class Codes(Protocol):
    """`ivr.vault.codes.CodeMacs`."""

    def digits(self, count: int, *, bound_to: Sequence[str]) -> Secret: ...

    def mac(self, code: Secret, *, bound_to: Sequence[str]) -> str: ...


class Phones(Protocol):
    """`ivr.vault.Index`."""

    def phone(self, number: Personal) -> str: ...


class Published(Protocol):
    """`ivr.store.published.RedisPublished`."""

    async def keep(self, mac: str, id: str, seconds: int, number: str | None = None) -> bool: ...


@dataclass(frozen=True, slots=True)
class Numbers:
    """What an agent has to say. `published`: the company's number, as it is written.

    `closed_until`: until when no digits are right there, in seconds since the epoch; None where they are. Raises `Unavailable`.
    """

    codes: Codes
    index: Phones
    published: str
    closed_until: Callable[[], Awaitable[int | None]]

    def digits_of(self, id: str) -> Secret:
        """Those of this proof: every desk makes them anew, and none keeps them."""
        return self.codes.digits(DIGITS, bound_to=(*BOUND_TO, id))


class SpokenCarrier:
    """Nothing is sent: the digits count from now on, and the agent is shown them."""

    def __init__(self, numbers: Numbers, published: Published, wall: Callable[[], float] = time) -> None:
        self._numbers = numbers
        self._published = published
        self._wall = wall

    async def reach_of(self, _held: Customer, _on_line: Personal | None, _settled: float) -> Reach | None:
        """Nothing goes anywhere."""
        return None

    def parts(self, _proof: Proof, _word: Secret) -> int:
        """Nothing is paid for."""
        return 0

    async def carry(self, proof: Proof, to: Personal, _word: Secret, told: Told) -> None:
        """`to`: the number at which the person talks, where it is known. Raises `StoreError` too where the same digits lead to
        another proof: the next ones are others.
        """
        mac = self._numbers.codes.mac(self._numbers.digits_of(proof.id), bound_to=BOUND_TO)
        seconds = max(1, proof.until - int(self._wall()))
        number = self._numbers.index.phone(to) if to else None
        if not await self._published.keep(mac, proof.id, seconds, number):
            raise StoreError("Redis: another proof has these digits; ask for a new one")
        await told(Stage.SENT)
