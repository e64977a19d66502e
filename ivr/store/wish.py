"""What stands in the live store for a wish to unlock. Without the store: a command that asks for nothing starts sooner."""

from __future__ import annotations

from dataclasses import dataclass

LIFE_MINUTES = 15
"""How long a wish waits for another person."""


@dataclass(frozen=True, slots=True)
class Wish:
    """`actor` as the audit trail has it; of the person `name`, the `account` it was typed as, and `login` are compared.

    `login` is empty where the system knows none.
    """

    actor: str
    name: str
    account: str
    login: str
    reason: str

    def is_of(self, name: str, account: str, login: str) -> bool:
        """Whether this person has asked, or may have."""
        if name == self.name:
            return True
        if login and self.login:
            return login == self.login
        # who may become an account can hide who was there before: then only the account is seen
        return name == self.account or account == self.name
