"""What gateways and others send to the public address: passed on unread, for desk or worker to verify."""

from __future__ import annotations

from time import time

from aiohttp import web

from ivr.page.bodies import body
from ivr.page.routes import Target
from ivr.secret import Secret
from ivr.store.posted import MOST_BYTES, PostBox, Posted
from ivr.web.problems import Problem

# Those that say what a body is, or who has signed it.
_PASSED = (
    "authorization",
    "content-type",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-twilio-signature",
)


async def take(request: web.BaseRequest, target: Target, box: PostBox) -> web.Response:
    """A forged one is answered as a true one is: the page knows no difference. Raises `StoreError`, `Problem`."""
    text = (await body(request, MOST_BYTES)).decode(errors="replace")
    headers = {name: request.headers[name] for name in _PASSED if name in request.headers}
    posted = Posted(target.way, target.secret, Secret(request.raw_path), headers, Secret(text), time())
    if not await box.put(posted):
        # whoever sends it tries again, and a desk may be back by then
        raise Problem("unavailable")
    return web.Response(status=204)
