"""Which language a caller is spoken to in."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Languages:
    """The languages of one node.

    `spoken` have all their prompts; `default` is what Asterisk gives to a channel that nobody gave another; `own` is
    spoken where nothing else is known, and is one of `spoken`.
    """

    spoken: frozenset[str]
    default: str
    own: str

    def of(self, customers: str | None, channels: str) -> str:
        """The customer's, else the channel's, else our own: the first that has prompts."""
        # A channel always has one: Asterisk's default says nothing about the caller.
        chosen = None if channels == self.default else channels
        for language in (customers, chosen):
            if language is not None and (known := matching(language, self.spoken)) is not None:
                return known
        return self.own


def matching(language: str, known: Collection[str]) -> str | None:
    """The one of these languages that this is: itself, or of `de_AT` and `sv-SE` what stands before the region."""
    return next((form for form in (language, re.split("[-_]", language)[0].lower()) if form in known), None)
