"""The API's handlers of calls that agents begin."""

from __future__ import annotations

from aiohttp import web

from ivr.lock import Denied
from ivr.lock.dialwords import DialAsked
from ivr.web import dialmodels
from ivr.web.api import body, said, shut
from ivr.web.ports import Dial
from ivr.web.problems import Problem
from ivr.web.visit import Visit


async def dials(visit: Visit) -> web.Response:
    """The own one."""
    found = None if visit.house.dial is None else await visit.house.dial.shown(visit.who)
    return said(dialmodels.Dials(dials=() if found is None else (dialmodels.dial(found),)))


async def begin(visit: Visit) -> web.Response:
    """The own phone rings, and the answer does not wait for it."""
    given = await body(visit, dialmodels.DialAsked)
    begun = await _dial(visit).begin(visit.who, DialAsked(given.customer, given.phone))
    if isinstance(begun, Denied):
        raise shut(begun)
    return said(dialmodels.dial(begun), 202)


async def cancel(visit: Visit) -> web.Response:
    """Both phones are hung up."""
    ended = await _dial(visit).cancel(visit.who, visit.request.match_info["dial"])
    if isinstance(ended, Denied):
        raise shut(ended)
    return web.Response(status=204)


def _dial(visit: Visit) -> Dial:
    if visit.house.dial is None:
        raise Problem("no_trunk")
    return visit.house.dial
