"""The API's handlers of what is done in mid-call: the caller is verified, or the mark taken away."""

from __future__ import annotations

from aiohttp import web

from ivr.errors import InputError
from ivr.lock import Denied
from ivr.web import models
from ivr.web.api import body, said, shut
from ivr.web.problems import Problem
from ivr.web.visit import Visit


async def policies(visit: Visit) -> web.Response:
    """Those that may be chosen."""
    offered = visit.house.midcall.offered(visit.who.tenant)
    return said(models.Policies(policies=tuple(models.policy(one) for one in offered)))


async def verify(visit: Visit) -> web.Response:
    """The caller leaves for the keypad part, and comes back whatever comes of it."""
    given = await body(visit, models.Verify)
    try:
        begun = await visit.house.midcall.verify(visit.who, visit.request.match_info["call"], given.policy)
    except InputError as error:
        field, _, fault = str(error).partition(": ")
        raise Problem("invalid", errors=((field, fault),)) from None
    if isinstance(begun, Denied):
        raise shut(begun)
    return said(models.Begun(call=begun.id, policy=begun.policy), 202)


async def drop(visit: Visit) -> web.Response:
    """The caller is nobody any more."""
    given = await body(visit, models.Drop)
    dropped = await visit.house.midcall.drop(visit.who, visit.request.match_info["call"], given.why)
    if isinstance(dropped, Denied):
        raise shut(dropped)
    return web.Response(status=204)
