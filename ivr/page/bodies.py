"""What a request sends, as far as it is short."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from aiohttp import web

from ivr.web.problems import Problem

# Of a form with one field.
_MOST_BYTES = 1024
_MOST_FIELDS = 4


async def body(request: web.BaseRequest, most: int) -> bytes:
    """All of it. Raises `Problem` where it is longer than `most` bytes: of that, no more is read."""
    read = bytearray()
    if (request.content_length or 0) <= most:
        async for part in request.content.iter_any():
            read += part
            if len(read) > most:
                break
        else:
            return bytes(read)
    raise Problem("too_large")


async def form(request: web.BaseRequest) -> Mapping[str, str]:
    """The fields of a form. Raises `Problem`."""
    if request.content_type != "application/x-www-form-urlencoded" or (request.charset or "utf-8").lower() != "utf-8":
        raise Problem("unsupported_media_type")
    try:
        text = (await body(request, _MOST_BYTES)).decode()
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise Problem("bad_request") from None
