"""The API's handlers of tokens: the keys with which they are checked, the mark as a token, whether one still holds."""

from __future__ import annotations

import hashlib
import re

import orjson
from aiohttp import web
from pydantic import ValidationError

from ivr.errors import InputError
from ivr.lock import Denied
from ivr.lock.signer import CACHED_SECONDS
from ivr.web import tokenmodels
from ivr.web.api import body, said, shut
from ivr.web.problems import Problem
from ivr.web.visit import Visit

_KEPT = f"public, max-age={CACHED_SECONDS}"

_CALL = re.compile(r"[A-Za-z0-9_-]{22}")


async def keys(visit: Visit) -> web.Response:
    """The published keys; whoever has them may keep them for some minutes."""
    listed = orjson.dumps({"keys": [dict(key) for key in visit.house.keys.published()]})
    etag = hashlib.sha256(listed).hexdigest()[:32]
    cached = {"Cache-Control": _KEPT, "ETag": f'"{etag}"'}
    known = visit.request.if_none_match or ()
    if any(one.value in (etag, "*") for one in known):
        return web.Response(status=304, headers=cached)
    return web.Response(body=listed, headers={"Content-Type": "application/json", **cached})


async def issue(visit: Visit) -> web.Response:
    """The mark of an own call, as a token."""
    assert visit.session is not None
    given = await body(visit, tokenmodels.Audience)
    call = visit.request.match_info["call"]
    try:
        # what is no name of a call is none of this person's
        named = call if _CALL.fullmatch(call) else ""
        found = await visit.house.tokens.issue(visit.who, named, given.audience, visit.session.id)
    except InputError as error:
        field, _, fault = str(error).partition(": ")
        raise Problem("invalid", errors=((field, fault),)) from None
    if isinstance(found, Denied):
        raise shut(found)
    return said(tokenmodels.MarkToken(token=found.token, expires_in=found.seconds), 201)


async def introspect(visit: Visit) -> web.Response:
    """Whether a token holds now. Of one that does not, nothing is told, not even why."""
    program = visit.asking
    try:
        given = tokenmodels.Introspection.model_validate(dict(await visit.form()))
    except ValidationError:
        raise Problem("invalid", errors=(("token", "is missing"),)) from None
    claims = await visit.house.tokens.holds(given.token, program.rules.audiences, program.rules.tenants)
    found = (
        tokenmodels.Introspected(active=False) if claims is None else tokenmodels.Introspected(active=True, **claims)
    )
    return web.Response(
        body=orjson.dumps(found.model_dump(mode="json", exclude_none=True)),
        headers={"Content-Type": "application/json"},
    )
