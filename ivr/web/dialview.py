"""What a page shows of a call that is being begun: the words for each stage, so that the page itself decides nothing."""

from __future__ import annotations

from typing import TypedDict

from ivr.call.dial import Dialling
from ivr.web.words import Words


class DialShown(TypedDict):
    """`sign` picks colour and shape; `back`: whether it can be called off."""

    id: str
    sign: str
    title: str
    help: str
    ref: str
    back: bool


NO_DIAL: DialShown = {"id": "", "sign": "", "title": "", "help": "", "ref": "", "back": False}


def shown(dialling: Dialling | None, words: Words) -> DialShown:
    """In this language."""
    if dialling is None:
        return NO_DIAL
    stage, over = dialling.stage, dialling.stage.is_end
    return DialShown(
        id=dialling.id,
        sign="ended" if over else "on",
        title=words(f"dial.{stage.value}"),
        help=words(f"dial.{stage.value}_help"),
        ref=dialling.ref,
        back=not over,
    )
