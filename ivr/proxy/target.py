"""What a request asks for, read in the one way that every server reads it; what could be read in two is refused.

Nothing is mended here: a path that is not plain is not made plain, for whoever stands behind may mend it in another way.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

# Characters that stand for themselves in a segment: RFC 3986's pchar without `;` (parameters) and without `%`.
_PLAIN = r"A-Za-z0-9\-._~!$&'()*+,=:@"
_SEGMENT = re.compile(rf"(?:[{_PLAIN}]|%[0-9A-Fa-f]{{2}})*")
# What nobody encodes who means no harm, and what a second decoding would make something else of.
_NEVER_ENCODED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/\\;%?#")
# Windows: streams of a file (`::$DATA`), and short names (`CUSTOM~1`).
_OTHER_NAMES = re.compile(r":[^:]*\$|~[0-9]")
# Browsers leave some of these as they are in a query; control characters, spaces and `#` never.
_QUERY = re.compile(r"[!\"$-~]*")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Ambiguous(Exception):
    """It could be read in more than one way. `why` is a word for the client."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Target:
    """A path and a query. `raw` is as it was sent, and goes on so; `segments` are decoded, without an empty last one.

    `keys` are the segments as the most forgiving server compares them.
    """

    raw: str
    segments: tuple[str, ...]
    keys: tuple[str, ...]
    query: str


def read(raw: str) -> Target:
    """Raises `Ambiguous`."""
    if not raw.startswith("/") or raw.startswith("//"):
        raise Ambiguous("form")
    path, asked, query = raw.partition("?")
    segments = path.split("/")[1:]
    if segments[-1] == "":
        # most servers take `/a/` for `/a`, or send to the one from the other
        segments.pop()
    if asked and (_QUERY.fullmatch(query) is None or _BAD_PERCENT.search(query)):
        raise Ambiguous("query")
    decoded = tuple(map(_segment, segments))
    return Target(raw, decoded, tuple(map(key_of, decoded)), query)


def key_of(segment: str) -> str:
    """A segment as the most forgiving server compares it: a `+` may be a space, and a space at either end nothing."""
    return folded(segment).strip("+")


def folded(text: str) -> str:
    """Without what some servers do not tell apart: case, and letters that one of the ways to change it makes the same."""
    return unicodedata.normalize("NFKC", text).upper().casefold().replace("\u0307", "")


def _segment(raw: str) -> str:
    if raw == "":
        raise Ambiguous("double_slash")
    if "\\" in raw:
        raise Ambiguous("backslash")
    if ";" in raw:
        raise Ambiguous("parameter")
    if _SEGMENT.fullmatch(raw) is None:
        raise Ambiguous("character")
    if "%" not in raw:
        text = raw
    else:
        if any(byte in _NEVER_ENCODED for byte in _encoded(raw)):
            raise Ambiguous("encoding")
        try:
            text = unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            raise Ambiguous("encoding") from None
        if _CONTROL.search(text) or unicodedata.normalize("NFKC", text) != text:
            # what is made plain by some becomes a slash, a dot or a letter there
            raise Ambiguous("encoding")
    if text.endswith((".", " ")) or text.startswith(" "):
        raise Ambiguous("dots")
    if _OTHER_NAMES.search(text):
        raise Ambiguous("character")
    return text


def _encoded(raw: str) -> bytes:
    """The bytes that are written as %XX."""
    return bytes(int(pair, 16) for pair in re.findall(r"%([0-9A-Fa-f]{2})", raw))
