"""The audit trail for auditors, and who read which customer's record for data owners: the page, and the API's handler for the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict
from urllib.parse import urlencode

from aiohttp import web

from ivr.audit.chain import stamp
from ivr.lock import Denied, Found, Kind, Noted, Place, Question
from ivr.staff import Permission
from ivr.web import paging, trailmodels
from ivr.web.api import said, shut
from ivr.web.pages import before, page
from ivr.web.problems import Problem
from ivr.web.visit import Visit
from ivr.web.words import Words

_PAGE = "/trail"
_FIELDS = ("kind", "actor", "call", "ref", "since", "until")
_FORMS = {
    "actor": re.compile(trailmodels.ACTOR), "call": re.compile(trailmodels.CALL), "ref": re.compile(trailmodels.REF),
    "since": re.compile(trailmodels.TIME), "until": re.compile(trailmodels.TIME),
}  # fmt: skip
_PLACE = re.compile(r"(?P<at>[0-9TZ:.-]{27})\n(?P<chain>[\w.-]{1,40})\n(?P<seq>[0-9]{1,18})", re.ASCII)
# Whose the row is, and who asked: both are shown otherwise.
_SHOWN_ELSEWHERE = frozenset({"tenant", "person"})


class Row(TypedDict):
    """A row in words. `subject` and `call`: as they are searched by; `more`: the detail, as it is stored."""

    at: str
    who: str
    what: str
    outcome: str
    bad: bool
    subject: str
    call: str
    more: list[tuple[str, str]]
    sound: bool


async def trail(visit: Visit) -> web.StreamResponse:
    """The page."""
    await _admit(visit)
    given = {name: text for name in _FIELDS if (text := visit.request.query.get(name, "").strip())}
    whole = visit.who.may(Permission.TRAIL)
    fault, found = "", Found((), None)
    try:
        most, after = paging.asked(visit, trailmodels.QUERY)
        found = await _found(visit, given, most, after)
    except Problem as problem:
        if problem.name != "invalid":
            raise
        fault = visit.words(f"trail.fault_{problem.errors[0][0]}")
    rows = [_row(noted, visit.words) for noted in found.rows]
    return page(
        visit, "trail.html", status=422 if fault else 200, fault=fault, whole=whole, rows=rows, kinds=list(Kind) if whole else (),
        given={name: given.get(name, "")[:150] for name in _FIELDS}, narrowed=bool(given), unsound=not all(row["sound"] for row in rows),
        older=_address({**given, "cursor": _cursor(found.behind)}) if found.behind is not None else "",
        through=_moment(found.behind.at) if found.behind is not None and found.short else "", later="cursor" in visit.request.query,
        newest=_address(given), address=_address, **before(visit),
    )  # fmt: skip


async def rows(visit: Visit) -> web.Response:
    """The API's."""
    await _admit(visit)
    most, after = paging.asked(visit, trailmodels.QUERY)
    given = {name: visit.request.query[name] for name in _FIELDS if name in visit.request.query}
    found = await _found(visit, given, most, after)
    behind = None if found.behind is None else _cursor(found.behind)
    return said(trailmodels.TrailPiece(rows=tuple(map(trailmodels.row, found.rows)), next=behind))


async def _admit(visit: Visit) -> None:
    """Raises `Problem` before anything of the request is looked at. What is seen, and who may by then, the lock says."""
    if not (visit.who.may(Permission.TRAIL) or visit.who.may(Permission.READS)):
        await visit.house.lock.not_permitted(visit.who, Permission.TRAIL, visit.request.path)
        raise Problem("not_permitted")


async def _found(visit: Visit, given: Mapping[str, str], most: int, after: str | None) -> Found:
    """Raises `Problem`."""
    found = await visit.house.review.rows(visit.who, _question(given), _place(after), most)
    if isinstance(found, Denied):
        raise shut(found)
    return found


def _question(given: Mapping[str, str]) -> Question:
    for name, form in _FORMS.items():
        if name in given and form.fullmatch(given[name]) is None:
            raise _invalid(name)
    kind = None
    if "kind" in given:
        if given["kind"] not in list(Kind):
            raise _invalid("kind")
        kind = Kind(given["kind"])
    since, until = (_stamped(name, given[name]) if name in given else None for name in ("since", "until"))
    return Question(kind, given.get("actor"), given.get("call"), given.get("ref"), since, until)


def _stamped(name: str, text: str) -> str:
    try:
        return stamp(datetime.fromisoformat(f"{text.removesuffix('Z')}{'' if 'T' in text else 'T00:00'}+00:00"))
    except ValueError:
        raise _invalid(name) from None


def _invalid(name: str) -> Problem:
    return Problem("invalid", errors=((name, "has not the form that the description says"),))


def _place(after: str | None) -> Place | None:
    if after is None:
        return None
    found = _PLACE.fullmatch(after)
    if found is None:
        raise paging.no_cursor()
    return Place(found["at"], found["chain"], int(found["seq"]))


def _cursor(place: Place) -> str:
    return paging.cursor(f"{place.at}\n{place.chain}\n{place.seq}")


def _address(given: Mapping[str, str]) -> str:
    return f"{_PAGE}?{urlencode(given)}" if given else _PAGE


# ---------------------------------------------------------------- in words


def _row(noted: Noted, words: Words) -> Row:
    return Row(
        at=_moment(noted.place.at), who=_who(noted.actor, words), what=_word(words, "event", noted.action),
        outcome=_word(words, "outcome", noted.outcome), bad=noted.outcome in _BAD, subject=noted.subject, call=noted.call,
        more=[(name, value) for name, value in sorted(noted.detail.items()) if value and name not in _SHOWN_ELSEWHERE],
        sound=noted.sound,
    )  # fmt: skip


_BAD = frozenset({"refused", "withheld", "unshown", "stopped", "warned", "locked", "wrong_person", "unavailable"})


def _word(words: Words, table: str, name: str) -> str:
    """Of a version before this one, or changed past the program, there may be others."""
    return words.texts.get(f"{table}.{name.replace('.', '_')}", name)


def _who(actor: str, words: Words) -> str:
    match actor.partition(":"):
        case ("desk", _, "?"):
            return words("trail.nobody")
        case ("desk", ":", login):
            return login
        case ("cli", ":", account):
            return words("trail.by_command", who=account)
        case ("program", ":", name):
            return words("trail.by_program", who=name)
        case ("caller", _, _):
            return words("trail.caller")
        case _:
            return words("trail.worker") if actor in ("worker", "desk") else actor


def _moment(at: str) -> str:
    return at[:19].replace("T", " ")
