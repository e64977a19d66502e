"""The little of SIP that the softphone reads by itself: headers, and who a name-addr names."""

from __future__ import annotations

import re
from collections.abc import Sequence

# RFC 3261 section 7.3.3.
_COMPACT = {
    "f": "From",
    "t": "To",
    "i": "Call-ID",
    "m": "Contact",
    "v": "Via",
    "l": "Content-Length",
    "c": "Content-Type",
}
_PARTY = re.compile(r'\s*(?:"(?P<quoted>(?:\\.|[^"\\])*)"|(?P<bare>[^<"]*?))\s*<?sips?:(?:(?P<user>[^@>;]*)@)?')


def headers(message: str) -> list[tuple[str, str]]:
    """All headers of a message in order, names as sent (compact ones in full), folded lines joined."""
    head = message.replace("\r\n", "\n").split("\n\n", 1)[0]
    lines = re.sub(r"\n[ \t]+", " ", head).split("\n")[1:]
    pairs = (line.partition(":") for line in lines if ":" in line)
    return [(_COMPACT.get(name.strip().lower(), name.strip()), value.strip()) for name, _, value in pairs]


def first(pairs: Sequence[tuple[str, str]], name: str) -> str | None:
    """The first header of that name, whatever its case; None without."""
    return next((value for header, value in pairs if header.lower() == name.lower()), None)


def party(value: str) -> tuple[str, str]:
    """Display name (unquoted) and user part of a From, P-Asserted-Identity or the like."""
    found = _PARTY.match(value)
    if found is None:
        return "", ""
    quoted = found["quoted"]
    name = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else found["bare"] or ""
    return name, found["user"] or ""
