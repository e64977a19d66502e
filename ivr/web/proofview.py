"""What a page shows of a proof: the words for each stage, so that the page itself decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from ivr.call.proof import Keyed, Stage, Way
from ivr.lock.proofwords import Choice, Proving, Speaking
from ivr.prompts import about
from ivr.store.backs import BackStage
from ivr.web.words import Words

MENDED = frozenset({Speaking.SILENT, Speaking.HELD, Speaking.CUT, Speaking.GONE, Speaking.FAILED})
"""What an agent can mend is said; all else goes by itself."""


# That it is being written down is nothing to be told.
_BACKS = {BackStage.SETTLING: BackStage.IDENTIFYING}

# Of the others the sentence is the same, or they do not come this way.
SPOKEN = frozenset({Stage.ASKED, Stage.SENT, Stage.OPENED, Stage.CONFIRMED, Stage.WRONG, Stage.FAILED})


class ProofShown(TypedDict):
    """`stage` picks colour and shape. `speech`: what the agent must know of the digits; `digits`: what the agent says. `again` and `back`: which buttons are there."""

    stage: str
    title: str
    help: str
    phrase: str
    digits: str
    until: int | None
    speech: str
    again: bool
    back: bool


NO_PROOF: ProofShown = {
    "stage": "", "title": "", "help": "", "phrase": "", "digits": "", "until": None, "speech": "", "again": False, "back": False,
}  # fmt: skip


def shown(proving: Proving | None, words: Words, *, known: bool = True) -> ProofShown:
    """In this language; the phrase is in the caller's. `known`: whether it is known how far it is, or that there is none."""
    if not known:
        return {**NO_PROOF, "stage": "unknown", "title": words("proof.unknown"), "help": words("proof.unknown_help")}
    if proving is None:
        return NO_PROOF
    stage, waits = proving.stage, not proving.stage.is_end
    if proving.way is Way.SPOKEN:
        return _spoken(proving, words)
    on_phone = stage is Stage.OPENED and proving.keyed is Keyed.PHONE
    fault = proving.speech if stage is Stage.OPENED and proving.speech in MENDED else None
    back = proving.back if stage is Stage.CONFIRMED else None
    name = stage.value if back is None else f"back_{_BACKS.get(back, back).value}"
    return ProofShown(
        stage=stage.value,
        title=words(f"proof.{name}"),
        help=words("proof.opened_phone_help" if on_phone else f"proof.{name}_help"),
        phrase=proving.phrase if waits else "",
        digits="",
        until=proving.until if waits else None,
        speech=words(f"proof.speech_{fault}") if fault else "",
        again=stage is Stage.OPENED and not on_phone,
        back=waits,
    )


def _spoken(proving: Proving, words: Words) -> ProofShown:
    waits = not proving.stage.is_end
    name = f"proof.spoken_{proving.stage.value}" if proving.stage in SPOKEN else f"proof.{proving.stage.value}"
    if proving.closed:
        name = "proof.spoken_closed"
    return ProofShown(
        stage=proving.stage.value,
        title=words(name),
        help=words(f"{name}_help", number=proving.published),
        phrase="",
        digits="" if proving.digits is None else proving.digits.reveal(),
        until=proving.until if waits else None,
        speech="",
        again=False,
        back=waits,
    )


def ways(choice: Choice, words: Words) -> list[tuple[str, str]]:
    """Those that may be chosen: name, and what it is in words."""
    return [(way.value, words(f"proof.way_{way.value}")) for way in choice.ways]


def abouts(choice: Choice, words: Words) -> Sequence[tuple[str, str]]:
    """What a call may be about, in the same way."""
    return [(name, about(name, words.language)) for name in choice.about]
