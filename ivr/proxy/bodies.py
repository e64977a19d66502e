"""The body of a request: passed on as it comes where it is about nobody, or else read whole before anything is weighed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from time import monotonic

from aiohttp import HttpVersion10, HttpVersion11, web

from ivr.config import Proxy
from ivr.proxy import fields, pairs, pointers
from ivr.proxy.pointers import Unreadable
from ivr.proxy.rules import READING, Named, Protected
from ivr.proxy.upstream import Body
from ivr.web.connections import REQUEST_SECONDS
from ivr.web.problems import Problem

# Bytes a second that a client sends at least, behind the time that it has for the first: whoever sends by drops holds a
# connection to the CRM, of which all others are in want.
_SLOWEST = 16 * 1024
# Bytes of one that is looked into: it is taken apart in one go, while all others wait.
_MOST_LOOKED_INTO = 256 * 1024
_JSON = re.compile(r"(?:application|text)/(?:[a-z0-9.+-]+\+)?json\s*(?:;\s*charset=\"?utf-?8\"?\s*)?", re.IGNORECASE)
# Of anything else, HTTP/2 in the words of HTTP/1 too, nobody knows how it ends.
_VERSIONS = (HttpVersion10, HttpVersion11)
_FORM = "application/x-www-form-urlencoded"


def is_json(content_type: str) -> bool:
    """Whether it is JSON in UTF-8."""
    return _JSON.fullmatch(content_type.strip()) is not None


def check(request: web.BaseRequest) -> None:
    """Raises `Problem` for what would be framed, or asked, in two ways."""
    headers = request.headers
    if request.version not in _VERSIONS:
        raise Problem("ambiguous")
    if "Transfer-Encoding" in headers and ("Content-Length" in headers or request.version < (1, 1)):
        raise Problem("ambiguous")
    if any(
        len(headers.getall(name, ())) > 1 for name in ("Content-Length", "Transfer-Encoding", "Host", "Content-Type")
    ):
        raise Problem("ambiguous")
    if "Upgrade" in headers or "HTTP2-Settings" in headers:
        raise Problem("upgrade")
    if fields.overrides(headers):
        raise Problem("ambiguous")
    if request.method in READING and request.body_exists and request.headers.get("Content-Length") != "0":
        raise Problem("ambiguous")


async def of(request: web.BaseRequest, protected: Protected | None, limits: Proxy) -> tuple[Body, list[Named]]:
    """What goes on, and the customers whom it names. Raises `Problem`, and `Ambiguous`.

    What is about a customer is whole when it is weighed whether it goes on: a CRM acts on it when its last byte has come,
    and a client may send that a long time after the first.
    """
    most = limits.request_kilobytes * 1024
    if protected is not None:
        most = min(most, limits.change_kilobytes * 1024)
    length = request.content_length
    if length is not None and length > most:
        raise Problem("too_large")
    if not request.body_exists or length == 0:
        if protected is not None and protected.reads_body:
            raise Problem("no_number")
        return None, []
    if protected is None:
        return _streamed(request, most), []
    kind = request.headers.get("Content-Type", "")
    if "Content-Encoding" in request.headers:
        raise Problem("unsupported_media_type")
    if is_json(kind):
        if not protected.reads_body and request.method != "POST":
            return await _whole(request, most), []
        body = await _whole(request, min(most, _MOST_LOOKED_INTO))
        try:
            document = pointers.read_strictly(body)
        except Unreadable:
            raise Problem("bad_request") from None
        # of a POST, some take the method from what it says
        if request.method == "POST" and isinstance(document, dict):
            pairs.check_names(document)
        return body, [one for rule in protected.rules for one in (rule.in_body(document) if rule.pattern.body else [])]
    if kind.partition(";")[0].strip().lower() == _FORM and protected.takes_forms:
        body = await _whole(request, min(most, _MOST_LOOKED_INTO))
        try:
            pairs.check_form(body.decode())
        except UnicodeDecodeError:
            raise Problem("bad_request") from None
        return body, []
    raise Problem("unsupported_media_type")


async def _whole(request: web.BaseRequest, most: int) -> bytes:
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            return b"".join([part async for part in _streamed(request, most)])
    except TimeoutError:
        raise Problem("request_timeout") from None


async def _streamed(request: web.BaseRequest, most: int) -> AsyncIterator[bytes]:
    size, waited = 0, 0.0
    while True:
        asked = monotonic()
        try:
            # only the wait for the client: the CRM may take it as slowly as it will
            async with asyncio.timeout(max(0.0, REQUEST_SECONDS + size / _SLOWEST - waited)):
                part = await request.content.readany()
        except TimeoutError:
            raise Problem("request_timeout") from None
        if not part:
            return
        waited += monotonic() - asked
        size += len(part)
        if size > most:
            raise Problem("too_large")
        yield part
