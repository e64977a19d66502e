"""What the heart asks of the outside. Adapters implement these; the heart knows nothing else of them.

Any of these methods may raise `Unavailable` (the part is down); those of `Line` and `Leg` also `HungUp`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from ivr.call.ports.customers import Customers, Nobody, Pins, Reached, Subject, Totps
from ivr.call.ports.desks import Desks, Unwatched, Waiting
from ivr.call.ports.line import ATTESTATIONS, Badge, Caller, Key, Leg, Line, Played
from ivr.call.ports.live import (
    Attempt,
    Challenge,
    Closed,
    CodeRules,
    Codes,
    Granted,
    Live,
    Opened,
    Right,
    Spent,
    TooMany,
    TooSoon,
    Wrong,
)
from ivr.call.ports.proofs import Answer, Asking, NotMe, Proofs, Unasked
from ivr.call.ports.talks import Party, Talk, Talks
from ivr.call.ports.texts import NOWHERE, Aloud, Deliveries, Delivery, Dispatch, Handed, Report, Texts
from ivr.call.ports.trail import Entry, Trail
from ivr.call.ports.voice import Heard, Voice

Clock = Callable[[], float]
"""Seconds: monotonic for what is measured, since the epoch for what is written down."""

Timed = Callable[[], AbstractContextManager[object]]
"""`with timed(): …` around what is asked of a part: who measures sees how long it takes, and how it ends."""

__all__ = [
    "ATTESTATIONS",
    "NOWHERE",
    "Aloud",
    "Answer",
    "Asking",
    "Attempt",
    "Badge",
    "Caller",
    "Challenge",
    "Clock",
    "Closed",
    "CodeRules",
    "Codes",
    "Customers",
    "Deliveries",
    "Delivery",
    "Desks",
    "Dispatch",
    "Entry",
    "Granted",
    "Handed",
    "Heard",
    "Key",
    "Leg",
    "Line",
    "Live",
    "Nobody",
    "NotMe",
    "Opened",
    "Party",
    "Pins",
    "Played",
    "Proofs",
    "Reached",
    "Report",
    "Right",
    "Spent",
    "Subject",
    "Talk",
    "Talks",
    "Texts",
    "Timed",
    "TooMany",
    "TooSoon",
    "Totps",
    "Trail",
    "Unasked",
    "Unwatched",
    "Voice",
    "Waiting",
    "Wrong",
]  # fmt: skip
