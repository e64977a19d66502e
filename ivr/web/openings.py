"""The page on which somebody wishes for one record without a call, waits for a second person, and reads it while it is open.

Without a script it does all of that; a script has it follow what the second person does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from aiohttp import web

from ivr.errors import InputError, Unavailable
from ivr.lock import FIELDS, Denied, Record
from ivr.staff import Permission, Person
from ivr.store.openings import Opening
from ivr.web import models
from ivr.web.api import shut
from ivr.web.live import Kind
from ivr.web.pages import follow, page
from ivr.web.problems import Problem
from ivr.web.visit import Visit
from ivr.web.words import Words

KIND = Kind("openings", Permission.CALL)
"""No phone stirs it: it looks by itself, sooner while something waits."""

_PAGE = "/openings"
_FIELD = "field-"


class Row(TypedDict):
    """A wish, in words. `until`: when it lapses, or when the record shuts again; seconds since the epoch."""

    id: str
    open: bool
    title: str
    ref: str
    fields: str
    reason: str
    until: int


class View(TypedDict):
    """What the page shows now; `calls` is what a page is told by of what ends (`Hub.until`)."""

    known: bool
    calls: Sequence[Row]


UNKNOWN: View = {"known": False, "calls": ()}


async def openings(visit: Visit) -> web.StreamResponse:
    """The own wishes, and a form for a new one."""
    return await _page(visit)


async def live(visit: Visit) -> web.StreamResponse:
    """The websocket of an open page."""

    async def shown(person: Person) -> View:
        found = await visit.house.glass.own(person)
        if isinstance(found, Denied):
            raise Unavailable("not permitted any more")
        return {"known": True, "calls": _rows(found, visit.words)}

    return await follow(visit, shown, KIND, UNKNOWN)


async def ask(visit: Visit) -> web.StreamResponse:
    """Wish for one."""
    form = await visit.form()
    ref, reason = form.get("ref", "").strip().lower(), form.get("reason", "")
    fields = [name for name in FIELDS if f"{_FIELD}{name}" in form]
    try:
        found = await visit.house.glass.ask(visit.who, ref, reason, fields)
    except InputError as error:
        fault = visit.words(f"openings.fault_{str(error).partition(':')[0]}")
        return await _page(visit, fault=fault, status=422, ref=ref[:40], reason=reason[:400], chosen=fields)
    if isinstance(found, Denied):
        return await _page(
            visit, fault=_said(visit, found), status=shut(found).status, ref=ref, reason=reason, chosen=fields
        )
    return _back()


async def act(visit: Visit) -> web.StreamResponse:
    """Show the record, which is a reading of it each time; or take the wish back, an open one too."""
    named, glass = visit.request.match_info["opening"], visit.house.glass
    if (await visit.form()).get("do") != "open":
        declined = await glass.decline(visit.who, named)
        return await _page(visit, fault=_said(visit, declined), status=403) if isinstance(declined, Denied) else _back()
    found = await glass.record(visit.who, named)
    if isinstance(found, Denied):
        return await _page(visit, fault=_said(visit, found), status=shut(found).status)
    return await _page(visit, record=found, named=named)


async def _page(
    visit: Visit, *, fault: str = "", status: int = 200, record: Record | None = None, named: str = "",
    ref: str = "", reason: str = "", chosen: Sequence[str] = (),
) -> web.StreamResponse:  # fmt: skip
    found = await visit.house.glass.own(visit.who)
    if isinstance(found, Denied):
        raise shut(found)
    return page(
        visit, "openings.html", status=status, now=visit.house.wall(), silent=visit.house.hub.lost, fault=fault, wishes=_rows(found, visit.words), fields=FIELDS,
        ref=ref, reason=reason, chosen=chosen, blank=_BLANK, named=named, until=0 if record is None else record.until,
        record=None if record is None else {name: _told(value, visit.words) for name, value in models.record(record).fields.items()},
        minutes=visit.house.settings.lock.glass.open_minutes,
    )  # fmt: skip


_BLANK: Row = {"id": "", "open": False, "title": "", "ref": "", "fields": "", "reason": "", "until": 0}


def _rows(found: Sequence[Opening], words: Words) -> list[Row]:
    return [
        {
            "id": wish.id, "open": wish.approved, "title": words("openings.open" if wish.approved else "openings.waiting"),
            "ref": wish.ref, "fields": ", ".join(words(f"field.{name}") for name in wish.fields), "reason": wish.reason,
            "until": wish.until,
        }
        for wish in found
    ]  # fmt: skip


def _told(value: object, words: Words) -> str:
    if isinstance(value, bool):
        return words("record.yes" if value else "record.no")
    if value is None or value in ("", ()):
        return words("record.nothing")
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)


def _said(visit: Visit, denied: Denied) -> str:
    problem: Problem = shut(denied)
    return visit.words(f"reason.{problem.name}")


def _back() -> web.Response:
    return web.Response(status=303, headers={"Location": _PAGE})
