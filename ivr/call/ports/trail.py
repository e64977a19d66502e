"""The audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """A row for the audit trail: who, what, which call, how it ended. Nothing secret, numbers masked.

    `once`: what this tells of, such as a round's nonce, where it may be told twice. A second row of the same, by whatever
    worker, changes nothing and is no error. `unless`: where the trail has one of these, this row is not needed either.
    """

    actor: str
    action: str
    outcome: str
    call: str = ""
    subject: str = ""
    detail: Mapping[str, str] | None = None
    once: str | None = None
    unless: tuple[str, ...] = ()


class Trail(Protocol):
    async def append(self, entry: Entry) -> None:
        """Returns when the row is durable; one whose `once` is there already is not written again.

        Raises `StoreError`; then what it tells of must not happen.
        """
        ...
