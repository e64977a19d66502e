"""Who talks with whom, at this moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ivr.secret import Personal


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody in a talk: a channel that a phone or a trunk is behind.

    `channel` is its unique id, as marks name it; `endpoint` what `Dial()` calls, such as `PJSIP/anna`; `number` as Asterisk
    knows it, proof of nothing. `held`: has put the others on hold. `since`: joined with the others, in seconds since the epoch.
    `first`: the call began with this channel, and others were called for it.
    """

    channel: str
    endpoint: str
    number: Personal | None
    held: bool
    since: float
    first: bool = False


@dataclass(frozen=True, slots=True)
class Talk:
    """A phone's channel that is joined with `others` now, by whatever bridges and Local channels lie between."""

    node: str
    own: Party
    others: tuple[Party, ...]


class Talks(Protocol):
    """What Asterisk tells of bridges, and nothing that a phone, an agent or a worker says."""

    async def of(self, endpoint: str) -> tuple[Talk, ...]:
        """Those of this endpoint's channels, of all nodes; a channel that is joined with nobody is none.

        Raises `Unavailable` where it is not known whom this endpoint talks with.
        """
        ...

    def on_change(self, told: Callable[[frozenset[str]], None]) -> None:
        """Call this with the endpoints whose talks are others than before; it must not wait."""
        ...
