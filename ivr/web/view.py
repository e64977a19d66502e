"""What a page shows of the own calls: the words for each state, so that the page itself decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from ivr.lock import Current, Reason, State
from ivr.web.words import Words


class Shown(TypedDict):
    """A call. `sign` picks colour and shape; `since` and `until` are seconds since the epoch, counted by the page."""

    id: str
    sign: str
    title: str
    help: str
    number: str
    direction: str
    name: str
    ref: str
    held: bool
    since: float
    until: int | None


class View(TypedDict):
    """All of them. `known`: whether it is known whom this person talks with."""

    known: bool
    calls: list[Shown]


UNKNOWN: View = {"known": False, "calls": []}


def view(currents: Sequence[Current], words: Words) -> View:
    """In this language."""
    return {"known": True, "calls": [_shown(one, words) for one in currents]}


def _shown(current: Current, words: Words) -> Shown:
    sign, title = current.state.value, words(f"desk.{current.state.value}", level=current.level)
    if current.state is State.VERIFIED:
        told = words("desk.verified_by", methods=_methods(current.methods, words))
        if current.shut is not None:
            sign, told = "shut", f"{words('desk.shut')} {words(f'reason.{current.shut.value}')}"
    else:
        told = words(f"desk.{current.state.value}_help")
        if current.state is State.NOT_VERIFIED and current.shut not in (None, Reason.NOT_VERIFIED):
            told = f"{words(f'reason.{current.shut}')} {told}"
    return Shown(
        id=f"{current.call.node}/{current.call.id}",
        sign=sign,
        title=title,
        help=told,
        number=current.number or words("desk.withheld"),
        direction=words(f"desk.{current.direction.value}"),
        name="" if current.name is None else current.name.reveal(),
        ref=current.ref or "",
        held=current.held,
        since=current.since,
        until=current.until,
    )


def _methods(methods: Sequence[str], words: Words) -> str:
    known = [words.texts.get(f"method.{method}", method) for method in methods]
    if len(known) < 2:
        return "".join(known)
    return f"{', '.join(known[:-1])} {words('method.and')} {known[-1]}"
