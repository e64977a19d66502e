"""Where somebody goes who has signed in: back to the page that asked for it. Pages of ours alone, by names of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ivr.staff import Permission, Person

_PLACES: Mapping[str, str] = {
    "account": "/account", "team": "/team", "openings": "/openings", "trail": "/trail", "staff": "/staff",
}  # fmt: skip

# To the proxy, for the browser that has begun there with what this is the SHA-256 of.
_CROSSING = re.compile(r"crossing-([0-9a-f]{64})")

ANEW = frozenset({"account", "staff"})
"""Where somebody comes to change what takes a fresh sign-in."""


def goal(said: str) -> str:
    """The same, where it is the name of one; else nothing, which is the start."""
    return said if said in _PLACES or leads_across(said) else ""


def goal_at(path: str) -> str:
    """The name of the page at this path; nothing where it is none to come back to."""
    return next((name for name, place in _PLACES.items() if place == path), "")


def crossing(begun: str) -> str:
    """The name of the way to the proxy."""
    return f"crossing-{begun}"


def leads_across(goal: str) -> bool:
    """Whether it goes on to the proxy, which is another host."""
    return _CROSSING.fullmatch(goal) is not None


def place(goal: str) -> str:
    """Its path."""
    across = _CROSSING.fullmatch(goal)
    return _PLACES.get(goal, "/") if across is None else f"/crossing?begun={across[1]}"


def start(person: Person) -> str:
    """Where this person begins to work."""
    return next((path for needed, path in _STARTS if any(map(person.may, needed))), "/")


_STARTS = (
    ((Permission.CALL,), "/"),
    ((Permission.WATCH,), "/team"),
    ((Permission.STAFF,), "/staff"),
    ((Permission.TRAIL, Permission.READS), "/trail"),
)
