"""How the networks carry a text: in which alphabet, and in how many messages, each of which is paid for.

3GPP TS 23.038 has the two alphabets, 3GPP TS 23.040 9.2.3.24.1 how messages are joined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from aiosmpplib.codec import GSM7BitCodec

from ivr.secret import Secret

# Octets of a message; seven-bit letters are eight to seven octets.
_SEPTETS, _OCTETS = 160, 140
# What is left beside the six octets that say which part of how many it is.
_SEPTETS_OF_PART, _OCTETS_OF_PART = 153, 134

_ESCAPE = 0x1B
_CODEC = GSM7BitCodec()


@dataclass(frozen=True, slots=True)
class Carried:
    """A text as it goes out. `parts` are octets: of the default alphabet one a letter, not packed; of UCS-2 two a letter."""

    ucs2: bool
    parts: tuple[bytes, ...] = field(repr=False)


def carried(text: Secret) -> Carried:
    """In GSM 7 bit where it has all letters, else in UCS-2; in as few messages as can be."""
    try:
        return Carried(False, _cut(_septets(text), _SEPTETS, _SEPTETS_OF_PART, _escapes))
    except UnicodeEncodeError:
        return Carried(True, _cut(_units(text), _OCTETS, _OCTETS_OF_PART, _halves))


def parts(text: Secret) -> int:
    """How many messages a text is."""
    return len(carried(text).parts)


def _septets(text: Secret) -> bytes:
    """Raises `UnicodeEncodeError`."""
    octets, _ = _CODEC.encode(text.reveal())
    return bytes(octets)


def _units(text: Secret) -> bytes:
    return bytes(text.reveal().encode("utf-16-be", errors="replace"))


def _cut(octets: bytes, whole: int, part: int, splits: Callable[[bytes], int]) -> tuple[bytes, ...]:
    if len(octets) <= whole:
        return (octets,)
    found: list[bytes] = []
    while octets:
        end = part - splits(octets[:part]) if len(octets) > part else part
        found.append(octets[:end])
        octets = octets[end:]
    return tuple(found)


def _escapes(part: bytes) -> int:
    """One, where it would end between an escape and the letter that it is for."""
    return int(part[-1] == _ESCAPE)


def _halves(part: bytes) -> int:
    """Two, where it would end within a letter of two units (RFC 2781 2.1)."""
    return 2 * (0xD8 <= part[-2] <= 0xDB)
