"""What a page shows of a proof: the words for each stage, so that the page itself decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from ivr.call.proof import Keyed, Stage
from ivr.lock.proofwords import Choice, Proving, Speaking
from ivr.prompts import about
from ivr.web.words import Words

MENDED = frozenset({Speaking.SILENT, Speaking.HELD, Speaking.CUT, Speaking.GONE, Speaking.FAILED})
"""What an agent can mend is said; all else goes by itself."""


class ProofShown(TypedDict):
    """`stage` picks colour and shape. `speech`: what the agent must know of the digits; `again` and `back`: which buttons are there."""

    stage: str
    title: str
    help: str
    phrase: str
    until: int | None
    speech: str
    again: bool
    back: bool


NO_PROOF: ProofShown = {
    "stage": "", "title": "", "help": "", "phrase": "", "until": None, "speech": "", "again": False, "back": False,
}  # fmt: skip


def shown(proving: Proving | None, words: Words) -> ProofShown:
    """In this language; the phrase is in the caller's."""
    if proving is None:
        return NO_PROOF
    stage, waits = proving.stage, not proving.stage.is_end
    on_phone = stage is Stage.OPENED and proving.keyed is Keyed.PHONE
    fault = proving.speech if stage is Stage.OPENED and proving.speech in MENDED else None
    return ProofShown(
        stage=stage.value,
        title=words(f"proof.{stage.value}"),
        help=words("proof.opened_phone_help" if on_phone else f"proof.{stage.value}_help"),
        phrase=proving.phrase if waits else "",
        until=proving.until if waits else None,
        speech=words(f"proof.speech_{fault}") if fault else "",
        again=stage is Stage.OPENED and not on_phone,
        back=waits,
    )


def ways(choice: Choice, words: Words) -> list[tuple[str, str]]:
    """Those that may be chosen: name, and what it is in words."""
    return [(way.value, words(f"proof.way_{way.value}")) for way in choice.ways]


def abouts(choice: Choice, words: Words) -> Sequence[tuple[str, str]]:
    """What a call may be about, in the same way."""
    return [(name, about(name, words.language)) for name in choice.about]
