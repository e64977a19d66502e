"""What is asked for by whoever begins a call at the desk."""

from __future__ import annotations

from dataclasses import dataclass

from ivr.secret import Secret


@dataclass(frozen=True, slots=True)
class DialAsked:
    """Whom somebody wants to call: a customer by reference, or by customer number (a `Secret`).

    `phone`: which of the telephone numbers on record, from 1 on.
    """

    customer: str | Secret
    phone: int = 1
