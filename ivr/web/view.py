"""What a page shows of the own calls: the words for each state, so that the page itself decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict

from ivr.lock import Current, Keying, Offered, Reason, State
from ivr.web.dialview import DialShown
from ivr.web.proofview import ProofShown
from ivr.web.proofview import shown as shown_proof
from ivr.web.words import Words


class Shown(TypedDict):
    """A call. `sign` picks colour and shape; `since` and `until` are seconds since the epoch, counted by the page.
    `closed`: until when no digits are right at the published number.

    `keyed` tells in words how many keys stand, and as dots, filled ones of all: no more are drawn than there are.
    """

    id: str
    sign: str
    title: str
    help: str
    number: str
    direction: str
    name: str
    ref: str
    dialled: str
    held: bool
    since: float
    until: int | None
    keyed: str
    dots: tuple[int, int]
    verifiable: bool
    droppable: bool
    provable: bool
    closed: int | None
    proof: ProofShown
    peerable: bool


class View(TypedDict):
    """All of them. `known`: whether it is known whom this person talks with. `dial`: on the desk's own page, what this person begins."""

    known: bool
    calls: list[Shown]
    dial: NotRequired[DialShown]


UNKNOWN: View = {"known": False, "calls": []}


def view(currents: Sequence[Current], words: Words) -> View:
    """In this language."""
    return {"known": True, "calls": [_shown(one, words) for one in currents]}


def over(words: Words) -> tuple[str, str]:
    """Title and help of a call whose mark has just ended, as `view` will have them: the page says so by itself, in time."""
    return words("desk.not_verified"), f"{words(f'reason.{Reason.EXPIRED.value}')} {words('desk.not_verified_help')}"


def _shown(current: Current, words: Words) -> Shown:
    sign, title = current.state.value, words(f"desk.{current.state.value}", level=current.level)
    if current.state is State.VERIFIED:
        told = words("desk.verified_by", methods=_methods(current.methods, words))
        if current.shut is not None:
            sign, told = "shut", f"{words('desk.shut')} {words(f'reason.{current.shut.value}')}"
    else:
        told = words(f"desk.{current.state.value}_help")
        if current.keying is not None:
            told = words("desk.returning_help") if current.ended is not None else _step(current.keying, words)
        elif current.ended is not None and current.state is State.REFUSED:
            told = words(f"desk.ended_{current.ended.value}")
        if current.state is State.NOT_VERIFIED and current.shut not in (None, Reason.NOT_VERIFIED):
            told = f"{words(f'reason.{current.shut}')} {told}"
    return Shown(
        id=current.id,
        sign=sign,
        title=title,
        help=told,
        number=current.number or (words("desk.withheld") if current.dialled is None else words("dial.hidden")),
        direction=words(f"desk.{current.direction.value}"),
        name="" if current.name is None else current.name.reveal(),
        ref=current.ref or "",
        # of whoever is verified, another one may have answered
        dialled=(current.dialled or "") if current.dialled != current.ref else "",
        held=current.held,
        since=current.since,
        until=current.until,
        keyed=_keyed(current, words),
        dots=_dots(current),
        verifiable=current.verifiable,
        droppable=current.droppable,
        provable=current.provable,
        closed=current.digits_closed,
        proof=shown_proof(current.proof, words, known=current.proof_known),
        peerable=current.peerable,
    )


def _step(keying: Keying, words: Words) -> str:
    if not keying.step:
        return words("desk.waits_help")
    return words("desk.waits_for", step=words.texts.get(f"method.{keying.step}", keying.step))


def _keyed(current: Current, words: Words) -> str:
    keying = current.keying
    if keying is None or current.ended is not None or not keying.most:
        return ""
    if keying.least == keying.most:
        return words("desk.keyed_of", keyed=keying.keyed, most=keying.most)
    return words("desk.keyed", keyed=keying.keyed)


def _dots(current: Current) -> tuple[int, int]:
    keying = current.keying
    if keying is None or current.ended is not None:
        return 0, 0
    return keying.keyed, keying.most if keying.least == keying.most else keying.keyed


def _methods(methods: Sequence[str], words: Words) -> str:
    known = [words.texts.get(f"method.{method}", method) for method in methods]
    if len(known) < 2:
        return "".join(known)
    return f"{', '.join(known[:-1])} {words('method.and')} {known[-1]}"


def choices(offered: Sequence[Offered], words: Words) -> list[tuple[str, str]]:
    """The policies that may be chosen: name, and what it is in words."""
    return [(one.name, words("desk.policy", level=one.level, steps=_methods(one.steps, words))) for one in offered]
