"""Long answers in pieces: where the next one begins stands in the last one as `next`, and is sent back as `cursor`."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from ivr.web.problems import Problem
from ivr.web.visit import Visit

T = TypeVar("T")

_USUAL, MOST = 100, 500
_LIMIT = re.compile(r"[1-9][0-9]{0,2}")
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,700}")

QUERY: Mapping[str, Mapping[str, object]] = {
    "limit": {
        "description": "How many at most",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": _USUAL},
    },
    "cursor": {
        "description": "What the piece before this had as `next`",
        "schema": {"type": "string", "pattern": f"^{_CURSOR.pattern}$"},
    },
}
"""As the OpenAPI file has them."""


def piece(visit: Visit, items: Sequence[T], key: Callable[[T], str]) -> tuple[tuple[T, ...], str | None]:
    """Those of the request's piece, and the cursor of the next. Raises `Problem`.

    `key`: that of an item, by which they are ordered; what comes or goes meanwhile moves no other one into another piece.
    """
    most, after = asked(visit, QUERY)
    ordered = sorted(items, key=key)
    left = [item for item in ordered if after is None or key(item) > after]
    given = left[:most]
    return tuple(given), cursor(key(given[-1])) if len(left) > len(given) else None


def asked(visit: Visit, known: Collection[str]) -> tuple[int, str | None]:
    """How many at most, and behind what. `known`: the parameters that may stand there. Raises `Problem`."""
    query = visit.request.query
    if unknown := set(query) - set(known):
        raise Problem("invalid", errors=(("query", f"{len(unknown)} parameters are not known"),))
    limit = query.get("limit", str(_USUAL))
    if _LIMIT.fullmatch(limit) is None or int(limit) > MOST:
        raise Problem("invalid", errors=(("limit", f"is not a number from 1 to {MOST}"),))
    return int(limit), _read(query.get("cursor"))


def cursor(key: str) -> str:
    """As a piece names where the next one begins."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _read(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        if _CURSOR.fullmatch(cursor) is None:
            raise ValueError
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (ValueError, binascii.Error):
        raise no_cursor() from None


def no_cursor() -> Problem:
    """Where what was sent back is nothing that was given."""
    return Problem("invalid", errors=(("cursor", "is none of ours"),))
