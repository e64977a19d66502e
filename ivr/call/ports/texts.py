"""Text messages."""

from __future__ import annotations

from typing import Protocol

from ivr.numbers import Range
from ivr.secret import Personal, Secret


class Texts(Protocol):
    def range_of(self, to: Personal) -> Range | None:
        """What a text to this number is counted for; None where no text goes to it."""
        ...

    async def send(self, to: Personal, text: Secret) -> None:
        """Hand a text message to the gateway; returns when it has taken it. Raises `TextError`."""
        ...

    async def pretend(self) -> None:
        """For a caller who can be sent no text: sends none, but takes as long, and fails, as `send` lately did."""
        ...
