"""What is asked and said of a proof: that the company shows the person on the line who it is."""

from __future__ import annotations

from dataclasses import dataclass

from ivr.call.proof import Stage, Way
from ivr.secret import Secret


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to be sent. `about`: one of the settings' words; `customer`: a customer number, where it is not known who is on the line."""

    way: Way
    about: str
    customer: Secret | None = None


@dataclass(frozen=True, slots=True)
class Proving:
    """How far it is. `phrase`: the two words that are read there, and said aloud here.

    `until`: when it expires, in seconds since the epoch. `about`: in the words that the person reads.
    """

    id: str
    way: Way
    stage: Stage
    phrase: str
    about: str
    until: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The ways that may be chosen, and what a call may be about."""

    ways: tuple[Way, ...]
    about: tuple[str, ...]


NOTHING = Choice((), ())
"""Where there is no public page."""
