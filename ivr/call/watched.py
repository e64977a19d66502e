"""What the desk of an agent who waits is told of a round."""

from __future__ import annotations

from dataclasses import replace

from ivr.call.digits import Form
from ivr.call.outcome import Status
from ivr.call.ports import Caller, Clock, Desks, Waiting


class Watched:
    """One round. Of a caller for whom no agent waits nobody is told anything."""

    def __init__(self, desks: Desks, caller: Caller, wall: Clock) -> None:
        self._desks = desks
        self._now: Waiting | None = None
        if caller.again and caller.agent:
            number = "" if caller.number is None else caller.number.masked
            self._now = Waiting(caller.node, caller.channel, caller.agent, number, round(wall(), 3))

    def begin(self) -> None:
        """The caller is here."""
        self._tell(self._now)

    def step(self, name: str) -> None:
        """This comes next; nothing is asked for yet."""
        self._tell(self._now and replace(self._now, step=name, keyed=0, least=0, most=0))

    def keyed(self, count: int, form: Form) -> None:
        """So many digits stand of an entry that is asked for."""
        self._tell(self._now and replace(self._now, keyed=count, least=form.least, most=form.most))

    def over(self, status: Status) -> None:
        """How it has ended. Who was verified, or not, comes back; who has abandoned it, does not."""
        self._tell(self._now and replace(self._now, step="", keyed=0, least=0, most=0, status=status.value))

    def _tell(self, now: Waiting | None) -> None:
        if now is not None:
            self._now = now
            self._desks.tell(now)
