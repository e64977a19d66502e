"""A request, as the proxy has recognised it."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from ivr.proxy.entering import Visitor
from ivr.proxy.rules import Named, Protected
from ivr.proxy.upstream import Body


@dataclass(slots=True)
class Asked:
    """A request that was recognised. `protected`: None where it needs no customer."""

    request: web.BaseRequest
    address: str
    visitor: Visitor
    raw: str
    protected: Protected | None
    body: Body
    named: list[Named]
    answer: web.StreamResponse | None = None
    """What was begun to be given: nothing else can be answered then."""
