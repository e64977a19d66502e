"""Domains: how one is written, how it is shown so that nobody is taken for another, and which ones look alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

import idna

# RFC 1035 2.3.4, as text without the last dot.
_LONGEST = 253
# RFC 3696 2: no top-level domain is of digits alone, and so no address of IPv4 is a name.
_ADDRESS = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)")

# Letters of other scripts, and digits, that are read as these: of the confusables of UTS 39 those that fonts draw alike.
_ALIKE = str.maketrans(
    "аеорсухіјѕһԁԛԝвкмнтгпӏ" "αεικνορτυχωγ" "01358" "ıłøđħ" "!|",
    "aeopcyxijshdqwbkmhtrnl" "aeiknoptuxwy" "olesb" "ilodh" "ll",
)  # fmt: skip
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"), ("nn", "m"), ("-", ""), ("i", "l"))


def domain(text: str) -> str | None:
    """A domain as the DNS has it: lower case, in punycode where it has other letters; None for what is none.

    An address is none, nor what has a port, a path or one label alone.
    """
    try:
        found = idna.encode(text.strip().removesuffix("."), uts46=True, std3_rules=True, transitional=False).decode()
        # what is punycode already is not looked into before: what it stands for must be a name as well, and written so
        known = idna.encode(idna.decode(found)).decode()
    except (UnicodeError, ValueError, IndexError):
        return None
    labels = found.split(".")
    if known != found or len(found) > _LONGEST or len(labels) < 2 or _ADDRESS.fullmatch(labels[-1]):
        return None
    return found


def shown(name: str) -> str:
    """A domain for people: punycode first, which no other domain has, and what it stands for behind it."""
    return name if (read := _read(name)) == name else f"{name} ({read})"


def resembles(name: str, known: Iterable[str]) -> str | None:
    """The first of the known domains that it looks like without being it, or that it has within it; None where there is none."""
    mine = _bones(name)
    for other in known:
        if other == name or name.endswith(f".{other}"):
            continue
        theirs = _bones(other)
        # hospital.example.net, hospital-example.com: read from the left, it is the other
        if theirs.replace(".", "") in mine.replace(".", "") or _near(_first(mine), _first(theirs)):
            return other
    return None


def _first(name: str) -> str:
    """Without the top-level domain: the same name in another country is another's."""
    return name.rpartition(".")[0]


def _read(name: str) -> str:
    try:
        return idna.decode(name)
    except (UnicodeError, ValueError):
        return name


def _bones(name: str) -> str:
    """What is left of a name where what looks alike is alike (UTS 39 4: its skeleton, of few letters)."""
    plain = unicodedata.normalize("NFKD", _read(name).casefold())
    bones = "".join(letter for letter in plain if not unicodedata.combining(letter)).translate(_ALIKE)
    for seen, read in _PAIRS:
        bones = bones.replace(seen, read)
    return bones


def _near(one: str, other: str) -> bool:
    """Whether one letter more, less, changed, or two that have changed places lead from the one to the other, or none."""
    if min(len(one), len(other)) < 6 or abs(len(one) - len(other)) > 1:
        # of short names nearly all are one letter apart
        return False
    ahead = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    one, other = one[ahead:], other[ahead:]
    return one[1:] == other[1:] or one[1:] == other or one == other[1:] or (one[1::-1] + one[2:] == other)
