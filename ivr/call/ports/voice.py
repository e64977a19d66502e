"""Codes that are told by a call."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from ivr.secret import Personal, Secret


class Heard(StrEnum):
    """How such a call has ended."""

    SAID = "said"
    NO_KEY = "no_key"
    """It was answered, and nobody has pressed the keys asked for: an answering machine, as a rule. Nothing was said."""
    DENIED = "denied"
    """Whoever has answered says that it is somebody else who wants the code. Nothing was said."""
    NOT_ANSWERED = "not_answered"
    HUNG_UP = "hung_up"
    """Before the code was said to its end."""


class Voice(Protocol):
    """Calls a telephone, and says a code to whoever presses the keys asked for."""

    async def tell(self, to: Personal, code: Secret, language: str) -> Heard:
        """Call once. Raises `Unavailable` where no call can be made at all."""
        ...
