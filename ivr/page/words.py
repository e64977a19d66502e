"""What the public page says, in each language: one catalogue file a language in the folder `words`."""

from __future__ import annotations

from ivr.web import words as catalogues
from ivr.web.words import Words

_PACKAGE = "ivr.page"


def languages() -> tuple[str, ...]:
    """The languages that have a catalogue."""
    return catalogues.languages(_PACKAGE)


def words(language: str) -> Words:
    """The catalogue of a language; raises `KeyError` where there is none."""
    return catalogues.words(language, _PACKAGE)


def chosen(own: str | None, accepted: str, company: str | None) -> Words:
    """That of the message, else the best that the browser asks for, else the company's, else English."""
    return catalogues.chosen(own, accepted, company, _PACKAGE)
