"""The audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """A row for the audit trail: who, what, which call, how it ended. Nothing secret, numbers masked.

    `once`: what this tells of, such as a round's nonce, where it may be told twice. The first row of the same stands, by
    whatever worker; a second one changes nothing and is no error.
    """

    actor: str
    action: str
    outcome: str
    call: str = ""
    subject: str = ""
    detail: Mapping[str, str] | None = None
    once: str | None = None


class Trail(Protocol):
    async def append(self, entry: Entry) -> str:
        """The outcome that stands, durably: the entry's own, or that of the row of the same `once` which was there before.

        Raises `StoreError`; then what it tells of must not happen.
        """
        ...
