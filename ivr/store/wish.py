"""What stands in the live store for a wish to unlock. Without the store: a command that asks for nothing starts sooner."""

from __future__ import annotations

from dataclasses import dataclass

LIFE_MINUTES = 15
"""How long a wish waits for another person."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`actor` as the audit trail has it; the person's `name` and `login` (empty where the system knows none) are compared."""

    actor: str
    name: str
    login: str
    reason: str

    def is_of(self, name: str, login: str) -> bool:
        """Whether this person has asked."""
        return name == self.name or bool(login and login == self.login)
