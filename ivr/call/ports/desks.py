"""What agents' desks are told while a call runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Waiting:
    """An agent waits for a caller who is being verified in mid-call.

    `channel` is the caller's unique id, `agent` the name of the agent's channel (`PJSIP/anna-0000001a`), `number` masked.
    `since`: seconds since the epoch. `keyed` digits of `least` to `most` stand, both 0 where none are asked for; which they
    are is told to nobody. `status` is set when it has ended, as `Status` has it.
    """

    node: str
    channel: str
    agent: str
    number: str
    since: float
    step: str = ""
    keyed: int = 0
    least: int = 0
    most: int = 0
    status: str = ""

    @property
    def endpoint(self) -> str:
        """Whose phone it is; a channel's name ends in a serial number."""
        return self.agent.rpartition("-")[0]


class Desks(Protocol):
    """Neither method waits, and neither raises: no call depends on what a page shows."""

    def tell(self, waiting: Waiting) -> None:
        """How far it is now; what was told before and has not been passed on is past."""
        ...

    def changed(self, node: str, channel: str) -> None:
        """The mark of this channel is another one than before, or gone."""
        ...


class Unwatched:
    """Where there is no desk."""

    def tell(self, waiting: Waiting) -> None:
        """To nobody."""

    def changed(self, node: str, channel: str) -> None:
        """The same."""
