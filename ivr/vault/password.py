"""Passwords: hashed as PINs are, with a key of their own; and whether one is strong enough to be taken."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar

from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # the library has no types

from ivr.config import Password
from ivr.secret import Secret
from ivr.vault.pin import PinHasher, PinRecord

MOST = 256
"""Characters of a password. Whatever is longer is none."""

# The library takes no more, and its time grows with the square.
_ESTIMATED = 72


class Weak(StrEnum):
    """Why a password is not taken."""

    SHORT = "short"
    LONG = "long"
    GUESSABLE = "guessable"
    """Words, names, dates and keys in a row; or what everybody knows of this person."""


class PasswordHasher(PinHasher):
    """The same password typed on two machines is the same text (NIST SP 800-63B-4 3.1.1.2: NFKC)."""

    use: ClassVar[str] = "password"

    async def make(self, pin: Secret) -> PinRecord:
        """The record of a new password."""
        return await super().make(_normal(pin))

    async def matches(self, pin: Secret, record: PinRecord | None) -> bool:
        """As that of PINs; of one that is too long, as much work is done for nothing."""
        if len(pin) > MOST:
            return await super().matches(Secret(""), None)
        return await super().matches(_normal(pin), record)


def weakness(password: Secret, rules: Password, own: Iterable[str]) -> Weak | None:
    """Why this one is not taken; None where it is. `own`: words of the person and the company, which would be tried first.

    Takes some milliseconds of the processor: not for the event loop.
    """
    if len(password) > MOST:
        return Weak.LONG
    # what it is compared as: letter and accent typed apart are one
    if len(_normal(password)) < rules.least:
        return Weak.SHORT
    words = sorted({word for text in own for word in (text, *text.replace("@", " ").replace(".", " ").split()) if word})
    estimated = zxcvbn(_normal(password).reveal()[:_ESTIMATED], user_inputs=words)
    return Weak.GUESSABLE if estimated["score"] < rules.score else None


def _normal(password: Secret) -> Secret:
    # what a browser sends may hold half a character, which no file could
    return Secret(unicodedata.normalize("NFKC", password.reveal()).encode(errors="replace").decode())
