"""By what somebody may identify on the page: one button each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ivr.config import Persons

STILL = frozenset({"freja"})
"""Those of which the picture stays the same."""

_PICTURE_ALONE = frozenset({"freja"})
"""Their app opens nothing behind it that whoever has begun does not know too: on the same device nothing would bind it to a browser."""


@dataclass(frozen=True, slots=True)
class Choice:
    """`qr`: by a picture, for an app on another device; `words`: what its button says, of the page's words."""

    eid: str
    qr: bool
    words: str

    @property
    def start(self) -> str:
        """What is sent for it."""
        return f"{self.eid}.{'other' if self.qr else 'here'}"


def choices(persons: Persons) -> Mapping[str, Choice]:
    """All that are offered, by what is sent for them, in the order of the settings."""
    return {one.start: one for eid in persons.eids for one in _of(persons, eid)}


def _of(persons: Persons, eid: str) -> Iterator[Choice]:
    if persons.is_broker(eid):
        yield Choice(eid, False, "person.site")
        return
    if eid not in _PICTURE_ALONE:
        yield Choice(eid, False, "person.here")
    yield Choice(eid, True, "person.elsewhere")
