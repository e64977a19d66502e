"""What a worker knows of people who are asked to call the company's published number: the digits that lead them back to their agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

DIGITS = 6
"""How many: with ten proofs that wait, a thousand wrong ones in an hour find one of them in a hundred hours."""

BOUND_TO = ("published",)
"""What the keyed hash of these digits is bound to."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The digits were good, and are good no longer. `endpoint`: the phone of the agent who has said them."""

    endpoint: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """They are good, and stay so; the agent's phone is at another Asterisk."""


class Published(Protocol):
    """Counts, compares and consumes in one step."""

    async def take(self, mac: str, number: str | None, node: str, channel: str) -> Taken | Elsewhere | None:
        """The proof goes on in this call, where these are the digits of one. None: they are not, or too many have tried; nobody is told which.

        They are good once, and for that call until it is over: where it was not sent on, it is asked anew.

        `mac`: the digits' keyed hash; `number`: the blind index of the calling number, None where it is withheld. Raises `Unavailable`.
        """
        ...


class Unpublished:
    """Where nobody says digits."""

    async def take(self, *_: object) -> None:
        """None are good."""
