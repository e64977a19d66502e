"""Where somebody goes who has signed in: back to the page that asked for it. Pages of ours alone, by names of ours."""

from __future__ import annotations

from collections.abc import Mapping

from ivr.staff import Permission, Person

_PLACES: Mapping[str, str] = {
    "account": "/account", "team": "/team", "openings": "/openings", "trail": "/trail", "staff": "/staff",
}  # fmt: skip


ANEW = frozenset({"account", "staff"})
"""Where somebody comes to change what takes a fresh sign-in."""


def goal(said: str) -> str:
    """The same, where it is the name of one; else nothing, which is the start."""
    return said if said in _PLACES else ""


def goal_at(path: str) -> str:
    """The name of the page at this path; nothing where it is none to come back to."""
    return next((name for name, place in _PLACES.items() if place == path), "")


def place(goal: str) -> str:
    """Its path."""
    return _PLACES.get(goal, "/")


def start(person: Person) -> str:
    """Where this person begins to work."""
    return next((path for needed, path in _STARTS if any(map(person.may, needed))), "/")


_STARTS = (
    ((Permission.CALL,), "/"),
    ((Permission.WATCH,), "/team"),
    ((Permission.STAFF,), "/staff"),
    ((Permission.TRAIL, Permission.READS), "/trail"),
)
