"""What a caller is asked for on the public page, by a link that goes to the telephone on record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ivr.errors import Unavailable
from ivr.secret import Secret


@dataclass(frozen=True, slots=True)
class Asking:
    """All that the page shows, in the words of `language`. `number`: where the call comes from, masked; empty where that is not known. `called`: by us, and it is not they who have called."""

    company: str
    number: str
    language: str
    called: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The person has keyed digits on the page, behind this link. Neither was compared with anything."""

    link: Secret = field(repr=False)
    digits: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotMe:
    """The person says not to be calling."""


class Proofs(Protocol):
    """What the page passes on is its word alone: who has broken into it can say anything. So it is compared where it is heard."""

    async def ask(self, id: str, link: Secret, asking: Asking, *, seconds: int, answers: int) -> None:
        """Have the page ask behind this link, for so many seconds and answers; a link before it leads nowhere from then on."""
        ...

    async def heard(self, id: str) -> Answer | NotMe | None:
        """What the person has done on the page, in its order; each is told once. None: nothing more yet."""
        ...

    async def withdraw(self, id: str) -> None:
        """Nobody waits for it any more: the link leads nowhere."""
        ...


class Unasked:
    """Where no policy asks anybody on the page."""

    async def ask(self, *_: object, **__: object) -> None:
        """Raises `Unavailable`."""
        raise Unavailable("the public page: no policy has asked for it")

    async def heard(self, _: str, /) -> None:
        """Nothing, ever."""

    async def withdraw(self, _: str, /) -> None:
        """There is nothing."""
