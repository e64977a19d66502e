"""What the table of routes is made of: a route, what it needs, and what the OpenAPI file says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ivr.config.clients import Scope
from ivr.web.guard import Needs
from ivr.web.models import Model
from ivr.web.visit import Handler


@dataclass(frozen=True, slots=True)
class Described:
    """What the OpenAPI file says of an operation; `takes` and `gives` are the handler's own models."""

    id: str
    summary: str
    gives: type[Model] | None
    status: int = 200
    takes: type[Model] | None = None
    problems: tuple[str, ...] = ()
    query: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    form: bool = False
    """Whether what it takes comes as a form, and not as JSON."""


@dataclass(frozen=True, slots=True)
class Route:
    """`static`: the same for everybody, so nobody is asked who it is; `lasts`: longer than a request."""

    method: str
    path: str
    handler: Handler
    needs: Needs
    described: Described | None = None
    static: bool = False
    lasts: bool = False
    scope: Scope | None = None
    """What the token of an element on another site's page must be good for; None: no such page may ask here."""
