"""From the desk to the proxy: whoever has signed in here need not sign in there."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from ivr.staff import Permission
from ivr.web import goals
from ivr.web.problems import Problem
from ivr.web.visit import Visit

ENTRANCE = "/.tillit/enter"
"""Where the proxy takes the code."""


async def cross(visit: Visit) -> web.StreamResponse:
    """Back to the proxy with a code that is good once, and in the browser alone that the proxy has sent here."""
    url, handovers = visit.house.settings.proxy.url, visit.house.handovers
    begun = visit.request.query.get("begun", "")
    # whoever signs in first comes back here
    goal = "" if url is None else goals.goal(goals.crossing(begun))
    first = f"/sign-in?for={goal}" if goal else "/sign-in"
    if visit.person is None or visit.token is None:
        raise web.HTTPSeeOther(first)
    if not visit.person.may(Permission.CALL):
        raise Problem("not_permitted")
    if url is None or handovers is None or not goal:
        raise Problem("not_found")
    code = await handovers.keep(visit.token, urlsplit(url).netloc.lower(), begun)
    if code is None:
        raise web.HTTPSeeOther(first)
    # what stands in an address is seen by others: it is no secret without the cookie that the browser has there
    return web.Response(status=303, headers={"Location": f"{url}{ENTRANCE}?code={code.reveal()}"})
