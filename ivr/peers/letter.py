"""The letter by which one organisation proves to another that it is on a call: signed, for this one alone, for minutes.

Whoever has it has not yet anything: it counts for the call on which its code is said aloud, if that call is the one that it
tells of. A swindler who talks with both at once, and repeats to the one what the other says, is on two calls; on neither has
the one called the other.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import orjson

from ivr.peers.names import domain as domain_of
from ivr.peers.wellknown import DRIFT, Published, claims_of, is_name
from ivr.secret import Secret
from ivr.vault.tokens import TokenKey, Verifier

KIND = "tillit-letter+jwt"
"""Its `typ`."""

LIFE = 300
"""Seconds within which it is to be read: an agent says the code, another keys it."""

DIGITS = 6
"""Of the code (NIST SP 800-63B-4 3.1.3.2; 20 bits, OWASP ASVS 5.0 6.6)."""

_LONGEST = 4096
# Seconds since the epoch, far behind all calls.
_LAST_SECOND = 2**40


class Forged(StrEnum):
    """Why a letter is none."""

    FORM = "form"
    """It is no letter, or has a text that cannot be shown."""
    SIGNATURE = "signature"
    """No key of the domain has signed it."""
    KEY = "key"
    """A key has signed it whose time is over."""
    ISSUER = "issuer"
    """It is of another domain than the one whose key it is."""
    AUDIENCE = "audience"
    """It is for somebody else."""
    TIME = "time"
    """It is over, or of a time to come, or would last for too long."""


@dataclass(frozen=True, slots=True)
class Ends:
    """One end of a call. `dialled`: whom it has called, as E.164.

    `began`: when its channel to the other was made, in seconds since the epoch, 0 where that is not known: queues and
    transfers do not change it, as they do since when two are joined.
    """

    outbound: bool
    began: int
    dialled: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """What one says to the other; all but the domain is its own word. Times are seconds since the epoch."""

    jti: str
    issuer: str
    audience: str
    organisation: str
    department: str
    person: str
    about: str
    code: Secret
    call: Ends
    issued: int
    expires: int

    @classmethod
    def new(
        cls, issuer: str, audience: str, call: Ends, now: float, *, organisation: str, department: str, person: str, about: str
    ) -> Self:  # fmt: skip
        """With a code and a name of its own."""
        return cls(
            secrets.token_urlsafe(16), issuer, audience, organisation, department, person, about,
            Secret.random_digits(DIGITS), call, int(now), int(now) + LIFE,
        )  # fmt: skip


def sign(letter: Letter, key: TokenKey) -> Secret:
    """As it is sent. The code is in it: whoever gets hold of it has the code."""
    return Secret(
        key.sign(
            {
                "jti": letter.jti, "iss": letter.issuer, "aud": letter.audience, "iat": letter.issued, "exp": letter.expires,
                "organisation": letter.organisation, "department": letter.department, "person": letter.person,
                "about": letter.about, "code": letter.code.reveal(), "outbound": letter.call.outbound,
                "began": letter.call.began, "dialled": letter.call.dialled,
            },
            kind=KIND,
        )
    )  # fmt: skip


def issuer_of(text: Secret) -> str | None:
    """Of which domain it says that it is, before anything of it is believed; None where it says no domain."""
    match claims_of(text.reveal()):
        case {"iss": str(issuer)} if domain_of(issuer) == issuer:
            return issuer
        case _:
            return None


def key_of(text: Secret) -> str:
    """The identifier of the key that it says has signed it; empty where it says none."""
    try:
        said = orjson.loads(urlsafe_b64decode(text.reveal().partition(".")[0] + "=="))
    except (orjson.JSONDecodeError, ValueError):
        return ""
    match said:
        case {"kid": str(kid)}:
            return kid
        case _:
            return ""


def read(text: Secret, peer: Published, audience: str, now: float) -> Letter | Forged:
    """What it says, where this peer has signed it for us and it is good now. Whether it was read before is another matter."""
    found = Verifier((key.public for key in peer.keys), longest=_LONGEST).read(text.reveal())
    if found is None:
        return Forged.SIGNATURE
    if found.kind != KIND:
        return Forged.FORM
    until = next(key.until for key in peer.keys if key.public["kid"] == found.key)
    if until is not None and until <= now:
        return Forged.KEY
    letter = _letter(found.claims)
    if letter is None:
        return Forged.FORM
    if letter.issuer != peer.domain:
        return Forged.ISSUER
    if letter.audience != audience:
        return Forged.AUDIENCE
    if not (letter.issued - DRIFT <= now < letter.expires and letter.expires - letter.issued <= LIFE):
        return Forged.TIME
    return letter


class Bound(StrEnum):
    """How far a letter tells of the call that we are on."""

    CALL = "call"
    """One of us two has called the other at a number of the other's, and just then."""
    TIME = "time"
    """One was called and the other has called, just then; of whose number nothing is known: somebody who is on a call with each of us would not be seen."""
    NOT = "not"


def bound(theirs: Ends, ours: Ends, numbers: Collection[str], own: Collection[str], apart: int) -> Bound:
    """Whether the call that a letter tells of can be the one that we are on.

    `numbers` are theirs, `own` ours, of which either may be empty. `apart`: seconds by which the two ends may say differently
    when it began.
    """
    if theirs.outbound is ours.outbound:
        return Bound.NOT
    if theirs.began and ours.began and abs(theirs.began - ours.began) > apart:
        return Bound.NOT
    dialled, called = (theirs.dialled, own) if theirs.outbound else (ours.dialled, numbers)
    if not called:
        return Bound.TIME
    return Bound.CALL if dialled in called else Bound.NOT


def _letter(said: Any) -> Letter | None:
    match said:
        case {
            "jti": str(jti), "iss": str(issuer), "aud": str(audience), "iat": int(issued), "exp": int(expires),
            "organisation": str(organisation), "department": str(department), "person": str(person), "about": str(about),
            "code": str(code), "outbound": bool(outbound), "began": int(began), "dialled": str(dialled),
        }:  # fmt: skip
            pass
        case _:
            return None
    # true and false are numbers too; and what is kept of it must be one of JSON's
    if any(isinstance(number, bool) or not 0 <= number < _LAST_SECOND for number in (issued, expires, began)):
        return None
    texts = [organisation, person, *filter(None, (department, about, dialled))]
    if not all(map(is_name, [*texts, jti])) or len(code) != DIGITS or not (code.isascii() and code.isdecimal()):
        return None
    call = Ends(outbound, began, dialled)
    return Letter(
        jti, issuer, audience, organisation, department, person, about, Secret(code), call, issued, expires
    )  # fmt: skip
