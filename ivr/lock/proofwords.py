"""What is asked and said of a proof: that the company shows the person on the line who it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ivr.call.proof import Keyed, Stage, Way
from ivr.secret import Secret
from ivr.store.backs import BackStage


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to be sent. `about`: one of the settings' words; `customer`: a customer number, where it is not known who is on the line."""

    way: Way
    about: str
    customer: Secret | None = None
    keyed: Keyed = Keyed.PAGE


class Speaking(StrEnum):
    """What became of the digits that are spoken into the call."""

    GOING_ON = "going_on"
    SAID = "said"
    SILENT = "silent"
    """The agent's phone sends no sound, so nothing is heard at the other end."""
    HELD = "held"
    """The person has put the agent on hold."""
    CUT = "cut"
    """Somebody came or went."""
    GONE = "gone"
    """The two are not joined with each other alone."""
    FAILED = "failed"
    """A part is down."""


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
    speech: Speaking | None = None
    """What became of the digits that are spoken into the call; None where none were, as far as this process knows."""
    keyed: Keyed = Keyed.PAGE
    digits: Secret | None = None
    """What the agent says, and the person keys at the number that is `published`; None but for as long as it is good, by the way `spoken`."""
    published: str = ""
    back: BackStage | None = None
    """How far the person is who shows on the page who they are; None where nobody has begun."""
    closed: bool = False
    """Whether they are good for nothing just now: too many wrong ones were keyed there."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The ways that may be chosen, and what a call may be about."""

    ways: tuple[Way, ...]
    about: tuple[str, ...]


NOTHING = Choice((), ())
"""Where there is no public page."""
