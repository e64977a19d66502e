"""The public page, where callers key what they hear."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ivr.call.ports import Answer, Asking, NotMe
from ivr.secret import Secret
from tests.unit.fakes.plot import Plot
from tests.unit.fakes.time import clock


@dataclass
class _Asked:
    link: str
    asking: Asking
    until: float
    answers: int
    done: deque[Answer | NotMe] = field(default_factory=deque)


class FakeProofs:
    """Implements `ports.Proofs`. `asked`: what is asked now; `withdrawn`: what was, and is no longer."""

    def __init__(self, plot: Plot) -> None:
        self.asked: dict[str, _Asked] = {}
        self.withdrawn: list[str] = []
        self._plot = plot

    # ------------------------------------------------------------ for the test

    def key(self, link: str, digits: str) -> bool:
        """The person keys digits behind this link; whether the page took them."""
        return self._do(link, Answer(Secret(link), Secret(digits)))

    def deny(self, link: str) -> bool:
        """The person says not to be calling."""
        return self._do(link, NotMe())

    def invent(self, id: str, link: str, digits: str) -> None:
        """Somebody who has broken into the page passes this on, whatever the person does."""
        asked = self.asked.setdefault(id, _Asked(link, Asking("", "", ""), 0.0, 0))
        asked.done.append(Answer(Secret(link), Secret(digits)))

    def _do(self, link: str, what: Answer | NotMe) -> bool:
        for asked in self.asked.values():
            if asked.link == link and clock() < asked.until and asked.answers > 0:
                asked.answers -= 1
                asked.done.append(what)
                return True
        return False

    # ------------------------------------------------------------ the port

    async def ask(self, id: str, link: Secret, asking: Asking, *, seconds: int, answers: int) -> None:
        async with self._plot.operation("proofs.ask"):
            self.asked[id] = _Asked(link.reveal(), asking, clock() + seconds, answers)

    async def heard(self, id: str) -> Answer | NotMe | None:
        async with self._plot.operation("proofs.heard"):
            asked = self.asked.get(id)
            return asked.done.popleft() if asked is not None and asked.done else None

    async def withdraw(self, id: str) -> None:
        async with self._plot.operation("proofs.withdraw"):
            if self.asked.pop(id, None) is not None:
                self.withdrawn.append(id)
