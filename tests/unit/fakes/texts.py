"""Text messages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection

from ivr.call.ports import NOWHERE, Handed
from ivr.numbers import Range
from ivr.secret import Personal, Secret
from ivr.sms.length import parts
from tests.unit.fakes.plot import LATENCY, Plot


class FakeTexts:
    """Implements `ports.Texts`. `sent` are the texts that came to a phone, and to which.

    The gateway answers after `seconds`, once `hold` is set, if there is one; the text is on the phone then, or
    `at_once`, whatever the gateway says in the end. One that `refuses` takes none.
    """

    def __init__(self, plot: Plot) -> None:
        self.sent: list[tuple[str, str]] = []
        self.seconds = LATENCY
        self.at_once = False
        self.refuses = False
        self.hold: asyncio.Event | None = None
        self._plot = plot

    def range_of(self, to: Personal) -> Range | None:
        return Range("SE", to.reveal()[:7])

    def parts(self, text: Secret) -> int:
        return parts(text)

    async def send(self, to: Personal, text: Secret, *, but: Collection[str] = ()) -> Handed:
        if self.at_once:
            self.sent.append((to.reveal(), text.reveal()))
        if self.hold is not None:
            await self.hold.wait()
        async with self._plot.operation("texts.send", seconds=self.seconds):
            if self.refuses:
                return NOWHERE
            if not self.at_once:
                self.sent.append((to.reveal(), text.reveal()))
            return Handed("fake", f"text-{len(self.sent)}")

    async def pretend(self) -> None:
        """Takes as long as `send`; fails where the plot says so."""
        async with self._plot.operation("texts.pretend", seconds=self.seconds):
            pass

    def code(self, nth: int = -1) -> str:
        """The code of a text, the last unless told otherwise."""
        [code] = re.findall(r"\d{6,}", self.sent[nth][1])
        return str(code)

    def wrong(self) -> str:
        """A code that was not sent."""
        return f"{(int(self.code()) + 1) % 1_000_000:06}" if self.sent else "123456"
