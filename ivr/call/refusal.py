"""What a caller is told who goes on unverified."""

from __future__ import annotations

from collections.abc import Sequence

from ivr.call.outcome import Locked, Refused, Status
from ivr.prompts import Prompt, wait


def words_of(refused: Refused) -> Sequence[Prompt]:
    """How long a lock lasts, where there is one; else no more than that it has not succeeded, or why nobody could."""
    match refused:
        case Refused(lock=Locked(seconds=None)):
            return (Prompt.LOCKED_UNTIL_CONTACT,)
        case Refused(lock=Locked(seconds=int(seconds))):
            return Prompt.LOCKED, Prompt.TRY_AGAIN, wait(seconds)
        case Refused(status=Status.TIMEOUT):
            return (Prompt.TIMEOUT,)
        case Refused(status=Status.UNAVAILABLE):
            return (Prompt.UNAVAILABLE,)
        case _:
            return (Prompt.REFUSED,)
