"""The API's handlers. They decide nothing: the guard lets them begin, and the lock says what they may give."""

from __future__ import annotations

import re
from typing import TypeVar

import orjson
from aiohttp import web
from pydantic import ValidationError

from ivr.errors import InputError
from ivr.lock import Denied as Shut
from ivr.lock import Reason
from ivr.secret import Secret
from ivr.staff import Denied, Person, SignedIn
from ivr.web import guard, models
from ivr.web.models import Model
from ivr.web.ports import Session
from ivr.web.problems import Problem
from ivr.web.visit import Visit

M = TypeVar("M", bound=Model)

_REF = re.compile(r"[a-z0-9]{12}")
_ACTION = re.compile(r"[a-z_]{1,40}")


async def sign_in(visit: Visit) -> web.Response:
    """Begin a session; its token comes as a cookie."""
    given = await body(visit, models.SignIn)
    door = visit.house.door
    found = await signed_in(
        visit, await door.sign_in(given.tenant, given.login, given.password, given.code, visit.address)
    )
    if isinstance(found, Denied):
        raise Problem("sign_in_refused") if found.seconds is None else Problem("too_many_requests", wait=found.seconds)
    person, token, session = found
    answer = said(_me(person, session), 201)
    guard.sign_in(answer, token)
    return answer


async def signed_in(visit: Visit, found: SignedIn | Denied) -> tuple[Person, Secret, Session] | Denied:
    """A session of this person, where all was right."""
    if isinstance(found, Denied):
        return found
    # the browser forgets it, and so nobody would sign out of it
    await ended(visit)
    begun = await visit.house.door.begin(found)
    if isinstance(begun, Denied):
        return begun
    visit.house.log.info("web.signed_in", person=found.person.id)
    return found.person, *begun


async def me(visit: Visit) -> web.Response:
    """The own session."""
    assert visit.session is not None
    return said(_me(visit.who, visit.session))


async def sign_out(visit: Visit) -> web.Response:
    """End the own session, in every window."""
    await ended(visit)
    answer = web.Response(status=204)
    guard.sign_out(answer)
    return answer


async def ended(visit: Visit) -> None:
    """The session is over at once, its open pages too."""
    if visit.token is not None and visit.session is not None:
        await visit.house.door.sign_out(visit.token, visit.session, visit.who.actor)
        visit.house.hub.end(visit.session.id)
        visit.house.log.info("web.signed_out", person=visit.session.person)


async def ended_everywhere(visit: Visit) -> None:
    """All sessions of this person are over."""
    if visit.session is not None:
        await visit.house.door.sign_out_everywhere(visit.session, visit.who.actor)
        visit.house.hub.end_all(visit.session.tenant, visit.session.person)
        visit.house.log.info("web.signed_out", person=visit.session.person)


async def current(visit: Visit) -> web.Response:
    """The own calls."""
    calls = [models.call(one) for one in await visit.house.lock.current(visit.who)]
    if visit.grant is not None and "record" not in visit.grant.scopes:
        # a name is a field of the record
        calls = [one.model_copy(update={"name": None}) for one in calls]
    return said(models.Calls(calls=tuple(calls)))


async def record(visit: Visit) -> web.Response:
    """A customer's record, if that customer is on the line, verified."""
    ref = _ref(visit)
    if unknown := set(visit.request.query) - {"fields"}:
        raise Problem("invalid", errors=(("query", f"{len(unknown)} parameters are not known"),))
    asked = visit.request.query.getall("fields", [])
    fields = None if not asked else [name for text in asked for name in text.split(",")]
    try:
        found = await visit.house.lock.record(visit.who, ref, fields)
    except InputError as error:
        raise Problem("invalid", errors=(_fault(error),)) from None
    if isinstance(found, Shut):
        raise shut(found)
    return said(models.record(found))


async def act(visit: Visit) -> web.Response:
    """Change a customer's record, under the same rule."""
    ref, action = _ref(visit), visit.request.match_info["action"]
    if _ACTION.fullmatch(action) is None:
        raise Problem("not_found")
    given = await body(visit, models.Arguments)
    try:
        done = await visit.house.lock.act(visit.who, ref, action, given.arguments)
    except InputError as error:
        raise Problem("invalid", errors=(_fault(error),)) from None
    if isinstance(done, Shut):
        raise shut(done)
    return said(models.Done(action=done.action, ref=ref))


# ---------------------------------------------------------------- what they share


def said(model: Model, status: int = 200) -> web.Response:
    """As JSON."""
    return web.Response(
        body=orjson.dumps(model.model_dump(mode="json")), status=status, headers={"Content-Type": "application/json"}
    )


def shut(denied: Shut) -> Problem:
    """The lock's word; what is down is not the person's fault."""
    name = "unavailable" if denied.reason is Reason.UNAVAILABLE else denied.reason.value
    return Problem(name, needs=denied.needs)


async def body(visit: Visit, kind: type[M]) -> M:
    """The request's JSON. Raises `Problem`, which names fields and never values."""
    if visit.request.content_type != "application/json":
        raise Problem("unsupported_media_type")
    sent = await visit.request.read()
    try:
        return kind.model_validate(orjson.loads(sent))
    except ValidationError as error:
        raise Problem("invalid", errors=tuple(_faults(error, kind))) from None
    except orjson.JSONDecodeError:
        raise Problem("bad_request") from None


def _faults(error: ValidationError, kind: type[Model]) -> list[tuple[str, str]]:
    found = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False)[:20]:
        # a name of ours: what a client calls a field may be anything
        first = fault["loc"][0] if fault["loc"] else ""
        found.append((str(first) if first in kind.model_fields else "", fault["msg"]))
    return found


def _fault(error: InputError) -> tuple[str, str]:
    field, _, fault = str(error).partition(": ")
    return field, fault


def _ref(visit: Visit) -> str:
    ref = visit.request.match_info["ref"]
    # what is no reference is nobody's: the lock says the same of it as of one that nobody has
    return ref if _REF.fullmatch(ref) else "?"


def _me(person: Person, session: Session) -> models.Me:
    last = session.last
    told = None if last is None else models.Last(at=last.at, place=last.place, failures=last.failures)
    return models.Me(
        login=person.login, name=person.name, role=person.role.value,
        permissions=tuple(sorted(person.permissions)), csrf=session.csrf.reveal(), last=told,
    )  # fmt: skip
