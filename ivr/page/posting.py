"""What gateways and others send to the public address: passed on unread, for desk or worker to verify."""

from __future__ import annotations

from time import time

from aiohttp import web

from ivr.errors import InputError
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
# Characters of one of them, and of the address with its query: several times what any gateway sends.
_LONGEST_HEADER = 512
_LONGEST_PATH = 1024


async def take(request: web.BaseRequest, target: Target, box: PostBox) -> web.Response:
    """A forged one is answered as a true one is: the page knows no difference. Raises `StoreError`, `Problem`."""
    headers = {
        name: request.headers[name].encode(errors="replace").decode() for name in _PASSED if name in request.headers
    }
    if len(request.raw_path) > _LONGEST_PATH or any(len(text) > _LONGEST_HEADER for text in headers.values()):
        raise Problem("too_large")
    try:
        text = (await body(request, MOST_BYTES)).decode()
    except UnicodeDecodeError:
        # nobody signs or sends that, and what stands for each byte would take three
        raise Problem("bad_request") from None
    posted = Posted(
        target.way,
        target.secret,
        Secret(request.raw_path.encode(errors="replace").decode()),
        headers,
        Secret(text),
        time(),
    )
    try:
        kept = await box.put(posted)
    except InputError:
        raise Problem("too_large") from None
    if not kept:
        # whoever sends it tries again, and a desk may be back by then
        raise Problem("unavailable")
    return web.Response(status=204)
